//! Rules that the compiler does not check.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

/// Which of our crates each of our crates may name (DESIGN section 3). An arrow may not be reversed, in dev-dependencies
/// neither.
const ARROWS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("consistency", &["base"]),
    ("storage", &["base"]),
    ("txn", &["base", "storage"]),
    ("sql", &["base", "storage", "txn", "auth"]),
    ("auth", &["base"]),
    ("gateway", &["base", "sql", "auth"]),
    ("jepsen", &["base", "consistency", "storage", "txn", "sql", "auth", "gateway"]),
    ("web-ui", &["base", "consistency"]),
    ("xtask", &[]),
    ("xtask/web", &[]),
    (".", &["base", "storage", "txn", "sql", "auth", "gateway", "jepsen"]),
];

const LINES_MAX: usize = 600;

pub fn run() -> Result<()> {
    let root = crate::root()?;
    let mut complaints = Vec::new();
    for (directory, allowed) in ARROWS {
        arrows(&root, directory, allowed, &mut complaints)?;
    }
    features(&root, &mut complaints)?;
    let mut files = Vec::new();
    rust_files(&root, &mut files)?;
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        let name = file.strip_prefix(&root).unwrap_or(file);
        let lines = text.lines().count();
        if lines > LINES_MAX {
            complaints.push(format!("{}: {lines} lines; above {LINES_MAX} it holds two ideas", name.display()));
        }
        for (number, line) in text.lines().enumerate() {
            let is_rule = name.ends_with("tidy.rs");
            if !is_rule && (line.contains("todo!(") || line.contains("unimplemented!(") || line.contains("#[ignore")) {
                complaints.push(format!("{}:{}: left open: {}", name.display(), number + 1, line.trim()));
            }
        }
    }
    if complaints.is_empty() {
        println!("tidy: {} files, {} crates, nothing to complain about", files.len(), ARROWS.len());
        return Ok(());
    }
    complaints.iter().for_each(|complaint| eprintln!("tidy: {complaint}"));
    bail!("{} complaints", complaints.len())
}

fn arrows(root: &Path, directory: &str, allowed: &[&str], complaints: &mut Vec<String>) -> Result<()> {
    let path = root.join(directory).join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let manifest: BTreeMap<String, toml::Value> = toml::from_str(&text)?;
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(section).and_then(toml::Value::as_table) else { continue };
        for name in dependencies.keys() {
            let ours = ARROWS.iter().any(|(known, _)| known == name);
            if ours && !allowed.contains(&name.as_str()) {
                complaints.push(format!("{directory}/Cargo.toml: {section} may not name `{name}`"));
            }
        }
    }
    Ok(())
}

/// `./locus` builds one package and `./test` the workspace with its tests. What the two want with different features is compiled
/// twice, with all that depends on it.
fn features(root: &Path, complaints: &mut Vec<String>) -> Result<()> {
    let binary = resolved(root, &["--package", "locus", "--edges", "normal,build"])?;
    let tests = resolved(root, &["--workspace", "--edges", "normal,build,dev"])?;
    for package in binary.difference(&tests) {
        complaints.push(format!(
            "Cargo.toml: `cargo build` has `{package}` where the tests have it with other features; name those among the \
             dependencies that are not named in our code"
        ));
    }
    Ok(())
}

/// Each package with its version and features.
fn resolved(root: &Path, selection: &[&str]) -> Result<BTreeSet<String>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["tree", "--locked", "--quiet", "--prefix", "none", "--format", "{p} {f}"]);
    let output = command.args(selection).output().context("cannot start cargo tree")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    let lines = String::from_utf8(output.stdout)?;
    // What was listed before is marked.
    Ok(lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect())
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            rust_files(&path, files)?;
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}
