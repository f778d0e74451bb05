//! Rough numbers of rows, as long as there are no statistics: enough to tell a lookup from a scan.

use crate::plan::{Access, JoinKind, Plan, Scan};

/// Rows of a table nobody has counted.
const TABLE_ROWS: f64 = 10_000.0;
const EQUAL_SHARE: f64 = 0.001;
const RANGE_SHARE: f64 = 0.3;
const FILTER_SHARE: f64 = 0.3;

pub(super) fn rows(plan: &Plan) -> f64 {
    match plan {
        Plan::Values { rows, .. } => rows.len() as f64,
        Plan::Scan(scan) => scan_rows(scan),
        Plan::System { .. } => 300.0,
        Plan::Filter { input, .. } => rows(input) * FILTER_SHARE,
        Plan::Limit { input, .. } => rows(input).min(100.0),
        Plan::Aggregate { groups, .. } if groups.is_empty() => 1.0,
        Plan::Aggregate { input, .. } | Plan::Distinct { input, .. } => rows(input) * 0.1,
        Plan::Join(join) => match join.kind {
            JoinKind::Semi | JoinKind::Anti => rows(&join.left) * 0.5,
            _ if join.keys.is_empty() && join.on.is_none() => rows(&join.left) * rows(&join.right),
            _ => rows(&join.left).max(rows(&join.right)),
        },
        Plan::LookupJoin(join) => rows(&join.input),
        Plan::SetOperation { left, right, .. } => rows(left) + rows(right),
        Plan::ProjectSet { input, .. } => rows(input) * 10.0,
        Plan::CteScan { .. } | Plan::Recursive { .. } => 100.0,
        Plan::Project { input, .. }
        | Plan::Sort { input, .. }
        | Plan::Window { input, .. }
        | Plan::Sequence { input, .. }
        | Plan::Lock { input, .. }
        | Plan::Cte { input, .. }
        | Plan::Apply { input, .. } => rows(input),
        Plan::Change(change) => rows(change.source()),
    }
}

fn scan_rows(scan: &Scan) -> f64 {
    let filter = if scan.filter.is_some() { FILTER_SHARE } else { 1.0 };
    let reached = match &scan.access {
        Access::Points(keys) => keys.len() as f64,
        Access::PointArray(_) => 10.0,
        Access::Range { prefix, lower, upper } => {
            let bounds = usize::from(lower.is_some()) + usize::from(upper.is_some());
            TABLE_ROWS * EQUAL_SHARE.powi(prefix.len() as i32) * RANGE_SHARE.powi(bounds as i32)
        }
    };
    (reached * filter).max(1.0)
}
