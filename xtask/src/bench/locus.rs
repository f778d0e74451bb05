//! Locus under test: `locus demo --background`, or one process.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{System, pgbench::output, postgres::free_port};

pub struct Cluster {
    program: PathBuf,
    data: PathBuf,
    url: String,
    pids: Vec<u32>,
    /// `locus start`, everything in one process; else a demo cluster of four.
    single: Option<Child>,
}

impl Cluster {
    pub fn start(directory: &Path, single: bool) -> Result<Cluster> {
        let program = build()?;
        let data = directory.join("locus");
        if single { Cluster::start_single(program, data) } else { Cluster::start_demo(program, data, directory) }
    }

    fn start_demo(program: PathBuf, data: PathBuf, directory: &Path) -> Result<Cluster> {
        let report = directory.join("locus.json");
        let mut command = Command::new(&program);
        command.args(["demo", "--insecure", "--background", "--empty", "--sql-addr", "127.0.0.1:0", "--data"]);
        output(command.arg(&data).arg("--json").arg(&report))?;
        let report: Value = serde_json::from_str(&fs::read_to_string(&report)?)?;
        let url = report["sql_urls"][0].as_str().context("no URL in the report of `locus demo`")?.to_owned();
        let processes = report["processes"].as_array().context("no processes in the report of `locus demo`")?;
        let pids = processes.iter().filter_map(|process| process["pid"].as_u64()).map(|pid| pid as u32).collect();
        Ok(Cluster { program, data, url, pids, single: None })
    }

    fn start_single(program: PathBuf, data: PathBuf) -> Result<Cluster> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(&program);
        command.args(["--log", "warn", "start", "--insecure", "--sql-addr", &address, "--data"]).arg(&data);
        let child = command.spawn().context("cannot start `locus start`")?;
        let url = format!("postgresql://locus@{address}/locus");
        let cluster = Cluster { program, data, url, pids: vec![child.id()], single: Some(child) };
        super::failover::pause_until_success(&cluster.url, "SELECT 1")?;
        Ok(cluster)
    }

    fn status(&self) -> Option<Value> {
        let text = output(Command::new(&self.program).args(["status", "--json", "--url", &self.url])).ok()?;
        serde_json::from_str(&text).ok()
    }
}

impl System for Cluster {
    fn name(&self) -> &'static str {
        if self.single.is_some() { "Locus, one process" } else { "Locus, three nodes" }
    }

    fn url(&self) -> String {
        self.url.clone()
    }

    fn cpu_seconds(&self) -> f64 {
        self.pids.iter().map(|pid| cpu_seconds(*pid)).sum()
    }

    fn fsyncs(&self) -> Option<u64> {
        let status = self.status()?;
        let nodes = status["nodes"].as_array()?;
        Some(nodes.iter().filter_map(|node| node["counters"]["fsyncs"].as_u64()).sum())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(child) = &mut self.single {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        let mut stop = Command::new(&self.program);
        let _ = stop.args(["demo", "stop", "--data"]).arg(&self.data).stdout(Stdio::null()).status();
    }
}

/// Builds the binary as users run it, without debug assertions; its path. `LOCUS_BENCH_BINARY` names another one.
pub fn build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LOCUS_BENCH_BINARY") {
        return Ok(path.into());
    }
    crate::run(&mut crate::cargo(&["build", "--release", "--bin", "locus"])?)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").context("first: source scripts/env.sh")?;
    Ok(PathBuf::from(target).join("release/locus"))
}

/// User and system time of one process.
fn cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The command name may hold spaces; fields are counted from behind its closing parenthesis.
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // utime, stime, and those of children that have ended (PostgreSQL's backends); 100 ticks a second.
    (ticks(11) + ticks(12) + ticks(13) + ticks(14)) / 100.0
}

/// The same for a process and all of its living descendants.
pub fn cpu_seconds_of_family(root: u32) -> f64 {
    let mut family = BTreeSet::from([root]);
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    parents.sort_unstable();
    while parents.iter().any(|(pid, parent)| family.contains(parent) && family.insert(*pid)) {}
    family.into_iter().map(cpu_seconds).sum()
}
