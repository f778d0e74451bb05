//! Reading dates and times: ISO 8601 and the other forms that PostgreSQL takes, word by word.

use super::{MICROS_PER_DAY, MICROS_PER_SECOND, MONTHS, WEEKDAYS, days_from_civil, timestamp_in_range};
use crate::{
    error::{Result, SqlError, SqlState},
    types::{FormatOptions, format::DateOrder, timezone},
};
use jiff::tz::TimeZone;

/// What a text said.
#[derive(Default)]
struct Parsed {
    days: Option<i64>,
    /// Microseconds since midnight.
    micros: Option<i64>,
    zone: Option<TimeZone>,
    special: Option<Special>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    /// Midnight, so many days from now.
    Day(i64),
}

enum Failure {
    Syntax,
    OutOfRange,
    /// Perhaps month and day are swapped.
    DateOrder,
    Zone(String),
}

pub fn parse_date(text: &str, options: &FormatOptions) -> Result<i32> {
    let parsed = parse(text, options).map_err(|failure| error(failure, "date", text))?;
    match parsed.special {
        Some(Special::Infinity) => return Ok(i32::MAX),
        Some(Special::NegativeInfinity) => return Ok(i32::MIN),
        Some(special) => {
            let local = super::to_zone(resolve(special, options), &options.time_zone);
            let micros = if special == Special::Epoch { resolve(special, options) } else { local };
            return Ok(super::timestamp_to_date(micros));
        }
        None => {}
    }
    let days = parsed.days.ok_or_else(|| error(Failure::Syntax, "date", text))?;
    i32::try_from(days)
        .ok()
        .filter(|days| super::date_in_range(*days))
        .ok_or_else(|| SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date out of range: \"{text}\"")))
}

pub fn parse_time(text: &str, options: &FormatOptions) -> Result<i64> {
    let parsed = parse(text, options).map_err(|failure| error(failure, "time", text))?;
    if let Some(special @ Special::Now) = parsed.special {
        return Ok(super::to_zone(resolve(special, options), &options.time_zone).rem_euclid(MICROS_PER_DAY));
    }
    parsed.micros.ok_or_else(|| error(Failure::Syntax, "time", text))
}

pub fn parse_timestamp(text: &str, options: &FormatOptions) -> Result<i64> {
    let parsed = parse(text, options).map_err(|failure| error(failure, "timestamp", text))?;
    if let Some(special) = parsed.special {
        return Ok(match special {
            Special::Now | Special::Day(_) => {
                let local = super::to_zone(resolve(special, options), &options.time_zone);
                local.saturating_add(parsed.micros.unwrap_or(0))
            }
            other => resolve(other, options),
        });
    }
    local_micros(&parsed, "timestamp", text)
}

pub fn parse_timestamptz(text: &str, options: &FormatOptions) -> Result<i64> {
    const TYPE: &str = "timestamp with time zone";
    let parsed = parse(text, options).map_err(|failure| error(failure, TYPE, text))?;
    if let Some(special) = parsed.special {
        let instant = resolve(special, options);
        return Ok(match special {
            Special::Day(_) => instant.saturating_add(parsed.micros.unwrap_or(0)),
            _ => instant,
        });
    }
    let local = local_micros(&parsed, TYPE, text)?;
    let zone = parsed.zone.as_ref().unwrap_or(&options.time_zone);
    let utc = timezone::local_to_utc(zone, local);
    if timestamp_in_range(utc) { Ok(utc) } else { Err(out_of_range("timestamp", text)) }
}

fn local_micros(parsed: &Parsed, ty: &str, text: &str) -> Result<i64> {
    let days = parsed.days.ok_or_else(|| error(Failure::Syntax, ty, text))?;
    super::timestamp(days, parsed.micros.unwrap_or(0)).map_err(|_| out_of_range("timestamp", text))
}

fn out_of_range(ty: &str, text: &str) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{ty} out of range: \"{text}\""))
}

