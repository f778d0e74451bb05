//! LIMIT reaches sorts and scans; a sort that an index's order makes superfluous goes.

use super::{access::column, bottom_up};
use crate::{
    error::Result,
    expr::{Expr, function},
    plan::{Access, Plan, Scan, SortKey},
};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |plan| match plan {
        Plan::Sort { input, keys, limit: None } => Ok(sorted(*input, keys)),
        Plan::Limit { mut input, limit, offset } => {
            if let Some(most) = needed(limit.as_ref(), offset.as_ref()) {
                reach(&mut input, &most);
            }
            Ok(Plan::Limit { input, limit, offset })
        }
        other => Ok(other),
    })
}

/// Rows that are needed at most: limit + offset.
fn needed(limit: Option<&Expr>, offset: Option<&Expr>) -> Option<Expr> {
    match (limit?, offset) {
        (limit, None) => Some(limit.clone()),
        (limit, Some(offset)) => function::operator("+", Some(limit.clone()), offset.clone()).ok(),
    }
}

/// Tells the nodes below, as far as each row of theirs is a row of the limit's.
fn reach(plan: &mut Plan, most: &Expr) {
    match plan {
        Plan::Project { input, .. } => reach(input, most),
        Plan::Sort { limit, .. } | Plan::Lock { limit, .. } => *limit = Some(most.clone()),
        Plan::Scan(scan) if !scan.is_point() && scan.limit.is_none() => scan.limit = Some(most.clone()),
        _ => {}
    }
}

fn sorted(mut input: Plan, keys: Vec<SortKey>) -> Plan {
    if in_order(&mut input, &keys) {
        return input;
    }
    Plan::Sort { input: Box::new(input), keys, limit: None }
}

/// Whether the rows come in this order, or do after turning the scan round.
fn in_order(input: &mut Plan, keys: &[SortKey]) -> bool {
    match input {
        Plan::Project { input, expressions } => {
            let below: Option<Vec<SortKey>> = keys
                .iter()
                .map(|key| match &key.expr {
                    Expr::Column { slot, .. } => Some(SortKey { expr: expressions[*slot].clone(), ..key.clone() }),
                    _ => None,
                })
                .collect();
            below.is_some_and(|below| in_order(input, &below))
        }
        Plan::Scan(scan) => scan_in_order(scan, keys),
        _ => false,
    }
}

fn scan_in_order(scan: &mut Scan, keys: &[SortKey]) -> bool {
    let Access::Range { prefix, .. } = &scan.access else { return false };
    if scan.table().indexes[scan.index].hidden_row_id {
        return false;
    }
    let columns = &scan.layouts[scan.index].columns()[prefix.len()..];
    if keys.len() > columns.len() {
        return false;
    }
    let mut reverse = None;
    for (key, ordered) in keys.iter().zip(columns) {
        let slot = match column(&key.expr) {
            Some((slot, _)) if slot < scan.columns.len() => scan.columns[slot],
            _ => return false,
        };
        let backward = key.descending != ordered.descending;
        let nullable = !scan.relation.columns()[slot].not_null;
        // Turned round, NULLs stand at the other end.
        let nulls_fit = (key.nulls_first != ordered.nulls_first) == backward;
        if slot != ordered.slot || *reverse.get_or_insert(backward) != backward || (nullable && !nulls_fit) {
            return false;
        }
    }
    scan.reverse = reverse.unwrap_or(scan.reverse);
    true
}
