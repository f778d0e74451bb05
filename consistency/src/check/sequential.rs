//! A client writes the parts of a key one after the other, each in its own transaction; readers read them in the opposite
//! order. Whoever sees a part must see all parts that were written before it.
//!
//! In files: `:f :write :value [key parts]` and `:f :read :value [key [true true nil]]`, the first part first.

use std::fmt::Write;

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes parts 0, 1, … of a key.
    Write { key: i64, parts: u32 },
    /// Which parts were there, the first part first. The last part is read first.
    Read { key: i64, seen: Option<Vec<bool>> },
}

pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    for operation in history.committed() {
        let Step::Read { key, seen: Some(seen) } = &operation.body else { continue };
        let last = seen.iter().rposition(|is_there| *is_there).unwrap_or(0);
        if let Some(missing) = seen[..last].iter().position(|is_there| !is_there) {
            findings.add(Kind::OutOfOrder, &[operation.index], || {
                format!("operation {} saw part {last} of key {key}, and afterwards no part {missing}", operation.index)
            });
        }
    }
    findings.finish()
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        let value = cursor.value()?;
        let items = value.items().unwrap_or_default();
        let (key, second) = (items.first().and_then(Value::integer), items.get(1));
        match (f, key) {
            ("write", Some(key)) => {
                let parts = second.and_then(Value::integer).and_then(|parts| u32::try_from(parts).ok()).unwrap_or(0);
                Ok(Some(Step::Write { key, parts }))
            }
            ("read", Some(key)) => {
                let seen = second.and_then(Value::items);
                let seen = seen.map(|seen| seen.iter().map(|part| !matches!(part, Value::Nil | Value::Bool(false))));
                Ok(Some(Step::Read { key, seen: seen.map(Iterator::collect) }))
            }
            ("write" | "read", None) => Err(at.error("expected [key parts]")),
            _ => Ok(None),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        match self {
            Step::Write { key, parts } => {
                let _ = write!(out, "[{key} {parts}]");
                "write"
            }
            Step::Read { key, seen: Some(seen) } if answered => {
                let seen: Vec<&str> = seen.iter().map(|is_there| if *is_there { "true" } else { "nil" }).collect();
                let _ = write!(out, "[{key} [{}]]", seen.join(" "));
                "read"
            }
            Step::Read { key, .. } => {
                let _ = write!(out, "[{key} nil]");
                "read"
            }
        }
    }
}
