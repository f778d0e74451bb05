//! Names of types with their modifiers: reading (`character varying(20)[]`) and writing (`format_type`).

use super::{DataType, registry};
use crate::error::{Result, SqlError, SqlState};

/// Reads a type's name as SQL writes it, with an optional modifier and array brackets. 42704 when there is none.
pub fn parse_type_name(text: &str) -> Result<(DataType, i32)> {
    let unknown = || SqlError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{}\" does not exist", text.trim()));
    let mut rest = text.trim();
    let mut dimensions = 0;
    while let Some(inner) = rest.strip_suffix(']') {
        let open = inner.rfind('[').ok_or_else(unknown)?;
        rest = inner[..open].trim_end();
        dimensions += 1;
    }
    if let Some(word) = rest.to_ascii_lowercase().strip_suffix(" array") {
        rest = &rest[..word.len()];
        dimensions += 1;
    }
    let (name, arguments) = split_arguments(rest).ok_or_else(unknown)?;
    let (ty, default_typmod) = by_sql_name(&name).ok_or_else(unknown)?;
    let typmod = if arguments.is_empty() { default_typmod } else { type_modifier(ty, &arguments)? };
    if dimensions == 0 {
        return Ok((ty, typmod));
    }
    Ok((ty.array().ok_or_else(unknown)?, typmod))
}

/// `timestamp(3) with time zone` → (`timestamp with time zone`, [3]).
fn split_arguments(text: &str) -> Option<(String, Vec<i32>)> {
    let Some(open) = text.find('(') else { return Some((text.to_owned(), Vec::new())) };
    let close = text[open..].find(')')? + open;
    let arguments: Option<Vec<i32>> = text[open + 1..close].split(',').map(|part| part.trim().parse().ok()).collect();
    let name = format!("{} {}", text[..open].trim_end(), text[close + 1..].trim_start());
    Some((name.trim().to_owned(), arguments?))
}

fn by_sql_name(name: &str) -> Option<(DataType, i32)> {
    if let Some(quoted) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return registry::by_name(quoted).map(|info| (info.oid, -1));
    }
    let lower = name.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let lower = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    let lower = lower.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(lower);
    let ty = match lower {
        "boolean" | "bool" => DataType::BOOL,
        "smallint" | "int2" => DataType::INT2,
        "integer" | "int" | "int4" => DataType::INT4,
        "bigint" | "int8" => DataType::INT8,
        "real" | "float4" => DataType::FLOAT4,
        "double precision" | "float8" | "float" => DataType::FLOAT8,
        "decimal" | "dec" | "numeric" => DataType::NUMERIC,
        "character varying" | "char varying" | "varchar" | "national character varying" | "nchar varying" => {
            DataType::VARCHAR
        }
        // Without a length, CHAR is one character long.
        "character" | "char" | "nchar" | "national character" | "national char" => return Some((DataType::BPCHAR, 5)),
        "time" | "time without time zone" => DataType::TIME,
        "timestamp" | "timestamp without time zone" => DataType::TIMESTAMP,
        "timestamptz" | "timestamp with time zone" => DataType::TIMESTAMPTZ,
        "any" => DataType::ANY,
        lower => {
            if lower == "interval" || lower.starts_with("interval ") {
                return Some((DataType::INTERVAL, interval_fields(lower.strip_prefix("interval")?)?));
            }
            return registry::by_name(lower).map(|info| (info.oid, -1));
        }
    };
    Some((ty, -1))
}

const FULL_PRECISION: i32 = 0xffff;

/// The modifier of `interval day to second` and the like: a mask of fields.
fn interval_fields(fields: &str) -> Option<i32> {
    let mask = |fields: &[u32]| fields.iter().fold(0, |mask, bit| mask | (1 << bit));
    let (year, month, day, hour, minute, second) = (2, 1, 3, 10, 11, 12);
    let mask = match fields.trim() {
        "" => return Some(-1),
        "year" => mask(&[year]),
        "month" => mask(&[month]),
        "day" => mask(&[day]),
        "hour" => mask(&[hour]),
        "minute" => mask(&[minute]),
        "second" => mask(&[second]),
        "year to month" => mask(&[year, month]),
        "day to hour" => mask(&[day, hour]),
        "day to minute" => mask(&[day, hour, minute]),
        "day to second" => mask(&[day, hour, minute, second]),
        "hour to minute" => mask(&[hour, minute]),
        "hour to second" => mask(&[hour, minute, second]),
        "minute to second" => mask(&[minute, second]),
        _ => return None,
    };
    Some((mask << 16) | FULL_PRECISION)
}

