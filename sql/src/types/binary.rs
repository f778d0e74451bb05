//! Binary send and receive formats, as PostgreSQL's wire has them.

use bigdecimal::num_bigint::BigInt;
use bytes::{Buf, BufMut, BytesMut};

use super::{Array, DataType, Interval, Numeric, Value, numeric::power_of_ten, registry, text::check_utf8};
use crate::error::{Result, SqlError, SqlState};

/// Appends the binary form of a value that is not NULL (of NULL: nothing).
pub fn encode_binary(value: &Value, ty: DataType, out: &mut BytesMut) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.put_u8(u8::from(*value)),
        Value::Int2(value) => out.put_i16(*value),
        Value::Int4(value) => out.put_i32(*value),
        Value::Int8(value) => out.put_i64(*value),
        Value::Float4(value) => out.put_f32(*value),
        Value::Float8(value) => out.put_f64(*value),
        Value::Numeric(value) => encode_numeric(value, out),
        Value::Text(text) => out.put_slice(text.as_bytes()),
        Value::Bytea(bytes) => out.put_slice(bytes),
        Value::Date(days) => out.put_i32(*days),
        Value::Time(micros) | Value::Timestamp(micros) | Value::TimestampTz(micros) => out.put_i64(*micros),
        Value::Interval(interval) => {
            out.put_i64(interval.micros);
            out.put_i32(interval.days);
            out.put_i32(interval.months);
        }
        Value::Uuid(bytes) => out.put_slice(bytes),
        Value::Oid(oid) => out.put_u32(*oid),
        Value::Char(byte) => out.put_u8(*byte),
        Value::Array(array) => encode_array(array, ty, out),
        Value::Record(fields) => {
            out.put_i32(fields.len() as i32);
            for field in fields {
                let ty = type_of(field);
                out.put_u32(ty.0);
                encode_prefixed(field, ty, out);
            }
        }
    }
}

