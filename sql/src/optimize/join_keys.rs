//! Equalities between the two sides of a join become hash keys.

use super::{
    bottom_up,
    predicates::{combine, equality, split},
};
use crate::{
    error::Result,
    expr::Expr,
    plan::{JoinKind, Plan},
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |plan| {
        let Plan::Join(mut join) = plan else { return Ok(plan) };
        let width = join.left.width();
        let mut rest = Vec::new();
        for condition in join.on.take().into_iter().flat_map(split) {
            match sides(&condition, width) {
                Some(pair) => join.keys.push(pair),
                None => rest.push(condition),
            }
        }
        join.on = combine(rest);
        // The right side is held in memory: the one that is scanned by key is the smaller.
        if join.kind == JoinKind::Right {
            return Ok(mirrored(*join));
        }
        Ok(Plan::Join(join))
    })
}

/// `a = b` with `a` over the left side and `b` over the right (or the other way round), each in its own side's slots.
pub(super) fn sides(condition: &Expr, width: usize) -> Option<(Expr, Expr)> {
    let (a, b) = equality(condition)?;
    if condition.is_volatile() {
        return None;
    }
    let (on_a, on_b) = (a.columns(), b.columns());
    let left = |slots: &[usize]| !slots.is_empty() && slots.iter().all(|slot| *slot < width);
    let right = |slots: &[usize]| !slots.is_empty() && slots.iter().all(|slot| *slot >= width);
    let lowered = |expr: &Expr| {
        expr.clone().transform(&mut |part| match part {
            Expr::Column { slot, ty } => Expr::Column { slot: slot - width, ty },
            other => other,
        })
    };
    if left(&on_a) && right(&on_b) {
        Some((a.clone(), lowered(b)))
    } else if left(&on_b) && right(&on_a) {
        Some((b.clone(), lowered(a)))
    } else {
        None
    }
}

/// A right join as a left join with its columns put back in order.
fn mirrored(join: crate::plan::Join) -> Plan {
    let (left_types, right_types) = (join.left.types(), join.right.types());
    let (left_width, right_width) = (left_types.len(), right_types.len());
    let on = join.on.map(|on| {
        on.transform(&mut |part| match part {
            Expr::Column { slot, ty } if slot < left_width => Expr::Column { slot: slot + right_width, ty },
            Expr::Column { slot, ty } => Expr::Column { slot: slot - left_width, ty },
            other => other,
        })
    });
    let keys = join.keys.into_iter().map(|(left, right)| (right, left)).collect();
    let swapped = crate::plan::Join { kind: JoinKind::Left, left: join.right, right: join.left, on, keys };
    let lefts = left_types.into_iter().enumerate().map(|(slot, ty)| Expr::Column { slot: slot + right_width, ty });
    let rights = right_types.into_iter().enumerate().map(|(slot, ty)| Expr::Column { slot, ty });
    Plan::Project { expressions: lefts.chain(rights).collect(), input: Box::new(Plan::Join(Box::new(swapped))) }
}