/// The instant a special word means.
fn resolve(special: Special, options: &FormatOptions) -> i64 {
    match special {
        Special::Infinity => i64::MAX,
        Special::NegativeInfinity => i64::MIN,
        Special::Epoch => super::UNIX_EPOCH_SECONDS * MICROS_PER_SECOND,
        Special::Now => options.now_micros,
        Special::Day(shift) => {
            let local = super::to_zone(options.now_micros, &options.time_zone);
            let midnight = (local.div_euclid(MICROS_PER_DAY) + shift) * MICROS_PER_DAY;
            timezone::local_to_utc(&options.time_zone, midnight)
        }
    }
}

fn error(failure: Failure, ty: &str, text: &str) -> SqlError {
    match failure {
        Failure::Syntax => {
            SqlError::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid input syntax for type {ty}: \"{text}\""))
        }
        Failure::OutOfRange => {
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date/time field value out of range: \"{text}\""))
        }
        Failure::DateOrder => {
            error(Failure::OutOfRange, ty, text).hint("Perhaps you need a different \"datestyle\" setting.")
        }
        Failure::Zone(name) => {
            SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
        }
    }
}

/// The words of a text, gathered before they are understood: a number's meaning depends on its neighbours.
#[derive(Default)]
struct Words<'a> {
    numbers: Vec<&'a str>,
    month: Option<u32>,
    before_christ: bool,
    /// Hours to add for PM; 12 AM is midnight.
    meridiem: Option<bool>,
}

fn parse(text: &str, options: &FormatOptions) -> std::result::Result<Parsed, Failure> {
    let mut parsed = Parsed::default();
    let each = || text.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty());
    // Known before the date is read: which years have a 29th of February depends on it.
    let before_christ = each().any(|word| word.eq_ignore_ascii_case("bc"));
    let mut words = Words { before_christ, ..Words::default() };
    for word in each() {
        take_word(word, &mut parsed, &mut words, options)?;
    }
    if let (Some(micros), Some(afternoon)) = (parsed.micros, words.meridiem) {
        let hour = micros / 3_600_000_000;
        if !(0..=12).contains(&hour) {
            return Err(Failure::OutOfRange);
        }
        let shift = if afternoon { 12 } else { 0 } - if hour == 12 { 12 } else { 0 };
        parsed.micros = Some(micros + shift * 3_600_000_000);
    }
    match (parsed.days, words.numbers.is_empty() && words.month.is_none()) {
        (None, false) => parsed.days = Some(date_of_words(&words, options)?),
        (Some(_), false) => return Err(Failure::Syntax),
        _ => {}
    }
    if parsed.days.is_none() && parsed.micros.is_none() && parsed.special.is_none() {
        return Err(Failure::Syntax);
    }
    Ok(parsed)
}

fn take_word<'a>(
    word: &'a str,
    parsed: &mut Parsed,
    words: &mut Words<'a>,
    options: &FormatOptions,
) -> std::result::Result<(), Failure> {
    let first = word.as_bytes()[0];
    // `2024-05-06T07:08:09`
    if let Some(at) = word.find(['T', 't'])
        && first.is_ascii_digit()
        && word[at + 1..].starts_with(|c: char| c.is_ascii_digit())
    {
        take_word(&word[..at], parsed, words, options)?;
        return take_time(&word[at + 1..], parsed, words);
    }
    if word.contains(':') && (first.is_ascii_digit() || parsed.micros.is_none() && !matches!(first, b'+' | b'-')) {
        if first.is_ascii_alphabetic() {
            return Err(Failure::Syntax);
        }
        return take_time(word, parsed, words);
    }
    if matches!(first, b'+' | b'-') && parsed.micros.is_some() {
        return set_zone(word, parsed);
    }
    if first.is_ascii_alphabetic() || (first == b'-' && word.len() > 1 && word.as_bytes()[1].is_ascii_alphabetic()) {
        return take_name(word, parsed, words);
    }
    if first.is_ascii_digit() {
        return take_date(word, parsed, words, options);
    }
    Err(Failure::Syntax)
}

