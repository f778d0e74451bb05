//! The two kinds of time: transaction timestamps, which come from the oracle and order everything, and the local
//! monotonic clock, which measures waits and leases and orders nothing.

use std::{fmt, ops, time::Duration};

use serde::{Deserialize, Serialize};

/// A transaction timestamp handed out by the oracle: milliseconds since 1970 << 18 | counter. The milliseconds are for
/// people; only the order carries meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Bits of the counter below the milliseconds.
    pub const COUNTER_BITS: u32 = 18;
    pub const ZERO: Timestamp = Timestamp(0);
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The first timestamp of a millisecond.
    pub fn from_millis(millis: u64) -> Timestamp {
        Timestamp(millis << Self::COUNTER_BITS)
    }

    /// Milliseconds since 1970, for people.
    pub fn millis(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }

    /// The next timestamp in order.
    pub fn next(self) -> Timestamp {
        Timestamp(self.0 + 1)
    }

    /// The previous timestamp in order; zero stays zero.
    pub fn prev(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// A point on this process's monotonic clock, in nanoseconds since an arbitrary origin. Never compared across processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Time since `earlier`, or zero when `earlier` is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl ops::Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, rhs: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(rhs.as_nanos() as u64))
    }
}

impl ops::Sub<Duration> for Monotonic {
    type Output = Monotonic;
    fn sub(self, rhs: Duration) -> Monotonic {
        Monotonic(self.0.saturating_sub(rhs.as_nanos() as u64))
    }
}
