//! Anomalies of single transactions and single reads.

use std::collections::BTreeMap;

use super::{
    Step, Txn,
    versions::{NOBODY, Versions},
};
use crate::{
    check::{Findings, Kind},
    history::{History, Outcome},
};

type Registers = History<Vec<Step>>;

pub fn check(history: &Registers, versions: &Versions, findings: &mut Findings) {
    for operation in history.committed() {
        own_writes(history, operation, findings);
        for (key, value) in reads(operation) {
            dirty_read(history, versions, operation, key, value, findings);
        }
        vanished(history, versions, operation, findings);
    }
    lost_updates(history, versions, findings);
}

/// The reads of a transaction that show what others wrote.
pub fn reads(operation: &Txn) -> impl Iterator<Item = (u64, Option<u64>)> {
    operation.body.iter().enumerate().filter_map(|(at, step)| match step {
        Step::Read { key, seen } => {
            let own = |step: &Step| matches!(step, Step::Write { key: of, .. } if of == key);
            (!operation.body[..at].iter().any(own)).then_some((*key, *seen))
        }
        Step::Write { .. } => None,
    })
}

pub fn first_read(operation: &Txn, of: u64) -> Option<u64> {
    reads(operation).find(|(key, _)| *key == of).and_then(|(_, seen)| seen)
}

pub fn last_write(operation: &Txn, of: u64) -> Option<u64> {
    operation.body.iter().rev().find_map(|step| match step {
        Step::Write { key, value } if *key == of => Some(*value),
        _ => None,
    })
}

/// Reads agree with the transaction's own writes and with each other.
fn own_writes(history: &Registers, operation: &Txn, findings: &mut Findings) {
    // For each key the value that it must have, and whether the transaction itself wrote that.
    let mut known: BTreeMap<u64, (Option<u64>, bool)> = BTreeMap::new();
    for step in &operation.body {
        match step {
            Step::Write { key, value } => {
                known.insert(*key, (Some(*value), true));
            }
            Step::Read { key, seen } => {
                let (expected, is_own) = *known.entry(*key).or_insert((*seen, false));
                if expected == *seen {
                    continue;
                }
                let kind = if is_own { Kind::Internal } else { Kind::NonRepeatableRead };
                findings.add(kind, &[operation.index], || {
                    let show =
                        |value: Option<u64>| value.map_or("nil".into(), |value| history.names.show(value).to_string());
                    let what = if is_own { "written" } else { "read" };
                    let (index, key) = (operation.index, history.names.show(*key));
                    format!("operation {index} read {key} as {} after it had {what} {}", show(*seen), show(expected))
                });
            }
        }
    }
}

fn dirty_read(
    history: &Registers,
    versions: &Versions,
    operation: &Txn,
    key: u64,
    value: Option<u64>,
    findings: &mut Findings,
) {
    let Some(value) = value else { return };
    let (index, names) = (operation.index, &history.names);
    let writer = versions.writers[versions.version(key, Some(value)) as usize];
    if writer == NOBODY {
        findings.add(Kind::UnwrittenRead, &[index], || {
            format!("operation {index} read {} in {}, which nobody wrote", names.show(value), names.show(key))
        });
        return;
    }
    let writer = &history.operations[writer as usize];
    if writer.outcome == Outcome::Aborted {
        findings.add(Kind::G1a, &[index, writer.index], || {
            let (value, key, writer) = (names.show(value), names.show(key), writer.index);
            format!("operation {index} read {value} in {key}, written by the aborted operation {writer}")
        });
    }
    if writer.index != index && last_write(writer, key) != Some(value) {
        findings.add(Kind::G1b, &[index, writer.index], || {
            let (value, key, writer) = (names.show(value), names.show(key), writer.index);
            format!("operation {index} read {value} in {key}, an intermediate state of operation {writer}")
        });
    }
    if writer.index == index {
        findings.add(Kind::Internal, &[index], || {
            format!("operation {index} read {} in {} before it wrote that", names.show(value), names.show(key))
        });
    }
}

/// Observed transaction vanishes: after a write of another transaction, a version directly before another write of the same.
fn vanished(history: &Registers, versions: &Versions, operation: &Txn, findings: &mut Findings) {
    let mut observed: Vec<(u32, u64)> = Vec::new();
    for (key, value) in reads(operation) {
        let version = versions.version(key, value);
        for (writer, in_key) in observed.iter().filter(|(_, in_key)| *in_key != key) {
            let Some(newer) = last_write(&history.operations[*writer as usize], key) else { continue };
            let newer_version = versions.version(key, Some(newer));
            let is_broken = versions.is_broken[versions.key(key) as usize];
            let is_older = (versions.is_initial(version) && !is_broken && version != newer_version)
                || versions.order.arcs(version).iter().any(|arc| arc.target == newer_version);
            if is_older {
                findings.add(Kind::ObservedTransactionVanishes, &[operation.index, *writer as usize], || {
                    let show = |id: u64| history.names.show(id).to_string();
                    format!(
                        "operation {} saw what operation {writer} wrote to {}, and afterwards not the {} that it wrote to {}",
                        operation.index,
                        show(*in_key),
                        show(newer),
                        show(key)
                    )
                });
            }
        }
        if versions.is_there(version) {
            observed.push((versions.writers[version as usize], key));
        }
    }
}

/// Transactions that read the same version and both wrote another.
fn lost_updates(history: &Registers, versions: &Versions, findings: &mut Findings) {
    let mut updates: Vec<(u32, usize)> = Vec::new();
    for operation in history.committed() {
        for (key, value) in reads(operation).filter(|(key, _)| last_write(operation, *key).is_some()) {
            updates.push((versions.version(key, value), operation.index));
        }
    }
    updates.sort_unstable();
    updates.dedup();
    for pair in updates.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        findings.add(Kind::LostUpdate, &[pair[0].1, pair[1].1], || {
            let (key, value) = versions.list[pair[0].0 as usize];
            let key = history.names.show(versions.keys[key as usize]);
            let value = value.map_or("nil".into(), |value| history.names.show(value).to_string());
            format!("operations {} and {} both wrote {key} after they had read {value}", pair[0].1, pair[1].1)
        });
    }
}
