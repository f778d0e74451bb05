//! Text input and output of every type, exactly PostgreSQL's.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

use super::{
    DataType, FormatOptions, Numeric, Value, array, datetime, float, format_type, interval, parse_type_name, registry,
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::cast::apply_typmod,
};

/// Appends the text form of a value that is not NULL (of NULL: nothing).
pub fn encode_text(value: &Value, ty: DataType, options: &FormatOptions, out: &mut BytesMut) {
    match value {
        Value::Text(text) => out.put_slice(text.as_bytes()),
        Value::Int2(value) => write_integer(i64::from(*value), out),
        Value::Int4(value) => write_integer(i64::from(*value), out),
        Value::Int8(value) => write_integer(*value, out),
        Value::Bool(value) => out.put_u8(if *value { b't' } else { b'f' }),
        // Any byte, even one that is no UTF-8 by itself, goes out as it is.
        Value::Char(byte) => {
            if *byte != 0 {
                out.put_u8(*byte);
            }
        }
        other => {
            let mut text = String::new();
            write_text(other, ty, options, &mut text);
            out.put_slice(text.as_bytes());
        }
    }
}

fn write_integer(value: i64, out: &mut BytesMut) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
}

/// The text form of a value; empty for NULL.
pub fn to_text(value: &Value, ty: DataType, options: &FormatOptions) -> String {
    let mut text = String::new();
    write_text(value, ty, options, &mut text);
    text
}

/// Appends the text form of a value.
pub fn write_text(value: &Value, ty: DataType, options: &FormatOptions, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Null => Ok(()),
        Value::Bool(value) => out.write_str(if *value { "t" } else { "f" }),
        Value::Int2(value) => write!(out, "{value}"),
        Value::Int4(value) => write!(out, "{value}"),
        Value::Int8(value) => write!(out, "{value}"),
        Value::Float4(value) => {
            float::write_f32(*value, options.extra_float_digits, out);
            Ok(())
        }
        Value::Float8(value) => {
            float::write_f64(*value, options.extra_float_digits, out);
            Ok(())
        }
        Value::Numeric(value) => {
            value.write(out);
            Ok(())
        }
        Value::Text(text) => out.write_str(text),
        Value::Bytea(bytes) => {
            write_bytea(bytes, options.bytea_escape, out);
            Ok(())
        }
        Value::Date(days) => {
            datetime::write_date(*days, options, out);
            Ok(())
        }
        Value::Time(micros) => {
            datetime::write_time(*micros, out);
            Ok(())
        }
        Value::Timestamp(micros) => {
            datetime::write_timestamp(*micros, options, out);
            Ok(())
        }
        Value::TimestampTz(micros) => {
            datetime::write_timestamptz(*micros, options, out);
            Ok(())
        }
        Value::Interval(value) => {
            interval::write(value, options, out);
            Ok(())
        }
        Value::Uuid(bytes) => write!(out, "{}", uuid::Uuid::from_bytes(*bytes).hyphenated()),
        Value::Oid(oid) => {
            write_oid(*oid, ty, options, out);
            Ok(())
        }
        Value::Char(byte) => {
            if byte.is_ascii() && *byte != 0 {
                out.push(char::from(*byte));
            } else if *byte != 0 {
                let _ = write!(out, "\\{byte:03o}");
            }
            Ok(())
        }
        Value::Array(array) => {
            array::write(array, ty, options, out);
            Ok(())
        }
        Value::Record(fields) => {
            array::write_record(fields, options, out);
            Ok(())
        }
    };
}

fn write_bytea(bytes: &[u8], escape: bool, out: &mut String) {
    if !escape {
        out.push_str("\\x");
        for byte in bytes {
            let _ = write!(out, "{byte:02x}");
        }
        return;
    }
    for byte in bytes {
        let _ = match byte {
            b'\\' => out.write_str("\\\\"),
            0x20..=0x7e => out.write_char(char::from(*byte)),
            other => write!(out, "\\{other:03o}"),
        };
    }
}

