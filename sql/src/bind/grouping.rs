//! GROUP BY and aggregates: which expressions of the ungrouped row may still be looked at afterwards, and where they stand.

use super::{
    collect::{Marker, renumber},
    expr::ExprBinder,
    scope::Scope,
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{Expr, aggregate::AggregateCall},
    plan::Plan,
};

struct Groups<'s> {
    scope: &'s Scope,
    exprs: Vec<Expr>,
}

impl ExprBinder<'_> {
    /// Puts the aggregation on top of `plan` and rewrites everything that comes after it (the output expressions and what was
    /// put aside for them) to look at the grouped row.
    pub(super) fn group(&mut self, plan: Plan, mut groups: Vec<Expr>, outputs: &mut [&mut Expr]) -> Result<Plan> {
        let mut aggregates = std::mem::take(&mut self.collected.aggregates);
        let plan = {
            let mut before: Vec<&mut Expr> = groups.iter_mut().collect();
            for call in &mut aggregates {
                before.extend(exprs_of(call));
            }
            self.collected.attach(plan, &mut before)
        };
        let mut state = Groups { scope: self.names.scope, exprs: groups };
        let mut failure = None;
        self.for_each_after(outputs, &mut |this, expr| {
            if let Err(error) = state.rewrite(expr, this)
                && failure.is_none()
            {
                failure = Some(error);
            }
        });
        let mut ungrouped = None;
        self.collected.regroup(&mut |slot| match state.column(slot) {
            Some(group) => group,
            None => {
                ungrouped = ungrouped.or(Some(slot));
                slot
            }
        });
        if let Some(slot) = ungrouped {
            let name = self.names.scope.columns.iter().find(|column| is_column(&column.expr, slot));
            let name = name.map_or("?column?", |column| &column.name);
            let message = format!("subquery uses ungrouped column \"{name}\" from outer query");
            failure = failure.or(Some(SqlError::new(SqlState::GROUPING_ERROR, message)));
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let groups = state.exprs;
        let offset = groups.len();
        self.for_each_after(outputs, &mut |_, expr| {
            renumber(expr, &mut |slot| match Marker::of(slot) {
                Some(Marker::Aggregate(index)) => Some(offset + index),
                _ => None,
            });
        });
        Ok(Plan::Aggregate { input: Box::new(plan), groups, aggregates })
    }

    /// Visits what is evaluated after grouping: the outputs, and the arguments of what was put aside.
    fn for_each_after(&mut self, outputs: &mut [&mut Expr], visit: &mut dyn FnMut(&Self, &mut Expr)) {
        let mut windows = std::mem::take(&mut self.collected.windows);
        let mut sets = std::mem::take(&mut self.collected.sets);
        let mut sequences = std::mem::take(&mut self.collected.sequences);
        for expr in outputs.iter_mut() {
            visit(self, expr);
        }
        for call in &mut windows {
            call.for_each_expr_mut(&mut |expr| visit(self, expr));
        }
        sets.iter_mut().for_each(|set| visit(self, &mut set.call));
        sequences.iter_mut().flat_map(|call| &mut call.args).for_each(|arg| visit(self, arg));
        self.collected.windows = windows;
        self.collected.sets = sets;
        self.collected.sequences = sequences;
        let mut subqueries = std::mem::take(&mut self.collected.subqueries);
        for comparison in super::collect::comparisons(&mut subqueries) {
            visit(self, comparison);
        }
        self.collected.subqueries = subqueries;
    }
}

fn exprs_of(call: &mut AggregateCall) -> Vec<&mut Expr> {
    let keys = call.order_by.iter_mut().map(|key| &mut key.expr);
    call.args.iter_mut().chain(&mut call.filter).chain(keys).collect()
}

impl Groups<'_> {
    fn rewrite(&mut self, expr: &mut Expr, binder: &ExprBinder<'_>) -> Result<()> {
        if let Some(index) = self.exprs.iter().position(|group| group == expr) {
            *expr = Expr::Column { slot: index, ty: expr.ty() };
            return Ok(());
        }
        if let Expr::Column { slot, .. } = expr {
            if Marker::of(*slot).is_some() || *slot >= super::collect::SUBPLAN_COLUMN {
                return Ok(());
            }
            *slot = self.column(*slot).ok_or_else(|| ungrouped(binder, *slot))?;
            return Ok(());
        }
        let mut result = Ok(());
        expr.for_each_child_mut(&mut |child| {
            if result.is_ok() {
                result = self.rewrite(child, binder);
            }
        });
        result
    }

    /// Where a column of the ungrouped row stands in the grouped one. A column of a table whose primary key is grouped by is
    /// the same for the whole group and joins it.
    fn column(&mut self, slot: usize) -> Option<usize> {
        if let Some(index) = self.exprs.iter().position(|group| is_column(group, slot)) {
            return Some(index);
        }
        let column = self.scope.columns.iter().find(|column| is_column(&column.expr, slot))?;
        let table = column.table?;
        let primary = self.scope.tables[table].relation.as_ref()?.table()?.primary();
        if primary.hidden_row_id {
            return None;
        }
        let determined = primary.columns.iter().all(|key| {
            self.scope.columns.iter().any(|other| {
                other.table == Some(table)
                    && other.origin.is_some_and(|(_, id)| id == key.column.0)
                    && self.exprs.contains(&other.expr)
            })
        });
        if !determined {
            return None;
        }
        self.exprs.push(column.expr.clone());
        Some(self.exprs.len() - 1)
    }
}

fn is_column(expr: &Expr, wanted: usize) -> bool {
    matches!(expr, Expr::Column { slot, .. } if *slot == wanted)
}

fn ungrouped(binder: &ExprBinder<'_>, slot: usize) -> SqlError {
    let (name, at) = binder.mentions.get(&slot).cloned().unwrap_or_else(|| {
        let scope = binder.names.scope;
        let column = scope.columns.iter().find(|column| is_column(&column.expr, slot));
        let name = column.map_or("?column?".to_owned(), |column| match column.table {
            Some(table) => format!("{}.{}", scope.tables[table].alias, column.name),
            None => column.name.clone(),
        });
        (name, None)
    });
    let message = format!("column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function");
    SqlError::new(SqlState::GROUPING_ERROR, message).at(at)
}
