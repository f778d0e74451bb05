//! Embeds the compiled page, if `cargo xtask web` has made the one that belongs to this checkout. Without it everything else
//! is built all the same.

#[path = "web-ui/bundle.rs"]
#[allow(dead_code)]
mod bundle;

use std::{env, fmt::Write, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("started by cargo"))?;
    let root = Path::new(&root);
    // It must exist to be watched: a bundle that appears later changes it.
    let bundles = bundle::cache().join("bundles");
    // Not being able to make it is no reason not to build.
    let _ = fs::create_dir_all(&bundles);
    for input in bundle::inputs(root).iter().chain([&bundles, &root.join("Cargo.lock")]) {
        println!("cargo:rerun-if-changed={}", input.display());
    }
    println!("cargo:rerun-if-env-changed=LOCUS_CACHE_DIR");
    let mut code = String::from("pub static FILES: &[(&str, &[u8])] = &[\n");
    if let Ok(entries) = fs::read_dir(bundle::directory(root)?) {
        for entry in entries {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            // Writing to a string cannot fail.
            let _ = writeln!(code, "    ({name:?}, include_bytes!({path:?})),");
        }
    }
    code.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("started by cargo"))?;
    fs::write(Path::new(&out).join("page.rs"), code)
}
