//! Columns that nobody looks at are not carried along; projections that change nothing go.

use std::collections::{BTreeMap, BTreeSet};

use super::rewrite_children;
use crate::{
    error::Result,
    expr::Expr,
    plan::{ApplyKind, JoinKind, Plan},
};

/// Old slot to new slot, of the columns that are still there.
type Slots = BTreeMap<usize, usize>;

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    whole(plan)
}

/// All columns, in their places.
fn whole(plan: Plan) -> Result<Plan> {
    let all: BTreeSet<usize> = (0..plan.width()).collect();
    exactly(plan, &all)
}

/// Just these columns, in ascending order.
fn exactly(plan: Plan, wanted: &BTreeSet<usize>) -> Result<Plan> {
    let types = plan.types();
    let (plan, slots) = narrow(plan, wanted)?;
    let in_place = wanted.iter().enumerate().all(|(position, slot)| slots[slot] == position);
    if in_place && plan.width() == wanted.len() {
        return Ok(plan);
    }
    let expressions = wanted.iter().map(|slot| Expr::Column { slot: slots[slot], ty: types[*slot] }).collect();
    Ok(Plan::Project { input: Box::new(plan), expressions })
}

/// At least the wanted columns, and where they stand now.
fn narrow(plan: Plan, wanted: &BTreeSet<usize>) -> Result<(Plan, Slots)> {
    match plan {
        Plan::Scan(mut scan) => {
            let key = scan.columns.len();
            let kept: Vec<usize> = (0..key).filter(|slot| wanted.contains(slot)).collect();
            let mut slots: Slots = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
            scan.columns = kept.iter().map(|&slot| scan.columns[slot]).collect();
            scan.with_key &= wanted.contains(&key);
            if scan.with_key {
                slots.insert(key, kept.len());
            }
            Ok((Plan::Scan(scan), slots))
        }
        Plan::Project { input, expressions } => narrow_project(*input, expressions, wanted),
        Plan::Filter { input, mut predicate } => {
            let (input, slots) = narrow(*input, &with(wanted, [&predicate]))?;
            remap(&mut predicate, &slots);
            Ok((Plan::Filter { input: Box::new(input), predicate }, slots))
        }
        Plan::Limit { input, limit, offset } => {
            let (input, slots) = narrow(*input, wanted)?;
            Ok((Plan::Limit { input: Box::new(input), limit, offset }, slots))
        }
        Plan::Sort { input, mut keys, limit } => {
            let (input, slots) = narrow(*input, &with(wanted, keys.iter().map(|key| &key.expr)))?;
            keys.iter_mut().for_each(|key| remap(&mut key.expr, &slots));
            Ok((Plan::Sort { input: Box::new(input), keys, limit }, slots))
        }
        Plan::Distinct { input, on: Some(mut on) } => {
            let (input, slots) = narrow(*input, &with(wanted, &on))?;
            on.iter_mut().for_each(|expr| remap(expr, &slots));
            Ok((Plan::Distinct { input: Box::new(input), on: Some(on) }, slots))
        }
        Plan::Lock { input, mut rows, limit } => {
            let wanted = wanted.iter().copied().chain(rows.iter().map(|row| row.slot)).collect();
            let (input, slots) = narrow(*input, &wanted)?;
            rows.iter_mut().for_each(|row| row.slot = slots[&row.slot]);
            Ok((Plan::Lock { input: Box::new(input), rows, limit }, slots))
        }
        Plan::Join(join) => narrow_join(*join, wanted),
        Plan::Apply { input, subplan, kind } => narrow_apply(*input, *subplan, kind, wanted),
        Plan::Aggregate { input, mut groups, mut aggregates } => {
            let mut slots: Slots = (0..groups.len()).map(|slot| (slot, slot)).collect();
            let mut old = groups.len();
            aggregates.retain(|_| {
                let keep = wanted.contains(&old);
                if keep {
                    slots.insert(old, slots.len());
                }
                old += 1;
                keep
            });
            let mut exprs: Vec<&mut Expr> = groups.iter_mut().collect();
            for call in &mut aggregates {
                let keys = call.order_by.iter_mut().map(|key| &mut key.expr);
                exprs.extend(call.args.iter_mut().chain(&mut call.filter).chain(keys));
            }
            let (input, inner) = narrow(*input, &with(&BTreeSet::new(), exprs.iter().map(|expr| &**expr)))?;
            exprs.into_iter().for_each(|expr| remap(expr, &inner));
            Ok((Plan::Aggregate { input: Box::new(input), groups, aggregates }, slots))
        }
        Plan::Cte { id, name, definition, input } => {
            let definition = Box::new(whole(*definition)?);
            let (input, slots) = narrow(*input, wanted)?;
            Ok((Plan::Cte { id, name, definition, input: Box::new(input) }, slots))
        }
        mut other => {
            rewrite_children(&mut other, &mut whole)?;
            let slots = (0..other.width()).map(|slot| (slot, slot)).collect();
            Ok((other, slots))
        }
    }
}

