//! `extract` (numeric) and `date_part` (double precision).

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Registry, define},
    types::{
        Interval, Numeric,
        convert::{Date, Time, Timestamp, TimestampTz},
        datetime::{self, MICROS_PER_DAY, MICROS_PER_SECOND},
        timezone,
    },
};

use super::datetime::zone;

/// A number of so many decimal places, exact.
struct Field {
    value: i128,
    scale: i64,
}

fn whole(value: impl Into<i128>) -> Result<Option<Field>> {
    Ok(Some(Field { value: value.into(), scale: 0 }))
}

fn scaled(value: impl Into<i128>, scale: i64) -> Result<Option<Field>> {
    Ok(Some(Field { value: value.into(), scale }))
}

impl Field {
    fn numeric(self) -> Numeric {
        Numeric::new(self.value.into(), self.scale)
    }

    fn float(self) -> f64 {
        self.value as f64 / 10f64.powi(self.scale as i32)
    }
}

pub(super) fn register(registry: &mut Registry) {
    macro_rules! both {
        ($ty:literal, $rust:ty, |$call:pat_param, $unit:ident, $value:ident| $field:expr) => {
            define!(registry, concat!("extract(text, ", $ty, ") numeric"), |$call, $unit: &str, $value: $rust| {
                let field: Result<Option<Field>> = $field;
                field.map(|field| field.map(Field::numeric))
            })
            .stable();
            define!(registry, concat!("date_part(text, ", $ty, ") float8"), |$call, $unit: &str, $value: $rust| {
                let field: Result<Option<Field>> = $field;
                field.map(|field| field.map(Field::float))
            })
            .stable();
        };
    }
    both!("timestamp", Timestamp, |_, unit, at| of_timestamp(unit, at.0, "timestamp without time zone"));
    both!("timestamptz", TimestampTz, |call, unit, at| of_timestamptz(unit, at.0, zone(call)));
    both!("date", Date, |_, unit, at| of_date(unit, at.0));
    both!("time", Time, |_, unit, at| of_time(unit, at.0));
    both!("interval", Interval, |_, unit, span| of_interval(unit, &span));
}

/// The full name of a unit.
pub(super) fn unit(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let full = match lower.as_str() {
        "microsecond" | "us" | "usec" | "usecs" | "usecond" | "useconds" => "microseconds",
        "millisecond" | "ms" | "msec" | "msecs" | "msecond" | "mseconds" => "milliseconds",
        "seconds" | "sec" | "secs" | "s" => "second",
        "minutes" | "min" | "mins" | "m" => "minute",
        "hours" | "hr" | "hrs" | "h" => "hour",
        "days" | "d" => "day",
        "weeks" | "w" => "week",
        "months" | "mon" | "mons" => "month",
        "quarters" | "qtr" => "quarter",
        "years" | "yr" | "yrs" | "y" => "year",
        "decades" | "dec" | "decs" => "decade",
        "centuries" | "cent" | "c" => "century",
        "millennia" | "millenniums" | "mil" | "mils" => "millennium",
        other => other,
    };
    full.to_owned()
}

pub(super) fn unknown_unit(name: &str, ty: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("unit \"{name}\" not recognized for type {ty}"))
}

pub(super) fn unsupported_unit(name: &str, ty: &str) -> SqlError {
    SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{name}\" not supported for type {ty}"))
}

const UNITS: &[&str] = &[
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
    "epoch",
    "dow",
    "isodow",
    "doy",
    "isoyear",
    "julian",
    "timezone",
    "timezone_hour",
    "timezone_minute",
];

fn wrong_unit(name: &str, ty: &str) -> SqlError {
    if UNITS.contains(&unit(name).as_str()) { unsupported_unit(name, ty) } else { unknown_unit(name, ty) }
}

/// Fields that grow without end are infinite of an infinite moment; the others are NULL.
fn of_infinity(name: &str, ty: &str) -> Result<Option<Field>> {
    match unit(name).as_str() {
        "year" | "isoyear" | "decade" | "century" | "millennium" | "epoch" | "julian" => {
            Err(SqlError::unsupported("extracting from an infinite moment"))
        }
        known if UNITS.contains(&known) => Ok(None),
        _ => Err(unknown_unit(name, ty)),
    }
}

fn of_timestamp(name: &str, micros: i64, ty: &str) -> Result<Option<Field>> {
    if datetime::is_infinite(micros) {
        return of_infinity(name, ty);
    }
    let fields = datetime::fields(micros);
    let days = micros.div_euclid(MICROS_PER_DAY) as i32;
    match unit(name).as_str() {
        "microseconds" | "milliseconds" | "second" | "minute" | "hour" => of_clock(name, fields.micros, ty),
        "epoch" => scaled(i128::from(micros) - i128::from(datetime::UNIX_EPOCH_SECONDS * MICROS_PER_SECOND), 6),
        "julian" => {
            if fields.micros == 0 {
                return whole(i128::from(days) + JULIAN_EPOCH);
            }
            // PostgreSQL shows the fraction of the day with the digits of a quotient.
            let day = Numeric::from(i128::from(days) + JULIAN_EPOCH);
            let part = Numeric::from(fields.micros).div(&Numeric::from(MICROS_PER_DAY))?;
            let sum = day.add(&part)?;
            let (digits, scale) = sum.parts().ok_or_else(|| SqlError::internal("a day is a number"))?;
            let value = i128::try_from(digits.into_owned()).map_err(|_| datetime::timestamp_out_of_range())?;
            scaled(value, scale)
        }
        _ => of_date_in(name, days, ty),
    }
}

