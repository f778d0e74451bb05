//! What processes must be started with so that a fault can be brought about while they run.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{command, places::Member};

/// Which kinds of equipment a cluster gets. Each costs a little, so a cluster has only what its nemeses need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Namespaces: anything about the network.
    pub network: bool,
    /// Connections between processes go through relays.
    pub relays: bool,
    /// libfaketime.
    pub clocks: bool,
    /// The library that makes syncs slow.
    pub slow_disks: bool,
    /// Data on file systems of their own, which are small.
    pub small_disks: bool,
}

impl Needs {
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            network: self.network || other.network,
            relays: self.relays || other.relays,
            clocks: self.clocks || other.clocks,
            slow_disks: self.slow_disks || other.slow_disks,
            small_disks: self.small_disks || other.small_disks,
        }
    }
}

/// Of a node's file system where it is a small one; and the flags that make the node use it up soon.
const SMALL_DISK_BYTES: u64 = 192 << 20;
const SMALL_DISK_FLAGS: [&str; 4] = ["--write-buffer-bytes", "131072", "--log-bytes-max", "131072"];

/// The control files of one cluster.
pub struct Equipment {
    needs: Needs,
    directory: PathBuf,
    /// What to preload, in this order.
    libraries: Vec<PathBuf>,
    mounts: Vec<PathBuf>,
}

impl Equipment {
    /// `directory` is the cluster's own.
    pub async fn prepare(needs: Needs, directory: &Path) -> Result<Equipment> {
        let mut equipment = Equipment { needs, directory: directory.to_owned(), libraries: vec![], mounts: vec![] };
        if needs.slow_disks {
            equipment.libraries.push(build_slow_disk(directory).await?);
        }
        if needs.clocks {
            equipment.libraries.push(faketime().context("libfaketime is missing (Debian: apt-get install faketime)")?);
        }
        Ok(equipment)
    }

    /// What a member is started with. Makes its control files, and its disk.
    pub async fn equip(&mut self, member: Member) -> Result<(Vec<String>, Vec<(String, String)>)> {
        let mut environment = Vec::new();
        let mut flags = Vec::new();
        if !self.libraries.is_empty() {
            let libraries: Vec<String> = self.libraries.iter().map(|path| path.display().to_string()).collect();
            environment.push(("LD_PRELOAD".to_owned(), libraries.join(":")));
        }
        if self.needs.slow_disks {
            self.set_sync_delay(member, 0)?;
            environment.push(("LOCUS_SLOW_DISK".to_owned(), self.disk_file(member).display().to_string()));
        }
        if self.needs.clocks {
            self.set_clock(member, 0.0)?;
            let settings = [
                ("FAKETIME_TIMESTAMP_FILE", self.clock_file(member).display().to_string()),
                // The file is read again at each look at the clock.
                ("FAKETIME_NO_CACHE", "1".to_owned()),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
                ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ];
            environment.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        }
        if self.needs.small_disks && matches!(member, Member::Node(_)) {
            let data = self.data(member);
            fs::create_dir_all(&data)?;
            let size = format!("size={SMALL_DISK_BYTES}");
            let target = data.display().to_string();
            command::run("mount", &["-t", "tmpfs", "-o", &size, "locus-jepsen", &target]).await?;
            self.mounts.push(data);
            flags.extend(SMALL_DISK_FLAGS.map(str::to_owned));
        }
        Ok((flags, environment))
    }

    /// Where a node keeps its data.
    pub fn data(&self, member: Member) -> PathBuf {
        self.directory.join(format!("data-{}", member.short()))
    }

    /// Sets a member's wall clock to so many seconds off.
    pub fn set_clock(&self, member: Member, seconds: f64) -> Result<()> {
        write_whole(&self.clock_file(member), &format!("{seconds:+.3}\n"))
    }

    /// Makes each sync of a member take so much longer.
    pub fn set_sync_delay(&self, member: Member, millis: u64) -> Result<()> {
        write_whole(&self.disk_file(member), &format!("{millis}\n"))
    }

    /// Takes all room on a member's disk.
    pub fn fill_disk(&self, member: Member) -> Result<()> {
        let path = self.filler(member);
        let mut file = fs::File::create(&path).with_context(|| path.display().to_string())?;
        let block = vec![0; 1 << 20];
        // Until nothing fits any more, in ever smaller pieces.
        let mut size = block.len();
        while size > 0 {
            if file.write_all(&block[..size]).is_err() {
                size /= 2;
            }
        }
        Ok(())
    }

    /// Gives the room back.
    pub fn free_disk(&self, member: Member) -> Result<()> {
        match fs::remove_file(self.filler(member)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("cannot free the disk"),
            _ => Ok(()),
        }
    }

    fn filler(&self, member: Member) -> PathBuf {
        self.data(member).join("jepsen-filler")
    }

    fn clock_file(&self, member: Member) -> PathBuf {
        self.directory.join(format!("clock-{}", member.short()))
    }

    fn disk_file(&self, member: Member) -> PathBuf {
        self.directory.join(format!("disk-{}", member.short()))
    }
}

impl Drop for Equipment {
    fn drop(&mut self) {
        self.mounts.drain(..).for_each(|mount| unmount(&mount));
    }
}

/// Unmounts a file system of ours, as soon as nobody uses it.
pub fn unmount(path: &Path) {
    match std::process::Command::new("umount").arg("--lazy").arg(path).status() {
        Ok(status) if status.success() => {}
        other => tracing::warn!(path = %path.display(), ?other, "cannot unmount"),
    }
}

/// Readers see the old content or the new.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let unfinished = path.with_extension("tmp");
    let write = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    write.with_context(|| format!("cannot write {}", path.display()))
}

async fn build_slow_disk(directory: &Path) -> Result<PathBuf> {
    let (source, library) = (directory.join("slow_disk.c"), directory.join("slow_disk.so"));
    fs::write(&source, include_str!("slow_disk.c"))?;
    let (from, to) = (source.display().to_string(), library.display().to_string());
    command::run("cc", &["-shared", "-fPIC", "-O2", "-o", &to, &from, "-ldl"]).await?;
    Ok(library)
}

/// The libfaketime for programs with several threads.
pub fn faketime() -> Option<PathBuf> {
    let places =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    places.iter().map(|place| Path::new(place).join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file())
}
