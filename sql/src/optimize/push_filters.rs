//! Conditions move down to where the rows come from. Outer joins whose padded rows a condition would drop become inner.

use super::{
    predicates::{combine, rejects_null, split},
    rewrite_children,
};
use crate::{
    error::Result,
    expr::Expr,
    plan::{Access, ApplyKind, Join, JoinKind, Plan, SetOp},
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    push(plan, Vec::new())
}

/// The plan with the conditions applied, as deep as they go.
fn push(plan: Plan, mut conditions: Vec<Expr>) -> Result<Plan> {
    match plan {
        Plan::Filter { input, predicate } => {
            let (fixed, movable): (Vec<Expr>, Vec<Expr>) = split(predicate).into_iter().partition(Expr::is_volatile);
            conditions.extend(movable);
            let input = push(*input, conditions)?;
            Ok(filtered(input, fixed))
        }
        Plan::Scan(mut scan) => {
            let free = scan.limit.is_none() && matches!(scan.access, Access::Range { .. });
            let (down, above): (Vec<Expr>, Vec<Expr>) = conditions
                .into_iter()
                .partition(|condition| free && condition.columns().iter().all(|slot| *slot < scan.columns.len()));
            let down = down.into_iter().map(|condition| renumbered(condition, &|slot| scan.columns[slot]));
            let all = scan.filter.take().into_iter().flat_map(split).chain(down).collect();
            scan.filter = combine(all);
            Ok(filtered(Plan::Scan(scan), above))
        }
        Plan::Project { input, expressions } => {
            let stable = |condition: &Expr| condition.columns().iter().all(|&slot| !expressions[slot].is_volatile());
            let (down, above): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(stable);
            let down = down.into_iter().map(|condition| substituted(condition, &expressions)).collect();
            let input = Box::new(push(*input, down)?);
            Ok(filtered(Plan::Project { input, expressions }, above))
        }
        Plan::Join(join) => push_join(*join, conditions),
        Plan::Apply { input, subplan, kind } => {
            let width = input.width();
            let (down, above) = partition(conditions, &|slot| slot < width);
            let input = Box::new(push(*input, down)?);
            let subplan = Box::new(push(*subplan, Vec::new())?);
            let kind = match kind {
                ApplyKind::Join { left: true, on } if above.iter().any(|c| rejects_null(c, &|slot| slot >= width)) => {
                    ApplyKind::Join { left: false, on }
                }
                other => other,
            };
            Ok(filtered(Plan::Apply { input, subplan, kind }, above))
        }
        Plan::Aggregate { input, groups, aggregates } => {
            let (down, above) = partition(conditions, &|slot| slot < groups.len());
            // A condition on nothing would leave the row that an aggregation of nothing gives.
            let (down, constant): (Vec<Expr>, Vec<Expr>) =
                down.into_iter().partition(|condition| !condition.columns().is_empty());
            let down = down.into_iter().map(|condition| substituted(condition, &groups)).collect();
            let input = Box::new(push(*input, down)?);
            Ok(filtered(Plan::Aggregate { input, groups, aggregates }, [above, constant].concat()))
        }
        Plan::Sort { input, keys, limit: None } => {
            let input = Box::new(push(*input, conditions)?);
            Ok(Plan::Sort { input, keys, limit: None })
        }
        Plan::Distinct { input, on: None } => {
            Ok(Plan::Distinct { input: Box::new(push(*input, conditions)?), on: None })
        }
        Plan::SetOperation { op: SetOp::Union, all, left, right } => {
            let left = Box::new(push(*left, conditions.clone())?);
            let right = Box::new(push(*right, conditions)?);
            Ok(Plan::SetOperation { op: SetOp::Union, all, left, right })
        }
        Plan::ProjectSet { input, functions, ordinality } => {
            let width = input.width();
            let (down, above) = partition(conditions, &|slot| slot < width);
            let input = Box::new(push(*input, down)?);
            Ok(filtered(Plan::ProjectSet { input, functions, ordinality }, above))
        }
        Plan::Cte { id, name, definition, input } => {
            let definition = Box::new(push(*definition, Vec::new())?);
            let input = Box::new(push(*input, conditions)?);
            Ok(Plan::Cte { id, name, definition, input })
        }
        mut other => {
            rewrite_children(&mut other, &mut |child| push(child, Vec::new()))?;
            Ok(filtered(other, conditions))
        }
    }
}

