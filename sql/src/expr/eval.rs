//! Evaluation of one row. Columns, constants and parameters are borrowed, never cloned, on the way to a function's body.

use std::borrow::Cow;

use super::{
    EvalContext, Expr, FunctionId, cast,
    function::{self, Body, Call},
};
use crate::{
    error::{Result, SqlError, SqlState},
    types::{Array, Row, Value},
};

impl Expr {
    /// The value of the expression on a row.
    pub fn eval(&self, row: &[Value], context: &EvalContext) -> Result<Value> {
        self.eval_ref(row, context).map(Cow::into_owned)
    }

    /// As [`Expr::eval`], borrowing where nothing needs computing.
    pub fn eval_ref<'a>(&'a self, row: &'a [Value], context: &'a EvalContext) -> Result<Cow<'a, Value>> {
        Ok(Cow::Owned(match self {
            Expr::Const { value, .. } => return Ok(Cow::Borrowed(value)),
            Expr::Column { slot, .. } => {
                return row.get(*slot).map(Cow::Borrowed).ok_or_else(|| SqlError::internal("column slot out of row"));
            }
            Expr::Outer { depth, slot, .. } => {
                let outer = depth.checked_sub(1).and_then(|level| context.outer.get(level));
                return outer
                    .and_then(|row| row.get(*slot))
                    .map(Cow::Borrowed)
                    .ok_or_else(|| SqlError::internal("outer column out of row"));
            }
            Expr::Parameter { index, .. } => {
                return context.parameters.get(*index).map(Cow::Borrowed).ok_or_else(|| {
                    SqlError::new(SqlState::UNDEFINED_PARAMETER, format!("no value found for parameter {}", index + 1))
                });
            }
            Expr::Call { function, args, .. } => self.eval_call(*function, args, row, context)?,
            Expr::And(parts) => all_true(parts, row, context)?,
            Expr::Or(parts) => any_true(parts, row, context)?,
            Expr::Not(expr) => match &*expr.eval_ref(row, context)? {
                Value::Bool(value) => Value::Bool(!value),
                _ => Value::Null,
            },
            Expr::IsNull(expr) => Value::Bool(is_null(&*expr.eval_ref(row, context)?)),
            Expr::IsBool { expr, value } => {
                Value::Bool(matches!(&*expr.eval_ref(row, context)?, Value::Bool(found) if found == value))
            }
            Expr::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    if condition.eval_filter(row, context)? {
                        return result.eval_ref(row, context);
                    }
                }
                match otherwise {
                    Some(otherwise) => return otherwise.eval_ref(row, context),
                    None => Value::Null,
                }
            }
            Expr::Coalesce { args, .. } => {
                for arg in args {
                    let value = arg.eval_ref(row, context)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Value::Null
            }
            Expr::Cast { expr, to, typmod, explicit } => {
                let value = expr.eval_ref(row, context)?;
                cast::cast_value(value, expr.ty(), *to, *typmod, *explicit, context)?
            }
            Expr::ArrayCompare { function, left, array, all } => {
                self.eval_array_compare(*function, left, array, *all, row, context)?
            }
            Expr::InList { function, left, list } => self.eval_in_list(*function, left, list, row, context)?,
            Expr::Array { elements, element } => {
                let values: Result<Vec<Value>> = elements.iter().map(|expr| expr.eval(row, context)).collect();
                Value::Array(Box::new(Array { element: *element, values: values? }))
            }
            Expr::Row(fields) => {
                let values: Result<Vec<Value>> = fields.iter().map(|expr| expr.eval(row, context)).collect();
                Value::Record(values?)
            }
        }))
    }

    /// Whether a condition holds: NULL counts as false.
    pub fn eval_filter(&self, row: &[Value], context: &EvalContext) -> Result<bool> {
        Ok(matches!(&*self.eval_ref(row, context)?, Value::Bool(true)))
    }

    /// The rows of a set-returning call (one value a row; a `Record` where there are several columns). An expression that
    /// returns no set has one row.
    pub fn eval_set(&self, row: &[Value], context: &EvalContext) -> Result<Vec<Value>> {
        let Expr::Call { function, args, ty } = self else { return Ok(vec![self.eval(row, context)?]) };
        let Body::Set(body) = &function::get(*function).body else { return Ok(vec![self.eval(row, context)?]) };
        let values: Vec<Value> = args.iter().map(|arg| arg.eval(row, context)).collect::<Result<_>>()?;
        if function::get(*function).strict && values.iter().any(Value::is_null) {
            return Ok(Vec::new());
        }
        body(&Call { name: function::get(*function).name, context, ty: *ty, args }, &values)
    }

    fn eval_call(&self, id: FunctionId, args: &[Expr], row: &[Value], context: &EvalContext) -> Result<Value> {
        let function = function::get(id);
        let call = Call { name: function.name, context, ty: self.ty(), args };
        match (&function.body, args) {
            (Body::Two(body), [a, b]) => {
                let (a, b) = (a.eval_ref(row, context)?, b.eval_ref(row, context)?);
                if function.strict && (a.is_null() || b.is_null()) {
                    return Ok(Value::Null);
                }
                body(&call, &a, &b)
            }
            (Body::One(body), [a]) => {
                let a = a.eval_ref(row, context)?;
                if function.strict && a.is_null() {
                    return Ok(Value::Null);
                }
                body(&call, &a)
            }
            (Body::Zero(body), []) => body(&call),
            (Body::Three(body), [a, b, c]) => {
                let (a, b, c) = (a.eval_ref(row, context)?, b.eval_ref(row, context)?, c.eval_ref(row, context)?);
                if function.strict && (a.is_null() || b.is_null() || c.is_null()) {
                    return Ok(Value::Null);
                }
                body(&call, &a, &b, &c)
            }
            (Body::Many(body), _) => {
                let values: Row = args.iter().map(|arg| arg.eval(row, context)).collect::<Result<_>>()?;
                if function.strict && values.iter().any(Value::is_null) {
                    return Ok(Value::Null);
                }
                body(&call, &values)
            }
            (Body::Set(_), _) => Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "set-valued function called in context that cannot accept a set",
            )),
            (Body::Aggregate(_), _) => Err(SqlError::internal("an aggregate was evaluated as a function")),
            _ => Err(SqlError::internal(format!("wrong number of arguments for {}", function.name))),
        }
    }

    fn eval_array_compare(
        &self,
        function: FunctionId,
        left: &Expr,
        array: &Expr,
        all: bool,
        row: &[Value],
        context: &EvalContext,
    ) -> Result<Value> {
        let array = array.eval_ref(row, context)?;
        let Value::Array(array) = &*array else { return Ok(Value::Null) };
        let left_value = left.eval_ref(row, context)?;
        let mut unknown = false;
        for item in &array.values {
            match compare(function, &left_value, item, context)? {
                Value::Bool(value) if value != all => return Ok(Value::Bool(value)),
                Value::Bool(_) => {}
                _ => unknown = true,
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(all) })
    }

    fn eval_in_list(
        &self,
        function: FunctionId,
        left: &Expr,
        list: &[Expr],
        row: &[Value],
        context: &EvalContext,
    ) -> Result<Value> {
        let left = left.eval_ref(row, context)?;
        if left.is_null() {
            return Ok(Value::Null);
        }
        let mut unknown = false;
        for item in list {
            match compare(function, &left, &*item.eval_ref(row, context)?, context)? {
                Value::Bool(true) => return Ok(Value::Bool(true)),
                Value::Bool(false) => {}
                _ => unknown = true,
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(false) })
    }
}

