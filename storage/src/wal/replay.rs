//! What a sequence of log records amounts to, for one range.

use std::collections::{BTreeMap, VecDeque};

use base::RangeId;
use bytes::Bytes;

use crate::{
    error::{Error, Result},
    log::{HardState, LogRecord, LogState},
};

/// The state of one range's log, over any representation of an entry (its bytes, or its place on disk).
///
/// Old records may be gone from the front of the log, so entries may begin above `truncated_index + 1` for a while; the
/// record that truncated the ones between must then follow. [`RangeLog::into_state`] checks that it did.
#[derive(Clone, Debug)]
pub(super) struct RangeLog<E> {
    pub hard_state: HardState,
    pub truncated_index: u64,
    pub truncated_term: u64,
    /// The index of the first of `entries`.
    pub first_index: u64,
    pub entries: VecDeque<E>,
}

impl<E> Default for RangeLog<E> {
    fn default() -> RangeLog<E> {
        RangeLog {
            hard_state: HardState::default(),
            truncated_index: 0,
            truncated_term: 0,
            first_index: 1,
            entries: VecDeque::new(),
        }
    }
}

impl<E> RangeLog<E> {
    /// `LogRecord::Append`. Without entries it changes the hard state only.
    pub fn append(&mut self, hard_state: Option<HardState>, first_index: u64, entries: impl IntoIterator<Item = E>) {
        if let Some(hard_state) = hard_state {
            self.hard_state = hard_state;
        }
        let dead = (self.truncated_index + 1).saturating_sub(first_index);
        let mut entries = entries.into_iter().skip(dead as usize).peekable();
        if entries.peek().is_none() {
            return;
        }
        let first_index = first_index + dead;
        match first_index.checked_sub(self.first_index) {
            Some(keep) if keep <= self.entries.len() as u64 => self.entries.truncate(keep as usize),
            // A gap: what lies before is gone or about to be truncated.
            _ => {
                self.entries.clear();
                self.first_index = first_index;
            }
        }
        self.entries.extend(entries);
    }

    /// `LogRecord::Truncate`. Going back is no change.
    pub fn truncate(&mut self, index: u64, term: u64) {
        if index <= self.truncated_index {
            return;
        }
        (self.truncated_index, self.truncated_term) = (index, term);
        let dead = (index + 1).saturating_sub(self.first_index).min(self.entries.len() as u64);
        self.entries.drain(..dead as usize);
        self.first_index += dead;
        if self.entries.is_empty() {
            self.first_index = index + 1;
        }
    }

    /// `LogRecord::Reset`.
    pub fn reset(&mut self, hard_state: HardState, index: u64, term: u64) {
        *self = RangeLog {
            hard_state,
            truncated_index: index,
            truncated_term: term,
            first_index: index + 1,
            entries: VecDeque::new(),
        };
    }
}

impl RangeLog<Bytes> {
    pub fn into_state(self, range: RangeId) -> Result<LogState> {
        if !self.entries.is_empty() && self.first_index != self.truncated_index + 1 {
            return Err(Error::Corrupt(format!(
                "log of {range}: entries begin at {}, but only those up to {} were truncated",
                self.first_index, self.truncated_index
            )));
        }
        Ok(LogState {
            hard_state: self.hard_state,
            truncated_index: self.truncated_index,
            truncated_term: self.truncated_term,
            entries: self.entries.into(),
        })
    }
}

/// Replays one record over all ranges.
pub(super) fn replay(ranges: &mut BTreeMap<RangeId, RangeLog<Bytes>>, record: LogRecord) {
    match record {
        LogRecord::Append { range, hard_state, first_index, entries } => {
            ranges.entry(range).or_default().append(hard_state, first_index, entries);
        }
        LogRecord::Truncate { range, index, term } => ranges.entry(range).or_default().truncate(index, term),
        LogRecord::Reset { range, hard_state, index, term } => {
            ranges.entry(range).or_default().reset(hard_state, index, term);
        }
        LogRecord::Remove { range } => {
            ranges.remove(&range);
        }
    }
}

/// The result of a replay.
pub(super) fn into_states(ranges: BTreeMap<RangeId, RangeLog<Bytes>>) -> Result<BTreeMap<RangeId, LogState>> {
    ranges.into_iter().map(|(range, log)| Ok((range, log.into_state(range)?))).collect()
}
