//! A data directory belongs to one node of one cluster: started with another's, a node would break its promises.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use base::NodeId;

use crate::error::{Error, Result};

const NAME: &str = "IDENTITY";

/// Checks that the directory belongs to this node; an empty or new one is marked as its own.
pub fn check(dir: &Path, cluster: &str, node: NodeId) -> Result<()> {
    let identity = format!("cluster {cluster:?}\nnode {}\n", node.0);
    match read_or_write(dir, &identity) {
        Ok(found) if found == identity => Ok(()),
        Ok(found) => Err(Error::Refused(format!(
            "{} belongs to another node: it says {:?}, not {:?}",
            dir.display(),
            found.trim_end(),
            identity.trim_end()
        ))),
        Err(error) => Err(Error::Corrupt(format!("{}: {error}", dir.display()))),
    }
}

/// A directory that only its owner may look into, with those above it that are missing. One that is there stays as it is.
pub fn create_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn read_or_write(dir: &Path, identity: &str) -> io::Result<String> {
    create_private(dir)?;
    let path = dir.join(NAME);
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
    }
    let unfinished = dir.join(format!("{NAME}.tmp"));
    let mut file = File::create(&unfinished)?;
    file.write_all(identity.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    File::open(dir)?.sync_all()?;
    Ok(identity.to_owned())
}
