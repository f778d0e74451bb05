//! Statements by *fingerprint*: their text without comments and constants. What was called how often, how long it took, what
//! went wrong; for `locus.statement_stats`, in the manner of PostgreSQL's `pg_stat_statements`. Bounded: where there are too
//! many, those that were called least are forgotten.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use base::Monotonic;
use parking_lot::Mutex;

use super::{Portal, Session, Step};
use crate::{
    error::{Result, SqlError, SqlState},
    plan,
};

/// Fingerprints that one gateway keeps.
const FINGERPRINTS_MAX: usize = 1000;
/// So many are forgotten at once when there are too many.
const FORGOTTEN_AT_ONCE: usize = FINGERPRINTS_MAX / 20;
/// A fingerprint is cut here.
const FINGERPRINT_BYTES_MAX: usize = 4 << 10;

#[derive(Default)]
pub struct Statistics {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_fingerprint: HashMap<Arc<str>, StatementStatistics>,
    totals: Totals,
}

/// Sums over everything, also over what was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub calls: u64,
    pub errors: u64,
    pub retries: u64,
    pub rows: u64,
    pub micros: u64,
    /// Fingerprints that were forgotten.
    pub forgotten: u64,
}

#[derive(Clone, Default)]
pub struct StatementStatistics {
    pub calls: u64,
    pub rows: u64,
    /// Attempts beyond the first, which the client did not see.
    pub retries: u64,
    pub errors: BTreeMap<&'static str, u64>,
    pub micros: u64,
    pub micros_min: u64,
    pub micros_max: u64,
    /// Sum of the squares of the times in milliseconds, for the standard deviation.
    squares: f64,
    /// Microseconds since 1970.
    pub first_call: i64,
    pub last_call: i64,
    /// The plan of the last call that had one.
    pub(crate) plan: Option<Arc<plan::Statement>>,
}

/// One call.
pub struct Call<'a> {
    pub text: &'a str,
    /// False for the continuation of a call: more rows of a portal.
    pub first: bool,
    pub took: Duration,
    pub rows: u64,
    pub error: Option<SqlState>,
    pub retries: u64,
    pub(crate) plan: Option<Arc<plan::Statement>>,
    /// Microseconds since 1970.
    pub at: i64,
}

impl Statistics {
    pub fn record(&self, call: Call<'_>) {
        let fingerprint = fingerprint(call.text);
        let mut state = self.state.lock();
        state.totals.add(&call);
        if let Some(known) = state.by_fingerprint.get_mut(fingerprint.as_str()) {
            return known.add(call);
        }
        if state.by_fingerprint.len() >= FINGERPRINTS_MAX {
            state.forget();
        }
        let mut first = StatementStatistics { first_call: call.at, micros_min: u64::MAX, ..Default::default() };
        first.add(call);
        state.by_fingerprint.insert(fingerprint.into(), first);
    }

    /// By fingerprint, the one that took most time first.
    pub fn list(&self) -> Vec<(Arc<str>, StatementStatistics)> {
        let mut all: Vec<(Arc<str>, StatementStatistics)> = {
            let state = self.state.lock();
            let entries = state.by_fingerprint.iter();
            entries.map(|(text, statistics)| (Arc::clone(text), statistics.clone())).collect()
        };
        all.sort_by(|(text, a), (other, b)| b.micros.cmp(&a.micros).then_with(|| text.cmp(other)));
        all
    }

    pub fn totals(&self) -> Totals {
        self.state.lock().totals
    }
}

impl Session {
    /// For the statistics of statements: one call, or the continuation of one.
    pub(super) fn count(&mut self, portal: &Portal, first: bool, started: Monotonic, outcome: &Result<Step>) {
        let runtime = &self.database.client.runtime;
        self.database.statistics.record(Call {
            text: &portal.prepared.statement.text,
            first,
            took: runtime.now().since(started),
            rows: match outcome {
                Ok(Step::Complete(_, tag)) => rows_of_tag(tag),
                _ => 0,
            },
            error: outcome.as_ref().err().map(SqlError::state),
            retries: std::mem::take(&mut self.retries),
            plan: portal.prepared.plan(),
            at: runtime.wall_micros(),
        });
    }
}

impl State {
    fn forget(&mut self) {
        let mut calls: Vec<(u64, i64, Arc<str>)> =
            self.by_fingerprint.iter().map(|(text, known)| (known.calls, known.last_call, Arc::clone(text))).collect();
        calls.sort_unstable();
        for (_, _, text) in calls.into_iter().take(FORGOTTEN_AT_ONCE) {
            self.by_fingerprint.remove(&text);
            self.totals.forgotten += 1;
        }
    }
}

impl Totals {
    fn add(&mut self, call: &Call<'_>) {
        self.calls += u64::from(call.first);
        self.errors += u64::from(call.error.is_some());
        self.retries += call.retries;
        self.rows += call.rows;
        self.micros += call.took.as_micros() as u64;
    }
}

impl StatementStatistics {
    fn add(&mut self, call: Call<'_>) {
        let micros = call.took.as_micros() as u64;
        self.calls += u64::from(call.first);
        self.rows += call.rows;
        self.retries += call.retries;
        self.micros += micros;
        self.micros_min = self.micros_min.min(micros);
        self.micros_max = self.micros_max.max(micros);
        self.squares += (micros as f64 / 1000.0).powi(2);
        self.last_call = call.at;
        if let Some(state) = call.error {
            *self.errors.entry(state.0).or_default() += 1;
        }
        if call.plan.is_some() {
            self.plan = call.plan;
        }
    }

