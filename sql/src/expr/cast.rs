//! Conversions: which exist, in which contexts (the table behind `pg_cast`), how expressions are coerced, and how several
//! become one type. What a conversion does to a value is in `convert`.

use super::Expr;
use crate::{
    error::{Result, SqlError, SqlState},
    types::{DataType, FormatOptions, Value, decode_text, format_type, registry},
};

#[path = "cast_value.rs"]
mod value;

pub use value::{apply_typmod, cast_value};

/// How much a conversion is asked for. The order matters: what is allowed in one is allowed in the later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// In any expression.
    Implicit,
    /// Storing into a column.
    Assignment,
    /// `CAST` and `::`.
    Explicit,
}

/// Whether a conversion exists in this context. UNKNOWN converts to everything.
pub fn can_cast(from: DataType, to: DataType, context: CastContext) -> bool {
    if from == to || from == DataType::UNKNOWN || to == DataType::ANY {
        return true;
    }
    match (to, from) {
        (DataType::ANYELEMENT | DataType::ANYCOMPATIBLE, _) => return true,
        (DataType::ANYNONARRAY, from) => return !from.is_array(),
        (DataType::ANYARRAY | DataType::ANYCOMPATIBLEARRAY, from) => return from.is_array(),
        _ => {}
    }
    if listed(from, to).is_some_and(|needed| needed <= context) {
        return true;
    }
    // The vectors of the catalog are not arrays in this respect.
    if let (Some(from), Some(element)) = (from.element(), to.element())
        && !matches!(to, DataType::INT2VECTOR | DataType::OIDVECTOR)
    {
        return can_cast(from, element, context);
    }
    // Everything can be written as text and, when asked explicitly, read from it.
    let string = |ty: DataType| registry::category(ty) == 'S';
    (string(to) && context >= CastContext::Assignment && from != DataType::VOID)
        || (string(from) && context >= CastContext::Explicit && registry::category(to) != 'P')
}

/// PostgreSQL's `pg_cast`, for the types that exist here.
fn listed(from: DataType, to: DataType) -> Option<CastContext> {
    use CastContext::{Assignment, Explicit, Implicit};
    type T = DataType;
    const REG: [DataType; 5] = [T::REGPROC, T::REGCLASS, T::REGTYPE, T::REGNAMESPACE, DataType(4096)];
    let integer = |ty: T| match ty {
        T::INT2 => Some(2),
        T::INT4 => Some(4),
        T::INT8 => Some(8),
        _ => None,
    };
    if let (Some(from), Some(to)) = (integer(from), integer(to)) {
        return Some(if from < to { Implicit } else { Assignment });
    }
    match (from, to) {
        (T::INT2 | T::INT4 | T::INT8, T::FLOAT4 | T::FLOAT8 | T::NUMERIC | T::OID) => Some(Implicit),
        (T::INT2 | T::INT4 | T::INT8, to) if REG.contains(&to) => Some(Implicit),
        (T::INT4, T::BOOL | T::INTERNAL_CHAR) | (T::BOOL | T::INTERNAL_CHAR, T::INT4) => Some(Explicit),
        (T::FLOAT4, T::FLOAT8) | (T::NUMERIC, T::FLOAT4 | T::FLOAT8) => Some(Implicit),
        (T::FLOAT4 | T::FLOAT8 | T::NUMERIC, T::INT2 | T::INT4 | T::INT8) => Some(Assignment),
        (T::FLOAT4 | T::FLOAT8, T::NUMERIC) | (T::FLOAT8, T::FLOAT4) => Some(Assignment),
        (T::OID, T::INT4 | T::INT8) => Some(Assignment),
        (T::OID, to) if REG.contains(&to) => Some(Implicit),
        (from, T::OID) if REG.contains(&from) => Some(Implicit),
        (from, T::INT4 | T::INT8) if REG.contains(&from) => Some(Assignment),
        (T::TEXT | T::VARCHAR, T::REGCLASS) => Some(Implicit),
        (T::TEXT, T::BPCHAR | T::VARCHAR | T::NAME) => Some(Implicit),
        (T::VARCHAR, T::TEXT | T::BPCHAR | T::NAME) => Some(Implicit),
        (T::BPCHAR, T::TEXT | T::VARCHAR | T::NAME) => Some(Implicit),
        (T::NAME | T::INTERNAL_CHAR, T::TEXT) => Some(Implicit),
        (T::NAME | T::INTERNAL_CHAR, T::BPCHAR | T::VARCHAR) => Some(Assignment),
        (T::TEXT | T::VARCHAR | T::BPCHAR, T::INTERNAL_CHAR) => Some(Assignment),
        (T::BOOL, T::TEXT | T::VARCHAR | T::BPCHAR) => Some(Assignment),
        (T::DATE, T::TIMESTAMP | T::TIMESTAMPTZ) | (T::TIMESTAMP, T::TIMESTAMPTZ) => Some(Implicit),
        (T::TIME, T::INTERVAL) => Some(Implicit),
        (T::TIMESTAMP, T::DATE | T::TIME) | (T::TIMESTAMPTZ, T::DATE | T::TIME | T::TIMESTAMP) => Some(Assignment),
        (T::INTERVAL, T::TIME) => Some(Assignment),
        (T::INT2VECTOR, T::INT2_ARRAY) | (T::OIDVECTOR, T::OID_ARRAY) => Some(Implicit),
        _ => None,
    }
}

