//! INTERVAL: months, days and microseconds kept apart. Text input and output, arithmetic, and adding to dates.

use std::fmt::Write as _;

use super::{
    FormatOptions, Interval,
    datetime::{self, MICROS_PER_DAY, MICROS_PER_SECOND},
    format::IntervalStyle,
};
use crate::error::{Result, SqlError, SqlState};

#[path = "interval_input.rs"]
mod input;

pub use input::parse;

pub fn out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// The length that comparisons go by: a month is 30 days, a day 24 hours.
pub fn span(interval: &Interval) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * i128::from(MICROS_PER_DAY) + i128::from(interval.micros)
}

pub fn add(a: Interval, b: Interval) -> Result<Interval> {
    let sum = || {
        Some(Interval {
            months: a.months.checked_add(b.months)?,
            days: a.days.checked_add(b.days)?,
            micros: a.micros.checked_add(b.micros)?,
        })
    };
    sum().ok_or_else(out_of_range)
}

pub fn negate(a: Interval) -> Result<Interval> {
    let negated = || {
        Some(Interval { months: a.months.checked_neg()?, days: a.days.checked_neg()?, micros: a.micros.checked_neg()? })
    };
    negated().ok_or_else(out_of_range)
}

pub fn subtract(a: Interval, b: Interval) -> Result<Interval> {
    add(a, negate(b)?)
}

/// PostgreSQL cascades fractions of months into days of 30, and of days into time.
pub fn multiply(a: Interval, factor: f64) -> Result<Interval> {
    scale(a, |part| part * factor)
}

pub fn divide(a: Interval, divisor: f64) -> Result<Interval> {
    if divisor == 0.0 {
        return Err(super::numeric::division_by_zero());
    }
    scale(a, |part| part / divisor)
}

fn scale(a: Interval, by: impl Fn(f64) -> f64) -> Result<Interval> {
    let micros_rounded = |seconds: f64| (seconds * 1e6).round_ties_even() / 1e6;
    let whole = |value: f64| {
        let inside = value.is_finite() && value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
        if inside { Ok(value as i32) } else { Err(out_of_range()) }
    };
    let months = whole(by(f64::from(a.months)))?;
    let mut days = whole(by(f64::from(a.days)))?;
    let month_days = micros_rounded((by(f64::from(a.months)) - f64::from(months)) * 30.0);
    let mut seconds =
        micros_rounded((by(f64::from(a.days)) - f64::from(days) + month_days - month_days.trunc()) * 86_400.0);
    if seconds.abs() >= 86_400.0 {
        days = days.checked_add((seconds / 86_400.0) as i32).ok_or_else(out_of_range)?;
        seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
    }
    days = days.checked_add(month_days as i32).ok_or_else(out_of_range)?;
    let micros = (by(a.micros as f64) + seconds * 1e6).round_ties_even();
    Ok(Interval { months, days, micros: whole_micros(micros)? })
}

/// What fits; a NaN does not.
fn whole_micros(micros: f64) -> Result<i64> {
    const LIMIT: f64 = 9.223_372_036_854_775e18;
    if micros.abs() < LIMIT { Ok(micros as i64) } else { Err(out_of_range()) }
}

/// Whole days out of the time.
pub fn justify_hours(a: Interval) -> Result<Interval> {
    let mut days = a.days.checked_add((a.micros / MICROS_PER_DAY) as i32).ok_or_else(out_of_range)?;
    let mut micros = a.micros % MICROS_PER_DAY;
    if days > 0 && micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= MICROS_PER_DAY;
        days += 1;
    }
    Ok(Interval { months: a.months, days, micros })
}

/// Months out of the days, 30 each.
pub fn justify_days(a: Interval) -> Result<Interval> {
    let mut months = a.months.checked_add(a.days / 30).ok_or_else(out_of_range)?;
    let mut days = a.days % 30;
    if months > 0 && days < 0 {
        days += 30;
        months -= 1;
    } else if months < 0 && days > 0 {
        days -= 30;
        months += 1;
    }
    Ok(Interval { months, days, micros: a.micros })
}

/// Both, and one sign for all.
pub fn justify(a: Interval) -> Result<Interval> {
    let mut a = justify_days(justify_hours(a)?)?;
    let total_days = i64::from(a.months) * 30 + i64::from(a.days);
    if (a.months > 0 && (a.days < 0 || (a.days == 0 && a.micros < 0))) && total_days != 0 {
        a.days += 30;
        a.months -= 1;
    } else if (a.months < 0 && (a.days > 0 || (a.days == 0 && a.micros > 0))) && total_days != 0 {
        a.days -= 30;
        a.months += 1;
    }
    if a.days > 0 && a.micros < 0 {
        a.micros += MICROS_PER_DAY;
        a.days -= 1;
    } else if a.days < 0 && a.micros > 0 {
        a.micros -= MICROS_PER_DAY;
        a.days += 1;
    }
    Ok(a)
}

