//! Dates and times: arithmetic, `now()` and its family, `date_trunc`, `make_*`, `age`, time zones. `extract` is in
//! `extract`, `to_char` in `format`.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Body, Call, Registry, define},
    types::{
        Interval, Value,
        convert::{Date, Time, Timestamp, TimestampTz},
        datetime::{self, Fields, MICROS_PER_DAY, MICROS_PER_SECOND},
        interval, timezone,
    },
};
use jiff::tz::TimeZone;

pub(super) fn register(registry: &mut Registry) {
    clocks(registry);
    date_arithmetic(registry);
    timestamp_arithmetic(registry);
    interval_arithmetic(registry);
    making(registry);
    truncation(registry);
    zones(registry);
    series(registry);
    super::extract::register(registry);
    super::format::register(registry);
}

fn clocks(registry: &mut Registry) {
    for name in ["now", "transaction_timestamp", "current_timestamp"] {
        define!(registry, super::leak(format!("{name}() timestamptz")), |call| TimestampTz(
            call.context.transaction_micros
        ))
        .stable();
    }
    define!(registry, "statement_timestamp() timestamptz", |call| TimestampTz(call.context.statement_micros)).stable();
    define!(registry, "follower_read_timestamp() timestamptz", |call| TimestampTz(
        call.context.statement_micros - crate::session::FOLLOWER_LAG_MICROS
    ))
    .stable();
    define!(registry, "clock_timestamp() timestamptz", |call| clock(call).map(TimestampTz)).volatile();
    define!(registry, "current_timestamp(int4) timestamptz", |call, digits: i32| {
        TimestampTz(datetime::round_micros(call.context.transaction_micros, digits))
    })
    .stable();
    define!(registry, "localtimestamp() timestamp", |call| Timestamp(local_now(call))).stable();
    define!(registry, "localtimestamp(int4) timestamp", |call, digits: i32| {
        Timestamp(datetime::round_micros(local_now(call), digits))
    })
    .stable();
    define!(registry, "current_date() date", |call| Date(datetime::timestamp_to_date(local_now(call)))).stable();
    for name in ["localtime", "current_time"] {
        define!(registry, super::leak(format!("{name}() time")), |call| Time(
            local_now(call).rem_euclid(MICROS_PER_DAY)
        ))
        .stable();
    }
    define!(registry, "timeofday() text", |call| {
        clock(call).map(|now| {
            let local = datetime::to_zone(now, zone(call));
            let zone = timezone::abbreviation_at(zone(call), now);
            super::format::to_char(local, "Dy Mon DD HH24:MI:SS.US YYYY ", None) + &zone
        })
    })
    .volatile();
}

/// Microseconds since 2000-01-01 UTC, now.
fn clock(call: &Call<'_>) -> Result<i64> {
    let unix = call.context.runtime()?.wall_micros();
    Ok(unix + datetime::UNIX_EPOCH_SECONDS * MICROS_PER_SECOND)
}

pub(super) fn zone<'a>(call: &'a Call<'_>) -> &'a TimeZone {
    &call.context.format().time_zone
}

fn local_now(call: &Call<'_>) -> i64 {
    datetime::to_zone(call.context.transaction_micros, zone(call))
}

fn shift_date(date: Date, days: i64) -> Result<Date> {
    if matches!(date.0, i32::MAX | i32::MIN) {
        return Ok(date);
    }
    i32::try_from(i64::from(date.0) + days)
        .ok()
        .filter(|days| datetime::date_in_range(*days))
        .map(Date)
        .ok_or_else(datetime::date_out_of_range)
}

