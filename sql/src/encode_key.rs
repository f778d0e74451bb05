//! One column of a key: byte order is SQL's order, and no complete column is the prefix of another.
//!
//! A marker for NULL (`0xff`, sorting last, or `0x00`, first) or not NULL (`0x01`), then
//!
//! | type | bytes |
//! |---|---|
//! | integers, date, time, timestamps, oid | 8 bytes, `base::keycode` |
//! | bool, `"char"` | 1 byte |
//! | floats | 8 bytes, `base::keycode` |
//! | text, varchar, name, bytea | escaped and terminated, `base::keycode`; CHAR without its trailing blanks |
//! | numeric | class; exponent; pairs of digits, each plus one; `0x00`. Inverted after the class when negative |
//! | interval | 16 bytes: its length |
//! | uuid | 16 bytes |
//! | arrays | each element after `0x02`, then `0x01` |
//!
//! All of it inverted in a descending column.

use base::keycode::{self, Malformed};
use bigdecimal::num_bigint::BigInt;

use super::KeyColumn;
use crate::{
    error::{Result, SqlError},
    types::{Array, DataType, Interval, Numeric, Value, datetime::MICROS_PER_DAY, interval, registry},
};

const NULL_LAST: u8 = 0xff;
const NULL_FIRST: u8 = 0x00;
const NOT_NULL: u8 = 0x01;
const ELEMENT: u8 = 0x02;
const END: u8 = 0x01;

/// Whether a type has a key form.
pub fn is_indexable(ty: DataType) -> bool {
    match ty.element() {
        Some(element) => is_indexable(element),
        None => registry::category(ty) != 'P' && ty != DataType::JSON,
    }
}

/// Whether the key form does not tell the value exactly, though it tells which values are equal.
pub fn is_lossy(ty: DataType) -> bool {
    match ty.element().unwrap_or(ty) {
        DataType::NUMERIC | DataType::BPCHAR | DataType::INTERVAL | DataType::FLOAT4 | DataType::FLOAT8 => true,
        _ => ty.is_array() && is_lossy(ty.element().unwrap_or(DataType::INT4)),
    }
}

/// The first byte of a column that is not NULL.
pub(super) fn not_null_marker(column: &KeyColumn) -> u8 {
    if column.descending { !NOT_NULL } else { NOT_NULL }
}

/// Appends a column.
pub fn put(key: &mut Vec<u8>, value: &Value, column: &KeyColumn) -> Result<()> {
    let start = key.len();
    if value.is_null() {
        // The marker is inverted with the rest of a descending column, so it is chosen the other way round there.
        key.push(if column.nulls_first != column.descending { NULL_FIRST } else { NULL_LAST });
    } else {
        key.push(NOT_NULL);
        put_value(key, value, column.ty)?;
    }
    if column.descending {
        keycode::invert(key, start);
    }
    Ok(())
}

fn put_value(key: &mut Vec<u8>, value: &Value, ty: DataType) -> Result<()> {
    match value {
        Value::Bool(value) => keycode::put_bool(key, *value),
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => {
            keycode::put_i64(key, value.as_integer().unwrap_or_default());
        }
        Value::Float4(value) => keycode::put_f64(key, f64::from(*value)),
        Value::Float8(value) => keycode::put_f64(key, *value),
        Value::Numeric(value) => put_numeric(key, value),
        Value::Text(text) if ty == DataType::BPCHAR => keycode::put_bytes(key, text.trim_end_matches(' ').as_bytes()),
        Value::Text(text) => keycode::put_bytes(key, text.as_bytes()),
        Value::Bytea(bytes) => keycode::put_bytes(key, bytes),
        Value::Date(days) => keycode::put_i64(key, i64::from(*days)),
        Value::Time(micros) | Value::Timestamp(micros) | Value::TimestampTz(micros) => keycode::put_i64(key, *micros),
        Value::Interval(value) => {
            let sortable = (interval::span(value) as u128) ^ (1 << 127);
            key.extend_from_slice(&sortable.to_be_bytes());
        }
        Value::Uuid(bytes) => key.extend_from_slice(bytes),
        Value::Char(byte) => key.push(*byte),
        Value::Array(array) => {
            let element = KeyColumn { slot: 0, ty: array.element, descending: false, nulls_first: false };
            for item in &array.values {
                key.push(ELEMENT);
                put(key, item, &element)?;
            }
            key.push(END);
        }
        Value::Null | Value::Record(_) => return Err(SqlError::internal("a value that cannot be a key")),
    }
    Ok(())
}

