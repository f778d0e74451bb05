//! `locus jepsen run`, `matrix`, `list`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use clap::Args;
use jepsen::{
    real::{
        self,
        matrix::{self, Cell, Pair},
        nemesis::Kind,
        run::{Judgement, Outcome, RunOptions},
    },
    workload::{self, Isolation, Parameters, Shape},
};

use super::progress::{MatrixBar, RunLines};
use crate::{config::default_data, planted::PlantedFault, table};

/// Exit codes, as Jepsen has them.
const VIOLATED: u8 = 1;
const UNKNOWN: u8 = 2;

#[derive(Args)]
pub struct RunArgs {
    /// What the clients do; see `locus jepsen list`
    #[arg(long, env = "LOCUS_JEPSEN_WORKLOAD", default_value = "list-append")]
    workload: String,
    /// What goes wrong meanwhile, one or more at the same time; see `locus jepsen list`
    #[arg(long, env = "LOCUS_JEPSEN_NEMESIS", value_name = "NAMES", value_delimiter = ',', default_value = "none")]
    nemesis: Vec<Kind>,
    /// Instead of a cluster of its own: servers to connect to, by URL. They are given no faults
    #[arg(long, env = "LOCUS_JEPSEN_AGAINST", value_name = "URLS", value_delimiter = ',')]
    against: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub struct MatrixArgs {
    /// Which pairs, as in list-append:kill-leader,bank:halves+clock-strobe [default: those with the most teeth]
    #[arg(long, env = "LOCUS_JEPSEN_PAIRS", value_name = "LIST", value_delimiter = ',', conflicts_with = "all")]
    pairs: Vec<Pair>,
    /// Every workload under every nemesis: many hours
    #[arg(long)]
    all: bool,
    /// Clusters at the same time
    #[arg(long, env = "LOCUS_JEPSEN_AT_ONCE", default_value_t = 1)]
    at_once: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    /// How long the clients work under faults, in seconds
    #[arg(long, env = "LOCUS_JEPSEN_SECONDS", value_name = "SECONDS", default_value_t = 60)]
    time: u64,
    /// Decides what the clients and the faults do, though not when [default: a random one]
    #[arg(long, env = "LOCUS_JEPSEN_SEED")]
    seed: Option<u64>,
    /// What the clients ask for: read-committed, repeatable-read, serializable
    #[arg(long, env = "LOCUS_JEPSEN_ISOLATION", default_value = "serializable")]
    isolation: Isolation,
    /// How the rows lie: one (range), many (ranges), index (found through a secondary index)
    #[arg(long, env = "LOCUS_JEPSEN_SHAPE", default_value = "many", value_parser = shape)]
    shape: Shape,
    #[arg(long, env = "LOCUS_JEPSEN_CLIENTS", default_value_t = 9)]
    clients: u32,
    /// Nodes of the cluster
    #[arg(long, env = "LOCUS_JEPSEN_NODES", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Gateways of the cluster
    #[arg(long, env = "LOCUS_JEPSEN_GATEWAYS", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
    gateways: u8,
    /// Where histories, reports and logs go [default: ~/.local/share/locus/jepsen/…]
    #[arg(long, env = "LOCUS_JEPSEN_OUT", value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// A client thinks for up to so long after each operation, in milliseconds
    #[arg(long, env = "LOCUS_JEPSEN_THINK_MS", value_name = "MS", default_value_t = 20)]
    think: u64,
}

fn shape(name: &str) -> Result<Shape, String> {
    match name {
        "one" => Ok(Shape::OneRange),
        "many" => Ok(Shape::ManyRanges),
        "index" => Ok(Shape::SecondaryIndex),
        _ => Err("one of one, many, index".to_owned()),
    }
}

impl Common {
    fn options(&self, name: &str, planted: Option<PlantedFault>) -> Result<RunOptions> {
        let seed = self.seed.unwrap_or_else(|| storage::shell::random_u64() % 1_000_000);
        let out = self.out.clone().unwrap_or_else(|| default_data("jepsen").join(format!("{name}-{seed}")));
        Ok(RunOptions {
            workload: String::new(),
            nemeses: Vec::new(),
            time: Duration::from_secs(self.time),
            think: Duration::from_millis(self.think),
            seed,
            parameters: Parameters {
                isolation: self.isolation,
                shape: self.shape,
                clients: self.clients,
                ..Parameters::default()
            },
            out: std::path::absolute(&out).with_context(|| out.display().to_string())?,
            program: std::env::current_exe().context("where is this program?")?,
            nodes: self.nodes,
            gateways: self.gateways,
            against: Vec::new(),
            planted_fault: planted.map(|fault| fault.to_string()),
        })
    }
}

pub async fn run_one(arguments: RunArgs, planted: Option<PlantedFault>) -> Result<ExitCode> {
    let name = format!("{}-{}", arguments.workload, real::run::names(&arguments.nemesis));
    let mut options = arguments.common.options(&name, planted)?;
    options.workload = arguments.workload;
    options.nemeses = arguments.nemesis;
    options.against = arguments.against;
    real::sweep().await;
    for kind in &options.nemeses {
        if let Some(obstacle) = real::run::obstacle(*kind).await {
            println!("skipped: {kind} cannot be had here: {obstacle}");
            return Ok(ExitCode::SUCCESS);
        }
    }
    if options.against.is_empty()
        && let Some(obstacle) = real::namespaces::obstacle().await
    {
        eprintln!("no network namespaces ({obstacle}): all processes share the loopback interface");
    }
    let lines = RunLines::new(arguments.common.json);
    let outcome = real::run::run(&options, lines.progress()).await?;
    if arguments.common.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print_outcome(&outcome);
    }
    Ok(exit_code([outcome.judgement]))
}

