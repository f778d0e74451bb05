//! Floating point: shortest text that reads back the same (as PostgreSQL prints it), input with its range checks, total
//! order.

use std::{cmp::Ordering, fmt::Write as _};

use crate::error::{Result, SqlError, SqlState};

/// NaN equals NaN and is greater than everything else; -0 equals 0.
pub fn total_cmp(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
    }
}

/// One bit pattern for each value that [`total_cmp`] tells apart.
pub fn normal_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

pub fn write_f64(value: f64, extra_float_digits: i32, out: &mut String) {
    if extra_float_digits > 0 || !value.is_finite() {
        write(value, format_args!("{value:e}"), 15, out);
    } else {
        let digits = (15 + extra_float_digits).clamp(1, 17) as usize;
        rounded(value, digits, out);
    }
}

pub fn write_f32(value: f32, extra_float_digits: i32, out: &mut String) {
    if extra_float_digits > 0 || !value.is_finite() {
        write(f64::from(value), format_args!("{value:e}"), 6, out);
    } else {
        let digits = (6 + extra_float_digits).clamp(1, 9) as usize;
        rounded(f64::from(value), digits, out);
    }
}

/// C's `%.{digits}g`.
pub fn rounded(value: f64, digits: usize, out: &mut String) {
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    write(value, format_args!("{mantissa}e{exponent}"), digits as i32, out);
}

/// Lays out digits and exponent: scientific below 1e-4 and from 10^`limit` on.
fn write(value: f64, scientific: std::fmt::Arguments<'_>, limit: i32, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let text = scientific.to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a String cannot fail.
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
        return;
    }
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    out.push_str(sign);
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', whole - digits.len()));
    } else {
        out.push_str(&digits[..whole]);
        out.push('.');
        out.push_str(&digits[whole..]);
    }
}

pub fn parse_f64(text: &str) -> Result<f64> {
    let value: f64 = parse(text, "double precision")?;
    check_range(text, value.is_infinite(), value == 0.0, "double precision")?;
    Ok(value)
}

pub fn parse_f32(text: &str) -> Result<f32> {
    let trimmed = text.trim();
    parse(text, "real")?;
    let value: f32 = trimmed.parse().unwrap_or_else(|_| parse(text, "real").unwrap_or(0.0) as f32);
    check_range(text, value.is_infinite(), value == 0.0, "real")?;
    Ok(value)
}

fn parse(text: &str, ty: &str) -> Result<f64> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let invalid = || {
        SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid input syntax for type {ty}: \"{text}\""))
    };
    if trimmed.is_empty() {
        return Err(invalid());
    }
    trimmed.parse().map_err(|_| invalid())
}

/// Rust reads what is too large as infinity and what is too small as zero; PostgreSQL refuses both.
fn check_range(text: &str, infinite: bool, zero: bool, ty: &str) -> Result<()> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or("");
    let overflow = infinite && !text.to_ascii_lowercase().contains("inf");
    let underflow = zero && mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if overflow || underflow {
        return Err(SqlError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{}\" is out of range for type {ty}", text.trim()),
        ));
    }
    Ok(())
}
