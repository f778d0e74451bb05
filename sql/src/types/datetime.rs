//! Dates, times and timestamps: the calendar, text output, limits. Input is in `datetime_input`.
//!
//! Dates are days and timestamps microseconds since 2000-01-01, in the proleptic Gregorian calendar, with the extremes of
//! the integer as the infinities.

use std::fmt::Write as _;

use super::{
    FormatOptions,
    format::{DateOrder, DateStyle},
    timezone,
};
use crate::error::{Result, SqlError, SqlState};

#[path = "datetime_input.rs"]
mod input;

pub use input::{parse_date, parse_time, parse_timestamp, parse_timestamptz};

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 1970-01-01 in days and seconds since 2000-01-01.
pub const UNIX_EPOCH_DAYS: i32 = -10_957;
pub const UNIX_EPOCH_SECONDS: i64 = UNIX_EPOCH_DAYS as i64 * 86_400;

/// 4713-01-01 BC and 5874897-12-31.
const DATE_MIN: i32 = -2_451_507;
const DATE_MAX: i32 = 2_145_031_948;
/// 4713-01-01 BC, and the end of the year 294276.
const TIMESTAMP_MIN: i64 = -211_810_204_800_000_000;
const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// A moment taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Astronomical: 0 is 1 BC.
    pub year: i32,
    pub month: u32,
    pub day: u32,
    /// Microseconds since midnight.
    pub micros: i64,
}

impl Fields {
    pub fn hour(&self) -> i64 {
        self.micros / 3_600_000_000
    }

    pub fn minute(&self) -> i64 {
        self.micros / 60_000_000 % 60
    }

    pub fn second(&self) -> i64 {
        self.micros / MICROS_PER_SECOND % 60
    }

    /// Microseconds within the second.
    pub fn fraction(&self) -> i64 {
        self.micros % MICROS_PER_SECOND
    }
}

/// Days since 2000-01-01 of a valid civil date (Hinnant's algorithm).
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 730_425
}

pub fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let shifted = i64::from(days) + 730_425;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month, day)
}

pub fn is_leap_year(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 2000-01-01; `None` when there is no such day or it is out of range.
pub fn make_date(year: i64, month: u32, day: u32) -> Option<i32> {
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) || !(-4713..=5_874_897).contains(&year)
    {
        return None;
    }
    i32::try_from(days_from_civil(year, month, day)).ok().filter(|days| date_in_range(*days))
}

pub fn date_in_range(days: i32) -> bool {
    (DATE_MIN..=DATE_MAX).contains(&days)
}

/// Whether it is a timestamp's value and not out of range. The infinities are not in range.
pub fn timestamp_in_range(micros: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros)
}

pub fn is_infinite(micros: i64) -> bool {
    micros == i64::MAX || micros == i64::MIN
}

pub fn timestamp_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

pub fn date_out_of_range() -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

/// Takes a timestamp apart. Infinities give their integer's fields: callers handle them before.
pub fn fields(micros: i64) -> Fields {
    let days = micros.div_euclid(MICROS_PER_DAY) as i32;
    let (year, month, day) = civil_from_days(days);
    Fields { year, month, day, micros: micros.rem_euclid(MICROS_PER_DAY) }
}

/// Puts a timestamp together; 22008 when it is out of range.
pub fn timestamp(days: i64, micros_of_day: i64) -> Result<i64> {
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|micros| micros.checked_add(micros_of_day))
        .filter(|micros| timestamp_in_range(*micros))
        .ok_or_else(timestamp_out_of_range)
}

pub fn date_to_timestamp(days: i32) -> Result<i64> {
    match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        days => timestamp(i64::from(days), 0)
            .map_err(|_| SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")),
    }
}

/// For comparisons, where a date beyond the range of timestamps is only late.
pub fn date_to_timestamp_saturating(days: i32) -> i64 {
    match days {
        i32::MAX => i64::MAX,
        i32::MIN => i64::MIN,
        days => i64::from(days).saturating_mul(MICROS_PER_DAY),
    }
}

pub fn timestamp_to_date(micros: i64) -> i32 {
    match micros {
        i64::MAX => i32::MAX,
        i64::MIN => i32::MIN,
        micros => micros.div_euclid(MICROS_PER_DAY) as i32,
    }
}

/// Local time in a zone, as microseconds since 2000-01-01 00:00 local.
pub fn to_local(micros: i64, options: &FormatOptions) -> i64 {
    to_zone(micros, &options.time_zone)
}

pub fn to_zone(micros: i64, zone: &jiff::tz::TimeZone) -> i64 {
    if is_infinite(micros) {
        return micros;
    }
    micros + i64::from(timezone::offset_at(zone, micros)) * MICROS_PER_SECOND
}

/// The instant of a local time in the session's zone.
pub fn from_local(micros: i64, zone: &jiff::tz::TimeZone) -> Result<i64> {
    if is_infinite(micros) {
        return Ok(micros);
    }
    Some(timezone::local_to_utc(zone, micros)).filter(|utc| timestamp_in_range(*utc)).ok_or_else(timestamp_out_of_range)
}

