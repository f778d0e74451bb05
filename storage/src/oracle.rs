//! Timestamps and fences: kept by the system range, handed out by its leader.
//!
//! Two halves. [`SystemState`] is replicated: it changes by [`SystemCommand`]s in the log of range 1. [`Oracle`] is
//! volatile and means something only on the leader:
//!
//! ```text
//!            handed out        may be handed out          only after the next command
//!  ────────────────────┤last├──────────────────────┤ceiling├───────────────────────
//! ```
//!
//! A new leader begins at the ceiling, so no timestamp is handed out twice, whatever the wall clocks say.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use base::{Monotonic, RangeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{FenceOp, Stamp},
    engine::{ColumnFamily, Reader, WriteBatch},
    error::{Error, Result},
    keys,
    map::ClusterMap,
    range::{Descriptor, FIRST_USER_RANGE, apply::Applied},
    store::output::Target,
};

/// How far ahead of the last timestamp the ceiling is set.
pub const AHEAD: Duration = Duration::from_secs(3);

/// What the system range keeps, besides the cluster's map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemState {
    /// No timestamp at or above this has been handed out.
    pub ceiling: Timestamp,
    /// The index of the last change of a fence.
    pub fence: u64,
    /// Open fences, and when they were opened.
    pub open: BTreeMap<u128, Timestamp>,
    pub last_range: RangeId,
    /// The cluster's map; its entries have keys of their own.
    #[serde(skip)]
    pub map: ClusterMap,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SystemCommand {
    RaiseCeiling {
        to: Timestamp,
    },
    Fence {
        op: FenceOp,
        at: Timestamp,
    },
    AllocateRange,
    /// An entry of the cluster's map, as the range's leader reported it.
    Map {
        descriptor: Descriptor,
        leader: base::NodeId,
    },
}

impl Default for SystemState {
    fn default() -> SystemState {
        SystemState {
            ceiling: Timestamp::ZERO,
            fence: 0,
            open: BTreeMap::new(),
            last_range: FIRST_USER_RANGE,
            map: ClusterMap::default(),
        }
    }
}

impl SystemState {
    pub fn load(reader: &dyn Reader) -> Result<SystemState> {
        let mut state: SystemState = match reader.get(ColumnFamily::Meta, &keys::system_state())? {
            Some(bytes) => {
                postcard::from_bytes(&bytes).map_err(|error| Error::Corrupt(format!("system state: {error}")))?
            }
            None => SystemState::default(),
        };
        state.map = ClusterMap::load(reader)?;
        Ok(state)
    }

    /// Applies the entry at `index`.
    pub fn apply(&mut self, index: u64, command: SystemCommand, batch: &mut WriteBatch) -> Result<Applied> {
        let corrupt = |error: postcard::Error| Error::Corrupt(format!("system state: {error}"));
        let mut applied = Applied::Done;
        match command {
            SystemCommand::RaiseCeiling { to } => self.ceiling = self.ceiling.max(to),
            SystemCommand::Fence { op, at } => self.apply_fence(index, op, at),
            SystemCommand::AllocateRange => {
                self.last_range.0 += 1;
                applied = Applied::RangeId(self.last_range);
            }
            SystemCommand::Map { descriptor, leader } => {
                let key = keys::map_entry(descriptor.id);
                let value = postcard::to_stdvec(&(&descriptor, leader)).map_err(corrupt)?;
                batch.put(ColumnFamily::Meta, key, value);
                self.map.put(descriptor, Some(leader));
                return Ok(applied);
            }
        }
        batch.put(ColumnFamily::Meta, keys::system_state(), postcard::to_stdvec(self).map_err(corrupt)?);
        Ok(applied)
    }

    fn apply_fence(&mut self, index: u64, op: FenceOp, at: Timestamp) {
        let before = self.open.len();
        let changed = match op {
            FenceOp::Open(id) => self.open.insert(id, at).is_none(),
            FenceOp::Close(id) => self.open.remove(&id).is_some(),
            FenceOp::CloseOlderThan(limit) => {
                self.open.retain(|_, opened| *opened >= limit);
                self.open.len() != before
            }
        };
        if changed {
            self.fence = index;
        }
    }
}

