//! Dependency graphs over operations, and the shortest cycle through a strongly connected component.

use std::collections::{BTreeMap, VecDeque};

/// Why one operation must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// Wrote the version that the other one overwrote.
    WriteWrite,
    /// Wrote what the other one read.
    WriteRead,
    /// Read what the other one overwrote.
    ReadWrite,
    /// Ended before the other one began.
    RealTime,
}

/// Nodes `0..operations` are operations; nodes above are moments of real time (see [`Graph::real_time`]).
pub struct Graph {
    operations: usize,
    edges: Vec<Vec<(u32, Edge)>>,
}

/// A cycle of operations, each with the edge to the next.
pub type Cycle = Vec<(usize, Edge)>;

impl Graph {
    pub fn new(operations: usize) -> Graph {
        Graph { operations, edges: vec![Vec::new(); operations] }
    }

    pub fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to {
            self.edges[from].push((to as u32, edge));
        }
    }

    /// Adds "ended before it began" for all pairs in O(n log n): a chain of moments, one for each end. An operation leads
    /// to the moment of its end, and the last moment before a beginning leads to that operation.
    pub fn real_time(&mut self, intervals: &[(usize, u64, u64)]) {
        let mut ends: Vec<(u64, usize)> =
            intervals.iter().filter(|(_, _, end)| *end != u64::MAX).map(|(op, _, end)| (*end, *op)).collect();
        ends.sort_unstable();
        let first = self.edges.len();
        for (position, (_, operation)) in ends.iter().enumerate() {
            self.edges.push(Vec::new());
            self.edges[*operation].push(((first + position) as u32, Edge::RealTime));
            if position > 0 {
                self.edges[first + position - 1].push(((first + position) as u32, Edge::RealTime));
            }
        }
        for (operation, begin, _) in intervals {
            let before = ends.partition_point(|(end, _)| end < begin);
            if before > 0 {
                self.edges[first + before - 1].push((*operation as u32, Edge::RealTime));
            }
        }
    }

    /// One cycle for each strongly connected component, using edges that `allow` lets through; the shortest through the
    /// component's first operation that has one.
    pub fn cycles(&self, allow: impl Fn(Edge) -> bool) -> Vec<Cycle> {
        let components = self.components(&allow);
        let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for node in 0..self.operations {
            members.entry(components[node]).or_default().push(node);
        }
        members
            .into_values()
            .filter(|nodes| nodes.len() > 1)
            .filter_map(|nodes| {
                nodes
                    .iter()
                    .take(64)
                    .filter_map(|node| self.shortest_cycle(*node, &components, &allow))
                    .min_by_key(Vec::len)
            })
            .collect()
    }

    /// Breadth-first search from a node back to itself within its component; moments of time are left out of the result.
    fn shortest_cycle(&self, start: usize, components: &[u32], allow: &impl Fn(Edge) -> bool) -> Option<Cycle> {
        let mut parent: BTreeMap<usize, (usize, Edge)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for (next, edge) in &self.edges[node] {
                let next = *next as usize;
                if !allow(*edge) || components[next] != components[start] {
                    continue;
                }
                if next == start {
                    let mut path = vec![(node, *edge)];
                    let mut at = node;
                    while at != start {
                        let (previous, edge) = parent[&at];
                        path.push((previous, edge));
                        at = previous;
                    }
                    path.reverse();
                    path.retain(|(node, _)| *node < self.operations);
                    return Some(path);
                }
                if !parent.contains_key(&next) {
                    parent.insert(next, (node, *edge));
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// Tarjan's algorithm without recursion; the number of each node's component.
    fn components(&self, allow: &impl Fn(Edge) -> bool) -> Vec<u32> {
        const NONE: u32 = u32::MAX;
        let count = self.edges.len();
        let (mut index, mut low, mut component) = (vec![NONE; count], vec![0u32; count], vec![NONE; count]);
        let (mut stack, mut calls) = (Vec::new(), Vec::<(usize, usize)>::new());
        let (mut next_index, mut next_component) = (0, 0);
        for root in 0..count {
            if index[root] != NONE {
                continue;
            }
            calls.push((root, 0));
            while let Some((node, position)) = calls.pop() {
                if position == 0 {
                    index[node] = next_index;
                    low[node] = next_index;
                    next_index += 1;
                    stack.push(node);
                } else {
                    let child = self.edges[node][position - 1].0 as usize;
                    if component[child] == NONE && index[child] != NONE {
                        low[node] = low[node].min(low[child]);
                    }
                }
                let unvisited = (position..self.edges[node].len()).find(|at| allow(self.edges[node][*at].1));
                if let Some(at) = unvisited {
                    calls.push((node, at + 1));
                    let child = self.edges[node][at].0 as usize;
                    if index[child] == NONE {
                        calls.push((child, 0));
                    }
                } else if low[node] == index[node] {
                    while let Some(member) = stack.pop() {
                        component[member] = next_component;
                        if member == node {
                            break;
                        }
                    }
                    next_component += 1;
                }
            }
        }
        component
    }
}
