//! The check of random runs. Every transaction that committed has one timestamp; strict serializability means: run one after
//! the other in the order of their timestamps, they see exactly what they saw, and that order agrees with real time.
//!
//! At the lower levels, plain reads are as of a timestamp of their own (`at`), and see the versions below it; what was seen under
//! a lock, or was read and then written, is true at the commit all the same.

use std::collections::{BTreeMap, BTreeSet};

use base::{Monotonic, Span, Timestamp, TxnId};
use bytes::Bytes;
use txn::testing::Version;

/// One step of a transaction, with what it saw.
#[derive(Clone, Debug)]
pub enum Step {
    /// `at`: of a snapshot; `None`: true at the commit.
    Get {
        key: Bytes,
        saw: Option<Bytes>,
        at: Option<Timestamp>,
    },
    Scan {
        span: Span,
        saw: Vec<(Bytes, Bytes)>,
        at: Option<Timestamp>,
    },
    /// Of a key that was locked or read before, unless it is blind.
    Write {
        key: Bytes,
        value: Option<Bytes>,
        blind: bool,
    },
}

#[derive(Clone, Debug)]
pub enum End {
    Committed(Timestamp),
    /// A definite error, or a rollback.
    Aborted,
    /// The answer never came, or was `Ambiguous`.
    Unknown,
}

/// One transaction as its client remembers it.
#[derive(Clone, Debug)]
pub struct Record {
    pub txn: TxnId,
    pub began: Monotonic,
    pub ended: Monotonic,
    pub steps: Vec<Step>,
    pub end: End,
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub committed: usize,
    pub aborted: usize,
    /// Nobody was told the outcome, and it was a commit: the gateway died late, or recovery finished its work.
    pub committed_unheard: usize,
    pub aborted_unheard: usize,
}

/// Checks a history against the versions that are in the store in the end.
pub fn check(records: &[Record], versions: &[Version]) -> Result<Summary, String> {
    let mut stored: BTreeMap<TxnId, Vec<&Version>> = BTreeMap::new();
    for version in versions {
        stored.entry(version.writer).or_default().push(version);
    }
    let mut committed = Vec::new();
    let mut summary = Summary::default();
    // Who has not even got a timestamp has no place in the order.
    for record in records.iter().filter(|record| !record.steps.is_empty()) {
        let at = outcome(record, stored.remove(&record.txn).unwrap_or_default())?;
        committed.extend(at.map(|at| (at, record)));
        *match (&record.end, at) {
            (End::Unknown, Some(_)) => &mut summary.committed_unheard,
            (End::Unknown, None) => &mut summary.aborted_unheard,
            (_, Some(_)) => &mut summary.committed,
            (_, None) => &mut summary.aborted,
        } += 1;
    }
    committed.sort_by_key(|(at, record)| (*at, record.txn));
    check_real_time(&committed)?;
    let mut state: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    let mut timestamps = BTreeSet::new();
    for (at, record) in &committed {
        if !timestamps.insert(*at) {
            return Err(format!("two transactions at {at:?}: {record:?}"));
        }
        replay(&mut state, record, versions).map_err(|problem| format!("at {at:?}: {problem} in {record:?}"))?;
    }
    Ok(summary)
}

/// Whether and when a transaction committed, by what its client knows and by what is stored: these must agree, and all of its
/// writes must be there or none.
fn outcome(record: &Record, stored: Vec<&Version>) -> Result<Option<Timestamp>, String> {
    let written: BTreeMap<&Bytes, &Option<Bytes>> = record
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Write { key, value, .. } => Some((key, value)),
            _ => None,
        })
        .collect();
    let at = match (&record.end, stored.first()) {
        (End::Committed(at), _) => Some(*at),
        (End::Aborted, Some(version)) => return Err(format!("aborted, but there is {version:?} of {record:?}")),
        (End::Unknown, Some(version)) => Some(version.at),
        (_, None) => None,
    };
    let Some(at) = at else { return Ok(None) };
    if stored.len() != written.len() || stored.iter().any(|version| version.at != at) {
        return Err(format!("commit of {record:?} at {at:?} left {stored:?}"));
    }
    match stored.iter().find(|version| written.get(&version.key) != Some(&&version.value)) {
        Some(version) => Err(format!("{version:?} is not what {record:?} wrote")),
        None => Ok(Some(at)),
    }
}

/// Whoever began after another had ended comes later. `committed` is in the order of timestamps.
fn check_real_time(committed: &[(Timestamp, &Record)]) -> Result<(), String> {
    let mut earliest_end_after = Monotonic(u64::MAX);
    for (at, record) in committed.iter().rev() {
        if record.began > earliest_end_after {
            return Err(format!("{record:?} at {at:?} began after a transaction with a later timestamp had ended"));
        }
        if matches!(record.end, End::Committed(_)) {
            earliest_end_after = earliest_end_after.min(record.ended);
        }
    }
    Ok(())
}

fn replay(state: &mut BTreeMap<Bytes, Bytes>, record: &Record, versions: &[Version]) -> Result<(), String> {
    let mut own: BTreeMap<&Bytes, &Option<Bytes>> = BTreeMap::new();
    // A snapshot may be as of the very timestamp of the commit.
    let others: Vec<&Version> = versions.iter().filter(|version| version.writer != record.txn).collect();
    // What was read of a snapshot and not written yet.
    let mut read: BTreeMap<&Bytes, &Option<Bytes>> = BTreeMap::new();
    for step in &record.steps {
        match step {
            Step::Get { key, saw, at } => {
                let there = match at {
                    None => state.get(key).cloned(),
                    Some(at) => own.get(key).map_or_else(|| as_of(&others, *at, key), |value| (*value).clone()),
                };
                if there != *saw {
                    return Err(format!("{step:?} should have seen {there:?}"));
                }
                match at {
                    Some(_) if !own.contains_key(key) => drop(read.insert(key, saw)),
                    // Under a lock the newest is known.
                    _ => drop(read.remove(key)),
                }
            }
            Step::Scan { span, saw, at } => {
                let there = match at {
                    None => state.clone(),
                    Some(at) => snapshot(&others, *at, &own),
                };
                let there: Vec<_> = there.iter().filter(|(key, _)| span.contains(key)).collect();
                if !there.iter().copied().eq(saw.iter().map(|(key, value)| (key, value))) {
                    return Err(format!("{step:?} should have seen {there:?}"));
                }
            }
            Step::Write { key, value, blind } => {
                if let Some(saw) = read.remove(key).filter(|saw| !blind && state.get(key) != saw.as_ref()) {
                    return Err(format!("{step:?} loses an update: it rests on {saw:?}, not on {:?}", state.get(key)));
                }
                own.insert(key, value);
                match value {
                    Some(value) => state.insert(key.clone(), value.clone()),
                    None => state.remove(key),
                };
            }
        }
    }
    Ok(())
}

/// The newest value at or below a timestamp. The versions of each key come newest first.
fn as_of(versions: &[&Version], at: Timestamp, key: &Bytes) -> Option<Bytes> {
    versions.iter().find(|version| version.key == *key && version.at <= at)?.value.clone()
}

/// All rows as of a timestamp, under a transaction's own writes.
fn snapshot(versions: &[&Version], at: Timestamp, own: &BTreeMap<&Bytes, &Option<Bytes>>) -> BTreeMap<Bytes, Bytes> {
    let mut rows: BTreeMap<&Bytes, &Option<Bytes>> = BTreeMap::new();
    for version in versions.iter().filter(|version| version.at <= at) {
        rows.entry(&version.key).or_insert(&version.value);
    }
    rows.extend(own);
    rows.into_iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
}
