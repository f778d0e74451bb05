//! `locus jepsen check FILE`.

use std::{
    fs::{self, File},
    io::{BufReader, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result};
use clap::Args;
use jepsen::{
    check::{Decision, Level},
    check_file::{self, Checked, Options, Progress, WORKLOADS},
    report::{self, RunReport},
};

#[derive(Args)]
pub struct CheckArgs {
    /// The history: one map a line, or one vector of maps; `-` is standard input
    file: PathBuf,
    /// The isolation level that was promised
    #[arg(long, env = "LOCUS_JEPSEN_MODEL", default_value = "strict-serializable", value_name = "LEVEL")]
    model: Level,
    /// What the operations mean
    #[arg(long, env = "LOCUS_JEPSEN_WORKLOAD", default_value = "list-append",
          value_parser = clap::builder::PossibleValuesParser::new(WORKLOADS))]
    workload: String,
    /// rw-register: take for granted that each key by itself is linearizable
    #[arg(long, env = "LOCUS_JEPSEN_LINEARIZABLE_KEYS")]
    linearizable_keys: bool,
    /// bank: what all accounts hold together; the first read tells when it is not given
    #[arg(long, env = "LOCUS_JEPSEN_TOTAL", value_name = "SUM")]
    total: Option<i64>,
    /// queue: everything was taken out at the end
    #[arg(long, env = "LOCUS_JEPSEN_DRAINED")]
    drained: bool,
    /// Print the verdict as JSON
    #[arg(long, env = "LOCUS_JEPSEN_JSON")]
    json: bool,
    /// Draw each cycle into a file of this directory
    #[arg(long, env = "LOCUS_JEPSEN_SVG", value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Write a page with everything
    #[arg(long, env = "LOCUS_JEPSEN_REPORT", value_name = "FILE.html")]
    report: Option<PathBuf>,
}

const UNREADABLE: u8 = 2;
const GAVE_UP: u8 = 3;

/// Never an error: what goes wrong is an exit code of its own.
pub fn run(arguments: &CheckArgs) -> ExitCode {
    match check(arguments) {
        Ok(Decision::Valid) => ExitCode::SUCCESS,
        Ok(Decision::Violated) => ExitCode::FAILURE,
        Ok(Decision::Unknown) => ExitCode::from(GAVE_UP),
        Err(error) => {
            eprintln!("locus: {error:#}");
            ExitCode::from(UNREADABLE)
        }
    }
}

fn check(arguments: &CheckArgs) -> Result<Decision> {
    let options = Options {
        workload: arguments.workload.clone(),
        model: arguments.model,
        linearizable_keys: arguments.linearizable_keys,
        total: arguments.total,
        drained: arguments.drained,
    };
    let begin = now();
    let (input, size) = open(&arguments.file)?;
    let mut bar = Bar { size, is_shown: std::io::stderr().is_terminal(), begin };
    let checked = check_file::check(BufReader::with_capacity(1 << 20, input), &options, |progress| bar.show(progress));
    bar.clear();
    let checked = checked.with_context(|| format!("{}", arguments.file.display()))?;
    let seconds = begin.elapsed().as_secs_f64();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&checked.verdict)?);
    } else {
        print(&checked, seconds);
    }
    if let Some(directory) = &arguments.svg {
        draw(directory, &checked)?;
    }
    if let Some(page) = &arguments.report {
        fs::write(page, report::page(&run_report(arguments, &checked)))
            .with_context(|| format!("cannot write {}", page.display()))?;
    }
    Ok(checked.verdict.decision)
}

fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = file.metadata().map(|metadata| metadata.len()).ok();
    Ok((Box::new(file), size))
}

fn print(checked: &Checked, seconds: f64) {
    let verdict = &checked.verdict;
    print!("{verdict}");
    for anomaly in &verdict.anomalies {
        println!("\n{anomaly}");
    }
    if !checked.ignored.is_empty() {
        let ignored: Vec<String> = checked.ignored.iter().map(|(f, count)| format!(":{f} {count}")).collect();
        println!("  ignored lines that are not of this workload: {}", ignored.join(", "));
    }
    if checked.without_invocation > 0 {
        let count = checked.without_invocation;
        println!("  {count} completions without an invocation: they may have begun at any time before");
    }
    let operations = checked.points.len();
    print!("  {operations} operations in {seconds:.2} s: {:.0} operations/s", operations as f64 / seconds.max(1e-9));
    if let Some(busy) = processor_seconds() {
        print!(", {busy:.2} s of processor time");
    }
    match peak_memory_bytes() {
        Some(bytes) => println!(", at most {:.0} MiB of memory", bytes as f64 / f64::from(1 << 20)),
        None => println!(),
    }
}

fn draw(directory: &Path, checked: &Checked) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let cycles = checked.verdict.anomalies.iter().filter(|anomaly| !anomaly.cycle.is_empty());
    for (number, anomaly) in cycles.enumerate() {
        let path = directory.join(format!("{:02}-{}.svg", number + 1, anomaly.kind));
        fs::write(&path, report::drawing::file(anomaly)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn run_report(arguments: &CheckArgs, checked: &Checked) -> RunReport {
    RunReport {
        workload: arguments.workload.clone(),
        database: format!("history {}", arguments.file.display()),
        seed: None,
        versions: vec![("locus".into(), env!("CARGO_PKG_VERSION").into())],
        command: std::env::args().collect::<Vec<_>>().join(" "),
        when: String::new(),
        verdict: checked.verdict.clone(),
        points: checked.points.clone(),
        faults: check_file::fault_spans(&checked.nemesis, checked.first_ns, &checked.points),
        recovery: Vec::new(),
        notes: Vec::new(),
    }
}

/// Progress on the terminal, in one line.
struct Bar {
    size: Option<u64>,
    is_shown: bool,
    begin: Instant,
}

impl Bar {
    fn show(&mut self, progress: Progress) {
        // Short files are done before anybody could read it.
        if !self.is_shown || self.begin.elapsed().as_millis() < 500 {
            return;
        }
        let text = match (progress, self.size) {
            (Progress::Reading { bytes, operations }, Some(size)) if size > 0 => {
                format!("reading: {:.0} %, {operations} operations", 100.0 * bytes as f64 / size as f64)
            }
            (Progress::Reading { operations, .. }, _) => format!("reading: {operations} operations"),
            (Progress::Checking { operations }, _) => format!("checking {operations} operations"),
            (Progress::Done, _) => String::new(),
        };
        eprint!("\r\x1b[K{text}");
        let _ = std::io::stderr().flush();
    }

    fn clear(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// The most memory that this process has had at a time, as Linux tells it.
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// How long this thread, which does all the work, has been on a processor: what counts on a busy machine.
fn processor_seconds() -> Option<f64> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = statistics.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// Real time, for the rate only.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
