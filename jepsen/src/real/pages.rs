//! What came of a run or a matrix, for [`crate::report`].

use std::collections::BTreeMap;

use super::{
    matrix::{Cell, Pair},
    nemesis::Kind,
    run::{Judgement, Outcome, RunOptions, names},
};
use crate::{
    history::Outcome as Ending,
    report::{self, CellOutcome, FaultSpan, MatrixReport, Point, RunReport},
};

/// The page of one run; `edn` is its history.
pub fn of_run(outcome: &Outcome, options: &RunOptions, edn: &str) -> RunReport {
    let span = |fault: &super::run::Fault| FaultSpan {
        name: fault.nemesis.clone(),
        from_ns: fault.from_ns,
        to_ns: fault.to_ns,
    };
    let recovered = outcome.recovery.map(|recovery| report::Recovery {
        fault: outcome.nemesis.clone(),
        after_ns: recovery.half_throughput_ms.map(|millis| millis * 1_000_000),
    });
    let mut notes: Vec<String> = outcome.problems.clone();
    notes.extend(outcome.recovery.map(|recovery| {
        format!("The longest time without any success, faults included, was {} ms.", recovery.longest_gap_ms)
    }));
    notes.extend(outcome.faults.iter().map(|fault| format!("{}: {}", fault.nemesis, fault.what)));
    RunReport {
        workload: outcome.workload.clone(),
        database: outcome.database.clone(),
        seed: Some(outcome.seed),
        versions: versions(),
        command: command(options),
        when: format!("{:.0} s under {}", outcome.seconds, outcome.nemesis),
        verdict: outcome.verdict.clone(),
        points: points(edn),
        faults: outcome.faults.iter().map(span).collect(),
        recovery: recovered.into_iter().collect(),
        notes,
    }
}

/// The overview; each cell leads to the page of its run.
pub fn of_matrix(pairs: &[Pair], cells: &[Cell], base: &RunOptions) -> MatrixReport {
    let cell = |(pair, cell): (&Pair, &Cell)| {
        let nemesis = names(&pair.nemeses);
        let (mut seed, mut rate, mut recovery_ns, mut page) = (None, 0.0, None, None);
        let outcome = match cell {
            Cell::Skipped(reason) => CellOutcome::Skipped(reason.clone()),
            Cell::Failed(error) => CellOutcome::Unknown(error.clone()),
            Cell::Ran(outcome) => {
                seed = Some(outcome.seed);
                rate = outcome.verdict.committed as f64 / outcome.seconds.max(1.0);
                let recovered = outcome.recovery.and_then(|recovery| recovery.half_throughput_ms);
                recovery_ns = recovered.map(|millis| millis * 1_000_000);
                page = outcome.out.file_name().map(|name| format!("{}/report.html", name.to_string_lossy()));
                match outcome.judgement {
                    Judgement::Valid => CellOutcome::Valid,
                    Judgement::Unknown => CellOutcome::Unknown("next to nothing was committed".to_owned()),
                    Judgement::Violated => CellOutcome::Violated(what_is_wrong(outcome)),
                }
            }
        };
        report::Cell { workload: pair.workload.clone(), nemesis, seed, outcome, rate, recovery_ns, page }
    };
    MatrixReport {
        title: "Locus under faults".to_owned(),
        when: format!("{} pairs of {} s", pairs.len(), base.time.as_secs()),
        command: format!(
            "locus jepsen matrix --time {} --seed {} --pairs {}",
            base.time.as_secs(),
            base.seed,
            pairs.iter().map(Pair::as_written).collect::<Vec<String>>().join(",")
        ),
        versions: versions(),
        cells: pairs.iter().zip(cells).map(cell).collect(),
    }
}

fn what_is_wrong(outcome: &Outcome) -> String {
    let mut kinds: Vec<String> = outcome.verdict.counts_by_kind().keys().map(|kind| kind.name()).collect();
    kinds.extend(outcome.problems.iter().take(1).cloned());
    kinds.join(", ")
}

fn versions() -> Vec<(String, String)> {
    vec![("locus".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]
}

fn command(options: &RunOptions) -> String {
    let mut words = vec![format!("locus jepsen run --workload {}", options.workload)];
    let faults: Vec<String> = options.nemeses.iter().filter(|kind| **kind != Kind::None).map(Kind::to_string).collect();
    if !faults.is_empty() {
        words.push(format!("--nemesis {}", faults.join(",")));
    }
    words.push(format!("--time {} --seed {}", options.time.as_secs(), options.seed));
    words.push(format!("--isolation {}", options.parameters.isolation.to_string().replace(' ', "-")));
    words.push(format!("--clients {} --think {}", options.parameters.clients, options.think.as_millis()));
    words.join(" ")
}

/// When each operation began and ended, and how, whatever the workload: lines of Jepsen's format.
fn points(edn: &str) -> Vec<Point> {
    let mut open: BTreeMap<&str, u64> = BTreeMap::new();
    let mut points = Vec::new();
    for line in edn.lines() {
        let (Some(kind), Some(process)) = (word(line, ":type "), word(line, ":process ")) else { continue };
        // The last one: a value may hold anything, but the time comes after it.
        let Some(time) = line.rsplit_once(":time ").and_then(|(_, rest)| first(rest).parse().ok()) else { continue };
        let outcome = match kind {
            ":invoke" => {
                open.insert(process, time);
                continue;
            }
            ":ok" => Ending::Committed,
            ":fail" => Ending::Aborted,
            _ => Ending::Unknown,
        };
        let Some(begin_ns) = open.remove(process) else { continue };
        // Of an unknown outcome only the beginning is known.
        let end_ns = if outcome == Ending::Unknown { begin_ns } else { time.max(begin_ns) };
        points.push(Point { begin_ns, end_ns, outcome });
    }
    points.sort_by_key(|point| point.begin_ns);
    points
}

fn word<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name).map(|(_, rest)| first(rest))
}

/// Up to a space, a comma or a brace.
fn first(text: &str) -> &str {
    text.split([' ', ',', '}']).next().unwrap_or_default()
}

#[cfg(test)]
#[path = "pages_test.rs"]
mod tests;
