//! Constant expressions become constants.

use crate::{error::Result, expr::Expr, plan::Plan};

pub(super) fn apply(mut plan: Plan) -> Result<Plan> {
    plan.for_each_expr_mut(0, &mut |expr, _| {
        if !matches!(expr, Expr::Const { .. } | Expr::Column { .. } | Expr::Parameter { .. }) {
            let taken = std::mem::replace(expr, Expr::boolean(false));
            *expr = taken.fold();
        }
    });
    Ok(plan)
}
