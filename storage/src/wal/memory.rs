//! A log on a simulated disk.

use std::{collections::BTreeMap, sync::Arc};

use base::{RangeId, Rng};
use bytes::Bytes;
use parking_lot::Mutex;

use super::replay::{RangeLog, into_states, replay};
use crate::{
    error::Result,
    log::{LogRecord, LogState, LogStore},
};

/// What survives of a [`MemoryLog`]: keep a clone of the `Arc` around it over the "restart" of a node.
#[derive(Default)]
pub struct MemoryDisk {
    durable: BTreeMap<RangeId, RangeLog<Bytes>>,
    /// Written but not synced, in order.
    unsynced: Vec<LogRecord>,
    size_bytes: u64,
    syncs: u64,
}

impl MemoryDisk {
    /// Power loss: of the unsynced records some prefix has reached the disk, the next one is torn and cut off at the next
    /// load (a cut record is the same as none), the rest is lost.
    pub fn crash(&mut self, rng: &mut Rng) {
        let kept = rng.below(self.unsynced.len() as u64 + 1) as usize;
        for record in self.unsynced.drain(..).take(kept) {
            replay(&mut self.durable, record);
        }
    }

    /// The process dies but the machine lives: the operating system has every write.
    pub fn kill(&mut self) {
        self.sync();
    }

    fn sync(&mut self) {
        for record in self.unsynced.drain(..) {
            replay(&mut self.durable, record);
        }
    }

    /// Syncs since the beginning, for tests that count them.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }
}

/// A [`LogStore`] over a [`MemoryDisk`].
#[derive(Clone, Default)]
pub struct MemoryLog {
    disk: Arc<Mutex<MemoryDisk>>,
}

impl MemoryLog {
    pub fn new(disk: Arc<Mutex<MemoryDisk>>) -> MemoryLog {
        MemoryLog { disk }
    }
}

impl LogStore for MemoryLog {
    fn load(&mut self) -> Result<BTreeMap<RangeId, LogState>> {
        let mut disk = self.disk.lock();
        // Whoever loads without a crash before it finds what the dead process has written.
        disk.sync();
        into_states(disk.durable.clone())
    }

    fn append(&mut self, records: &[LogRecord]) -> Result<()> {
        let mut disk = self.disk.lock();
        disk.size_bytes += records.iter().map(size_bytes).sum::<u64>();
        disk.unsynced.extend(records.iter().cloned());
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let mut disk = self.disk.lock();
        disk.syncs += 1;
        disk.sync();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.disk.lock().size_bytes
    }
}

fn size_bytes(record: &LogRecord) -> u64 {
    match record {
        LogRecord::Append { entries, .. } => 32 + entries.iter().map(|entry| entry.len() as u64).sum::<u64>(),
        _ => 32,
    }
}
