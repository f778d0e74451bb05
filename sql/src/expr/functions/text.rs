//! Functions on text. Positions and lengths count characters.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Body, Call, Registry, define},
    types::{Value, to_text},
};

/// PostgreSQL's limit of one value.
const TEXT_BYTES_MAX: usize = 0x3fff_ffff;

pub(super) fn register(registry: &mut Registry) {
    lengths(registry);
    cases(registry);
    parts(registry);
    trims(registry);
    building(registry);
    concatenation(registry);
    super::text_quote::register(registry);
}

pub(super) fn too_large() -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

fn lengths(registry: &mut Registry) {
    for name in ["length", "char_length", "character_length"] {
        define!(registry, super::leak(format!("{name}(text) int4")), |_, s: &str| s.chars().count() as i32);
        define!(registry, super::leak(format!("{name}(bpchar) int4")), |_, s: &str| {
            s.trim_end_matches(' ').chars().count() as i32
        });
    }
    define!(registry, "octet_length(text) int4", |_, s: &str| s.len() as i32);
    define!(registry, "octet_length(bpchar) int4", |_, s: &str| s.len() as i32);
    define!(registry, "bit_length(text) int4", |_, s: &str| (s.len() as i64 * 8) as i32);
}

fn cases(registry: &mut Registry) {
    define!(registry, "lower(text) text", |_, s: &str| s.to_lowercase());
    define!(registry, "upper(text) text", |_, s: &str| {
        // Character by character: a sharp s stays, as the C library leaves it.
        s.chars().map(|c| one(c.to_uppercase(), c)).collect::<String>()
    });
    define!(registry, "initcap(text) text", |_, s: &str| {
        let mut inside = false;
        s.chars()
            .map(|c| {
                let mapped = if inside { one(c.to_lowercase(), c) } else { one(c.to_uppercase(), c) };
                inside = c.is_alphanumeric();
                mapped
            })
            .collect::<String>()
    });
    define!(registry, "ascii(text) int4", |_, s: &str| s.chars().next().map_or(0, |c| c as i32));
    define!(registry, "chr(int4) text", |_, code: i32| {
        let fail = |message: String| Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        match u32::try_from(code).ok().and_then(char::from_u32) {
            Some('\0') => fail("null character not permitted".to_owned()),
            Some(c) => Ok(c.to_string()),
            None if code < 0 => {
                Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "character number must be positive"))
            }
            None if code > 0x10_ffff => fail(format!("requested character too large for encoding: {code}")),
            None => fail(format!("requested character not valid for encoding: {code}")),
        }
    });
}

/// The mapping of a character, where it is one character.
fn one(mut mapped: impl ExactSizeIterator<Item = char>, original: char) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(c)) => c,
        _ => original,
    }
}

