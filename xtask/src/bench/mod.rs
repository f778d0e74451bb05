//! `cargo xtask bench`: Locus and PostgreSQL side by side, in one run, by pgbench. Rounds alternate, so that what the
//! machine does besides hits both; the ratio is what counts.

pub mod builtins;
pub mod failover;
mod locus;
mod pgbench;
mod postgres;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

use pgbench::Measurement;

#[derive(clap::Args)]
pub struct Arguments {
    /// What to run
    #[arg(value_enum)]
    workload: Workload,
    /// What PostgreSQL is: one server with two synchronous standbys (ANY 1), or a single server
    #[arg(long, env = "LOCUS_BENCH_AGAINST", value_enum, default_value_t = Against::Sync)]
    against: Against,
    /// Locus as one process (`locus start`) rather than three nodes and a gateway
    #[arg(long, env = "LOCUS_BENCH_SINGLE")]
    single: bool,
    /// pgbench scale: 100,000 accounts each
    #[arg(long, env = "LOCUS_BENCH_SCALE", default_value_t = 10)]
    scale: u32,
    #[arg(long, env = "LOCUS_BENCH_CLIENTS", default_value_t = 8)]
    clients: u32,
    /// Length of one round in seconds
    #[arg(long, env = "LOCUS_BENCH_SECONDS", default_value_t = 15)]
    seconds: u32,
    /// Rounds for each system
    #[arg(long, env = "LOCUS_BENCH_ROUNDS", default_value_t = 3)]
    rounds: u32,
    /// pgbench's query mode
    #[arg(long, env = "LOCUS_BENCH_MODE", default_value = "prepared")]
    mode: String,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// pgbench's built-in tpcb-like
    Tpcb,
    /// pgbench's built-in select-only
    Select,
    /// One row updated by its key, autocommit
    Kv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Against {
    Sync,
    Single,
}

/// A system under test: how to reach it and what it has used so far.
pub trait System {
    fn name(&self) -> &'static str;
    fn url(&self) -> String;
    /// CPU seconds of all of its processes since their start.
    fn cpu_seconds(&self) -> f64;
    /// fsyncs since the start, where the system counts them.
    fn fsyncs(&self) -> Option<u64>;
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let directory = std::env::temp_dir().join(format!("locus-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let _cleanup = Cleanup(directory.clone());
    let postgres = postgres::Cluster::start(&directory, arguments.against == Against::Sync)?;
    let locus = locus::Cluster::start(&directory, arguments.single)?;
    let systems: [&dyn System; 2] = [&locus, &postgres];
    let script = kv_script(&directory, arguments)?;
    for system in systems {
        eprintln!("loading {} at scale {}", system.name(), arguments.scale);
        pgbench::initialise(&system.url(), arguments.scale)?;
    }
    let mut rounds: [Vec<Measurement>; 2] = [Vec::new(), Vec::new()];
    for round in 1..=arguments.rounds {
        for (system, results) in systems.iter().zip(&mut rounds) {
            let measurement = pgbench::measure(*system, arguments, &script)?;
            eprintln!("round {round}: {:<28} {measurement}", system.name());
            results.push(measurement);
        }
    }
    print(arguments, systems, &rounds);
    Ok(())
}

fn kv_script(directory: &std::path::Path, arguments: &Arguments) -> Result<PathBuf> {
    let path = directory.join("kv.sql");
    let accounts = arguments.scale * 100_000;
    let text = format!(
        "\\set aid random(1, {accounts})\n\\set delta random(-5000, 5000)\n\
         UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n"
    );
    std::fs::write(&path, text).context("cannot write the script")?;
    Ok(path)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(arguments: &Arguments, systems: [&dyn System; 2], rounds: &[Vec<Measurement>; 2]) {
    let pairs = rounds[0].iter().zip(&rounds[1]).map(|(locus, postgres)| locus.tps / postgres.tps);
    let ratio = median(pairs);
    if arguments.json {
        let results: Vec<_> = systems
            .iter()
            .zip(rounds)
            .map(|(system, rounds)| serde_json::json!({"system": system.name(), "rounds": rounds}))
            .collect();
        println!("{}", serde_json::json!({"ratio": ratio, "results": results}));
        return;
    }
    println!(
        "{:<28} {:>9} {:>11} {:>13} {:>12} {:>9}",
        "median of rounds", "tps", "latency ms", "CPU ms/txn", "fsyncs/txn", "failed"
    );
    for (system, rounds) in systems.iter().zip(rounds) {
        println!(
            "{:<28} {:>9.0} {:>11.3} {:>13.3} {:>12.3} {:>9}",
            system.name(),
            median(rounds.iter().map(|round| round.tps)),
            median(rounds.iter().map(|round| round.latency_ms)),
            median(rounds.iter().map(|round| round.cpu_ms_per_transaction)),
            median(rounds.iter().filter_map(|round| round.fsyncs_per_transaction)),
            rounds.iter().map(|round| round.failed).sum::<u64>(),
        );
    }
    println!("ratio (Locus / PostgreSQL, median of the pairs of rounds): {ratio:.3}");
}

/// Removes the directory at the end. Servers stop before, as they are dropped first.
struct Cleanup(PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
