//! A cycle for people: its operations, and why each comes before the next.

use std::fmt::Write;

use super::{
    Anomaly, Hop,
    cycles::Found,
    graph::{Arc, Edge},
};
use crate::history::{Body, History, Operation};

/// `because` gives the key (empty for none) and the reason of an edge of data, for operations called T1, T2, ….
pub fn anomaly<T: Body>(
    history: &History<T>,
    found: &Found,
    mut because: impl FnMut(&Operation<T>, &Operation<T>, Arc, [&str; 2]) -> (String, String),
) -> Anomaly {
    let length = found.cycle.len();
    // T1 is the first in time.
    let begin = |at: &usize| history.operations[found.cycle[*at].0 as usize].begin;
    let first = (0..length).min_by_key(begin).unwrap_or(0);
    let cycle: Vec<(u32, Arc)> = (0..length).map(|at| found.cycle[(first + at) % length]).collect();
    let names: Vec<String> = (1..=length).map(|number| format!("T{number}")).collect();
    let hops: Vec<Hop> = (0..length)
        .map(|at| {
            let ((from, arc), next) = (cycle[at], (at + 1) % length);
            let from = &history.operations[from as usize];
            let to = &history.operations[cycle[next].0 as usize];
            let pair = [names[at].as_str(), names[next].as_str()];
            let (key, reason) = if arc.is_of_time() {
                (String::new(), of_time(from, to, arc, pair))
            } else {
                because(from, to, arc, pair)
            };
            hop(history, from, arc, key, reason)
        })
        .collect();
    let mut text = format!("{} operations depend on each other in a circle", hops.len());
    for (hop, name) in hops.iter().zip(&names) {
        let end = hop.end_ns.map_or_else(|| "?".to_owned(), seconds);
        let (index, process, begin) = (hop.operation, hop.process, seconds(hop.begin_ns));
        let _ =
            write!(text, "\n  {name} = operation {index} (process {process}, {begin} … {end}): {}", short(&hop.steps));
    }
    for (at, hop) in hops.iter().enumerate() {
        let (from, to) = (&names[at], &names[(at + 1) % length]);
        let _ = write!(text, "\n  {from} before {to} ({}), because {}", hop.edge.name(), hop.because);
    }
    Anomaly { cycle: hops, more: found.more, ..Anomaly::new(found.kind, text) }
}

fn hop<T: Body>(history: &History<T>, operation: &Operation<T>, arc: Arc, key: String, because: String) -> Hop {
    let mut steps = String::new();
    operation.body.encode(true, &history.names, &mut steps);
    Hop {
        operation: operation.index,
        process: operation.process,
        steps,
        begin_ns: operation.begin,
        end_ns: (operation.end != u64::MAX).then_some(operation.end),
        edge: arc.edge(),
        key,
        because,
    }
}

fn of_time<T>(from: &Operation<T>, to: &Operation<T>, arc: Arc, [one, other]: [&str; 2]) -> String {
    if arc.edge() == Edge::Process {
        return format!("process {} did {one} before {other}", from.process);
    }
    let gap = to.begin.saturating_sub(from.end);
    let gap = match gap {
        0..10_000 => format!("{gap} ns"),
        10_000..10_000_000 => format!("{:.1} µs", gap as f64 / 1e3),
        _ => format!("{:.1} ms", gap as f64 / 1e6),
    };
    format!("{one} had ended {gap} before {other} began")
}

fn seconds(ns: u64) -> String {
    // Hand-made histories count from 0.
    if ns < 1_000_000 { format!("{ns} ns") } else { format!("{:.6} s", ns as f64 / 1e9) }
}

/// Long lists make long lines.
fn short(steps: &str) -> String {
    const LENGTH_MAX: usize = 240;
    let mut text: String = steps.chars().take(LENGTH_MAX).collect();
    if text.len() < steps.len() {
        text.push_str(" …");
    }
    text
}
