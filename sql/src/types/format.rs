//! How values look as text, as far as the session decides: time zone, DateStyle, IntervalStyle, bytea_output.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::timezone;
use crate::expr::{CatalogFunctions, SessionView};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateStyle {
    #[default]
    Iso,
    Sql,
    German,
    Postgres,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    #[default]
    MonthDayYear,
    DayMonthYear,
    YearMonthDay,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// Made once for a statement; cheap to clone.
#[derive(Clone)]
pub struct FormatOptions {
    pub time_zone: TimeZone,
    pub date_style: DateStyle,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    /// `bytea_output = escape`.
    pub bytea_escape: bool,
    /// `extra_float_digits` below 1 asks for rounded output.
    pub extra_float_digits: i32,
    /// What `'now'`, `'today'` mean: microseconds since 2000-01-01 UTC.
    pub now_micros: i64,
    /// For names of the `reg*` types.
    pub catalog: Option<Arc<dyn CatalogFunctions>>,
    pub session: Option<Arc<SessionView>>,
}

impl Default for FormatOptions {
    fn default() -> FormatOptions {
        FormatOptions {
            time_zone: TimeZone::UTC,
            date_style: DateStyle::default(),
            date_order: DateOrder::default(),
            interval_style: IntervalStyle::default(),
            bytea_escape: false,
            extra_float_digits: 1,
            now_micros: 0,
            catalog: None,
            session: None,
        }
    }
}

impl FormatOptions {
    /// From the session's settings; what is not set or not understood has PostgreSQL's default.
    pub fn from_session(session: &SessionView) -> FormatOptions {
        let mut options = FormatOptions::default();
        if let Some(zone) = timezone::find(&session.time_zone) {
            options.time_zone = zone;
        }
        for word in session.settings.get("datestyle").map_or("", String::as_str).split(',') {
            match word.trim().to_ascii_lowercase().as_str() {
                "iso" => options.date_style = DateStyle::Iso,
                "sql" => options.date_style = DateStyle::Sql,
                "german" => options.date_style = DateStyle::German,
                "postgres" => options.date_style = DateStyle::Postgres,
                "dmy" => options.date_order = DateOrder::DayMonthYear,
                "mdy" => options.date_order = DateOrder::MonthDayYear,
                "ymd" => options.date_order = DateOrder::YearMonthDay,
                _ => {}
            }
        }
        options.interval_style = match session.settings.get("intervalstyle").map_or("", String::as_str) {
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => IntervalStyle::Postgres,
        };
        options.bytea_escape = session.settings.get("bytea_output").is_some_and(|value| value == "escape");
        if let Some(digits) = session.settings.get("extra_float_digits").and_then(|value| value.parse().ok()) {
            options.extra_float_digits = digits;
        }
        options
    }
}
