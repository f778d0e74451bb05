//! A join of few rows with a table whose index has the join's keys looks the rows up instead of scanning the table.

use super::{
    access::{column, comparable},
    bottom_up, estimate,
};
use crate::{
    bind::shift_columns,
    error::Result,
    expr::Expr,
    plan::{Access, Join, JoinKind, LookupJoin, Plan, Scan},
};

/// Up to so many rows are looked up by full key (in batches) …
const UNIQUE_ROWS_MAX: f64 = 500.0;
/// … or by a prefix (a scan each).
const PREFIX_ROWS_MAX: f64 = 20.0;

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |plan| {
        let Plan::Join(join) = plan else { return Ok(plan) };
        if join.keys.is_empty()
            || !matches!(join.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
        {
            return Ok(Plan::Join(join));
        }
        if let Some(choice) = choose(&join.left, &join.right, join.keys.iter().map(|(l, r)| (l, r))) {
            return Ok(lookup(*join, &choice));
        }
        // An inner join can be turned round.
        if join.kind == JoinKind::Inner
            && let Some(choice) = choose(&join.right, &join.left, join.keys.iter().map(|(l, r)| (r, l)))
        {
            return Ok(turned(*join, &choice));
        }
        Ok(Plan::Join(join))
    })
}

/// An index, and for each of its first columns which pair of join keys fixes it.
struct Choice {
    index: usize,
    pairs: Vec<usize>,
}

fn choose<'e>(outer: &Plan, inner: &Plan, keys: impl Iterator<Item = (&'e Expr, &'e Expr)>) -> Option<Choice> {
    let Plan::Scan(scan) = inner else { return None };
    let whole = matches!(&scan.access, Access::Range { prefix, lower: None, upper: None } if prefix.is_empty());
    if !whole || scan.limit.is_some() || scan.lock.is_some() {
        return None;
    }
    let keys: Vec<(&Expr, &Expr)> = keys.collect();
    let rows = estimate::rows(outer);
    let mut best: Option<(bool, Choice)> = None;
    for index in 0..scan.layouts.len() {
        let table_index = &scan.table().indexes[index];
        if table_index.hidden_row_id {
            continue;
        }
        let pair_of = |slot: usize| {
            keys.iter().position(|(outer, inner)| {
                column(inner).is_some_and(|(at, ty)| scan.columns.get(at) == Some(&slot) && comparable(ty, outer.ty()))
            })
        };
        let columns = scan.layouts[index].columns();
        let pairs: Vec<usize> = columns.iter().map_while(|column| pair_of(column.slot)).collect();
        let unique = table_index.unique && pairs.len() == columns.len();
        let limit = if unique { UNIQUE_ROWS_MAX } else { PREFIX_ROWS_MAX };
        if pairs.is_empty() || rows > limit {
            continue;
        }
        let better = best.as_ref().is_none_or(|(best_unique, best)| {
            (unique && !best_unique) || (unique == *best_unique && pairs.len() > best.pairs.len())
        });
        if better {
            best = Some((unique, Choice { index, pairs }));
        }
    }
    best.map(|(_, choice)| choice)
}

fn lookup(join: Join, choice: &Choice) -> Plan {
    let Join { kind, left, right, on, keys } = join;
    let Plan::Scan(scan) = right else {
        return Plan::Join(Box::new(Join { kind, left, right, on, keys }));
    };
    let width = left.width();
    lookup_scan(kind, left, *scan, width, on, keys, choice)
}

fn lookup_scan(
    kind: JoinKind,
    input: Plan,
    scan: Scan,
    width: usize,
    on: Option<Expr>,
    keys: Vec<(Expr, Expr)>,
    choice: &Choice,
) -> Plan {
    let looked_up = choice.pairs.iter().map(|&pair| keys[pair].0.clone()).collect();
    // Keys that the index does not cover are conditions.
    let rest = keys.into_iter().enumerate().filter(|(pair, _)| !choice.pairs.contains(pair));
    let rest = rest.filter_map(|(_, (left, mut right))| {
        shift_columns(&mut right, width);
        crate::expr::function::operator("=", Some(left), right).ok()
    });
    let on = super::predicates::combine(on.into_iter().chain(rest).collect());
    Plan::LookupJoin(Box::new(LookupJoin {
        kind,
        input,
        relation: scan.relation,
        layouts: scan.layouts,
        index: choice.index,
        keys: looked_up,
        columns: scan.columns,
        with_key: scan.with_key,
        mark: scan.mark,
        filter: scan.filter,
        on,
        alias: scan.alias,
    }))
}

/// The lookup from the right side into the left, with the columns put back in order.
fn turned(join: Join, choice: &Choice) -> Plan {
    let Join { kind, left, right, on, keys } = join;
    let Plan::Scan(scan) = left else {
        return Plan::Join(Box::new(Join { kind, left, right, on, keys }));
    };
    let (left_types, right_types) = (scan.types(), right.types());
    let (left_width, right_width) = (left_types.len(), right_types.len());
    let on = on.map(|on| {
        on.transform(&mut |part| match part {
            Expr::Column { slot, ty } if slot < left_width => Expr::Column { slot: slot + right_width, ty },
            Expr::Column { slot, ty } => Expr::Column { slot: slot - left_width, ty },
            other => other,
        })
    });
    let keys = keys.into_iter().map(|(left, right)| (right, left)).collect();
    let plan = lookup_scan(kind, right, *scan, right_width, on, keys, choice);
    let lefts = left_types.into_iter().enumerate().map(|(slot, ty)| Expr::Column { slot: slot + right_width, ty });
    let rights = right_types.into_iter().enumerate().map(|(slot, ty)| Expr::Column { slot, ty });
    Plan::Project { expressions: lefts.chain(rights).collect(), input: Box::new(plan) }
}
