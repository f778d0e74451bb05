//! Shortest cycles by breadth-first search, with a budget: that there is a cycle is known before, and which one is shown may
//! depend on how long it takes to look.

use std::collections::VecDeque;

use super::{
    Arc, Edge, EdgeSet, Graph,
    components::{Masked, Nonadjacent, View},
};

/// Operations, each with the edge to the next; the last one leads to the first.
pub type Cycle = Vec<(u32, Arc)>;

const NONE: u32 = u32::MAX;

/// How many edges one search for the shortest of a component's cycles may look at.
const BUDGET: u64 = 2_000_000;

/// Memory for searches in one graph, used again and again.
pub struct Search<'g> {
    graph: &'g Graph,
    /// Where each node was reached from, and by which of the edges there.
    parents: Vec<(u32, u32)>,
    /// Nodes whose parents must be cleared before the next search.
    reached: Vec<u32>,
    looked_at: u64,
}

impl<'g> Search<'g> {
    pub fn new(graph: &'g Graph) -> Search<'g> {
        Search { graph, parents: vec![(NONE, 0); 2 * graph.nodes()], reached: Vec::new(), looked_at: 0 }
    }

    /// A short cycle among the nodes of a component, the shortest if the budget lasts.
    pub fn shortest(&mut self, component: &[u32], edges: EdgeSet, within: &[u32]) -> Option<Cycle> {
        let view = Masked { graph: self.graph, edges, within: Some(within) };
        let mut best: Option<Cycle> = None;
        self.looked_at = 0;
        for node in component.iter().filter(|node| self.graph.is_operation(**node)) {
            let Some(path) = self.path(&view, *node, *node) else { continue };
            let cycle = self.cycle(&path, 1);
            if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
                best = Some(cycle);
            }
            let is_shortest = best.as_ref().is_some_and(|best| best.len() == 2);
            if is_shortest || self.looked_at > BUDGET {
                break;
            }
        }
        best
    }

    /// A cycle with exactly one anti-dependency; if there is none (or it is not found within the budget) one in which no two
    /// are adjacent. `component` is one of [`Nonadjacent`]; `dependencies` are the edges that are no anti-dependencies.
    pub fn nonadjacent(
        &mut self,
        component: &[u32],
        dependencies: EdgeSet,
        anti: EdgeSet,
        within: &[u32],
    ) -> Option<Cycle> {
        self.single(component, dependencies, anti, within).or_else(|| {
            let view = Nonadjacent { graph: self.graph, edges: dependencies.with(anti), within: Some(within) };
            let start = component.iter().find(|node| self.graph.is_operation(**node / 2) && **node % 2 == 1)?;
            let path = self.path(&view, *start, *start)?;
            Some(self.cycle(&path, 2))
        })
    }

    /// The shortest cycle of one anti-dependency and a path of dependencies back.
    fn single(&mut self, component: &[u32], dependencies: EdgeSet, anti: EdgeSet, within: &[u32]) -> Option<Cycle> {
        let view = Masked { graph: self.graph, edges: dependencies, within: Some(within) };
        let mut best: Option<Cycle> = None;
        self.looked_at = 0;
        for reader in component.iter().filter(|node| **node % 2 == 0).map(|node| node / 2) {
            if !self.graph.is_operation(reader) {
                continue;
            }
            for (position, arc) in self.graph.arcs(reader).iter().enumerate() {
                let is_inside = within[reader as usize] == within[arc.target as usize];
                if !is_inside || !arc.edge().is_anti_dependency() || !anti.contains(arc.edge()) {
                    continue;
                }
                if let Some(mut path) = self.path(&view, arc.target, reader) {
                    path.insert(0, (reader, position as u32));
                    let cycle = self.cycle(&path, 1);
                    if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
                        best = Some(cycle);
                    }
                }
                if best.as_ref().is_some_and(|best| best.len() == 2) || self.looked_at > 10 * BUDGET {
                    return best;
                }
            }
        }
        best
    }

    /// The shortest way: (node, position of the edge to the next), from `start` until before `goal`.
    fn path(&mut self, view: &impl View, start: u32, goal: u32) -> Option<Vec<(u32, u32)>> {
        for node in self.reached.drain(..) {
            self.parents[node as usize] = (NONE, 0);
        }
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for position in 0..view.degree(node) {
                self.looked_at += 1;
                let Some(next) = view.target(node, position) else { continue };
                if self.parents[next as usize].0 != NONE {
                    continue;
                }
                self.parents[next as usize] = (node, position as u32);
                self.reached.push(next);
                if next == goal {
                    return Some(self.way_back(start, goal));
                }
                queue.push_back(next);
            }
        }
        None
    }

    fn way_back(&self, start: u32, goal: u32) -> Vec<(u32, u32)> {
        let mut path = Vec::new();
        let mut at = goal;
        loop {
            let (node, position) = self.parents[at as usize];
            path.push((node, position));
            at = node;
            if at == start {
                break;
            }
        }
        path.reverse();
        path
    }

    /// Leaves out what is no operation: the edge into such a node says why.
    fn cycle(&self, path: &[(u32, u32)], nodes_per_operation: u32) -> Cycle {
        let mut cycle = Cycle::new();
        for (node, position) in path {
            let node = node / nodes_per_operation;
            if self.graph.is_operation(node) {
                cycle.push((node, self.graph.arcs(node)[*position as usize]));
            }
        }
        cycle
    }
}

impl Arc {
    /// Whether the edge needs an order that is not in the data.
    pub fn is_of_time(self) -> bool {
        matches!(self.edge(), Edge::Process | Edge::RealTime)
    }
}
