//! What clients asked and what they were told: the input of every checker.
//!
//! An operation has a beginning, an end and an outcome. `Unknown` means that the client was not told (connection lost,
//! 40003): it may have happened at any time after its beginning, or never.
//!
//! [`read`] and [`write`](History::write_edn) speak Jepsen's format, one map a line:
//! `{:index 0, :type :invoke, :process 3, :f :txn, :value [[:append 5 1] [:r 5 nil]], :time 123}`.

pub mod body;
pub mod names;
pub mod read;
pub mod write;

use std::fmt;

pub use body::Body;
pub use names::Names;
pub use read::{Loaded, NemesisEvent, ReadError, read};

/// One client operation: a whole transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<T> {
    /// Position in the history.
    pub index: usize,
    pub process: u32,
    /// Simulated or real nanoseconds; an operation that ended before another began precedes it in real time.
    pub begin: u64,
    /// `u64::MAX` of an unknown outcome.
    pub end: u64,
    pub outcome: Outcome,
    pub body: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// Certainly not happened.
    Aborted,
    Unknown,
}

/// A step of a transaction over lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends a value, unique in the whole history, to the list of a key.
    Append { key: u64, value: u64 },
    /// Reads a list; `None` until (unless) the answer is known.
    Read { key: u64, seen: Option<Vec<u64>> },
    /// Reads all keys in `from..to` by a predicate: keys that are not in the answer have no list yet.
    Scan { from: u64, to: u64, seen: Option<Vec<(u64, Vec<u64>)>> },
}

/// Without the names of keys: as [`Body::encode`] writes it where all keys and values are natural numbers.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        body::encode_list_step(self, true, &Names::default(), &mut text);
        f.write_str(&text)
    }
}

/// Operations in the order in which they began.
#[derive(Clone, Debug)]
pub struct History<T> {
    pub operations: Vec<Operation<T>>,
    /// What keys and values are called that are no natural numbers.
    pub names: Names,
}

impl<T> Default for History<T> {
    fn default() -> History<T> {
        History { operations: Vec::new(), names: Names::default() }
    }
}

impl<T> From<Vec<Operation<T>>> for History<T> {
    fn from(operations: Vec<Operation<T>>) -> History<T> {
        History { operations, names: Names::default() }
    }
}

impl<T> History<T> {
    /// Records the beginning; the outcome is unknown until [`History::end`].
    pub fn begin(&mut self, process: u32, now: u64, body: T) -> usize {
        let index = self.operations.len();
        self.operations.push(Operation { index, process, begin: now, end: u64::MAX, outcome: Outcome::Unknown, body });
        index
    }

    pub fn end(&mut self, index: usize, now: u64, outcome: Outcome, body: T) {
        let operation = &mut self.operations[index];
        operation.outcome = outcome;
        operation.body = body;
        // An unknown outcome may still take effect after its client gave up.
        operation.end = if outcome == Outcome::Unknown { u64::MAX } else { now };
    }

    pub fn committed(&self) -> impl Iterator<Item = &Operation<T>> {
        self.operations.iter().filter(|operation| operation.outcome == Outcome::Committed)
    }

    pub fn counts(&self) -> Counts {
        let count = |outcome| self.operations.iter().filter(|operation| operation.outcome == outcome).count();
        Counts {
            committed: count(Outcome::Committed),
            aborted: count(Outcome::Aborted),
            unknown: count(Outcome::Unknown),
        }
    }
}

impl<T: Body> History<T> {
    /// One operation, as a file has it; its value with the answer where there was one.
    pub fn told(&self, index: usize) -> Option<Told> {
        let operation = self.operations.get(index)?;
        let mut value = String::new();
        let f = operation.body.encode(operation.outcome == Outcome::Committed, &self.names, &mut value);
        let (_, error) = operation.body.completion(operation.outcome);
        let end_ns = (operation.end != u64::MAX).then_some(operation.end);
        let Operation { process, begin: begin_ns, outcome, .. } = *operation;
        Some(Told { index, process, f, value, error, begin_ns, end_ns, outcome })
    }
}

/// An operation in the words of a file, whatever its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub index: usize,
    pub process: u32,
    pub f: &'static str,
    /// EDN.
    pub value: String,
    /// What the answer was instead of a value: a compare-and-set that did not match.
    pub error: Option<&'static str>,
    pub begin_ns: u64,
    /// `None`: its client was not told.
    pub end_ns: Option<u64>,
    pub outcome: Outcome,
}

impl History<Vec<Step>> {
    /// Records a read of all lists after everything has ended: what is missing there is lost.
    pub fn read_at_the_end(&mut self, begin: u64, end: u64, lists: impl IntoIterator<Item = (u64, Vec<u64>)>) {
        let body: Vec<Step> = lists.into_iter().map(|(key, list)| Step::Read { key, seen: Some(list) }).collect();
        let index = self.begin(u32::MAX, begin, body.clone());
        self.end(index, end, Outcome::Committed, body);
    }
}

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub committed: usize,
    pub aborted: usize,
    pub unknown: usize,
}

impl Counts {
    pub fn total(&self) -> usize {
        self.committed + self.aborted + self.unknown
    }
}

#[cfg(test)]
#[path = "history_test.rs"]
mod tests;
