//! `=`, `<>`, `<`, `<=`, `>`, `>=` of every type, `greatest` and `least`, IS DISTINCT FROM. All rest on the order of
//! `Value`.

use std::cmp::Ordering;

use crate::{
    error::Result,
    expr::function::{Body, Call, Registry, define},
    types::{Value, datetime},
};

type Test = fn(&Call<'_>, &Value, &Value) -> Result<Value>;

/// Types whose values compare with their own kind, and pairs of kinds that compare as they are.
const PAIRS: &[(&str, &str)] = &[
    ("int4", "int4"),
    ("int8", "int8"),
    ("int2", "int2"),
    ("int4", "int8"),
    ("int8", "int4"),
    ("int2", "int4"),
    ("int4", "int2"),
    ("int2", "int8"),
    ("int8", "int2"),
    ("float8", "float8"),
    ("float4", "float4"),
    ("float4", "float8"),
    ("float8", "float4"),
    ("numeric", "numeric"),
    ("text", "text"),
    ("bool", "bool"),
    ("bytea", "bytea"),
    ("date", "date"),
    ("time", "time"),
    ("timestamp", "timestamp"),
    ("timestamptz", "timestamptz"),
    ("date", "timestamp"),
    ("timestamp", "date"),
    ("interval", "interval"),
    ("uuid", "uuid"),
    ("oid", "oid"),
    ("\"char\"", "\"char\""),
    ("anyarray", "anyarray"),
    ("record", "record"),
];

const OPERATORS: [(&str, Test); 6] = [
    ("=", |_, a, b| Ok(Value::Bool(a == b))),
    ("<>", |_, a, b| Ok(Value::Bool(a != b))),
    ("<", |_, a, b| Ok(Value::Bool(a < b))),
    ("<=", |_, a, b| Ok(Value::Bool(a <= b))),
    (">", |_, a, b| Ok(Value::Bool(a > b))),
    (">=", |_, a, b| Ok(Value::Bool(a >= b))),
];

pub(super) fn register(registry: &mut Registry) {
    for (left, right) in PAIRS {
        for (name, test) in OPERATORS {
            registry.add(super::leak(format!("{name}({left}, {right}) bool")), Body::Two(test));
        }
    }
    bpchar(registry);
    zoned(registry);
    registry.add("is_distinct_from(any, any) bool", Body::Two(|_, a, b| Ok(Value::Bool(a != b)))).null_aware();
    registry.add("is_not_distinct_from(any, any) bool", Body::Two(|_, a, b| Ok(Value::Bool(a == b)))).null_aware();
    registry
        .add(
            "greatest(variadic anycompatible) anycompatible",
            Body::Many(|_, values| Ok(extreme(values, Ordering::Greater))),
        )
        .null_aware();
    registry
        .add("least(variadic anycompatible) anycompatible", Body::Many(|_, values| Ok(extreme(values, Ordering::Less))))
        .null_aware();
    registry.add("num_nulls(variadic any) int4", Body::Many(|_, values| Ok(count_nulls(values, true)))).null_aware();
    registry
        .add("num_nonnulls(variadic any) int4", Body::Many(|_, values| Ok(count_nulls(values, false))))
        .null_aware();
}

fn count_nulls(values: &[Value], null: bool) -> Value {
    Value::Int4(values.iter().filter(|value| value.is_null() == null).count() as i32)
}

/// NULLs are passed over.
fn extreme(values: &[Value], wanted: Ordering) -> Value {
    let mut best: Option<&Value> = None;
    for value in values.iter().filter(|value| !value.is_null()) {
        if best.is_none_or(|best| value.cmp(best) == wanted) {
            best = Some(value);
        }
    }
    best.cloned().unwrap_or_default()
}

/// CHAR compares without its trailing blanks.
fn bpchar(registry: &mut Registry) {
    define!(registry, "=(bpchar, bpchar) bool", |_, a: &str, b: &str| trimmed(a, b).is_eq());
    define!(registry, "<>(bpchar, bpchar) bool", |_, a: &str, b: &str| trimmed(a, b).is_ne());
    define!(registry, "<(bpchar, bpchar) bool", |_, a: &str, b: &str| trimmed(a, b).is_lt());
    define!(registry, "<=(bpchar, bpchar) bool", |_, a: &str, b: &str| trimmed(a, b).is_le());
    define!(registry, ">(bpchar, bpchar) bool", |_, a: &str, b: &str| trimmed(a, b).is_gt());
    define!(registry, ">=(bpchar, bpchar) bool", |_, a: &str, b: &str| trimmed(a, b).is_ge());
}

fn trimmed(a: &str, b: &str) -> Ordering {
    a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))
}

/// Moments with and without a zone compare in the session's zone.
fn zoned(registry: &mut Registry) {
    macro_rules! compare_zoned {
        ($($name:literal => $test:ident),+) => {
            $(
                for left in ["date", "timestamp"] {
                    registry
                        .add(super::leak(format!("{}({left}, timestamptz) bool", $name)), Body::Two(|call, a, b| {
                            Ok(Value::Bool(instant(call, a)?.cmp(&instant(call, b)?).$test()))
                        }))
                        .stable();
                    registry
                        .add(super::leak(format!("{}(timestamptz, {left}) bool", $name)), Body::Two(|call, a, b| {
                            Ok(Value::Bool(instant(call, a)?.cmp(&instant(call, b)?).$test()))
                        }))
                        .stable();
                }
            )+
        };
    }
    compare_zoned!("=" => is_eq, "<>" => is_ne, "<" => is_lt, "<=" => is_le, ">" => is_gt, ">=" => is_ge);
}

fn instant(call: &Call<'_>, value: &Value) -> Result<i64> {
    let local = match value {
        Value::TimestampTz(micros) => return Ok(*micros),
        Value::Timestamp(micros) => *micros,
        Value::Date(days) => datetime::date_to_timestamp_saturating(*days),
        _ => 0,
    };
    datetime::from_local(local, &call.context.format().time_zone)
}
