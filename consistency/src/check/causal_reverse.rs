//! "Comments": blind inserts one after the other, and reads of all. A read that sees an insert must see every insert that
//! had been acknowledged before that one began; else T2 took effect before T1 though T1 came first in real time.
//!
//! In files: `:f :write :value 3` and `:f :read :value [1 2 3]`.

use std::fmt::Write;

use super::{Anomaly, Findings, Kind, numbers};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names, Operation, Outcome},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Write { id: i64 },
    Read { seen: Option<Vec<i64>> },
}

pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let writes = history.operations.iter().filter_map(|operation| match operation.body {
        Step::Write { id } if operation.outcome != Outcome::Aborted => Some((id, operation)),
        _ => None,
    });
    let writes: Vec<(i64, &Operation<Step>)> = writes.collect();
    for read in history.committed() {
        let Step::Read { seen: Some(seen) } = &read.body else { continue };
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        let is_seen = |id: &i64| sorted.binary_search(id).is_ok();
        // The first acknowledged of those that are missing, and the last begun of those that are there, tell.
        let missing = writes.iter().filter(|(id, write)| write.outcome == Outcome::Committed && !is_seen(id));
        let Some((first, earlier)) = missing.min_by_key(|(_, write)| write.end) else { continue };
        let present = writes.iter().filter(|(id, _)| is_seen(id));
        let Some((second, later)) = present.max_by_key(|(_, write)| write.begin) else { continue };
        if earlier.end < later.begin {
            findings.add(Kind::CausalReverse, &[read.index, earlier.index, later.index], || {
                format!(
                    "operation {} saw {second} but not {first}, though operation {} had written {first} before operation \
                     {} began to write {second}",
                    read.index, earlier.index, later.index
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
            ("write", Value::Integer(id)) => Ok(Some(Step::Write { id })),
            ("write", _) => Err(at.error("a :write needs an integer")),
            ("read", value) => Ok(Some(Step::Read { seen: numbers::decode(&value, &at)? })),
            _ => Ok(None),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        match self {
            Step::Write { id } => {
                let _ = write!(out, "{id}");
                "write"
            }
            Step::Read { seen } => {
                numbers::encode(seen.as_deref().filter(|_| answered), out);
                "read"
            }
        }
    }
}