/// The part of a text between two character positions (from 0, end exclusive).
pub(super) fn slice(text: &str, from: usize, to: usize) -> &str {
    let start = text.char_indices().nth(from).map_or(text.len(), |(at, _)| at);
    let rest = &text[start..];
    let end = rest.char_indices().nth(to.saturating_sub(from)).map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

/// `substring(text from start for count)`: positions before the text count too.
pub(super) fn substring(text: &str, start: i32, count: Option<i32>) -> Result<&str> {
    let from = i64::from(start) - 1;
    let to = match count {
        Some(count) if count < 0 => {
            return Err(SqlError::new(SqlState(SUBSTRING_ERROR), "negative substring length not allowed"));
        }
        Some(count) => from + i64::from(count),
        None => i64::MAX,
    };
    if to <= 0 {
        return Ok("");
    }
    Ok(slice(text, from.max(0) as usize, to as usize))
}

pub(super) const SUBSTRING_ERROR: &str = "22011";

fn parts(registry: &mut Registry) {
    for name in ["substr", "substring"] {
        define!(registry, super::leak(format!("{name}(text, int4) text")), |_, s: &str, start: i32| {
            substring(s, start, None).map(str::to_owned)
        });
        define!(
            registry,
            super::leak(format!("{name}(text, int4, int4) text")),
            |_, s: &str, start: i32, count: i32| { substring(s, start, Some(count)).map(str::to_owned) }
        );
    }
    define!(registry, "left(text, int4) text", |_, s: &str, n: i32| {
        let count = if n < 0 { s.chars().count().saturating_sub(n.unsigned_abs() as usize) } else { n as usize };
        slice(s, 0, count)
    });
    define!(registry, "right(text, int4) text", |_, s: &str, n: i32| {
        let length = s.chars().count();
        let skip = if n < 0 { n.unsigned_abs() as usize } else { length.saturating_sub(n as usize) };
        slice(s, skip, length.max(skip))
    });
    for name in ["strpos", "position"] {
        define!(registry, super::leak(format!("{name}(text, text) int4")), |_, s: &str, part: &str| position(s, part));
    }
    define!(registry, "split_part(text, text, int4) text", |_, s: &str, delimiter: &str, n: i32| {
        split_part(s, delimiter, n)
    });
    define!(registry, "starts_with(text, text) bool", |_, s: &str, prefix: &str| s.starts_with(prefix));
    define!(registry, "^@(text, text) bool", |_, s: &str, prefix: &str| s.starts_with(prefix));
    define!(registry, "overlay(text, text, int4) text", |_, s: &str, with: &str, from: i32| {
        overlay(s, with, from, with.chars().count() as i32)
    });
    registry.add(
        "overlay(text, text, int4, int4) text",
        Body::Many(|_, args| match args {
            [Value::Text(s), Value::Text(with), Value::Int4(from), Value::Int4(count)] => {
                overlay(s, with, *from, *count).map(Value::text)
            }
            _ => Ok(Value::Null),
        }),
    );
    define!(registry, "replace(text, text, text) text", |_, s: &str, from: &str, to: &str| {
        if from.is_empty() { s.to_owned() } else { s.replace(from, to) }
    });
    define!(registry, "translate(text, text, text) text", |_, s: &str, from: &str, to: &str| {
        let to: Vec<char> = to.chars().collect();
        s.chars()
            .filter_map(|c| match from.chars().position(|known| known == c) {
                Some(at) => to.get(at).copied(),
                None => Some(c),
            })
            .collect::<String>()
    });
    define!(registry, "reverse(text) text", |_, s: &str| s.chars().rev().collect::<String>());
}

fn position(text: &str, part: &str) -> i32 {
    text.find(part).map_or(0, |at| text[..at].chars().count() as i32 + 1)
}

fn split_part(text: &str, delimiter: &str, n: i32) -> Result<String> {
    if n == 0 {
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "field position must not be zero"));
    }
    if delimiter.is_empty() {
        return Ok(if n == 1 || n == -1 { text.to_owned() } else { String::new() });
    }
    let index = n.unsigned_abs() as usize - 1;
    let found = if n > 0 { text.split(delimiter).nth(index) } else { text.rsplit(delimiter).nth(index) };
    Ok(found.unwrap_or("").to_owned())
}

fn overlay(text: &str, with: &str, from: i32, count: i32) -> Result<String> {
    if from <= 0 {
        return Err(SqlError::new(SqlState(SUBSTRING_ERROR), "negative substring length not allowed"));
    }
    let next = from.checked_add(count).ok_or_else(|| super::arithmetic::out_of_range("integer"))?;
    Ok(format!("{}{with}{}", substring(text, 1, Some(from - 1))?, substring(text, next, None)?))
}

fn trims(registry: &mut Registry) {
    for (name, start, end) in [("btrim", true, true), ("ltrim", true, false), ("rtrim", false, true)] {
        // The closures must not capture: the sides are told by the registered variant.
        let (one, two): (Body, Body) = match (start, end) {
            (true, true) => (
                Body::One(|_, s| Ok(trim(s, &Value::text(" "), true, true))),
                Body::Two(|_, s, set| Ok(trim(s, set, true, true))),
            ),
            (true, false) => (
                Body::One(|_, s| Ok(trim(s, &Value::text(" "), true, false))),
                Body::Two(|_, s, set| Ok(trim(s, set, true, false))),
            ),
            _ => (
                Body::One(|_, s| Ok(trim(s, &Value::text(" "), false, true))),
                Body::Two(|_, s, set| Ok(trim(s, set, false, true))),
            ),
        };
        registry.add(super::leak(format!("{name}(text) text")), one);
        registry.add(super::leak(format!("{name}(text, text) text")), two);
    }
}

