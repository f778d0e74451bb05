//! Which cycles a dependency graph has, by class: the decision is exact and linear, the examples are short.
//!
//! For every order (data; with the order of processes; with real time) the classes are tried from the worst on. Each is a set
//! of edges whose strongly connected components are cycles of that class or a worse one; components whose nodes a worse
//! cycle explains already say nothing new about the levels that are violated, and are passed over.

use super::{
    Class, Kind, Order,
    graph::{
        Edge, EdgeSet, Graph,
        components::{Masked, Nonadjacent, components, nontrivial},
        search::{Cycle, Search},
    },
};

/// Cycles shown of each class; the number of further ones is counted.
const SHOWN_MAX: usize = 8;

/// A cycle, and how many more components of its class there are, beside those shown.
pub struct Found {
    pub kind: Kind,
    pub cycle: Cycle,
    pub more: u64,
}

/// A family of cycles. The order of the variants is that in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Family {
    WriteWrite,
    WriteRead,
    /// Those that snapshot isolation forbids, with anti-dependencies on items.
    Snapshot,
    Item,
    SnapshotPredicate,
    Predicate,
}

const FAMILIES: [Family; 6] = [
    Family::WriteWrite,
    Family::WriteRead,
    Family::Snapshot,
    Family::Item,
    Family::SnapshotPredicate,
    Family::Predicate,
];

const WRITES: EdgeSet = EdgeSet::of(&[Edge::WriteWrite]);
const READS: EdgeSet = EdgeSet::of(&[Edge::WriteWrite, Edge::WriteRead]);
const ITEMS: EdgeSet = EdgeSet::of(&[Edge::ReadWrite]);
const PREDICATES: EdgeSet = EdgeSet::of(&[Edge::ReadWrite, Edge::PredicateReadWrite]);

impl Family {
    fn dependencies(self) -> EdgeSet {
        if self == Family::WriteWrite { WRITES } else { READS }
    }

    fn anti_dependencies(self) -> EdgeSet {
        match self {
            Family::WriteWrite | Family::WriteRead => EdgeSet::of(&[]),
            Family::Snapshot | Family::Item => ITEMS,
            Family::SnapshotPredicate | Family::Predicate => PREDICATES,
        }
    }

    /// Families whose cycles violate every level that one of this family violates, as bits.
    fn explained_by(self) -> u8 {
        let up_to = |family: Family| (2u8 << family as u8) - 1;
        match self {
            // Write skew on items is allowed where a predicate's read skew is not, and the other way round.
            Family::SnapshotPredicate => up_to(Family::Snapshot) | 1 << Family::SnapshotPredicate as u8,
            other => up_to(other) & !(u8::from(other == Family::Item) << Family::SnapshotPredicate as u8),
        }
    }
}

/// Everything that the graph's cycles say.
pub fn find(graph: &Graph) -> Vec<Found> {
    let all = EdgeSet::of(&[Edge::Process, Edge::RealTime]).with(READS).with(PREDICATES);
    let coarse = components(&Masked { graph, edges: all, within: None });
    if nontrivial(&coarse).is_empty() {
        return Vec::new();
    }
    let mut finder = Finder {
        graph,
        coarse,
        search: Search::new(graph),
        explained: vec![0; graph.operations() as usize],
        found: Vec::new(),
    };
    let orders = [EdgeSet::of(&[]), EdgeSet::of(&[Edge::Process]), EdgeSet::of(&[Edge::Process, Edge::RealTime])];
    for order in orders {
        for family in FAMILIES {
            finder.family(family, order);
        }
    }
    finder.found
}

struct Finder<'g> {
    graph: &'g Graph,
    /// Components by all edges: no cycle leaves one.
    coarse: Vec<u32>,
    search: Search<'g>,
    /// For each operation the families of cycles that it is known to be in, as bits.
    explained: Vec<u8>,
    found: Vec<Found>,
}

impl Finder<'_> {
    fn family(&mut self, family: Family, order: EdgeSet) {
        let is_snapshot = matches!(family, Family::Snapshot | Family::SnapshotPredicate);
        let (graph, within) = (self.graph, Some(self.coarse.as_slice()));
        let dependencies = family.dependencies().with(order);
        let edges = dependencies.with(family.anti_dependencies());
        let groups = if is_snapshot {
            nontrivial(&components(&Nonadjacent { graph, edges, within }))
        } else {
            nontrivial(&components(&Masked { graph, edges, within }))
        };
        let nodes_per_operation = if is_snapshot { 2 } else { 1 };
        let mut shown = 0;
        for group in groups {
            let operations = group.iter().map(|node| node / nodes_per_operation);
            let operations: Vec<u32> = operations.filter(|node| graph.is_operation(*node)).collect();
            let known = operations.iter().fold(0, |known, node| known | self.explained[*node as usize]);
            operations.iter().for_each(|node| self.explained[*node as usize] |= 1 << family as u8);
            if known & family.explained_by() != 0 {
                continue;
            }
            shown += 1;
            if shown > SHOWN_MAX {
                if let Some(last) = self.found.last_mut() {
                    last.more += 1;
                }
                continue;
            }
            let cycle = if is_snapshot {
                self.search.nonadjacent(&group, dependencies, family.anti_dependencies(), &self.coarse)
            } else {
                self.search.shortest(&group, edges, &self.coarse)
            };
            if let Some(cycle) = cycle {
                self.found.push(Found { kind: classify(&cycle), cycle, more: 0 });
            }
        }
    }
}

/// The kind of a cycle, by its edges alone.
pub fn classify(cycle: &Cycle) -> Kind {
    let edges: Vec<Edge> = cycle.iter().map(|(_, arc)| arc.edge()).collect();
    let anti = edges.iter().filter(|edge| edge.is_anti_dependency()).count();
    let follows = |at: usize| edges[at].is_anti_dependency() && edges[(at + 1) % edges.len()].is_anti_dependency();
    let class = match anti {
        0 if edges.contains(&Edge::WriteRead) => Class::G1c,
        0 => Class::G0,
        1 => Class::GSingle,
        _ if (0..edges.len()).any(follows) => Class::G2,
        _ => Class::GNonadjacent,
    };
    let order = match () {
        () if edges.contains(&Edge::RealTime) => Order::RealTime,
        () if edges.contains(&Edge::Process) => Order::Process,
        () => Order::Data,
    };
    Kind::Cycle { class, predicate: edges.contains(&Edge::PredicateReadWrite), order }
}
