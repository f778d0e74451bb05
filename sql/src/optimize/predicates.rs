//! Helpers on conditions.

use crate::expr::{Expr, function};

/// The parts of a conjunction.
pub(super) fn split(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::And(parts) => parts.into_iter().flat_map(split).collect(),
        Expr::Const { value: crate::types::Value::Bool(true), .. } => Vec::new(),
        other => vec![other],
    }
}

/// Their conjunction; `None` of nothing.
pub(super) fn combine(parts: Vec<Expr>) -> Option<Expr> {
    (!parts.is_empty()).then(|| crate::bind::conjunction(parts.into_iter()))
}

/// Whether the expression is NULL or false whenever the columns in question are all NULL: then a filter on it drops the rows
/// that an outer join has padded.
pub(super) fn rejects_null(expr: &Expr, slots: &dyn Fn(usize) -> bool) -> bool {
    match expr {
        Expr::Not(inner) => is_null_on_null(inner, slots),
        Expr::And(parts) => parts.iter().any(|part| rejects_null(part, slots)),
        Expr::Or(parts) => parts.iter().all(|part| rejects_null(part, slots)),
        Expr::IsBool { expr, .. } => is_null_on_null(expr, slots),
        other => is_null_on_null(other, slots),
    }
}

fn is_null_on_null(expr: &Expr, slots: &dyn Fn(usize) -> bool) -> bool {
    match expr {
        Expr::Column { slot, .. } => slots(*slot),
        Expr::Call { function, args, .. } => {
            function::get(*function).strict && args.iter().any(|arg| is_null_on_null(arg, slots))
        }
        Expr::Cast { expr, .. } => is_null_on_null(expr, slots),
        Expr::Not(inner) => is_null_on_null(inner, slots),
        Expr::InList { left, .. } | Expr::ArrayCompare { left, .. } => is_null_on_null(left, slots),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().all(|part| is_null_on_null(part, slots)),
        _ => false,
    }
}

/// `left = right`, as the sides of a comparison by the equality operator.
pub(super) fn equality(expr: &Expr) -> Option<(&Expr, &Expr)> {
    comparison(expr).and_then(|(name, left, right)| (name == "=").then_some((left, right)))
}

/// A call of a comparison operator.
pub(super) fn comparison(expr: &Expr) -> Option<(&'static str, &Expr, &Expr)> {
    let Expr::Call { function, args, .. } = expr else { return None };
    let function = function::get(*function);
    let [left, right] = &args[..] else { return None };
    let known = function.operator && matches!(function.name, "=" | "<" | "<=" | ">" | ">=");
    known.then_some((function.name, left, right))
}

/// Whether an expression looks at nothing of the current row. It may look at rows of enclosing levels.
pub(super) fn is_fixed(expr: &Expr) -> bool {
    !expr.is_volatile() && !expr.any(&mut |part| matches!(part, Expr::Column { .. }))
}
