//! The Raft log of one replica in memory: everything from the truncated index on, in the order in which it was handed to
//! the durable log ([`crate::log::LogStore`]). Implements `raft::Storage`.
//!
//! What lies here may not be durable yet; `raft` learns that separately (`RawNode::on_persist_ready`).

use std::{cell::Cell, collections::VecDeque};

use base::NodeId;
use bytes::Bytes;
use protobuf::Message as _;
use raft::{
    GetEntriesContext, RaftState, StorageError,
    eraftpb::{ConfState, Entry, HardState as RaftHardState, Snapshot},
};

use crate::{
    error::{Error, Result},
    log::{HardState, LogState},
};

/// Where the log of every range begins: as if one entry of term 1 had been committed and truncated. So an initialised
/// replica's log is never empty for `raft`.
pub const INITIAL_INDEX: u64 = 1;
pub const INITIAL_TERM: u64 = 1;

#[derive(Debug, Default)]
pub struct Log {
    hard_state: HardState,
    truncated_index: u64,
    truncated_term: u64,
    entries: VecDeque<Entry>,
    bytes: u64,
    /// Empty: not initialised yet, the members are not known.
    voters: Vec<u64>,
    /// A follower that needs entries which are gone; `raft` asks through `&self`.
    snapshot_wanted: Cell<Option<u64>>,
}

impl Log {
    /// The log as it was read from disk. With entries missing or of a wrong kind it is corrupt.
    pub fn load(state: &LogState) -> Result<Log> {
        let mut log = Log {
            hard_state: state.hard_state,
            truncated_index: state.truncated_index,
            truncated_term: state.truncated_term,
            ..Log::default()
        };
        for bytes in &state.entries {
            let entry = Entry::parse_from_carllerche_bytes(bytes)
                .map_err(|error| Error::Corrupt(format!("entry of the log: {error}")))?;
            if entry.index != log.last() + 1 {
                return Err(Error::Corrupt(format!("gap in the log: {} after {}", entry.index, log.last())));
            }
            log.bytes += size(&entry);
            log.entries.push_back(entry);
        }
        log.hard_state.commit = log.hard_state.commit.clamp(log.truncated_index, log.last());
        Ok(log)
    }

    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    pub fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    pub fn set_voters(&mut self, voters: &[NodeId]) {
        self.voters = voters.iter().map(|node| node.0).collect();
    }

    pub fn last(&self) -> u64 {
        self.truncated_index + self.entries.len() as u64
    }

    pub fn truncated(&self) -> (u64, u64) {
        (self.truncated_index, self.truncated_term)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends; entries from the first new one on are replaced. Returns them encoded for the durable log.
    pub fn append(&mut self, entries: &[Entry]) -> Result<Vec<Bytes>> {
        let Some(first) = entries.first().map(|entry| entry.index) else { return Ok(Vec::new()) };
        assert!(
            first > self.truncated_index && first <= self.last() + 1,
            "append leaves no gap and replaces nothing truncated"
        );
        for entry in self.entries.drain((first - self.truncated_index - 1) as usize..) {
            self.bytes -= size(&entry);
        }
        let mut encoded = Vec::with_capacity(entries.len());
        for entry in entries {
            let bytes =
                entry.write_to_bytes().map_err(|error| Error::Corrupt(format!("encoding an entry: {error}")))?;
            encoded.push(bytes.into());
            self.bytes += size(entry);
            self.entries.push_back(entry.clone());
        }
        Ok(encoded)
    }

    /// Forgets everything up to and including `index`. Returns its term; `None` when there is nothing to forget.
    pub fn truncate(&mut self, index: u64) -> Option<u64> {
        if index <= self.truncated_index || index > self.last() {
            return None;
        }
        let count = (index - self.truncated_index) as usize;
        let term = self.entries[count - 1].term;
        for entry in self.entries.drain(..count) {
            self.bytes -= size(&entry);
        }
        (self.truncated_index, self.truncated_term) = (index, term);
        Some(term)
    }

    /// A snapshot up to `index` replaces everything.
    pub fn reset(&mut self, index: u64, term: u64) {
        self.entries.clear();
        self.bytes = 0;
        (self.truncated_index, self.truncated_term) = (index, term);
        self.hard_state.commit = index;
        self.hard_state.term = self.hard_state.term.max(term);
    }

    /// The term of the entry at `index`, if it is known.
    pub fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.truncated_index {
            return Some(self.truncated_term);
        }
        let position = index.checked_sub(self.truncated_index + 1)?;
        self.entries.get(position as usize).map(|entry| entry.term)
    }

    /// The greatest index whose removal still leaves `bytes` of the newest entries.
    pub fn index_leaving(&self, bytes: u64) -> u64 {
        let mut left = 0;
        let mut index = self.last();
        for entry in self.entries.iter().rev() {
            left += size(entry);
            if left > bytes {
                break;
            }
            index -= 1;
        }
        index
    }

    /// The follower that was found to need a snapshot since the last call.
    pub fn take_snapshot_wanted(&self) -> Option<u64> {
        self.snapshot_wanted.take()
    }
}

fn size(entry: &Entry) -> u64 {
    entry.data.len() as u64 + 32
}

impl raft::Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let mut hard_state = RaftHardState::default();
        hard_state.term = self.hard_state.term;
        hard_state.vote = self.hard_state.vote;
        hard_state.commit = self.hard_state.commit;
        let mut conf_state = ConfState::default();
        conf_state.set_voters(self.voters.clone());
        Ok(RaftState::new(hard_state, conf_state))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated_index {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let from = (low - self.truncated_index - 1) as usize;
        let mut total = 0;
        let mut found = Vec::new();
        for entry in self.entries.range(from..(high - self.truncated_index - 1) as usize) {
            total += u64::from(entry.compute_size());
            if total > limit && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.term_of(index) {
            Some(term) => Ok(term),
            None if index < self.truncated_index => Err(raft::Error::Store(StorageError::Compacted)),
            None => Err(raft::Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.truncated_index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// Snapshots do not travel inside `raft` (see `range::snapshot`): the wish is noted, and the progress of the follower
    /// stays where it is until it reports that it has one.
    fn snapshot(&self, _request_index: u64, to: u64) -> raft::Result<Snapshot> {
        self.snapshot_wanted.set(Some(to));
        Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
