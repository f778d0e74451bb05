//! Half-open spans of keys.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Keys from `start` (inclusive) to `end` (exclusive). An empty `end` means "to the end of the key space".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Span {
    pub start: Bytes,
    pub end: Bytes,
}

impl Span {
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Span {
        Span { start: start.into(), end: end.into() }
    }

    /// The whole key space.
    pub fn all() -> Span {
        Span::default()
    }

    /// The span of one key only.
    pub fn point(key: impl Into<Bytes>) -> Span {
        let start = key.into();
        let mut end = start.to_vec();
        end.push(0);
        Span { start, end: end.into() }
    }

    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Span {
        Span { start: Bytes::copy_from_slice(prefix), end: prefix_end(prefix) }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &self.start[..] && (self.end.is_empty() || key < &self.end[..])
    }

    /// Whether `other` lies wholly inside.
    pub fn covers(&self, other: &Span) -> bool {
        other.start >= self.start && (self.end.is_empty() || (!other.end.is_empty() && other.end <= self.end))
    }

    pub fn overlaps(&self, other: &Span) -> bool {
        (other.end.is_empty() || self.start < other.end) && (self.end.is_empty() || other.start < self.end)
    }

    /// The part that both share; `None` when they share nothing.
    pub fn intersect(&self, other: &Span) -> Option<Span> {
        if !self.overlaps(other) {
            return None;
        }
        let start = self.start.clone().max(other.start.clone());
        let end = match (self.end.is_empty(), other.end.is_empty()) {
            (true, _) => other.end.clone(),
            (_, true) => self.end.clone(),
            _ => self.end.clone().min(other.end.clone()),
        };
        Some(Span { start, end })
    }

    /// Whether no key can lie inside.
    pub fn is_empty(&self) -> bool {
        !self.end.is_empty() && self.start >= self.end
    }

    /// Whether this span was made by [`Span::point`].
    pub fn is_point(&self) -> bool {
        self.end.len() == self.start.len() + 1 && self.end.last() == Some(&0) && self.end.starts_with(&self.start)
    }
}

/// The least key greater than every key with this prefix; empty ("to the end") when there is none.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end.into();
        }
        end.pop();
    }
    Bytes::new()
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, ", self.start.escape_ascii())?;
        if self.end.is_empty() { write!(f, "∞)") } else { write!(f, "{})", self.end.escape_ascii()) }
    }
}
