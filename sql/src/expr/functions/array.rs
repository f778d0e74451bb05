//! Arrays (of one dimension, lower bound 1; the vectors of the catalog begin at 0).

use crate::{
    error::{SqlError, SqlState},
    expr::function::{Body, Call, Registry, define},
    types::{Array, DataType, FormatOptions, Value, to_text},
};

pub(super) fn register(registry: &mut Registry) {
    access(registry);
    measures(registry);
    building(registry);
    containment(registry);
    text(registry);
    registry.add(
        "unnest(anyarray) setof anyelement",
        Body::Set(|_, args| match args {
            [Value::Array(array)] => Ok(array.values.clone()),
            _ => Ok(Vec::new()),
        }),
    );
    registry.add(
        "generate_subscripts(anyarray, int4) setof int4",
        Body::Set(|_, args| match args {
            [Value::Array(array), Value::Int4(1)] => Ok((1..=array.values.len() as i32).map(Value::Int4).collect()),
            _ => Ok(Vec::new()),
        }),
    );
}

fn lower_bound(ty: DataType) -> i64 {
    if matches!(ty, DataType::INT2VECTOR | DataType::OIDVECTOR) { 0 } else { 1 }
}

fn element_at(call: &Call<'_>, array: &Array, index: i64) -> Value {
    let at = index - lower_bound(call.arg_type(0));
    usize::try_from(at).ok().and_then(|at| array.values.get(at)).cloned().unwrap_or_default()
}

fn access(registry: &mut Registry) {
    define!(registry, "array_subscript(anyarray, int4) anyelement", |call, array: &Array, index: i32| {
        element_at(call, array, i64::from(index))
    });
    define!(registry, "array_subscript(int2vector, int4) int2", |call, array: &Array, index: i32| {
        element_at(call, array, i64::from(index))
    });
    define!(registry, "array_subscript(oidvector, int4) oid", |call, array: &Array, index: i32| {
        element_at(call, array, i64::from(index))
    });
    // `array[from:to]`, with NULL for a bound left out.
    define!(
        registry,
        "array_slice(anyarray, int4, int4) anyarray",
        |_, array: Option<&Array>, from: Option<i32>, to: Option<i32>| {
            array.map(|array| {
                let length = array.values.len() as i64;
                let from = i64::from(from.unwrap_or(1)).max(1);
                let to = to.map_or(length, i64::from).min(length);
                let values = if from > to { Vec::new() } else { array.values[from as usize - 1..to as usize].to_vec() };
                Array { element: array.element, values }
            })
        }
    )
    .null_aware();
}

fn measures(registry: &mut Registry) {
    for name in ["array_length", "array_upper"] {
        define!(registry, super::leak(format!("{name}(anyarray, int4) int4")), |_, array: &Array, dimension: i32| {
            (dimension == 1 && !array.values.is_empty()).then_some(array.values.len() as i32)
        });
    }
    define!(registry, "array_lower(anyarray, int4) int4", |_, array: &Array, dimension: i32| {
        (dimension == 1 && !array.values.is_empty()).then_some(1)
    });
    define!(registry, "array_upper(int2vector, int4) int4", |_, array: &Array, dimension: i32| {
        (dimension == 1 && !array.values.is_empty()).then_some(array.values.len() as i32 - 1)
    });
    define!(registry, "array_ndims(anyarray) int4", |_, array: &Array| (!array.values.is_empty()).then_some(1));
    define!(registry, "array_dims(anyarray) text", |_, array: &Array| {
        (!array.values.is_empty()).then(|| format!("[1:{}]", array.values.len()))
    });
    define!(registry, "cardinality(anyarray) int4", |_, array: &Array| array.values.len() as i32);
}

/// An array of the call's result type.
fn result(call: &Call<'_>, values: Vec<Value>) -> Value {
    Value::Array(Box::new(Array { element: call.ty.element().unwrap_or(DataType::TEXT), values }))
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(array) => &array.values,
        _ => &[],
    }
}

fn building(registry: &mut Registry) {
    for name in ["array_append", "||"] {
        registry
            .add(
                super::leak(format!("{name}(anycompatiblearray, anycompatible) anycompatiblearray")),
                Body::Two(|call, array, item| Ok(result(call, [items(array), std::slice::from_ref(item)].concat()))),
            )
            .null_aware();
    }
    for name in ["array_prepend", "||"] {
        registry
            .add(
                super::leak(format!("{name}(anycompatible, anycompatiblearray) anycompatiblearray")),
                Body::Two(|call, item, array| Ok(result(call, [std::slice::from_ref(item), items(array)].concat()))),
            )
            .null_aware();
    }
    for name in ["array_cat", "||"] {
        registry
            .add(
                super::leak(format!("{name}(anycompatiblearray, anycompatiblearray) anycompatiblearray")),
                Body::Two(|call, a, b| {
                    if a.is_null() && b.is_null() {
                        return Ok(Value::Null);
                    }
                    Ok(result(call, [items(a), items(b)].concat()))
                }),
            )
            .null_aware();
    }
    registry
        .add(
            "array_remove(anycompatiblearray, anycompatible) anycompatiblearray",
            Body::Two(|call, array, item| match array {
                Value::Array(array) => {
                    Ok(result(call, array.values.iter().filter(|value| *value != item).cloned().collect()))
                }
                _ => Ok(Value::Null),
            }),
        )
        .null_aware();
    registry
        .add(
            "array_replace(anycompatiblearray, anycompatible, anycompatible) anycompatiblearray",
            Body::Three(|call, array, from, to| match array {
                Value::Array(array) => {
                    let values =
                        array.values.iter().map(|value| if value == from { to.clone() } else { value.clone() });
                    Ok(result(call, values.collect()))
                }
                _ => Ok(Value::Null),
            }),
        )
        .null_aware();
    registry
        .add(
            "array_fill(anyelement, int4[]) anyarray",
            Body::Two(|call, item, lengths| match items(lengths) {
                [] => Ok(result(call, Vec::new())),
                [Value::Int4(length)] if (0..=10_000_000).contains(length) => {
                    Ok(result(call, vec![item.clone(); *length as usize]))
                }
                [_] => Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed")),
                _ => Err(SqlError::unsupported("a multidimensional array")),
            }),
        )
        .null_aware();
}