fn write_oid(oid: u32, ty: DataType, options: &FormatOptions, out: &mut String) {
    if ty == DataType::REGTYPE {
        match registry::get(DataType(oid)) {
            Some(_) => return out.push_str(&format_type(DataType(oid), -1)),
            None if oid == 0 => return out.push('-'),
            None => {}
        }
    } else if ty != DataType::OID && registry::is_oid_like(ty) {
        if oid == 0 {
            return out.push('-');
        }
        if let Some(name) = options.catalog.as_ref().and_then(|catalog| catalog.object_name(ty, oid)) {
            return out.push_str(&name);
        }
    }
    let _ = write!(out, "{oid}");
}

/// Reads a value as PostgreSQL's input function of the type does. `typmod` is applied as by an assignment.
pub fn decode_text(text: &str, ty: DataType, typmod: i32, options: &FormatOptions) -> Result<Value> {
    let value = match ty {
        DataType::BOOL => Value::Bool(parse_bool(text)?),
        DataType::INT2 => {
            let value = parse_integer(text, "smallint")?;
            Value::Int2(i16::try_from(value).map_err(|_| out_of_range(text, "smallint"))?)
        }
        DataType::INT4 => {
            let value = parse_integer(text, "integer")?;
            Value::Int4(i32::try_from(value).map_err(|_| out_of_range(text, "integer"))?)
        }
        DataType::INT8 => Value::Int8(parse_integer(text, "bigint")?),
        DataType::FLOAT4 => Value::Float4(float::parse_f32(text)?),
        DataType::FLOAT8 => Value::Float8(float::parse_f64(text)?),
        DataType::NUMERIC => Value::Numeric(Numeric::parse(text)?),
        DataType::TEXT | DataType::VARCHAR | DataType::BPCHAR | DataType::UNKNOWN => Value::text(text),
        DataType::NAME => Value::text(truncate_name(text)),
        DataType::JSON => parse_json(text)?,
        DataType::INTERNAL_CHAR => Value::Char(text.as_bytes().first().copied().unwrap_or(0)),
        DataType::BYTEA => Value::Bytea(parse_bytea(text)?.into()),
        DataType::DATE => Value::Date(datetime::parse_date(text, options)?),
        DataType::TIME => Value::Time(datetime::parse_time(text, options)?),
        DataType::TIMESTAMP => Value::Timestamp(datetime::parse_timestamp(text, options)?),
        DataType::TIMESTAMPTZ => Value::TimestampTz(datetime::parse_timestamptz(text, options)?),
        DataType::INTERVAL => Value::Interval(interval::parse(text)?),
        DataType::UUID => Value::Uuid(parse_uuid(text)?),
        DataType::OID => Value::Oid(parse_oid(text, "oid")?),
        DataType::VOID => Value::text(""),
        ty if registry::is_oid_like(ty) => Value::Oid(parse_object_id(text, ty, options)?),
        DataType::INT2VECTOR | DataType::OIDVECTOR => array::parse_vector(text, ty, options)?,
        ty => match ty.element() {
            Some(element) => array::parse(text, element, typmod, options)?,
            None => return Err(SqlError::unsupported(format!("input of type {ty}"))),
        },
    };
    if typmod < 0 || ty.is_array() { Ok(value) } else { apply_typmod(value, ty, typmod, false) }
}

pub(crate) fn invalid_input(ty: &str, text: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid input syntax for type {ty}: \"{text}\""))
}

fn out_of_range(text: &str, ty: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value \"{text}\" is out of range for type {ty}"))
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\x0b'
}

fn parse_integer(text: &str, ty: &str) -> Result<i64> {
    let trimmed = text.trim_matches(is_space);
    if let Ok(value) = trimmed.parse::<i64>() {
        return Ok(value);
    }
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(out_of_range(text, ty));
    }
    Err(invalid_input(ty, text))
}

pub(crate) fn parse_bool(text: &str) -> Result<bool> {
    let word = text.trim_matches(is_space).to_ascii_lowercase();
    let prefix_of = |full: &str| !word.is_empty() && full.starts_with(&word);
    match word.as_str() {
        "1" | "on" => Ok(true),
        "0" | "of" | "off" => Ok(false),
        _ if prefix_of("true") || prefix_of("yes") => Ok(true),
        _ if prefix_of("false") || prefix_of("no") => Ok(false),
        _ => Err(invalid_input("boolean", text)),
    }
}

