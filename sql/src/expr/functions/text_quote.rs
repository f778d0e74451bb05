//! Quoting, `format`, hashes and encodings.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Body, Call, Registry, define},
    types::{Value, text},
};

use super::text::output;

pub(super) fn register(registry: &mut Registry) {
    define!(registry, "quote_ident(text) text", |_, s: &str| quote_ident(s));
    define!(registry, "quote_literal(text) text", |_, s: &str| quote_literal(s));
    registry
        .add(
            "quote_literal(any) text",
            Body::One(|call, value| Ok(Value::text(quote_literal(&output(call, 0, value))))),
        )
        .stable();
    define!(registry, "quote_nullable(text) text", |_, s: Option<&str>| s.map_or("NULL".to_owned(), quote_literal))
        .null_aware();
    registry
        .add(
            "quote_nullable(any) text",
            Body::One(|call, value| {
                let quoted = if value.is_null() { "NULL".to_owned() } else { quote_literal(&output(call, 0, value)) };
                Ok(Value::text(quoted))
            }),
        )
        .null_aware()
        .stable();
    for signature in ["format(text) text", "format(text, variadic any) text"] {
        registry
            .add(
                signature,
                Body::Many(|call, values| match values.first() {
                    Some(Value::Text(template)) => format(call, template, &values[1..]).map(Value::text),
                    _ => Ok(Value::Null),
                }),
            )
            .null_aware()
            .stable();
    }
    bytes(registry);
}

/// Whether a word would be read as a keyword where a name stands.
fn is_reserved(name: &str) -> bool {
    const RESERVED: &[&str] = &[
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "between",
        "bigint",
        "binary",
        "bit",
        "boolean",
        "both",
        "case",
        "cast",
        "char",
        "character",
        "check",
        "coalesce",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "dec",
        "decimal",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "exists",
        "extract",
        "false",
        "fetch",
        "float",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "greatest",
        "group",
        "grouping",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "inout",
        "int",
        "integer",
        "intersect",
        "interval",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "least",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "national",
        "natural",
        "nchar",
        "none",
        "normalize",
        "not",
        "notnull",
        "null",
        "nullif",
        "numeric",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "out",
        "outer",
        "overlaps",
        "overlay",
        "placing",
        "position",
        "precision",
        "primary",
        "real",
        "references",
        "returning",
        "right",
        "row",
        "select",
        "session_user",
        "setof",
        "similar",
        "smallint",
        "some",
        "substring",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "time",
        "timestamp",
        "to",
        "trailing",
        "treat",
        "trim",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "values",
        "varchar",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "xmlattributes",
        "xmlconcat",
        "xmlelement",
        "xmlexists",
        "xmlforest",
        "xmlnamespaces",
        "xmlparse",
        "xmlpi",
        "xmlroot",
        "xmlserialize",
        "xmltable",
    ];
    RESERVED.binary_search(&name).is_ok()
}

/// A name as SQL must write it: quoted where it is not plain lower case, or a keyword.
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// A text as an SQL literal.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn format_error(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// One `%` directive.
struct Directive {
    position: Option<usize>,
    left: bool,
    width: Width,
    kind: char,
}

enum Width {
    None,
    Fixed(i32),
    /// From an argument: the next, or one by its position.
    Argument(Option<usize>),
}

