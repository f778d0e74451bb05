//! Reading intervals: PostgreSQL's and the verbose style, SQL standard, ISO 8601.

use crate::{
    error::{Result, SqlError, SqlState},
    types::{Interval, datetime::MICROS_PER_DAY},
};

/// Sums up the fields of a text; fractions go down to the next smaller unit.
#[derive(Default)]
struct Sum {
    months: f64,
    days: f64,
    micros: f64,
}

pub fn parse(text: &str) -> Result<Interval> {
    let invalid = || {
        SqlError::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid input syntax for type interval: \"{text}\""))
    };
    let trimmed = text.trim();
    let sum = match trimmed.strip_prefix(['P', 'p']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit() || "+-Tt.".contains(c)) => parse_iso(rest),
        _ => parse_words(trimmed),
    };
    sum.ok_or_else(invalid)?.finish(text)
}

impl Sum {
    fn add(&mut self, value: f64, unit: &str) -> Option<()> {
        // Parts of years are months; parts of months days of 30; parts of days time.
        let months = |count: f64, sum: &mut Sum| {
            sum.months += count.trunc();
            sum.add_days(count.fract() * 30.0);
        };
        match unit {
            "millennium" | "millennia" | "millenniums" | "mil" | "mils" => months((value * 12_000.0).round(), self),
            "century" | "centuries" | "cent" | "c" => months((value * 1200.0).round(), self),
            "decade" | "decades" | "dec" | "decs" => months((value * 120.0).round(), self),
            "year" | "years" | "y" | "yr" | "yrs" => months((value * 12.0).round(), self),
            "month" | "months" | "mon" | "mons" => months(value, self),
            "week" | "weeks" | "w" => self.add_days(value * 7.0),
            "day" | "days" | "d" => self.add_days(value),
            "hour" | "hours" | "h" | "hr" | "hrs" => self.micros += value * 3.6e9,
            "minute" | "minutes" | "m" | "min" | "mins" => self.micros += value * 6e7,
            "second" | "seconds" | "s" | "sec" | "secs" => self.micros += value * 1e6,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "msecond" | "mseconds" => {
                self.micros += value * 1e3;
            }
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds" => self.micros += value,
            _ => return None,
        }
        Some(())
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc();
        self.micros += (days.fract() * MICROS_PER_DAY as f64).round();
    }

    fn finish(self, text: &str) -> Result<Interval> {
        let small = |value: f64| {
            let fits = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
            if fits { Ok(value as i32) } else { Err(field_overflow(text)) }
        };
        let micros = self.micros.round();
        Ok(Interval { months: small(self.months)?, days: small(self.days)?, micros: super::whole_micros(micros)? })
    }

    fn negate(&mut self) {
        self.months = -self.months;
        self.days = -self.days;
        self.micros = -self.micros;
    }
}

fn field_overflow(text: &str) -> SqlError {
    SqlError::new(SqlState(INTERVAL_FIELD_OVERFLOW), format!("interval field value out of range: \"{text}\""))
}

const INTERVAL_FIELD_OVERFLOW: &str = "22015";

/// `1 year 2 mons -3 days 04:05:06.7`, `@ 1 day ago`, `1-2 3 4:05:06`.
fn parse_words(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut pending: Option<f64> = None;
    let mut seen = false;
    let words = split_words(text);
    for (index, word) in words.iter().enumerate() {
        let word = word.as_str();
        if word == "@" && index == 0 {
            continue;
        }
        if word == "ago" && index + 1 == words.len() && seen {
            sum.negate();
            return Some(sum);
        }
        if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            sum.add(pending.take()?, word)?;
            seen = true;
            continue;
        }
        // A number before another number counts days (`3 4:05:06`).
        if let Some(days) = pending.take() {
            if !word.contains(':') {
                return None;
            }
            sum.add_days(days);
        }
        if word.contains(':') {
            sum.micros += clock(word)?;
            seen = true;
        } else if let Some((years, months)) = year_month(word) {
            sum.months += years * 12.0 + months;
            seen = true;
        } else {
            pending = Some(word.parse::<f64>().ok()?);
        }
    }
    if let Some(seconds) = pending {
        sum.micros += seconds * 1e6;
        seen = true;
    }
    seen.then_some(sum)
}

/// Words in lower case; letters that follow a number without a space are a word of their own (`1day`).
fn split_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for piece in text.to_ascii_lowercase().split_whitespace() {
        let mut current = String::new();
        for c in piece.chars() {
            let boundary =
                current.chars().last().is_some_and(|last| last.is_ascii_alphabetic() != c.is_ascii_alphabetic());
            // An exponent belongs to its number.
            if boundary && !current.is_empty() {
                words.push(std::mem::take(&mut current));
            }
            current.push(c);
        }
        if !current.is_empty() {
            words.push(current);
        }
    }
    words
}

/// `[-]hh:mm[:ss[.fff]]` in microseconds.
fn clock(word: &str) -> Option<f64> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'-' => (-1.0, &word[1..]),
        b'+' => (1.0, &word[1..]),
        _ => (1.0, word),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b':' || byte == b'.') {
        return None;
    }
    let parts: Vec<&str> = digits.split(':').collect();
    let number = |part: &str| if part.is_empty() { Some(0.0) } else { part.parse::<f64>().ok() };
    let micros = match parts[..] {
        // `mm:ss.fff` when there is a fraction.
        [minutes, seconds] if seconds.contains('.') => number(minutes)? * 6e7 + number(seconds)? * 1e6,
        [hours, minutes] => number(hours)? * 3.6e9 + number(minutes)? * 6e7,
        [hours, minutes, seconds] => number(hours)? * 3.6e9 + number(minutes)? * 6e7 + number(seconds)? * 1e6,
        _ => return None,
    };
    Some(sign * micros)
}

/// `1-2`: years and months.
fn year_month(word: &str) -> Option<(f64, f64)> {
    let (sign, digits) = match word.as_bytes().first()? {
        b'-' => (-1.0, &word[1..]),
        b'+' => (1.0, &word[1..]),
        _ => (1.0, word),
    };
    let (years, months) = digits.split_once('-')?;
    let months: f64 = months.parse().ok()?;
    (months < 12.0).then_some((sign * years.parse::<f64>().ok()?, sign * months))
}

/// `1Y2M3DT4H5M6S`, without the leading P.
fn parse_iso(text: &str) -> Option<Sum> {
    let mut sum = Sum::default();
    let mut time = false;
    let mut number = String::new();
    let mut seen = false;
    for c in text.chars() {
        match c {
            'T' | 't' if number.is_empty() => time = true,
            '0'..='9' | '.' | '-' | '+' => number.push(c),
            unit => {
                let value: f64 = number.parse().ok()?;
                number.clear();
                seen = true;
                let unit = match (unit.to_ascii_uppercase(), time) {
                    ('Y', false) => "year",
                    ('M', false) => "month",
                    ('W', false) => "week",
                    ('D', false) => "day",
                    ('H', true) => "hour",
                    ('M', true) => "minute",
                    ('S', true) => "second",
                    _ => return None,
                };
                sum.add(value, unit)?;
            }
        }
    }
    (seen && number.is_empty()).then_some(sum)
}
