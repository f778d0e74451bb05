//! Building blocks of expressions that need no names: comparisons of rows, literals, common types.

use super::collect::Marker;
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
        function,
    },
    types::{DataType, Value},
};

/// An operator between two values or two rows.
pub(super) fn compare(name: &str, left: Expr, right: Expr) -> Result<Expr> {
    let (left, right) = match (left, right) {
        (Expr::Row(left), Expr::Row(right)) => (left, right),
        (left, right) => return function::operator(name, Some(left), right),
    };
    if left.len() != right.len() {
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions"));
    }
    match name {
        "=" | "<>" | "!=" => {
            let tests: Result<Vec<Expr>> =
                left.into_iter().zip(right).map(|(left, right)| compare(name, left, right)).collect();
            Ok(if name == "=" { Expr::And(tests?) } else { Expr::Or(tests?) })
        }
        "<" | "<=" | ">" | ">=" => row_order(name, &left, &right),
        _ => Err(SqlError::unsupported(format!("operator {name} between rows"))),
    }
}

/// `(a, b) < (c, d)` is `a < c OR (a = c AND b < d)`.
fn row_order(name: &str, left: &[Expr], right: &[Expr]) -> Result<Expr> {
    let strict = &name[..1];
    let (Some((a, left)), Some((b, right))) = (left.split_first(), right.split_first()) else {
        return Ok(Expr::boolean(name.len() == 2));
    };
    if left.is_empty() {
        return compare(name, a.clone(), b.clone());
    }
    let first = compare(strict, a.clone(), b.clone())?;
    let tie = compare("=", a.clone(), b.clone())?;
    Ok(Expr::Or(vec![first, Expr::And(vec![tie, row_order(name, left, right)?])]))
}

pub(super) fn negate(expr: Expr, negated: bool) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// All must hold; nested conjunctions are flattened, none is true.
pub(crate) fn conjunction(parts: impl Iterator<Item = Expr>) -> Expr {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Expr::And(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    match flat.len() {
        0 => Expr::boolean(true),
        1 => flat.remove(0),
        _ => Expr::And(flat),
    }
}

pub(super) fn text(value: &str) -> Expr {
    Expr::constant(Value::text(value), DataType::TEXT)
}

pub(super) fn unknown_text(value: &str) -> Result<Expr> {
    if value.contains('\0') {
        return Err(SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(Expr::constant(Value::text(value), DataType::UNKNOWN))
}

/// A numeric literal: the smallest of integer, bigint and numeric that holds it.
pub(super) fn number(digits: &str) -> Result<Expr> {
    let plain = digits.replace('_', "");
    if let Ok(value) = plain.parse::<i64>() {
        return Ok(match i32::try_from(value) {
            Ok(small) => Expr::constant(Value::Int4(small), DataType::INT4),
            Err(_) => Expr::constant(Value::Int8(value), DataType::INT8),
        });
    }
    cast::coerce(unknown_text(&plain)?, DataType::NUMERIC, -1, CastContext::Explicit)
}

/// Text where the type is still unknown.
pub(super) fn settle(expr: Expr) -> Result<Expr> {
    match expr.ty() {
        DataType::UNKNOWN => cast::coerce(expr, DataType::TEXT, -1, CastContext::Implicit),
        _ => Ok(expr),
    }
}

/// Makes expressions one type, by PostgreSQL's rules for UNION, CASE and the like.
pub(super) fn unify(what: &str, exprs: Vec<Expr>) -> Result<(Vec<Expr>, DataType)> {
    let types: Vec<DataType> = exprs.iter().map(Expr::ty).collect();
    let ty = common(what, &types)?;
    let exprs: Result<Vec<Expr>> =
        exprs.into_iter().map(|expr| cast::coerce(expr, ty, -1, CastContext::Implicit)).collect();
    Ok((exprs?, ty))
}

/// The common type, or an error that names the construct.
pub(super) fn common(what: &str, types: &[DataType]) -> Result<DataType> {
    let known: Vec<DataType> = types.iter().copied().filter(|ty| *ty != DataType::UNKNOWN).collect();
    match known.first() {
        None => Ok(DataType::TEXT),
        Some(first) => cast::common_type(&known).map_err(|_| {
            let other = known.iter().find(|ty| cast::common_type(&[*first, **ty]).is_err()).unwrap_or(first);
            let message = format!("{what} types {first} and {other} cannot be matched");
            SqlError::new(SqlState::DATATYPE_MISMATCH, message)
        }),
    }
}

/// The slot that stands for a marker.
pub(super) fn marked(marker: Marker, ty: DataType) -> Expr {
    Expr::Column { slot: marker.slot(), ty }
}
