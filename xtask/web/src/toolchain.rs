//! Which cargo, compiler and linker can build for the browser on this machine. Nothing is ever downloaded: a build that
//! fetches a toolchain unasked surprises people.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// What to type on a machine that has none.
pub const WAYS: &str = "no toolchain for wasm32-unknown-unknown; one of these brings it:
  apt-get install rustc-web cargo-web rust-web-src lld-22    (Debian 12 with its security archive, as root)
  rustup target add wasm32-unknown-unknown                   (for the toolchain in use)
  LOCUS_WEB_CARGO=/path/to/cargo LOCUS_WEB_RUSTC=/path/to/rustc with that target or with rust-src";

#[derive(Debug)]
pub struct Toolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// The standard library for the target is not there ready-made: it is built from its source.
    pub build_std: bool,
    /// A linker of another package, where the toolchain has none.
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// In this order: an explicit choice; the toolchain that runs us; the system's (Debian's `rustc-web`). Any with a
    /// ready-made standard library comes before those that have its source only.
    pub fn find() -> Result<Option<Toolchain>> {
        let mut candidates = Vec::new();
        if let (Some(cargo), Some(rustc)) = (env::var_os("LOCUS_WEB_CARGO"), env::var_os("LOCUS_WEB_RUSTC")) {
            candidates.push((PathBuf::from(cargo), PathBuf::from(rustc)));
        } else {
            // Under rustup, CARGO names the toolchain's own binary and not the proxy. The proxy would not do: a
            // rust-toolchain.toml inside a dependency would redirect it to another compiler.
            if let Some(cargo) = env::var_os("CARGO").map(PathBuf::from) {
                let rustc = cargo.with_file_name("rustc");
                candidates.push((cargo, rustc));
            }
            candidates.push(("/usr/bin/cargo".into(), "/usr/bin/rustc".into()));
        }
        candidates.retain(|(cargo, rustc)| cargo.is_file() && rustc.is_file());
        for build_std in [false, true] {
            for (cargo, rustc) in &candidates {
                let Some(sysroot) = sysroot(rustc) else { continue };
                if if build_std { has_source(&sysroot) } else { has_standard_library(&sysroot) } {
                    let Some(linker) = linker(rustc, &sysroot)? else { continue };
                    return Ok(Some(Toolchain { cargo: cargo.clone(), rustc: rustc.clone(), build_std, linker }));
                }
            }
        }
        Ok(None)
    }

    /// A `cargo build` for the browser, without the settings of the cargo that runs us.
    pub fn build(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_of_another_build) {
                command.env_remove(&name);
            }
        }
        command.env("RUSTC", &self.rustc).args(["build", "--target", TARGET]);
        if self.build_std {
            // The switch that lets a released compiler build its own standard library.
            command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
            // The quick ways of sorting were 8 % of the page.
            command.arg("-Zbuild-std-features=optimize_for_size");
        }
        if let Some(linker) = &self.linker {
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }
}

/// Whether a variable steers the compiler or cargo that runs us. Where crates come from is the same for both.
fn is_of_another_build(name: &str) -> bool {
    const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];
    let steers = name.trim_start_matches('_').starts_with("CARGO") || name.starts_with("RUST");
    (steers || name == "LD_LIBRARY_PATH") && !KEPT.iter().any(|kept| name.starts_with(kept))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    output(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

fn has_standard_library(sysroot: &Path) -> bool {
    let entries = fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    entries.is_ok_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
}

/// `Some(None)`: the toolchain has its own; `Some(Some(…))`: another package's; `None`: there is none.
fn linker(rustc: &Path, sysroot: &Path) -> Result<Option<Option<PathBuf>>> {
    let version = output(Command::new(rustc).arg("-vV")).context("rustc -vV")?;
    let Some(host) = version.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("{} does not say for which machine it is", rustc.display());
    };
    if sysroot.join("lib/rustlib").join(host).join("bin/rust-lld").is_file() || on_path("rust-lld").is_some() {
        return Ok(Some(None));
    }
    let names = (19..=30).rev().map(|version| format!("wasm-ld-{version}"));
    if let Some(found) = std::iter::once("wasm-ld".to_owned()).chain(names).find_map(|name| on_path(&name)) {
        return Ok(Some(Some(found)));
    }
    // The linker of the rustup toolchain in use serves another compiler as well.
    let other = on_path("rustc").and_then(|rustc| self::sysroot(&rustc));
    let found = other.map(|sysroot| sysroot.join("lib/rustlib").join(host).join("bin/rust-lld"));
    Ok(found.filter(|path| path.is_file()).map(Some))
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}
