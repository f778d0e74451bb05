//! Runs simulation seeds: `cargo xtask sim --seeds 1000`. A failing seed is printed with the command that replays it.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use jepsen::{
    nemesis::Fault,
    sim::{NAMES, Planted, Report, RunOptions, run},
    workload::{Isolation, Shape},
};

/// Deterministic simulation of a whole cluster under faults
#[derive(Parser)]
struct Arguments {
    /// How many seeds to run
    #[arg(long, env = "LOCUS_SIM_SEEDS", default_value_t = 100)]
    seeds: u64,
    /// The first seed; with `--seeds 1 --trace` this replays one run
    #[arg(long, env = "LOCUS_SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// One of the workloads (`--workload help` lists them); all in turn when not given
    #[arg(long, env = "LOCUS_SIM_WORKLOAD", value_parser = known_workload)]
    workload: Option<String>,
    /// Simulated seconds of load and faults in each run
    #[arg(long, env = "LOCUS_SIM_SECONDS", default_value_t = 12)]
    seconds: u64,
    /// Threads; each runs its own seeds
    #[arg(long, env = "LOCUS_SIM_THREADS", default_value_t = 2)]
    threads: u64,
    /// Run every hundredth seed twice and compare the traces
    #[arg(long, env = "LOCUS_SIM_TWICE", default_value_t = 100)]
    twice_every: u64,
    /// read-committed, repeatable-read or serializable; drawn from the seed when not given
    #[arg(long, env = "LOCUS_SIM_ISOLATION")]
    isolation: Option<Isolation>,
    /// one-range, many-ranges or secondary-index; drawn from the seed when not given
    #[arg(long, env = "LOCUS_SIM_SHAPE")]
    shape: Option<Shape>,
    /// Write the history of every failing run to a file in this directory
    #[arg(long, env = "LOCUS_SIM_HISTORIES")]
    histories: Option<std::path::PathBuf>,
    /// Print the trace of every run
    #[arg(long, env = "LOCUS_SIM_TRACE")]
    trace: bool,
    /// Only these kinds of faults, by name (CrashAll,SlowDisk); each seed draws its own when not given
    #[arg(long, env = "LOCUS_SIM_FAULTS", value_delimiter = ',', value_parser = fault)]
    faults: Vec<Fault>,
    /// Plant a bug, by name (`--plant help` lists them)
    #[arg(long, env = "LOCUS_SIM_PLANT", value_parser = planted)]
    plant: Option<Planted>,
}

fn known_workload(name: &str) -> Result<String, String> {
    if NAMES.contains(&name) { Ok(name.to_owned()) } else { Err(format!("one of {}", NAMES.join(", "))) }
}

fn planted(name: &str) -> Result<Planted, String> {
    let names = Planted::ALL.map(|planted| (planted.name(), planted));
    let found = names.iter().find(|(known, _)| *known == name);
    found.map(|(_, planted)| *planted).ok_or_else(|| format!("one of {}", names.map(|(known, _)| known).join(", ")))
}

fn fault(name: &str) -> Result<Fault, String> {
    let known = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
    known.ok_or_else(|| format!("one of {:?}", Fault::ALL))
}

#[derive(Default)]
struct Totals {
    runs: u64,
    green: u64,
    events: u64,
    simulated: Duration,
    operations: [usize; 3],
    faults: BTreeMap<Fault, u64>,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let arguments = Arguments::parse();
    let begin = now();
    let (next, totals) = (AtomicU64::new(arguments.seed), Mutex::new(Totals::default()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.seed + arguments.seeds {
                        return;
                    }
                    one_seed(&arguments, seed, &totals);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    summary(&totals, now() - begin);
    if totals.green == totals.runs { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one_seed(arguments: &Arguments, seed: u64, totals: &Mutex<Totals>) {
    let name = arguments.workload.as_deref().unwrap_or(NAMES[(seed % NAMES.len() as u64) as usize]);
    let mut options = RunOptions::new(seed, name);
    options.length = Duration::from_secs(arguments.seconds);
    options.planted = arguments.plant;
    options.faults = (!arguments.faults.is_empty()).then(|| arguments.faults.clone());
    options.isolation = arguments.isolation;
    options.shape = arguments.shape;
    options.keep_trace = arguments.trace;
    let mut report = run(&options);
    if arguments.twice_every > 0 && seed.is_multiple_of(arguments.twice_every) {
        let again = run(&options);
        if again.trace_hash != report.trace_hash {
            report.failures.push("two runs of this seed gave different traces".into());
        }
    }
    if arguments.trace {
        report.trace.iter().for_each(|line| println!("{line}"));
    }
    if !report.is_green() {
        println!(
            "seed {seed} {name}: FAILED   replay: cargo xtask sim --seed {seed} --seeds 1 --workload {name} --trace"
        );
        println!("  {}, {}", report.parameters.isolation, report.parameters.shape);
        report.failures.iter().for_each(|failure| println!("  {failure}"));
        keep_history(arguments, &report);
    }
    add(&mut totals.lock().unwrap_or_else(std::sync::PoisonError::into_inner), &report);
}

fn keep_history(arguments: &Arguments, report: &Report) {
    let Some(directory) = &arguments.histories else { return };
    let path = directory.join(format!("{}-{}.edn", report.workload, report.seed));
    match std::fs::write(&path, &report.history) {
        Ok(()) => println!("  history: {}", path.display()),
        Err(error) => println!("  the history could not be written to {}: {error}", path.display()),
    }
}

fn add(totals: &mut Totals, report: &Report) {
    totals.runs += 1;
    totals.green += u64::from(report.is_green());
    totals.events += report.events;
    totals.simulated += report.simulated;
    let operations = report.operations;
    for (total, count) in
        totals.operations.iter_mut().zip([operations.committed, operations.aborted, operations.unknown])
    {
        *total += count;
    }
    for (fault, count) in &report.faults {
        *totals.faults.entry(*fault).or_default() += count;
    }
    if totals.runs.is_multiple_of(25) {
        eprintln!("{} runs, {} green", totals.runs, totals.green);
    }
}

fn summary(totals: &Totals, real: Duration) {
    let seconds = real.as_secs_f64().max(0.001);
    println!(
        "{} seeds, {} green, {} failed in {seconds:.1} s: {:.2} seeds/s; {:.0} s simulated ({:.1} times real time); {} events",
        totals.runs,
        totals.green,
        totals.runs - totals.green,
        totals.runs as f64 / seconds,
        totals.simulated.as_secs_f64(),
        totals.simulated.as_secs_f64() / seconds,
        totals.events,
    );
    let [committed, aborted, unknown] = totals.operations;
    println!("operations: {committed} committed, {aborted} aborted, {unknown} unknown");
    let faults: Vec<String> = totals.faults.iter().map(|(fault, count)| format!("{fault:?} {count}")).collect();
    println!("faults: {}", faults.join(", "));
}

/// Real time, for the rate only.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
