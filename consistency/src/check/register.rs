//! Linearizability of single registers by search (Wing and Gong 1993), with memory of visited states (Lowe 2017).
//!
//! In files, as Jepsen's: `:f :read :value [key 3]`, `:f :write :value [key 3]`, `:f :cas :value [key [3 4]]`, or without the
//! key where there is one register. A `:cas` that did not match is a `:fail` with `:error :mismatch`: Jepsen's checkers
//! ignore it, this one takes it for the read that it is.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names, Operation, Outcome},
};

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

/// States that the search for one register may visit before it gives up.
pub const STATES_MAX: usize = 2_000_000;

/// Checks each register by itself: linearizability is local (Herlihy and Wing, 1990).
pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    check_within(history, STATES_MAX)
}

/// [`check`] with another bound on the states of each register's search.
pub fn check_within(history: &History<Step>, states_max: usize) -> Vec<Anomaly> {
    let mut by_key: BTreeMap<u64, Vec<&Operation<Step>>> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.outcome != Outcome::Aborted) {
        // A read that nobody was told of says nothing.
        let is_unknown_read =
            operation.outcome == Outcome::Unknown && matches!(operation.body.action, Action::Read { .. });
        if !is_unknown_read {
            by_key.entry(operation.body.key).or_default().push(operation);
        }
    }
    let mut findings = Findings::default();
    for (key, operations) in by_key {
        let key = history.names.show(key);
        match linearize(&operations, states_max) {
            Search::Found => {}
            Search::GaveUp => findings.add(Kind::Undecided, &[], || {
                let count = operations.len();
                format!("register {key}: no order of its {count} operations was found within {states_max} states")
            }),
            Search::Impossible { placed, stuck } => findings.add(Kind::NotLinearizable, &[stuck.index], || {
                let mut step = String::new();
                let f = stuck.body.encode(true, &history.names, &mut step);
                format!(
                    "no order of the {} operations on register {key} explains them: {placed} can be put in order, and then \
                     operation {} (process {}, {} … {} ns, :{f} {step}) cannot have answered so",
                    operations.len(),
                    stuck.index,
                    stuck.process,
                    stuck.begin,
                    stuck.end
                )
            }),
        }
    }
    findings.finish()
}

enum Search<'a> {
    Found,
    GaveUp,
    /// How many operations can be placed at most, and the one whose end no further one can wait for.
    Impossible {
        placed: usize,
        stuck: &'a Operation<Step>,
    },
}

/// What is placed, and the value after it. Operations are kept as the count of a placed prefix (in order of beginning) plus
/// the few placed beyond it, so that states are small.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    prefix: u32,
    /// Ascending.
    beyond: Vec<u32>,
    value: Option<i64>,
}

impl State {
    fn is_placed(&self, at: u32) -> bool {
        at < self.prefix || self.beyond.binary_search(&at).is_ok()
    }

    fn with(&self, at: u32, value: Option<i64>) -> State {
        let mut next = State { prefix: self.prefix, beyond: self.beyond.clone(), value };
        if let Err(position) = next.beyond.binary_search(&at) {
            next.beyond.insert(position, at);
        }
        let done = next.beyond.iter().zip(next.prefix..).take_while(|(placed, expected)| *placed == expected).count();
        next.prefix += done as u32;
        next.beyond.drain(..done);
        next
    }
}