fn date_arithmetic(registry: &mut Registry) {
    define!(registry, "+(date, int4) date", |_, date: Date, days: i32| shift_date(date, i64::from(days)));
    define!(registry, "+(int4, date) date", |_, days: i32, date: Date| shift_date(date, i64::from(days)));
    define!(registry, "-(date, int4) date", |_, date: Date, days: i32| shift_date(date, -i64::from(days)));
    define!(registry, "-(date, date) int4", |_, a: Date, b: Date| {
        if matches!(a.0, i32::MAX | i32::MIN) || matches!(b.0, i32::MAX | i32::MIN) {
            return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
        }
        Ok(a.0 - b.0)
    });
    define!(registry, "+(date, interval) timestamp", |_, date: Date, by: Interval| {
        interval::add_to_timestamp(datetime::date_to_timestamp(date.0)?, by).map(Timestamp)
    });
    define!(registry, "+(interval, date) timestamp", |_, by: Interval, date: Date| {
        interval::add_to_timestamp(datetime::date_to_timestamp(date.0)?, by).map(Timestamp)
    });
    define!(registry, "-(date, interval) timestamp", |_, date: Date, by: Interval| {
        interval::add_to_timestamp(datetime::date_to_timestamp(date.0)?, interval::negate(by)?).map(Timestamp)
    });
    define!(registry, "+(date, time) timestamp", |_, date: Date, time: Time| at_time(date, time));
    define!(registry, "+(time, date) timestamp", |_, time: Time, date: Date| at_time(date, time));
    define!(registry, "+(time, interval) time", |_, time: Time, by: Interval| {
        Time((time.0 + by.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
    });
    define!(registry, "+(interval, time) time", |_, by: Interval, time: Time| {
        Time((time.0 + by.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
    });
    define!(registry, "-(time, interval) time", |_, time: Time, by: Interval| {
        Time((time.0 - by.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
    });
    define!(registry, "-(time, time) interval", |_, a: Time, b: Time| {
        Interval { months: 0, days: 0, micros: a.0 - b.0 }
    });
    define!(registry, "isfinite(date) bool", |_, date: Date| !matches!(date.0, i32::MAX | i32::MIN));
    define!(registry, "isfinite(timestamp) bool", |_, at: Timestamp| !datetime::is_infinite(at.0));
    define!(registry, "isfinite(timestamptz) bool", |_, at: TimestampTz| !datetime::is_infinite(at.0));
    define!(registry, "isfinite(interval) bool", |_, _span: Interval| true);
}

fn at_time(date: Date, time: Time) -> Result<Timestamp> {
    let midnight = datetime::date_to_timestamp(date.0)?;
    let span = Interval { months: 0, days: 0, micros: time.0 };
    interval::add_to_timestamp(midnight, span).map(Timestamp)
}

fn timestamp_arithmetic(registry: &mut Registry) {
    define!(registry, "+(timestamp, interval) timestamp", |_, at: Timestamp, by: Interval| {
        interval::add_to_timestamp(at.0, by).map(Timestamp)
    });
    define!(registry, "+(interval, timestamp) timestamp", |_, by: Interval, at: Timestamp| {
        interval::add_to_timestamp(at.0, by).map(Timestamp)
    });
    define!(registry, "-(timestamp, interval) timestamp", |_, at: Timestamp, by: Interval| {
        interval::add_to_timestamp(at.0, interval::negate(by)?).map(Timestamp)
    });
    define!(registry, "-(timestamp, timestamp) interval", |_, a: Timestamp, b: Timestamp| interval::between(a.0, b.0));
    define!(registry, "-(timestamptz, timestamptz) interval", |_, a: TimestampTz, b: TimestampTz| {
        interval::between(a.0, b.0)
    });
    define!(registry, "+(timestamptz, interval) timestamptz", |call, at: TimestampTz, by: Interval| {
        interval::add_to_timestamptz(at.0, by, zone(call)).map(TimestampTz)
    })
    .stable();
    define!(registry, "+(interval, timestamptz) timestamptz", |call, by: Interval, at: TimestampTz| {
        interval::add_to_timestamptz(at.0, by, zone(call)).map(TimestampTz)
    })
    .stable();
    define!(registry, "-(timestamptz, interval) timestamptz", |call, at: TimestampTz, by: Interval| {
        interval::add_to_timestamptz(at.0, interval::negate(by)?, zone(call)).map(TimestampTz)
    })
    .stable();
    define!(registry, "age(timestamp, timestamp) interval", |_, a: Timestamp, b: Timestamp| interval::age(a.0, b.0));
    define!(registry, "age(timestamptz, timestamptz) interval", |call, a: TimestampTz, b: TimestampTz| {
        interval::age(datetime::to_zone(a.0, zone(call)), datetime::to_zone(b.0, zone(call)))
    })
    .stable();
    define!(registry, "age(timestamp) interval", |call, b: Timestamp| interval::age(midnight(call), b.0)).stable();
    define!(registry, "age(timestamptz) interval", |call, b: TimestampTz| {
        interval::age(midnight(call), datetime::to_zone(b.0, zone(call)))
    })
    .stable();
}

fn midnight(call: &Call<'_>) -> i64 {
    local_now(call).div_euclid(MICROS_PER_DAY) * MICROS_PER_DAY
}

fn interval_arithmetic(registry: &mut Registry) {
    define!(registry, "+(interval, interval) interval", |_, a: Interval, b: Interval| interval::add(a, b));
    define!(registry, "-(interval, interval) interval", |_, a: Interval, b: Interval| interval::subtract(a, b));
    define!(registry, "-(interval) interval", |_, a: Interval| interval::negate(a));
    define!(registry, "*(interval, float8) interval", |_, a: Interval, factor: f64| interval::multiply(a, factor));
    define!(registry, "*(float8, interval) interval", |_, factor: f64, a: Interval| interval::multiply(a, factor));
    define!(registry, "/(interval, float8) interval", |_, a: Interval, divisor: f64| interval::divide(a, divisor));
    define!(registry, "justify_hours(interval) interval", |_, a: Interval| interval::justify_hours(a));
    define!(registry, "justify_days(interval) interval", |_, a: Interval| interval::justify_days(a));
    define!(registry, "justify_interval(interval) interval", |_, a: Interval| interval::justify(a));
}

fn out_of_range(what: &str, shown: String) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} field value out of range: {shown}"))
}

fn date_of(year: i32, month: i32, day: i32) -> Result<i32> {
    // Negative years are BC; there is no year 0.
    let astronomical = i64::from(year) + i64::from(year < 0);
    let found = match (u32::try_from(month), u32::try_from(day)) {
        (Ok(month), Ok(day)) if year != 0 => datetime::make_date(astronomical, month, day),
        _ => None,
    };
    found.ok_or_else(|| out_of_range("date", format!("{year}-{month:02}-{day:02}")))
}

fn time_of(hour: i32, minute: i32, seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    let valid = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60_000_000.0).contains(&micros);
    valid
        .then(|| (i64::from(hour) * 60 + i64::from(minute)) * 60_000_000 + micros as i64)
        .filter(|total| *total <= MICROS_PER_DAY)
        .ok_or_else(|| out_of_range("time", format!("{hour}:{minute:02}:{seconds:02}")))
}

fn local_of(args: &[Value]) -> Result<i64> {
    match args {
        [
            Value::Int4(year),
            Value::Int4(month),
            Value::Int4(day),
            Value::Int4(hour),
            Value::Int4(minute),
            Value::Float8(seconds),
            ..,
        ] => datetime::timestamp(i64::from(date_of(*year, *month, *day)?), time_of(*hour, *minute, *seconds)?),
        _ => Err(SqlError::internal("make_timestamp got other arguments")),
    }
}

fn making(registry: &mut Registry) {
    define!(registry, "make_date(int4, int4, int4) date", |_, y: i32, m: i32, d: i32| date_of(y, m, d).map(Date));
    define!(registry, "make_time(int4, int4, float8) time", |_, h: i32, m: i32, s: f64| time_of(h, m, s).map(Time));
    registry.add(
        "make_timestamp(int4, int4, int4, int4, int4, float8) timestamp",
        Body::Many(|_, args| local_of(args).map(Value::Timestamp)),
    );
    registry
        .add(
            "make_timestamptz(int4, int4, int4, int4, int4, float8) timestamptz",
            Body::Many(|call, args| datetime::from_local(local_of(args)?, zone(call)).map(Value::TimestampTz)),
        )
        .stable();
    registry.add(
        "make_timestamptz(int4, int4, int4, int4, int4, float8, text) timestamptz",
        Body::Many(|_, args| match args.get(6) {
            Some(Value::Text(name)) => {
                datetime::from_local(local_of(args)?, &named_zone(name)?).map(Value::TimestampTz)
            }
            _ => Ok(Value::Null),
        }),
    );
    for count in 0..=7 {
        let types = ["int4", "int4", "int4", "int4", "int4", "int4", "float8"][..count].join(", ");
        registry
            .add(super::leak(format!("make_interval({types}) interval")), Body::Many(|_, args| make_interval(args)));
    }
    define!(registry, "to_timestamp(float8) timestamptz", |_, seconds: f64| from_unix(seconds).map(TimestampTz));
}

fn from_unix(seconds: f64) -> Result<i64> {
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { i64::MAX } else { i64::MIN });
    }
    let unix = (seconds * 1e6).round_ties_even() as i128;
    i64::try_from(unix.saturating_add(i128::from(datetime::UNIX_EPOCH_SECONDS * MICROS_PER_SECOND)))
        .ok()
        .filter(|micros| !seconds.is_nan() && datetime::timestamp_in_range(*micros))
        .ok_or_else(|| {
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("timestamp out of range: \"{seconds}\""))
        })
}

