//! Judging histories of any workload by name, from a file of Jepsen's format.

use std::{collections::BTreeMap, io::BufRead};

use crate::{
    check::{
        self, Anomaly, Level, Verdict, bank, causal_reverse, counter, long_fork, monotonic, predicate, queue,
        reference, register, rw_register, sequential, set, unique,
    },
    history::{self, Body, History, Loaded, NemesisEvent, Outcome, ReadError, Step},
    report::{FaultSpan, Point},
};

/// The workloads whose histories can be judged.
pub const WORKLOADS: [&str; 14] = [
    "list-append",
    "rw-register",
    "register",
    "bank",
    "set",
    "counter",
    "monotonic",
    "sequential",
    "causal-reverse",
    "long-fork",
    "queue",
    "unique",
    "g2",
    "reference",
];

/// What to check, and what to take for granted.
#[derive(Clone, Debug)]
pub struct Options {
    /// One of [`WORKLOADS`].
    pub workload: String,
    pub model: Level,
    /// rw-register: each key by itself is linearizable.
    pub linearizable_keys: bool,
    /// bank: what all accounts hold together; the first read tells when it is `None`.
    pub total: Option<i64>,
    /// queue: everything was taken out at the end.
    pub drained: bool,
}

impl Options {
    pub fn new(workload: &str, model: Level) -> Options {
        Options { workload: workload.to_owned(), model, linearizable_keys: false, total: None, drained: false }
    }
}

/// A judged history, with what a report shows of it.
#[derive(Debug)]
pub struct Checked {
    pub verdict: Verdict,
    pub points: Vec<Point>,
    /// When the first operation began, by the file's clock: zero of `points`.
    pub first_ns: u64,
    pub nemesis: Vec<NemesisEvent>,
    /// Lines of operations that the workload does not know, by `:f`.
    pub ignored: BTreeMap<String, u64>,
    /// Completions without an invocation.
    pub without_invocation: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no workload is called {0}; one of {list}", list = WORKLOADS.join(", "))]
    Workload(String),
}

/// What is going on, for a progress bar.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    Reading { bytes: u64, operations: usize },
    Checking { operations: usize },
    Done,
}

/// Reads a history and judges it.
pub fn check(input: impl BufRead, options: &Options, mut progress: impl FnMut(Progress)) -> Result<Checked, Error> {
    let (input, progress) = (input, &mut progress);
    match options.workload.as_str() {
        "list-append" => one(input, options, progress, check::list_append::check as fn(&History<Vec<Step>>) -> _),
        "rw-register" => one(input, options, progress, |history: &History<Vec<rw_register::Step>>| {
            let assumptions = rw_register::Assumptions { linearizable_keys: options.linearizable_keys };
            rw_register::check(history, assumptions)
        }),
        "register" => one(input, options, progress, register::check),
        "bank" => one(input, options, progress, |history: &History<bank::Step>| bank::check(history, options.total)),
        "set" => one(input, options, progress, set::check),
        "counter" => one(input, options, progress, counter::check),
        "monotonic" => one(input, options, progress, |history: &History<monotonic::Step>| {
            let recency = match options.model {
                level if level.implies(Level::StrongSnapshotIsolation) => monotonic::Recency::RealTime,
                level if level.implies(Level::StrongSessionSnapshotIsolation) => monotonic::Recency::Session,
                _ => monotonic::Recency::Timestamps,
            };
            monotonic::check(history, recency)
        }),
        "sequential" => one(input, options, progress, sequential::check),
        "causal-reverse" => one(input, options, progress, causal_reverse::check),
        "long-fork" => one(input, options, progress, long_fork::check),
        "queue" => {
            one(input, options, progress, |history: &History<queue::Step>| queue::check(history, options.drained))
        }
        "unique" => one(input, options, progress, unique::check),
        "g2" => one(input, options, progress, predicate::check),
        "reference" => one(input, options, progress, reference::check),
        other => Err(Error::Workload(other.to_owned())),
    }
}

fn one<T: Body>(
    input: impl BufRead,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
    check: impl FnOnce(&History<T>) -> Vec<Anomaly>,
) -> Result<Checked, Error> {
    let loaded: Loaded<T> =
        history::read(input, |bytes, operations| progress(Progress::Reading { bytes, operations }))?;
    progress(Progress::Checking { operations: loaded.history.operations.len() });
    let anomalies = check(&loaded.history);
    progress(Progress::Done);
    let verdict = Verdict::new(options.model, loaded.history.counts(), anomalies);
    let points = points(&loaded.history);
    let first_ns = first_ns(&loaded.history);
    let Loaded { nemesis, ignored, without_invocation, .. } = loaded;
    Ok(Checked { verdict, points, first_ns, nemesis, ignored, without_invocation })
}

/// Operations in time, from the first beginning on. Those of unknown outcome have no end and are shown where they began.
pub fn points<T>(history: &History<T>) -> Vec<Point> {
    let first = first_ns(history);
    let point = |operation: &history::Operation<T>| {
        let end = if operation.outcome == Outcome::Unknown { operation.begin } else { operation.end };
        Point { begin_ns: operation.begin - first, end_ns: end.saturating_sub(first), outcome: operation.outcome }
    };
    history.operations.iter().map(point).collect()
}

fn first_ns<T>(history: &History<T>) -> u64 {
    history.operations.iter().map(|operation| operation.begin).min().unwrap_or(0)
}

/// The times between a `:start…` and the next `:stop…` of a nemesis, as Jepsen's own nemeses write them; what does not stop lasts
/// until the end.
pub fn fault_spans(nemesis: &[NemesisEvent], first_ns: u64, points: &[Point]) -> Vec<FaultSpan> {
    let last = points.iter().map(|point| point.end_ns).max().unwrap_or(0);
    let mut spans: Vec<FaultSpan> = Vec::new();
    let mut open: BTreeMap<String, (String, u64)> = BTreeMap::new();
    let mut close = |key: &str, open: &mut BTreeMap<String, (String, u64)>, to_ns: u64| {
        if let Some((name, from_ns)) = open.remove(key) {
            spans.push(FaultSpan { name, from_ns, to_ns });
        }
    };
    for event in nemesis {
        let at = event.time.saturating_sub(first_ns);
        let f = event.text.split_whitespace().next().unwrap_or_default();
        if let Some(kind) = f.strip_prefix("start") {
            let name = if kind.is_empty() { event.text.clone() } else { kind.trim_start_matches('-').to_owned() };
            open.entry(kind.to_owned()).or_insert((name, at));
        } else if let Some(kind) = f.strip_prefix("stop") {
            close(kind, &mut open, at);
        }
    }
    for key in open.keys().cloned().collect::<Vec<_>>() {
        close(&key, &mut open, last);
    }
    spans
}
