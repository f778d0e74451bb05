//! Anomalies of single transactions, single reads and single keys.

use std::collections::BTreeMap;

use super::{
    Txn,
    index::{Index, NOBODY, Read, may_be_seen},
};
use crate::{
    check::{Findings, Kind},
    history::{History, Outcome, Step},
};

type Lists = History<Vec<Step>>;

pub fn check<'h>(history: &'h Lists, index: &Index<'h>, findings: &mut Findings) {
    broken_orders(history, index, findings);
    for operation in history.committed() {
        own_writes(history, operation, findings);
        index.reads(operation, |read| dirty_read(history, index, &read, findings));
        vanished(history, index, operation, findings);
    }
    dirty_updates(history, index, findings);
    lost_updates(history, index, findings);
    lost_writes(history, index, findings);
}

/// Reads that are no prefix of the longest one, and values that are there twice.
fn broken_orders<'h>(history: &'h Lists, index: &Index<'h>, findings: &mut Findings) {
    for operation in history.committed() {
        index.reads(operation, |read| {
            let order = &index.orders[read.key as usize];
            if order.values.starts_with(read.others) {
                return;
            }
            let (names, by) = (&history.names, read.operation);
            let (one, key) = (|| names.show_list(read.others), || names.show(index.keys[read.key as usize]));
            match twice(read.others) {
                Some(value) => findings.add(Kind::Duplicate, &[by as usize], || {
                    format!("operation {by} read {} in {} more than once: {}", names.show(value), key(), one())
                }),
                None => findings.add(Kind::IncompatibleOrder, &[by as usize, order.reader as usize], || {
                    let (other, longest) = (names.show_list(order.values), order.reader);
                    format!(
                        "operation {by} read {} as {}, which is no prefix of {other}, read by {longest}",
                        key(),
                        one()
                    )
                }),
            }
        });
    }
    for (key, order) in index.orders.iter().enumerate() {
        if let Some(value) = twice(order.values) {
            findings.add(Kind::Duplicate, &[order.reader as usize], || {
                let (value, key) = (history.names.show(value), history.names.show(index.keys[key]));
                let list = history.names.show_list(order.values);
                format!("operation {} read {value} in {key} more than once: {list}", order.reader)
            });
        }
    }
}

pub(super) fn twice(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Within one transaction: reads agree with each other and with its own appends.
fn own_writes(history: &Lists, operation: &Txn, findings: &mut Findings) {
    if operation.body.len() < 2 {
        return;
    }
    // For each key what was last read, and what was appended since the beginning and since that read.
    let mut keys: BTreeMap<u64, (Option<&[u64]>, Vec<u64>, usize)> = BTreeMap::new();
    for step in &operation.body {
        match step {
            Step::Append { key, value } => keys.entry(*key).or_default().1.push(*value),
            Step::Read { key, seen: Some(seen) } => {
                let (before, appended, appended_before) = keys.entry(*key).or_default();
                let names = &history.names;
                let describe = |why: &str| {
                    let (index, key, list) = (operation.index, names.show(*key), names.show_list(seen));
                    format!("operation {index} read {key} as {list}, {why}")
                };
                if !seen.ends_with(appended) {
                    let own = names.show_list(appended);
                    findings.add(Kind::Internal, &[operation.index], || {
                        describe(&format!("though it had itself appended {own}"))
                    });
                } else if let Some(before) = *before {
                    let since = &appended[*appended_before..];
                    if seen.len() != before.len() + since.len() || !seen.starts_with(before) {
                        let earlier = names.show_list(before);
                        let why = format!("and before as {earlier}");
                        findings.add(Kind::NonRepeatableRead, &[operation.index], || describe(&why));
                    }
                }
                (*before, *appended_before) = (Some(seen.as_slice()), appended.len());
            }
            _ => {}
        }
    }
    future_reads(history, operation, findings);
}

/// A read of what the transaction appends only later.
fn future_reads(history: &Lists, operation: &Txn, findings: &mut Findings) {
    for (at, step) in operation.body.iter().enumerate() {
        let Step::Read { key, seen: Some(seen) } = step else { continue };
        for later in &operation.body[at + 1..] {
            if let Step::Append { key: other, value } = later
                && other == key
                && seen.contains(value)
            {
                findings.add(Kind::Internal, &[operation.index], || {
                    let (value, key) = (history.names.show(*value), history.names.show(*key));
                    format!("operation {} read {value} in {key} before it appended that", operation.index)
                });
            }
        }
    }
}

/// Reads of aborted, intermediate or unwritten values.
fn dirty_read<'h>(history: &'h Lists, index: &Index<'h>, read: &Read<'h>, findings: &mut Findings) {
    let order = &index.orders[read.key as usize];
    let is_prefix = order.values.starts_with(read.others);
    let (names, key, by) = (&history.names, index.keys[read.key as usize], read.operation);
    for (position, value) in read.others.iter().enumerate() {
        let writer = if is_prefix {
            order.writers[position]
        } else {
            index.writer(read.key, *value).map_or(NOBODY, |append| append.operation)
        };
        if writer == NOBODY {
            findings.add(Kind::UnwrittenRead, &[by as usize], || {
                format!("operation {by} read {} in {}, which nobody appended", names.show(*value), names.show(key))
            });
        } else if !may_be_seen(&history.operations[writer as usize]) {
            findings.add(Kind::G1a, &[by as usize, writer as usize], || {
                let (value, key) = (names.show(*value), names.show(key));
                format!("operation {by} read {value} in {key}, appended by the aborted operation {writer}")
            });
        }
    }
    let Some(append) = read.others.last().and_then(|last| index.writer(read.key, *last)) else { return };
    if !append.is_last && append.operation != by {
        findings.add(Kind::G1b, &[by as usize, append.operation as usize], || {
            let (value, key, writer) = (names.show(append.value), names.show(key), append.operation);
            format!("operation {by} read {key} up to {value}, an intermediate state of operation {writer}")
        });
    }
}

