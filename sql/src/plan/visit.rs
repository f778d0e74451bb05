//! Walking plans: children, and all expressions with the number of `Apply` levels between them and the root.

use txn::LockMode;

use super::{
    Access, AggregateCall, ApplyKind, Change, ConflictAction, FrameBound, JoinKind, Plan, SequenceFunction, SortKey,
    WindowCall, WindowFunction,
};
use crate::expr::Expr;

/// Both walks over the inputs of a node; the last argument is `mut` or nothing.
macro_rules! visit_inputs {
    ($plan:expr, $visit:expr, $source:ident $(, $mutable:tt)?) => {
        match $plan {
            Plan::Values { .. } | Plan::Scan(_) | Plan::System { .. } | Plan::CteScan { .. } => {}
            Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input, .. }
            | Plan::Sort { input, .. }
            | Plan::ProjectSet { input, .. }
            | Plan::Window { input, .. }
            | Plan::Sequence { input, .. }
            | Plan::Lock { input, .. } => $visit(input, false),
            Plan::Join(join) => {
                $visit(&$($mutable)? join.left, false);
                $visit(&$($mutable)? join.right, false);
            }
            Plan::LookupJoin(join) => $visit(&$($mutable)? join.input, false),
            Plan::Apply { input, subplan, .. } => {
                $visit(input, false);
                $visit(subplan, true);
            }
            Plan::SetOperation { left, right, .. } => {
                $visit(left, false);
                $visit(right, false);
            }
            Plan::Cte { definition, input, .. } => {
                $visit(definition, false);
                $visit(input, false);
            }
            Plan::Recursive { initial, step, .. } => {
                $visit(initial, false);
                $visit(step, false);
            }
            Plan::Change(change) => $visit(change.$source(), false),
        }
    };
}

impl Plan {
    /// The inputs of this node. The flag tells whether the child is the subplan of an `Apply` (one level further down).
    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Plan, bool)) {
        visit_inputs!(self, visit, source_mut, mut);
    }

    pub fn for_each_child(&self, visit: &mut dyn FnMut(&Plan, bool)) {
        visit_inputs!(self, visit, source);
    }

    /// The expressions of this node itself.
    pub fn for_each_own_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Plan::Values { rows, .. } => rows.iter_mut().flatten().for_each(visit),
            Plan::Scan(scan) => {
                match &mut scan.access {
                    Access::Range { prefix, lower, upper } => {
                        prefix.iter_mut().for_each(&mut *visit);
                        lower.iter_mut().chain(upper).for_each(|bound| visit(&mut bound.value));
                    }
                    Access::Points(keys) => keys.iter_mut().flatten().for_each(&mut *visit),
                    Access::PointArray(array) => visit(array),
                }
                scan.filter.iter_mut().chain(&mut scan.limit).for_each(visit);
            }
            Plan::System { .. } | Plan::CteScan { .. } => {}
            Plan::Lock { limit, .. } => limit.iter_mut().for_each(visit),
            Plan::Cte { .. } | Plan::Recursive { .. } | Plan::SetOperation { .. } => {}
            Plan::Filter { predicate, .. } => visit(predicate),
            Plan::Project { expressions, .. } => expressions.iter_mut().for_each(visit),
            Plan::Limit { limit, offset, .. } => limit.iter_mut().chain(offset).for_each(visit),
            Plan::Join(join) => {
                join.on.iter_mut().for_each(&mut *visit);
                for (left, right) in &mut join.keys {
                    visit(left);
                    visit(right);
                }
            }
            Plan::LookupJoin(join) => {
                join.keys.iter_mut().chain(&mut join.filter).chain(&mut join.on).for_each(visit);
            }
            Plan::Apply { kind, .. } => match kind {
                ApplyKind::Scalar { .. } | ApplyKind::Exists | ApplyKind::Array { .. } => {}
                ApplyKind::Quantified { comparison, .. } => visit(comparison),
                ApplyKind::Join { on, .. } => on.iter_mut().for_each(visit),
            },
            Plan::Aggregate { groups, aggregates, .. } => {
                groups.iter_mut().for_each(&mut *visit);
                aggregates.iter_mut().for_each(|call| aggregate_mut(call, visit));
            }
            Plan::Distinct { on, .. } => on.iter_mut().flatten().for_each(visit),
            Plan::Sort { keys, limit, .. } => {
                keys_mut(keys, visit);
                limit.iter_mut().for_each(visit);
            }
            Plan::ProjectSet { functions, .. } => functions.iter_mut().for_each(|function| visit(&mut function.call)),
            Plan::Window { calls, .. } => {
                calls.iter_mut().for_each(|call| call.for_each_expr_mut(visit));
            }
            Plan::Sequence { calls, .. } => calls.iter_mut().flat_map(|call| &mut call.args).for_each(visit),
            Plan::Change(change) => change.for_each_own_expr_mut(visit),
        }
    }

    /// Every expression of the tree, with the number of `Apply` levels above it: an `Expr::Outer` of depth `levels + n` looks
    /// n levels above the root.
    pub fn for_each_expr_mut(&mut self, levels: usize, visit: &mut dyn FnMut(&mut Expr, usize)) {
        self.for_each_own_expr_mut(&mut |expr| visit(expr, levels));
        self.for_each_child_mut(&mut |child, inner| child.for_each_expr_mut(levels + usize::from(inner), visit));
    }

    /// Rewrites the references to rows of enclosing levels: `rewrite` is given the depth as seen from the root (1 = the nearest
    /// row above it) and the slot, and changes them.
    pub fn rewrite_outer(&mut self, rewrite: &mut dyn FnMut(usize, usize) -> (usize, usize)) {
        self.for_each_expr_mut(0, &mut |expr, levels| rewrite_outer(expr, levels, rewrite));
    }

    /// Whether anything refers to the row `depth` levels above the root (1 = the nearest); 0: to any row above.
    pub fn refers_to_outer(&self, depth: usize) -> bool {
        let mut found = false;
        // One mutable walk serves all; correctness over the cost of a copy, which binding and optimising can bear.
        self.clone().rewrite_outer(&mut |at, slot| {
            found |= depth == 0 || at == depth;
            (at, slot)
        });
        found
    }

    /// Whether it gives other rows each time it runs, or changes something.
    pub fn is_volatile(&self) -> bool {
        let mut found = matches!(self, Plan::Sequence { .. } | Plan::Lock { .. } | Plan::Change(_));
        let mut copy = self.clone();
        copy.for_each_expr_mut(0, &mut |expr, _| found |= expr.is_volatile());
        self.for_each_child(&mut |child, _| found |= child.is_volatile());
        found
    }

    /// The command of a node that locks rows or changes something, as a read-only transaction refuses it.
    pub fn writes(&self) -> Option<&'static str> {
        let mut found = match self {
            // Named by the statement around it, as PostgreSQL does.
            Plan::Change(_) => Some("SELECT"),
            Plan::Sequence { calls, .. } => calls.iter().find_map(|call| match call.function {
                SequenceFunction::NextValue => Some("nextval()"),
                SequenceFunction::SetValue => Some("setval()"),
                SequenceFunction::CurrentValue | SequenceFunction::LastValue | SequenceFunction::Sleep => None,
            }),
            Plan::Lock { rows, .. } => rows.iter().map(|row| row.mode).max().map(locking_command),
            Plan::Scan(scan) => scan.lock.map(|(mode, _)| locking_command(mode)),
            _ => None,
        };
        self.for_each_child(&mut |child, _| found = found.or_else(|| child.writes()));
        found
    }
}

