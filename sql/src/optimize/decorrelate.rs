//! `WHERE [NOT] EXISTS (…)` and `WHERE x IN (…)` become semi joins and anti joins. `NOT IN` stays what it is: with NULLs it is no
//! anti join.

use super::{
    bottom_up,
    predicates::{combine, split},
};
use crate::{
    bind::shift_columns,
    error::Result,
    expr::Expr,
    plan::{ApplyKind, Join, JoinKind, Plan, visit::rewrite_outer},
    types::DataType,
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |plan| {
        let Plan::Filter { mut input, predicate } = plan else { return Ok(plan) };
        let mut conditions = split(predicate);
        // Each subquery of the condition is an Apply below, one on top of the other.
        unnest(&mut input, &mut conditions);
        Ok(match combine(conditions) {
            Some(predicate) => Plan::Filter { input, predicate },
            None => *input,
        })
    })
}

fn unnest(plan: &mut Plan, conditions: &mut Vec<Expr>) {
    let Plan::Apply { input, .. } = plan else { return };
    unnest(input, conditions);
    let taken = std::mem::replace(plan, Plan::one_row());
    let Plan::Apply { input, subplan, kind } = taken else { return };
    let slot = input.width();
    let found = conditions.iter().position(|condition| test_of(condition, slot).is_some());
    let uses = conditions.iter().filter(|condition| condition.columns().contains(&slot)).count();
    let negated = found.and_then(|at| test_of(&conditions[at], slot)).unwrap_or(false);
    *plan = match join(*input, *subplan, kind, negated, found.is_some() && uses == 1) {
        Ok(joined) => {
            if let Some(at) = found {
                conditions.remove(at);
            }
            joined
        }
        Err((input, subplan, kind)) => Plan::Apply { input: Box::new(input), subplan: Box::new(subplan), kind },
    };
}

/// Whether a condition is the value of the subquery, or its negation.
fn test_of(condition: &Expr, wanted: usize) -> Option<bool> {
    match condition {
        Expr::Column { slot, .. } if *slot == wanted => Some(false),
        Expr::Not(inner) => matches!(&**inner, Expr::Column { slot, .. } if *slot == wanted).then_some(true),
        _ => None,
    }
}

/// The join in place of the subquery; its column stays, as a constant. `Err`: all as it was.
fn join(
    input: Plan,
    subplan: Plan,
    kind: ApplyKind,
    negated: bool,
    usable: bool,
) -> std::result::Result<Plan, (Plan, Plan, ApplyKind)> {
    let width = input.width();
    let comparison = match &kind {
        ApplyKind::Exists => None,
        ApplyKind::Quantified { comparison, all: false } if !negated => Some(comparison.clone()),
        _ => return Err((input, subplan, kind)),
    };
    // EXISTS of something independent is evaluated once: no join is better than that.
    let correlated = subplan.refers_to_outer(1);
    if !usable || subplan.is_volatile() || (comparison.is_none() && !correlated) {
        return Err((input, subplan, kind));
    }
    let Some((right, on)) = pulled_up(subplan.clone(), comparison, width) else {
        return Err((input, subplan, kind));
    };
    let join_kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
    let columns = input.types().into_iter().enumerate().map(|(slot, ty)| Expr::Column { slot, ty });
    let expressions = columns.chain([Expr::Const { value: crate::types::Value::Bool(!negated), ty: DataType::BOOL }]);
    let expressions = expressions.collect();
    let join = Join { kind: join_kind, left: input, right, on: combine(on), keys: Vec::new() };
    Ok(Plan::Project { input: Box::new(Plan::Join(Box::new(join))), expressions })
}

/// The part of a subplan that looks at nothing outside, and its conditions over the joined row.
fn pulled_up(mut plan: Plan, comparison: Option<Expr>, width: usize) -> Option<(Plan, Vec<Expr>)> {
    let mut conditions: Vec<Expr> = comparison.into_iter().flat_map(split).collect();
    // Conditions are kept over (input row, row of the current node).
    loop {
        plan = match plan {
            Plan::Project { input, expressions } => {
                for condition in &mut conditions {
                    let taken = std::mem::replace(condition, Expr::boolean(true));
                    *condition = taken.transform(&mut |part| match part {
                        Expr::Column { slot, .. } if slot >= width => joined(expressions[slot - width].clone(), width),
                        other => other,
                    });
                }
                *input
            }
            Plan::Filter { input, predicate } => {
                conditions.extend(split(predicate).into_iter().map(|condition| joined(condition, width)));
                *input
            }
            Plan::Sort { input, limit: None, .. } | Plan::Distinct { input, on: None } => *input,
            other => {
                plan = other;
                break;
            }
        };
    }
    if plan.refers_to_outer(1) {
        return None;
    }
    plan.for_each_expr_mut(0, &mut |expr, levels| {
        rewrite_outer(expr, levels, &mut |depth, slot| (depth - 1, slot));
    });
    Some((plan, conditions))
}

/// An expression inside the subplan as an expression over the joined row.
fn joined(mut expr: Expr, width: usize) -> Expr {
    shift_columns(&mut expr, width);
    expr.transform(&mut |part| match part {
        Expr::Outer { depth: 1, slot, ty } => Expr::Column { slot, ty },
        Expr::Outer { depth, slot, ty } => Expr::Outer { depth: depth - 1, slot, ty },
        other => other,
    })
}
