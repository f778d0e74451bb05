//! What the columns are called that a node yields, as far as the plan still knows.

use super::{aggregate, call_of_window, expression::Scope};
use crate::{
    catalog::Relation,
    plan::{ApplyKind, JoinKind, Plan},
};

/// What stands for the value that a subplan gives.
const SUBPLAN: &str = "(SubPlan)";

/// Names columns. As PostgreSQL does, with the name of their table where there are several.
#[derive(Default)]
pub struct Labels {
    pub is_qualified: bool,
    /// Columns of the rows of enclosing `Apply` nodes, the nearest last.
    pub outer: Vec<Vec<String>>,
}

impl Labels {
    pub fn scope<'a>(&'a self, columns: &'a [String]) -> Scope<'a> {
        Scope { columns, outer: &self.outer }
    }

    /// Of the columns that a node yields.
    pub fn of(&self, plan: &Plan) -> Vec<String> {
        match plan {
            Plan::Values { types, .. } => (1..=types.len()).map(|number| format!("column{number}")).collect(),
            Plan::Scan(scan) => self.of_table(&scan.relation, scan.alias.as_deref(), &scan.columns, scan.with_key),
            Plan::System { relation, .. } => {
                let all: Vec<usize> = (0..relation.columns().len()).collect();
                self.of_table(relation, None, &all, false)
            }
            Plan::Filter { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Distinct { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Lock { input, .. }
            | Plan::Cte { input, .. } => self.of(input),
            Plan::Project { input, expressions } => {
                let columns = self.of(input);
                expressions.iter().map(|expr| self.scope(&columns).show(expr)).collect()
            }
            Plan::Join(join) => self.of_join(join.kind, self.of(&join.left), || self.of(&join.right)),
            Plan::LookupJoin(join) => self.of_join(join.kind, self.of(&join.input), || {
                self.of_table(&join.relation, join.alias.as_deref(), &join.columns, join.with_key)
            }),
            Plan::Apply { input, subplan, kind } => {
                let mut columns = self.of(input);
                match kind {
                    ApplyKind::Join { .. } => columns.extend(self.of(subplan)),
                    _ => columns.push(SUBPLAN.to_owned()),
                }
                columns
            }
            Plan::Aggregate { input, groups, aggregates } => {
                let columns = self.of(input);
                let scope = self.scope(&columns);
                let calls = aggregates.iter().map(|call| aggregate(call, scope));
                groups.iter().map(|expr| scope.show(expr)).chain(calls).collect()
            }
            Plan::SetOperation { left, .. } => self.of(left),
            Plan::Recursive { name, initial, .. } => numbered(name, initial.width()),
            Plan::CteScan { name, types, .. } => numbered(name, types.len()),
            other => self.of_extended(other),
        }
    }

    /// Of nodes that add columns to those of their input.
    fn of_extended(&self, plan: &Plan) -> Vec<String> {
        let (mut columns, added) = match plan {
            Plan::ProjectSet { input, functions, .. } => {
                let columns = self.of(input);
                let scope = self.scope(&columns);
                let added = functions.iter().flat_map(|function| match function.types.len() {
                    1 => vec![scope.show(&function.call)],
                    count => numbered(&scope.show(&function.call), count),
                });
                let added = added.collect();
                (columns, added)
            }
            Plan::Window { input, calls } => {
                let columns = self.of(input);
                let scope = self.scope(&columns);
                let added = calls.iter().map(|call| format!("{} OVER (?)", call_of_window(call, scope))).collect();
                (columns, added)
            }
            Plan::Sequence { input, calls } => {
                let columns = self.of(input);
                let scope = self.scope(&columns);
                let added =
                    calls.iter().map(|call| format!("{}({})", call.function.name(), scope.list(&call.args))).collect();
                (columns, added)
            }
            _ => (Vec::new(), Vec::new()),
        };
        columns.extend::<Vec<String>>(added);
        columns
    }

    fn of_join(&self, kind: JoinKind, mut left: Vec<String>, right: impl FnOnce() -> Vec<String>) -> Vec<String> {
        if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            left.extend(right());
        }
        left
    }

    pub fn of_table(&self, relation: &Relation, alias: Option<&str>, slots: &[usize], with_key: bool) -> Vec<String> {
        let table = alias.unwrap_or(&relation.name);
        let names = slots.iter().filter_map(|slot| relation.columns().get(*slot));
        let name = |name: &str| if self.is_qualified { format!("{table}.{name}") } else { name.to_owned() };
        names.map(|column| name(&column.name)).chain(with_key.then(|| name("(key)"))).collect()
    }
}

/// Columns of which only the place is known.
fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|slot| format!("{name}.#{slot}")).collect()
}

/// How many tables, views and common tables a plan reads.
pub fn sources(plan: &Plan) -> usize {
    let mut count =
        usize::from(matches!(plan, Plan::Scan(_) | Plan::System { .. } | Plan::CteScan { .. } | Plan::LookupJoin(_)));
    plan.for_each_child(&mut |child, _| count += sources(child));
    count
}
