//! Is the cluster consistent? Judges what clients saw of lists to which each transaction appends and which it reads: the
//! list-append workload of Kingsbury and Alvaro's Elle (VLDB 2020), reduced to what a page can run.
//!
//! A list tells the order of its own writes, so the dependencies between transactions follow from what was read:
//!
//! | edge | from | to |
//! |---|---|---|
//! | ww | the one that appended an element | the one that appended the next |
//! | wr | the one that appended the last element of a read | the reader |
//! | rw | the reader | the one that appended the element after its read |
//! | rt | one that was finished | one that began afterwards |
//!
//! A circle means that no order of the transactions explains what was seen (with `rt` edges: none that agrees with the clock
//! on the wall, which strict serializability promises).

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Append { key: u32, value: u32 },
    Read { key: u32, list: Vec<u32> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// The server said that it did not happen.
    Aborted,
    /// The answer to COMMIT was lost.
    Unknown,
}

/// One transaction as its client saw it. Values are never appended twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    pub client: u32,
    pub operations: Vec<Operation>,
    pub outcome: Outcome,
    /// Milliseconds on the one clock that all clients share.
    pub began: f64,
    pub ended: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A read saw what an aborted transaction had appended (G1a).
    AbortedRead { key: u32, value: u32 },
    /// A read saw something that nobody appended, or twice.
    Corrupt { key: u32, value: u32 },
    /// Two reads of one list disagree on its order.
    Disagreement { key: u32 },
    /// What was acknowledged is missing from a later read.
    LostAppend { key: u32, value: u32 },
    /// A transaction did not see its own append.
    Forgotten { key: u32, value: u32 },
    /// The transactions, as positions in the history, each before the next by the named edge, the last before the first.
    Circle(Vec<(usize, Edge)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    WriteWrite,
    WriteRead,
    ReadWrite,
    RealTime,
}

impl Edge {
    pub fn word(self) -> &'static str {
        match self {
            Edge::WriteWrite => "ww",
            Edge::WriteRead => "wr",
            Edge::ReadWrite => "rw",
            Edge::RealTime => "rt",
        }
    }
}

impl Anomaly {
    pub fn name(&self) -> &'static str {
        match self {
            Anomaly::AbortedRead { .. } => "G1a: aborted read",
            Anomaly::Corrupt { .. } => "value from nowhere",
            Anomaly::Disagreement { .. } => "reads disagree on the order of a list",
            Anomaly::LostAppend { .. } => "lost append",
            Anomaly::Forgotten { .. } => "own append not seen",
            Anomaly::Circle(edges) if edges.iter().any(|(_, edge)| *edge == Edge::RealTime) => {
                "circle against real time"
            }
            Anomaly::Circle(edges) => match edges.iter().filter(|(_, edge)| *edge == Edge::ReadWrite).count() {
                0 if edges.iter().all(|(_, edge)| *edge == Edge::WriteWrite) => "G0: write circle",
                0 => "G1c: circular information flow",
                1 => "G-single: read skew",
                _ => "G2: anti-dependency circle",
            },
        }
    }
}

/// What there is to say about a history; empty when it is strictly serializable as far as these reads show.
pub fn anomalies(history: &[Transaction]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let writers = writers(history);
    let mut lists: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for transaction in history.iter().filter(|transaction| transaction.outcome == Outcome::Committed) {
        own_appends(transaction, &mut found);
        for operation in &transaction.operations {
            if let Operation::Read { key, list } = operation {
                read(*key, list, history, &writers, &mut lists, &mut found);
            }
        }
    }
    lost_appends(history, &lists, &mut found);
    let graph = Graph::new(history, &writers, &lists);
    found.extend(graph.circle());
    found
}

/// Who appended a value to a list.
type Writers = BTreeMap<(u32, u32), usize>;

fn writers(history: &[Transaction]) -> Writers {
    let mut writers = Writers::new();
    for (position, transaction) in history.iter().enumerate() {
        for operation in &transaction.operations {
            if let Operation::Append { key, value } = operation {
                writers.insert((*key, *value), position);
            }
        }
    }
    writers
}

/// A read of a committed transaction: every element has a writer that was not aborted, and the order is that of other reads.
fn read(
    key: u32,
    list: &[u32],
    history: &[Transaction],
    writers: &Writers,
    lists: &mut BTreeMap<u32, Vec<u32>>,
    found: &mut Vec<Anomaly>,
) {
    let mut seen = BTreeSet::new();
    for value in list {
        match writers.get(&(key, *value)) {
            Some(writer) if history[*writer].outcome == Outcome::Aborted => {
                found.push(Anomaly::AbortedRead { key, value: *value });
            }
            Some(_) if seen.insert(*value) => {}
            _ => found.push(Anomaly::Corrupt { key, value: *value }),
        }
    }
    let longest = lists.entry(key).or_default();
    let common = longest.len().min(list.len());
    if longest[..common] != list[..common] {
        found.push(Anomaly::Disagreement { key });
    } else if list.len() > longest.len() {
        *longest = list.to_vec();
    }
}