fn trim(text: &Value, set: &Value, start: bool, end: bool) -> Value {
    let (Value::Text(text), Value::Text(set)) = (text, set) else { return Value::Null };
    let inside = |c: char| set.contains(c);
    let mut rest: &str = text;
    if start {
        rest = rest.trim_start_matches(inside);
    }
    if end {
        rest = rest.trim_end_matches(inside);
    }
    Value::text(rest)
}

fn building(registry: &mut Registry) {
    define!(registry, "repeat(text, int4) text", |_, s: &str, count: i32| {
        let count = count.max(0) as usize;
        if s.len().saturating_mul(count) > TEXT_BYTES_MAX {
            return Err(too_large());
        }
        Ok(s.repeat(count))
    });
    define!(registry, "lpad(text, int4) text", |_, s: &str, length: i32| pad(s, length, " ", true));
    define!(registry, "rpad(text, int4) text", |_, s: &str, length: i32| pad(s, length, " ", false));
    define!(registry, "lpad(text, int4, text) text", |_, s: &str, length: i32, fill: &str| pad(s, length, fill, true));
    define!(registry, "rpad(text, int4, text) text", |_, s: &str, length: i32, fill: &str| pad(s, length, fill, false));
    define!(registry, "to_hex(int4) text", |_, n: i32| format!("{n:x}"));
    define!(registry, "to_hex(int8) text", |_, n: i64| format!("{n:x}"));
}

fn pad(text: &str, length: i32, fill: &str, left: bool) -> Result<String> {
    let wanted = length.max(0) as usize;
    if wanted.saturating_mul(4) > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let have = text.chars().count();
    if have >= wanted || fill.is_empty() {
        return Ok(slice(text, 0, wanted).to_owned());
    }
    let padding: String = fill.chars().cycle().take(wanted - have).collect();
    Ok(if left { format!("{padding}{text}") } else { format!("{text}{padding}") })
}

fn concatenation(registry: &mut Registry) {
    define!(registry, "||(text, text) text", |_, a: &str, b: &str| [a, b].concat());
    // Anything next to text is written as text.
    registry.add("||(text, anynonarray) text", Body::Two(join_as_text)).stable();
    registry.add("||(anynonarray, text) text", Body::Two(join_as_text)).stable();
    registry
        .add("concat(variadic any) text", Body::Many(|call, values| Ok(Value::text(concat(call, values, "", 0)))))
        .null_aware()
        .stable();
    registry
        .add(
            "concat_ws(text, variadic any) text",
            Body::Many(|call, values| match values.first() {
                Some(Value::Text(separator)) => Ok(Value::text(concat(call, &values[1..], separator, 1))),
                _ => Ok(Value::Null),
            }),
        )
        .null_aware()
        .stable();
}

fn join_as_text(call: &Call<'_>, a: &Value, b: &Value) -> Result<Value> {
    let mut text = cast_to_text(call, 0, a);
    text.push_str(&cast_to_text(call, 1, b));
    Ok(Value::text(text))
}

/// As a cast makes it, which differs from output for booleans only.
fn cast_to_text(call: &Call<'_>, index: usize, value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        other => output(call, index, other),
    }
}

/// The text of an argument, as its type's output function makes it.
pub(super) fn output(call: &Call<'_>, index: usize, value: &Value) -> String {
    to_text(value, call.arg_type(index), call.context.format())
}

fn concat(call: &Call<'_>, values: &[Value], separator: &str, first: usize) -> String {
    let mut text = String::new();
    let mut empty = true;
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        if !empty {
            text.push_str(separator);
        }
        text.push_str(&output(call, first + index, value));
        empty = false;
    }
    text
}