/// The `typmod` of a type's arguments, as `varchar(20)` or `numeric(10,2)`.
pub fn type_modifier(ty: DataType, arguments: &[i32]) -> Result<i32> {
    let invalid = |message: String| Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match (ty, arguments) {
        (DataType::VARCHAR | DataType::BPCHAR, [length]) => {
            let name = if ty == DataType::VARCHAR { "varchar" } else { "char" };
            if *length < 1 {
                return invalid(format!("length for type {name} must be at least 1"));
            }
            if *length > 10_485_760 {
                return invalid(format!("length for type {name} cannot exceed 10485760"));
            }
            Ok(length + 4)
        }
        (DataType::NUMERIC, [precision]) => numeric_modifier(*precision, 0),
        (DataType::NUMERIC, [precision, scale]) => numeric_modifier(*precision, *scale),
        (DataType::TIME | DataType::TIMESTAMP | DataType::TIMESTAMPTZ, [precision]) => {
            if *precision < 0 {
                return invalid(format!("{ty}({precision}) precision must not be negative"));
            }
            Ok((*precision).min(6))
        }
        (DataType::INTERVAL, [precision]) => Ok((0x7fff << 16) | (*precision).clamp(0, 6)),
        // FLOAT(n) chooses the type by n; both have no modifier.
        (DataType::FLOAT8, [_]) => Ok(-1),
        _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("type modifier is not allowed for type \"{ty}\""))),
    }
}

fn numeric_modifier(precision: i32, scale: i32) -> Result<i32> {
    let invalid = |message: String| Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if !(1..=1000).contains(&precision) {
        return invalid(format!("NUMERIC precision {precision} must be between 1 and 1000"));
    }
    if !(-1000..=1000).contains(&scale) {
        return invalid(format!("NUMERIC scale {scale} must be between -1000 and 1000"));
    }
    Ok(((precision << 16) | (scale & 0x7ff)) + 4)
}

/// Precision and scale of a NUMERIC modifier.
pub fn numeric_precision(typmod: i32) -> Option<(i32, i32)> {
    (typmod >= 4).then(|| {
        let packed = typmod - 4;
        ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
    })
}

/// The length of a VARCHAR or CHAR modifier.
pub fn character_length(typmod: i32) -> Option<usize> {
    (typmod >= 4).then_some((typmod - 4) as usize)
}

/// As PostgreSQL's `format_type`; a `typmod` of -1 adds nothing.
pub fn format_type(ty: DataType, typmod: i32) -> String {
    let Some(info) = registry::get(ty) else { return "???".to_owned() };
    if let Some(element) = info.element
        && !matches!(ty, DataType::INT2VECTOR | DataType::OIDVECTOR)
    {
        return format!("{}[]", format_type(element, typmod));
    }
    if typmod < 0 {
        return info.sql_name.to_owned();
    }
    match ty {
        DataType::VARCHAR | DataType::BPCHAR => match character_length(typmod) {
            Some(length) => format!("{}({length})", info.sql_name),
            None => info.sql_name.to_owned(),
        },
        DataType::NUMERIC => match numeric_precision(typmod) {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => info.sql_name.to_owned(),
        },
        DataType::TIME => format!("time({typmod}) without time zone"),
        DataType::TIMESTAMP => format!("timestamp({typmod}) without time zone"),
        DataType::TIMESTAMPTZ => format!("timestamp({typmod}) with time zone"),
        DataType::INTERVAL => format_interval_type(typmod),
        _ => info.sql_name.to_owned(),
    }
}

fn format_interval_type(typmod: i32) -> String {
    let precision = typmod & 0xffff;
    let mask = (typmod >> 16) & 0x7fff;
    const NAMES: [&str; 13] = [
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "year to month",
        "day to hour",
        "day to minute",
        "day to second",
        "hour to minute",
        "hour to second",
        "minute to second",
    ];
    let named = NAMES.iter().find(|name| interval_fields(name) == Some((mask << 16) | FULL_PRECISION));
    let mut text = "interval".to_owned();
    if let Some(name) = named {
        text.push(' ');
        text.push_str(name);
    }
    if precision != FULL_PRECISION {
        text.push_str(&format!("({precision})"));
    }
    text
}