/// 2000-01-01 as a Julian day.
const JULIAN_EPOCH: i128 = 2_451_545;

fn of_date(name: &str, days: i32) -> Result<Option<Field>> {
    const TYPE: &str = "date";
    if matches!(days, i32::MAX | i32::MIN) {
        return of_infinity(name, TYPE);
    }
    match unit(name).as_str() {
        "epoch" => whole((i128::from(days) - i128::from(datetime::UNIX_EPOCH_DAYS)) * 86_400),
        "julian" => whole(i128::from(days) + JULIAN_EPOCH),
        _ => of_date_in(name, days, TYPE),
    }
}

/// The fields of a calendar day.
fn of_date_in(name: &str, days: i32, ty: &str) -> Result<Option<Field>> {
    let (year, month, day) = datetime::civil_from_days(days);
    // There is no year 0: 1 BC is -1.
    let shown = |year: i32| if year > 0 { year } else { year - 1 };
    match unit(name).as_str() {
        "day" => whole(i128::from(day)),
        "month" => whole(i128::from(month)),
        "quarter" => whole(i128::from((month - 1) / 3 + 1)),
        "year" => whole(shown(year)),
        "decade" => whole(year.div_euclid(10)),
        "century" => whole(if year > 0 { (year + 99) / 100 } else { -((99 - (year - 1)) / 100) }),
        "millennium" => whole(if year > 0 { (year + 999) / 1000 } else { -((999 - (year - 1)) / 1000) }),
        "week" => whole(datetime::iso_week(days).1),
        "isoyear" => whole(shown(datetime::iso_week(days).0)),
        "dow" => whole(i128::from(datetime::weekday(days))),
        "isodow" => whole(i128::from((datetime::weekday(days) + 6) % 7 + 1)),
        "doy" => whole(datetime::day_of_year(year, month, day)),
        _ => Err(wrong_unit(name, ty)),
    }
}

fn of_clock(name: &str, micros: i64, ty: &str) -> Result<Option<Field>> {
    let in_minute = micros % (60 * MICROS_PER_SECOND);
    match unit(name).as_str() {
        "microseconds" => whole(in_minute),
        "milliseconds" => scaled(in_minute, 3),
        "second" => scaled(in_minute, 6),
        "minute" => whole(micros / 60_000_000 % 60),
        "hour" => whole(micros / 3_600_000_000),
        _ => Err(wrong_unit(name, ty)),
    }
}

fn of_time(name: &str, micros: i64) -> Result<Option<Field>> {
    match unit(name).as_str() {
        "epoch" => scaled(micros, 6),
        _ => of_clock(name, micros, "time without time zone"),
    }
}

fn of_timestamptz(name: &str, micros: i64, zone: &jiff::tz::TimeZone) -> Result<Option<Field>> {
    const TYPE: &str = "timestamp with time zone";
    if datetime::is_infinite(micros) {
        return of_infinity(name, TYPE);
    }
    let offset = timezone::offset_at(zone, micros);
    match unit(name).as_str() {
        "epoch" => of_timestamp(name, micros, TYPE),
        "timezone" => whole(offset),
        "timezone_hour" => whole(offset / 3600),
        "timezone_minute" => whole(offset / 60 % 60),
        _ => of_timestamp(name, datetime::to_zone(micros, zone), TYPE),
    }
}

fn of_interval(name: &str, span: &Interval) -> Result<Option<Field>> {
    let years = span.months / 12;
    match unit(name).as_str() {
        "microseconds" | "milliseconds" | "second" | "minute" => of_clock(name, span.micros, "interval"),
        "hour" => whole(span.micros / 3_600_000_000),
        "day" => whole(span.days),
        "month" => whole(span.months % 12),
        "quarter" => whole(span.months % 12 / 3 + 1),
        "year" => whole(years),
        "decade" => whole(years / 10),
        "century" => whole(years / 100),
        "millennium" => whole(years / 1000),
        "epoch" => {
            // A year has 365.25 days here, a month 30.
            let days = i128::from(years) * 36_525 + i128::from(span.months % 12) * 3000 + i128::from(span.days) * 100;
            scaled(days * 864 * 1_000_000 + i128::from(span.micros), 6)
        }
        _ => Err(wrong_unit(name, "interval")),
    }
}