/// Reads a column. Lossy types come back as one of the equal values.
pub fn take(input: &mut &[u8], column: &KeyColumn) -> std::result::Result<Value, Malformed> {
    if !column.descending {
        return take_plain(input, column.ty);
    }
    // How long the column is shows only while reading: the rest is inverted, and what was not read stays.
    let inverted: Vec<u8> = input.iter().map(|byte| !byte).collect();
    let mut rest = &inverted[..];
    let value = take_plain(&mut rest, column.ty)?;
    *input = &input[inverted.len() - rest.len()..];
    Ok(value)
}

fn take_plain(input: &mut &[u8], ty: DataType) -> std::result::Result<Value, Malformed> {
    let (marker, rest) = input.split_first().ok_or(Malformed)?;
    *input = rest;
    match *marker {
        NULL_FIRST | NULL_LAST => Ok(Value::Null),
        NOT_NULL => take_value(input, ty),
        _ => Err(Malformed),
    }
}

fn take_value(input: &mut &[u8], ty: DataType) -> std::result::Result<Value, Malformed> {
    let narrow = |_| Malformed;
    Ok(match ty {
        DataType::BOOL => Value::Bool(keycode::take_bool(input)?),
        DataType::INT2 => Value::Int2(keycode::take_i64(input)?.try_into().map_err(narrow)?),
        DataType::INT4 => Value::Int4(keycode::take_i64(input)?.try_into().map_err(narrow)?),
        DataType::INT8 => Value::Int8(keycode::take_i64(input)?),
        DataType::FLOAT4 => Value::Float4(keycode::take_f64(input)? as f32),
        DataType::FLOAT8 => Value::Float8(keycode::take_f64(input)?),
        DataType::NUMERIC => Value::Numeric(take_numeric(input)?),
        DataType::BYTEA => Value::Bytea(keycode::take_bytes(input)?.into()),
        DataType::DATE => Value::Date(keycode::take_i64(input)?.try_into().map_err(narrow)?),
        DataType::TIME => Value::Time(keycode::take_i64(input)?),
        DataType::TIMESTAMP => Value::Timestamp(keycode::take_i64(input)?),
        DataType::TIMESTAMPTZ => Value::TimestampTz(keycode::take_i64(input)?),
        DataType::INTERVAL => {
            let bytes: [u8; 16] = take_bytes(input, 16)?.try_into().map_err(|_| Malformed)?;
            let span = (u128::from_be_bytes(bytes) ^ (1 << 127)) as i128;
            // One of the intervals of this length: months take what days cannot, time what is left.
            let clamp = |value: i128| value.clamp(i32::MIN.into(), i32::MAX.into());
            let whole_days = span / i128::from(MICROS_PER_DAY);
            let months = clamp(if clamp(whole_days) == whole_days { 0 } else { whole_days / 30 });
            let days = clamp(whole_days - months * 30);
            let micros = span - (months * 30 + days) * i128::from(MICROS_PER_DAY);
            let micros = i64::try_from(micros).map_err(narrow)?;
            Value::Interval(Interval { months: months as i32, days: days as i32, micros })
        }
        DataType::UUID => Value::Uuid(take_bytes(input, 16)?.try_into().map_err(|_| Malformed)?),
        DataType::INTERNAL_CHAR => Value::Char(take_bytes(input, 1)?[0]),
        ty if registry::is_oid_like(ty) => Value::Oid(keycode::take_i64(input)?.try_into().map_err(narrow)?),
        ty if registry::is_text_like(ty) => {
            Value::text(String::from_utf8(keycode::take_bytes(input)?).map_err(|_| Malformed)?)
        }
        ty => {
            let element = ty.element().ok_or(Malformed)?;
            let mut values = Vec::new();
            loop {
                match take_bytes(input, 1)?[0] {
                    END => break,
                    ELEMENT => values.push(take_plain(input, element)?),
                    _ => return Err(Malformed),
                }
            }
            Value::Array(Box::new(Array { element, values }))
        }
    })
}