/// Somebody waits for a timestamp.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    pub target: Target,
    pub count: u32,
    pub deadline: Monotonic,
    /// It is the last step of something that has happened already (a fence).
    pub maybe_applied: bool,
}

/// The leader's volatile side.
#[derive(Debug, Default)]
pub struct Oracle {
    leading: bool,
    last: Timestamp,
    /// The ceiling that was proposed and is not applied yet.
    raising: Option<Timestamp>,
    waiting: VecDeque<Waiting>,
    /// Part of a planted bug: the wall clock would hide it.
    ignore_wall: bool,
}

impl Oracle {
    /// This node leads the system range and has applied everything of the terms before.
    pub fn lead(&mut self, state: &SystemState, reuse_timestamps: bool) {
        let last = match reuse_timestamps {
            // Planted bug: begins where the last leader may have been long ago.
            true => Timestamp::from_millis(state.ceiling.millis().saturating_sub(AHEAD.as_millis() as u64)).prev(),
            false => state.ceiling.prev(),
        };
        *self = Oracle { leading: true, last, ignore_wall: reuse_timestamps, ..Oracle::default() };
    }

    /// Leadership is over. Returns those who waited.
    pub fn unlead(&mut self) -> Vec<Waiting> {
        std::mem::take(self).waiting.into()
    }

    pub fn is_leading(&self) -> bool {
        self.leading
    }

    /// `count` consecutive timestamps below the ceiling; the first of them. `None`: the ceiling must be raised first.
    pub fn allocate(&mut self, state: &SystemState, count: u32, wall_ms: u64) -> Option<Stamp> {
        if !self.leading {
            return None;
        }
        let first = self.first(wall_ms);
        let end = first.0.checked_add(u64::from(count.max(1)))?;
        if end > state.ceiling.0 {
            return None;
        }
        self.last = Timestamp(end - 1);
        Some(Stamp { timestamp: first, fence: state.fence, fence_open: !state.open.is_empty() })
    }

    /// The command that raises the ceiling, when it is needed and not under way. Called after allocations.
    pub fn raise(&mut self, state: &SystemState, wall_ms: u64) -> Option<SystemCommand> {
        if !self.leading || self.raising.is_some_and(|to| to > state.ceiling) {
            return None;
        }
        self.raising = None;
        let wanted: u64 = self.waiting.iter().map(|waiting| u64::from(waiting.count.max(1))).sum();
        let first = self.first(wall_ms);
        let half = Timestamp::from_millis(AHEAD.as_millis() as u64 / 2).0;
        let enough = first.0.saturating_add(wanted).saturating_add(half) <= state.ceiling.0;
        if enough && self.waiting.is_empty() {
            return None;
        }
        let ahead = Timestamp::from_millis(AHEAD.as_millis() as u64).0;
        let to = Timestamp(first.0.saturating_add(wanted).saturating_add(ahead));
        self.raising = Some(to);
        Some(SystemCommand::RaiseCeiling { to })
    }

    /// The proposal was dropped: try again.
    pub fn raise_failed(&mut self) {
        self.raising = None;
    }

    pub fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    pub fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    pub fn next_waiting(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    pub fn pop_waiting(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// Those whose time is up.
    pub fn expire(&mut self, now: Monotonic) -> Vec<Waiting> {
        let (gone, stay) = std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.deadline <= now);
        self.waiting = stay;
        Vec::from_iter::<VecDeque<Waiting>>(gone)
    }

    fn first(&self, wall_ms: u64) -> Timestamp {
        // A wall clock beyond the year 3000 is nonsense; it must not exhaust the timestamps.
        let wall = if self.ignore_wall { 0 } else { wall_ms.min(1 << 45) };
        self.last.next().max(Timestamp::from_millis(wall))
    }
}

#[cfg(test)]
#[path = "oracle_test.rs"]
mod tests;
