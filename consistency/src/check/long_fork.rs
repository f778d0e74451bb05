//! Long fork: two writes, and two reads that each saw one of them and missed the other. Parallel snapshot isolation allows
//! it, snapshot isolation does not. Every key is written at most once.
//!
//! In files: `:f :write :value [[:w 3 1]]` and `:f :read :value [[:r 3 1] [:r 4 nil]]`.

use std::collections::BTreeMap;

use super::{Anomaly, Findings, Kind, rw_register::Step};
use crate::history::{History, Operation};

/// What one read saw of a group: its keys in order, and whether each had been written.
type View = Vec<(u64, bool)>;

pub fn check(history: &History<Vec<Step>>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    // Reads of the same keys, each different view with the first operation that had it.
    let mut groups: BTreeMap<Vec<u64>, BTreeMap<View, usize>> = BTreeMap::new();
    for operation in history.committed() {
        let view = view(operation);
        if view.len() > 1 {
            let keys = view.iter().map(|(key, _)| *key).collect();
            groups.entry(keys).or_default().entry(view).or_insert(operation.index);
        }
    }
    for views in groups.values() {
        for (at, (one, first)) in views.iter().enumerate() {
            for (other, second) in views.iter().skip(at + 1) {
                let missed = |one: &View, other: &View| {
                    let mut pairs = one.iter().zip(other);
                    pairs.find(|((_, here), (_, there))| *here && !there).map(|((key, _), _)| *key)
                };
                let (Some(a), Some(b)) = (missed(one, other), missed(other, one)) else { continue };
                findings.add(Kind::LongFork, &[*first, *second], || {
                    let (a, b) = (history.names.show(a), history.names.show(b));
                    format!("operation {first} saw key {a} but not yet {b}; operation {second} saw {b} but not yet {a}")
                });
            }
        }
    }
    findings.finish()
}

fn view(operation: &Operation<Vec<Step>>) -> View {
    let read = |step: &Step| match step {
        Step::Read { key, seen } => Some((*key, seen.is_some())),
        Step::Write { .. } => None,
    };
    let mut view: View = operation.body.iter().filter_map(read).collect();
    view.sort_unstable();
    view
}
