//! The dependencies that lists reveal.

use std::ops::Range;

use super::index::{Append, Index, NOBODY, Read, may_be_seen};
use crate::{
    check::graph::{Builder, Edge, Graph},
    history::{History, Outcome, Step},
};

type Lists = History<Vec<Step>>;

pub fn graph<'h>(history: &'h Lists, index: &Index<'h>) -> Graph {
    let mut builder = Builder::new(history.operations.len());
    let broken = broken(history, index);
    let unseen = Unseen::new(history, index, &mut builder);
    write_write(history, index, &broken, &unseen, &mut builder);
    for operation in history.committed() {
        index.reads(operation, |read| {
            if !broken[read.key as usize] {
                of_read(history, index, &read, &unseen, &mut builder);
            }
        });
    }
    builder.add_process_order(history);
    // An operation of unknown outcome counts only through the values that others saw; it has no end.
    let happened = history.operations.iter().filter(|operation| operation.outcome != Outcome::Aborted);
    let intervals: Vec<(u32, u64, u64)> =
        happened.map(|operation| (operation.index as u32, operation.begin, operation.end)).collect();
    builder.add_real_time(&intervals);
    builder.build()
}

/// Keys whose reads do not agree, or show a value twice: no dependency is taken from them.
fn broken<'h>(history: &'h Lists, index: &Index<'h>) -> Vec<bool> {
    let mut broken: Vec<bool> = index.orders.iter().map(|order| super::local::twice(order.values).is_some()).collect();
    for operation in history.committed() {
        index.reads(operation, |read| {
            broken[read.key as usize] |= !index.orders[read.key as usize].values.starts_with(read.others);
        });
    }
    broken
}

/// Committed appends that no read shows: they come after everything that was read, in an order that nobody knows.
struct Unseen {
    /// By key: a node before all of them; [`NOBODY`] where there are none.
    nodes: Vec<u32>,
    /// The operations, by key and ascending.
    appends: Vec<u32>,
    /// By key: its part of `appends`.
    ranges: Vec<Range<usize>>,
}

impl Unseen {
    fn new(history: &Lists, index: &Index<'_>, builder: &mut Builder) -> Unseen {
        let keys = index.keys.len();
        let mut unseen = Unseen { nodes: vec![NOBODY; keys], appends: Vec::new(), ranges: vec![0..0; keys] };
        let mut at = 0;
        while at < index.appends.len() {
            let key = index.appends[at].key;
            let count = index.appends[at..].partition_point(|append| append.key == key);
            let appends = &index.appends[at..at + count];
            at += count;
            let order = &index.orders[key as usize];
            // Values are unique, so that equal numbers mean that everything was seen.
            if !order.is_read || order.values.len() >= appends.len() {
                continue;
            }
            let mut seen = order.values.to_vec();
            seen.sort_unstable();
            let is_unseen = |append: &&Append| {
                let is_committed = history.operations[append.operation as usize].outcome == Outcome::Committed;
                is_committed && seen.binary_search(&append.value).is_err()
            };
            let mut operations: Vec<u32> = appends.iter().filter(is_unseen).map(|append| append.operation).collect();
            operations.sort_unstable();
            operations.dedup();
            unseen.put(key, &operations, builder);
        }
        unseen
    }

    fn put(&mut self, key: u32, operations: &[u32], builder: &mut Builder) {
        if operations.is_empty() {
            return;
        }
        let node = builder.add_node();
        operations.iter().for_each(|operation| builder.add(node, *operation, Edge::Via, key));
        self.nodes[key as usize] = node;
        self.ranges[key as usize] = self.appends.len()..self.appends.len() + operations.len();
        self.appends.extend(operations);
    }

    /// Draws an edge from an operation to all of them but itself.
    fn add(&self, from: u32, edge: Edge, key: u32, builder: &mut Builder) {
        let node = self.nodes[key as usize];
        if node != NOBODY {
            builder.add_through(from, node, &self.appends[self.ranges[key as usize].clone()], edge, key);
        }
    }
}

fn write_write(history: &Lists, index: &Index<'_>, broken: &[bool], unseen: &Unseen, builder: &mut Builder) {
    for (key, order) in index.orders.iter().enumerate() {
        if broken[key] {
            continue;
        }
        let key = key as u32;
        let happened = |writer: &&u32| **writer != NOBODY && may_be_seen(&history.operations[**writer as usize]);
        let mut writers = order.writers.iter().filter(happened);
        let Some(mut last) = writers.next() else { continue };
        for writer in writers {
            builder.add(*last, *writer, Edge::WriteWrite, key);
            last = writer;
        }
        unseen.add(*last, Edge::WriteWrite, key, builder);
    }
}

fn of_read(history: &Lists, index: &Index<'_>, read: &Read<'_>, unseen: &Unseen, builder: &mut Builder) {
    let order = &index.orders[read.key as usize];
    let happened = |writer: &u32| *writer != NOBODY && may_be_seen(&history.operations[*writer as usize]);
    let (before, after) = order.writers.split_at(read.others.len());
    if let Some(writer) = before.last().filter(|writer| happened(writer)) {
        builder.add(*writer, read.operation, Edge::WriteRead, read.key);
    }
    let edge = if read.by_predicate { Edge::PredicateReadWrite } else { Edge::ReadWrite };
    match after.iter().find(|writer| happened(writer)) {
        // The reader itself came next: what followed depends on its write.
        Some(next) => builder.add(read.operation, *next, edge, read.key),
        None => unseen.add(read.operation, edge, read.key, builder),
    }
}