/// The length, then the value; -1 for NULL.
fn encode_prefixed(value: &Value, ty: DataType, out: &mut BytesMut) {
    if value.is_null() {
        return out.put_i32(-1);
    }
    let at = out.len();
    out.put_i32(0);
    encode_binary(value, ty, out);
    let len = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

fn encode_array(array: &Array, ty: DataType, out: &mut BytesMut) {
    let lower_bound = if matches!(ty, DataType::INT2VECTOR | DataType::OIDVECTOR) { 0 } else { 1 };
    out.put_i32(if array.values.is_empty() { 0 } else { 1 });
    out.put_i32(i32::from(array.values.iter().any(Value::is_null)));
    out.put_u32(array.element.0);
    if array.values.is_empty() {
        return;
    }
    out.put_i32(array.values.len() as i32);
    out.put_i32(lower_bound);
    for value in &array.values {
        encode_prefixed(value, array.element, out);
    }
}

const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_INFINITY: u16 = 0xd000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xf000;

/// Count, weight, sign, display scale, then base-10000 digits.
fn encode_numeric(numeric: &Numeric, out: &mut BytesMut) {
    let special = |sign: u16, out: &mut BytesMut| {
        out.put_u16(0);
        out.put_i16(0);
        out.put_u16(sign);
        out.put_u16(0);
    };
    let (digits, scale) = match (numeric, numeric.parts()) {
        (_, Some(parts)) => parts,
        (Numeric::NaN, _) => return special(SIGN_NAN, out),
        (Numeric::Infinity, _) => return special(SIGN_INFINITY, out),
        _ => return special(SIGN_NEGATIVE_INFINITY, out),
    };
    // Digits are grouped by four from the point outwards.
    let padding = (4 - scale % 4) % 4;
    let aligned = digits.magnitude() * power_of_ten(padding).magnitude();
    let text = aligned.to_string();
    let padded = format!("{}{}", "0".repeat((4 - text.len() % 4) % 4), text);
    let groups: Vec<u16> =
        padded.as_bytes().chunks(4).map(|group| group.iter().fold(0, |n, b| n * 10 + u16::from(b - b'0'))).collect();
    let fraction_groups = (scale + padding) / 4;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let weight = groups.len() as i64 - fraction_groups - 1 - leading as i64;
    let kept = &groups[leading..];
    let kept = &kept[..kept.len() - kept.iter().rev().take_while(|group| **group == 0).count()];
    out.put_u16(kept.len() as u16);
    out.put_i16(if kept.is_empty() { 0 } else { weight as i16 });
    out.put_u16(if numeric.is_negative() { SIGN_NEGATIVE } else { 0 });
    out.put_u16(scale as u16);
    for group in kept {
        out.put_u16(*group);
    }
}

/// Reads a value as PostgreSQL's receive function of the type does. 22P03 for what is malformed.
pub fn decode_binary(bytes: &[u8], ty: DataType, typmod: i32) -> Result<Value> {
    let mut input = bytes;
    let value = decode(&mut input, ty)?;
    if !input.is_empty() {
        return Err(malformed());
    }
    if typmod < 0 || ty.is_array() { Ok(value) } else { crate::expr::cast::apply_typmod(value, ty, typmod, false) }
}

fn malformed() -> SqlError {
    SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format")
}

fn decode(input: &mut &[u8], ty: DataType) -> Result<Value> {
    let fixed = super::registry::get(ty).map_or(-1, |info| info.len);
    if ty != DataType::NAME && fixed > 0 && input.len() < fixed as usize {
        return Err(malformed());
    }
    Ok(match ty {
        DataType::BOOL => Value::Bool(input.get_u8() != 0),
        DataType::INT2 => Value::Int2(input.get_i16()),
        DataType::INT4 => Value::Int4(input.get_i32()),
        DataType::INT8 => Value::Int8(input.get_i64()),
        DataType::FLOAT4 => Value::Float4(input.get_f32()),
        DataType::FLOAT8 => Value::Float8(input.get_f64()),
        DataType::NUMERIC => Value::Numeric(decode_numeric(input)?),
        DataType::BYTEA => {
            let bytes = bytes::Bytes::copy_from_slice(input);
            *input = &[];
            Value::Bytea(bytes)
        }
        DataType::DATE => Value::Date(input.get_i32()),
        DataType::TIME => match input.get_i64() {
            micros @ 0..=86_400_000_000 => Value::Time(micros),
            _ => return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range")),
        },
        DataType::TIMESTAMP => Value::Timestamp(checked_timestamp(input.get_i64())?),
        DataType::TIMESTAMPTZ => Value::TimestampTz(checked_timestamp(input.get_i64())?),
        DataType::INTERVAL => {
            let (micros, days, months) = (input.get_i64(), input.get_i32(), input.get_i32());
            Value::Interval(Interval { months, days, micros })
        }
        DataType::UUID => {
            let mut bytes = [0; 16];
            input.copy_to_slice(&mut bytes);
            Value::Uuid(bytes)
        }
        DataType::INTERNAL_CHAR => Value::Char(input.get_u8()),
        DataType::VOID => Value::text(""),
        ty if registry::is_oid_like(ty) => Value::Oid(input.get_u32()),
        ty if registry::is_text_like(ty) => {
            let text = check_utf8(input)?;
            let value = match ty {
                DataType::JSON => super::decode_text(text, ty, -1, &super::FormatOptions::default())?,
                _ => Value::text(text),
            };
            *input = &[];
            value
        }
        ty => match ty.element() {
            Some(element) => decode_array(input, element)?,
            None => return Err(SqlError::unsupported(format!("binary input of type {ty}"))),
        },
    })
}

fn checked_timestamp(micros: i64) -> Result<i64> {
    let valid = super::datetime::is_infinite(micros) || super::datetime::timestamp_in_range(micros);
    if valid { Ok(micros) } else { Err(super::datetime::timestamp_out_of_range()) }
}

fn decode_numeric(input: &mut &[u8]) -> Result<Numeric> {
    if input.len() < 8 {
        return Err(malformed());
    }
    let count = input.get_u16();
    let weight = i64::from(input.get_i16());
    let sign = input.get_u16();
    let scale = i64::from(input.get_u16());
    match sign {
        SIGN_NAN => return Ok(Numeric::NaN),
        SIGN_INFINITY => return Ok(Numeric::Infinity),
        SIGN_NEGATIVE_INFINITY => return Ok(Numeric::NegativeInfinity),
        0 | SIGN_NEGATIVE if scale <= 0x3fff => {}
        _ => return Err(malformed()),
    }
    if input.len() < usize::from(count) * 2 {
        return Err(malformed());
    }
    let mut text = String::with_capacity(usize::from(count) * 4 + 1);
    for _ in 0..count {
        let digit = input.get_u16();
        if digit > 9999 {
            return Err(malformed());
        }
        text.push_str(&format!("{digit:04}"));
    }
    let digits: BigInt = if text.is_empty() { BigInt::ZERO } else { text.parse().map_err(|_| malformed())? };
    let digits = if sign == SIGN_NEGATIVE { -digits } else { digits };
    // The last group stands at 10000^(weight - count + 1).
    let exponent = (weight - i64::from(count) + 1) * 4;
    let value =
        if exponent >= 0 { Numeric::new(digits * power_of_ten(exponent), 0) } else { Numeric::new(digits, -exponent) };
    // Hidden digits beyond the display scale are dropped, as PostgreSQL does.
    Ok(value.trunc(scale))
}

fn decode_array(input: &mut &[u8], element: DataType) -> Result<Value> {
    if input.len() < 12 {
        return Err(malformed());
    }
    let (dimensions, _has_nulls, sent) = (input.get_i32(), input.get_i32(), DataType(input.get_u32()));
    let text_like = registry::is_text_like(sent) && registry::is_text_like(element);
    if sent != element && !text_like {
        return Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "binary data has array element type {} ({sent}) instead of expected {} ({element})",
                sent.0, element.0
            ),
        ));
    }
    let mut values = Vec::new();
    match dimensions {
        0 => {}
        1 => {
            if input.len() < 8 {
                return Err(malformed());
            }
            let count = usize::try_from(input.get_i32()).map_err(|_| malformed())?;
            let _lower_bound = input.get_i32();
            // Each element takes four bytes at least: a hostile count cannot make us allocate.
            if input.len() / 4 < count {
                return Err(malformed());
            }
            values.reserve(count);
            for _ in 0..count {
                values.push(decode_prefixed(input, element)?);
            }
        }
        _ => return Err(SqlError::unsupported("a multidimensional array")),
    }
    Ok(Value::Array(Box::new(Array { element, values })))
}

