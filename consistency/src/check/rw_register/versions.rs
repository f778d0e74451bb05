//! The versions of registers, and what is known of their order.

use std::collections::HashMap;

use super::{Assumptions, Step, Txn, cyclic};
use crate::{
    check::{
        Findings, Kind,
        graph::{
            Builder, Edge, EdgeSet, Graph, NO_KEY,
            components::{Masked, components, nontrivial},
        },
    },
    history::{History, Outcome},
};

type Registers = History<Vec<Step>>;

pub const NOBODY: u32 = u32::MAX;

pub struct Versions {
    /// Keys by their dense numbers, ascending.
    pub keys: Vec<u64>,
    /// (key, value), ascending: `None`, the initial version, is the first of each key.
    pub list: Vec<(u32, Option<u64>)>,
    /// Who wrote each version.
    pub writers: Vec<u32>,
    /// Operations whose effects are there: committed, or read by a committed one.
    pub happened: Vec<bool>,
    /// Keys whose versions run in a circle, or were written twice: no dependency is taken from them.
    pub is_broken: Vec<bool>,
    /// From each version to those that come directly after it.
    pub order: Graph,
    numbers: HashMap<u64, u32>,
}

impl Versions {
    pub fn new(history: &Registers, assumptions: Assumptions, findings: &mut Findings) -> Versions {
        let mut keys: Vec<u64> = steps(history).map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        let numbers: HashMap<u64, u32> = keys.iter().enumerate().map(|(at, key)| (*key, at as u32)).collect();
        let mut list: Vec<(u32, Option<u64>)> = steps(history).map(|(key, value)| (numbers[&key], value)).collect();
        list.extend((0..keys.len() as u32).map(|key| (key, None)));
        list.sort_unstable();
        list.dedup();
        let mut versions = Versions {
            writers: vec![NOBODY; list.len()],
            happened: history.operations.iter().map(|operation| operation.outcome == Outcome::Committed).collect(),
            is_broken: vec![false; keys.len()],
            order: Builder::new(0).build(),
            keys,
            list,
            numbers,
        };
        versions.find_writers(history, findings);
        versions.find_happened(history);
        versions.find_order(history, assumptions, findings);
        versions
    }

    pub fn key(&self, key: u64) -> u32 {
        self.numbers[&key]
    }

    pub fn version(&self, key: u64, value: Option<u64>) -> u32 {
        let version = (self.key(key), value);
        let at = self.list.binary_search(&version);
        at.expect("every value of the history is a version") as u32
    }

    pub fn is_initial(&self, version: u32) -> bool {
        self.list[version as usize].1.is_none()
    }

    /// Whether something wrote the version and took effect.
    pub fn is_there(&self, version: u32) -> bool {
        let writer = self.writers[version as usize];
        writer != NOBODY && self.happened[writer as usize]
    }

    fn find_writers(&mut self, history: &Registers, findings: &mut Findings) {
        for operation in &history.operations {
            for step in &operation.body {
                let Step::Write { key, value } = step else { continue };
                let version = self.version(*key, Some(*value)) as usize;
                if self.writers[version] != NOBODY {
                    self.is_broken[self.list[version].0 as usize] = true;
                    findings.add(Kind::Duplicate, &[self.writers[version] as usize, operation.index], || {
                        let (key, value) = (history.names.show(*key), history.names.show(*value));
                        format!("the workload wrote {value} to {key} twice")
                    });
                }
                self.writers[version] = operation.index as u32;
            }
        }
    }

    /// An unknown outcome is known once somebody has read what it wrote.
    fn find_happened(&mut self, history: &Registers) {
        for operation in history.committed() {
            for step in &operation.body {
                let Step::Read { key, seen: Some(value) } = step else { continue };
                let writer = self.writers[self.version(*key, Some(*value)) as usize];
                if writer != NOBODY && history.operations[writer as usize].outcome == Outcome::Unknown {
                    self.happened[writer as usize] = true;
                }
            }
        }
    }

