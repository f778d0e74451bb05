//! Values that only grow: an observation never shows less than an earlier one did.
//!
//! In files: `:f :inc :value [key value]` and `:f :read :value [key value timestamp]`; the timestamp, at which the database
//! says that the value was current, may be missing.

use std::{collections::BTreeMap, fmt::Write};

use super::{Anomaly, Findings, Kind, Order};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names, Operation},
};

/// An observation of the value of a key: by an increment, whose own result it is, or by a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: i64,
    pub is_increment: bool,
    pub seen: Option<i64>,
    /// Of the database's own order; not compared with the times of clients.
    pub timestamp: Option<u64>,
}

/// Which order observations must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recency {
    /// An observation that began after another had ended shows no less.
    RealTime,
    /// Only of the same process: follower reads may lag behind.
    Session,
    /// Only by the database's timestamps: reads in the past.
    Timestamps,
}

pub fn check(history: &History<Step>, recency: Recency) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut by_key: BTreeMap<i64, Vec<&Operation<Step>>> = BTreeMap::new();
    for operation in history.committed().filter(|operation| operation.body.seen.is_some()) {
        by_key.entry(operation.body.key).or_default().push(operation);
    }
    for operations in by_key.values() {
        distinct(operations, &mut findings);
        by_timestamp(operations, &mut findings);
        if recency != Recency::Timestamps {
            by_process(operations, &mut findings);
        }
        if recency == Recency::RealTime {
            in_real_time(operations, &mut findings);
        }
    }
    findings.finish()
}

/// Each increment makes a value of its own.
fn distinct(operations: &[&Operation<Step>], findings: &mut Findings) {
    let mut made: BTreeMap<Option<i64>, usize> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| operation.body.is_increment) {
        if let Some(other) = made.insert(operation.body.seen, operation.index) {
            findings.add(Kind::LostUpdate, &[other, operation.index], || {
                let value = operation.body.seen.unwrap_or_default();
                format!("operations {other} and {} both made key {} {value}", operation.index, operation.body.key)
            });
        }
    }
}

fn by_timestamp(operations: &[&Operation<Step>], findings: &mut Findings) {
    let mut stamped: Vec<_> = operations.iter().filter(|operation| operation.body.timestamp.is_some()).collect();
    stamped.sort_by_key(|operation| (operation.body.timestamp, operation.body.seen));
    for pair in stamped.windows(2) {
        report(pair[0], pair[1], Order::Data, "has the older timestamp", findings);
        let (before, after) = (&pair[0].body, &pair[1].body);
        let ahead = after.is_increment && before.timestamp < after.timestamp && before.seen == after.seen;
        let differ = before.timestamp == after.timestamp && before.seen != after.seen;
        if ahead || differ {
            findings.add(Kind::NotMonotonic(Order::Data), &[pair[0].index, pair[1].index], || {
                let (first, second) = (pair[0].index, pair[1].index);
                let values = format!("{:?} and {:?} of key {}", before.seen, after.seen, before.key);
                let why = if ahead { "the one before the increment that made it" } else { "as of one timestamp" };
                format!("operations {first} and {second} saw {values}, {why}")
            });
        }
    }
}

fn by_process(operations: &[&Operation<Step>], findings: &mut Findings) {
    let mut last: BTreeMap<u32, &Operation<Step>> = BTreeMap::new();
    for operation in operations {
        if let Some(before) = last.insert(operation.process, operation) {
            report(before, operation, Order::Process, "was the same process's before", findings);
        }
    }
}

fn in_real_time(operations: &[&Operation<Step>], findings: &mut Findings) {
    let mut by_end: Vec<&Operation<Step>> = operations.to_vec();
    by_end.sort_by_key(|operation| operation.end);
    let mut by_begin: Vec<&Operation<Step>> = operations.to_vec();
    by_begin.sort_by_key(|operation| operation.begin);
    let (mut ended, mut greatest) = (by_end.into_iter().peekable(), None::<&Operation<Step>>);
    for operation in by_begin {
        while let Some(before) = ended.next_if(|before| before.end < operation.begin) {
            if greatest.is_none_or(|greatest| greatest.body.seen < before.body.seen) {
                greatest = Some(before);
            }
        }
        if let Some(before) = greatest {
            report(before, operation, Order::RealTime, "had ended before it began", findings);
        }
    }
}

/// `after` must not show less than `before`.
fn report(before: &Operation<Step>, after: &Operation<Step>, order: Order, why: &str, findings: &mut Findings) {
    let (Some(first), Some(second)) = (before.body.seen, after.body.seen) else { return };
    if second < first {
        findings.add(Kind::NotMonotonic(order), &[before.index, after.index], || {
            format!(
                "operation {} saw {second} in key {}, though operation {}, which {why}, saw {first}",
                after.index, after.body.key, before.index
            )
        });
    }
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        if !matches!(f, "inc" | "read") {
            return Ok(None);
        }
        let at = cursor.clone();
        let value = cursor.value()?;
        let items = value.items().unwrap_or_default();
        let (Some(key), seen) = (items.first().and_then(Value::integer), items.get(1).and_then(Value::integer)) else {
            return Err(at.error("expected [key value timestamp]"));
        };
        let timestamp = items.get(2).and_then(Value::integer).and_then(|time| u64::try_from(time).ok());
        Ok(Some(Step { key, is_increment: f == "inc", seen, timestamp }))
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        let _ = match (self.seen.filter(|_| answered), self.timestamp) {
            (None, _) => write!(out, "[{} nil]", self.key),
            (Some(seen), None) => write!(out, "[{} {seen}]", self.key),
            (Some(seen), Some(time)) => write!(out, "[{} {seen} {time}]", self.key),
        };
        if self.is_increment { "inc" } else { "read" }
    }
}
