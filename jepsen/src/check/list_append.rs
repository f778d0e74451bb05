//! Lists with unique appended values: every read shows the whole order of the writes before it, so the dependency graph
//! can be recovered exactly (Kingsbury and Alvaro, "Elle", VLDB 2020).

use std::collections::BTreeMap;

use super::{
    Anomaly, Kind,
    graph::{Cycle, Edge, Graph},
};
use crate::history::{History, Operation, Outcome, Step};

type Txn = Operation<Vec<Step>>;

/// Checks a history for everything that strict serializability forbids. `final_reads` are the lists as read after
/// everything has ended (an acknowledged append that is missing there was lost).
pub fn check(history: &History<Vec<Step>>, final_reads: &BTreeMap<u64, Vec<u64>>) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let operations = &history.operations;
    let writers = writers(operations, &mut anomalies);
    let orders = orders(operations, final_reads, &mut anomalies);
    for operation in operations.iter().filter(|operation| operation.outcome == Outcome::Committed) {
        internal(operation, &mut anomalies);
        dirty_reads(operation, operations, &writers, &mut anomalies);
    }
    lost_writes(operations, final_reads, &mut anomalies);
    if anomalies.iter().all(|anomaly| anomaly.kind != Kind::IncompatibleOrder && anomaly.kind != Kind::Duplicate) {
        cycles(operations, &writers, &orders, &mut anomalies);
    }
    anomalies
}

/// Who appended a value, and whether it was its last append to that key.
type Writers = BTreeMap<(u64, u64), (usize, bool)>;

fn writers(operations: &[Txn], anomalies: &mut Vec<Anomaly>) -> Writers {
    let mut writers = Writers::new();
    for operation in operations {
        let mut last = BTreeMap::new();
        for step in &operation.body {
            if let Step::Append { key, value } = step {
                last.insert(*key, *value);
            }
        }
        for step in &operation.body {
            if let Step::Append { key, value } = step
                && writers.insert((*key, *value), (operation.index, last[key] == *value)).is_some()
            {
                anomalies.push(Anomaly {
                    kind: Kind::Duplicate,
                    explanation: format!("the workload appended {value} to {key} twice"),
                });
            }
        }
    }
    writers
}

/// The order of appends to each key: the longest read, of which every other read must be a prefix.
fn orders(
    operations: &[Txn],
    final_reads: &BTreeMap<u64, Vec<u64>>,
    anomalies: &mut Vec<Anomaly>,
) -> BTreeMap<u64, Vec<u64>> {
    let mut orders: BTreeMap<u64, Vec<u64>> = final_reads.clone();
    let reads = || {
        operations.iter().filter(|operation| operation.outcome == Outcome::Committed).flat_map(|operation| {
            operation.body.iter().filter_map(move |step| match step {
                Step::Read { key, seen: Some(seen) } => Some((operation.index, *key, own_cut(operation, *key, seen))),
                _ => None,
            })
        })
    };
    for (_, key, seen) in reads() {
        let longest = orders.entry(key).or_default();
        if seen.len() > longest.len() {
            *longest = seen.to_vec();
        }
    }
    for (index, key, seen) in reads() {
        if !orders[&key].starts_with(seen) {
            anomalies.push(Anomaly {
                kind: Kind::IncompatibleOrder,
                explanation: format!(
                    "operation {index} read {key} as {seen:?}, which is no prefix of {:?}",
                    orders[&key]
                ),
            });
        }
    }
    for (key, order) in &orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            anomalies.push(Anomaly {
                kind: Kind::Duplicate,
                explanation: format!("value {} is in list {key} more than once: {order:?}", pair[0]),
            });
        }
    }
    orders
}

/// A read without the operation's own appends at its end, which nobody else may have seen yet.
fn own_cut<'a>(operation: &Txn, key: u64, seen: &'a [u64]) -> &'a [u64] {
    let own = |value: &u64| operation.body.contains(&Step::Append { key, value: *value });
    let cut = seen.iter().rposition(|value| !own(value)).map_or(0, |position| position + 1);
    &seen[..cut]
}

/// Within one transaction: reads agree with each other and with its own appends.
fn internal(operation: &Txn, anomalies: &mut Vec<Anomaly>) {
    let mut known: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut appended: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for step in &operation.body {
        match step {
            Step::Append { key, value } => {
                appended.entry(*key).or_default().push(*value);
                if let Some(list) = known.get_mut(key) {
                    list.push(*value);
                }
            }
            Step::Read { key, seen: Some(seen) } => {
                let own = appended.get(key).map(Vec::as_slice).unwrap_or_default();
                if !seen.ends_with(own) || known.get(key).is_some_and(|list| list != seen) {
                    anomalies.push(Anomaly {
                        kind: Kind::Internal,
                        explanation: format!(
                            "operation {} read {key} as {seen:?} after its own steps",
                            operation.index
                        ),
                    });
                }
                known.insert(*key, seen.clone());
            }
            Step::Read { seen: None, .. } => {}
        }
    }
}

