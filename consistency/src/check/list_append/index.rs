//! Who appended what, and in which order the appends to a key took effect.

use std::collections::HashMap;

use super::Txn;
use crate::{
    check::{Findings, Kind},
    history::{History, Outcome, Step},
};

/// An append: one value, by one operation.
#[derive(Clone, Copy, Debug)]
pub struct Append {
    pub key: u32,
    pub value: u64,
    pub operation: u32,
    /// No later append of the same operation to the same key follows.
    pub is_last: bool,
}

/// What a read says about a key: the values that others had appended, without those of the reader at the end.
#[derive(Clone, Copy)]
pub struct Read<'h> {
    pub operation: u32,
    pub key: u32,
    pub others: &'h [u64],
    /// The key was not there when a predicate was evaluated.
    pub by_predicate: bool,
}

/// The order of a key.
#[derive(Clone, Default)]
pub struct KeyOrder<'h> {
    /// The longest read.
    pub values: &'h [u64],
    /// Who made it.
    pub reader: u32,
    pub is_read: bool,
    /// The operation that appended each of the values; [`NOBODY`] where nobody did.
    pub writers: Vec<u32>,
}

pub const NOBODY: u32 = u32::MAX;

pub struct Index<'h> {
    /// Keys by their dense numbers, ascending.
    pub keys: Vec<u64>,
    /// By key and value.
    pub appends: Vec<Append>,
    /// By key.
    pub orders: Vec<KeyOrder<'h>>,
    numbers: HashMap<u64, u32>,
}

impl<'h> Index<'h> {
    pub fn new(history: &'h History<Vec<Step>>, findings: &mut Findings) -> Index<'h> {
        let keys = keys(history);
        let numbers = keys.iter().enumerate().map(|(number, key)| (*key, number as u32)).collect();
        let orders = vec![KeyOrder::default(); keys.len()];
        let mut index = Index { keys, appends: Vec::new(), orders, numbers };
        index.appends = index.appends(history);
        for pair in index.appends.windows(2) {
            if (pair[0].key, pair[0].value) == (pair[1].key, pair[1].value) {
                findings.add(Kind::Duplicate, &[pair[0].operation as usize, pair[1].operation as usize], || {
                    let (key, value) = (history.names.show(index.keys[pair[0].key as usize]), pair[0].value);
                    format!("the workload appended {} to {key} twice", history.names.show(value))
                });
            }
        }
        index.find_orders(history);
        index
    }

    pub fn number(&self, key: u64) -> u32 {
        self.numbers[&key]
    }

    /// Who appended a value to a key.
    pub fn writer(&self, key: u32, value: u64) -> Option<&Append> {
        let at = self.appends.binary_search_by_key(&(key, value), |append| (append.key, append.value));
        at.ok().map(|at| &self.appends[at])
    }

    /// The appends to a key, by value.
    pub fn appends_to(&self, key: u32) -> &[Append] {
        let begin = self.appends.partition_point(|append| append.key < key);
        let count = self.appends[begin..].partition_point(|append| append.key == key);
        &self.appends[begin..begin + count]
    }

    /// The reads of an operation, scans taken apart into the keys of their range.
    pub fn reads(&self, operation: &'h Txn, mut each: impl FnMut(Read<'h>)) {
        let mut read = |key: u32, seen: &'h [u64], by_predicate: bool| {
            let others = without_own(operation, self.keys[key as usize], seen);
            each(Read { operation: operation.index as u32, key, others, by_predicate });
        };
        for step in &operation.body {
            match step {
                Step::Read { key, seen: Some(seen) } => read(self.number(*key), seen, false),
                Step::Scan { from, to, seen: Some(lists) } => {
                    let first = self.keys.partition_point(|key| key < from);
                    let end = self.keys.partition_point(|key| key < to);
                    for number in first..end.max(first) {
                        let list = lists.iter().find(|(key, _)| *key == self.keys[number]);
                        let seen = list.map(|(_, list)| list.as_slice());
                        read(number as u32, seen.unwrap_or_default(), seen.is_none());
                    }
                }
                _ => {}
            }
        }
    }

    fn appends(&self, history: &History<Vec<Step>>) -> Vec<Append> {
        let mut appends = Vec::new();
        for operation in &history.operations {
            for (at, step) in operation.body.iter().enumerate() {
                let Step::Append { key, value } = step else { continue };
                let again = |later: &Step| matches!(later, Step::Append { key: other, .. } if other == key);
                let is_last = !operation.body[at + 1..].iter().any(again);
                let (key, operation) = (self.number(*key), operation.index as u32);
                appends.push(Append { key, value: *value, operation, is_last });
            }
        }
        appends.sort_unstable_by_key(|append| (append.key, append.value, append.operation));
        appends
    }

    /// The longest committed read of each key.
    fn find_orders(&mut self, history: &'h History<Vec<Step>>) {
        let mut orders = std::mem::take(&mut self.orders);
        for operation in history.committed() {
            self.reads(operation, |read| {
                let order = &mut orders[read.key as usize];
                if !order.is_read || read.others.len() > order.values.len() {
                    order.values = read.others;
                    order.reader = read.operation;
                }
                order.is_read = true;
            });
        }
        for (key, order) in orders.iter_mut().enumerate() {
            let writer = |value: &u64| self.writer(key as u32, *value).map_or(NOBODY, |append| append.operation);
            order.writers = order.values.iter().map(writer).collect();
        }
        self.orders = orders;
    }
}

/// All keys, ascending.
fn keys(history: &History<Vec<Step>>) -> Vec<u64> {
    let mut keys = Vec::new();
    for step in history.operations.iter().flat_map(|operation| &operation.body) {
        match step {
            Step::Append { key, .. } | Step::Read { key, .. } => keys.push(*key),
            Step::Scan { seen, .. } => keys.extend(seen.iter().flatten().map(|(key, _)| *key)),
        }
        // Keep the list short where keys repeat.
        if keys.len() >= 1 << 22 {
            keys.sort_unstable();
            keys.dedup();
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A read without the operation's own appends at its end, which nobody else may have seen yet.
fn without_own<'a>(operation: &Txn, key: u64, seen: &'a [u64]) -> &'a [u64] {
    let own = |value: &u64| operation.body.contains(&Step::Append { key, value: *value });
    let cut = seen.iter().rposition(|value| !own(value)).map_or(0, |position| position + 1);
    &seen[..cut]
}

/// Whether what an operation wrote may be seen.
pub fn may_be_seen(operation: &Txn) -> bool {
    operation.outcome != Outcome::Aborted
}
