//! Predicate write skew (G2): two transactions each look for rows by a predicate, find none, and each insert one that the
//! other one's predicate would have found. At most one of them may commit.
//!
//! In files, as Jepsen's `g2`: `:f :insert :value [key [a-id b-id]]`, one of the ids nil.

use std::{collections::BTreeMap, fmt::Write};

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names},
};

/// An insert of `id` under `key` on the condition that nothing is there under `key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: i64,
    pub id: i64,
    /// Into the second of two tables.
    pub is_second: bool,
}

pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut first: BTreeMap<i64, usize> = BTreeMap::new();
    for operation in history.committed() {
        let key = operation.body.key;
        if let Some(other) = first.insert(key, operation.index) {
            findings.add(Kind::WriteSkew, &[other, operation.index], || {
                format!(
                    "operations {other} and {} both found nothing under key {key}, and both inserted there",
                    operation.index
                )
            });
        }
    }
    findings.finish()
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        if f != "insert" {
            return Ok(None);
        }
        let at = cursor.clone();
        let value = cursor.value()?;
        let items = value.items().unwrap_or_default();
        let ids = items.get(1).and_then(Value::items).unwrap_or_default();
        let (key, a, b) = (items.first(), ids.first(), ids.get(1));
        let integer = |value: Option<&Value>| value.and_then(Value::integer);
        match (integer(key), integer(a), integer(b)) {
            (Some(key), Some(id), None) => Ok(Some(Step { key, id, is_second: false })),
            (Some(key), None, Some(id)) => Ok(Some(Step { key, id, is_second: true })),
            _ => Err(at.error("expected [key [a-id b-id]] with one id")),
        }
    }

    fn encode(&self, _answered: bool, _names: &Names, out: &mut String) -> &'static str {
        let (key, id) = (self.key, self.id);
        let _ = if self.is_second { write!(out, "[{key} [nil {id}]]") } else { write!(out, "[{key} [{id} nil]]") };
        "insert"
    }
}
