//! What a conversion does to a value.

use std::borrow::Cow;

use crate::{
    error::{Result, SqlError, SqlState},
    expr::EvalContext,
    types::{
        Array, DataType, Numeric, Value, datetime, decode_text, interval,
        name::{character_length, numeric_precision},
        registry, text, to_text,
    },
};

/// Converts a value; NULL stays NULL. The conversion was found possible when the expression was built.
pub fn cast_value(
    value: Cow<'_, Value>,
    from: DataType,
    to: DataType,
    typmod: i32,
    explicit: bool,
    context: &EvalContext,
) -> Result<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let converted = if from == to { value.into_owned() } else { convert(value, from, to, typmod, explicit, context)? };
    if typmod < 0 { Ok(converted) } else { apply_typmod(converted, to, typmod, explicit) }
}

fn convert(
    value: Cow<'_, Value>,
    from: DataType,
    to: DataType,
    typmod: i32,
    explicit: bool,
    context: &EvalContext,
) -> Result<Value> {
    if let Some(number) = convert_number(&value, to)? {
        return Ok(number);
    }
    let zone = || &context.format().time_zone;
    Ok(match (&*value, to) {
        (Value::Array(array), to) if to.is_array() => {
            let element = to.element().unwrap_or(array.element);
            let convert_item =
                |item: &Value| cast_value(Cow::Borrowed(item), array.element, element, typmod, explicit, context);
            let values: Result<Vec<Value>> = array.values.iter().map(convert_item).collect();
            Value::Array(Box::new(Array { element, values: values? }))
        }
        (Value::Bool(value), DataType::INT4) => Value::Int4(i32::from(*value)),
        (Value::Bool(value), to) if registry::category(to) == 'S' => Value::text(if *value { "true" } else { "false" }),
        (Value::Int4(value), DataType::BOOL) => Value::Bool(*value != 0),
        (Value::Int4(value), DataType::INTERNAL_CHAR) => Value::Char(
            i8::try_from(*value)
                .map_err(|_| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))?
                as u8,
        ),
        (Value::Char(value), DataType::INT4) => Value::Int4(i32::from(*value as i8)),
        (Value::Date(days), DataType::TIMESTAMP) => Value::Timestamp(datetime::date_to_timestamp(*days)?),
        (Value::Date(days), DataType::TIMESTAMPTZ) => {
            Value::TimestampTz(datetime::from_local(datetime::date_to_timestamp(*days)?, zone())?)
        }
        (Value::Timestamp(micros), DataType::TIMESTAMPTZ) => Value::TimestampTz(datetime::from_local(*micros, zone())?),
        (Value::TimestampTz(micros), DataType::TIMESTAMP) => Value::Timestamp(datetime::to_zone(*micros, zone())),
        (Value::Timestamp(micros), DataType::DATE) => Value::Date(datetime::timestamp_to_date(*micros)),
        (Value::TimestampTz(micros), DataType::DATE) => {
            Value::Date(datetime::timestamp_to_date(datetime::to_zone(*micros, zone())))
        }
        (Value::Timestamp(micros), DataType::TIME) => time_of(*micros),
        (Value::TimestampTz(micros), DataType::TIME) => time_of(datetime::to_zone(*micros, zone())),
        (Value::Time(micros), DataType::INTERVAL) => {
            Value::Interval(crate::types::Interval { months: 0, days: 0, micros: *micros })
        }
        (Value::Interval(interval), DataType::TIME) => {
            Value::Time(interval.micros.rem_euclid(datetime::MICROS_PER_DAY))
        }
        (Value::Oid(_), to) if registry::is_oid_like(to) => value.into_owned(),
        // Trailing blanks of CHAR are not significant.
        (Value::Text(text), to) if from == DataType::BPCHAR && registry::category(to) == 'S' => {
            Value::text(text.trim_end_matches(' '))
        }
        (Value::Text(text), DataType::NAME) => Value::text(text::truncate_name(text)),
        (Value::Text(_), DataType::TEXT | DataType::VARCHAR | DataType::BPCHAR) => value.into_owned(),
        (Value::Text(text), DataType::INTERNAL_CHAR) => Value::Char(text.as_bytes().first().copied().unwrap_or(0)),
        (Value::Text(text), to) => decode_text(text, to, -1, context.format())?,
        (other, to) if registry::category(to) == 'S' => Value::text(to_text(other, from, context.format())),
        (_, to) => return Err(SqlError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {to}"))),
    })
}

fn time_of(local: i64) -> Value {
    if datetime::is_infinite(local) { Value::Null } else { Value::Time(local.rem_euclid(datetime::MICROS_PER_DAY)) }
}

