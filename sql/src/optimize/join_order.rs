//! The order of inner joins: greedily, the smallest input first, then always one that is connected by an equality.

use std::collections::BTreeSet;

use super::{
    access, estimate,
    predicates::{combine, equality, split},
    rewrite_children,
};
use crate::{
    error::Result,
    expr::Expr,
    plan::{Join, JoinKind, Plan},
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    match plan {
        Plan::Join(join) if join.kind == JoinKind::Inner => {
            let mut leaves = Vec::new();
            let mut conditions = Vec::new();
            flatten(Plan::Join(join), 0, &mut leaves, &mut conditions);
            let leaves: Result<Vec<Plan>> = leaves.into_iter().map(apply).collect();
            ordered(leaves?, conditions)
        }
        mut other => {
            rewrite_children(&mut other, &mut apply)?;
            Ok(other)
        }
    }
}

/// The inputs of a tree of inner joins, left to right, and its conditions over all their columns.
fn flatten(plan: Plan, offset: usize, leaves: &mut Vec<Plan>, conditions: &mut Vec<Expr>) -> usize {
    match plan {
        Plan::Join(join) if join.kind == JoinKind::Inner => {
            let join = *join;
            let middle = flatten(join.left, offset, leaves, conditions);
            let end = flatten(join.right, middle, leaves, conditions);
            for mut condition in join.on.into_iter().flat_map(split) {
                crate::bind::shift_columns(&mut condition, offset);
                conditions.push(condition);
            }
            end
        }
        leaf => {
            let end = offset + leaf.width();
            leaves.push(leaf);
            end
        }
    }
}

fn ordered(leaves: Vec<Plan>, conditions: Vec<Expr>) -> Result<Plan> {
    let widths: Vec<usize> = leaves.iter().map(Plan::width).collect();
    let types: Vec<_> = leaves.iter().flat_map(Plan::types).collect();
    let starts: Vec<usize> = widths
        .iter()
        .scan(0, |next, width| {
            let start = *next;
            *next += width;
            Some(start)
        })
        .collect();
    let owner = |slot: usize| starts.partition_point(|start| *start <= slot) - 1;
    // What an index could give once it is chosen.
    let sizes: Vec<f64> = leaves
        .iter()
        .map(|leaf| access::apply(leaf.clone()).map(|leaf| estimate::rows(&leaf)))
        .collect::<Result<_>>()?;
    let order = greedy(&sizes, &edges(&conditions, &owner));
    let mut leaves: Vec<Option<Plan>> = leaves.into_iter().map(Some).collect();
    // Old slot to new slot.
    let mut slots = vec![0; types.len()];
    let mut next = 0;
    for &leaf in &order {
        for slot in &mut slots[starts[leaf]..starts[leaf] + widths[leaf]] {
            *slot = next;
            next += 1;
        }
    }
    let mut conditions: Vec<Expr> = conditions
        .into_iter()
        .map(|condition| {
            condition.transform(&mut |part| match part {
                Expr::Column { slot, ty } => Expr::Column { slot: slots[slot], ty },
                other => other,
            })
        })
        .collect();
    let mut plan: Option<Plan> = None;
    let mut width = 0;
    for &leaf in &order {
        let Some(right) = leaves[leaf].take() else { continue };
        width += widths[leaf];
        plan = Some(match plan {
            None => right,
            Some(left) => {
                let (here, later): (Vec<Expr>, Vec<Expr>) =
                    conditions.into_iter().partition(|condition| condition.columns().iter().all(|slot| *slot < width));
                conditions = later;
                Plan::Join(Box::new(Join { kind: JoinKind::Inner, left, right, on: combine(here), keys: Vec::new() }))
            }
        });
    }
    let mut plan = plan.unwrap_or_else(Plan::one_row);
    if let Some(predicate) = combine(conditions) {
        plan = Plan::Filter { input: Box::new(plan), predicate };
    }
    if order.iter().copied().eq(0..order.len()) {
        return Ok(plan);
    }
    let columns = types.into_iter().enumerate();
    let expressions = columns.map(|(slot, ty)| Expr::Column { slot: slots[slot], ty }).collect();
    Ok(Plan::Project { input: Box::new(plan), expressions })
}

/// Pairs of inputs that an equality connects.
fn edges(conditions: &[Expr], owner: &dyn Fn(usize) -> usize) -> BTreeSet<(usize, usize)> {
    let mut edges = BTreeSet::new();
    for condition in conditions.iter().filter(|condition| equality(condition).is_some()) {
        let owners: BTreeSet<usize> = condition.columns().into_iter().map(owner).collect();
        for &a in &owners {
            for &b in owners.iter().filter(|b| **b != a) {
                edges.insert((a, b));
            }
        }
    }
    edges
}

fn greedy(sizes: &[f64], edges: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let count = sizes.len();
    // Two inputs are joined as they are written: which one is held in memory is decided later.
    if count < 3 {
        return (0..count).collect();
    }
    let smallest = |candidates: &mut dyn Iterator<Item = usize>| {
        candidates.min_by(|a, b| sizes[*a].total_cmp(&sizes[*b]).then(a.cmp(b)))
    };
    let mut order: Vec<usize> = Vec::with_capacity(count);
    while order.len() < count {
        let free = |leaf: &usize| !order.contains(leaf);
        let connected = |leaf: &usize| order.iter().any(|placed| edges.contains(&(*placed, *leaf)));
        let next =
            smallest(&mut (0..count).filter(free).filter(connected)).or_else(|| smallest(&mut (0..count).filter(free)));
        order.extend(next);
    }
    order
}