/// Observed transaction vanishes: the transaction saw an append of another one, and afterwards, in another key, a state
/// before an append of the same one.
fn vanished<'h>(history: &'h Lists, index: &Index<'h>, operation: &'h Txn, findings: &mut Findings) {
    if operation.body.len() < 2 {
        return;
    }
    // The writers whose appends were the newest in a read so far.
    let mut observed: Vec<(u32, u32)> = Vec::new();
    index.reads(operation, |read| {
        let order = &index.orders[read.key as usize];
        if !order.values.starts_with(read.others) {
            return;
        }
        for (writer, in_key) in observed.iter().filter(|(_, in_key)| *in_key != read.key) {
            if let Some(position) = order.writers[read.others.len()..].iter().position(|other| other == writer) {
                findings.add(Kind::ObservedTransactionVanishes, &[operation.index, *writer as usize], || {
                    let names = &history.names;
                    let key = |number: u32| names.show(index.keys[number as usize]);
                    let value = names.show(order.values[read.others.len() + position]);
                    format!(
                        "operation {} saw what operation {writer} appended to {}, and afterwards not the {value} that it \
                         appended to {}",
                        operation.index,
                        key(*in_key),
                        key(read.key)
                    )
                });
            }
        }
        if let Some(writer) = read.others.len().checked_sub(1).map(|last| order.writers[last])
            && writer != NOBODY
        {
            observed.push((writer, read.key));
        }
    });
}

/// Committed appends on top of aborted ones.
fn dirty_updates(history: &Lists, index: &Index<'_>, findings: &mut Findings) {
    let outcome = |writer: u32| (writer != NOBODY).then(|| history.operations[writer as usize].outcome);
    for (key, order) in index.orders.iter().enumerate() {
        let Some(first) = order.writers.iter().position(|writer| outcome(*writer) == Some(Outcome::Aborted)) else {
            continue;
        };
        let mut later = order.writers[first + 1..].iter();
        if let Some(committed) = later.find(|writer| outcome(**writer) == Some(Outcome::Committed)) {
            findings.add(Kind::DirtyUpdate, &[*committed as usize, order.writers[first] as usize], || {
                let key = history.names.show(index.keys[key]);
                let aborted = order.writers[first];
                format!("operation {committed} appended to {key} on top of what the aborted operation {aborted} did")
            });
        }
    }
}

/// Operations that read the same version of a key and both appended to it.
fn lost_updates<'h>(history: &'h Lists, index: &Index<'h>, findings: &mut Findings) {
    let mut updates: Vec<(u32, usize, u32)> = Vec::new();
    for operation in history.committed().filter(|operation| operation.body.len() > 1) {
        index.reads(operation, |read| {
            let key = index.keys[read.key as usize];
            let appends = operation.body.iter().any(|step| matches!(step, Step::Append { key: of, .. } if *of == key));
            if appends && index.orders[read.key as usize].values.starts_with(read.others) {
                updates.push((read.key, read.others.len(), read.operation));
            }
        });
    }
    updates.sort_unstable();
    updates.dedup();
    for pair in updates.windows(2) {
        if (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1) {
            findings.add(Kind::LostUpdate, &[pair[0].2 as usize, pair[1].2 as usize], || {
                let key = history.names.show(index.keys[pair[0].0 as usize]);
                let list = history.names.show_list(&index.orders[pair[0].0 as usize].values[..pair[0].1]);
                format!("operations {} and {} both appended to {key} after they had read {list}", pair[0].2, pair[1].2)
            });
        }
    }
}

/// Acknowledged appends that no read ever showed, though one began when nothing was going on with the key any more.
fn lost_writes<'h>(history: &'h Lists, index: &Index<'h>, findings: &mut Findings) {
    let mut last_read = vec![0u64; index.keys.len()];
    for operation in history.committed() {
        index.reads(operation, |read| {
            last_read[read.key as usize] = last_read[read.key as usize].max(operation.begin);
        });
    }
    for key in 0..index.keys.len() as u32 {
        let order = &index.orders[key as usize];
        let appends = index.appends_to(key);
        let committed = |operation: u32| history.operations[operation as usize].outcome == Outcome::Committed;
        let ends = appends.iter().filter(|append| committed(append.operation));
        let quiet = ends.map(|append| history.operations[append.operation as usize].end).max().unwrap_or(0);
        if !order.is_read || last_read[key as usize] <= quiet || order.values.len() >= appends.len() {
            continue;
        }
        let mut seen = order.values.to_vec();
        seen.sort_unstable();
        for append in appends {
            if committed(append.operation) && seen.binary_search(&append.value).is_err() {
                findings.add(Kind::LostWrite, &[append.operation as usize], || {
                    let (value, key) = (history.names.show(append.value), history.names.show(index.keys[key as usize]));
                    format!("operation {} was told that {value} is in {key}, but nobody ever read it", append.operation)
                });
            }
        }
    }
}
