//! Network namespaces: one for each process, and one with the bridge ("switch") that they are all plugged into.
//!
//! ```text
//!  lj-PID-N-n1        lj-PID-N-n2        lj-PID-N-g1
//!  eth0 10.77.0.1     eth0 10.77.0.2     eth0 10.77.0.101
//!    │ veth             │ veth             │ veth
//!  ──┴──────────────────┴──────────────────┴──  bridge br0, in lj-PID-N-switch
//!        10.77.FROM.TO: relays, where there are any (see `relay`)
//! ```
//!
//! Nothing of it is visible in the machine's own namespace, and the addresses exist nowhere else. Names carry the pid of the
//! harness: what a harness left behind that was killed is swept away by the next one.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::command;

const PREFIX: &str = "lj-";
const DIRECTORY: &str = "/run/netns";

/// The port that every node listens on, each at its own address.
pub const NODE_PORT: u16 = 7501;
/// The port that every gateway listens on, on the loopback interface of its own namespace.
pub const GATEWAY_PORT: u16 = 7432;

/// The namespaces of one cluster; dropping them removes them.
pub struct Namespaces {
    tag: String,
    names: Vec<String>,
}

/// Why there can be no namespaces here, in a few words; `None` when there can.
pub async fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not run as root".to_owned());
    }
    if let Some(missing) = ["ip", "nft"].into_iter().find(|program| !command::exists(program)) {
        return Some(format!("{missing} is missing (Debian: apt-get install iproute2 nftables)"));
    }
    // Several runs at the same time look at the same time.
    let name = format!("{PREFIX}{}-{}-probe", std::process::id(), next_serial());
    let probe = async {
        command::run("ip", &["netns", "add", &name]).await?;
        command::run("ip", &["netns", "exec", &name, "nft", "list", "ruleset"]).await
    };
    let outcome = probe.await;
    // It may not have been made.
    let _ = command::run("ip", &["netns", "del", &name]).await;
    outcome.err().map(|error| format!("{error:#}"))
}

impl Namespaces {
    /// Makes a namespace for each member; `members` are short names and addresses.
    pub async fn create(members: &[(String, Ipv4Addr)], relays: &[Ipv4Addr]) -> Result<Namespaces> {
        let tag = format!("{PREFIX}{}-{}", std::process::id(), next_serial());
        let mut namespaces = Namespaces { tag, names: Vec::new() };
        let switch = namespaces.add("switch").await?;
        ip(&format!("-n {switch} link set lo up")).await?;
        ip(&format!("-n {switch} link add br0 type bridge")).await?;
        ip(&format!("-n {switch} link set br0 up")).await?;
        for address in relays {
            ip(&format!("-n {switch} addr add {address}/16 dev br0")).await?;
        }
        for (member, address) in members {
            let name = namespaces.add(member).await?;
            ip(&format!("-n {switch} link add {member} type veth peer name eth0 netns {name}")).await?;
            ip(&format!("-n {switch} link set {member} master br0 up")).await?;
            ip(&format!("-n {name} addr add {address}/16 dev eth0")).await?;
            ip(&format!("-n {name} link set lo up")).await?;
            ip(&format!("-n {name} link set eth0 up")).await?;
        }
        Ok(namespaces)
    }

    async fn add(&mut self, member: &str) -> Result<String> {
        let name = self.name(member);
        ip(&format!("netns add {name}")).await?;
        self.names.push(name.clone());
        Ok(name)
    }

    pub fn name(&self, member: &str) -> String {
        format!("{}-{member}", self.tag)
    }

    pub fn path(&self, member: &str) -> PathBuf {
        Path::new(DIRECTORY).join(self.name(member))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.names.drain(..).for_each(|name| remove(&name));
    }
}

fn next_serial() -> u32 {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

async fn ip(words: &str) -> Result<()> {
    command::run("ip", &words.split(' ').collect::<Vec<&str>>()).await.map(drop)
}

/// Removes a namespace. Its interfaces go with it.
fn remove(name: &str) {
    match Command::new("ip").args(["netns", "del", name]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => tracing::warn!(name, "cannot remove: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => tracing::warn!(name, %error, "cannot run ip"),
    }
}

/// Ends the processes in, and removes, the namespaces of harnesses that are gone; how many namespaces there were.
pub async fn sweep() -> usize {
    let mut stale: Vec<String> = fs::read_dir(DIRECTORY)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.strip_prefix(PREFIX).is_some_and(is_stale))
        .collect();
    stale.sort();
    for name in &stale {
        if let Err(error) = end_processes(name).await {
            tracing::warn!(name, "cannot end what runs there: {error:#}");
        }
        remove(name);
    }
    stale.len()
}

/// Whether `PID-…` names a process that is gone.
pub fn is_stale(rest: &str) -> bool {
    let pid = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

async fn end_processes(namespace: &str) -> Result<()> {
    for line in command::run("ip", &["netns", "pids", namespace]).await?.lines() {
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).with_context(|| line.to_owned())?;
        ensure!(pid.as_raw_nonzero().get() as u32 != std::process::id(), "that would be this process");
        // It may have ended in between.
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(())
}
