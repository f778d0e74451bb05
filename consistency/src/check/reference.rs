//! Foreign keys: no read of both tables ever shows a child without its parent.
//!
//! In files: `:f :read :value {:parents [1 2] :children [[10 1] [11 2]]}`; what makes and removes rows is ignored.

use std::fmt::Write;

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Anything that writes: only reads are judged.
    Write {
        text: String,
    },
    Read {
        seen: Option<Tables>,
    },
}

/// The ids of both tables as one transaction saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    pub parents: Vec<i64>,
    /// (id, id of the parent)
    pub children: Vec<(i64, i64)>,
}

pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    for operation in history.committed() {
        let Step::Read { seen: Some(tables) } = &operation.body else { continue };
        let mut parents = tables.parents.clone();
        parents.sort_unstable();
        for (child, parent) in &tables.children {
            if parents.binary_search(parent).is_err() {
                findings.add(Kind::Orphan, &[operation.index], || {
                    format!("operation {} read child {child} of parent {parent}, which is not there", operation.index)
                });
            }
        }
        if let Some(pair) = parents.windows(2).find(|pair| pair[0] == pair[1]) {
            findings.add(Kind::NotUnique, &[operation.index], || {
                format!("operation {} read parent {} twice", operation.index, pair[0])
            });
        }
    }
    findings.finish()
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        let value = cursor.value()?;
        if f != "read" {
            return Ok(Some(Step::Write { text: value.to_string() }));
        }
        if value == Value::Nil {
            return Ok(Some(Step::Read { seen: None }));
        }
        let parents = value.get("parents").and_then(Value::items);
        let parents = parents.and_then(|items| items.iter().map(Value::integer).collect::<Option<Vec<i64>>>());
        let pair = |item: &Value| {
            let pair = item.items()?;
            Some((pair.first()?.integer()?, pair.get(1)?.integer()?))
        };
        let children = value.get("children").and_then(Value::items);
        let children = children.and_then(|items| items.iter().map(pair).collect::<Option<Vec<_>>>());
        match (parents, children) {
            (Some(parents), Some(children)) => Ok(Some(Step::Read { seen: Some(Tables { parents, children }) })),
            _ => Err(at.error("expected {:parents [id …] :children [[id parent] …]}")),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        match self {
            Step::Write { text } => {
                let _ = write!(out, "{}", Value::String(text.clone()));
                "write"
            }
            Step::Read { seen: Some(tables) } if answered => {
                let parents: Vec<String> = tables.parents.iter().map(i64::to_string).collect();
                let children: Vec<String> =
                    tables.children.iter().map(|(child, parent)| format!("[{child} {parent}]")).collect();
                let _ = write!(out, "{{:parents [{}], :children [{}]}}", parents.join(" "), children.join(" "));
                "read"
            }
            Step::Read { .. } => {
                out.push_str("nil");
                "read"
            }
        }
    }
}