/// Calls a two-argument operator on values.
fn compare(id: FunctionId, left: &Value, right: &Value, context: &EvalContext) -> Result<Value> {
    let function = function::get(id);
    if function.strict && (left.is_null() || right.is_null()) {
        return Ok(Value::Null);
    }
    match function.body {
        Body::Two(body) => body(&Call { name: function.name, context, ty: function.returns, args: &[] }, left, right),
        _ => Err(SqlError::internal("not a binary operator")),
    }
}

/// A record is NULL when all of its fields are.
fn is_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Record(fields) => fields.iter().all(Value::is_null),
        _ => false,
    }
}

fn all_true(parts: &[Expr], row: &[Value], context: &EvalContext) -> Result<Value> {
    let mut unknown = false;
    for part in parts {
        match &*part.eval_ref(row, context)? {
            Value::Bool(false) => return Ok(Value::Bool(false)),
            Value::Bool(true) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(true) })
}

fn any_true(parts: &[Expr], row: &[Value], context: &EvalContext) -> Result<Value> {
    let mut unknown = false;
    for part in parts {
        match &*part.eval_ref(row, context)? {
            Value::Bool(true) => return Ok(Value::Bool(true)),
            Value::Bool(false) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(false) })
}

/// Evaluates one expression on many rows.
pub fn eval_batch(expr: &Expr, rows: &[Row], context: &EvalContext) -> Result<Vec<Value>> {
    rows.iter().map(|row| expr.eval(row, context)).collect()
}
