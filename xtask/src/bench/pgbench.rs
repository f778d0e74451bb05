//! Runs pgbench and reads what it prints.

use std::{fmt, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{Arguments, System, Workload};

#[derive(Clone, Debug, serde::Serialize)]
pub struct Measurement {
    pub tps: f64,
    pub latency_ms: f64,
    pub transactions: u64,
    pub failed: u64,
    pub cpu_ms_per_transaction: f64,
    pub fsyncs_per_transaction: Option<f64>,
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0} tps {:>8.3} ms {:>8.3} CPU ms/txn {} failed",
            self.tps, self.latency_ms, self.cpu_ms_per_transaction, self.failed
        )
    }
}

pub fn initialise(url: &str, scale: u32) -> Result<()> {
    let scale = scale.to_string();
    output(pgbench()?.args(["--initialize", "--quiet", "--scale", &scale, url])).map(drop)
}

pub fn measure(system: &dyn System, arguments: &Arguments, script: &Path) -> Result<Measurement> {
    let mut command = pgbench()?;
    let (clients, seconds) = (arguments.clients.to_string(), arguments.seconds.to_string());
    command.args(["--no-vacuum", "--jobs=2", "--max-tries=100", "--protocol", &arguments.mode]);
    command.args(["--client", &clients, "--time", &seconds]);
    match arguments.workload {
        Workload::Tpcb => command.arg("--builtin=tpcb-like"),
        Workload::Select => command.arg("--builtin=select-only"),
        Workload::Kv => command.arg("--file").arg(script),
    };
    let (cpu, fsyncs) = (system.cpu_seconds(), system.fsyncs());
    let text = output(command.arg(system.url()))?;
    let transactions = field(&text, "number of transactions actually processed: ")? as u64;
    let each = |amount: f64| amount / (transactions.max(1)) as f64;
    Ok(Measurement {
        tps: field(&text, "tps = ")?,
        latency_ms: field(&text, "latency average = ")?,
        transactions,
        failed: field(&text, "number of failed transactions: ").unwrap_or(0.0) as u64,
        cpu_ms_per_transaction: each((system.cpu_seconds() - cpu) * 1000.0),
        fsyncs_per_transaction: fsyncs.zip(system.fsyncs()).map(|(before, after)| each((after - before) as f64)),
    })
}

/// The number behind a label.
pub fn field(text: &str, label: &str) -> Result<f64> {
    let rest = text.split(label).nth(1).with_context(|| format!("pgbench did not print `{label}`:\n{text}"))?;
    let number: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    number.parse().with_context(|| format!("pgbench printed `{label}{number}`"))
}

fn pgbench() -> Result<Command> {
    Ok(Command::new(super::postgres::program("pgbench")?))
}

pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}\n{text}\n{errors}", output.status);
    Ok(text)
}
