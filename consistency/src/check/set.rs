//! Elements are added, and everything is read: an element is there from its acknowledgement on, once, and for good.
//!
//! In files: `:f :add :value 3` and `:f :read :value #{1 3}` (or a vector).

use std::{collections::BTreeMap, fmt::Write};

use super::{Anomaly, Findings, Kind, numbers};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names, Operation, Outcome},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Add {
        value: i64,
    },
    /// Everything that is there; `None` while not known.
    Read {
        seen: Option<Vec<i64>>,
    },
}

/// An element that no read shows after its acknowledgement is lost when a read that began after all other
/// acknowledgements misses it; one that some read misses and another shows was read stale.
pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut added: BTreeMap<i64, &Operation<Step>> = BTreeMap::new();
    for operation in &history.operations {
        if let Step::Add { value } = operation.body
            && let Some(other) = added.insert(value, operation)
        {
            findings
                .add(Kind::Duplicate, &[other.index, operation.index], || format!("the workload added {value} twice"));
        }
    }
    let acknowledged = added.values().filter(|add| add.outcome == Outcome::Committed);
    let last_acknowledgement = acknowledged.map(|add| add.end).max().unwrap_or(0);
    let mut present_later: BTreeMap<i64, bool> = BTreeMap::new();
    let mut stale: Vec<(i64, usize, u64)> = Vec::new();
    for (read, seen) in reads(history) {
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        foreign(read, &sorted, &added, &mut findings);
        for (value, add) in &added {
            if add.outcome != Outcome::Committed || add.end >= read.begin {
                continue;
            }
            let is_present = sorted.binary_search(value).is_ok();
            *present_later.entry(*value).or_default() |= is_present;
            if !is_present {
                stale.push((*value, read.index, read.begin));
            }
        }
    }
    for (value, read, begin) in stale {
        let is_last_word = begin > last_acknowledgement && !present_later[&value];
        let kind = if is_last_word { Kind::LostWrite } else { Kind::StaleRead };
        let add = added[&value].index;
        findings.add(kind, &[read, add], || {
            format!("operation {read} did not read {value}, which operation {add} had added before")
        });
    }
    findings.finish()
}

fn reads(history: &History<Step>) -> impl Iterator<Item = (&Operation<Step>, &Vec<i64>)> {
    history.committed().filter_map(|operation| match &operation.body {
        Step::Read { seen: Some(seen) } => Some((operation, seen)),
        _ => None,
    })
}

/// What must not be there at all, or not twice.
fn foreign(read: &Operation<Step>, sorted: &[i64], added: &BTreeMap<i64, &Operation<Step>>, findings: &mut Findings) {
    let index = read.index;
    for value in sorted {
        match added.get(value) {
            None => findings.add(Kind::UnwrittenRead, &[index], || {
                format!("operation {index} read {value}, which nobody ever added")
            }),
            Some(add) if add.outcome == Outcome::Aborted => findings.add(Kind::G1a, &[index, add.index], || {
                format!("operation {index} read {value}, which the aborted {} added", add.index)
            }),
            Some(add) if add.begin > read.end => findings.add(Kind::UnwrittenRead, &[index, add.index], || {
                format!("operation {index} read {value} before operation {} began to add it", add.index)
            }),
            Some(_) => {}
        }
    }
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        findings.add(Kind::Duplicate, &[index], || format!("operation {index} read {} more than once", pair[0]));
    }
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        let value = cursor.value()?;
        match (f, &value) {
            ("add", Value::Integer(value)) => Ok(Some(Step::Add { value: *value })),
            ("add", _) => Err(at.error("an :add needs an integer")),
            ("read", value) => Ok(Some(Step::Read { seen: numbers::decode(value, &at)? })),
            _ => Ok(None),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        match self {
            Step::Add { value } => {
                let _ = write!(out, "{value}");
                "add"
            }
            Step::Read { seen } => {
                numbers::encode(seen.as_deref().filter(|_| answered), out);
                "read"
            }
        }
    }
}
