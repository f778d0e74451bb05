//! Dependency graphs over operations, dense and flat: a million operations and their edges fit in some hundred megabytes.
//!
//! [`Builder`] collects edges, [`Graph`] holds them sorted by source (compressed sparse rows), [`components`] finds strongly
//! connected components, [`search`] shortest cycles in them.

pub mod components;
pub mod search;

use serde::Serialize;

use crate::history::History;

/// Why one operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Edge {
    /// Wrote the version that the other one overwrote.
    WriteWrite = 0,
    /// Wrote what the other one read.
    WriteRead = 1,
    /// Read what the other one overwrote.
    ReadWrite = 2,
    /// Did not find by a predicate what the other one wrote.
    PredicateReadWrite = 3,
    /// Came before in the same process.
    Process = 4,
    /// Ended before the other one began.
    RealTime = 5,
    /// The second half of an edge through a node that is no operation.
    Via = 6,
}

impl Edge {
    const ALL: [Edge; 7] = [
        Edge::WriteWrite,
        Edge::WriteRead,
        Edge::ReadWrite,
        Edge::PredicateReadWrite,
        Edge::Process,
        Edge::RealTime,
        Edge::Via,
    ];

    /// As papers write it.
    pub fn name(self) -> &'static str {
        match self {
            Edge::WriteWrite => "ww",
            Edge::WriteRead => "wr",
            Edge::ReadWrite => "rw",
            Edge::PredicateReadWrite => "rw (predicate)",
            Edge::Process => "process",
            Edge::RealTime => "real time",
            Edge::Via => "",
        }
    }

    /// What edges that are drawn alike have in common: a class for style sheets.
    pub fn family(self) -> &'static str {
        match self {
            Edge::WriteWrite => "ww",
            Edge::WriteRead => "wr",
            Edge::ReadWrite | Edge::PredicateReadWrite => "rw",
            Edge::Process | Edge::RealTime | Edge::Via => "time",
        }
    }

    pub fn is_anti_dependency(self) -> bool {
        matches!(self, Edge::ReadWrite | Edge::PredicateReadWrite)
    }
}

/// A set of kinds of edges. [`Edge::Via`] is in every set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeSet(u8);

impl EdgeSet {
    pub const fn of(edges: &[Edge]) -> EdgeSet {
        let mut bits = 1 << Edge::Via as u8;
        let mut at = 0;
        while at < edges.len() {
            bits |= 1 << edges[at] as u8;
            at += 1;
        }
        EdgeSet(bits)
    }

    pub const fn with(self, other: EdgeSet) -> EdgeSet {
        EdgeSet(self.0 | other.0)
    }

    pub fn contains(self, edge: Edge) -> bool {
        self.0 & (1 << edge as u8) != 0
    }
}

/// The end of an edge: 32 bits of target, 3 of kind, 29 of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arc {
    pub target: u32,
    kind_and_key: u32,
}

/// Dense number of a key, for explanations. This one stands for none.
pub const NO_KEY: u32 = (1 << 29) - 1;

impl Arc {
    fn new(target: u32, edge: Edge, key: u32) -> Arc {
        assert!(key <= NO_KEY, "too many keys for the graph");
        Arc { target, kind_and_key: (edge as u32) << 29 | key }
    }

    pub fn edge(self) -> Edge {
        Edge::ALL[(self.kind_and_key >> 29) as usize]
    }

    pub fn key(self) -> u32 {
        self.kind_and_key & NO_KEY
    }
}

/// Collects edges in any order.
pub struct Builder {
    operations: u32,
    nodes: u32,
    edges: Vec<(u32, Arc)>,
}

impl Builder {
    pub fn new(operations: usize) -> Builder {
        assert!(operations < u32::MAX as usize / 4, "too many operations for the graph");
        Builder { operations: operations as u32, nodes: operations as u32, edges: Vec::new() }
    }

    pub fn add(&mut self, from: u32, to: u32, edge: Edge, key: u32) {
        if from != to {
            self.edges.push((from, Arc::new(to, edge, key)));
        }
    }

