//! `cargo xtask failover`: pgbench runs while every node in turn is killed and started again; then the books must balance
//! and hold every acknowledged transaction. At the end the same after a kill of all processes at once.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Cleanup, locus, pgbench, postgres};

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, env = "LOCUS_FAILOVER_SCALE", default_value_t = 1)]
    scale: u32,
    #[arg(long, env = "LOCUS_FAILOVER_CLIENTS", default_value_t = 8)]
    clients: u32,
    /// Length of the run in seconds; the kills are spread over it
    #[arg(long, env = "LOCUS_FAILOVER_SECONDS", default_value_t = 60)]
    seconds: u32,
}

struct Demo {
    program: std::path::PathBuf,
    data: std::path::PathBuf,
    report: std::path::PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let directory = std::env::temp_dir().join(format!("locus-failover-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let _cleanup = Cleanup(directory.clone());
    let program = locus::build()?;
    let demo = Demo { program, data: directory.join("data"), report: directory.join("demo.json") };
    demo.start()?;
    let url = demo.url()?;
    pgbench::initialise(&url, arguments.scale)?;

    let bench = start_pgbench(&url, arguments, arguments.seconds)?;
    let third = Duration::from_secs(u64::from(arguments.seconds) / 4);
    for node in 1..=3 {
        sleep(third);
        demo.kill(&[format!("node {node}")])?;
        let pause = pause_until_success(&url, PROBE)?;
        println!("node {node} killed: {} ms until the next success", pause.as_millis());
        sleep(Duration::from_secs(1));
        demo.start()?;
    }
    let acknowledged = acknowledged(bench)?;
    check_books(&url, acknowledged)?;

    let bench = start_pgbench(&url, arguments, arguments.seconds)?;
    sleep(third);
    demo.kill(&["node 1", "node 2", "node 3", "gateway 1"].map(str::to_owned))?;
    // pgbench ends when its connections break; what it was told until then counts.
    let more = acknowledged_until_abort(bench)?;
    let begin = now();
    demo.start()?;
    // The gateway has another port now.
    let url = demo.url()?;
    pause_until_success(&url, PROBE)?;
    println!("all processes killed and started again: SQL answers after {} ms", (now() - begin).as_millis());
    check_books(&url, acknowledged + more)
}

impl Demo {
    /// Starts what does not run.
    fn start(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["demo", "--insecure", "--background", "--empty", "--sql-addr", "127.0.0.1:0", "--data"]);
        pgbench::output(command.arg(&self.data).arg("--json").arg(&self.report)).map(drop)
    }

    fn report(&self) -> Result<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(&self.report)?)?)
    }

    fn url(&self) -> Result<String> {
        Ok(self.report()?["sql_urls"][0].as_str().context("no URL in the report")?.to_owned())
    }

    /// SIGKILL, by pid. Names are role and id.
    fn kill(&self, names: &[String]) -> Result<()> {
        let report = self.report()?;
        for process in report["processes"].as_array().context("no processes in the report")? {
            let name = format!("{} {}", process["role"].as_str().unwrap_or_default(), process["id"]);
            if names.contains(&name) {
                let pid = process["pid"].to_string();
                ensure!(Command::new("kill").args(["-9", &pid]).status()?.success(), "cannot kill {name}, pid {pid}");
            }
        }
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ =
            Command::new(&self.program).args(["demo", "stop", "--data"]).arg(&self.data).stdout(Stdio::null()).status();
    }
}

fn start_pgbench(url: &str, arguments: &Arguments, seconds: u32) -> Result<Child> {
    let (clients, seconds) = (arguments.clients.to_string(), seconds.to_string());
    let mut command = Command::new(postgres::program("pgbench")?);
    command.args(["--no-vacuum", "--jobs=2", "--max-tries=1000", "--protocol=prepared", "--client", &clients]);
    command.args(["--progress=1", "--time", &seconds, url]).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command.spawn()?)
}

/// How many transactions pgbench says were committed; none may have failed.
fn acknowledged(bench: Child) -> Result<u64> {
    let output = bench.wait_with_output()?;
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "pgbench failed: {text}\n{errors}");
    let number = |label| pgbench::field(&text, label);
    let (done, failed) =
        (number("number of transactions actually processed: ")?, number("number of failed transactions: ")?);
    println!("pgbench: {done} transactions, {failed} failed, {} tps", number("tps = ")?);
    ensure!(failed == 0.0, "{failed} transactions failed");
    Ok(done as u64)
}

fn acknowledged_until_abort(bench: Child) -> Result<u64> {
    let output = bench.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(pgbench::field(&text, "number of transactions actually processed: ")? as u64)
}

const PROBE: &str = "UPDATE pgbench_tellers SET filler = 'x' WHERE tid = 10";

/// Tries a statement until it succeeds.
pub fn pause_until_success(url: &str, statement: &str) -> Result<Duration> {
    let begin = now();
    loop {
        let mut probe = Command::new(postgres::program("psql")?);
        probe.args(["--no-psqlrc", "-q", url, "-c", statement]);
        let probe = probe.env("PGCONNECT_TIMEOUT", "5").stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if probe.success() {
            return Ok(now() - begin);
        }
        ensure!(now() - begin < Duration::from_secs(60), "no success for a minute");
    }
}

/// The sums of TPC-B agree, and the history holds at least what was acknowledged.
fn check_books(url: &str, acknowledged: u64) -> Result<()> {
    let text = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), \
                (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history), \
                (SELECT count(*) FROM pgbench_history)";
    let mut psql = Command::new(postgres::program("psql")?);
    let answer = pgbench::output(psql.args(["--no-psqlrc", "-At", url, "-c", text]))?;
    let numbers: Vec<i64> = answer.trim().split('|').map(str::parse).collect::<Result<_, _>>()?;
    let [accounts, tellers, branches, history, rows] = numbers[..] else {
        anyhow::bail!("unexpected answer {answer}");
    };
    println!("sums: accounts {accounts}, tellers {tellers}, branches {branches}, history {history}");
    println!("history: {rows} rows, {acknowledged} acknowledged");
    ensure!(accounts == tellers && tellers == branches && branches == history, "the books do not balance");
    ensure!(rows as u64 >= acknowledged, "acknowledged transactions are lost");
    Ok(())
}

/// Lets the load run for a while: here waiting is the purpose.
#[allow(clippy::disallowed_methods)]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

fn now() -> Instant {
    #[allow(clippy::disallowed_methods)]
    Instant::now()
}