fn locking_command(mode: LockMode) -> &'static str {
    match mode {
        LockMode::KeyShare => "SELECT FOR KEY SHARE",
        LockMode::Share => "SELECT FOR SHARE",
        LockMode::NoKeyUpdate => "SELECT FOR NO KEY UPDATE",
        LockMode::Update => "SELECT FOR UPDATE",
    }
}

/// See [`Plan::rewrite_outer`], for one expression with `levels` between it and the root.
pub fn rewrite_outer(expr: &mut Expr, levels: usize, rewrite: &mut dyn FnMut(usize, usize) -> (usize, usize)) {
    if let Expr::Outer { depth, slot, .. } = expr
        && *depth > levels
    {
        let (new_depth, new_slot) = rewrite(*depth - levels, *slot);
        (*depth, *slot) = (new_depth + levels, new_slot);
    }
    expr.for_each_child_mut(&mut |child| rewrite_outer(child, levels, rewrite));
}

fn aggregate_mut(call: &mut AggregateCall, visit: &mut dyn FnMut(&mut Expr)) {
    call.args.iter_mut().chain(&mut call.filter).for_each(&mut *visit);
    keys_mut(&mut call.order_by, visit);
}

fn keys_mut(keys: &mut [SortKey], visit: &mut dyn FnMut(&mut Expr)) {
    keys.iter_mut().for_each(|key| visit(&mut key.expr));
}

impl WindowCall {
    /// Its expressions, those of an aggregate included.
    pub(crate) fn for_each_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        if let WindowFunction::Aggregate(aggregate) = &mut self.function {
            aggregate_mut(aggregate, visit);
        }
        self.args.iter_mut().chain(&mut self.filter).chain(&mut self.partition_by).for_each(&mut *visit);
        keys_mut(&mut self.order_by, visit);
        for bound in [&mut self.frame.start, &mut self.frame.end] {
            if let FrameBound::Preceding(expr) | FrameBound::Following(expr) = bound {
                visit(expr);
            }
        }
    }
}

impl Change {
    fn for_each_own_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        let returning = match self {
            Change::Insert(insert) => {
                if let Some(conflict) = &mut insert.on_conflict
                    && let ConflictAction::Update { assignments, filter } = &mut conflict.action
                {
                    assignments.iter_mut().for_each(|(_, expr)| visit(expr));
                    filter.iter_mut().for_each(&mut *visit);
                }
                &mut insert.returning
            }
            Change::Update(update) => {
                update.assignments.iter_mut().for_each(|(_, expr)| visit(expr));
                &mut update.returning
            }
            Change::Delete(delete) => &mut delete.returning,
        };
        returning.iter_mut().flat_map(|returning| &mut returning.expressions).for_each(visit);
    }
}

impl JoinKind {
    /// Whether rows of the left side come out even without a match.
    pub fn keeps_left(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full)
    }

    /// Whether rows of the right side come out even without a match.
    pub fn keeps_right(self) -> bool {
        matches!(self, JoinKind::Right | JoinKind::Full)
    }
}
