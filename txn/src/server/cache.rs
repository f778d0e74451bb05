//! The timestamp cache: what has been read at which timestamp, so that nothing is ever written below a read.
//!
//! For every key it answers an upper bound of the timestamps at which anybody has read it. The bound may be too high (a
//! writer is then pushed needlessly) but never too low: that would lose the serial order. To forget is therefore to raise
//! [`TimestampCache::low_water`].
//!
//! Points and spans are kept apart: point reads and locked keys dominate, and are one map insertion each. Spans lie in a
//! step function over the key space, raised where a scan has been:
//!
//! ```text
//!   @30 ┤        ┌──────┐              scan [c, f) @30, then scan [a, k) @20
//!   @20 ┤   ┌────┘      └─────────┐
//!     0 ┼───┘                     └───
//!           a    c      f         k
//! ```
//!
//! Two generations: when the young one is full or old, the old one is dropped into the low-water mark.

use std::{collections::BTreeMap, ops::Bound, time::Duration};

use base::{Monotonic, Span, Timestamp, TxnId};
use bytes::Bytes;

/// The greatest timestamp at which something was read, and by whom; `None` when by more than one, or forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastRead {
    pub ts: Timestamp,
    pub reader: Option<TxnId>,
}

impl LastRead {
    fn max(self, other: LastRead) -> LastRead {
        match self.ts.cmp(&other.ts) {
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Equal if self.reader == other.reader => self,
            std::cmp::Ordering::Equal => LastRead { ts: self.ts, reader: None },
        }
    }

    /// Whether a write of `txn` at `ts` would change what this read has seen. One's own read at the same timestamp is fine.
    pub fn forbids(&self, txn: TxnId, ts: Timestamp) -> bool {
        self.ts > ts || (self.ts == ts && self.reader != Some(txn))
    }
}

/// See the module.
#[derive(Debug)]
pub struct TimestampCache {
    /// Nothing forgotten was read above this.
    low_water: Timestamp,
    young: Generation,
    old: Generation,
    entries_max: usize,
    rotated_at: Monotonic,
    rotate_after: Duration,
}

#[derive(Clone, Debug, Default)]
struct Generation {
    points: BTreeMap<Bytes, LastRead>,
    /// The step function: the value at a boundary holds up to the next one; zero before the first.
    steps: BTreeMap<Bytes, LastRead>,
    greatest: Timestamp,
}

impl TimestampCache {
    /// `entries_max`: of one generation. A generation becomes old, and then forgotten, after `rotate_after` at the latest.
    pub fn new(low_water: Timestamp, entries_max: usize, rotate_after: Duration, now: Monotonic) -> TimestampCache {
        TimestampCache {
            low_water,
            young: Generation::default(),
            old: Generation::default(),
            entries_max,
            rotated_at: now,
            rotate_after,
        }
    }

    /// Records that `txn` has read `span` as of `ts`.
    pub fn record(&mut self, span: &Span, ts: Timestamp, txn: TxnId) {
        if ts < self.low_water || span.is_empty() {
            return;
        }
        if self.young.len() >= self.entries_max {
            self.rotate();
        }
        let read = LastRead { ts, reader: Some(txn) };
        self.young.greatest = self.young.greatest.max(ts);
        if span.is_point() { self.young.record_point(&span.start, read) } else { self.young.record_span(span, read) }
    }

    /// As [`TimestampCache::record`], of one key.
    pub fn record_key(&mut self, key: &Bytes, ts: Timestamp, txn: TxnId) {
        if ts < self.low_water {
            return;
        }
        if self.young.len() >= self.entries_max {
            self.rotate();
        }
        self.young.greatest = self.young.greatest.max(ts);
        self.young.record_point(key, LastRead { ts, reader: Some(txn) });
    }

    /// The last read of a key.
    pub fn last_read(&self, key: &[u8]) -> LastRead {
        LastRead { ts: self.low_water, reader: None }.max(self.young.last_read(key)).max(self.old.last_read(key))
    }

    /// Forgets by time, so that an idle range costs no memory.
    pub fn tick(&mut self, now: Monotonic) {
        if now.since(self.rotated_at) >= self.rotate_after {
            self.rotated_at = now;
            self.rotate();
        }
    }

    /// Hands over what is known of the keys at and above `at`.
    pub fn split(&mut self, at: &[u8]) -> TimestampCache {
        TimestampCache { young: self.young.split(at), old: self.old.split(at), ..*self }
    }

    pub fn low_water(&self) -> Timestamp {
        self.low_water
    }

    /// Everything counts as read up to this timestamp.
    pub fn raise_low_water(&mut self, to: Timestamp) {
        self.low_water = self.low_water.max(to);
    }

    fn rotate(&mut self) {
        let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.low_water = self.low_water.max(forgotten.greatest);
    }
}

impl Generation {
    fn len(&self) -> usize {
        self.points.len() + self.steps.len()
    }

    fn record_point(&mut self, key: &Bytes, read: LastRead) {
        match self.points.get_mut(key) {
            Some(known) => *known = known.max(read),
            None => {
                self.points.insert(key.clone(), read);
            }
        }
    }

    fn record_span(&mut self, span: &Span, read: LastRead) {
        self.cut(&span.start);
        if !span.end.is_empty() {
            self.cut(&span.end);
        }
        let end = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end) };
        let before = (Bound::Unbounded, Bound::Excluded(&span.start));
        let before = self.steps.range::<Bytes, _>(before).next_back();
        let mut level = before.map_or(LastRead::default(), |(_, value)| *value);
        let mut needless = Vec::new();
        for (boundary, value) in self.steps.range_mut::<Bytes, _>((Bound::Included(&span.start), end)) {
            *value = value.max(read);
            if *value == level {
                needless.push(boundary.clone());
            }
            level = *value;
        }
        if self.steps.get(&span.end).is_some_and(|value| *value == level) {
            needless.push(span.end.clone());
        }
        for boundary in needless {
            self.steps.remove(&boundary);
        }
    }

    /// Makes `at` a boundary.
    fn cut(&mut self, at: &Bytes) {
        let level = self.level(at);
        self.steps.entry(at.clone()).or_insert(level);
    }

    fn level(&self, key: &[u8]) -> LastRead {
        let below = self.steps.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back();
        below.map_or(LastRead::default(), |(_, value)| *value)
    }

    fn last_read(&self, key: &[u8]) -> LastRead {
        let point = self.points.get(key).copied().unwrap_or_default();
        point.max(self.level(key))
    }

    fn split(&mut self, at: &[u8]) -> Generation {
        let level = self.level(at);
        let at = Bytes::copy_from_slice(at);
        let mut steps = self.steps.split_off(&at);
        steps.entry(at.clone()).or_insert(level);
        Generation { points: self.points.split_off(&at), steps, greatest: self.greatest }
    }
}

#[cfg(test)]
#[path = "cache_test.rs"]
mod tests;
