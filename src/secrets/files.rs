//! Files that hold secrets: written whole or not at all, readable by their owner only.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub fn create_private(directory: &Path) -> Result<()> {
    storage::shell::create_private(directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// Processes that write into the directory do so one after the other.
pub fn lock(directory: &Path) -> Result<File> {
    create_private(directory)?;
    let lock = File::create(directory.join("lock")).and_then(|file| file.lock().map(|()| file));
    lock.with_context(|| format!("cannot lock {}", directory.display()))
}

pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The file's text; `None` where there is none.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Only its owner may read it.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, 0o600)
}

/// Everybody who may enter the directory may read it.
pub fn write_public(path: &Path, text: &str) -> Result<()> {
    write(path, text.as_bytes(), 0o644)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let unfinished = unfinished(path);
    // What an earlier attempt has left may have other rights.
    let _ = fs::remove_file(&unfinished);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}
