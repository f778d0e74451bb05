//! Registers with unique written values: a read names the write that it saw, but not the order of the writes before.
//!
//! The order of a key's versions is inferred, and only so far (Kingsbury and Alvaro, "Elle", VLDB 2020, section 5):
//! - the absence of a value (`nil`) comes before all values;
//! - who reads a version and then writes one puts the second after the first; so does who writes twice;
//! - with [`Assumptions::linearizable_keys`]: what an operation read or wrote comes before what a later one, in real time,
//!   reads or writes in the same key. Only for databases that promise so.
//!
//! Versions without an inferred order give no dependency: a history that passes may still hold anomalies that lists show.
//!
//! In files: `:f :txn :value [[:w 5 1] [:r 6 nil]]`.

mod edges;
mod local;
mod versions;

use std::fmt::Write;

use super::{Anomaly, Findings, Kind, cycles, explain, graph::Edge};
use crate::{
    edn::{Cursor, Error},
    history::{
        Body, History, Names, Operation,
        body::{decode_steps, encode_steps},
    },
};
use versions::Versions;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes a value, unique in the whole history, to a key.
    Write { key: u64, value: u64 },
    /// `None`: no value; of an operation that did not commit it says nothing.
    Read { key: u64, seen: Option<u64> },
}

type Txn = Operation<Vec<Step>>;

/// What may be taken for granted about the order of versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assumptions {
    /// Each key by itself is linearizable.
    pub linearizable_keys: bool,
}

pub fn check(history: &History<Vec<Step>>, assumptions: Assumptions) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let versions = Versions::new(history, assumptions, &mut findings);
    local::check(history, &versions, &mut findings);
    let graph = edges::graph(history, &versions);
    for found in cycles::find(&graph) {
        findings.add_anomaly(found.kind, || {
            explain::anomaly(history, &found, |from, to, arc, [one, other]| {
                let key = history.names.show(versions.keys[arc.key() as usize]).to_string();
                let show = |value: Option<u64>| match value {
                    Some(value) => history.names.show(value).to_string(),
                    None => "nil".to_owned(),
                };
                let (of, written) = (versions.keys[arc.key() as usize], local::last_write);
                let reason = match arc.edge() {
                    Edge::WriteWrite => {
                        let (first, second) = (show(written(from, of)), show(written(to, of)));
                        format!("{one} wrote {first} to key {key} and {other} wrote {second} after it")
                    }
                    Edge::WriteRead => {
                        format!("{other} read the {} that {one} wrote to key {key}", show(written(from, of)))
                    }
                    _ => {
                        let (seen, second) = (show(local::first_read(from, of)), show(written(to, of)));
                        format!("{one} read key {key} as {seen}, and {other} wrote {second} after that")
                    }
                };
                (key, reason)
            })
        });
    }
    findings.finish()
}

impl Body for Vec<Step> {
    fn decode(f: &str, value: &mut Cursor<'_>, names: &mut Names) -> Result<Option<Self>, Error> {
        // Long-fork histories say `:read` and `:write` for transactions of one kind.
        if !matches!(f, "txn" | "read" | "write") {
            return Ok(None);
        }
        decode_steps(value, |name, cursor| match name {
            "w" | "write" => Ok(Step::Write { key: names.read(cursor)?, value: names.read(cursor)? }),
            "r" | "read" => Ok(Step::Read { key: names.read(cursor)?, seen: names.read_or_nil(cursor)? }),
            other => Err(cursor.error(format!("`:{other}` is no step of rw-register: :w or :r"))),
        })
        .map(Some)
    }

    fn encode(&self, answered: bool, names: &Names, out: &mut String) -> &'static str {
        encode_steps(self, out, |step, out| {
            let _ = match step {
                Step::Write { key, value } => write!(out, "[:w {} {}]", names.show(*key), names.show(*value)),
                Step::Read { key, seen: Some(value) } if answered => {
                    write!(out, "[:r {} {}]", names.show(*key), names.show(*value))
                }
                Step::Read { key, .. } => write!(out, "[:r {} nil]", names.show(*key)),
            };
        });
        "txn"
    }
}

/// Two versions of one key in a circle.
fn cyclic(findings: &mut Findings, history: &History<Vec<Step>>, versions: &Versions, group: &[u32]) {
    findings.add(Kind::CyclicVersions, &[], || {
        let show = |version: &u32| match versions.list[*version as usize].1 {
            Some(value) => history.names.show(value).to_string(),
            None => "nil".to_owned(),
        };
        let key = versions.list[group[0] as usize].0;
        let (key, shown) = (history.names.show(versions.keys[key as usize]), group.iter().map(show));
        format!("of the versions {} of {key} each must come before the others", shown.collect::<Vec<_>>().join(", "))
    });
}