/// A transaction's reads end with what it appended to that list before.
fn own_appends(transaction: &Transaction, found: &mut Vec<Anomaly>) {
    let mut own: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for operation in &transaction.operations {
        match operation {
            Operation::Append { key, value } => own.entry(*key).or_default().push(*value),
            Operation::Read { key, list } => {
                let appended = own.get(key).map_or(&[][..], Vec::as_slice);
                if let (false, Some(value)) = (list.ends_with(appended), appended.last()) {
                    found.push(Anomaly::Forgotten { key: *key, value: *value });
                }
            }
        }
    }
}

/// An append that was acknowledged before a read began must be in it.
fn lost_appends(history: &[Transaction], lists: &BTreeMap<u32, Vec<u32>>, found: &mut Vec<Anomaly>) {
    // Only the last read of each list is looked at; the others are bound to it by the order of the list.
    let mut last: BTreeMap<u32, (f64, &[u32])> = BTreeMap::new();
    for transaction in history.iter().filter(|transaction| transaction.outcome == Outcome::Committed) {
        for operation in &transaction.operations {
            if let Operation::Read { key, list } = operation {
                let newest = last.entry(*key).or_insert((transaction.began, list));
                if transaction.began >= newest.0 {
                    *newest = (transaction.began, list);
                }
            }
        }
    }
    for transaction in history.iter().filter(|transaction| transaction.outcome == Outcome::Committed) {
        for operation in &transaction.operations {
            let Operation::Append { key, value } = operation else { continue };
            let Some((began, list)) = last.get(key) else { continue };
            let known = lists.get(key).is_some_and(|list| list.contains(value));
            if transaction.ended < *began && !list.contains(value) && !known {
                found.push(Anomaly::LostAppend { key: *key, value: *value });
            }
        }
    }
}

/// Which transaction must come before which.
struct Graph {
    edges: Vec<BTreeMap<usize, Edge>>,
}

impl Graph {
    fn new(history: &[Transaction], writers: &Writers, lists: &BTreeMap<u32, Vec<u32>>) -> Graph {
        let mut graph = Graph { edges: vec![BTreeMap::new(); history.len()] };
        let writer = |key: u32, value: u32| writers.get(&(key, value)).copied();
        for (key, list) in lists {
            for pair in list.windows(2) {
                graph.add(writer(*key, pair[0]), writer(*key, pair[1]), Edge::WriteWrite);
            }
        }
        for (position, transaction) in history.iter().enumerate() {
            if transaction.outcome != Outcome::Committed {
                continue;
            }
            for operation in &transaction.operations {
                let Operation::Read { key, list } = operation else { continue };
                if let Some(last) = list.last() {
                    graph.add(writer(*key, *last), Some(position), Edge::WriteRead);
                }
                let next = lists.get(key).and_then(|longest| longest.get(list.len()));
                if let Some(next) = next {
                    graph.add(Some(position), writer(*key, *next), Edge::ReadWrite);
                }
            }
        }
        graph.real_time(history);
        graph
    }

    fn add(&mut self, from: Option<usize>, to: Option<usize>, edge: Edge) {
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            let known = self.edges[from].entry(to).or_insert(edge);
            *known = (*known).min(edge);
        }
    }

    /// Each transaction comes after all that had ended when it began. Edges to those that no other such one follows say
    /// the same with far fewer.
    fn real_time(&mut self, history: &[Transaction]) {
        let committed: Vec<usize> =
            (0..history.len()).filter(|at| history[*at].outcome == Outcome::Committed).collect();
        for &to in &committed {
            let before: Vec<usize> =
                committed.iter().copied().filter(|from| history[*from].ended < history[to].began).collect();
            let latest_start = before.iter().map(|from| history[*from].began).fold(f64::MIN, f64::max);
            for from in before {
                if history[from].ended >= latest_start {
                    self.add(Some(from), Some(to), Edge::RealTime);
                }
            }
        }
    }

    /// A shortest circle, if there is any.
    fn circle(&self) -> Option<Anomaly> {
        let mut best: Option<Vec<usize>> = None;
        for start in 0..self.edges.len() {
            if let Some(way) = self.way_back(start)
                && best.as_ref().is_none_or(|best| way.len() < best.len())
            {
                best = Some(way);
            }
        }
        let way = best?;
        let edge = |at: usize| self.edges[way[at]][&way[(at + 1) % way.len()]];
        Some(Anomaly::Circle((0..way.len()).map(|at| (way[at], edge(at))).collect()))
    }

    /// The shortest way from a transaction to itself, found in breadth.
    fn way_back(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut todo = std::collections::VecDeque::from([start]);
        while let Some(at) = todo.pop_front() {
            for &next in self.edges[at].keys() {
                if next == start {
                    let mut way = vec![at];
                    while let Some(&from) =
                        way.last().filter(|last| **last != start).and_then(|last| came_from.get(last))
                    {
                        way.push(from);
                    }
                    way.reverse();
                    return Some(way);
                }
                if !came_from.contains_key(&next) {
                    came_from.insert(next, at);
                    todo.push_back(next);
                }
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;