/// Local timestamp plus interval: months (to the end of a shorter month), then days, then time.
pub fn add_to_timestamp(micros: i64, interval: Interval) -> Result<i64> {
    if datetime::is_infinite(micros) {
        return Ok(micros);
    }
    let shifted = add_calendar(micros, interval)?;
    shifted
        .checked_add(interval.micros)
        .filter(|micros| datetime::timestamp_in_range(*micros))
        .ok_or_else(datetime::timestamp_out_of_range)
}

/// Instant plus interval: months and days by the calendar of the zone, time by the clock.
pub fn add_to_timestamptz(micros: i64, interval: Interval, zone: &jiff::tz::TimeZone) -> Result<i64> {
    if datetime::is_infinite(micros) {
        return Ok(micros);
    }
    let moved = if interval.months != 0 || interval.days != 0 {
        datetime::from_local(add_calendar(datetime::to_zone(micros, zone), interval)?, zone)?
    } else {
        micros
    };
    moved
        .checked_add(interval.micros)
        .filter(|micros| datetime::timestamp_in_range(*micros))
        .ok_or_else(datetime::timestamp_out_of_range)
}

fn add_calendar(micros: i64, interval: Interval) -> Result<i64> {
    let mut days = micros.div_euclid(MICROS_PER_DAY);
    if interval.months != 0 {
        let (year, month, day) = datetime::civil_from_days(days as i32);
        let total = i64::from(year) * 12 + i64::from(month) - 1 + i64::from(interval.months);
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
        days = datetime::days_from_civil(year, month, day.min(datetime::days_in_month(year, month)));
    }
    datetime::timestamp(days + i64::from(interval.days), micros.rem_euclid(MICROS_PER_DAY))
}

