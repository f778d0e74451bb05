//! `to_char`, `to_date`, `to_timestamp` and `to_number`: templates. Those of numbers are in `format_number`.

use crate::{
    error::{Result, SqlError, SqlState},
    expr::function::{Registry, define},
    types::{
        Interval,
        convert::{Date, Timestamp, TimestampTz},
        datetime::{self, MICROS_PER_DAY, MICROS_PER_SECOND, MONTHS, WEEKDAYS},
        timezone,
    },
};

use super::datetime::zone;

pub(super) fn register(registry: &mut Registry) {
    define!(registry, "to_char(timestamp, text) text", |_, at: Timestamp, template: &str| {
        (!datetime::is_infinite(at.0)).then(|| to_char(at.0, template, None))
    });
    define!(registry, "to_char(timestamptz, text) text", |call, at: TimestampTz, template: &str| {
        (!datetime::is_infinite(at.0)).then(|| {
            let offset = timezone::offset_at(zone(call), at.0);
            let name = timezone::abbreviation_at(zone(call), at.0);
            to_char(datetime::to_zone(at.0, zone(call)), template, Some((offset, &name)))
        })
    })
    .stable();
    define!(registry, "to_char(interval, text) text", |_, span: Interval, template: &str| interval_to_char(
        span, template
    ));
    define!(registry, "to_date(text, text) date", |_, text: &str, template: &str| {
        parse(text, template).map(|micros| Date(datetime::timestamp_to_date(micros)))
    });
    define!(registry, "to_timestamp(text, text) timestamptz", |call, text: &str, template: &str| {
        datetime::from_local(parse(text, template)?, zone(call)).map(TimestampTz)
    })
    .stable();
    super::format_number::register(registry);
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(String),
    Field { name: &'static str, as_written: String, fill: bool, ordinal: Option<bool> },
}

/// Fields by name, longer ones before their prefixes. Lower case is tried as upper case.
const FIELDS: &[&str] = &[
    "SSSSS", "SSSS", "Y,YYY", "YYYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "IDDD", "ID", "IW", "I", "A.D.", "B.C.",
    "A.M.", "P.M.", "AD", "BC", "AM", "PM", "MONTH", "MON", "MM", "MI", "MS", "DAY", "DDD", "DD", "DY", "D", "HH24",
    "HH12", "HH", "SS", "US", "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "TZH", "TZM", "TZ", "OF", "WW", "W", "CC", "J",
    "Q", "RM",
];

fn pieces(template: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = template;
    let mut literal = String::new();
    let mut no_fill = false;
    while let Some(c) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut end = quoted.len();
            let mut escaped = false;
            for (at, c) in quoted.char_indices() {
                match c {
                    '"' if !escaped => {
                        end = at;
                        break;
                    }
                    '\\' if !escaped => escaped = true,
                    c => {
                        literal.push(c);
                        escaped = false;
                    }
                }
            }
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        let upper = |count: usize| rest.get(..count).map(str::to_ascii_uppercase);
        if upper(2).as_deref() == Some("FM") {
            no_fill = true;
            rest = &rest[2..];
            continue;
        }
        let field = FIELDS.iter().find(|field| upper(field.len()).as_deref() == Some(**field));
        let Some(field) = field else {
            literal.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        let as_written = rest[..field.len()].to_owned();
        rest = &rest[field.len()..];
        let ordinal = match rest.get(..2) {
            Some("TH") => Some(true),
            Some("th") => Some(false),
            _ => None,
        };
        if ordinal.is_some() {
            rest = &rest[2..];
        }
        pieces.push(Piece::Field { name: field, as_written, fill: !std::mem::take(&mut no_fill), ordinal });
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

/// Formats a local time; `zone` is its offset and abbreviation.
pub(super) fn to_char(local: i64, template: &str, zone: Option<(i32, &str)>) -> String {
    let mut out = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Literal(text) => out.push_str(&text),
            Piece::Field { name, as_written, fill, ordinal } => {
                let text = field(name, &as_written, local, zone, fill);
                out.push_str(&text);
                if let Some(upper) = ordinal {
                    out.push_str(&ordinal_suffix(&text, upper));
                }
            }
        }
    }
    out
}

pub(super) fn ordinal_suffix(number: &str, upper: bool) -> String {
    let digits = number.trim().as_bytes();
    let last = digits.last().copied().unwrap_or(b'0');
    let teen = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    let suffix = match last {
        b'1' if !teen => "st",
        b'2' if !teen => "nd",
        b'3' if !teen => "rd",
        _ => "th",
    };
    if upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() }
}

