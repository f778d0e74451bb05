//! How a workload's operations look in a file.

use std::fmt::Write;

use super::{Names, Outcome, Step};
use crate::edn::{Cursor, Error};

/// An operation's `:f` and `:value`.
pub trait Body: Clone {
    /// Reads an invocation or an answer. `None`: this `:f` is not of this workload.
    fn decode(f: &str, value: &mut Cursor<'_>, names: &mut Names) -> Result<Option<Self>, Error>;

    /// Appends the value, without what only the answer holds unless `answered`; the `:f`.
    fn encode(&self, answered: bool, names: &Names, out: &mut String) -> &'static str;

    /// The completion's `:type` and `:error`.
    fn completion(&self, outcome: Outcome) -> (&'static str, Option<&'static str>) {
        match outcome {
            Outcome::Committed => (":ok", None),
            Outcome::Aborted => (":fail", None),
            Outcome::Unknown => (":info", None),
        }
    }

    /// A `:fail` with an `:error` that is an answer: a compare-and-set that did not match has read something.
    fn refused(&self, _error: &str) -> Option<Self> {
        None
    }
}

/// Transactions over lists: `[[:append 5 1] [:r 5 [1]] [:scan [0 9] {5 [1]}]]`.
impl Body for Vec<Step> {
    fn decode(f: &str, value: &mut Cursor<'_>, names: &mut Names) -> Result<Option<Self>, Error> {
        if f != "txn" {
            return Ok(None);
        }
        decode_steps(value, |name, cursor| match name {
            "append" => Ok(Step::Append { key: names.read(cursor)?, value: names.read(cursor)? }),
            "r" | "read" => Ok(Step::Read { key: names.read(cursor)?, seen: decode_list(cursor, names)? }),
            "scan" => decode_scan(cursor, names),
            other => Err(cursor.error(format!("`:{other}` is no step of list-append: :append, :r or :scan"))),
        })
        .map(Some)
    }

    fn encode(&self, answered: bool, names: &Names, out: &mut String) -> &'static str {
        encode_steps(self, out, |step, out| encode_list_step(step, answered, names, out));
        "txn"
    }
}

/// Reads `[[:name …] …]`; `step` reads what follows the name.
pub fn decode_steps<S>(
    cursor: &mut Cursor<'_>,
    mut step: impl FnMut(&str, &mut Cursor<'_>) -> Result<S, Error>,
) -> Result<Vec<S>, Error> {
    let mut steps = Vec::new();
    if cursor.nil()? {
        return Ok(steps);
    }
    let close = cursor.open_list()?;
    while !cursor.take(close)? {
        let close = cursor.open_list()?;
        let name = cursor.keyword()?;
        steps.push(step(name, cursor)?);
        cursor.expect(close)?;
    }
    Ok(steps)
}

pub fn encode_steps<S>(steps: &[S], out: &mut String, mut encode: impl FnMut(&S, &mut String)) {
    out.push('[');
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        encode(step, out);
    }
    out.push(']');
}

fn decode_list(cursor: &mut Cursor<'_>, names: &mut Names) -> Result<Option<Vec<u64>>, Error> {
    if cursor.nil()? {
        return Ok(None);
    }
    let close = cursor.open_list()?;
    let mut list = Vec::new();
    while !cursor.take(close)? {
        list.push(names.read(cursor)?);
    }
    list.shrink_to_fit();
    Ok(Some(list))
}

fn decode_scan(cursor: &mut Cursor<'_>, names: &mut Names) -> Result<Step, Error> {
    let bound = |cursor: &mut Cursor<'_>| match cursor.natural()? {
        Some(number) => Ok(number),
        None => Err(cursor.error("the bounds of a :scan are natural numbers")),
    };
    let close = cursor.open_list()?;
    let (from, to) = (bound(cursor)?, bound(cursor)?);
    cursor.expect(close)?;
    if cursor.nil()? {
        return Ok(Step::Scan { from, to, seen: None });
    }
    cursor.expect(b'{')?;
    let mut seen = Vec::new();
    while !cursor.take(b'}')? {
        seen.push((bound(cursor)?, decode_list(cursor, names)?.unwrap_or_default()));
    }
    Ok(Step::Scan { from, to, seen: Some(seen) })
}

pub fn encode_list_step(step: &Step, answered: bool, names: &Names, out: &mut String) {
    let _ = match step {
        Step::Append { key, value } => write!(out, "[:append {} {}]", names.show(*key), names.show(*value)),
        Step::Read { key, seen: Some(list) } if answered => {
            let _ = write!(out, "[:r {} ", names.show(*key));
            encode_list(list, names, out);
            write!(out, "]")
        }
        Step::Read { key, .. } => write!(out, "[:r {} nil]", names.show(*key)),
        Step::Scan { from, to, seen: Some(lists) } if answered => {
            let _ = write!(out, "[:scan [{from} {to}] {{");
            for (at, (key, list)) in lists.iter().enumerate() {
                let _ = write!(out, "{}{} ", if at > 0 { ", " } else { "" }, names.show(*key));
                encode_list(list, names, out);
            }
            write!(out, "}}]")
        }
        Step::Scan { from, to, .. } => write!(out, "[:scan [{from} {to}] nil]"),
    };
}

fn encode_list(list: &[u64], names: &Names, out: &mut String) {
    out.push('[');
    for (at, value) in list.iter().enumerate() {
        let _ = write!(out, "{}{}", if at > 0 { " " } else { "" }, names.show(*value));
    }
    out.push(']');
}
