//! The durable Raft log of a node: all replicas append to it, and one [`LogStore::sync`] covers them all.
//!
//! The entries that may still be needed are also kept in memory (`range::log`), so this is read only at start.

use std::collections::BTreeMap;

use base::RangeId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Raft's hard state: what a replica must remember across a restart to keep its promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    pub term: u64,
    pub vote: u64,
    pub commit: u64,
}

/// One record of the log. Replaying all records in order gives every range's [`LogState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRecord {
    /// Entries (encoded `raft::eraftpb::Entry`) from `first_index` on; they replace whatever stood there and after.
    Append { range: RangeId, hard_state: Option<HardState>, first_index: u64, entries: Vec<Bytes> },
    /// Everything up to and including `index` (of `term`) is no longer needed: it is in the flushed engine.
    Truncate { range: RangeId, index: u64, term: u64 },
    /// A snapshot up to `index` replaced everything before and after it.
    Reset { range: RangeId, hard_state: HardState, index: u64, term: u64 },
    /// The replica is gone.
    Remove { range: RangeId },
}

/// What the log holds for one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    pub hard_state: HardState,
    /// The last index that was truncated or covered by a snapshot, and its term.
    pub truncated_index: u64,
    pub truncated_term: u64,
    /// Entries from `truncated_index + 1` on, without a gap.
    pub entries: Vec<Bytes>,
}

pub trait LogStore: Send + 'static {
    /// Reads everything back after a start. A torn tail (a crash in the middle of a write) is cut off; damage before the
    /// tail is [`crate::Error::Corrupt`].
    fn load(&mut self) -> Result<BTreeMap<RangeId, LogState>>;

    /// Appends records; durable only after [`LogStore::sync`].
    fn append(&mut self, records: &[LogRecord]) -> Result<()>;

    /// One fsync for everything appended so far.
    fn sync(&mut self) -> Result<()>;

    /// Bytes on disk, for metrics.
    fn size_bytes(&self) -> u64;
}