/// A name in the case in which its field was written, padded to the longest.
fn cased(name: &str, as_written: &str, width: usize, fill: bool) -> String {
    let mut letters = as_written.chars();
    let first_upper = letters.next().is_some_and(char::is_uppercase);
    let second_upper = letters.next().is_some_and(char::is_uppercase);
    let text = match (first_upper, second_upper) {
        (true, true) => name.to_uppercase(),
        (true, false) => name.to_owned(),
        _ => name.to_lowercase(),
    };
    if fill { format!("{text:width$}") } else { text }
}

const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

fn field(name: &str, as_written: &str, local: i64, zone: Option<(i32, &str)>, fill: bool) -> String {
    let fields = datetime::fields(local);
    let days = local.div_euclid(MICROS_PER_DAY) as i32;
    let number = |value: i64, width: usize| if fill { format!("{value:0width$}") } else { value.to_string() };
    let shown_year = |year: i32| i64::from(if year > 0 { year } else { 1 - year });
    let year = shown_year(fields.year);
    let hour12 = match fields.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = |afternoon: &str, morning: &str| {
        let text = if fields.hour() >= 12 { afternoon } else { morning };
        if as_written.starts_with(|c: char| c.is_lowercase()) { text.to_lowercase() } else { text.to_owned() }
    };
    let era = |christ: &str, before: &str| {
        let text = if fields.year > 0 { christ } else { before };
        if as_written.starts_with(|c: char| c.is_lowercase()) { text.to_lowercase() } else { text.to_owned() }
    };
    let (iso_year, iso_week) = datetime::iso_week(days);
    let iso_day = i64::from((datetime::weekday(days) + 6) % 7 + 1);
    let month = &MONTHS[fields.month as usize - 1];
    let weekday = &WEEKDAYS[datetime::weekday(days) as usize];
    match name {
        "Y,YYY" => format!("{},{:03}", year / 1000, year % 1000),
        "YYYY" => number(year, 4),
        "YYY" => number(year % 1000, 3),
        "YY" => number(year % 100, 2),
        "Y" => number(year % 10, 1),
        "IYYY" => number(shown_year(iso_year), 4),
        "IYY" => number(shown_year(iso_year) % 1000, 3),
        "IY" => number(shown_year(iso_year) % 100, 2),
        "I" => number(shown_year(iso_year) % 10, 1),
        "IDDD" => number((i64::from(iso_week) - 1) * 7 + iso_day, 3),
        "ID" => number(iso_day, 1),
        "IW" => number(i64::from(iso_week), 2),
        "A.D." | "B.C." => era("A.D.", "B.C."),
        "AD" | "BC" => era("AD", "BC"),
        "A.M." | "P.M." => half("P.M.", "A.M."),
        "AM" | "PM" => half("PM", "AM"),
        "MONTH" => cased(month, as_written, 9, fill),
        "MON" => cased(&month[..3], as_written, 0, false),
        "MM" => number(i64::from(fields.month), 2),
        "RM" => cased(ROMAN[fields.month as usize - 1], if as_written == "rm" { "rm" } else { "RM" }, 4, fill),
        "DAY" => cased(weekday, as_written, 9, fill),
        "DY" => cased(&weekday[..3], as_written, 0, false),
        "DDD" => number(datetime::day_of_year(fields.year, fields.month, fields.day), 3),
        "DD" => number(i64::from(fields.day), 2),
        "D" => number(i64::from(datetime::weekday(days)) + 1, 1),
        "HH24" => number(fields.hour(), 2),
        "HH12" | "HH" => number(hour12, 2),
        "MI" => number(fields.minute(), 2),
        "SS" => number(fields.second(), 2),
        "SSSS" | "SSSSS" => (fields.micros / MICROS_PER_SECOND).to_string(),
        "MS" => number(fields.fraction() / 1000, 3),
        "US" => number(fields.fraction(), 6),
        "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
            let digits = usize::from(name.as_bytes()[2] - b'0');
            format!("{:06}", fields.fraction())[..digits].to_owned()
        }
        "TZ" => {
            let abbreviation = zone.map_or("", |(_, name)| name);
            if as_written == "tz" { abbreviation.to_lowercase() } else { abbreviation.to_owned() }
        }
        "TZH" => zone.map_or(String::from("+00"), |(offset, _)| {
            format!("{}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3600)
        }),
        "TZM" => zone.map_or(String::from("00"), |(offset, _)| format!("{:02}", offset.abs() / 60 % 60)),
        "OF" => {
            let mut text = String::new();
            datetime::write_offset(zone.map_or(0, |(offset, _)| offset), &mut text);
            text
        }
        "WW" => number((datetime::day_of_year(fields.year, fields.month, fields.day) - 1) / 7 + 1, 2),
        "W" => number(i64::from((fields.day - 1) / 7 + 1), 1),
        "CC" => number((year + 99) / 100, 2),
        "J" => (i64::from(days) + 2_451_545).to_string(),
        "Q" => number(i64::from((fields.month - 1) / 3 + 1), 1),
        _ => String::new(),
    }
}

