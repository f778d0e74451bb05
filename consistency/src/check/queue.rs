//! A queue without order (`FOR UPDATE SKIP LOCKED`): what is put in comes out, once.
//!
//! In files: `:f :enqueue :value 3`, `:f :dequeue :value 3` (nil: nothing was there).

use std::{collections::BTreeMap, fmt::Write};

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names, Operation, Outcome},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Enqueue {
        value: i64,
    },
    /// `None`: empty, or not known.
    Dequeue {
        value: Option<i64>,
    },
}

/// `is_drained`: at the end the queue was emptied, so that what was put in and never came out is lost. A dequeue of unknown
/// outcome may have taken one element each.
pub fn check(history: &History<Step>, is_drained: bool) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut enqueued: BTreeMap<i64, &Operation<Step>> = BTreeMap::new();
    let mut dequeued: BTreeMap<i64, &Operation<Step>> = BTreeMap::new();
    for operation in &history.operations {
        if let Step::Enqueue { value } = operation.body {
            enqueued.insert(value, operation);
        }
    }
    for operation in history.committed() {
        let Step::Dequeue { value: Some(value) } = operation.body else { continue };
        let index = operation.index;
        match enqueued.get(&value) {
            None => findings
                .add(Kind::UnwrittenRead, &[index], || format!("operation {index} took {value}, which nobody put in")),
            Some(put) if put.outcome == Outcome::Aborted => findings.add(Kind::G1a, &[index, put.index], || {
                format!("operation {index} took {value}, which the aborted operation {} put in", put.index)
            }),
            Some(_) => {}
        }
        if let Some(other) = dequeued.insert(value, operation) {
            findings.add(Kind::TakenTwice, &[other.index, index], || {
                format!("operations {} and {index} both took {value}", other.index)
            });
        }
    }
    if is_drained {
        let is_unknown = |operation: &&Operation<Step>| {
            operation.outcome == Outcome::Unknown && matches!(operation.body, Step::Dequeue { .. })
        };
        let excused = history.operations.iter().filter(is_unknown).count();
        let lost: Vec<(i64, usize)> = enqueued
            .iter()
            .filter(|(value, put)| put.outcome == Outcome::Committed && !dequeued.contains_key(value))
            .map(|(value, put)| (*value, put.index))
            .collect();
        if lost.len() > excused {
            findings.add(Kind::LostWrite, &[lost[0].1], || {
                format!(
                    "{} elements were put in and never came out, {excused} of which operations of unknown outcome may \
                     have taken; the first is {} of operation {}",
                    lost.len(),
                    lost[0].0,
                    lost[0].1
                )
            });
        }
    }
    findings.finish()
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        match (f, cursor.value()?) {
            ("enqueue", Value::Integer(value)) => Ok(Some(Step::Enqueue { value })),
            ("dequeue", Value::Integer(value)) => Ok(Some(Step::Dequeue { value: Some(value) })),
            ("dequeue", Value::Nil) => Ok(Some(Step::Dequeue { value: None })),
            ("enqueue" | "dequeue", _) => Err(at.error("a queue holds integers")),
            _ => Ok(None),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        let (f, value) = match self {
            Step::Enqueue { value } => ("enqueue", Some(*value)),
            Step::Dequeue { value } => ("dequeue", value.filter(|_| answered)),
        };
        let _ = match value {
            Some(value) => write!(out, "{value}"),
            None => write!(out, "nil"),
        };
        f
    }
}
