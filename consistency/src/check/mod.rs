//! Checkers: pure functions from a history to the anomalies in it.
//!
//! - [`list_append`] and [`rw_register`] recover who depends on whom, and look for cycles ([`graph`], [`cycles`]);
//! - [`register`] searches for an order of the operations that explains all answers;
//! - the rest compare sums, sets and orders: [`bank`], [`set`], [`counter`], [`monotonic`], [`sequential`],
//!   [`causal_reverse`], [`long_fork`], [`queue`], [`unique`], [`predicate`], [`reference`].
//!
//! Each has `check(&History<…>, …) -> Vec<Anomaly>`; [`Verdict`] says which isolation [`Level`] that leaves.
//! What each anomaly means, and what is inferred: `docs/consistency-checking.md`.

pub mod bank;
pub mod causal_reverse;
pub mod counter;
pub mod cycles;
mod explain;
pub mod graph;
pub mod kind;
pub mod level;
pub mod list_append;
pub mod long_fork;
pub mod monotonic;
mod numbers;
pub mod predicate;
pub mod queue;
pub mod reference;
pub mod register;
pub mod rw_register;
pub mod sequential;
pub mod set;
pub mod unique;
pub mod verdict;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

pub use kind::{Class, Kind, Order};
pub use level::Level;
pub use verdict::{Decision, Verdict};

/// Something that a strictly serializable database cannot show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    pub kind: Kind,
    /// For people: which operations, and why.
    pub explanation: String,
    /// The operations of a cycle, each with the dependency of the next one on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cycle: Vec<Hop>,
    /// The operations that show it where it is no cycle, the one that saw it first; empty where the checker does not say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<usize>,
    /// How many more of this kind were found and are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// An operation of a cycle, and why the next one depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Index in the history.
    pub operation: usize,
    pub process: u32,
    /// Its steps, in EDN.
    pub steps: String,
    pub begin_ns: u64,
    /// `None`: its client was not told.
    pub end_ns: Option<u64>,
    pub edge: graph::Edge,
    /// The key of the dependency; empty where it is one of time.
    pub key: String,
    pub because: String,
}

impl Anomaly {
    pub fn new(kind: Kind, explanation: impl Into<String>) -> Anomaly {
        Anomaly { kind, explanation: explanation.into(), cycle: Vec::new(), operations: Vec::new(), more: 0 }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.explanation)?;
        if self.more > 0 {
            write!(f, " (and {} more)", self.more)?;
        }
        Ok(())
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Collects anomalies, a few of each kind: of a broken database a long history shows a hundred thousand.
#[derive(Default)]
pub struct Findings {
    anomalies: Vec<Anomaly>,
    counts: BTreeMap<Kind, u64>,
}

/// How many anomalies of one kind are listed.
const LISTED_MAX: u64 = 16;

impl Findings {
    /// With the operations that show it, as far as they can be named.
    pub fn add(&mut self, kind: Kind, operations: &[usize], explain: impl FnOnce() -> String) {
        self.add_anomaly(kind, || Anomaly { operations: operations.to_vec(), ..Anomaly::new(kind, explain()) });
    }

    pub fn add_anomaly(&mut self, kind: Kind, make: impl FnOnce() -> Anomaly) {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if *count <= LISTED_MAX {
            self.anomalies.push(make());
        }
    }

    /// The worst kinds first.
    pub fn finish(mut self) -> Vec<Anomaly> {
        self.anomalies.sort_by_key(|anomaly| anomaly.kind);
        for (kind, count) in self.counts {
            if let Some(last) = self.anomalies.iter_mut().rev().find(|anomaly| anomaly.kind == kind) {
                last.more = count.saturating_sub(LISTED_MAX);
            }
        }
        self.anomalies
    }
}