fn push_join(mut join: Join, mut conditions: Vec<Expr>) -> Result<Plan> {
    let width = join.left.width();
    let on_left = |slot: usize| slot < width;
    let on_right = |slot: usize| slot >= width;
    join.kind = simplified(join.kind, &conditions, &on_left, &on_right);
    let mut on = join.on.take().into_iter().flat_map(split).collect::<Vec<Expr>>();
    if join.kind == JoinKind::Inner {
        on.append(&mut conditions);
    }
    let (volatile, on): (Vec<Expr>, Vec<Expr>) = on.into_iter().partition(Expr::is_volatile);
    // From above, past the side whose rows all come out; from the join's own condition, to the side that may lose rows.
    let (mut left, above) = match join.kind {
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => partition(conditions, &on_left),
        _ => (Vec::new(), conditions),
    };
    let (mut right, above) = match join.kind {
        JoinKind::Right => partition(above, &on_right),
        _ => (Vec::new(), above),
    };
    let (to_left, on) = match join.kind {
        JoinKind::Inner | JoinKind::Right | JoinKind::Semi => partition(on, &on_left),
        _ => (Vec::new(), on),
    };
    let (to_right, on) = match join.kind {
        JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti => partition(on, &on_right),
        _ => (Vec::new(), on),
    };
    left.extend(to_left);
    right.extend(to_right);
    let right = right.into_iter().map(|condition| renumbered(condition, &|slot| slot - width)).collect();
    join.left = push(join.left, left)?;
    join.right = push(join.right, right)?;
    join.on = combine([on, volatile].concat());
    Ok(filtered(Plan::Join(Box::new(join)), above))
}

/// The join that gives the same rows once the conditions above have been applied.
fn simplified(
    kind: JoinKind,
    conditions: &[Expr],
    on_left: &dyn Fn(usize) -> bool,
    on_right: &dyn Fn(usize) -> bool,
) -> JoinKind {
    let drops = |slots| conditions.iter().any(|condition| rejects_null(condition, slots));
    match kind {
        JoinKind::Left if drops(on_right) => JoinKind::Inner,
        JoinKind::Right if drops(on_left) => JoinKind::Inner,
        JoinKind::Full => match (drops(on_left), drops(on_right)) {
            (true, true) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (false, false) => JoinKind::Full,
        },
        other => other,
    }
}

/// Those that look at these slots only, and the others.
fn partition(conditions: Vec<Expr>, slots: &dyn Fn(usize) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(|condition| condition.columns().into_iter().all(slots))
}

fn filtered(plan: Plan, conditions: Vec<Expr>) -> Plan {
    match combine(conditions) {
        Some(predicate) => Plan::Filter { input: Box::new(plan), predicate },
        None => plan,
    }
}

fn renumbered(mut expr: Expr, slot: &dyn Fn(usize) -> usize) -> Expr {
    fn walk(expr: &mut Expr, map: &dyn Fn(usize) -> usize) {
        if let Expr::Column { slot, .. } = expr {
            *slot = map(*slot);
        }
        expr.for_each_child_mut(&mut |child| walk(child, map));
    }
    walk(&mut expr, slot);
    expr
}

fn substituted(expr: Expr, row: &[Expr]) -> Expr {
    expr.transform(&mut |part| match part {
        Expr::Column { slot, .. } => row[slot].clone(),
        other => other,
    })
}