fn take_bytes<'a>(input: &mut &'a [u8], count: usize) -> std::result::Result<&'a [u8], Malformed> {
    let (head, tail) = input.split_at_checked(count).ok_or(Malformed)?;
    *input = tail;
    Ok(head)
}

/// Classes of numerics, in order.
const NEGATIVE_INFINITY: u8 = 1;
const NEGATIVE: u8 = 2;
const ZERO: u8 = 3;
const POSITIVE: u8 = 4;
const INFINITY: u8 = 5;
const NAN: u8 = 6;

/// 0.d1d2d3… × 10^exponent: the exponent decides before the digits.
fn put_numeric(key: &mut Vec<u8>, value: &Numeric) {
    let Some((digits, scale)) = value.parts() else {
        return key.push(match value {
            Numeric::NaN => NAN,
            Numeric::Infinity => INFINITY,
            _ => NEGATIVE_INFINITY,
        });
    };
    if value.is_zero() {
        return key.push(ZERO);
    }
    let text = digits.magnitude().to_string();
    let exponent = text.len() as i64 - scale;
    let negative = value.is_negative();
    key.push(if negative { NEGATIVE } else { POSITIVE });
    let start = key.len();
    key.extend_from_slice(&((exponent as i32 as u32) ^ (1 << 31)).to_be_bytes());
    for pair in text.trim_end_matches('0').as_bytes().chunks(2) {
        let tens = pair[0] - b'0';
        let units = pair.get(1).map_or(0, |digit| digit - b'0');
        key.push(tens * 10 + units + 1);
    }
    key.push(0);
    if negative {
        keycode::invert(key, start);
    }
}

fn take_numeric(input: &mut &[u8]) -> std::result::Result<Numeric, Malformed> {
    let negative = match take_bytes(input, 1)?[0] {
        NAN => return Ok(Numeric::NaN),
        INFINITY => return Ok(Numeric::Infinity),
        NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
        ZERO => return Ok(Numeric::zero()),
        NEGATIVE => true,
        POSITIVE => false,
        _ => return Err(Malformed),
    };
    let flip = |byte: u8| if negative { !byte } else { byte };
    let mut bytes = [0u8; 4];
    for (byte, found) in bytes.iter_mut().zip(take_bytes(input, 4)?) {
        *byte = flip(*found);
    }
    let exponent = i64::from((u32::from_be_bytes(bytes) ^ (1 << 31)) as i32);
    let mut text = String::new();
    loop {
        match flip(take_bytes(input, 1)?[0]) {
            0 => break,
            pair @ 1..=100 => {
                text.push(char::from(b'0' + (pair - 1) / 10));
                text.push(char::from(b'0' + (pair - 1) % 10));
            }
            _ => return Err(Malformed),
        }
    }
    let text = text.trim_end_matches('0');
    if text.is_empty() || !(-20_000..=140_000).contains(&exponent) {
        return Err(Malformed);
    }
    let digits: BigInt = text.parse().map_err(|_| Malformed)?;
    let digits = if negative { -digits } else { digits };
    let scale = text.len() as i64 - exponent;
    Ok(if scale >= 0 {
        Numeric::new(digits, scale)
    } else {
        Numeric::new(digits * BigInt::from(10).pow(-scale as u32), 0)
    })
}
