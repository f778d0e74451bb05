//! Histories of a database that is right: a serial execution, seen by clients that overlap.
//!
//! Each operation takes effect at one moment between its beginning and its end, so that the history is strictly serializable
//! by construction. For measuring checkers, and for testing them: every such history must pass.

use std::collections::BTreeMap;

use base::Rng;

use crate::history::{History, Operation, Outcome, Step};

/// What a history looks like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub operations: usize,
    pub clients: u32,
    /// Lists in use at a time.
    pub keys: u64,
    /// After so many appends a list is left alone and a new one begun.
    pub appends_per_key: u64,
    /// Of a thousand operations, how many end with an unknown outcome (half of them took effect) and how many abort.
    pub unknown_per_mille: u64,
}

/// What a client does between two operations, and how long an operation takes, in nanoseconds at most.
const PAUSE: u64 = 1_000_000;
const DURATION: u64 = 10_000_000;

/// A list-append history. The same seed gives the same history.
pub fn list_append(shape: &Shape, seed: u64) -> History<Vec<Step>> {
    let mut rng = Rng::new(seed);
    let mut operations = intervals(shape, &mut rng);
    // The moment of effect lies strictly inside of the interval.
    let mut moments: Vec<(u64, usize)> = operations
        .iter()
        .map(|operation| (rng.between(operation.begin + 1, operation.end - 1), operation.index))
        .collect();
    moments.sort_unstable();
    let mut lists = Lists { first: 0, lists: BTreeMap::new(), next_value: 0 };
    for (_, at) in moments {
        let operation = &mut operations[at];
        operation.outcome = match rng.below(1000) {
            draw if draw < shape.unknown_per_mille => Outcome::Unknown,
            draw if draw < 2 * shape.unknown_per_mille => Outcome::Aborted,
            _ => Outcome::Committed,
        };
        let happens = match operation.outcome {
            Outcome::Committed => true,
            Outcome::Aborted => false,
            Outcome::Unknown => rng.chance(1, 2),
        };
        operation.body = lists.transaction(shape, happens, &mut rng);
        if operation.outcome == Outcome::Unknown {
            operation.end = u64::MAX;
        }
        if operation.outcome != Outcome::Committed {
            forget_answers(&mut operation.body);
        }
    }
    History::from(operations)
}

/// Beginnings and ends: clients work one operation after the other.
fn intervals(shape: &Shape, rng: &mut Rng) -> Vec<Operation<Vec<Step>>> {
    let mut free: Vec<u64> = (0..shape.clients).map(|_| rng.below(PAUSE)).collect();
    let mut spans: Vec<(u64, u64, u32)> = Vec::with_capacity(shape.operations);
    for at in 0..shape.operations {
        let process = (at % shape.clients as usize) as u32;
        let begin = free[process as usize];
        let end = begin + rng.between(2, DURATION);
        spans.push((begin, end, process));
        free[process as usize] = end + rng.between(1, PAUSE);
    }
    spans.sort_unstable();
    let operation = |(index, (begin, end, process)): (usize, (u64, u64, u32))| Operation {
        index,
        process,
        begin,
        end,
        outcome: Outcome::Unknown,
        body: Vec::new(),
    };
    spans.into_iter().enumerate().map(operation).collect()
}

/// The database.
struct Lists {
    /// The oldest key in use.
    first: u64,
    lists: BTreeMap<u64, Vec<u64>>,
    next_value: u64,
}

impl Lists {
    /// One to four steps on the current state.
    fn transaction(&mut self, shape: &Shape, happens: bool, rng: &mut Rng) -> Vec<Step> {
        let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let steps = (0..rng.between(1, 4))
            .map(|_| {
                let key = self.first + rng.below(shape.keys);
                if rng.chance(1, 2) {
                    self.next_value += 1;
                    own.entry(key).or_default().push(self.next_value);
                    return Step::Append { key, value: self.next_value };
                }
                let mut seen = self.lists.get(&key).cloned().unwrap_or_default();
                seen.extend(own.get(&key).into_iter().flatten());
                Step::Read { key, seen: Some(seen) }
            })
            .collect();
        if happens {
            for (key, values) in own {
                self.lists.entry(key).or_default().extend(values);
            }
        }
        // Leave the oldest key alone once it is full.
        while self.lists.get(&self.first).is_some_and(|list| list.len() as u64 >= shape.appends_per_key) {
            self.lists.remove(&self.first);
            self.first += 1;
        }
        steps
    }
}

fn forget_answers(body: &mut [Step]) {
    for step in body {
        if let Step::Read { seen, .. } = step {
            *seen = None;
        }
    }
}