/// `07:08:09.123+05:30`, `070809`, `7:08 pm`.
fn take_time(word: &str, parsed: &mut Parsed, words: &mut Words<'_>) -> std::result::Result<(), Failure> {
    if parsed.micros.is_some() {
        return Err(Failure::Syntax);
    }
    let end = word.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(word.len());
    let (clock, rest) = word.split_at(end);
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let number = |part: &str| part.parse::<i64>().map_err(|_| Failure::Syntax);
    let (hour, minute, second) = match whole.split(':').collect::<Vec<_>>()[..] {
        [all] if all.len() == 6 => (number(&all[..2])?, number(&all[2..4])?, number(&all[4..])?),
        [all] if all.len() == 4 => (number(&all[..2])?, number(&all[2..])?, 0),
        [hour] if hour.len() <= 2 => (number(hour)?, 0, 0),
        [hour, minute] => (number(hour)?, number(minute)?, 0),
        [hour, minute, second] => (number(hour)?, number(minute)?, number(second)?),
        _ => return Err(Failure::Syntax),
    };
    let micros = fraction_micros(fraction)?;
    if hour > 24 || minute > 59 || second > 60 {
        return Err(Failure::OutOfRange);
    }
    let total = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
    if total > MICROS_PER_DAY {
        return Err(Failure::OutOfRange);
    }
    parsed.micros = Some(total);
    match rest {
        "" => Ok(()),
        rest if rest.starts_with(['+', '-']) => set_zone(rest, parsed),
        rest => take_name(rest, parsed, words),
    }
}