/// Coerces an expression. Untyped literals are read by the target's input function now (22P02 and friends), unless that
/// depends on the session; untyped parameters take the target's type. Errors: 42846 for an explicit cast that does not exist,
/// 42804 otherwise.
pub fn coerce(expr: Expr, to: DataType, typmod: i32, context: CastContext) -> Result<Expr> {
    let from = expr.ty();
    if matches!(to, DataType::ANY | DataType::ANYNONARRAY | DataType::UNKNOWN) {
        return Ok(expr);
    }
    match expr {
        Expr::Const { value: Value::Null, .. } => return Ok(Expr::null(to)),
        Expr::Const { value: Value::Text(text), ty: DataType::UNKNOWN } => {
            return literal(&text, to, typmod, context);
        }
        Expr::Parameter { index, ty: DataType::UNKNOWN } => {
            let parameter = Expr::Parameter { index, ty: to };
            return Ok(with_typmod(parameter, to, typmod, context));
        }
        // The elements are coerced, so that ARRAY['1', NULL]::int[] reads them as integers.
        Expr::Array { elements, element } if to.is_array() => {
            let wanted = to.element().unwrap_or(element);
            if elements.is_empty() || can_cast(element, wanted, context) {
                let elements: Result<Vec<Expr>> =
                    elements.into_iter().map(|item| coerce(item, wanted, typmod, context)).collect();
                return Ok(Expr::Array { elements: elements?, element: wanted });
            }
            return Err(cannot(from, to, context));
        }
        _ => {}
    }
    if from == to {
        return Ok(with_typmod(expr, to, typmod, context));
    }
    if !can_cast(from, to, context) {
        return Err(cannot(from, to, context));
    }
    Ok(Expr::Cast { expr: Box::new(expr), to, typmod, explicit: context == CastContext::Explicit })
}

/// Coerces what is stored into a column. 42804 names the column.
pub fn coerce_assignment(expr: Expr, column: &str, to: DataType, typmod: i32) -> Result<Expr> {
    let from = expr.ty();
    if !can_cast(from, to, CastContext::Assignment) {
        return Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "column \"{column}\" is of type {} but expression is of type {}",
                format_type(to, -1),
                format_type(from, -1)
            ),
        )
        .hint("You will need to rewrite or cast the expression."));
    }
    coerce(expr, to, typmod, CastContext::Assignment)
}

/// Coerces a condition: 42804 `argument of WHERE must be type boolean, not type integer`.
pub fn coerce_boolean(expr: Expr, clause: &str) -> Result<Expr> {
    let from = expr.ty();
    if !can_cast(from, DataType::BOOL, CastContext::Implicit) {
        let message = format!("argument of {clause} must be type boolean, not type {from}");
        return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
    }
    coerce(expr, DataType::BOOL, -1, CastContext::Implicit)
}

