//! What a transaction asks of each range, for EXPLAIN ANALYZE. Off unless somebody looks.

use std::{collections::BTreeMap, time::Duration};

use base::RangeId;
use parking_lot::Mutex;

/// Requests to one range and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeWork {
    pub requests: u64,
    /// Rows that the leader looked at.
    pub scanned: u64,
    /// Rows that came back.
    pub rows: u64,
    /// Between request and reply, added up: requests under way at the same time count each.
    pub time: Duration,
}

impl RangeWork {
    pub fn add(&mut self, other: RangeWork) {
        self.requests += other.requests;
        self.scanned += other.scanned;
        self.rows += other.rows;
        self.time += other.time;
    }
}

#[derive(Default)]
pub(crate) struct Trace {
    ranges: Mutex<BTreeMap<RangeId, RangeWork>>,
}

impl Trace {
    pub fn note(&self, range: RangeId, work: RangeWork) {
        self.ranges.lock().entry(range).or_default().add(work);
    }

    pub fn take(&self) -> BTreeMap<RangeId, RangeWork> {
        std::mem::take(&mut *self.ranges.lock())
    }
}
