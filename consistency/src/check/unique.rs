//! Things of which there is one: numbers of a sequence, rows under a unique constraint.
//!
//! In files: `:f :generate :value 17`, or `:f :claim :value 17`.

use std::{collections::BTreeMap, fmt::Write};

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names},
};

/// Takes a number for good; `None` until the database has said which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub value: Option<i64>,
}

/// Each number was given to at most one committed operation.
pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut owners: BTreeMap<i64, usize> = BTreeMap::new();
    for operation in history.committed() {
        let Some(value) = operation.body.value else { continue };
        if let Some(other) = owners.insert(value, operation.index) {
            findings.add(Kind::NotUnique, &[other, operation.index], || {
                format!("operations {other} and {} both got {value}", operation.index)
            });
        }
    }
    findings.finish()
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        if !matches!(f, "generate" | "claim") {
            return Ok(None);
        }
        let at = cursor.clone();
        match cursor.value()? {
            Value::Integer(value) => Ok(Some(Step { value: Some(value) })),
            Value::Nil => Ok(Some(Step { value: None })),
            _ => Err(at.error("expected an integer")),
        }
    }

    fn encode(&self, _answered: bool, _names: &Names, out: &mut String) -> &'static str {
        let _ = match self.value {
            Some(value) => write!(out, "{value}"),
            None => write!(out, "nil"),
        };
        "generate"
    }
}
