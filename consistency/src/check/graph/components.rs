//! Strongly connected components (Tarjan 1972), without recursion.

use super::{Edge, EdgeSet, Graph};

/// A graph as a search sees it.
pub trait View {
    fn nodes(&self) -> usize;

    fn degree(&self, node: u32) -> usize;

    /// The target of an edge; `None` when it does not count.
    fn target(&self, node: u32, position: usize) -> Option<u32>;
}

/// Only some kinds of edges, and only within the components of a coarser view.
pub struct Masked<'a> {
    pub graph: &'a Graph,
    pub edges: EdgeSet,
    pub within: Option<&'a [u32]>,
}

impl View for Masked<'_> {
    fn nodes(&self) -> usize {
        self.graph.nodes()
    }

    fn degree(&self, node: u32) -> usize {
        self.graph.arcs(node).len()
    }

    fn target(&self, node: u32, position: usize) -> Option<u32> {
        let arc = self.graph.arcs(node)[position];
        let is_inside = self.within.is_none_or(|within| within[node as usize] == within[arc.target as usize]);
        (is_inside && self.edges.contains(arc.edge())).then_some(arc.target)
    }
}

/// Walks in which no anti-dependency follows another: node `2 v` is operation `v`, node `2 v + 1` is `v` reached by an
/// anti-dependency. Snapshot isolation rules out every cycle here, and only these (Fekete et al. 2005; Cerone and Gotsman
/// 2016: `(so ∪ wr ∪ ww) ; rw?` is acyclic), so that one linear search decides it.
pub struct Nonadjacent<'a> {
    pub graph: &'a Graph,
    /// With the anti-dependencies.
    pub edges: EdgeSet,
    pub within: Option<&'a [u32]>,
}

impl View for Nonadjacent<'_> {
    fn nodes(&self) -> usize {
        2 * self.graph.nodes()
    }

    fn degree(&self, node: u32) -> usize {
        self.graph.arcs(node / 2).len()
    }

    fn target(&self, node: u32, position: usize) -> Option<u32> {
        let arc = self.graph.arcs(node / 2)[position];
        let is_inside = self.within.is_none_or(|within| within[node as usize / 2] == within[arc.target as usize]);
        if !is_inside || !self.edges.contains(arc.edge()) {
            return None;
        }
        let after_anti_dependency = node % 2;
        match arc.edge() {
            Edge::ReadWrite | Edge::PredicateReadWrite if after_anti_dependency == 1 => None,
            Edge::ReadWrite | Edge::PredicateReadWrite => Some(2 * arc.target + 1),
            // The second half of an edge is of the kind of the first.
            Edge::Via => Some(2 * arc.target + after_anti_dependency),
            _ => Some(2 * arc.target),
        }
    }
}

const NONE: u32 = u32::MAX;

/// The number of each node's component.
pub fn components(view: &impl View) -> Vec<u32> {
    let count = view.nodes();
    let (mut index, mut low, mut component) = (vec![NONE; count], vec![0u32; count], vec![NONE; count]);
    // `calls` holds the nodes on the way, each with the position of its next edge.
    let (mut stack, mut calls) = (Vec::<u32>::new(), Vec::<(u32, u32)>::new());
    let (mut next_index, mut next_component) = (0, 0);
    for root in 0..count as u32 {
        if index[root as usize] != NONE {
            continue;
        }
        calls.push((root, 0));
        while let Some(call) = calls.last_mut() {
            let (node, position) = *call;
            let at = node as usize;
            if position == 0 && index[at] == NONE {
                index[at] = next_index;
                low[at] = next_index;
                next_index += 1;
                stack.push(node);
            }
            if (position as usize) < view.degree(node) {
                call.1 += 1;
                let Some(child) = view.target(node, position as usize) else { continue };
                if index[child as usize] == NONE {
                    calls.push((child, 0));
                } else if component[child as usize] == NONE {
                    low[at] = low[at].min(index[child as usize]);
                }
                continue;
            }
            calls.pop();
            if let Some((parent, _)) = calls.last() {
                low[*parent as usize] = low[*parent as usize].min(low[at]);
            }
            if low[at] == index[at] {
                while let Some(member) = stack.pop() {
                    component[member as usize] = next_component;
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

/// The components of more than one node, each with its nodes in order; ordered by their first nodes.
pub fn nontrivial(components: &[u32]) -> Vec<Vec<u32>> {
    let mut sizes = vec![0u32; components.len()];
    components.iter().for_each(|component| sizes[*component as usize] += 1);
    let mut slots = vec![NONE; components.len()];
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (node, component) in components.iter().enumerate() {
        let component = *component as usize;
        if sizes[component] < 2 {
            continue;
        }
        if slots[component] == NONE {
            slots[component] = groups.len() as u32;
            groups.push(Vec::with_capacity(sizes[component] as usize));
        }
        groups[slots[component] as usize].push(node as u32);
    }
    groups
}