    pub fn mean_millis(&self) -> f64 {
        self.micros as f64 / 1000.0 / self.calls.max(1) as f64
    }

    pub fn stddev_millis(&self) -> f64 {
        let mean = self.mean_millis();
        (self.squares / self.calls.max(1) as f64 - mean * mean).max(0.0).sqrt()
    }
}

/// Rows that a statement has returned or changed: the last number of its command tag.
pub fn rows_of_tag(tag: &str) -> u64 {
    tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// A text as everybody may see it: constants are left out where they may be secrets.
pub fn without_secrets(text: &Arc<str>) -> Arc<str> {
    const WORDS: [&[u8]; 4] = [b"password", b"otp", b"secret", b"token"];
    let holds = |word: &[u8]| text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    if WORDS.iter().any(|word| holds(word)) { fingerprint(text).into() } else { Arc::clone(text) }
}

/// The text without comments, with single spaces, and with `$n` for every constant; a list of constants counts as one.
pub fn fingerprint(text: &str) -> String {
    let mut normal =
        Normal { output: String::with_capacity(text.len().min(FINGERPRINT_BYTES_MAX)), ..Normal::default() };
    normal.next = greatest_parameter(text) + 1;
    let mut rest = text;
    while !rest.is_empty() && normal.output.len() < FINGERPRINT_BYTES_MAX {
        rest = normal.take(rest);
    }
    normal.output.truncate(normal.output.trim_end_matches([' ', ';']).len());
    normal.output
}

#[derive(Default)]
struct Normal {
    output: String,
    /// The number of the next constant.
    next: u32,
    /// White space was passed over.
    space: bool,
    /// How long the output was when it ended in a constant, and when it ended in a constant and a comma.
    constant_at: Option<usize>,
    comma_at: Option<usize>,
}

impl Normal {
    /// Takes one token and returns what is left.
    fn take<'t>(&mut self, rest: &'t str) -> &'t str {
        let bytes = rest.as_bytes();
        let length = match bytes[0] {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                self.space = true;
                return &rest[1..];
            }
            b'-' if bytes.get(1) == Some(&b'-') => {
                self.space = true;
                return rest.find('\n').map_or("", |end| &rest[end..]);
            }
            b'/' if bytes.get(1) == Some(&b'*') => {
                self.space = true;
                return after_comment(rest);
            }
            b'\'' => return self.constant(rest, quoted(bytes, 0, false)),
            b'0'..=b'9' => return self.constant(rest, number(bytes)),
            b'.' if bytes.get(1).is_some_and(u8::is_ascii_digit) => return self.constant(rest, number(bytes)),
            b'$' => match dollar_quoted(rest) {
                Some(length) => return self.constant(rest, length),
                None => 1 + bytes[1..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
            },
            b'"' => quoted_name(bytes),
            first if is_name(first) => {
                let length = bytes.iter().take_while(|byte| is_name(**byte) || **byte == b'$').count();
                // E'…', B'…', X'…', N'…'
                if length == 1 && bytes.get(1) == Some(&b'\'') && b"eEbBxXnN".contains(&first) {
                    return self.constant(rest, quoted(bytes, 1, first.eq_ignore_ascii_case(&b'e')));
                }
                length
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        let (token, rest) = rest.split_at(length);
        self.comma_at = (token == "," && self.constant_at == Some(self.output.len())).then_some(self.output.len());
        self.put(token);
        if self.comma_at.is_some() {
            self.comma_at = Some(self.output.len());
        }
        rest
    }

    fn put(&mut self, token: &str) {
        if std::mem::take(&mut self.space) && !self.output.is_empty() {
            self.output.push(' ');
        }
        self.output.push_str(token);
    }

    fn constant<'t>(&mut self, rest: &'t str, length: usize) -> &'t str {
        const MORE: &str = " /*, ... */";
        let rest = &rest[length.min(rest.len())..];
        if self.comma_at.take().is_some_and(|at| at == self.output.len()) {
            // Another one of a list: the comma goes.
            self.output.pop();
            self.output.truncate(self.output.trim_end().len());
            self.space = false;
            if !self.output.ends_with(MORE) {
                self.output.push_str(MORE);
            }
        } else {
            let parameter = format!("${}", self.next);
            self.next += 1;
            self.put(&parameter);
        }
        self.constant_at = Some(self.output.len());
        rest
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of a string that begins with a quote at `start`.
fn quoted(bytes: &[u8], start: usize, backslashes: bool) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if backslashes => at += 1,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 1,
            b'\'' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn quoted_name(bytes: &[u8]) -> usize {
    bytes.iter().skip(1).position(|byte| *byte == b'"').map_or(bytes.len(), |end| end + 2)
}

/// `12`, `1.5e-3`, `.5`, `0x1F`, `1_000`.
fn number(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let exponent = matches!(byte, b'+' | b'-') && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent && !bytes.starts_with(b"0x")) {
            break;
        }
        at += 1;
    }
    at
}

/// The length of `$tag$…$tag$`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = text[1..].find('$')? + 2;
    let tag = &text[..tag_end];
    let name = &tag[1..tag.len() - 1];
    if name.bytes().any(|byte| !is_name(byte)) || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    Some(text[tag_end..].find(tag).map_or(text.len(), |end| tag_end + end + tag.len()))
}

/// Comments may be nested.
fn after_comment(text: &str) -> &str {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (1, 2);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return &text[at..];
        }
    }
    ""
}

fn greatest_parameter(text: &str) -> u32 {
    let numbers = text.split('$').skip(1).map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().unwrap_or(0)
    });
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
#[path = "statistics_test.rs"]
mod tests;
