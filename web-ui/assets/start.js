// Starts the program that wasm-bindgen's module above wraps, and says so when that fails.
__wbg_init({ module_or_path: "/assets/{wasm}" }).then(
    () => document.getElementById("start")?.remove(),
    (error) => {
        const text = document.getElementById("start-text");
        if (text) text.textContent = "The page could not start: " + error + ". Reload it; a browser of the last three years is needed.";
        console.error(error);
    },
);
