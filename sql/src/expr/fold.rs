//! Constant folding, and making an expression independent of its statement so that it can travel.

use super::{EvalContext, Expr, function};
use crate::{
    error::Result,
    types::{DataType, Value, registry},
};

use super::function::Volatility;

impl Expr {
    /// The most volatile thing inside.
    pub fn volatility(&self) -> Volatility {
        let mut worst = Volatility::Immutable;
        self.walk(&mut |part| worst = worst.max(part.own_volatility()));
        worst
    }

    /// Whether a part is volatile: then it must be evaluated once for each row, in place.
    pub fn is_volatile(&self) -> bool {
        self.volatility() == Volatility::Volatile
    }

    /// Whether it looks at no row (it may look at parameters).
    pub fn is_row_independent(&self) -> bool {
        !self.any(&mut |part| matches!(part, Expr::Column { .. } | Expr::Outer { .. }))
    }

    /// Whether a range leader can evaluate it: after [`Expr::freeze`], nothing volatile and nothing that needs the gateway.
    pub fn is_pushable(&self) -> bool {
        !self.any(&mut |part| match part {
            Expr::Outer { .. } | Expr::Parameter { .. } => true,
            Expr::Cast { expr, to, .. } => needs_catalog(*to) || needs_catalog(expr.ty()),
            Expr::Call { function, .. } | Expr::ArrayCompare { function, .. } | Expr::InList { function, .. } => {
                let function = function::get(*function);
                function.volatility == Volatility::Volatile || function.local || function.returns_set
            }
            _ => false,
        })
    }

    /// Evaluates what is constant for every session and every moment. What fails stays as it is: the error belongs to
    /// the execution (`CASE WHEN false THEN 1/0 END` has none).
    pub fn fold(self) -> Expr {
        let context = EvalContext::new(Default::default());
        self.transform(&mut |expr| expr.simplify(&context, Volatility::Immutable))
    }

    /// Replaces parameters, outer columns and stable functions by their values in this context, and folds.
    pub fn freeze(self, context: &EvalContext) -> Expr {
        self.transform(&mut |expr| expr.simplify(context, Volatility::Stable))
    }

    fn simplify(self, context: &EvalContext, allowed: Volatility) -> Expr {
        match self {
            Expr::And(parts) => connect(parts, true),
            Expr::Or(parts) => connect(parts, false),
            Expr::Const { .. } | Expr::Column { .. } => self,
            Expr::Parameter { .. } | Expr::Outer { .. } if allowed < Volatility::Stable => self,
            expr if expr.own_volatility() <= allowed && expr.has_constant_children() => {
                match evaluate(&expr, context) {
                    Ok(value) => Expr::Const { value, ty: expr.ty() },
                    Err(_) => expr,
                }
            }
            Expr::Case { branches, otherwise, ty } => shorten_case(branches, otherwise, ty),
            other => other,
        }
    }

    fn own_volatility(&self) -> Volatility {
        match self {
            Expr::Call { function, .. } | Expr::ArrayCompare { function, .. } | Expr::InList { function, .. } => {
                function::get(*function).volatility
            }
            Expr::Cast { expr, to, .. } if cast_is_stable(expr.ty(), *to) => Volatility::Stable,
            _ => Volatility::Immutable,
        }
    }

    fn has_constant_children(&self) -> bool {
        let mut constant = true;
        self.for_each_child(&mut |child| constant = constant && matches!(child, Expr::Const { .. }));
        constant && !self.is_set_returning()
    }

    /// Whether this node itself (not one below) returns a set.
    pub fn is_set_returning(&self) -> bool {
        matches!(self, Expr::Call { function, .. } if function::get(*function).returns_set)
    }
}

fn evaluate(expr: &Expr, context: &EvalContext) -> Result<Value> {
    expr.eval(&[], context)
}

/// Conversions that depend on the session's settings: time zone, DateStyle, or names of the catalog.
fn cast_is_stable(from: DataType, to: DataType) -> bool {
    let from = from.element().unwrap_or(from);
    let to = to.element().unwrap_or(to);
    let zoned = |ty: DataType| ty == DataType::TIMESTAMPTZ;
    let moment =
        |ty: DataType| matches!(ty, DataType::DATE | DataType::TIMESTAMP | DataType::TIME | DataType::INTERVAL);
    let text = registry::is_text_like;
    (zoned(from) || zoned(to)) && from != to
        || (moment(from) && text(to))
        || (text(from) && moment(to))
        || (from == DataType::BYTEA && text(to))
        || needs_catalog(to)
        || needs_catalog(from)
}

fn needs_catalog(ty: DataType) -> bool {
    registry::is_oid_like(ty) && ty != DataType::OID
}

/// Flattens AND (`conjunction`) or OR and drops what does not matter.
fn connect(parts: Vec<Expr>, conjunction: bool) -> Expr {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Expr::And(inner) if conjunction => kept.extend(inner),
            Expr::Or(inner) if !conjunction => kept.extend(inner),
            Expr::Const { value: Value::Bool(value), .. } if value == conjunction => {}
            Expr::Const { value: Value::Bool(value), .. } => return Expr::boolean(value),
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Expr::boolean(conjunction),
        1 => kept.remove(0),
        _ if conjunction => Expr::And(kept),
        _ => Expr::Or(kept),
    }
}

/// Drops branches that are never taken and what follows one that always is.
fn shorten_case(branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>>, ty: DataType) -> Expr {
    let mut kept = Vec::with_capacity(branches.len());
    for (condition, result) in branches {
        match condition {
            Expr::Const { value: Value::Bool(true), .. } if kept.is_empty() => return result,
            Expr::Const { value: Value::Bool(true), .. } => {
                return Expr::Case { branches: kept, otherwise: Some(Box::new(result)), ty };
            }
            Expr::Const { .. } => {}
            condition => kept.push((condition, result)),
        }
    }
    match (kept.is_empty(), otherwise) {
        (true, Some(otherwise)) => *otherwise,
        (true, None) => Expr::null(ty),
        (false, otherwise) => Expr::Case { branches: kept, otherwise, ty },
    }
}