pub async fn run_matrix(arguments: MatrixArgs, planted: Option<PlantedFault>) -> Result<ExitCode> {
    let base = arguments.common.options("matrix", planted)?;
    let pairs = match (arguments.all, arguments.pairs.is_empty()) {
        (true, _) => matrix::all(),
        (false, true) => matrix::quick(),
        (false, false) => arguments.pairs,
    };
    real::sweep().await;
    let bar = MatrixBar::new(&pairs, base.time, arguments.at_once);
    let cells = matrix::run(&pairs, &base, arguments.at_once, bar.progress()).await?;
    bar.clear();
    if arguments.common.json {
        println!("{}", serde_json::to_string_pretty(&json_of(&pairs, &cells))?);
    } else {
        print_matrix(&pairs, &cells);
        println!("\n{}", base.out.join("matrix.html").display());
    }
    if let Some(failed) = cells.iter().find_map(|cell| match cell {
        Cell::Failed(error) => Some(error),
        _ => None,
    }) {
        bail!("{failed}");
    }
    Ok(exit_code(cells.iter().filter_map(|cell| match cell {
        Cell::Ran(outcome) => Some(outcome.judgement),
        _ => None,
    })))
}

pub fn list() -> Result<ExitCode> {
    println!("workloads: {}\n", workload::NAMES.join(", "));
    let rows: Vec<Vec<String>> = Kind::ALL
        .iter()
        .map(|kind| {
            let (name, about) = kind.about();
            vec![name.to_owned(), about.to_owned()]
        })
        .collect();
    table::print(&["nemesis", "what it does"], &rows);
    Ok(ExitCode::SUCCESS)
}

/// The worst of all.
fn exit_code(judgements: impl IntoIterator<Item = Judgement>) -> ExitCode {
    let mut unknown = false;
    for judgement in judgements {
        match judgement {
            Judgement::Violated => return ExitCode::from(VIOLATED),
            Judgement::Unknown => unknown = true,
            Judgement::Valid => {}
        }
    }
    if unknown { ExitCode::from(UNKNOWN) } else { ExitCode::SUCCESS }
}

fn print_outcome(outcome: &Outcome) {
    println!();
    println!("{} under {}, seed {}: {}", outcome.workload, outcome.nemesis, outcome.seed, word(outcome.judgement));
    print!("{}", outcome.verdict);
    println!("  on {}", outcome.database);
    if let Some(recovery) = outcome.recovery {
        println!(
            "  after healing: first success after {}, half the throughput after {}; longest pause {:.1} s",
            seconds(recovery.first_success_ms),
            seconds(recovery.half_throughput_ms),
            recovery.longest_gap_ms as f64 / 1000.0
        );
    }
    for (title, lines) in [("wrong", &outcome.anomalies), ("wrong", &outcome.problems)] {
        lines.iter().take(5).for_each(|line| println!("  {title}: {line}"));
    }
    if !outcome.permitted.is_empty() {
        println!("  {} anomalies that the level permits", outcome.permitted.len());
    }
    println!("  {}", outcome.out.join("report.html").display());
}

fn print_matrix(pairs: &[Pair], cells: &[Cell]) {
    let row = |(pair, cell): (&Pair, &Cell)| {
        let mut row = vec![pair.workload.clone(), real::run::names(&pair.nemeses)];
        match cell {
            Cell::Ran(outcome) => {
                let recovery = outcome.recovery.unwrap_or_default();
                row.extend([
                    word(outcome.judgement).to_owned(),
                    outcome.verdict.committed.to_string(),
                    outcome.verdict.aborted.to_string(),
                    outcome.verdict.unknown.to_string(),
                    outcome.faults.len().to_string(),
                    seconds(recovery.first_success_ms),
                    seconds(recovery.half_throughput_ms),
                    format!("{:.1} s", recovery.longest_gap_ms as f64 / 1000.0),
                ]);
            }
            Cell::Skipped(reason) => row.push(format!("skipped: {reason}")),
            Cell::Failed(error) => row.push(format!("FAILED: {error}")),
        }
        row
    };
    let rows: Vec<Vec<String>> = pairs.iter().zip(cells).map(row).collect();
    let headings = [
        "workload",
        "nemesis",
        "verdict",
        "committed",
        "aborted",
        "unknown",
        "faults",
        "first success",
        "half rate",
        "longest pause",
    ];
    table::print(&headings, &rows);
    for (pair, cell) in pairs.iter().zip(cells) {
        let Cell::Ran(outcome) = cell else { continue };
        let wrong = outcome.anomalies.iter().chain(&outcome.problems);
        wrong.take(3).for_each(|line| println!("{pair}: {line}"));
    }
}

fn json_of(pairs: &[Pair], cells: &[Cell]) -> serde_json::Value {
    let cell = |(pair, cell): (&Pair, &Cell)| match cell {
        Cell::Ran(outcome) => serde_json::json!(outcome),
        Cell::Skipped(reason) => serde_json::json!({ "pair": pair.to_string(), "skipped": reason }),
        Cell::Failed(error) => serde_json::json!({ "pair": pair.to_string(), "failed": error }),
    };
    pairs.iter().zip(cells).map(cell).collect()
}

fn word(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Valid => "valid",
        Judgement::Violated => "VIOLATED",
        Judgement::Unknown => "unknown",
    }
}

fn seconds(millis: Option<u64>) -> String {
    millis.map_or("never".to_owned(), |millis| format!("{:.1} s", millis as f64 / 1000.0))
}
