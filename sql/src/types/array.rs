//! Arrays and records as text.

use super::{Array, DataType, FormatOptions, Value, decode_text, text::write_text};
use crate::error::{Result, SqlError, SqlState};

pub(super) fn write(array: &Array, ty: DataType, options: &FormatOptions, out: &mut String) {
    if matches!(ty, DataType::INT2VECTOR | DataType::OIDVECTOR) {
        for (index, value) in array.values.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            write_text(value, array.element, options, out);
        }
        return;
    }
    out.push('{');
    for (index, value) in array.values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if value.is_null() {
            out.push_str("NULL");
            continue;
        }
        let mut text = String::new();
        write_text(value, array.element, options, &mut text);
        if needs_quotes(&text) {
            out.push('"');
            for c in text.chars() {
                if c == '"' || c == '\\' {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    out.push('}');
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.contains(|c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace() || c == '\x0b')
}

/// `(1,"a b",)`.
pub(super) fn write_record(fields: &[Value], options: &FormatOptions, out: &mut String) {
    out.push('(');
    for (index, value) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if value.is_null() {
            continue;
        }
        let mut text = String::new();
        write_text(value, DataType::UNKNOWN, options, &mut text);
        let special = |c: char| matches!(c, '(' | ')' | ',' | '"' | '\\') || c.is_ascii_whitespace();
        if text.is_empty() || text.contains(special) {
            out.push('"');
            for c in text.chars() {
                if c == '"' || c == '\\' {
                    out.push(c);
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    out.push(')');
}

/// Reads `{1,NULL,"a b"}`. One dimension.
pub(super) fn parse(text: &str, element: DataType, typmod: i32, options: &FormatOptions) -> Result<Value> {
    let malformed = |detail: &str| {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{text}\""))
            .detail(detail)
    };
    let trimmed = text.trim();
    let Some(body) = trimmed.strip_prefix('{') else {
        if trimmed.starts_with('[') {
            return Err(SqlError::unsupported("an array with explicit bounds"));
        }
        return Err(malformed("Array value must start with \"{\" or dimension information."));
    };
    let mut values = Vec::new();
    let mut chars = body.chars().peekable();
    let mut expect_item = false;
    loop {
        skip_spaces(&mut chars);
        match chars.peek() {
            None => return Err(malformed("Unexpected end of input.")),
            Some('}') if !expect_item => {
                chars.next();
                break;
            }
            Some('}' | ',') => return Err(malformed("Unexpected \"}\" character.")),
            Some('{') => return Err(SqlError::unsupported("a multidimensional array")),
            Some(_) => {}
        }
        let (item, quoted) = take_item(&mut chars).ok_or_else(|| malformed("Unexpected end of input."))?;
        let value = if !quoted && item.eq_ignore_ascii_case("null") {
            Value::Null
        } else {
            decode_text(&item, element, typmod, options)?
        };
        values.push(value);
        skip_spaces(&mut chars);
        match chars.next() {
            Some(',') => expect_item = true,
            Some('}') => break,
            Some(c) => return Err(malformed(&format!("Unexpected \"{c}\" character."))),
            None => return Err(malformed("Unexpected end of input.")),
        }
    }
    if chars.any(|c| !c.is_ascii_whitespace()) {
        return Err(malformed("Junk after closing right brace."));
    }
    Ok(Value::Array(Box::new(Array { element, values })))
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_spaces(chars: &mut Chars<'_>) {
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
}

/// One item and whether it was quoted; `None` at the end of the text.
fn take_item(chars: &mut Chars<'_>) -> Option<(String, bool)> {
    let mut item = String::new();
    if chars.next_if_eq(&'"').is_some() {
        loop {
            match chars.next()? {
                '"' => return Some((item, true)),
                '\\' => item.push(chars.next()?),
                c => item.push(c),
            }
        }
    }
    let mut escaped = false;
    loop {
        match chars.peek()? {
            ',' | '}' | '{' | '"' => break,
            '\\' => {
                chars.next();
                item.push(chars.next()?);
                escaped = true;
            }
            _ => item.extend(chars.next()),
        }
    }
    Some((item.trim_end().to_owned(), escaped))
}

/// `int2vector` and `oidvector`: numbers between spaces.
pub(super) fn parse_vector(text: &str, ty: DataType, options: &FormatOptions) -> Result<Value> {
    let element = ty.element().unwrap_or(DataType::OID);
    let values: Result<Vec<Value>> =
        text.split_ascii_whitespace().map(|word| decode_text(word, element, -1, options)).collect();
    Ok(Value::Array(Box::new(Array { element, values: values? })))
}
