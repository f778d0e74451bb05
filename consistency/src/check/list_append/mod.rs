//! Lists with unique appended values: every read shows the whole order of the writes before it, so the dependency graph
//! can be recovered exactly (Kingsbury and Alvaro, "Elle", VLDB 2020).
//!
//! 1. [`index`] numbers the keys, sorts the appends by key and value, and takes the longest read of a key as its order.
//! 2. [`local`] looks at single transactions and single reads: dirty reads, own writes, orders that do not agree.
//! 3. [`edges`] draws the dependencies; [`super::cycles`] looks for cycles in them.

mod edges;
mod explain;
mod index;
mod local;

use super::{Anomaly, Findings, cycles};
use crate::history::{History, Operation, Step};

pub(crate) type Txn = Operation<Vec<Step>>;

/// Checks a history for everything that strict serializability forbids. Read all lists at the end, as an operation of the
/// history: then an acknowledged append that is missing there is known to be lost.
pub fn check(history: &History<Vec<Step>>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let index = index::Index::new(history, &mut findings);
    local::check(history, &index, &mut findings);
    let graph = edges::graph(history, &index);
    for found in cycles::find(&graph) {
        findings.add_anomaly(found.kind, || explain::anomaly(history, &index, &found));
    }
    findings.finish()
}

#[cfg(test)]
#[path = "list_append_test.rs"]
mod tests;