fn format(call: &Call<'_>, template: &str, values: &[Value]) -> Result<String> {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let directive = directive(&mut chars)?;
        let mut take = |position: Option<usize>| -> Result<usize> {
            let index = position.unwrap_or(next + 1) - 1;
            next = index + 1;
            if index < values.len() { Ok(index) } else { Err(format_error("too few arguments for format()")) }
        };
        let (width, left) = match directive.width {
            Width::None => (0, directive.left),
            Width::Fixed(width) => (width.unsigned_abs() as usize, directive.left),
            Width::Argument(position) => {
                let width = values[take(position)?].as_integer().unwrap_or(0);
                (width.unsigned_abs() as usize, directive.left || width < 0)
            }
        };
        let index = take(directive.position)?;
        let value = &values[index];
        let text = match directive.kind {
            's' => output(call, index + 1, value),
            'I' if value.is_null() => {
                return Err(SqlError::new(
                    SqlState(NULL_NOT_ALLOWED),
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            'I' => quote_ident(&output(call, index + 1, value)),
            'L' if value.is_null() => "NULL".to_owned(),
            _ => quote_literal(&output(call, index + 1, value)),
        };
        let padding = width.saturating_sub(text.chars().count());
        if padding > 0x0fff_ffff {
            return Err(super::text::too_large());
        }
        if left {
            out.push_str(&text);
        }
        out.extend(std::iter::repeat_n(' ', padding));
        if !left {
            out.push_str(&text);
        }
    }
    Ok(out)
}

const NULL_NOT_ALLOWED: &str = "22004";

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `[position$][-][width]type`.
fn directive(chars: &mut Chars<'_>) -> Result<Directive> {
    let unterminated = || format_error("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".");
    let mut position = None;
    let mut width = Width::None;
    let mut first = number(chars)?;
    if first.is_some() && chars.next_if_eq(&'$').is_some() {
        position = first.take();
        if position == Some(0) {
            return Err(format_error("format specifies argument 0, but arguments are numbered from 1"));
        }
    }
    let mut left = false;
    while first.is_none() && chars.next_if_eq(&'-').is_some() {
        left = true;
    }
    if let Some(fixed) = first {
        width = Width::Fixed(fixed as i32);
    } else if chars.next_if_eq(&'*').is_some() {
        let from = number(chars)?;
        if from.is_some() && chars.next_if_eq(&'$').is_none() {
            return Err(format_error("width argument position must be ended by \"$\""));
        }
        width = Width::Argument(from);
    } else if let Some(fixed) = number(chars)? {
        width = Width::Fixed(fixed as i32);
    }
    match chars.next().ok_or_else(unterminated)? {
        kind @ ('s' | 'I' | 'L') => Ok(Directive { position, left, width, kind }),
        other => Err(format_error(format!("unrecognized format() type specifier \"{other}\""))
            .hint("For a single \"%\" use \"%%\".")),
    }
}

fn number(chars: &mut Chars<'_>) -> Result<Option<usize>> {
    let mut value: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        let grown = value.unwrap_or(0) * 10 + digit as usize;
        if grown > i32::MAX as usize {
            return Err(format_error("number is out of range"));
        }
        value = Some(grown);
    }
    Ok(value)
}

fn bytes(registry: &mut Registry) {
    define!(registry, "length(bytea) int4", |_, b: &[u8]| b.len() as i32);
    define!(registry, "octet_length(bytea) int4", |_, b: &[u8]| b.len() as i32);
    define!(registry, "bit_length(bytea) int4", |_, b: &[u8]| (b.len() as i64 * 8) as i32);
    define!(registry, "||(bytea, bytea) bytea", |_, a: &[u8], b: &[u8]| [a, b].concat());
    for name in ["substr", "substring"] {
        define!(registry, super::leak(format!("{name}(bytea, int4) bytea")), |_, b: &[u8], start: i32| {
            byte_slice(b, start, None)
        });
        define!(
            registry,
            super::leak(format!("{name}(bytea, int4, int4) bytea")),
            |_, b: &[u8], start: i32, n: i32| { byte_slice(b, start, Some(n)) }
        );
    }
    define!(registry, "get_byte(bytea, int4) int4", |_, b: &[u8], at: i32| {
        usize::try_from(at).ok().and_then(|at| b.get(at)).map(|byte| i32::from(*byte)).ok_or_else(|| {
            SqlError::new(SqlState("2202E"), format!("index {at} out of valid range, 0..{}", b.len() as i64 - 1))
        })
    });
    define!(
        registry,
        "encode(bytea, text) text",
        |_, b: &[u8], format: &str| match format.to_ascii_lowercase().as_str() {
            "hex" => Ok(b.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
            "base64" => Ok(base64(b)),
            "escape" => Ok(b
                .iter()
                .map(|byte| match byte {
                    b'\\' => "\\\\".to_owned(),
                    0 | 0x80.. => format!("\\{byte:03o}"),
                    other => char::from(*other).to_string(),
                })
                .collect()),
            _ => Err(format_error(format!("unrecognized encoding: \"{format}\""))),
        }
    );
    define!(
        registry,
        "decode(text, text) bytea",
        |_, s: &str, format: &str| match format.to_ascii_lowercase().as_str() {
            "hex" => text::parse_hex(s),
            "base64" => unbase64(s),
            "escape" => text::parse_escaped(s),
            _ => Err(format_error(format!("unrecognized encoding: \"{format}\""))),
        }
    );
    define!(registry, "convert_from(bytea, name) text", |_, b: &[u8], _encoding: &str| {
        text::check_utf8(b).map(str::to_owned)
    });
    define!(registry, "convert_to(text, name) bytea", |_, s: &str, _encoding: &str| s.as_bytes().to_vec());
    define!(registry, "md5(text) text", |_, s: &str| super::md5::hex(s.as_bytes()));
    define!(registry, "md5(bytea) text", |_, b: &[u8]| super::md5::hex(b));
}

fn byte_slice(bytes: &[u8], start: i32, count: Option<i32>) -> Result<Vec<u8>> {
    if count.is_some_and(|count| count < 0) {
        return Err(SqlError::new(SqlState(super::text::SUBSTRING_ERROR), "negative substring length not allowed"));
    }
    let from = i64::from(start) - 1;
    let to = count.map_or(i64::MAX, |count| from + i64::from(count)).clamp(0, bytes.len() as i64) as usize;
    let from = (from.max(0) as usize).min(to);
    Ok(bytes[from..to].to_vec())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With a line break after each 76 characters, as PostgreSQL has it.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (index, chunk) in bytes.chunks(3).enumerate() {
        if index > 0 && index % 19 == 0 {
            out.push('\n');
        }
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let symbol = ALPHABET[(group >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= chunk.len() { char::from(symbol) } else { '=' });
        }
    }
    out
}

fn unbase64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let (mut group, mut count, mut padding) = (0u32, 0, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match ALPHABET.iter().position(|symbol| *symbol == byte) {
            Some(value) if padding == 0 => value as u32,
            None if byte == b'=' && count >= 2 => {
                padding += 1;
                0
            }
            None if byte == b'=' => return Err(format_error("unexpected \"=\" while decoding base64 sequence")),
            _ => {
                let shown = char::from(byte);
                return Err(format_error(format!("invalid symbol \"{shown}\" found while decoding base64 sequence")));
            }
        };
        group = group << 6 | value;
        count += 1;
        if count == 4 {
            out.extend_from_slice(&group.to_be_bytes()[1..4 - padding]);
            (group, count) = (0, 0);
        }
    }
    if count != 0 {
        return Err(format_error("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}