fn make_interval(args: &[Value]) -> Result<Value> {
    let part = |index: usize| args.get(index).and_then(Value::as_integer).unwrap_or(0);
    let seconds = args.get(6).and_then(Value::as_float).unwrap_or(0.0);
    let months = part(0) * 12 + part(1);
    let days = part(2) * 7 + part(3);
    let micros = ((part(4) * 3600 + part(5) * 60) * MICROS_PER_SECOND)
        .checked_add((seconds * 1e6).round() as i64)
        .ok_or_else(interval::out_of_range)?;
    let narrow = |value: i64| i32::try_from(value).map_err(|_| interval::out_of_range());
    Ok(Value::Interval(Interval { months: narrow(months)?, days: narrow(days)?, micros }))
}

fn truncation(registry: &mut Registry) {
    define!(registry, "date_trunc(text, timestamp) timestamp", |_, unit: &str, at: Timestamp| {
        truncate(unit, at.0, "timestamp without time zone").map(Timestamp)
    });
    define!(registry, "date_trunc(text, timestamptz) timestamptz", |call, unit: &str, at: TimestampTz| {
        truncate_in_zone(unit, at.0, zone(call)).map(TimestampTz)
    })
    .stable();
    define!(
        registry,
        "date_trunc(text, timestamptz, text) timestamptz",
        |_, unit: &str, at: TimestampTz, zone: &str| {
            truncate_in_zone(unit, at.0, &named_zone(zone)?).map(TimestampTz)
        }
    );
    define!(registry, "date_trunc(text, interval) interval", |_, unit: &str, span: Interval| {
        truncate_interval(unit, span)
    });
    define!(
        registry,
        "date_bin(interval, timestamp, timestamp) timestamp",
        |_, stride: Interval, at: Timestamp, origin: Timestamp| { bin(stride, at.0, origin.0).map(Timestamp) }
    );
    define!(
        registry,
        "date_bin(interval, timestamptz, timestamptz) timestamptz",
        |_, stride: Interval, at: TimestampTz, origin: TimestampTz| { bin(stride, at.0, origin.0).map(TimestampTz) }
    );
}