fn containment(registry: &mut Registry) {
    define!(registry, "@>(anyarray, anyarray) bool", |_, a: &Array, b: &Array| contains(a, b));
    define!(registry, "<@(anyarray, anyarray) bool", |_, a: &Array, b: &Array| contains(b, a));
    define!(registry, "&&(anyarray, anyarray) bool", |_, a: &Array, b: &Array| {
        b.values.iter().any(|item| !item.is_null() && a.values.contains(item))
    });
    registry
        .add(
            "array_position(anycompatiblearray, anycompatible) int4",
            Body::Two(|_, array, item| Ok(position(array, item, 1))),
        )
        .null_aware();
    registry
        .add(
            "array_position(anycompatiblearray, anycompatible, int4) int4",
            Body::Three(|_, array, item, from| match from {
                Value::Int4(from) => Ok(position(array, item, *from)),
                _ => Err(SqlError::new(SqlState("22004"), "initial position must not be null")),
            }),
        )
        .null_aware();
    registry
        .add(
            "array_positions(anycompatiblearray, anycompatible) int4[]",
            Body::Two(|call, array, item| match array {
                Value::Array(array) => {
                    let found = array.values.iter().enumerate().filter(|(_, value)| *value == item);
                    Ok(result(call, found.map(|(at, _)| Value::Int4(at as i32 + 1)).collect()))
                }
                _ => Ok(Value::Null),
            }),
        )
        .null_aware();
}

fn contains(a: &Array, b: &Array) -> bool {
    b.values.iter().all(|item| !item.is_null() && a.values.contains(item))
}

fn position(array: &Value, item: &Value, from: i32) -> Value {
    let skip = (from.max(1) - 1) as usize;
    let found = items(array).iter().enumerate().skip(skip).find(|(_, value)| *value == item);
    found.map_or(Value::Null, |(at, _)| Value::Int4(at as i32 + 1))
}

fn text(registry: &mut Registry) {
    define!(registry, "array_to_string(anyarray, text) text", |call, array: &Array, delimiter: &str| {
        join(array, delimiter, None, call.context.format())
    })
    .stable();
    define!(
        registry,
        "array_to_string(anyarray, text, text) text",
        |call, array: Option<&Array>, delimiter: Option<&str>, null: Option<&str>| {
            array.zip(delimiter).map(|(array, delimiter)| join(array, delimiter, null, call.context.format()))
        }
    )
    .null_aware()
    .stable();
    define!(registry, "string_to_array(text, text) text[]", |_, text: Option<&str>, delimiter: Option<&str>| {
        split(text, delimiter, None)
    })
    .null_aware();
    define!(
        registry,
        "string_to_array(text, text, text) text[]",
        |_, text: Option<&str>, delimiter: Option<&str>, null: Option<&str>| { split(text, delimiter, null) }
    )
    .null_aware();
    registry.add("string_to_table(text, text) setof text", Body::Set(|_, args| Ok(split_rows(args)))).null_aware();
}

fn split_rows(args: &[Value]) -> Vec<Value> {
    let text = |value: Option<&Value>| match value {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (subject, delimiter) = (text(args.first()), text(args.get(1)));
    split(subject.as_deref(), delimiter.as_deref(), None).map_or(Vec::new(), |array| array.values)
}

fn join(array: &Array, delimiter: &str, null: Option<&str>, options: &FormatOptions) -> String {
    let mut parts = Vec::with_capacity(array.values.len());
    for value in &array.values {
        match (value, null) {
            (Value::Null, None) => {}
            (Value::Null, Some(null)) => parts.push(null.to_owned()),
            (value, _) => parts.push(to_text(value, array.element, options)),
        }
    }
    parts.join(delimiter)
}

/// A NULL delimiter splits into characters, an empty one not at all.
fn split(text: Option<&str>, delimiter: Option<&str>, null: Option<&str>) -> Option<Array> {
    let text = text?;
    let parts: Vec<String> = match delimiter {
        _ if text.is_empty() => Vec::new(),
        None => text.chars().map(String::from).collect(),
        Some("") => vec![text.to_owned()],
        Some(delimiter) => text.split(delimiter).map(str::to_owned).collect(),
    };
    let values = parts
        .into_iter()
        .map(|part| if null == Some(part.as_str()) { Value::Null } else { Value::text(part) })
        .collect();
    Some(Array { element: DataType::TEXT, values })
}