    /// A node that is no operation: many edges into it and many out of it stand for all pairs. Edges out of it are
    /// [`Edge::Via`], those into it say the kind.
    pub fn add_node(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Draws an edge from each of `from` to each of `to` (ascending) but itself; where both are many, through a node.
    pub fn add_all_pairs(&mut self, from: &[u32], to: &[u32], edge: Edge, key: u32) {
        if from.len().min(to.len()) < 4 {
            for source in from {
                to.iter().for_each(|target| self.add(*source, *target, edge, key));
            }
            return;
        }
        let node = self.add_node();
        to.iter().for_each(|target| self.add(node, *target, Edge::Via, key));
        from.iter().for_each(|source| self.add_through(*source, node, to, edge, key));
    }

    /// Draws edges through a node that leads to all of `to` (ascending). An operation that is one of them would reach itself:
    /// it gets its edges directly, to some of the others at least. Such a pair has read and written on top of the same
    /// version, so that the levels it violates are known without the rest.
    pub fn add_through(&mut self, from: u32, node: u32, to: &[u32], edge: Edge, key: u32) {
        if to.binary_search(&from).is_err() {
            self.add(from, node, edge, key);
        } else {
            to.iter().take(64).for_each(|target| self.add(from, *target, edge, key));
        }
    }

    /// What a process did one after the other, as far as it committed.
    pub fn add_process_order<T>(&mut self, history: &History<T>) {
        let committed = history.committed();
        let mut order: Vec<(u32, u64, u32)> =
            committed.map(|operation| (operation.process, operation.begin, operation.index as u32)).collect();
        order.sort_unstable();
        for pair in order.windows(2) {
            let (before, after) = (pair[0].2, pair[1].2);
            let is_over = history.operations[before as usize].end <= history.operations[after as usize].begin;
            if pair[0].0 == pair[1].0 && is_over {
                self.add(before, after, Edge::Process, NO_KEY);
            }
        }
    }

    /// Adds "ended before it began" for all pairs, in O(n log n): a chain of moments. An operation leads to the first moment
    /// at or after its end, and the last moment before a beginning leads to the operation that begins.
    ///
    /// `intervals` are (operation, begin, end); an end of `u64::MAX` never comes.
    pub fn add_real_time(&mut self, intervals: &[(u32, u64, u64)]) {
        let mut begins: Vec<(u64, u32)> = intervals.iter().map(|(operation, begin, _)| (*begin, *operation)).collect();
        begins.sort_unstable();
        let ends = intervals.iter().filter(|(_, _, end)| *end != u64::MAX);
        let mut ends: Vec<(u64, u32)> = ends.map(|(operation, _, end)| (*end, *operation)).collect();
        ends.sort_unstable();
        let (mut begins, mut moment) = (begins.into_iter().peekable(), None);
        // Ends with no beginning between them share a moment.
        let mut is_open = false;
        for (end, operation) in ends {
            // An operation that begins at the very time of an end is concurrent.
            while let Some((_, begun)) = begins.next_if(|(begin, _)| *begin <= end) {
                if let Some(moment) = moment {
                    self.add(moment, begun, Edge::RealTime, NO_KEY);
                    is_open = false;
                }
            }
            if !is_open {
                let next = self.add_node();
                if let Some(moment) = moment {
                    self.add(moment, next, Edge::RealTime, NO_KEY);
                }
                moment = Some(next);
                is_open = true;
            }
            if let Some(moment) = moment {
                self.add(operation, moment, Edge::RealTime, NO_KEY);
            }
        }
        if let Some(moment) = moment {
            begins.for_each(|(_, begun)| self.add(moment, begun, Edge::RealTime, NO_KEY));
        }
    }

    pub fn build(self) -> Graph {
        assert!(self.edges.len() < u32::MAX as usize, "too many edges for the graph");
        let nodes = self.nodes as usize;
        let mut offsets = vec![0u32; nodes + 1];
        for (from, _) in &self.edges {
            offsets[*from as usize + 1] += 1;
        }
        for at in 0..nodes {
            offsets[at + 1] += offsets[at];
        }
        let mut next = offsets.clone();
        let mut arcs = vec![Arc::new(0, Edge::Via, NO_KEY); self.edges.len()];
        for (from, arc) in self.edges {
            let slot = &mut next[from as usize];
            arcs[*slot as usize] = arc;
            *slot += 1;
        }
        Graph { operations: self.operations, offsets, arcs }
    }
}

/// Nodes `0..operations` are operations, those above stand between them.
pub struct Graph {
    operations: u32,
    offsets: Vec<u32>,
    arcs: Vec<Arc>,
}

impl Graph {
    pub fn operations(&self) -> u32 {
        self.operations
    }

    pub fn nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn edges(&self) -> usize {
        self.arcs.len()
    }

    pub fn is_operation(&self, node: u32) -> bool {
        node < self.operations
    }

    pub fn arcs(&self, node: u32) -> &[Arc] {
        &self.arcs[self.offsets[node as usize] as usize..self.offsets[node as usize + 1] as usize]
    }
}

#[cfg(test)]
#[path = "graph_test.rs"]
mod tests;
