//! Every function on extreme arguments: it answers or fails, but never panics (overflow checks are on in tests).

use std::sync::Arc;

use super::system::CATALOG_FUNCTIONS;
use crate::{
    expr::{
        EvalContext, Expr, SessionView,
        function::{self, Body},
    },
    types::{Array, DataType, Interval, Numeric, Value, to_text},
};

fn array(element: DataType, values: Vec<Value>) -> Value {
    Value::Array(Box::new(Array { element, values }))
}

fn texts() -> Vec<Value> {
    let texts =
        ["", "a", "é%_\\", "YYYY-MM-DD HH24:MI", "99.9S", "epoch", "hex", "2147483648", "\u{10ffff}", "[a", "%s%I%5$L"];
    texts.into_iter().map(Value::text).collect()
}

fn moments() -> [i64; 6] {
    [i64::MIN, i64::MAX, 0, -1, -211_810_204_800_000_000, 9_223_371_331_199_999_999]
}

fn pool(ty: DataType) -> Vec<Value> {
    let numerics =
        ["0", "-1", "0.00", "1e-20", "123456789012345678901234567890.12345", "-9e60", "NaN", "Infinity", "-Infinity"];
    let extreme = Interval { months: i32::MIN, days: i32::MIN, micros: i64::MIN };
    let largest = Interval { months: i32::MAX, days: i32::MAX, micros: i64::MAX };
    match ty {
        DataType::BOOL => vec![Value::Bool(true), Value::Bool(false)],
        DataType::INT2 => [i16::MIN, i16::MAX, 0, -1].map(Value::Int2).to_vec(),
        DataType::INT4 => [i32::MIN, i32::MAX, 0, -1, 1, 7].map(Value::Int4).to_vec(),
        DataType::INT8 => [i64::MIN, i64::MAX, 0, -1, 5].map(Value::Int8).to_vec(),
        DataType::FLOAT4 => [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, -0.0].map(Value::Float4).to_vec(),
        DataType::FLOAT8 => {
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, -0.0, 0.5]
                .map(Value::Float8)
                .to_vec()
        }
        DataType::NUMERIC => numerics.iter().map(|text| Value::Numeric(Numeric::parse(text).unwrap())).collect(),
        DataType::BYTEA => vec![Value::Bytea(vec![].into()), Value::Bytea(vec![0, 255, 92].into())],
        DataType::DATE => [i32::MIN, i32::MAX, 0, -2_451_507, 2_145_031_948].map(Value::Date).to_vec(),
        DataType::TIME => [0, 86_400_000_000].map(Value::Time).to_vec(),
        DataType::TIMESTAMP => moments().map(Value::Timestamp).to_vec(),
        DataType::TIMESTAMPTZ => moments().map(Value::TimestampTz).to_vec(),
        DataType::INTERVAL => [extreme, largest, Interval::default()].map(Value::Interval).to_vec(),
        DataType::UUID => vec![Value::Uuid([0; 16])],
        DataType::INTERNAL_CHAR => vec![Value::Char(0), Value::Char(255)],
        DataType::INT4_ARRAY | DataType::ANYARRAY | DataType::ANYCOMPATIBLEARRAY => vec![
            array(DataType::INT4, vec![]),
            array(DataType::INT4, vec![Value::Int4(i32::MIN), Value::Null]),
            array(DataType::INT4, vec![Value::Int4(3)]),
        ],
        DataType::ANYELEMENT | DataType::ANYCOMPATIBLE | DataType::ANYNONARRAY | DataType::ANY => {
            vec![Value::Int4(i32::MIN), Value::Null]
        }
        ty if crate::types::registry::is_oid_like(ty) => vec![Value::Oid(0), Value::Oid(u32::MAX)],
        ty if crate::types::registry::is_text_like(ty) => texts(),
        _ => vec![Value::Null],
    }
}

/// All combinations for few arguments, and the same place of every pool for many.
fn combinations(types: &[DataType]) -> Vec<Vec<Value>> {
    let pools: Vec<Vec<Value>> = types.iter().map(|ty| pool(*ty)).collect();
    if types.len() > 3 {
        return (0..12).map(|at| pools.iter().map(|pool| pool[at % pool.len()].clone()).collect()).collect();
    }
    pools.iter().fold(vec![Vec::new()], |rows, pool| {
        rows.iter().flat_map(|row| pool.iter().map(|value| [&row[..], std::slice::from_ref(value)].concat())).collect()
    })
}

fn concrete(ty: DataType) -> DataType {
    match ty {
        DataType::ANYARRAY | DataType::ANYCOMPATIBLEARRAY => DataType::INT4_ARRAY,
        DataType::ANYELEMENT | DataType::ANYCOMPATIBLE | DataType::ANYNONARRAY | DataType::ANY => DataType::INT4,
        other => other,
    }
}

#[test]
fn no_function_panics() {
    let session = SessionView { time_zone: "Europe/Berlin".into(), ..SessionView::default() };
    let context = EvalContext::new(Arc::new(session));
    let mut evaluated = 0;
    for (id, function) in function::all() {
        let skipped = matches!(function.body, Body::Set(_) | Body::Aggregate(_))
            || CATALOG_FUNCTIONS.contains(&function.signature);
        if skipped {
            continue;
        }
        for values in combinations(&function.args) {
            let args = values
                .into_iter()
                .zip(&function.args)
                .map(|(value, ty)| Expr::Const { value, ty: concrete(*ty) })
                .collect();
            let ty = concrete(function.returns);
            if let Ok(value) = (Expr::Call { function: id, args, ty }).eval(&[], &context) {
                let _ = to_text(&value, ty, context.format());
                evaluated += 1;
            }
        }
    }
    assert!(evaluated > 10_000, "only {evaluated} calls had an answer");
}

#[test]
fn no_cast_panics() {
    use crate::expr::cast::{CastContext, can_cast};
    let context = EvalContext::new(Arc::new(SessionView::default()));
    let types: Vec<DataType> =
        crate::types::registry::all().filter(|info| info.kind == 'b').map(|info| info.oid).collect();
    for from in &types {
        for to in types.iter().filter(|to| can_cast(*from, **to, CastContext::Explicit)) {
            for value in pool(*from) {
                for typmod in [-1, 5, 0x0002_0003 + 4] {
                    let expr = Box::new(Expr::Const { value: value.clone(), ty: *from });
                    let _ = Expr::Cast { expr, to: *to, typmod, explicit: true }.eval(&[], &context);
                }
            }
        }
    }
}
