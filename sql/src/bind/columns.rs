//! Conversions of whole columns, for set operations, VALUES and INSERT.

use super::{build::common, expr::ExprBinder, select::Bound};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
    },
    plan::{Plan, SetOp},
    types::DataType,
};

/// Rows of expressions; where some need subqueries or sequences below them, each row is a query of its own.
pub(super) fn values_plan(expressions: &mut ExprBinder<'_>, rows: Vec<Vec<Expr>>, types: Vec<DataType>) -> Plan {
    if expressions.collected.is_empty() {
        return Plan::Values { rows, types };
    }
    let mut result: Option<Plan> = None;
    for mut row in rows {
        let mut exprs: Vec<&mut Expr> = row.iter_mut().collect();
        let input = expressions.collected.attach(Plan::one_row(), &mut exprs);
        let plan = Plan::Project { input: Box::new(input), expressions: row };
        result = Some(match result {
            None => plan,
            Some(left) => {
                Plan::SetOperation { op: SetOp::Union, all: true, left: Box::new(left), right: Box::new(plan) }
            }
        });
    }
    result.unwrap_or(Plan::Values { rows: Vec::new(), types })
}

pub(super) fn set_operation(op: SetOp, all: bool, left: Bound, right: Bound) -> Result<Bound> {
    let name = match op {
        SetOp::Union => "UNION",
        SetOp::Intersect => "INTERSECT",
        SetOp::Except => "EXCEPT",
    };
    let (mut left, mut columns) = left;
    let (mut right, right_columns) = right;
    if columns.len() != right_columns.len() {
        let message = format!("each {name} query must have the same number of columns");
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
    }
    for (index, (column, other)) in columns.iter_mut().zip(&right_columns).enumerate() {
        let ty = common(name, &[column.ty, other.ty])?;
        if column.ty != ty {
            left = coerce_column(left, index, ty, -1, CastContext::Implicit)?;
        }
        if other.ty != ty {
            right = coerce_column(right, index, ty, -1, CastContext::Implicit)?;
        }
        column.typmod = if column.typmod == other.typmod && column.ty == ty { column.typmod } else { -1 };
        column.ty = ty;
        column.origin = None;
    }
    Ok((Plan::SetOperation { op, all, left: Box::new(left), right: Box::new(right) }, columns))
}

/// Converts one output column. Where the column is an expression at hand it is converted in place, so that literals and
/// parameters of unknown type take the target's.
pub(super) fn coerce_column(plan: Plan, index: usize, ty: DataType, typmod: i32, context: CastContext) -> Result<Plan> {
    match plan {
        Plan::Project { input, mut expressions } if index < expressions.len() => {
            if let Expr::Column { slot, ty: DataType::UNKNOWN } = expressions[index] {
                let input = coerce_column(*input, slot, ty, typmod, context)?;
                expressions[index] = Expr::Column { slot, ty };
                return Ok(Plan::Project { input: Box::new(input), expressions });
            }
            coerce_in_place(&mut expressions[index], ty, typmod, context)?;
            Ok(Plan::Project { input, expressions })
        }
        Plan::Values { mut rows, mut types } => {
            for row in &mut rows {
                coerce_in_place(&mut row[index], ty, typmod, context)?;
            }
            types[index] = ty;
            Ok(Plan::Values { rows, types })
        }
        Plan::Limit { input, limit, offset } => {
            let input = Box::new(coerce_column(*input, index, ty, typmod, context)?);
            Ok(Plan::Limit { input, limit, offset })
        }
        Plan::SetOperation { op, all: true, left, right } => {
            let left = Box::new(coerce_column(*left, index, ty, typmod, context)?);
            let right = Box::new(coerce_column(*right, index, ty, typmod, context)?);
            Ok(Plan::SetOperation { op, all: true, left, right })
        }
        Plan::Sort { input, mut keys, limit } if plan_is_unknown(&input, index) => {
            let input = Box::new(coerce_column(*input, index, ty, typmod, context)?);
            for key in &mut keys {
                if let Expr::Column { slot, ty: key_type } = &mut key.expr
                    && *slot == index
                {
                    *key_type = ty;
                }
            }
            Ok(Plan::Sort { input, keys, limit })
        }
        Plan::Cte { id, name, definition, input } => {
            let input = Box::new(coerce_column(*input, index, ty, typmod, context)?);
            Ok(Plan::Cte { id, name, definition, input })
        }
        other => {
            let types = other.types().into_iter().enumerate();
            let mut expressions: Vec<Expr> = types.map(|(slot, ty)| Expr::Column { slot, ty }).collect();
            coerce_in_place(&mut expressions[index], ty, typmod, context)?;
            Ok(Plan::Project { input: Box::new(other), expressions })
        }
    }
}

fn plan_is_unknown(plan: &Plan, index: usize) -> bool {
    plan.types().get(index) == Some(&DataType::UNKNOWN)
}

pub(super) fn coerce_in_place(expr: &mut Expr, ty: DataType, typmod: i32, context: CastContext) -> Result<()> {
    let taken = std::mem::replace(expr, Expr::boolean(false));
    *expr = cast::coerce(taken, ty, typmod, context)?;
    Ok(())
}
