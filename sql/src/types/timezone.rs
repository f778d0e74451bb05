//! Time zones by PostgreSQL's names: IANA names, abbreviations, POSIX offsets (west is positive) and ISO offsets.

use jiff::tz::{Offset, TimeZone};

/// Finds a zone for the `TimeZone` setting and `AT TIME ZONE`. A bare number of hours is east of Greenwich; a signed offset
/// in a POSIX name (`UTC+3`) is west, as PostgreSQL documents.
pub fn find(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") || name.eq_ignore_ascii_case("z") {
        return Some(TimeZone::UTC);
    }
    if name.starts_with(['+', '-']) || name.as_bytes()[0].is_ascii_digit() {
        return offset_of(name).and_then(fixed);
    }
    if let Some(seconds) = abbreviation(name) {
        return fixed(seconds);
    }
    // The database holds every name of IANA; a lookup is cached by jiff.
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    // POSIX: letters and an offset to the west, such as `UTC+3`.
    let digits = name.find(['+', '-'])?;
    let (letters, offset) = name.split_at(digits);
    letters.chars().all(|c| c.is_ascii_alphabetic()).then(|| offset_of(offset)).flatten().and_then(|s| fixed(-s))
}

/// Finds a zone for `AT TIME ZONE`, where a bare offset is read as a POSIX name has it: west of Greenwich is positive.
pub fn find_for_conversion(name: &str) -> Option<TimeZone> {
    match name.trim().starts_with(['+', '-']) {
        true => offset_of(name.trim()).and_then(|seconds| fixed(-seconds)),
        false => find(name),
    }
}

fn fixed(seconds: i32) -> Option<TimeZone> {
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}

/// Seconds east of Greenwich of `+05`, `-03:30`, `+0530`, `+01:02:03`, `5.5`.
pub fn offset_of(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.') {
        return None;
    }
    if digits.contains('.') {
        return digits.parse::<f64>().ok().map(|hours| sign * (hours * 3600.0) as i32);
    }
    let parts: Vec<&str> = digits.split(':').collect();
    let number = |part: &str| part.parse::<i32>().ok();
    let (hours, minutes, seconds) = match parts[..] {
        [all] if all.len() > 4 => (number(&all[..2])?, number(&all[2..4])?, number(&all[4..])?),
        [all] if all.len() > 2 => {
            let (hours, minutes) = all.split_at(all.len() - 2);
            (number(hours)?, number(minutes)?, 0)
        }
        [hours] => (number(hours)?, 0, 0),
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
        _ => return None,
    };
    (hours <= 15 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// The usual abbreviations of PostgreSQL's default set that name one offset.
pub fn abbreviation(name: &str) -> Option<i32> {
    let hours = |hours: i32| Some(hours * 3600);
    match name.to_ascii_uppercase().as_str() {
        "UTC" | "UT" | "GMT" | "Z" | "ZULU" | "WET" => hours(0),
        "EST" => hours(-5),
        "EDT" => hours(-4),
        "CST" => hours(-6),
        "CDT" => hours(-5),
        "MST" => hours(-7),
        "MDT" => hours(-6),
        "PST" => hours(-8),
        "PDT" => hours(-7),
        "AKST" => hours(-9),
        "AKDT" => hours(-8),
        "HST" => hours(-10),
        "BST" => hours(1),
        "CET" | "MET" | "WEST" => hours(1),
        "CEST" | "EET" | "MEST" => hours(2),
        "EEST" | "MSK" => hours(3),
        "JST" | "KST" => hours(9),
        "AEST" => hours(10),
        "AEDT" => hours(11),
        "NZST" => hours(12),
        "NZDT" => hours(13),
        _ => None,
    }
}

/// Seconds east of Greenwich at an instant (microseconds since 2000-01-01 UTC).
pub fn offset_at(zone: &TimeZone, micros: i64) -> i32 {
    if let Ok(offset) = zone.to_fixed_offset() {
        return offset.seconds();
    }
    // Beyond jiff's years the rules of its last year hold, shifted by whole cycles of 400 years.
    zone.to_offset(instant(micros)).seconds()
}

/// The abbreviation in force at an instant, for `to_char` and the non-ISO date styles.
pub fn abbreviation_at(zone: &TimeZone, micros: i64) -> String {
    zone.to_offset_info(instant(micros)).abbreviation().to_owned()
}

const POSTGRES_EPOCH_SECONDS: i64 = 946_684_800;
const CYCLE_MICROS: i64 = 146_097 * 86_400_000_000;
/// Years 1 to 9998 or so, as far as jiff goes with room to spare.
const MIN_MICROS: i64 = -1999 * 365 * 86_400_000_000;
const MAX_MICROS: i64 = 7900 * 365 * 86_400_000_000;

fn instant(micros: i64) -> jiff::Timestamp {
    let mut micros = micros;
    if micros > MAX_MICROS {
        micros = MAX_MICROS - CYCLE_MICROS + (micros - MAX_MICROS).rem_euclid(CYCLE_MICROS);
    }
    let seconds = micros.max(MIN_MICROS).div_euclid(1_000_000) + POSTGRES_EPOCH_SECONDS;
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// The instant of a local time. In a gap the offset before it holds, in a fold the one after it, as PostgreSQL chooses.
pub fn local_to_utc(zone: &TimeZone, local_micros: i64) -> i64 {
    let shift = |offset: i32| local_micros - i64::from(offset) * 1_000_000;
    if let Ok(offset) = zone.to_fixed_offset() {
        return shift(offset.seconds());
    }
    // The offsets a day before and after bracket any transition near this local time.
    let before = offset_at(zone, local_micros.saturating_sub(86_400_000_000));
    let after = offset_at(zone, local_micros.saturating_add(86_400_000_000));
    let valid = |offset: i32| offset_at(zone, shift(offset)) == offset;
    if valid(after) {
        return shift(after);
    }
    let near = offset_at(zone, shift(before));
    if !valid(before) && valid(near) {
        return shift(near);
    }
    shift(before)
}
