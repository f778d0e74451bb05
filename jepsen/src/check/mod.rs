//! Checkers: pure functions from a history to the anomalies in it.

pub mod bank;
pub mod graph;
pub mod list_append;
pub mod register;

use std::fmt;

/// Something that a strictly serializable database cannot show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    pub kind: Kind,
    /// For people: which operations, and why.
    pub explanation: String,
}

/// Names after Adya (G0 … G2) and Jepsen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A transaction does not see its own writes, or sees two different states.
    Internal,
    /// Two reads of a key whose orders cannot both be.
    IncompatibleOrder,
    /// A value is there twice.
    Duplicate,
    /// An aborted write was read.
    G1a,
    /// An intermediate state of another transaction was read.
    G1b,
    /// A cycle of write-write dependencies.
    G0,
    /// A cycle of write-write and write-read dependencies.
    G1c,
    /// A cycle with exactly one anti-dependency (read skew, lost update).
    GSingle,
    /// A cycle with several anti-dependencies (write skew).
    G2,
    /// A cycle that needs a real-time edge: serializable, but not strictly.
    RealTime,
    /// An acknowledged write is not there at the end.
    LostWrite,
    /// A sum that must be constant is not.
    WrongTotal,
    /// No order of the operations on a register explains the answers.
    NotLinearizable,
    /// Replicas of a range differ.
    Divergence,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.explanation)
    }
}