/// The digits after the point, rounded to microseconds.
pub(crate) fn fraction_micros_of(fraction: &str) -> Option<i64> {
    if fraction.is_empty() {
        return Some(0);
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("0.{fraction}").parse::<f64>().ok().map(|value| (value * 1e6).round() as i64)
}

fn fraction_micros(fraction: &str) -> std::result::Result<i64, Failure> {
    fraction_micros_of(fraction).ok_or(Failure::Syntax)
}

fn set_zone(name: &str, parsed: &mut Parsed) -> std::result::Result<(), Failure> {
    if parsed.zone.is_some() {
        return Err(Failure::Syntax);
    }
    parsed.zone = Some(timezone::find(name).ok_or_else(|| Failure::Zone(name.to_ascii_lowercase()))?);
    Ok(())
}

/// `J2451187`: a Julian day.
fn julian(lower: &str) -> Option<i64> {
    lower.strip_prefix('j')?.parse::<u32>().ok().map(|days| i64::from(days) - 2_451_545)
}

fn take_name(word: &str, parsed: &mut Parsed, words: &mut Words<'_>) -> std::result::Result<(), Failure> {
    let lower = word.trim_end_matches('.').to_ascii_lowercase();
    let special = match lower.as_str() {
        "infinity" | "inf" | "+infinity" => Some(Special::Infinity),
        "-infinity" | "-inf" => Some(Special::NegativeInfinity),
        "epoch" => Some(Special::Epoch),
        "now" => Some(Special::Now),
        "today" => Some(Special::Day(0)),
        "tomorrow" => Some(Special::Day(1)),
        "yesterday" => Some(Special::Day(-1)),
        _ => None,
    };
    if special.is_some() {
        if parsed.special.is_some() {
            return Err(Failure::Syntax);
        }
        parsed.special = special;
        return Ok(());
    }
    if let Some(days) = julian(&lower) {
        return match parsed.days.replace(days) {
            None => Ok(()),
            Some(_) => Err(Failure::Syntax),
        };
    }
    match lower.as_str() {
        "allballs" => parsed.micros = Some(0),
        // Seen already.
        "bc" => {}
        "ad" | "on" | "at" | "t" => {}
        "am" => words.meridiem = Some(false),
        "pm" => words.meridiem = Some(true),
        name => {
            if let Some(month) = month_number(name) {
                if words.month.replace(month).is_some() {
                    return Err(Failure::Syntax);
                }
            } else if !is_weekday(name) {
                // A zone is the last thing a word can be; without one it was no date at all.
                let zone = timezone::find(word).ok_or(match word.contains('/') {
                    true => Failure::Zone(lower.clone()),
                    false => Failure::Syntax,
                })?;
                if parsed.zone.replace(zone).is_some() {
                    return Err(Failure::Syntax);
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn month_number(name: &str) -> Option<u32> {
    let found = MONTHS.iter().position(|month| {
        let month = month.to_ascii_lowercase();
        name == month || name == &month[..3] || (name == "sept" && month == "september")
    })?;
    Some(found as u32 + 1)
}

fn is_weekday(name: &str) -> bool {
    WEEKDAYS.iter().any(|day| day.to_ascii_lowercase().starts_with(name) && name.len() >= 3)
}

/// A word that begins with a digit: a whole date, or one number of it.
fn take_date<'a>(
    word: &'a str,
    parsed: &mut Parsed,
    words: &mut Words<'a>,
    options: &FormatOptions,
) -> std::result::Result<(), Failure> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        if word.len() >= 7 && parsed.days.is_none() && words.month.is_none() {
            // `20240506`
            let (year, rest) = word.split_at(word.len() - 4);
            let number = |text: &str| text.parse::<i64>().map_err(|_| Failure::OutOfRange);
            let year = astronomical(number(year)?, words.before_christ)?;
            parsed.days = Some(civil(year, number(&rest[..2])?, number(&rest[2..])?)?);
            return Ok(());
        }
        if word.len() == 6 && parsed.days.is_some() {
            return take_time(word, parsed, words);
        }
        words.numbers.push(word);
        return Ok(());
    }
    // `Z` or an offset may follow a date without a time.
    let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
    if parts.len() == 2 && parts[1].len() == 3 && parts[1].bytes().all(|byte| byte.is_ascii_digit()) {
        // `2024.123`: day of the year.
        let (year, day) = (parts[0].parse::<i64>(), parts[1].parse::<i64>());
        if let (Ok(year @ 0..=YEAR_MAX), Ok(day)) = (year, day) {
            let year = astronomical(year, words.before_christ)?;
            parsed.days = Some(days_from_civil(year, 1, 1) + day - 1);
            return Ok(());
        }
    }
    if parts.len() != 3 || parsed.days.is_some() {
        return Err(Failure::Syntax);
    }
    let mut inner = Words { before_christ: words.before_christ, ..Words::default() };
    for part in &parts {
        if part.is_empty() {
            return Err(Failure::Syntax);
        }
        match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => inner.numbers.push(part),
            false => inner.month = Some(month_number(&part.to_ascii_lowercase()).ok_or(Failure::Syntax)?),
        }
    }
    parsed.days = Some(date_of_words(&inner, options)?);
    Ok(())
}

/// Which number is the year, which the month: a long one is the year, a month's name leaves two, else DateStyle decides.
fn date_of_words(words: &Words<'_>, options: &FormatOptions) -> std::result::Result<i64, Failure> {
    let number = |text: &str| text.parse::<i64>().map_err(|_| Failure::OutOfRange);
    let (year, month, day) = match (&words.numbers[..], words.month) {
        ([a, b, c], None) if a.len() >= 3 => (*a, number(b)?, number(c)?),
        ([a, b, c], None) => match options.date_order {
            DateOrder::MonthDayYear => (*c, number(a)?, number(b)?),
            DateOrder::DayMonthYear => (*c, number(b)?, number(a)?),
            DateOrder::YearMonthDay => (*a, number(b)?, number(c)?),
        },
        ([a, b], Some(month)) if a.len() >= 3 => (*a, i64::from(month), number(b)?),
        ([a, b], Some(month)) => (*b, i64::from(month), number(a)?),
        _ => return Err(Failure::Syntax),
    };
    let mut full = number(year)?;
    if year.len() <= 2 && !words.before_christ {
        full += if full < 70 { 2000 } else { 1900 };
    }
    civil(astronomical(full, words.before_christ)?, month, day)
}

/// The year as it is counted with: 0 for 1 BC. People write no year 0.
fn astronomical(year: i64, before_christ: bool) -> std::result::Result<i64, Failure> {
    match (year, before_christ) {
        (0, _) => Err(Failure::OutOfRange),
        (_, true) => Ok(1 - year),
        (_, false) => Ok(year),
    }
}

/// Enough for every type, and no danger to arithmetic.
const YEAR_MAX: i64 = 10_000_000;

fn civil(year: i64, month: i64, day: i64) -> std::result::Result<i64, Failure> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Failure::DateOrder);
    }
    // Years far beyond the limits are refused later, with the limits of the type.
    if year.abs() > YEAR_MAX || day > i64::from(super::days_in_month(year, month as u32)) {
        return Err(Failure::OutOfRange);
    }
    Ok(days_from_civil(year, month as u32, day as u32))
}