fn truncate_in_zone(unit: &str, micros: i64, zone: &TimeZone) -> Result<i64> {
    if datetime::is_infinite(micros) {
        return Ok(micros);
    }
    let local = datetime::to_zone(micros, zone);
    let truncated = truncate(unit, local, "timestamp with time zone")?;
    // Below a day the offset stays, so that the hour repeated at a change of clocks is not lost.
    match super::extract::unit(unit).as_str() {
        "hour" | "minute" | "second" | "milliseconds" | "microseconds" => Ok(micros - (local - truncated)),
        _ => datetime::from_local(truncated, zone),
    }
}

fn truncate(unit: &str, micros: i64, ty: &str) -> Result<i64> {
    if datetime::is_infinite(micros) {
        return Ok(micros);
    }
    let Fields { year, month, day, micros: time } = datetime::fields(micros);
    let year = i64::from(year);
    let to = |step: i64| datetime::timestamp(micros.div_euclid(MICROS_PER_DAY), time / step * step);
    let first_of = |year: i64, month: u32| datetime::timestamp(datetime::days_from_civil(year, month, 1), 0);
    match super::extract::unit(unit).as_str() {
        "microseconds" => Ok(micros),
        "milliseconds" => to(1000),
        "second" => to(MICROS_PER_SECOND),
        "minute" => to(60 * MICROS_PER_SECOND),
        "hour" => to(3600 * MICROS_PER_SECOND),
        "day" => to(MICROS_PER_DAY),
        "week" => {
            let days = datetime::days_from_civil(year, month, day);
            let since_monday = (i64::from(datetime::weekday(days as i32)) + 6) % 7;
            datetime::timestamp(days - since_monday, 0)
        }
        "month" => first_of(year, month),
        "quarter" => first_of(year, (month - 1) / 3 * 3 + 1),
        "year" => first_of(year, 1),
        "decade" => first_of(year.div_euclid(10) * 10, 1),
        // The first century began with the year 1.
        "century" => first_of((year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" => first_of((year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => Err(super::extract::unknown_unit(unit, ty)),
    }
}

fn truncate_interval(unit: &str, span: Interval) -> Result<Interval> {
    let months = |step: i32| Interval { months: span.months / step * step, days: 0, micros: 0 };
    let time = |step: i64| Interval { micros: span.micros / step * step, ..span };
    Ok(match super::extract::unit(unit).as_str() {
        "millennium" => months(12_000),
        "century" => months(1200),
        "decade" => months(120),
        "year" => months(12),
        "quarter" => months(3),
        "month" => months(1),
        "day" => Interval { micros: 0, ..span },
        "hour" => time(3_600_000_000),
        "minute" => time(60_000_000),
        "second" => time(MICROS_PER_SECOND),
        "milliseconds" => time(1000),
        "microseconds" => span,
        "week" => {
            return Err(
                super::extract::unsupported_unit(unit, "interval").detail("Months usually have fractional weeks.")
            );
        }
        _ => return Err(super::extract::unknown_unit(unit, "interval")),
    })
}

fn bin(stride: Interval, at: i64, origin: i64) -> Result<i64> {
    if datetime::is_infinite(at) {
        return Ok(at);
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let step = interval::span(&stride);
    if step <= 0 {
        return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let distance = i128::from(at) - i128::from(origin);
    let binned = i128::from(origin) + distance.div_euclid(step) * step;
    i64::try_from(binned)
        .ok()
        .filter(|micros| datetime::timestamp_in_range(*micros))
        .ok_or_else(datetime::timestamp_out_of_range)
}

fn named_zone(name: &str) -> Result<TimeZone> {
    timezone::find_for_conversion(name)
        .ok_or_else(|| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized")))
}

/// `AT TIME ZONE`.
fn zones(registry: &mut Registry) {
    define!(registry, "timezone(text, timestamptz) timestamp", |_, name: &str, at: TimestampTz| {
        named_zone(name).map(|zone| Timestamp(datetime::to_zone(at.0, &zone)))
    });
    define!(registry, "timezone(text, timestamp) timestamptz", |_, name: &str, at: Timestamp| {
        datetime::from_local(at.0, &named_zone(name)?).map(TimestampTz)
    });
    define!(registry, "timezone(interval, timestamptz) timestamp", |_, offset: Interval, at: TimestampTz| {
        fixed_zone(offset).map(|zone| Timestamp(datetime::to_zone(at.0, &zone)))
    });
    define!(registry, "timezone(interval, timestamp) timestamptz", |_, offset: Interval, at: Timestamp| {
        datetime::from_local(at.0, &fixed_zone(offset)?).map(TimestampTz)
    });
}

fn fixed_zone(offset: Interval) -> Result<TimeZone> {
    let seconds = (offset.months == 0 && offset.days == 0).then_some(offset.micros / MICROS_PER_SECOND);
    seconds
        .and_then(|seconds| i32::try_from(seconds).ok())
        .and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok())
        .map(TimeZone::fixed)
        .ok_or_else(|| {
            SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "interval time zone must not include months or days")
        })
}

fn series(registry: &mut Registry) {
    registry.add(
        "generate_series(timestamp, timestamp, interval) setof timestamp",
        Body::Set(|_, args| match args {
            [Value::Timestamp(start), Value::Timestamp(end), Value::Interval(step)] => {
                moments(*start, *end, *step, interval::add_to_timestamp, Value::Timestamp)
            }
            _ => Ok(Vec::new()),
        }),
    );
    registry
        .add(
            "generate_series(timestamptz, timestamptz, interval) setof timestamptz",
            Body::Set(|call, args| match args {
                [Value::TimestampTz(start), Value::TimestampTz(end), Value::Interval(step)] => {
                    let next = |at: i64, step: Interval| interval::add_to_timestamptz(at, step, zone(call));
                    moments(*start, *end, *step, next, Value::TimestampTz)
                }
                _ => Ok(Vec::new()),
            }),
        )
        .stable();
}

fn moments(
    start: i64,
    end: i64,
    step: Interval,
    next: impl Fn(i64, Interval) -> Result<i64>,
    make: fn(i64) -> Value,
) -> Result<Vec<Value>> {
    let direction = interval::span(&step);
    if direction == 0 {
        return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, super::math::STEP_ZERO));
    }
    let mut rows = Vec::new();
    let mut at = start;
    while if direction > 0 { at <= end } else { at >= end } {
        if rows.len() == super::math::SERIES_MAX {
            return Err(super::math::series_too_long());
        }
        rows.push(make(at));
        at = next(at, step)?;
    }
    Ok(rows)
}
