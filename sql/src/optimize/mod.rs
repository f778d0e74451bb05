//! Rewrites plans: rules in order, each a file. Plans are reused with other parameters, so no rule looks at a parameter's
//! value.

mod access;
mod ctes;
mod decorrelate;
mod estimate;
mod fold;
mod join_keys;
mod join_order;
mod limits;
mod locks;
mod lookup_join;
mod predicates;
mod prune;
mod push_filters;

use crate::{
    error::Result,
    plan::{Change, Plan, Statement},
};

/// A rule: its name as golden files show it, and what it does to a whole plan.
pub struct Rule {
    pub name: &'static str,
    apply: fn(Plan) -> Result<Plan>,
}

/// In order.
pub const RULES: &[Rule] = &[
    Rule { name: "fold", apply: fold::apply },
    Rule { name: "ctes", apply: ctes::apply },
    Rule { name: "decorrelate", apply: decorrelate::apply },
    Rule { name: "push_filters", apply: push_filters::apply },
    Rule { name: "join_order", apply: join_order::apply },
    Rule { name: "join_keys", apply: join_keys::apply },
    Rule { name: "prune", apply: prune::apply },
    Rule { name: "access", apply: access::apply },
    Rule { name: "lookup_join", apply: lookup_join::apply },
    Rule { name: "limits", apply: limits::apply },
    Rule { name: "locks", apply: locks::apply },
];

/// Applies all rules in order.
pub fn optimize(statement: Statement) -> Result<Statement> {
    match statement {
        Statement::Query(plan) => Ok(Statement::Query(optimize_plan(plan)?)),
        Statement::Change(change) => match optimize_plan(Plan::Change(change))? {
            Plan::Change(change) => Ok(Statement::Change(change)),
            _ => Err(crate::error::SqlError::internal("a change was optimised away")),
        },
        Statement::Explain { options, statement } => {
            Ok(Statement::Explain { options, statement: Box::new(optimize(*statement)?) })
        }
    }
}

fn optimize_plan(mut plan: Plan) -> Result<Plan> {
    for rule in RULES {
        plan = (rule.apply)(plan)?;
    }
    Ok(plan)
}

/// Rewrites all nodes from the leaves up.
fn bottom_up(mut plan: Plan, rewrite: &mut dyn FnMut(Plan) -> Result<Plan>) -> Result<Plan> {
    rewrite_children(&mut plan, &mut |child| bottom_up(child, rewrite))?;
    rewrite(plan)
}

/// Replaces each input of a node by what `rewrite` makes of it.
fn rewrite_children(plan: &mut Plan, rewrite: &mut dyn FnMut(Plan) -> Result<Plan>) -> Result<()> {
    let mut failure = None;
    plan.for_each_child_mut(&mut |child, _| {
        if failure.is_none() {
            match rewrite(std::mem::replace(child, Plan::one_row())) {
                Ok(new) => *child = new,
                Err(error) => failure = Some(error),
            }
        }
    });
    failure.map_or(Ok(()), Err)
}

/// The change of a `Plan::Change`.
fn change_of(plan: &mut Plan) -> Option<&mut Change> {
    match plan {
        Plan::Change(change) => Some(change),
        _ => None,
    }
}