/// The difference of two timestamps: days and time.
pub fn between(later: i64, earlier: i64) -> Result<Interval> {
    if datetime::is_infinite(later) || datetime::is_infinite(earlier) {
        return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let micros = later.checked_sub(earlier).ok_or_else(out_of_range)?;
    justify_hours(Interval { months: 0, days: 0, micros })
}

/// The difference by the calendar, as `age` gives it.
pub fn age(later: i64, earlier: i64) -> Result<Interval> {
    if datetime::is_infinite(later) || datetime::is_infinite(earlier) {
        return between(later, earlier);
    }
    let (a, b) = (datetime::fields(later), datetime::fields(earlier));
    let negative = later < earlier;
    let (high, low) = if negative { (b, a) } else { (a, b) };
    let mut micros = high.micros - low.micros;
    let mut days = i64::from(high.day) - i64::from(low.day);
    let mut months = (i64::from(high.year) - i64::from(low.year)) * 12 + i64::from(high.month) - i64::from(low.month);
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    if days < 0 {
        // PostgreSQL borrows the days of the earlier moment's month; swapped when the result is negative.
        let month = if negative { &a } else { &b };
        days += i64::from(datetime::days_in_month(i64::from(month.year), month.month));
        months -= 1;
    }
    let interval = Interval { months: months as i32, days: days as i32, micros };
    if negative { negate(interval) } else { Ok(interval) }
}

// Writing to a String cannot fail: the results of `write!` are dropped on purpose.

pub fn write(interval: &Interval, options: &FormatOptions, out: &mut String) {
    match options.interval_style {
        IntervalStyle::Postgres => write_postgres(interval, out),
        IntervalStyle::PostgresVerbose => write_verbose(interval, out),
        IntervalStyle::SqlStandard => write_sql_standard(interval, out),
        IntervalStyle::Iso8601 => write_iso(interval, out),
    }
}

fn write_postgres(interval: &Interval, out: &mut String) {
    let mut empty = true;
    let mut negative = false;
    let mut part = |value: i32, unit: &str, empty: &mut bool, negative: &mut bool| {
        if value != 0 {
            let space = if *empty { "" } else { " " };
            let sign = if *negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            let _ = write!(out, "{space}{sign}{value} {unit}{plural}");
            *empty = false;
            *negative = value < 0;
        }
    };
    part(interval.months / 12, "year", &mut empty, &mut negative);
    part(interval.months % 12, "mon", &mut empty, &mut negative);
    part(interval.days, "day", &mut empty, &mut negative);
    if empty || interval.micros != 0 {
        if !empty {
            out.push(' ');
        }
        if interval.micros < 0 {
            out.push('-');
        } else if negative {
            out.push('+');
        }
        write_clock(interval.micros, 2, out);
    }
}

/// `hh:mm:ss.ffffff` of a duration, without its sign.
fn write_clock(micros: i64, hour_width: usize, out: &mut String) {
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    let _ = write!(out, "{:0hour_width$}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    datetime::write_fraction((micros % 1_000_000) as i64, out);
}

fn write_verbose(interval: &Interval, out: &mut String) {
    out.push('@');
    let hours = interval.micros / 3_600_000_000;
    let minutes = interval.micros / 60_000_000 % 60;
    let parts = [
        (i64::from(interval.months / 12), "year"),
        (i64::from(interval.months % 12), "mon"),
        (i64::from(interval.days), "day"),
        (hours, "hour"),
        (minutes, "min"),
    ];
    let seconds = interval.micros % 60_000_000;
    // The first field's sign becomes "ago"; the others are shown relative to it.
    let first = parts.iter().map(|(value, _)| *value).chain([seconds]).find(|value| *value != 0).unwrap_or(0);
    let sign = if first < 0 { -1 } else { 1 };
    for (value, unit) in parts.into_iter().filter(|(value, _)| *value != 0) {
        let value = value * sign;
        let _ = write!(out, " {value} {unit}{}", if value == 1 { "" } else { "s" });
    }
    if seconds != 0 {
        let seconds = seconds * sign;
        let _ = write!(out, " {}{}", if seconds < 0 { "-" } else { "" }, seconds.abs() / MICROS_PER_SECOND);
        datetime::write_fraction(seconds.abs() % MICROS_PER_SECOND, out);
        out.push_str(if seconds == MICROS_PER_SECOND { " sec" } else { " secs" });
    }
    if first == 0 {
        out.push_str(" 0");
    }
    if sign < 0 {
        out.push_str(" ago");
    }
}

fn write_sql_standard(interval: &Interval, out: &mut String) {
    let (years, months) = (interval.months / 12, interval.months % 12);
    let positive = interval.months > 0 || interval.days > 0 || interval.micros > 0;
    let negative = interval.months < 0 || interval.days < 0 || interval.micros < 0;
    let has_months = interval.months != 0;
    let has_time = interval.days != 0 || interval.micros != 0;
    let sign = |negative: bool| if negative { '-' } else { '+' };
    if !positive && !negative {
        out.push('0');
    } else if (positive && negative) || (has_months && has_time) {
        let _ = write!(out, "{}{}-{}", sign(interval.months < 0), years.abs(), months.abs());
        let _ =
            write!(out, " {}{} {}", sign(interval.days < 0), interval.days.unsigned_abs(), sign(interval.micros < 0));
        write_clock(interval.micros, 1, out);
    } else if has_months {
        let _ = write!(out, "{}{}-{}", if negative { "-" } else { "" }, years.abs(), months.abs());
    } else {
        if negative {
            out.push('-');
        }
        if interval.days != 0 {
            let _ = write!(out, "{} ", interval.days.unsigned_abs());
        }
        write_clock(interval.micros, 1, out);
    }
}

fn write_iso(interval: &Interval, out: &mut String) {
    if *interval == Interval::default() {
        return out.push_str("PT0S");
    }
    out.push('P');
    for (value, unit) in [(interval.months / 12, 'Y'), (interval.months % 12, 'M'), (interval.days, 'D')] {
        if value != 0 {
            let _ = write!(out, "{value}{unit}");
        }
    }
    if interval.micros == 0 {
        return;
    }
    out.push('T');
    for (value, unit) in [(interval.micros / 3_600_000_000, 'H'), (interval.micros / 60_000_000 % 60, 'M')] {
        if value != 0 {
            let _ = write!(out, "{value}{unit}");
        }
    }
    let seconds = interval.micros % 60_000_000;
    if seconds != 0 {
        let _ = write!(out, "{}{}", if seconds < 0 { "-" } else { "" }, seconds.abs() / MICROS_PER_SECOND);
        datetime::write_fraction(seconds.abs() % MICROS_PER_SECOND, out);
        out.push('S');
    }
}

/// Applies a type modifier: drops fields that the type has not, rounds seconds.
pub fn with_typmod(interval: Interval, typmod: i32) -> Interval {
    if typmod < 0 {
        return interval;
    }
    let mut result = interval;
    let mask = (typmod >> 16) & 0x7fff;
    let has = |bit: u32| mask == 0x7fff || mask & (1 << bit) != 0;
    let (year, month, day, hour, minute, second) = (2, 1, 3, 10, 11, 12);
    if !has(second) {
        let unit = match (has(minute), has(hour)) {
            (true, _) => 60_000_000,
            (false, true) => 3_600_000_000,
            _ => i64::MAX,
        };
        result.micros = if unit == i64::MAX { 0 } else { result.micros / unit * unit };
    }
    if !has(second) && !has(minute) && !has(hour) && !has(day) {
        result.days = 0;
    }
    if has(year) && !has(month) && mask != 0x7fff {
        result.months = result.months / 12 * 12;
    }
    let precision = typmod & 0xffff;
    if precision < 6 {
        result.micros = datetime::round_micros(result.micros, precision);
    }
    result
}