fn decode_prefixed(input: &mut &[u8], ty: DataType) -> Result<Value> {
    if input.len() < 4 {
        return Err(malformed());
    }
    let len = input.get_i32();
    if len == -1 {
        return Ok(Value::Null);
    }
    let len = usize::try_from(len).map_err(|_| malformed())?;
    let (head, tail) = input.split_at_checked(len).ok_or_else(malformed)?;
    *input = tail;
    decode_binary(head, ty, -1)
}

/// The natural type of a value, for records, which do not carry their types.
pub fn type_of(value: &Value) -> DataType {
    match value {
        Value::Null => DataType::UNKNOWN,
        Value::Bool(_) => DataType::BOOL,
        Value::Int2(_) => DataType::INT2,
        Value::Int4(_) => DataType::INT4,
        Value::Int8(_) => DataType::INT8,
        Value::Float4(_) => DataType::FLOAT4,
        Value::Float8(_) => DataType::FLOAT8,
        Value::Numeric(_) => DataType::NUMERIC,
        Value::Text(_) => DataType::TEXT,
        Value::Bytea(_) => DataType::BYTEA,
        Value::Date(_) => DataType::DATE,
        Value::Time(_) => DataType::TIME,
        Value::Timestamp(_) => DataType::TIMESTAMP,
        Value::TimestampTz(_) => DataType::TIMESTAMPTZ,
        Value::Interval(_) => DataType::INTERVAL,
        Value::Uuid(_) => DataType::UUID,
        Value::Oid(_) => DataType::OID,
        Value::Char(_) => DataType::INTERNAL_CHAR,
        Value::Array(array) => array.element.array().unwrap_or(DataType::TEXT_ARRAY),
        Value::Record(_) => DataType::RECORD,
    }
}
