//! `cargo xtask pgbench`: every built-in script of pgbench in every query mode on a three-node cluster. Nothing may fail but
//! what pgbench repeats and counts as a serialization retry; select-only not even that.

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Cleanup, System, locus, pgbench, postgres};

#[derive(clap::Args)]
pub struct Arguments {
    /// pgbench scale: 100,000 accounts each
    #[arg(long, env = "LOCUS_PGBENCH_SCALE", default_value_t = 10)]
    scale: u32,
    /// Numbers of clients, each tried with every script and mode
    #[arg(long, env = "LOCUS_PGBENCH_CLIENTS", value_delimiter = ',', default_values_t = [8, 32])]
    clients: Vec<u32>,
    /// Length of one run in seconds
    #[arg(long, env = "LOCUS_PGBENCH_SECONDS", default_value_t = 5)]
    seconds: u32,
}

const SCRIPTS: [&str; 3] = ["tpcb-like", "simple-update", "select-only"];
const MODES: [&str; 3] = ["simple", "extended", "prepared"];

pub fn run(arguments: &Arguments) -> Result<()> {
    let directory = std::env::temp_dir().join(format!("locus-pgbench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let _cleanup = Cleanup(directory.clone());
    let cluster = locus::Cluster::start(&directory, false)?;
    eprintln!("loading at scale {}", arguments.scale);
    pgbench::initialise(&cluster.url(), arguments.scale)?;
    println!(
        "{:<14} {:<9} {:>7} {:>9} {:>11} {:>8} {:>7}",
        "script", "mode", "clients", "tps", "latency ms", "retried", "failed"
    );
    let mut failures = 0;
    for script in SCRIPTS {
        for mode in MODES {
            for clients in &arguments.clients {
                failures += one(&cluster.url(), script, mode, *clients, arguments.seconds)?;
            }
        }
    }
    ensure!(failures == 0, "{failures} transactions failed");
    Ok(())
}

/// One run; how many transactions failed.
fn one(url: &str, script: &str, mode: &str, clients: u32, seconds: u32) -> Result<u64> {
    let mut command = Command::new(postgres::program("pgbench")?);
    command.args(["--no-vacuum", "--jobs=2", "--max-tries=1000", "--builtin", script, "--protocol", mode]);
    command.args(["--client", &clients.to_string(), "--time", &seconds.to_string(), url]);
    let text = pgbench::output(&mut command)?;
    let number = |label| pgbench::field(&text, label);
    let failed = number("number of failed transactions: ")?;
    let retried = number("number of transactions retried: ")?;
    println!(
        "{script:<14} {mode:<9} {clients:>7} {:>9.0} {:>11.3} {retried:>8} {failed:>7}",
        number("tps = ")?,
        number("latency average = ")?,
    );
    ensure!(script != "select-only" || retried == 0.0, "a transaction that only reads had to be repeated");
    Ok(failed as u64)
}
