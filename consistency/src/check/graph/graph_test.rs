//! Components and real-time edges against what a slow and simple method finds.

use base::Rng;

use super::{
    components::{Masked, Nonadjacent, View, components, nontrivial},
    *,
};

const ALL: EdgeSet = EdgeSet::of(&[Edge::WriteWrite, Edge::WriteRead, Edge::ReadWrite, Edge::RealTime]);

/// Whether each node reaches each other one, by repeated squaring of nothing cleverer than a table.
fn reach(view: &impl View) -> Vec<Vec<bool>> {
    let count = view.nodes();
    let mut reach = vec![vec![false; count]; count];
    for (node, row) in reach.iter_mut().enumerate() {
        for position in 0..view.degree(node as u32) {
            if let Some(target) = view.target(node as u32, position) {
                row[target as usize] = true;
            }
        }
    }
    for middle in 0..count {
        for from in 0..count {
            if reach[from][middle] {
                let through = reach[middle].clone();
                reach[from].iter_mut().zip(through).for_each(|(there, through)| *there |= through);
            }
        }
    }
    reach
}

fn random_graph(rng: &mut Rng) -> Graph {
    let count = rng.between(2, 12) as usize;
    let mut builder = Builder::new(count);
    for _ in 0..rng.below(2 * count as u64) {
        let kinds = [Edge::WriteWrite, Edge::WriteRead, Edge::ReadWrite];
        let (from, to) = (rng.below(count as u64) as u32, rng.below(count as u64) as u32);
        builder.add(from, to, kinds[rng.below(3) as usize], NO_KEY);
    }
    builder.build()
}

fn agree(view: &impl View) {
    let (components, reach) = (components(view), reach(view));
    for one in 0..view.nodes() {
        for other in 0..view.nodes() {
            let together = one == other || (reach[one][other] && reach[other][one]);
            assert_eq!(components[one] == components[other], together, "nodes {one} and {other}");
        }
    }
}

#[test]
fn components_are_those_of_mutual_reachability() {
    let mut rng = Rng::new(1);
    for _ in 0..500 {
        let graph = random_graph(&mut rng);
        agree(&Masked { graph: &graph, edges: ALL, within: None });
        agree(&Nonadjacent { graph: &graph, edges: ALL, within: None });
    }
}

#[test]
fn real_time_edges_say_what_ended_before_what_began() {
    let mut rng = Rng::new(2);
    for _ in 0..300 {
        let count = rng.between(1, 12) as u32;
        let intervals: Vec<(u32, u64, u64)> = (0..count)
            .map(|operation| {
                let begin = rng.below(20);
                (operation, begin, if rng.chance(1, 6) { u64::MAX } else { begin + rng.below(8) })
            })
            .collect();
        let mut builder = Builder::new(count as usize);
        builder.add_real_time(&intervals);
        let graph = builder.build();
        let reach = reach(&Masked { graph: &graph, edges: ALL, within: None });
        for (one, _, end) in &intervals {
            for (other, begin, _) in &intervals {
                let precedes = end < begin;
                assert_eq!(reach[*one as usize][*other as usize], precedes, "{one} before {other} in {intervals:?}");
            }
        }
    }
}

#[test]
fn all_pairs_are_the_same_through_a_node() {
    let (from, to): (Vec<u32>, Vec<u32>) = ((0..6).collect(), (4..10).collect());
    let mut builder = Builder::new(10);
    builder.add_all_pairs(&from, &to, Edge::ReadWrite, 3);
    let graph = builder.build();
    let reach = reach(&Masked { graph: &graph, edges: ALL, within: None });
    for one in 0..10u32 {
        for other in 0..10u32 {
            let direct = from.contains(&one) && to.contains(&other) && one != other;
            let indirect = from.contains(&one) && to.contains(&other);
            let found = reach[one as usize][other as usize];
            assert!(found || !direct, "{one} to {other}");
            assert!(!found || indirect, "{one} to {other}");
        }
    }
    // No operation reaches itself but through the two that are on both sides.
    assert_eq!(nontrivial(&components(&Masked { graph: &graph, edges: ALL, within: None })), [vec![4, 5]]);
}
