//! `cargo xtask web`: compiles the page for the browser into a bundle that the binary embeds. A program of its own, because
//! what it needs takes a while to compile and no other chore wants it.
//!
//! Life of a bundle: [`bundle::key`] says which one this checkout needs; if the cache has it, that is all. Otherwise
//! [`Toolchain::find`], [`compile`], [`split`] (parts that are fetched later), [`bind`] (wasm-bindgen as a library),
//! [`name_by_content`], [`compress`], and a rename that makes it appear whole or not at all.

#[path = "../../../web-ui/bundle.rs"]
mod bundle;
mod toolchain;

use std::{
    env, fs,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use brotli::enc::BrotliEncoderParams;
use clap::Parser;
use toolchain::{TARGET, Toolchain, WAYS};

/// The program without the parts that are fetched later, before wasm-bindgen.
const MAIN: &str = "main.wasm";
/// The scripts by which they name each other, before [`name_by_content`].
const APP_MODULE: &str = "./app.js";
const PARTS_MODULE: &str = "./parts.js";

#[derive(Parser)]
#[command(name = "cargo xtask web", about = "Compile the page for the browser")]
struct Arguments {
    /// Succeed without a page, with one line, when this machine cannot compile for the browser
    #[arg(long)]
    if_possible: bool,
    /// Quick and large, for work on the page: into the cache's `dev`, to be served by `locus web --assets`
    #[arg(long)]
    dev: bool,
    /// Only say which toolchain would be used
    #[arg(long)]
    probe: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let root = root()?;
    let target = if arguments.dev { bundle::cache().join("dev") } else { bundle::directory(&root)? };
    if target.is_dir() && !arguments.probe && !arguments.dev {
        println!("{}", target.display());
        return Ok(());
    }
    let Some(toolchain) = Toolchain::find()? else {
        if arguments.if_possible {
            eprintln!("web: built without the page: no toolchain for {TARGET} (`cargo xtask web` says how to get one)");
            return Ok(());
        }
        bail!("{WAYS}");
    };
    if arguments.probe {
        println!("{toolchain:?}");
        return Ok(());
    }
    fs::create_dir_all(bundle::cache().join("bundles"))?;
    // One at a time on a machine; who waited finds the result of the other.
    let lock = File::create(bundle::cache().join("lock"))?;
    lock.lock().context("cannot lock the cache")?;
    if arguments.dev || !target.is_dir() {
        make(&root, &toolchain, &target, arguments.dev)?;
    }
    println!("{}", target.display());
    Ok(())
}

/// The checkout, read at run time: a copied target directory must not name an old one.
fn root() -> Result<PathBuf> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start it by `cargo xtask web`")?;
    let root = Path::new(&manifest).ancestors().nth(2).context("xtask/web lies in the workspace")?;
    Ok(root.to_owned())
}

fn make(root: &Path, toolchain: &Toolchain, target: &Path, dev: bool) -> Result<()> {
    eprintln!("web: compiling the page for the browser (some minutes the first time)");
    let wasm = compile(root, toolchain, dev)?;
    let work = bundle::cache().join("work");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    let parts = split(&wasm, &work)?;
    bind(&work, dev)?;
    name_by_content(&root.join("web-ui/assets"), &work, &parts)?;
    compress(&work, dev)?;
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(&work, target).context("cannot put the bundle in its place")?;
    Ok(())
}

fn compile(root: &Path, toolchain: &Toolchain, dev: bool) -> Result<PathBuf> {
    let profile = if dev { "wasm-dev" } else { "wasm" };
    // A directory of its own: another compiler and another lock.
    let directory = bundle::cache().join("target");
    let mut command = toolchain.build();
    // Components without their full types: a fraction of the time to compile, and smaller.
    // Relocations are what [`split`] goes by.
    command.env("RUSTFLAGS", "--cfg erase_components --cfg getrandom_backend=\"wasm_js\" -Clink-arg=--emit-relocs");
    command.current_dir(root).args(["--locked", "--quiet", "--package", "locus-web-ui", "--lib", "--profile", profile]);
    let status = command.arg("--target-dir").arg(&directory).status().context("cannot start cargo")?;
    ensure!(status.success(), "the page does not compile (see above)");
    Ok(directory.join(TARGET).join(profile).join("web_ui.wasm"))
}

/// Cuts the program at the functions that are marked by `#[wasm_split]`: what only they reach becomes a part of its own.
/// Writes `main.wasm`, the parts, and `parts.js`, which fetches them; returns the parts.
fn split(wasm: &Path, directory: &Path) -> Result<Vec<PathBuf>> {
    let whole = fs::read(wasm)?;
    let main = directory.join(MAIN);
    let mut options = wasm_split_cli_support::Options::new(&whole);
    options.output_dir = directory;
    options.main_out_path = &main;
    options.main_module = APP_MODULE;
    options.link_name = PARTS_MODULE;
    let split = wasm_split_cli_support::transform(options).map_err(|error| anyhow!("wasm-split: {error:#}"))?;
    ensure!(!split.split_modules.is_empty(), "the page was not split");
    Ok(split.split_modules)
}

