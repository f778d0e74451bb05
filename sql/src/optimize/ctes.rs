//! A common table expression that is read in one place is put there.

use super::bottom_up;
use crate::{error::Result, plan::Plan};

pub(super) fn apply(plan: Plan) -> Result<Plan> {
    bottom_up(plan, &mut |plan| {
        let Plan::Cte { id, name, definition, mut input } = plan else { return Ok(plan) };
        // Inside a subquery it would be evaluated for each row; what refers to outer rows would count levels differently.
        let (here, deeper) = uses(&input, id, false);
        if here != 1 || deeper != 0 || definition.is_volatile() || definition.refers_to_outer(0) {
            return Ok(Plan::Cte { id, name, definition, input });
        }
        let mut definition = Some(*definition);
        replace(&mut input, id, &mut definition);
        Ok(*input)
    })
}

/// How often it is read on the same level, and how often in subqueries or in the rounds of a recursion.
fn uses(plan: &Plan, id: u32, inner: bool) -> (usize, usize) {
    if matches!(plan, Plan::CteScan { id: found, .. } if *found == id) {
        return if inner { (0, 1) } else { (1, 0) };
    }
    let repeated = matches!(plan, Plan::Recursive { .. });
    let mut total = (0, 0);
    plan.for_each_child(&mut |child, subplan| {
        let (here, deeper) = uses(child, id, inner || subplan || repeated);
        total = (total.0 + here, total.1 + deeper);
    });
    total
}

fn replace(plan: &mut Plan, id: u32, definition: &mut Option<Plan>) {
    if matches!(plan, Plan::CteScan { id: found, .. } if *found == id) {
        if let Some(definition) = definition.take() {
            *plan = definition;
        }
        return;
    }
    plan.for_each_child_mut(&mut |child, _| replace(child, id, definition));
}