fn narrow_project(input: Plan, expressions: Vec<Expr>, wanted: &BTreeSet<usize>) -> Result<(Plan, Slots)> {
    let mut slots = Slots::new();
    let mut kept = Vec::new();
    for (old, expr) in expressions.into_iter().enumerate() {
        if wanted.contains(&old) {
            slots.insert(old, kept.len());
            kept.push(expr);
        }
    }
    let (input, inner) = narrow(input, &with(&BTreeSet::new(), &kept))?;
    kept.iter_mut().for_each(|expr| remap(expr, &inner));
    // Only columns, each where it stood: the projection is nothing but a relabelling.
    if kept.iter().all(|expr| matches!(expr, Expr::Column { .. })) {
        let position = |new: &usize| match kept[*new] {
            Expr::Column { slot, .. } => slot,
            _ => *new,
        };
        let in_place = kept.len() == input.width() && (0..kept.len()).all(|new| position(&new) == new);
        if in_place {
            return Ok((input, slots));
        }
    }
    Ok((Plan::Project { input: Box::new(input), expressions: kept }, slots))
}

fn narrow_join(mut join: crate::plan::Join, wanted: &BTreeSet<usize>) -> Result<(Plan, Slots)> {
    let width = join.left.width();
    let pair = with(wanted, &join.on);
    let lefts = pair.iter().copied().filter(|slot| *slot < width).collect();
    let rights = pair.iter().filter(|slot| **slot >= width).map(|slot| slot - width).collect();
    let lefts = with(&lefts, join.keys.iter().map(|(left, _)| left));
    let rights = with(&rights, join.keys.iter().map(|(_, right)| right));
    let (left, left_slots) = narrow(join.left, &lefts)?;
    let (right, right_slots) = narrow(join.right, &rights)?;
    for (a, b) in &mut join.keys {
        remap(a, &left_slots);
        remap(b, &right_slots);
    }
    let new_width = left.width();
    let mut slots = left_slots;
    slots.extend(right_slots.into_iter().map(|(old, new)| (old + width, new + new_width)));
    join.on.iter_mut().for_each(|on| remap(on, &slots));
    if matches!(join.kind, JoinKind::Semi | JoinKind::Anti) {
        slots.retain(|old, _| *old < width);
    }
    (join.left, join.right) = (left, right);
    Ok((Plan::Join(Box::new(join)), slots))
}

fn narrow_apply(
    input: Plan,
    mut subplan: Plan,
    mut kind: ApplyKind,
    wanted: &BTreeSet<usize>,
) -> Result<(Plan, Slots)> {
    let width = input.width();
    let mut lefts: BTreeSet<usize> = wanted.iter().copied().filter(|slot| *slot < width).collect();
    subplan.rewrite_outer(&mut |depth, slot| {
        if depth == 1 {
            lefts.insert(slot);
        }
        (depth, slot)
    });
    let own = match &kind {
        ApplyKind::Quantified { comparison, .. } => Some(comparison),
        ApplyKind::Join { on, .. } => on.as_ref(),
        _ => None,
    };
    lefts.extend(own.iter().flat_map(|expr| expr.columns()).filter(|slot| *slot < width));
    let (input, mut slots) = narrow(input, &lefts)?;
    let new_width = input.width();
    subplan.rewrite_outer(&mut |depth, slot| if depth == 1 { (1, slots[&slot]) } else { (depth, slot) });
    let subplan = match &kind {
        ApplyKind::Scalar { .. } | ApplyKind::Array { .. } => exactly(subplan, &BTreeSet::from([0]))?,
        ApplyKind::Exists => exactly(subplan, &BTreeSet::new())?,
        ApplyKind::Quantified { .. } | ApplyKind::Join { .. } => whole(subplan)?,
    };
    let appended = match &kind {
        ApplyKind::Join { .. } => subplan.width(),
        ApplyKind::Quantified { .. } => subplan.width().max(1),
        _ => 1,
    };
    slots.extend((0..appended).map(|offset| (width + offset, new_width + offset)));
    match &mut kind {
        ApplyKind::Quantified { comparison, .. } => remap(comparison, &slots),
        ApplyKind::Join { on, .. } => on.iter_mut().for_each(|on| remap(on, &slots)),
        _ => {}
    }
    Ok((Plan::Apply { input: Box::new(input), subplan: Box::new(subplan), kind }, slots))
}

fn with<'e>(wanted: &BTreeSet<usize>, exprs: impl IntoIterator<Item = &'e Expr>) -> BTreeSet<usize> {
    let mut all = wanted.clone();
    for expr in exprs {
        all.extend(expr.columns());
    }
    all
}

fn remap(expr: &mut Expr, slots: &Slots) {
    if let Expr::Column { slot, .. } = expr
        && let Some(new) = slots.get(slot)
    {
        *slot = *new;
    }
    expr.for_each_child_mut(&mut |child| remap(child, slots));
}