/// Writes `app.js` and `app_bg.wasm`, from `main.wasm`.
fn bind(directory: &Path, dev: bool) -> Result<()> {
    let main = directory.join(MAIN);
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(&main).web(true)?.typescript(false).out_name("app").omit_default_module_path(true);
    // Parts use the memory and the table of functions of the rest.
    bindgen.keep_lld_exports(true).remove_producers_section(true).remove_name_section(!dev).keep_debug(dev);
    bindgen.generate(directory).context("wasm-bindgen")?;
    fs::remove_file(main)?;
    Ok(())
}

/// Gives files the hash of their content as part of the name, so that browsers may keep them for ever, and writes
/// `index.html`, which names those that are needed at once.
fn name_by_content(assets: &Path, directory: &Path, parts: &[PathBuf]) -> Result<()> {
    let take = |name: &str| -> Result<Vec<u8>> {
        let content = fs::read(directory.join(name))?;
        fs::remove_file(directory.join(name))?;
        Ok(content)
    };
    let wasm = adopt(directory, "app", "wasm", &take("app_bg.wasm")?)?;
    let mut fetching = String::from_utf8(take(PARTS_MODULE)?)?;
    for part in parts {
        let name = part.file_name().and_then(|name| name.to_str()).context("a part has a name")?;
        fetching = fetching.replace(name, &adopt(directory, "part", "wasm", &take(name)?)?);
    }
    let start = fs::read_to_string(assets.join("start.js"))?.replace("{wasm}", &wasm);
    let app = String::from_utf8(take(APP_MODULE)?)? + "\n" + &start;
    // Each of the two scripts imports the other, so their names are of one hash.
    let mut hash = bundle::Hash::new();
    hash.add(app.as_bytes());
    hash.add(fetching.as_bytes());
    let names = ["app", "parts"].map(|stem| format!("{stem}-{}.js", hash.hex()));
    for (name, mut content) in names.iter().zip([app, fetching]) {
        for (module, name) in [APP_MODULE, PARTS_MODULE].iter().zip(&names) {
            // Only there: the program itself keeps the old name for what it imports.
            content = content.replace(&format!("from \"{module}\""), &format!("from \"./{name}\""));
        }
        fs::write(directory.join(name), content)?;
    }
    let [script, parts] = names;
    let style = adopt(directory, "style", "css", &fs::read(assets.join("style.css"))?)?;
    let icon = adopt(directory, "icon", "svg", &fs::read(assets.join("icon.svg"))?)?;
    let mut page = fs::read_to_string(assets.join("index.html"))?;
    for (name, value) in
        [("{wasm}", wasm), ("{script}", script), ("{parts}", parts), ("{style}", style), ("{icon}", icon)]
    {
        page = page.replace(name, &value);
    }
    fs::write(directory.join("index.html"), page)?;
    Ok(())
}

fn adopt(directory: &Path, stem: &str, extension: &str, content: &[u8]) -> Result<String> {
    let mut hash = bundle::Hash::new();
    hash.add(content);
    let name = format!("{stem}-{}.{extension}", hash.hex());
    fs::write(directory.join(&name), content)?;
    Ok(name)
}

fn compress(directory: &Path, dev: bool) -> Result<()> {
    let files: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    let (mut raw, mut small, mut later) = (0, 0, 0);
    for file in files {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        let content = fs::read(&file)?;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(if dev { 1 } else { 9 }));
        gzip.write_all(&content)?;
        let gzip = gzip.finish()?;
        let params = BrotliEncoderParams { quality: if dev { 1 } else { 11 }, ..BrotliEncoderParams::default() };
        let mut brotli = Vec::new();
        brotli::BrotliCompress(&mut content.as_slice(), &mut brotli, &params)?;
        eprintln!("web: {name:42} {:>8} bytes, {:>7} gzip, {:>7} brotli", content.len(), gzip.len(), brotli.len());
        if name.starts_with("part-") {
            later += gzip.len();
        } else {
            raw += content.len();
            small += gzip.len();
        }
        fs::write(directory.join(format!("{name}.gz")), gzip)?;
        fs::write(directory.join(format!("{name}.br")), brotli)?;
    }
    eprintln!("web: {:42} {raw:>8} bytes, {small:>7} gzip; {later} gzip on demand", "first load");
    Ok(())
}