fn interval_to_char(span: Interval, template: &str) -> String {
    let mut out = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Literal(text) => out.push_str(&text),
            Piece::Field { name, fill, .. } => {
                let number =
                    |value: i64, width: usize| if fill { format!("{value:0width$}") } else { value.to_string() };
                let hours = span.micros / 3_600_000_000;
                out.push_str(&match name {
                    "YYYY" => number(i64::from(span.months / 12), 4),
                    "YY" => number(i64::from(span.months / 12 % 100), 2),
                    "MM" => number(i64::from(span.months % 12), 2),
                    "DD" => number(i64::from(span.days), 2),
                    "HH24" => number(hours, 2),
                    "HH12" | "HH" => number(if hours % 12 == 0 { 12 } else { hours % 12 }, 2),
                    "MI" => number(span.micros / 60_000_000 % 60, 2),
                    "SS" => number(span.micros / MICROS_PER_SECOND % 60, 2),
                    "MS" => number(span.micros % MICROS_PER_SECOND / 1000, 3),
                    "US" => number(span.micros % MICROS_PER_SECOND, 6),
                    "SSSS" | "SSSSS" => (span.micros / MICROS_PER_SECOND).to_string(),
                    _ => String::new(),
                });
            }
        }
    }
    out
}

/// What a text said in the places of a template.
#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    hour: i64,
    twelve_hours: bool,
    minute: i64,
    second: i64,
    micros: i64,
    of_day: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    julian: Option<i64>,
    offset: Option<i64>,
}

/// Reads a text by a template; the result is local time.
fn parse(text: &str, template: &str) -> Result<i64> {
    let mut found = Found::default();
    let mut rest = text.trim_start();
    let pieces = pieces(template);
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(literal) => {
                // A separator matches any separator, or none; blanks are passed over.
                for c in literal.chars() {
                    rest = match rest.strip_prefix(c) {
                        Some(tail) => tail,
                        None if c.is_whitespace() => rest.trim_start(),
                        None if c.is_alphanumeric() => skip_one(rest),
                        None => rest.strip_prefix(|c: char| c.is_ascii_punctuation() && c != '+').unwrap_or(rest),
                    };
                }
            }
            Piece::Field { name, ordinal, .. } => {
                // Followed by another field without a separator, a number has a fixed width.
                let tight = matches!(pieces.get(index + 1), Some(Piece::Field { .. }));
                rest = take_field(name, tight, rest.trim_start(), &mut found)?;
                if ordinal.is_some() {
                    rest = rest.get(2..).unwrap_or("");
                }
            }
        }
    }
    found.local(text)
}

fn skip_one(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

fn invalid(value: &str, field: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid value \"{value}\" for \"{field}\""))
}

fn take_number<'a>(text: &'a str, field: &str, width: usize) -> Result<(i64, &'a str)> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take(width).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(sign + digits);
    let number = number.trim_start_matches('+');
    match number.parse() {
        Ok(value) => Ok((value, rest)),
        Err(_) => {
            let shown: String = text.chars().take(width.min(4)).collect();
            Err(invalid(&shown, field).detail("Value must be an integer."))
        }
    }
}

fn take_field<'a>(name: &str, tight: bool, text: &'a str, found: &mut Found) -> Result<&'a str> {
    let number = |width: usize| take_number(text, name, if tight { width } else { 9 });
    let names = |names: &[&str], short: bool| {
        let lower = text.to_lowercase();
        let at = names
            .iter()
            .position(|name| lower.starts_with(&if short { name[..3].to_lowercase() } else { name.to_lowercase() }));
        let shown: String = text.chars().take(if short { 3 } else { 9 }).collect();
        let message = "The given value did not match any of the allowed values for this field.";
        let at = at.ok_or_else(|| invalid(&shown, name).detail(message))?;
        Ok::<_, SqlError>((at as i64 + 1, &text[if short { 3 } else { names[at].len() }..]))
    };
    let mut store = |slot: fn(&mut Found) -> &mut Option<i64>, (value, rest): (i64, &'a str)| {
        *slot(found) = Some(value);
        rest
    };
    Ok(match name {
        "YYYY" | "Y,YYY" => store(|found| &mut found.year, number(4)?),
        "YYY" | "YY" | "Y" => {
            let width = name.len();
            let (value, rest) = take_number(text, name, if tight { width } else { 4 })?;
            // Short years are those nearest to 2020.
            let full = match text.len() - rest.len() {
                4.. => value,
                3 => value + if value >= 520 { 1000 } else { 2000 },
                _ => value + if value >= 70 { 1900 } else { 2000 },
            };
            store(|found| &mut found.year, (full, rest))
        }
        "IYYY" => store(|found| &mut found.iso_year, number(4)?),
        "IW" => store(|found| &mut found.iso_week, number(2)?),
        "ID" => store(|found| &mut found.iso_day, number(1)?),
        "MM" => store(|found| &mut found.month, number(2)?),
        "MONTH" => store(|found| &mut found.month, names(&MONTHS, false)?),
        "MON" => store(|found| &mut found.month, names(&MONTHS, true)?),
        "DD" => store(|found| &mut found.day, number(2)?),
        "DDD" => store(|found| &mut found.day_of_year, number(3)?),
        "J" => store(|found| &mut found.julian, number(7)?),
        "SSSS" | "SSSSS" => store(|found| &mut found.of_day, number(5)?),
        "DAY" => names(&WEEKDAYS, false)?.1,
        "DY" => names(&WEEKDAYS, true)?.1,
        _ => take_clock(name, tight, text, found)?,
    })
}

