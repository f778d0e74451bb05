//! What expressions need of the plan below them. While an expression is bound, a subquery, aggregate, window function,
//! set-returning or sequence function is put aside and a *marker* stands for its value: a column whose slot lies beyond any
//! real one. Once it is known where in the plan the value is computed, the node is attached there and the marker becomes a
//! real slot.

use std::collections::BTreeMap;

use crate::{
    expr::Expr,
    plan::{AggregateCall, ApplyKind, Plan, SequenceCall, SetFunction, WindowCall, visit::rewrite_outer},
};

/// Real slots lie below.
const MARKERS: usize = 1 << 32;

/// Columns of a quantified subquery (`x = ANY (SELECT …)`), within its comparison.
pub(super) const SUBPLAN_COLUMN: usize = 9 << 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Marker {
    Aggregate(usize),
    Window(usize),
    Set(usize),
    Sequence(usize),
    Subquery(usize),
}

impl Marker {
    pub fn slot(self) -> usize {
        match self {
            Marker::Aggregate(index) => MARKERS + index,
            Marker::Window(index) => (2 << 32) + index,
            Marker::Set(index) => (3 << 32) + index,
            Marker::Sequence(index) => (4 << 32) + index,
            Marker::Subquery(index) => (5 << 32) + index,
        }
    }

    pub fn of(slot: usize) -> Option<Marker> {
        let index = slot & (MARKERS - 1);
        Some(match slot >> 32 {
            1 => Marker::Aggregate(index),
            2 => Marker::Window(index),
            3 => Marker::Set(index),
            4 => Marker::Sequence(index),
            5 => Marker::Subquery(index),
            _ => return None,
        })
    }
}

/// A subquery to be applied.
pub(super) struct Pending {
    pub plan: Plan,
    pub kind: ApplyKind,
    attached: bool,
}

#[derive(Default)]
pub(super) struct Collected {
    pub aggregates: Vec<AggregateCall>,
    pub windows: Vec<WindowCall>,
    pub sets: Vec<SetFunction>,
    pub sequences: Vec<SequenceCall>,
    pub subqueries: Vec<Pending>,
}

impl Collected {
    pub fn is_empty(&self) -> bool {
        self.aggregates.is_empty()
            && self.windows.is_empty()
            && self.sets.is_empty()
            && self.sequences.is_empty()
            && self.subqueries.is_empty()
    }

    pub fn subquery(&mut self, plan: Plan, kind: ApplyKind) -> Marker {
        self.subqueries.push(Pending { plan, kind, attached: false });
        Marker::Subquery(self.subqueries.len() - 1)
    }

    /// Attaches the subqueries and sequence calls that the expressions need on top of `plan`, and makes their markers real.
    pub fn attach(&mut self, mut plan: Plan, exprs: &mut [&mut Expr]) -> Plan {
        let mut slots = BTreeMap::new();
        for expr in exprs.iter() {
            plan = self.attach_one(plan, expr, &mut slots);
        }
        for expr in exprs.iter_mut() {
            resolve(expr, &slots);
        }
        plan
    }

    fn attach_one(&mut self, mut plan: Plan, expr: &Expr, slots: &mut BTreeMap<usize, usize>) -> Plan {
        for slot in expr.columns() {
            if slots.contains_key(&slot) {
                continue;
            }
            match Marker::of(slot) {
                Some(Marker::Subquery(index)) if !self.subqueries[index].attached => {
                    plan = self.attach_subquery(plan, index, slots);
                }
                Some(Marker::Sequence(index)) => {
                    let mut call = self.sequences[index].clone();
                    for arg in &mut call.args {
                        plan = self.attach_one(plan, arg, slots);
                        resolve(arg, slots);
                    }
                    slots.insert(slot, plan.width());
                    plan = Plan::Sequence { input: Box::new(plan), calls: vec![call] };
                }
                _ => {}
            }
        }
        plan
    }

    fn attach_subquery(&mut self, mut plan: Plan, index: usize, slots: &mut BTreeMap<usize, usize>) -> Plan {
        let pending = &mut self.subqueries[index];
        pending.attached = true;
        let subplan = std::mem::replace(&mut pending.plan, Plan::one_row());
        let mut kind = std::mem::replace(&mut pending.kind, ApplyKind::Exists);
        if let ApplyKind::Quantified { comparison, .. } = &mut kind {
            // The operand may itself hold a subquery; it comes first.
            plan = self.attach_one(plan, comparison, slots);
            resolve(comparison, slots);
            let width = plan.width();
            renumber(comparison, &mut |slot| (slot >= SUBPLAN_COLUMN).then(|| width + slot - SUBPLAN_COLUMN));
        }
        slots.insert(Marker::Subquery(index).slot(), plan.width());
        Plan::Apply { input: Box::new(plan), subplan: Box::new(subplan), kind }
    }

    /// Everything that looks at the row before grouping and is evaluated after it: the expressions inside the subqueries not
    /// yet attached. `rewrite` maps a slot of the ungrouped row to one of the grouped row.
    pub fn regroup(&mut self, rewrite: &mut dyn FnMut(usize) -> usize) {
        for pending in self.subqueries.iter_mut().filter(|pending| !pending.attached) {
            pending.plan.rewrite_outer(&mut |depth, slot| if depth == 1 { (1, rewrite(slot)) } else { (depth, slot) });
        }
    }
}

/// The comparisons of subqueries not yet attached; they are over the current row.
pub(super) fn comparisons(subqueries: &mut [Pending]) -> impl Iterator<Item = &mut Expr> {
    subqueries.iter_mut().filter(|pending| !pending.attached).filter_map(|pending| match &mut pending.kind {
        ApplyKind::Quantified { comparison, .. } => Some(comparison),
        _ => None,
    })
}

/// Replaces the slots that have become real.
pub(super) fn resolve(expr: &mut Expr, slots: &BTreeMap<usize, usize>) {
    if !slots.is_empty() {
        renumber(expr, &mut |slot| slots.get(&slot).copied());
    }
}

/// Gives columns other slots.
pub(super) fn renumber(expr: &mut Expr, map: &mut dyn FnMut(usize) -> Option<usize>) {
    if let Expr::Column { slot, .. } = expr
        && let Some(new) = map(*slot)
    {
        *slot = new;
    }
    expr.for_each_child_mut(&mut |child| renumber(child, map));
}

/// References to the row `depth` 1 become references to this level's own row and the others move one level in: for a
/// lateral item that turned out to be evaluated on the same level.
pub(super) fn lower_outer(plan: &mut Plan) {
    plan.for_each_expr_mut(0, &mut |expr, levels| {
        rewrite_outer(expr, levels, &mut |depth, slot| (depth - 1, slot));
    });
}
