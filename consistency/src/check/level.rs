//! Isolation levels and which implies which.
//!
//! ```text
//! read-uncommitted ─ read-committed ─ monotonic-atomic-view ─┬─ repeatable-read ──────────────────────────┐
//!                                                            └─ snapshot-isolation ─┬─ serializable ──────┤
//!                                    strong-session-snapshot-isolation ─────────────┴─ strong-session-serializable
//!                                    strong-snapshot-isolation ────────────────────── strict-serializable
//! ```
//!
//! After Adya ("Weak Consistency", 1999: PL-1, PL-2, PL-2.99, PL-3), Bailis et al. (2013: monotonic atomic view), Daudjee and
//! Salem (2006: strong session snapshot isolation). Repeatable read is Adya's: it forbids write skew, which snapshot
//! isolation allows, so neither implies the other. PostgreSQL's REPEATABLE READ is snapshot isolation.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    ReadUncommitted,
    ReadCommitted,
    MonotonicAtomicView,
    RepeatableRead,
    SnapshotIsolation,
    StrongSessionSnapshotIsolation,
    StrongSnapshotIsolation,
    Serializable,
    StrongSessionSerializable,
    StrictSerializable,
}

use Level::*;

impl Level {
    /// Weaker levels come before stronger ones.
    pub const ALL: [Level; 10] = [
        ReadUncommitted,
        ReadCommitted,
        MonotonicAtomicView,
        RepeatableRead,
        SnapshotIsolation,
        StrongSessionSnapshotIsolation,
        StrongSnapshotIsolation,
        Serializable,
        StrongSessionSerializable,
        StrictSerializable,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ReadUncommitted => "read-uncommitted",
            ReadCommitted => "read-committed",
            MonotonicAtomicView => "monotonic-atomic-view",
            RepeatableRead => "repeatable-read",
            SnapshotIsolation => "snapshot-isolation",
            StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            StrongSnapshotIsolation => "strong-snapshot-isolation",
            Serializable => "serializable",
            StrongSessionSerializable => "strong-session-serializable",
            StrictSerializable => "strict-serializable",
        }
    }

    /// The levels that this one directly implies.
    pub fn directly_implies(self) -> &'static [Level] {
        match self {
            ReadUncommitted => &[],
            ReadCommitted => &[ReadUncommitted],
            MonotonicAtomicView => &[ReadCommitted],
            RepeatableRead | SnapshotIsolation => &[MonotonicAtomicView],
            StrongSessionSnapshotIsolation => &[SnapshotIsolation],
            StrongSnapshotIsolation => &[StrongSessionSnapshotIsolation],
            Serializable => &[RepeatableRead, SnapshotIsolation],
            StrongSessionSerializable => &[Serializable, StrongSessionSnapshotIsolation],
            StrictSerializable => &[StrongSessionSerializable, StrongSnapshotIsolation],
        }
    }

    /// Whether a history of this level is also one of `other`.
    pub fn implies(self, other: Level) -> bool {
        self == other || self.directly_implies().iter().any(|weaker| weaker.implies(other))
    }
}

/// Several of them in a sentence; `none` where there are none.
pub fn list(levels: &[Level]) -> String {
    match levels {
        [] => "none".to_owned(),
        levels => levels.iter().map(|level| level.name()).collect::<Vec<_>>().join(", "),
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(name: &str) -> Result<Level, String> {
        let known = Level::ALL.into_iter().find(|level| level.name() == name);
        known.ok_or_else(|| format!("no such level; one of {}", Level::ALL.map(Level::name).join(", ")))
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
