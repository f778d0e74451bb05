//! Linearizability of single registers by search (Wing and Gong), with memory of visited states (Lowe).

use std::collections::{BTreeMap, BTreeSet};

use super::{Anomaly, Kind};
use crate::history::{History, Operation, Outcome};

/// An operation on one register; absent registers read as `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: u64,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Read {
        seen: Option<i64>,
    },
    Write {
        value: i64,
    },
    /// `applied` is what the client was told; of an unknown outcome it is ignored.
    CompareAndSet {
        expected: i64,
        new: i64,
        applied: bool,
    },
}

/// Checks each register by itself: linearizability is local (Herlihy and Wing, 1990).
pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut by_key: BTreeMap<u64, Vec<&Operation<Step>>> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.outcome != Outcome::Aborted) {
        // A read that nobody was told of says nothing.
        let is_unknown_read =
            operation.outcome == Outcome::Unknown && matches!(operation.body.action, Action::Read { .. });
        if !is_unknown_read {
            by_key.entry(operation.body.key).or_default().push(operation);
        }
    }
    by_key
        .into_iter()
        .filter(|(_, operations)| !linearizable(operations))
        .map(|(key, operations)| Anomaly {
            kind: Kind::NotLinearizable,
            explanation: format!("no order of the {} operations on register {key} explains them", operations.len()),
        })
        .collect()
}

/// Depth-first search over (set of linearized operations, value). Operations are kept as the count of a done prefix (in
/// order of beginning) plus the few done beyond it, so that states are small.
fn linearizable(operations: &[&Operation<Step>]) -> bool {
    type State = (usize, BTreeSet<usize>, Option<i64>);
    let mut stack: Vec<State> = vec![(0, BTreeSet::new(), None)];
    let mut visited: BTreeSet<State> = BTreeSet::new();
    while let Some((prefix, beyond, value)) = stack.pop() {
        let pending = || (prefix..operations.len()).filter(|at| !beyond.contains(at));
        // Everything that was told to a client must be placed; the unknown rest may never have happened.
        if pending().all(|at| operations[at].outcome == Outcome::Unknown) {
            return true;
        }
        let horizon = pending().map(|at| operations[at].end).min().unwrap_or(u64::MAX);
        for at in pending().take_while(|at| operations[*at].begin <= horizon) {
            let Some(next) = apply(operations[at], value) else { continue };
            let (mut prefix, mut beyond) = (prefix, beyond.clone());
            beyond.insert(at);
            while beyond.remove(&prefix) {
                prefix += 1;
            }
            let state = (prefix, beyond, next);
            if visited.insert(state.clone()) {
                stack.push(state);
            }
        }
    }
    false
}

/// The register after the operation; `None` when its answer does not fit.
fn apply(operation: &Operation<Step>, value: Option<i64>) -> Option<Option<i64>> {
    match operation.body.action {
        Action::Read { seen } => (seen == value).then_some(value),
        Action::Write { value } => Some(Some(value)),
        Action::CompareAndSet { expected, new, applied } => {
            let matches = value == Some(expected);
            if operation.outcome == Outcome::Unknown {
                return Some(if matches { Some(new) } else { value });
            }
            (matches == applied).then_some(if applied { Some(new) } else { value })
        }
    }
}

#[cfg(test)]
#[path = "register_test.rs"]
mod tests;