fn take_clock<'a>(name: &str, tight: bool, text: &'a str, found: &mut Found) -> Result<&'a str> {
    let number = |width: usize| take_number(text, name, if tight { width } else { 9 });
    let fraction = |digits: usize| -> Result<(i64, &'a str)> {
        let (_, rest) = take_number(text, name, digits)?;
        let used = &text[..text.len() - rest.len()];
        let padded = format!("{used:0<6}");
        Ok((padded[..6].parse().unwrap_or(0), rest))
    };
    let rest;
    match name {
        "HH24" => (found.hour, rest) = number(2)?,
        "HH12" | "HH" => {
            (found.hour, rest) = number(2)?;
            found.twelve_hours = true;
            if !(1..=12).contains(&found.hour) {
                let message = format!("hour \"{}\" is invalid for the 12-hour clock", found.hour);
                return Err(SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
                    .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
        }
        "MI" => (found.minute, rest) = number(2)?,
        "SS" => (found.second, rest) = number(2)?,
        "MS" => (found.micros, rest) = fraction(3)?,
        "US" | "FF6" => (found.micros, rest) = fraction(6)?,
        "FF1" | "FF2" | "FF3" | "FF4" | "FF5" => {
            (found.micros, rest) = fraction(usize::from(name.as_bytes()[2] - b'0'))?;
        }
        "AM" | "PM" | "A.M." | "P.M." => {
            found.afternoon = Some(text.starts_with(['p', 'P']));
            rest = text.get(name.len()..).unwrap_or("");
        }
        "AD" | "BC" | "A.D." | "B.C." => {
            found.before_christ = text.starts_with(['b', 'B']);
            rest = text.get(name.len()..).unwrap_or("");
        }
        "TZH" => {
            let (hours, tail) = take_number(text, name, 2)?;
            found.offset = Some(hours * 3600);
            rest = tail;
        }
        "TZM" => {
            let (minutes, tail) = take_number(text, name, 2)?;
            let hours = found.offset.unwrap_or(0);
            found.offset = Some(hours + if hours < 0 { -minutes } else { minutes } * 60);
            rest = tail;
        }
        _ => return Err(SqlError::unsupported(format!("reading the template field \"{name}\""))),
    }
    Ok(rest)
}

impl Found {
    fn local(&self, text: &str) -> Result<i64> {
        let out_of_range = || {
            SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date/time field value out of range: \"{text}\""))
        };
        let days = if let Some(julian) = self.julian {
            julian - 2_451_545
        } else if let (Some(year), Some(week)) = (self.iso_year, self.iso_week) {
            datetime::iso_week_start(year, week) + self.iso_day.unwrap_or(1) - 1
        } else {
            let year = match self.year.or(self.iso_year) {
                Some(year) if self.before_christ => 1 - year,
                Some(year) => year,
                // Without a year PostgreSQL takes 1 BC.
                None => 0,
            };
            match self.day_of_year {
                Some(day) => datetime::days_from_civil(year, 1, 1) + day - 1,
                None => {
                    let narrow = |value: Option<i64>| u32::try_from(value.unwrap_or(1)).map_err(|_| out_of_range());
                    let (month, day) = (narrow(self.month)?, narrow(self.day)?);
                    i64::from(datetime::make_date(year, month, day).ok_or_else(out_of_range)?)
                }
            }
        };
        let hour = match (self.afternoon, self.twelve_hours) {
            (Some(true), _) if self.hour < 12 => self.hour + 12,
            (Some(false), _) | (None, true) if self.hour == 12 => 0,
            _ => self.hour,
        };
        if !(0..24).contains(&hour) || !(0..60).contains(&self.minute) || !(0..60).contains(&self.second) {
            return Err(out_of_range());
        }
        let seconds = self.of_day.unwrap_or(hour * 3600 + self.minute * 60 + self.second);
        let micros = seconds * MICROS_PER_SECOND + self.micros;
        datetime::timestamp(days, micros - self.offset.unwrap_or(0) * MICROS_PER_SECOND)
    }
}
