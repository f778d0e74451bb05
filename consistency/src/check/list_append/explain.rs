//! Why one transaction over lists comes before another.

use super::{Txn, index::Index};
use crate::{
    check::{
        Anomaly,
        cycles::Found,
        explain,
        graph::{Arc, Edge},
    },
    history::{History, Step},
};

type Lists = History<Vec<Step>>;

pub fn anomaly<'h>(history: &'h Lists, index: &Index<'h>, found: &Found) -> Anomaly {
    explain::anomaly(history, found, |from, to, arc, names| {
        // The graph holds operations of the history by their numbers.
        let (from, to) = (&history.operations[from.index], &history.operations[to.index]);
        let key = history.names.show(index.keys[arc.key() as usize]).to_string();
        (key.clone(), because(history, index, (from, to), arc, names, &key))
    })
}

fn because<'h>(
    history: &'h Lists,
    index: &Index<'h>,
    (from, to): (&'h Txn, &'h Txn),
    arc: Arc,
    [one, other]: [&str; 2],
    key: &str,
) -> String {
    let number = arc.key();
    let appended = next_append(index, from, to, arc);
    let appended = appended.map_or_else(|| "something".to_owned(), |value| history.names.show(value).to_string());
    let list = |values: &[u64]| history.names.show_list(values);
    match arc.edge() {
        Edge::WriteWrite => {
            let own = last_of(index, from, number).map(|value| history.names.show(value).to_string());
            let own = own.unwrap_or_else(|| "to it".to_owned());
            format!("{one} appended {own} to key {key} and {other} appended {appended} after it")
        }
        Edge::WriteRead => {
            let seen = read_of(index, to, number, true).unwrap_or_default();
            let last = seen.last().map(|value| history.names.show(*value).to_string()).unwrap_or_default();
            format!("{other} read key {key} as {}, of which {one} appended {last}", list(seen))
        }
        Edge::ReadWrite => {
            let seen = read_of(index, from, number, false).unwrap_or_default();
            format!("{one} read key {key} as {}, without the {appended} that {other} appended", list(seen))
        }
        Edge::PredicateReadWrite => {
            format!("{one} looked for keys in a range and did not find key {key}, to which {other} appended {appended}")
        }
        Edge::Process | Edge::RealTime | Edge::Via => String::new(),
    }
}

/// What others had appended in a read of a key: the last such read of the operation, or the first.
fn read_of<'h>(index: &Index<'h>, operation: &'h Txn, key: u32, last: bool) -> Option<&'h [u64]> {
    let mut found: Option<&'h [u64]> = None;
    index.reads(operation, |read| {
        if read.key == key && (last || found.is_none()) {
            found = Some(read.others);
        }
    });
    found
}

/// The last value of an operation in the order of a key.
fn last_of(index: &Index<'_>, operation: &Txn, key: u32) -> Option<u64> {
    let order = &index.orders[key as usize];
    let at = order.writers.iter().rposition(|writer| *writer as usize == operation.index)?;
    Some(order.values[at])
}

/// The value of `to` that follows what `from` read or appended.
fn next_append(index: &Index<'_>, from: &Txn, to: &Txn, arc: Arc) -> Option<u64> {
    let order = &index.orders[arc.key() as usize];
    let begin = match arc.edge() {
        Edge::WriteWrite => order.writers.iter().rposition(|writer| *writer as usize == from.index)?,
        _ => 0,
    };
    let seen = order.writers[begin..].iter().position(|writer| *writer as usize == to.index);
    let unseen = || index.appends_to(arc.key()).iter().find(|append| append.operation as usize == to.index);
    seen.map(|at| order.values[begin + at]).or_else(|| unseen().map(|append| append.value))
}
