use std::collections::BTreeSet;

use base::Rng;

use super::*;

const NODES: [Member; 3] = [Member::Node(1), Member::Node(2), Member::Node(3)];
const GATEWAYS: [Member; 2] = [Member::Gateway(1), Member::Gateway(2)];

fn cuts(rules: &[Rule]) -> BTreeSet<(Member, Member)> {
    rules.iter().map(|rule| (rule.from, rule.to)).collect()
}

fn hears(cuts: &BTreeSet<(Member, Member)>, a: Member, b: Member) -> bool {
    a != b && !cuts.contains(&(b, a))
}

#[test]
fn halves_leave_a_majority_on_one_side() {
    for seed in 0..50 {
        let cuts = cuts(&halves(&NODES, &GATEWAYS, &mut Rng::new(seed)).0);
        let mut reached: Vec<usize> =
            NODES.iter().map(|a| NODES.iter().filter(|b| hears(&cuts, *a, **b)).count()).collect();
        reached.sort_unstable();
        assert_eq!(reached, [0, 1, 1], "seed {seed}");
        assert!(cuts.iter().all(|(a, b)| cuts.contains(&(*b, *a))), "both directions");
    }
}

#[test]
fn in_a_ring_everybody_has_two_neighbours() {
    for seed in 0..50 {
        let cuts = cuts(&ring(&NODES, &GATEWAYS, &mut Rng::new(seed)).0);
        let all: Vec<Member> = NODES.iter().chain(&GATEWAYS).copied().collect();
        for a in &all {
            assert_eq!(all.iter().filter(|b| hears(&cuts, *a, **b)).count(), 2, "seed {seed}, {a}");
        }
    }
}

#[test]
fn a_bridge_has_one_node_that_reaches_all() {
    for seed in 0..50 {
        let cuts = cuts(&bridge(&NODES, &mut Rng::new(seed)).0);
        assert_eq!(cuts.len(), 2, "two of three nodes do not see each other, seed {seed}");
    }
}

#[test]
fn one_way_cuts_are_one_way() {
    for seed in 0..50 {
        let cuts = cuts(&one_way(&NODES, &mut Rng::new(seed)).0);
        assert!(!cuts.is_empty());
        assert!(cuts.iter().all(|(a, b)| !cuts.contains(&(*b, *a))), "seed {seed}");
    }
}

#[test]
fn gateways_lose_at_least_one_node() {
    for seed in 0..50 {
        let cuts = cuts(&gateway(&NODES, &GATEWAYS, &mut Rng::new(seed)).0);
        assert!(cuts.len() >= 2 && cuts.iter().all(|(a, b)| GATEWAYS.contains(a) || GATEWAYS.contains(b)));
    }
}