/// Names have at most 63 bytes; what is longer is cut at a character's boundary.
pub(crate) fn truncate_name(text: &str) -> &str {
    let mut end = text.len().min(63);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn parse_json(text: &str) -> Result<Value> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(Value::text(text)),
        Err(error) => Err(SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .detail(error.to_string())),
    }
}

pub(crate) fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex),
        None => parse_escaped(text),
    }
}

pub(crate) fn parse_hex(hex: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut high: Option<u8> = None;
    for c in hex.chars() {
        if high.is_none() && is_space(c) {
            continue;
        }
        let digit = c.to_digit(16).ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")))? as u8;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(invalid("invalid hexadecimal data: odd number of digits".to_owned())),
    }
}

pub(crate) fn parse_escaped(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at..] {
            [b'\\', b'\\', ..] => {
                out.push(b'\\');
                at += 2;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                at += 4;
            }
            [b'\\', ..] => {
                return Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            [byte, ..] => {
                out.push(byte);
                at += 1;
            }
            [] => break,
        }
    }
    Ok(out)
}

fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let invalid = || invalid_input("uuid", text);
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(invalid)?,
        None => text,
    };
    let mut bytes = [0u8; 16];
    let mut digits = 0;
    let mut previous_hyphen = true;
    for c in inner.chars() {
        if c == '-' {
            // A hyphen may follow any group of four digits.
            if previous_hyphen || digits % 4 != 0 || digits == 32 {
                return Err(invalid());
            }
            previous_hyphen = true;
            continue;
        }
        previous_hyphen = false;
        let digit = c.to_digit(16).ok_or_else(invalid)? as u8;
        let slot = bytes.get_mut(digits / 2).ok_or_else(invalid)?;
        *slot = *slot << 4 | digit;
        digits += 1;
    }
    if digits == 32 { Ok(bytes) } else { Err(invalid()) }
}

fn parse_oid(text: &str, ty: &str) -> Result<u32> {
    let trimmed = text.trim_matches(is_space);
    if let Ok(value) = trimmed.parse::<u32>() {
        return Ok(value);
    }
    match trimmed.parse::<i64>() {
        // Negative numbers wrap, as PostgreSQL allows for compatibility.
        Ok(value) => i32::try_from(value).map(|value| value as u32).map_err(|_| out_of_range(text, ty)),
        Err(_) => Err(invalid_input(ty, text)),
    }
}

/// A number, `-`, or a name that the catalog knows.
fn parse_object_id(text: &str, ty: DataType, options: &FormatOptions) -> Result<u32> {
    if text == "-" {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_oid(text, "oid");
    }
    if ty == DataType::REGTYPE {
        return parse_type_name(text).map(|(ty, _)| ty.0);
    }
    let session = options.session.clone().unwrap_or_default();
    if let Some(oid) = options.catalog.as_ref().and_then(|catalog| catalog.object_id(ty, text, &session)) {
        return Ok(oid);
    }
    let (state, message) = match ty {
        DataType::REGCLASS => (SqlState::UNDEFINED_TABLE, format!("relation \"{text}\" does not exist")),
        DataType::REGPROC => (SqlState::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist")),
        DataType::REGNAMESPACE => (SqlState::INVALID_SCHEMA_NAME, format!("schema \"{text}\" does not exist")),
        _ => (SqlState::UNDEFINED_OBJECT, format!("role \"{text}\" does not exist")),
    };
    Err(SqlError::new(state, message))
}

/// Checks bytes from outside: valid UTF-8 without NUL. 22021.
pub fn check_utf8(bytes: &[u8]) -> Result<&str> {
    let invalid = |bytes: &[u8]| {
        let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
        SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.contains(&0) => {
            debug_assert!(text.contains('\0'));
            Err(invalid(&[0]))
        }
        Ok(text) => Ok(text),
        Err(error) => {
            let start = error.valid_up_to();
            // As many bytes as the first one announces, as PostgreSQL shows them.
            let announced = match bytes[start] {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf7 => 4,
                _ => 1,
            };
            Err(invalid(&bytes[start..(start + announced).min(bytes.len())]))
        }
    }
}
