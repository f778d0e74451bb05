//! Which compiled page belongs to this checkout, and where it lies. Shared by `cargo xtask web`, which makes it, and by the
//! build script of `locus`, which embeds it: so no binary ever carries the page of another checkout.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    path::{Path, PathBuf},
};

/// Counted up when the way of building changes, so that bundles of the old way are made anew.
const GENERATION: u32 = 2;

/// `$LOCUS_CACHE_DIR/web` or `~/.cache/locus/web`: bundles, one directory each, named by their key.
pub fn cache() -> PathBuf {
    let cache = env::var_os("LOCUS_CACHE_DIR").map(PathBuf::from);
    let home = || env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    cache.unwrap_or_else(|| home().join(".cache/locus")).join("web")
}

/// The directory of this checkout's bundle. It exists when the bundle has been built, and then it is whole.
pub fn directory(root: &Path) -> io::Result<PathBuf> {
    Ok(cache().join("bundles").join(key(root)?))
}

/// A hash of everything that the page is compiled from: its sources and the exact versions of the crates it uses.
pub fn key(root: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for input in inputs(root) {
        walk(&input, &mut files)?;
    }
    let mut hash = Hash::new();
    hash.add(&GENERATION.to_le_bytes());
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file);
        hash.add(name.to_string_lossy().as_bytes());
        hash.add(&fs::read(file)?);
    }
    for package in closure(&fs::read_to_string(root.join("Cargo.lock"))?) {
        hash.add(package.as_bytes());
    }
    Ok(hash.hex())
}

/// What is hashed besides the versions: files and directories of the page and of our crates that are compiled into it.
pub fn inputs(root: &Path) -> Vec<PathBuf> {
    let compiled = ["web-ui", "consistency", "base"].map(|name| root.join(name));
    let sources = compiled.iter().flat_map(|place| [place.join("Cargo.toml"), place.join("src")]);
    sources.chain([root.join("web-ui/assets")]).collect()
}

/// FNV-1a of 128 bits: fixed for all time, unlike the standard library's. Nobody attacks a cache in his own home directory.
pub struct Hash(u128);

impl Hash {
    pub fn new() -> Hash {
        Hash(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    pub fn add(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    pub fn hex(&self) -> String {
        format!("{:032x}", self.0)[..20].to_owned()
    }
}

fn walk(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| walk(entry, files))
}

/// The packages that `locus-web-ui` uses, directly or not, with their versions. Reads only what cargo writes in a lock file.
fn closure(lock: &str) -> BTreeSet<String> {
    let mut packages: BTreeMap<&str, Vec<(&str, Vec<&str>)>> = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let prefix = format!("{name} = \"");
            block.lines().find_map(|line| line.strip_prefix(&prefix)?.strip_suffix('"'))
        };
        let list = block.split_once("dependencies = [").and_then(|(_, rest)| rest.split_once(']'));
        let dependencies = list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).collect();
        if let (Some(name), Some(version)) = (field("name"), field("version")) {
            packages.entry(name).or_default().push((version, dependencies));
        }
    }
    let (mut found, mut todo) = (BTreeSet::new(), vec!["locus-web-ui"]);
    while let Some(wanted) = todo.pop() {
        let mut words = wanted.split(' ');
        let (name, wanted_version) = (words.next().unwrap_or_default(), words.next());
        for (version, dependencies) in packages.get(name).into_iter().flatten() {
            let fits = wanted_version.is_none_or(|wanted| wanted == *version);
            if fits && found.insert(format!("{name} {version}")) {
                todo.extend(dependencies);
            }
        }
    }
    found
}