/// Depth-first search over what can come next: an operation that began before the first end of all that is not placed yet.
fn linearize<'a>(operations: &[&'a Operation<Step>], states_max: usize) -> Search<'a> {
    let mut stack = vec![State { prefix: 0, beyond: Vec::new(), value: None }];
    let mut visited: HashSet<State> = HashSet::new();
    let mut furthest: Option<(usize, &Operation<Step>)> = None;
    while let Some(state) = stack.pop() {
        let pending = || (state.prefix..operations.len() as u32).filter(|at| !state.is_placed(*at));
        let first_end = pending().map(|at| operations[at as usize].end).min().unwrap_or(u64::MAX);
        // Everything that was told to a client must be placed; the unknown rest may never have happened.
        let Some(stuck) = pending().find(|at| operations[*at as usize].outcome == Outcome::Committed) else {
            return Search::Found;
        };
        let stuck = pending().find(|at| operations[*at as usize].end == first_end).unwrap_or(stuck);
        let placed = state.prefix as usize + state.beyond.len();
        if furthest.is_none_or(|(most, _)| placed >= most) {
            furthest = Some((placed, operations[stuck as usize]));
        }
        let mut candidates: Vec<u32> = pending().take_while(|at| operations[*at as usize].begin <= first_end).collect();
        // What ended first is tried first, and what nobody was told of last: the stack turns the order around.
        candidates.sort_unstable_by_key(|at| std::cmp::Reverse(operations[*at as usize].end));
        for at in candidates {
            let Some(value) = apply(operations[at as usize], state.value) else { continue };
            let next = state.with(at, value);
            if visited.insert(next.clone()) {
                stack.push(next);
            }
        }
        if visited.len() > states_max {
            return Search::GaveUp;
        }
    }
    match furthest {
        Some((placed, stuck)) => Search::Impossible { placed, stuck },
        None => Search::Found,
    }
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

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        let value = cursor.value()?;
        let pair = |value: &Value| match value.items() {
            Some([first, second]) => Some((first.clone(), second.clone())),
            _ => None,
        };
        let integers = |value: &Value| pair(value).and_then(|(a, b)| Some((a.integer()?, b.integer()?)));
        // The only register of an unkeyed history is number 0.
        let keyed = match (f, pair(&value)) {
            ("cas", Some((key, inner))) if inner.items().is_some() || inner == Value::Nil => Some((key, inner)),
            ("read" | "write", Some((key, inner))) => Some((key, inner)),
            _ => None,
        };
        let (key, value) = keyed.unwrap_or((Value::Integer(0), value));
        let key = names.read(&mut Cursor::new(key.to_string().as_bytes()))?;
        let action = match f {
            "read" => Some(Action::Read { seen: value.integer() }),
            "write" => value.integer().map(|value| Action::Write { value }),
            "cas" => integers(&value).map(|(expected, new)| Action::CompareAndSet { expected, new, applied: true }),
            _ => return Ok(None),
        };
        action
            .map(|action| Some(Step { key, action }))
            .ok_or_else(|| at.error("expected integers: [key value] or [key [old new]]"))
    }

    fn encode(&self, answered: bool, names: &Names, out: &mut String) -> &'static str {
        let key = names.show(self.key);
        match self.action {
            Action::Read { seen: Some(value) } if answered => {
                let _ = write!(out, "[{key} {value}]");
                "read"
            }
            Action::Read { .. } => {
                let _ = write!(out, "[{key} nil]");
                "read"
            }
            Action::Write { value } => {
                let _ = write!(out, "[{key} {value}]");
                "write"
            }
            Action::CompareAndSet { expected, new, .. } => {
                let _ = write!(out, "[{key} [{expected} {new}]]");
                "cas"
            }
        }
    }

    fn completion(&self, outcome: Outcome) -> (&'static str, Option<&'static str>) {
        match (outcome, &self.action) {
            (Outcome::Committed, Action::CompareAndSet { applied: false, .. }) => (":fail", Some(":mismatch")),
            (Outcome::Committed, _) => (":ok", None),
            (Outcome::Aborted, _) => (":fail", None),
            (Outcome::Unknown, _) => (":info", None),
        }
    }

    fn refused(&self, error: &str) -> Option<Step> {
        match self.action {
            Action::CompareAndSet { expected, new, .. } if error == ":mismatch" => {
                Some(Step { key: self.key, action: Action::CompareAndSet { expected, new, applied: false } })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "register_test.rs"]
mod tests;
