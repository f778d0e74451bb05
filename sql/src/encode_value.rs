//! The columns in a row's value: tag, content. Kinds that tell their own length, so that any column can be skipped without
//! knowing its type (it may have been dropped).

use crate::{
    error::{Result, SqlError},
    types::{Array, DataType, Interval, Numeric, Value, registry},
};

pub(super) const VERSION: u8 = 1;

const NULL: u64 = 0;
const FALSE: u64 = 1;
const TRUE: u64 = 2;
/// A signed number, zigzag, variable length.
const NUMBER: u64 = 3;
const FOUR: u64 = 4;
const EIGHT: u64 = 5;
const SIXTEEN: u64 = 6;
/// A length, then bytes.
const BYTES: u64 = 7;

/// One column as found.
pub(super) struct Field<'a> {
    pub id: u16,
    kind: u64,
    content: &'a [u8],
    /// Tag and content.
    pub raw: &'a [u8],
}

pub(super) struct Fields<'a> {
    input: &'a [u8],
}

#[derive(Debug)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    /// `None` when the version is unknown.
    pub fn new(value: &'a [u8]) -> Option<Fields<'a>> {
        match value.split_first() {
            Some((&VERSION, input)) => Some(Fields { input }),
            _ => None,
        }
    }

    pub fn next(&mut self) -> std::result::Result<Option<Field<'a>>, Malformed> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let whole = self.input;
        let tag = take_varint(&mut self.input).ok_or(Malformed)?;
        let (id, kind) = (u16::try_from(tag >> 3).map_err(|_| Malformed)?, tag & 7);
        let content = take_content(&mut self.input, kind).ok_or(Malformed)?;
        Ok(Some(Field { id, kind, content, raw: &whole[..whole.len() - self.input.len()] }))
    }
}

fn take_content<'a>(input: &mut &'a [u8], kind: u64) -> Option<&'a [u8]> {
    let len = match kind {
        NULL | FALSE | TRUE => 0,
        NUMBER => input.iter().position(|byte| byte & 0x80 == 0)? + 1,
        FOUR => 4,
        EIGHT => 8,
        SIXTEEN => 16,
        _ => usize::try_from(take_varint(input)?).ok()?,
    };
    let (head, tail) = input.split_at_checked(len)?;
    *input = tail;
    Some(head)
}

impl Field<'_> {
    pub fn decode(&self, ty: DataType) -> Option<Value> {
        decode(self.kind, self.content, ty)
    }
}

fn decode(kind: u64, content: &[u8], ty: DataType) -> Option<Value> {
    match kind {
        NULL => Some(Value::Null),
        FALSE => Some(Value::Bool(false)),
        TRUE => Some(Value::Bool(true)),
        NUMBER => {
            let mut input = content;
            number(unzigzag(take_varint(&mut input)?), ty)
        }
        FOUR => Some(Value::Float4(f32::from_le_bytes(content.try_into().ok()?))),
        EIGHT => Some(Value::Float8(f64::from_le_bytes(content.try_into().ok()?))),
        SIXTEEN => Some(Value::Uuid(content.try_into().ok()?)),
        _ => bytes(content, ty),
    }
}

fn number(number: i64, ty: DataType) -> Option<Value> {
    Some(match ty {
        DataType::INT4 => Value::Int4(number.try_into().ok()?),
        DataType::INT8 => Value::Int8(number),
        DataType::INT2 => Value::Int2(number.try_into().ok()?),
        DataType::DATE => Value::Date(number.try_into().ok()?),
        DataType::TIME => Value::Time(number),
        DataType::TIMESTAMP => Value::Timestamp(number),
        DataType::TIMESTAMPTZ => Value::TimestampTz(number),
        DataType::INTERNAL_CHAR => Value::Char(number.try_into().ok()?),
        ty if registry::is_oid_like(ty) => Value::Oid(number.try_into().ok()?),
        _ => return None,
    })
}

fn bytes(content: &[u8], ty: DataType) -> Option<Value> {
    Some(match ty {
        ty if registry::is_text_like(ty) => Value::text(std::str::from_utf8(content).ok()?),
        DataType::BYTEA => Value::Bytea(bytes::Bytes::copy_from_slice(content)),
        DataType::NUMERIC => Value::Numeric(Numeric::from_bytes(content)?),
        DataType::INTERVAL => {
            let mut input = content;
            let mut next = || take_varint(&mut input).map(unzigzag);
            let (months, days, micros) = (next()?, next()?, next()?);
            Value::Interval(Interval { months: months.try_into().ok()?, days: days.try_into().ok()?, micros })
        }
        ty => {
            let element = ty.element()?;
            let mut input = content;
            let mut values = Vec::new();
            while let Some((kind, rest)) = input.split_first() {
                input = rest;
                let content = take_content(&mut input, u64::from(*kind & 7))?;
                values.push(decode(u64::from(*kind & 7), content, element)?);
            }
            Value::Array(Box::new(Array { element, values }))
        }
    })
}

/// Appends a column.
pub(super) fn put(out: &mut Vec<u8>, id: u16, value: &Value) -> Result<()> {
    put_varint(out, u64::from(id) << 3 | kind_of(value)?);
    put_content(out, value)
}

fn kind_of(value: &Value) -> Result<u64> {
    Ok(match value {
        Value::Null => NULL,
        Value::Bool(false) => FALSE,
        Value::Bool(true) => TRUE,
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) | Value::Char(_) => NUMBER,
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) | Value::TimestampTz(_) => NUMBER,
        Value::Float4(_) => FOUR,
        Value::Float8(_) => EIGHT,
        Value::Uuid(_) => SIXTEEN,
        Value::Text(_) | Value::Bytea(_) | Value::Numeric(_) | Value::Interval(_) | Value::Array(_) => BYTES,
        Value::Record(_) => return Err(SqlError::unsupported("storing a value of type record")),
    })
}

fn put_content(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => {
            put_varint(out, zigzag(value.as_integer().unwrap_or_default()));
        }
        Value::Char(byte) => put_varint(out, zigzag(i64::from(*byte))),
        Value::Date(days) => put_varint(out, zigzag(i64::from(*days))),
        Value::Time(micros) | Value::Timestamp(micros) | Value::TimestampTz(micros) => put_varint(out, zigzag(*micros)),
        Value::Float4(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Float8(value) => out.extend_from_slice(&value.to_le_bytes()),
        Value::Uuid(bytes) => out.extend_from_slice(bytes),
        Value::Text(text) => put_bytes(out, text.as_bytes()),
        Value::Bytea(bytes) => put_bytes(out, bytes),
        Value::Numeric(value) => put_bytes(out, &value.to_bytes()),
        Value::Interval(value) => {
            let mut content = Vec::new();
            for part in [i64::from(value.months), i64::from(value.days), value.micros] {
                put_varint(&mut content, zigzag(part));
            }
            put_bytes(out, &content);
        }
        Value::Array(array) => {
            let mut content = Vec::new();
            for item in &array.values {
                content.push(kind_of(item)? as u8);
                put_content(&mut content, item)?;
            }
            put_bytes(out, &content);
        }
        Value::Record(_) => return Err(SqlError::unsupported("storing a value of type record")),
    }
    Ok(())
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
