//! Which links a partition cuts: pure functions from the members to directed cuts.

use base::Rng;

use super::{firewall::Rule, places::Member};

/// Both directions between every member of `left` and every member of `right`.
pub fn between(left: &[Member], right: &[Member]) -> Vec<Rule> {
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|(a, b)| [Rule::cut(a, b), Rule::cut(b, a)]).collect()
}

/// All processes fall into two halves; the nodes as evenly as possible, the gateways at random.
pub fn halves(nodes: &[Member], gateways: &[Member], rng: &mut Rng) -> (Vec<Rule>, String) {
    let mut nodes = nodes.to_vec();
    rng.shuffle(&mut nodes);
    let mut right = nodes.split_off(nodes.len() / 2);
    let mut left = nodes;
    for gateway in gateways {
        if rng.chance(1, 2) { &mut left } else { &mut right }.push(*gateway);
    }
    (between(&left, &right), format!("{} | {}", names(&left), names(&right)))
}

/// Every process reaches its two neighbours in a ring and nobody else.
pub fn ring(nodes: &[Member], gateways: &[Member], rng: &mut Rng) -> (Vec<Rule>, String) {
    let (mut nodes, mut gateways) = (nodes.to_vec(), gateways.to_vec());
    rng.shuffle(&mut nodes);
    rng.shuffle(&mut gateways);
    let ring: Vec<Member> = nodes.into_iter().chain(gateways).collect();
    let count = ring.len();
    let mut rules = Vec::new();
    for (i, a) in ring.iter().enumerate() {
        for (k, b) in ring.iter().enumerate().skip(i + 1) {
            let neighbours = k == i + 1 || (i == 0 && k == count - 1);
            if !neighbours {
                rules.extend(between(&[*a], &[*b]));
            }
        }
    }
    (rules, format!("{} in a ring", names(&ring)))
}

/// Two halves of the nodes, and one node that reaches both. Gateways reach everybody.
pub fn bridge(nodes: &[Member], rng: &mut Rng) -> (Vec<Rule>, String) {
    let mut nodes = nodes.to_vec();
    rng.shuffle(&mut nodes);
    let Some(middle) = nodes.pop() else { return (Vec::new(), "no nodes".into()) };
    let right = nodes.split_off(nodes.len() / 2);
    (between(&nodes, &right), format!("{} | {}, {middle} reaches both", names(&nodes), names(&right)))
}

/// One direction only: a node that nobody hears, one that hears nobody, or one link.
pub fn one_way(nodes: &[Member], rng: &mut Rng) -> (Vec<Rule>, String) {
    let mut nodes = nodes.to_vec();
    rng.shuffle(&mut nodes);
    let (Some((one, others)), kind) = (nodes.split_first(), rng.below(3)) else {
        return (Vec::new(), "no nodes".into());
    };
    match (kind, others.first()) {
        (0, _) => (others.iter().map(|other| Rule::cut(*one, *other)).collect(), format!("no node hears {one}")),
        (1, _) => (others.iter().map(|other| Rule::cut(*other, *one)).collect(), format!("{one} hears no node")),
        (_, Some(other)) => (vec![Rule::cut(*one, *other)], format!("{other} does not hear {one}")),
        (_, None) => (Vec::new(), "only one node".into()),
    }
}

/// One node is cut off from the other nodes, and with `everybody` from the gateways too.
pub fn isolate(one: Member, nodes: &[Member], gateways: &[Member], everybody: bool) -> (Vec<Rule>, String) {
    let others: Vec<Member> = nodes.iter().copied().filter(|node| *node != one).collect();
    let mut rules = between(&[one], &others);
    if everybody {
        rules.extend(between(&[one], gateways));
    }
    (rules, format!("{one} is cut off from {}", if everybody { "everybody" } else { "the other nodes" }))
}

/// A gateway is cut off from some of the nodes, at least one.
pub fn gateway(nodes: &[Member], gateways: &[Member], rng: &mut Rng) -> (Vec<Rule>, String) {
    let gateway = gateways[rng.below(gateways.len() as u64) as usize];
    let mut nodes = nodes.to_vec();
    rng.shuffle(&mut nodes);
    nodes.truncate(rng.between(1, nodes.len() as u64) as usize);
    (between(&[gateway], &nodes), format!("{gateway} is cut off from {}", names(&nodes)))
}

fn names(members: &[Member]) -> String {
    let names: Vec<String> = members.iter().map(|member| member.short()).collect();
    format!("{{{}}}", names.join(" "))
}

#[cfg(test)]
#[path = "partition_test.rs"]
mod tests;
