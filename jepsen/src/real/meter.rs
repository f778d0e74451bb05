//! When clients got something done: what recovery is measured by.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// Transactions that succeeded: statements outside of blocks, and COMMITs.
pub struct Meter {
    begin: Instant,
    /// Nanoseconds since the beginning, in order.
    successes: Mutex<Vec<u64>>,
}

/// How long it took the cluster to be itself again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Until the first transaction succeeded. `None`: none did.
    pub first_success_ms: Option<u64>,
    /// Until a whole second in which half as many succeeded as in the calm beginning.
    pub half_throughput_ms: Option<u64>,
    /// The longest time without any success from the first fault on.
    pub longest_gap_ms: u64,
}

impl Meter {
    pub fn new(begin: Instant) -> Meter {
        Meter { begin, successes: Mutex::default() }
    }

    pub fn now(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }

    pub fn note_success(&self) {
        let mut successes = self.successes.lock();
        // Taken under the lock: the list stays in order.
        successes.push(self.begin.elapsed().as_nanos() as u64);
    }

    pub fn count(&self) -> usize {
        self.successes.lock().len()
    }

    /// Since the faults healed at `healed`; they had begun at `begun`, before which the clients were undisturbed.
    pub fn recovery(&self, begun: u64, healed: u64) -> Recovery {
        recovery(&self.successes.lock(), begun, healed, self.now())
    }
}

/// The first second of a run does not count as calm: sessions are only being opened.
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: u64 = 1_000_000_000;

fn recovery(successes: &[u64], begun: u64, healed: u64, now: u64) -> Recovery {
    let count =
        |from: u64, to: u64| successes.partition_point(|at| *at < to) - successes.partition_point(|at| *at < from);
    let calm = begun.saturating_sub(WARM_UP.as_nanos() as u64).max(1);
    let before = count(begun - calm.min(begun), begun) as u64 * WINDOW / calm;
    let after = &successes[successes.partition_point(|at| *at < healed)..];
    let millis = |at: u64| at.saturating_sub(healed) / 1_000_000;
    let first_success_ms = after.first().map(|at| millis(*at));
    let half = after.iter().copied().find(|at| at + WINDOW <= now && 2 * count(*at, at + WINDOW) as u64 >= before);
    let in_faults = successes[successes.partition_point(|at| *at < begun)..].iter().copied();
    let times: Vec<u64> = [begun].into_iter().chain(in_faults).chain([now]).collect();
    let longest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0);
    Recovery { first_success_ms, half_throughput_ms: half.map(millis), longest_gap_ms: longest / 1_000_000 }
}

#[cfg(test)]
#[path = "meter_test.rs"]
mod tests;
