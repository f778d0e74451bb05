//! The operator trait, and from plans to operators.

use async_trait::async_trait;

use super::{
    Run, aggregate, apply, basic, change, join, lock, lookup, measure::Measured, scan, sequence, set, sort, window,
};
use crate::{error::Result, plan::Plan, types::Row};

/// The state of one plan node. `plan` is always the node that the operator was built from.
#[async_trait]
pub(crate) trait Operator: Send {
    /// The next rows (never an empty batch); `None` at the end, and again when asked again.
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>>;
}

impl Run<'_> {
    /// Operators for a plan, at their beginning; in envelopes where the statement is measured.
    pub(crate) fn build(&self, plan: &Plan) -> Box<dyn Operator> {
        build(plan, self.state.measuring.is_some())
    }
}

pub(crate) fn build(plan: &Plan, measured: bool) -> Box<dyn Operator> {
    let build = |plan: &Plan| build(plan, measured);
    let operator: Box<dyn Operator> = match plan {
        Plan::Values { .. } => Box::new(basic::Values::default()),
        Plan::Scan(scan) if scan.is_point() => Box::new(lookup::Points::default()),
        Plan::Scan(_) => Box::new(scan::RangeScan::default()),
        Plan::System { .. } => Box::new(basic::System::default()),
        Plan::Filter { input, .. } => Box::new(basic::Filter { input: build(input) }),
        Plan::Project { input, .. } => Box::new(basic::Project { input: build(input) }),
        Plan::Limit { input, .. } => Box::new(basic::Limit::new(build(input))),
        Plan::Join(node) => Box::new(join::HashJoin::new(build(&node.left), build(&node.right))),
        Plan::LookupJoin(node) => Box::new(lookup::LookupJoin::new(build(&node.input))),
        Plan::Apply { input, .. } => Box::new(apply::Apply::new(build(input))),
        Plan::Aggregate { input, .. } => Box::new(aggregate::Aggregate::new(build(input))),
        Plan::Distinct { input, .. } => Box::new(set::Distinct::new(build(input))),
        Plan::Sort { input, .. } => Box::new(sort::Sort::new(build(input))),
        Plan::SetOperation { left, right, .. } => Box::new(set::SetOperation::new(build(left), build(right))),
        Plan::ProjectSet { input, .. } => Box::new(basic::ProjectSet { input: build(input) }),
        Plan::Window { input, .. } => Box::new(window::Window::new(build(input))),
        Plan::Sequence { input, .. } => Box::new(sequence::Sequence { input: build(input) }),
        Plan::Lock { input, .. } => Box::new(lock::Lock::new(build(input))),
        Plan::Cte { input, .. } => Box::new(set::Cte { input: build(input), ready: false }),
        Plan::CteScan { .. } => Box::new(set::CteScan::default()),
        Plan::Recursive { .. } => Box::new(set::Recursive::default()),
        Plan::Change(change) => Box::new(change::ChangeOperator(change::Running::new(change))),
    };
    if measured { Box::new(Measured { inner: operator, started: false }) } else { operator }
}