    fn find_order(&mut self, history: &Registers, assumptions: Assumptions, findings: &mut Findings) {
        let mut builder = Builder::new(self.list.len());
        let mut has_predecessor = vec![false; self.list.len()];
        let mut add = |first: u32, second: u32| {
            if first != second {
                builder.add(first, second, Edge::WriteWrite, NO_KEY);
                has_predecessor[second as usize] = true;
            }
        };
        for operation in history.operations.iter().filter(|operation| self.happened[operation.index]) {
            self.within(operation, &mut add);
        }
        if assumptions.linearizable_keys {
            self.in_real_time(history, &mut add);
        }
        let mut initial = 0;
        for version in 0..self.list.len() as u32 {
            if self.is_initial(version) {
                initial = version;
            } else if !has_predecessor[version as usize] {
                builder.add(initial, version, Edge::WriteWrite, NO_KEY);
            }
        }
        self.order = builder.build();
        let edges = EdgeSet::of(&[Edge::WriteWrite]);
        for group in nontrivial(&components(&Masked { graph: &self.order, edges, within: None })) {
            self.is_broken[self.list[group[0] as usize].0 as usize] = true;
            cyclic(findings, history, self, &group);
        }
    }

    /// What a transaction's own steps say: a version that it read or wrote comes before the one that it writes next.
    fn within(&self, operation: &Txn, add: &mut impl FnMut(u32, u32)) {
        for (at, step) in operation.body.iter().enumerate() {
            let Step::Write { key, value } = step else { continue };
            let before = operation.body[..at].iter().rev().find_map(|earlier| self.touched(operation, earlier, *key));
            if let Some(before) = before {
                add(before, self.version(*key, Some(*value)));
            }
        }
    }

    /// The version that a step reads or writes of a key.
    fn touched(&self, operation: &Txn, step: &Step, of: u64) -> Option<u32> {
        match step {
            Step::Write { key, value } if *key == of => Some(self.version(of, Some(*value))),
            Step::Read { key, seen } if *key == of && operation.outcome == Outcome::Committed => {
                Some(self.version(of, *seen))
            }
            _ => None,
        }
    }

    /// Between operations that follow each other in real time, key by key. Operations that another one followed already are
    /// left out: the order through that one says the same.
    fn in_real_time(&self, history: &Registers, add: &mut impl FnMut(u32, u32)) {
        let mut touches: Vec<(u32, u64, u64, u32, u32)> = Vec::new();
        for operation in history.committed() {
            let mut keys: Vec<u64> = operation.body.iter().map(Step::key).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let mut versions = operation.body.iter().filter_map(|step| self.touched(operation, step, key));
                let Some(first) = versions.next() else { continue };
                let last = versions.next_back().unwrap_or(first);
                touches.push((self.key(key), operation.begin, operation.end, first, last));
            }
        }
        touches.sort_unstable();
        let mut at = 0;
        while at < touches.len() {
            let key = touches[at].0;
            let count = touches[at..].partition_point(|touch| touch.0 == key);
            in_real_time(&touches[at..at + count], add);
            at += count;
        }
    }
}

/// One key: (key, begin, end, first version, last version) by beginning.
fn in_real_time(touches: &[(u32, u64, u64, u32, u32)], add: &mut impl FnMut(u32, u32)) {
    let mut by_end: Vec<&(u32, u64, u64, u32, u32)> = touches.iter().collect();
    by_end.sort_unstable_by_key(|touch| touch.2);
    let (mut ended, mut frontier) = (by_end.into_iter().peekable(), Vec::<(u64, u32)>::new());
    for (_, begin, _, first, _) in touches {
        while let Some((_, begun, end, _, last)) = ended.next_if(|touch| touch.2 < *begin) {
            frontier.retain(|(before, _)| before >= begun);
            frontier.push((*end, *last));
        }
        frontier.iter().for_each(|(_, last)| add(*last, *first));
    }
}

fn steps(history: &Registers) -> impl Iterator<Item = (u64, Option<u64>)> {
    history.operations.iter().flat_map(|operation| &operation.body).map(|step| match step {
        Step::Write { key, value } => (*key, Some(*value)),
        Step::Read { key, seen } => (*key, *seen),
    })
}

impl Step {
    pub fn key(&self) -> u64 {
        match self {
            Step::Write { key, .. } | Step::Read { key, .. } => *key,
        }
    }
}
