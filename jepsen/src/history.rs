//! What clients asked and what they were told: the input of every checker.
//!
//! An operation has a beginning, an end and an outcome. `Unknown` means that the client was not told (connection lost,
//! 40003): it may have happened at any time after its beginning, or never.

use std::fmt;

/// One client operation: a whole transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<T> {
    /// Position in the history.
    pub index: usize,
    pub process: u32,
    /// Simulated or real nanoseconds; an operation that ended before another began precedes it in real time.
    pub begin: u64,
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

/// A step of a transaction over lists and registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends a value, unique in the whole history, to the list of a key.
    Append { key: u64, value: u64 },
    /// Reads a list; `None` until (unless) the answer is known.
    Read { key: u64, seen: Option<Vec<u64>> },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Append { key, value } => write!(f, "[:append {key} {value}]"),
            Step::Read { key, seen: None } => write!(f, "[:r {key} nil]"),
            Step::Read { key, seen: Some(list) } => {
                let list: Vec<String> = list.iter().map(u64::to_string).collect();
                write!(f, "[:r {key} [{}]]", list.join(" "))
            }
        }
    }
}

/// Operations in the order in which they began.
#[derive(Clone, Debug)]
pub struct History<T> {
    pub operations: Vec<Operation<T>>,
}

impl<T> Default for History<T> {
    fn default() -> History<T> {
        History { operations: Vec::new() }
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
}

impl History<Vec<Step>> {
    /// EDN in Jepsen's own format: an `:invoke` and a completion per operation.
    pub fn to_edn(&self) -> String {
        let mut lines: Vec<(u64, u8, String)> = Vec::new();
        for operation in &self.operations {
            let invoked: Vec<String> = operation
                .body
                .iter()
                .map(|step| match step {
                    Step::Read { key, .. } => Step::Read { key: *key, seen: None }.to_string(),
                    append => append.to_string(),
                })
                .collect();
            let answered: Vec<String> = operation.body.iter().map(Step::to_string).collect();
            let (kind, value) = match operation.outcome {
                Outcome::Committed => (":ok", &answered),
                Outcome::Aborted => (":fail", &invoked),
                Outcome::Unknown => (":info", &invoked),
            };
            let line = |kind: &str, value: &[String], time: u64| {
                format!(":type {kind} :process {} :f :txn :value [{}] :time {time}", operation.process, value.join(" "))
            };
            lines.push((operation.begin, 0, line(":invoke", &invoked, operation.begin)));
            lines.push((operation.end, 1, line(kind, value, operation.end.min(i64::MAX as u64))));
        }
        lines.sort_by_key(|(time, order, _)| (*time, *order));
        lines.iter().enumerate().map(|(index, (_, _, line))| format!("{{:index {index} {line}}}\n")).collect()
    }
}
