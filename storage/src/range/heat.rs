//! How busy a range is: reads and writes of the last minutes, counted by its leader. Plain integers on the way of a request; a
//! tick of the store moves them into buckets of wall-clock time. Volatile, and a hint for people and for placement.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::replica::Replica;

/// The span of one bucket.
pub const BUCKET_MS: u64 = 10_000;
/// Buckets that are kept: ten minutes.
pub const BUCKETS_MAX: usize = 60;

/// Requests that a range's leader has answered within one bucket of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heat {
    /// Milliseconds since 1970 at which the bucket begins; a multiple of [`BUCKET_MS`].
    pub from_ms: u64,
    /// Answered without consensus.
    pub reads: u64,
    /// Proposed.
    pub writes: u64,
}

#[derive(Debug, Default)]
pub struct HeatCounter {
    reads: u64,
    writes: u64,
    buckets: VecDeque<Heat>,
}

impl Replica {
    /// Looks at the counters of requests; about once a second.
    pub fn sample_heat(&mut self, wall_ms: u64) {
        self.heat.sample(wall_ms);
    }

    pub fn heat(&self, wall_ms: u64) -> Vec<Heat> {
        self.heat.recent(wall_ms)
    }
}

impl HeatCounter {
    pub fn read(&mut self) {
        self.reads += 1;
    }

    pub fn write(&mut self) {
        self.writes += 1;
    }

    /// Puts what was counted since the last call into the bucket of this moment. A clock that goes back is ignored.
    pub fn sample(&mut self, wall_ms: u64) {
        if self.reads == 0 && self.writes == 0 {
            return;
        }
        let from_ms = wall_ms - wall_ms % BUCKET_MS;
        let (reads, writes) = (std::mem::take(&mut self.reads), std::mem::take(&mut self.writes));
        match self.buckets.back_mut() {
            Some(last) if last.from_ms >= from_ms => {
                last.reads += reads;
                last.writes += writes;
            }
            _ => self.buckets.push_back(Heat { from_ms, reads, writes }),
        }
        while self.buckets.len() > BUCKETS_MAX {
            self.buckets.pop_front();
        }
    }

    /// The buckets of the last ten minutes in which there was something, the oldest first.
    pub fn recent(&self, wall_ms: u64) -> Vec<Heat> {
        let oldest = wall_ms.saturating_sub(BUCKET_MS * BUCKETS_MAX as u64);
        self.buckets.iter().copied().filter(|bucket| bucket.from_ms >= oldest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_time() {
        let mut counter = HeatCounter::default();
        counter.sample(5_000);
        assert!(counter.recent(5_000).is_empty(), "nothing happened");
        counter.read();
        counter.sample(15_000);
        counter.write();
        counter.read();
        counter.sample(19_999);
        counter.write();
        counter.sample(12_000);
        counter.read();
        counter.sample(30_000);
        let expected = [Heat { from_ms: 10_000, reads: 2, writes: 2 }, Heat { from_ms: 30_000, reads: 1, writes: 0 }];
        assert_eq!(counter.recent(31_000), expected);
        assert_eq!(counter.recent(625_000), &expected[1..], "ten minutes later the first is forgotten");
    }

    #[test]
    fn bounded() {
        let mut counter = HeatCounter::default();
        for bucket in 0..1000 {
            counter.read();
            counter.sample(bucket * BUCKET_MS);
        }
        assert_eq!(counter.buckets.len(), BUCKETS_MAX);
    }
}