/// The common type of several, as CASE, UNION and VALUES find it. All unknown: text. 42804 when there is none.
pub fn common_type(types: &[DataType]) -> Result<DataType> {
    common(types)
        .map_err(|(a, b)| SqlError::new(SqlState::DATATYPE_MISMATCH, format!("types {a} and {b} cannot be matched")))
}

/// Makes all one type, which is answered too. `what` names the construct in the error: `CASE types integer and text cannot
/// be matched`.
pub fn unify(exprs: Vec<Expr>, what: &str) -> Result<(DataType, Vec<Expr>)> {
    let types: Vec<DataType> = exprs.iter().map(Expr::ty).collect();
    let ty = common(&types).map_err(|(a, b)| {
        SqlError::new(SqlState::DATATYPE_MISMATCH, format!("{what} types {a} and {b} cannot be matched"))
    })?;
    let exprs =
        exprs.into_iter().map(|expr| coerce(expr, ty, -1, CastContext::Implicit)).collect::<Result<Vec<_>>>()?;
    Ok((ty, exprs))
}

/// `select_common_type` of PostgreSQL; the error is the pair that does not match.
fn common(types: &[DataType]) -> std::result::Result<DataType, (DataType, DataType)> {
    let mut known = types.iter().copied().filter(|ty| *ty != DataType::UNKNOWN);
    let Some(mut best) = known.next() else { return Ok(DataType::TEXT) };
    for ty in known {
        if ty == best {
            continue;
        }
        if registry::category(ty) != registry::category(best) {
            return Err((best, ty));
        }
        if !registry::is_preferred(best)
            && can_cast(best, ty, CastContext::Implicit)
            && !can_cast(ty, best, CastContext::Implicit)
        {
            best = ty;
        }
    }
    match types.iter().find(|ty| !can_cast(**ty, best, CastContext::Implicit)) {
        Some(stranger) => Err((best, *stranger)),
        None => Ok(best),
    }
}

fn cannot(from: DataType, to: DataType, context: CastContext) -> SqlError {
    let state = if context == CastContext::Explicit { SqlState::CANNOT_COERCE } else { SqlState::DATATYPE_MISMATCH };
    SqlError::new(state, format!("cannot cast type {from} to {to}"))
}

fn with_typmod(expr: Expr, to: DataType, typmod: i32, context: CastContext) -> Expr {
    if typmod < 0 {
        return expr;
    }
    Expr::Cast { expr: Box::new(expr), to, typmod, explicit: context == CastContext::Explicit }
}

/// Reads an untyped literal, now where the result is the same in every session.
fn literal(text: &str, to: DataType, typmod: i32, context: CastContext) -> Result<Expr> {
    let constant = |value| Expr::Const { value, ty: to };
    let explicit = context == CastContext::Explicit;
    if depends_on_session(text, to) {
        let expr = Box::new(Expr::Const { value: Value::text(text), ty: DataType::UNKNOWN });
        return Ok(Expr::Cast { expr, to, typmod, explicit });
    }
    // Input functions take the modifier as an assignment does; an explicit cast truncates.
    let value = decode_text(text, to, -1, &FormatOptions::default())?;
    apply_typmod(value, to, typmod, explicit).map(constant)
}

fn depends_on_session(text: &str, to: DataType) -> bool {
    match to.element().unwrap_or(to) {
        DataType::TIMESTAMPTZ | DataType::REGCLASS | DataType::REGPROC | DataType::REGNAMESPACE | DataType(4096) => {
            true
        }
        DataType::REGTYPE => true,
        // Unambiguous ISO dates are the same for everybody.
        DataType::DATE | DataType::TIMESTAMP | DataType::TIME => {
            !text.bytes().all(|byte| byte.is_ascii_digit() || b" -:.T".contains(&byte)) || text.len() < 8
        }
        DataType::INTERVAL => false,
        _ => false,
    }
}