/// Rounds to a number of fractional digits (a type modifier; negative: none).
pub fn round_micros(micros: i64, digits: i32) -> i64 {
    if !(0..6).contains(&digits) || is_infinite(micros) {
        return micros;
    }
    let unit = 10i64.pow(6 - digits as u32);
    let half = unit / 2;
    if micros >= 0 { micros.saturating_add(half) / unit * unit } else { micros.saturating_sub(half) / unit * unit }
}

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// 0 is Sunday.
pub fn weekday(days: i32) -> u32 {
    // 2000-01-01 was a Saturday.
    (i64::from(days) + 6).rem_euclid(7) as u32
}

/// Days since the first of January, from 1.
pub fn day_of_year(year: i32, month: u32, day: u32) -> i64 {
    days_from_civil(i64::from(year), month, day) - days_from_civil(i64::from(year), 1, 1) + 1
}

/// ISO 8601 year and week.
pub fn iso_week(days: i32) -> (i32, i32) {
    let monday_based = (i64::from(weekday(days)) + 6) % 7;
    // The week belongs to the year of its Thursday.
    let thursday = i64::from(days) - monday_based + 3;
    let (year, _, _) = civil_from_days(thursday as i32);
    let first = days_from_civil(i64::from(year), 1, 1);
    (year, ((thursday - first) / 7 + 1) as i32)
}

/// The Monday of an ISO week.
pub fn iso_week_start(year: i64, week: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    let monday_based = (i64::from(weekday(fourth as i32)) + 6) % 7;
    fourth - monday_based + (week - 1) * 7
}

// Writing to a String cannot fail: the results of `write!` are dropped on purpose.

pub fn write_date(days: i32, options: &FormatOptions, out: &mut String) {
    match days {
        i32::MAX => return out.push_str("infinity"),
        i32::MIN => return out.push_str("-infinity"),
        _ => {}
    }
    let (year, month, day) = civil_from_days(days);
    let shown = if year > 0 { year } else { 1 - year };
    let month_first = options.date_order != DateOrder::DayMonthYear;
    let _ = match options.date_style {
        DateStyle::Iso => write!(out, "{shown:04}-{month:02}-{day:02}"),
        DateStyle::Sql if month_first => write!(out, "{month:02}/{day:02}/{shown:04}"),
        DateStyle::Sql => write!(out, "{day:02}/{month:02}/{shown:04}"),
        DateStyle::German => write!(out, "{day:02}.{month:02}.{shown:04}"),
        DateStyle::Postgres if month_first => write!(out, "{month:02}-{day:02}-{shown:04}"),
        DateStyle::Postgres => write!(out, "{day:02}-{month:02}-{shown:04}"),
    };
    if year <= 0 {
        out.push_str(" BC");
    }
}

pub fn write_time(micros: i64, out: &mut String) {
    let _ = write!(
        out,
        "{:02}:{:02}:{:02}",
        micros / 3_600_000_000,
        micros / 60_000_000 % 60,
        micros / MICROS_PER_SECOND % 60
    );
    write_fraction(micros % MICROS_PER_SECOND, out);
}

/// A point and the digits that are not trailing zeros.
pub fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

pub fn write_timestamp(micros: i64, options: &FormatOptions, out: &mut String) {
    write_moment(micros, None, options, out);
}

pub fn write_timestamptz(micros: i64, options: &FormatOptions, out: &mut String) {
    let offset = if is_infinite(micros) { 0 } else { timezone::offset_at(&options.time_zone, micros) };
    write_moment(to_local(micros, options), Some((offset, micros)), options, out);
}

/// Local time with, of a timestamptz, the offset and the instant.
fn write_moment(local: i64, zone: Option<(i32, i64)>, options: &FormatOptions, out: &mut String) {
    match local {
        i64::MAX => return out.push_str("infinity"),
        i64::MIN => return out.push_str("-infinity"),
        _ => {}
    }
    let days = local.div_euclid(MICROS_PER_DAY) as i32;
    let micros = local.rem_euclid(MICROS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    let shown = if year > 0 { year } else { 1 - year };
    if options.date_style == DateStyle::Postgres {
        let (weekday, name) = (&WEEKDAYS[weekday(days) as usize][..3], &MONTHS[month as usize - 1][..3]);
        let _ = match options.date_order {
            DateOrder::DayMonthYear => write!(out, "{weekday} {day:02} {name} "),
            _ => write!(out, "{weekday} {name} {day:02} "),
        };
        write_time(micros, out);
        let _ = write!(out, " {shown:04}");
    } else {
        let month_first = options.date_order != DateOrder::DayMonthYear;
        let _ = match options.date_style {
            DateStyle::Sql if month_first => write!(out, "{month:02}/{day:02}/{shown:04} "),
            DateStyle::Sql => write!(out, "{day:02}/{month:02}/{shown:04} "),
            DateStyle::German => write!(out, "{day:02}.{month:02}.{shown:04} "),
            _ => write!(out, "{shown:04}-{month:02}-{day:02} "),
        };
        write_time(micros, out);
    }
    if let Some((offset, instant)) = zone {
        if options.date_style == DateStyle::Iso {
            write_offset(offset, out);
        } else {
            let _ = write!(out, " {}", timezone::abbreviation_at(&options.time_zone, instant));
        }
    }
    if year <= 0 {
        out.push_str(" BC");
    }
}

/// `+00`, `-03:30`, `+01:02:03`.
pub fn write_offset(seconds: i32, out: &mut String) {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    if seconds % 3600 != 0 {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
}