/// Conversions among numbers and OIDs; `None` when it is no such conversion.
fn convert_number(value: &Value, to: DataType) -> Result<Option<Value>> {
    let wanted = matches!(
        to,
        DataType::INT2 | DataType::INT4 | DataType::INT8 | DataType::FLOAT4 | DataType::FLOAT8 | DataType::NUMERIC
    );
    if !wanted && !registry::is_oid_like(to) {
        return Ok(None);
    }
    Ok(Some(match value {
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => {
            let Some(number) = value.as_integer() else { return Ok(None) };
            match to {
                DataType::FLOAT4 => Value::Float4(number as f32),
                DataType::FLOAT8 => Value::Float8(number as f64),
                DataType::NUMERIC => Value::Numeric(Numeric::from(number)),
                // An OID beyond the integers wraps, as in PostgreSQL.
                DataType::INT4 if matches!(value, Value::Oid(_)) => Value::Int4(number as u32 as i32),
                to => to_integer(number, to)?,
            }
        }
        Value::Float4(_) | Value::Float8(_) => {
            let Some(number) = value.as_float() else { return Ok(None) };
            match (to, value) {
                (DataType::FLOAT8, _) => Value::Float8(number),
                (DataType::FLOAT4, _) => Value::Float4(narrow_float(number)?),
                (DataType::NUMERIC, Value::Float4(single)) => Value::Numeric(Numeric::from_f32(*single)?),
                (DataType::NUMERIC, _) => Value::Numeric(Numeric::from_f64(number)?),
                (to, _) => {
                    // Half to even, as rint() rounds.
                    let rounded = number.round_ties_even();
                    // 2^63 itself does not fit; both limits are exact in floating point. A NaN is in no range.
                    if !(i64::MIN as f64..-(i64::MIN as f64)).contains(&rounded) {
                        return Err(integer_out_of_range(to));
                    }
                    to_integer(rounded as i64, to)?
                }
            }
        }
        Value::Numeric(number) => match to {
            DataType::FLOAT8 => Value::Float8(number.to_f64()),
            DataType::FLOAT4 => {
                if number.is_special() {
                    Value::Float4(number.to_f64() as f32)
                } else {
                    decode_text(&number.to_string(), to, -1, &Default::default())?
                }
            }
            DataType::NUMERIC => Value::Numeric(number.clone()),
            to => match number.to_i64() {
                Some(whole) => to_integer(whole, to)?,
                None if number.is_special() => {
                    let what = if number.is_nan() { "NaN" } else { "infinity" };
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!("cannot convert {what} to {to}"),
                    ));
                }
                None => return Err(integer_out_of_range(to)),
            },
        },
        _ => return Ok(None),
    }))
}

pub(crate) fn narrow_float(number: f64) -> Result<f32> {
    let narrow = number as f32;
    let out = |message: &str| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message);
    if narrow.is_infinite() && number.is_finite() {
        return Err(out("value out of range: overflow"));
    }
    if narrow == 0.0 && number != 0.0 {
        return Err(out("value out of range: underflow"));
    }
    Ok(narrow)
}

fn integer_out_of_range(to: DataType) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{to} out of range"))
}

fn to_integer(number: i64, to: DataType) -> Result<Value> {
    let out = |_| integer_out_of_range(to);
    Ok(match to {
        DataType::INT2 => Value::Int2(i16::try_from(number).map_err(out)?),
        DataType::INT4 => Value::Int4(i32::try_from(number).map_err(out)?),
        DataType::INT8 => Value::Int8(number),
        // A negative integer becomes an OID bit by bit, as PostgreSQL's binary-coercible cast does.
        _ => Value::Oid(match i32::try_from(number) {
            Ok(small) => small as u32,
            Err(_) => u32::try_from(number).map_err(|_| integer_out_of_range(DataType::OID))?,
        }),
    })
}

/// Applies a type modifier to a value of the type. Too long a text is 22001, unless only blanks are lost or the cast is
/// explicit; numbers and times are rounded.
pub fn apply_typmod(value: Value, ty: DataType, typmod: i32, explicit: bool) -> Result<Value> {
    if typmod < 0 {
        return Ok(value);
    }
    match (ty, value) {
        (DataType::VARCHAR, Value::Text(text)) => {
            let Some(length) = character_length(typmod) else { return Ok(Value::Text(text)) };
            // Bytes bound characters: the common case needs no counting.
            if text.len() <= length {
                Ok(Value::Text(text))
            } else {
                limit(&text, length, ty, explicit).map(Value::text)
            }
        }
        (DataType::BPCHAR, Value::Text(text)) => {
            let Some(length) = character_length(typmod) else { return Ok(Value::Text(text)) };
            let count = text.chars().count();
            if count > length {
                return limit(&text, length, ty, explicit).map(Value::text);
            }
            if count == length {
                return Ok(Value::Text(text));
            }
            Ok(Value::text(format!("{text}{}", " ".repeat(length - count))))
        }
        (DataType::NUMERIC, Value::Numeric(number)) => match numeric_precision(typmod) {
            Some((precision, scale)) => number.with_precision(precision, scale).map(Value::Numeric),
            None => Ok(Value::Numeric(number)),
        },
        (_, Value::Time(micros)) => Ok(Value::Time(datetime::round_micros(micros, typmod))),
        (_, Value::Timestamp(micros)) => Ok(Value::Timestamp(datetime::round_micros(micros, typmod))),
        (_, Value::TimestampTz(micros)) => Ok(Value::TimestampTz(datetime::round_micros(micros, typmod))),
        (_, Value::Interval(value)) => Ok(Value::Interval(interval::with_typmod(value, typmod))),
        (ty, Value::Array(array)) => {
            let element = ty.element().unwrap_or(array.element);
            let values: Result<Vec<Value>> =
                array.values.into_iter().map(|item| apply_typmod(item, element, typmod, explicit)).collect();
            Ok(Value::Array(Box::new(Array { element: array.element, values: values? })))
        }
        (_, value) => Ok(value),
    }
}

fn limit(text: &str, length: usize, ty: DataType, explicit: bool) -> Result<String> {
    let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
    let (kept, lost) = text.split_at(end);
    if explicit || lost.bytes().all(|byte| byte == b' ') {
        return Ok(kept.to_owned());
    }
    Err(SqlError::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, format!("value too long for type {ty}({length})")))
}