/// Reads of aborted or intermediate values.
fn dirty_reads(operation: &Txn, operations: &[Txn], writers: &Writers, anomalies: &mut Vec<Anomaly>) {
    for step in &operation.body {
        let Step::Read { key, seen: Some(seen) } = step else { continue };
        for (position, value) in seen.iter().enumerate() {
            let Some((writer, is_last)) = writers.get(&(*key, *value)) else {
                anomalies.push(Anomaly {
                    kind: Kind::G1a,
                    explanation: format!("operation {} read {value} in {key}, which nobody wrote", operation.index),
                });
                continue;
            };
            if operations[*writer].outcome == Outcome::Aborted {
                anomalies.push(Anomaly {
                    kind: Kind::G1a,
                    explanation: format!(
                        "operation {} read {value} in {key}, written by the aborted operation {writer}",
                        operation.index
                    ),
                });
            }
            if position + 1 == seen.len() && !is_last && *writer != operation.index {
                anomalies.push(Anomaly {
                    kind: Kind::G1b,
                    explanation: format!(
                        "operation {} read {key} up to {value}, an intermediate state of operation {writer}",
                        operation.index
                    ),
                });
            }
        }
    }
}

fn lost_writes(operations: &[Txn], final_reads: &BTreeMap<u64, Vec<u64>>, anomalies: &mut Vec<Anomaly>) {
    for operation in operations.iter().filter(|operation| operation.outcome == Outcome::Committed) {
        for step in &operation.body {
            if let Step::Append { key, value } = step
                && let Some(list) = final_reads.get(key)
                && !list.contains(value)
            {
                anomalies.push(Anomaly {
                    kind: Kind::LostWrite,
                    explanation: format!(
                        "operation {} was told that {value} is in {key}, but at the end it is not",
                        operation.index
                    ),
                });
            }
        }
    }
}

fn cycles(operations: &[Txn], writers: &Writers, orders: &BTreeMap<u64, Vec<u64>>, anomalies: &mut Vec<Anomaly>) {
    let graph = graph(operations, writers, orders);
    let levels: [(Kind, fn(Edge) -> bool); 4] = [
        (Kind::G0, |edge| edge == Edge::WriteWrite),
        (Kind::G1c, |edge| matches!(edge, Edge::WriteWrite | Edge::WriteRead)),
        (Kind::G2, |edge| edge != Edge::RealTime),
        (Kind::RealTime, |_| true),
    ];
    for (kind, allow) in levels {
        for cycle in graph.cycles(allow) {
            let anti = cycle.iter().filter(|(_, edge)| *edge == Edge::ReadWrite).count();
            let kind = if kind == Kind::G2 && anti == 1 { Kind::GSingle } else { kind };
            anomalies.push(Anomaly { kind, explanation: explain(&cycle, operations) });
        }
        if anomalies.iter().any(|anomaly| anomaly.kind >= Kind::G0 && anomaly.kind <= Kind::RealTime) {
            return;
        }
    }
}

fn graph(operations: &[Txn], writers: &Writers, orders: &BTreeMap<u64, Vec<u64>>) -> Graph {
    let mut graph = Graph::new(operations.len());
    for (key, order) in orders {
        for pair in order.windows(2) {
            if let (Some((a, _)), Some((b, _))) = (writers.get(&(*key, pair[0])), writers.get(&(*key, pair[1]))) {
                graph.add(*a, *b, Edge::WriteWrite);
            }
        }
    }
    for operation in operations.iter().filter(|operation| operation.outcome == Outcome::Committed) {
        for step in &operation.body {
            let Step::Read { key, seen: Some(seen) } = step else { continue };
            let others = own_cut(operation, *key, seen);
            if let Some(writer) = others.last().and_then(|value| writers.get(&(*key, *value))) {
                graph.add(writer.0, operation.index, Edge::WriteRead);
            }
            if let Some(next) = orders[key].get(others.len()).and_then(|value| writers.get(&(*key, *value))) {
                graph.add(operation.index, next.0, Edge::ReadWrite);
            }
        }
    }
    // An operation of unknown outcome counts only through the values that others saw; it has no end.
    let intervals: Vec<_> = operations
        .iter()
        .filter(|operation| operation.outcome != Outcome::Aborted)
        .map(|operation| (operation.index, operation.begin, operation.end))
        .collect();
    graph.real_time(&intervals);
    graph
}

fn explain(cycle: &Cycle, operations: &[Txn]) -> String {
    let mut text = String::new();
    for (index, edge) in cycle {
        let operation = &operations[*index];
        let steps: Vec<String> = operation.body.iter().map(Step::to_string).collect();
        let end = if operation.end == u64::MAX { "?".to_owned() } else { operation.end.to_string() };
        text.push_str(&format!(
            "\n  operation {index} (process {}, {}..{end}): [{}]\n    --{edge:?}-->",
            operation.process,
            operation.begin,
            steps.join(" ")
        ));
    }
    text.push_str(" the first");
    text
}

#[cfg(test)]
#[path = "list_append_test.rs"]
mod tests;
