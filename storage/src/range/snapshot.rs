//! Snapshots: how a replica that is empty or too far behind gets its range.
//!
//! They do not travel inside Raft messages. The leader reads chunks from a frozen view of its engine, a few in flight at a
//! time; the receiver stages them in memory, puts all of them into its engine in one write, has the engine flushed, and
//! only then lets its Raft log begin after the snapshot and tells the leader that it has it.
//!
//! A crash in between leaves either the old state, or an engine that is ahead of its log, which `replica::align` repairs
//! at the next start. Never the reverse: a log that begins after data that is not there.

use std::collections::{BTreeMap, VecDeque};

use base::{Monotonic, NodeId, RangeId};
use bytes::Bytes;

use crate::{
    engine::{ColumnFamily, Engine, Reader, WriteBatch},
    error::Result,
    keys,
    oracle::SystemState,
    peer::{SnapshotChunk, SnapshotHeader},
    range::{apply::ReplicaState, replica::Replica},
    store::output::Context,
};

/// Chunks sent and not acknowledged.
pub const WINDOW: usize = 4;

/// A snapshot on its way to another node.
pub struct Outgoing {
    pub id: u64,
    pub to: NodeId,
    pub progress_at: Monotonic,
    header: SnapshotHeader,
    reader: Box<dyn Reader>,
    /// Where to read on; `None` when all has been read.
    position: Option<(usize, Bytes)>,
    next_number: u64,
    unacknowledged: VecDeque<SnapshotChunk>,
}

impl Outgoing {
    pub fn range(&self) -> RangeId {
        self.header.descriptor.id
    }

    pub fn index(&self) -> u64 {
        self.header.index
    }

    pub fn leader_term(&self) -> u64 {
        self.header.leader_term
    }

    /// Reads chunks while there is room in the window; those to send.
    pub fn fill(&mut self, chunk_bytes: usize) -> Result<Vec<SnapshotChunk>> {
        let mut chunks = Vec::new();
        while self.unacknowledged.len() < WINDOW && self.position.is_some() {
            let chunk = self.read(chunk_bytes)?;
            self.unacknowledged.push_back(chunk.clone());
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// All chunks before `next` have arrived. True when that is all there is.
    pub fn acknowledge(&mut self, next: u64, now: Monotonic) -> bool {
        while self.unacknowledged.front().is_some_and(|chunk| chunk.number < next) {
            self.unacknowledged.pop_front();
            self.progress_at = now;
        }
        self.position.is_none() && self.unacknowledged.is_empty()
    }

    /// What may have been lost.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &SnapshotChunk> {
        self.unacknowledged.iter()
    }

    fn read(&mut self, chunk_bytes: usize) -> Result<SnapshotChunk> {
        let span = keys::replicated(&self.header.descriptor.span);
        let mut items = Vec::new();
        let mut bytes = 0;
        while let Some((family, start)) = self.position.take() {
            let cf = ColumnFamily::ALL[family];
            let mut cursor = self.reader.cursor(cf, &start, &span.end)?;
            cursor.seek(&start)?;
            while let Some(key) = cursor.key() {
                if bytes >= chunk_bytes {
                    self.position = Some((family, Bytes::copy_from_slice(key)));
                    break;
                }
                bytes += key.len() + cursor.value().len() + 16;
                items.push((cf, Bytes::copy_from_slice(key), Bytes::copy_from_slice(cursor.value())));
                cursor.next()?;
            }
            if self.position.is_some() {
                break;
            }
            if family + 1 < ColumnFamily::ALL.len() {
                self.position = Some((family + 1, span.start.clone()));
            }
        }
        let number = self.next_number;
        self.next_number += 1;
        Ok(SnapshotChunk { id: self.id, header: self.header.clone(), number, items, last: self.position.is_none() })
    }
}

/// A snapshot that is arriving.
pub struct Staging {
    pub id: u64,
    pub from: NodeId,
    pub heard_at: Monotonic,
    next: u64,
    /// Chunks that have overtaken the next one.
    early: BTreeMap<u64, SnapshotChunk>,
    batch: WriteBatch,
    bad: bool,
}

impl Staging {
    pub fn new(id: u64, from: NodeId, now: Monotonic) -> Staging {
        Staging { id, from, heard_at: now, next: 0, early: BTreeMap::new(), batch: WriteBatch::default(), bad: false }
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes a chunk. True when the snapshot is complete.
    pub fn take(&mut self, chunk: SnapshotChunk, now: Monotonic) -> bool {
        if chunk.number >= self.next && chunk.number < self.next + WINDOW as u64 {
            self.heard_at = now;
            self.early.insert(chunk.number, chunk);
        }
        while let Some(chunk) = self.early.remove(&self.next) {
            self.next += 1;
            let span = keys::replicated(&chunk.header.descriptor.span);
            for (cf, key, value) in chunk.items {
                self.bad |= !span.contains(&key);
                self.batch.put(cf, key, value);
            }
            if chunk.last {
                return !self.bad;
            }
        }
        false
    }

    pub fn into_batch(self) -> WriteBatch {
        self.batch
    }
}

/// A snapshot that is in the engine and waits to be durable there.
pub struct Restore {
    /// Of the flush.
    pub flush: Option<u64>,
    state: ReplicaState,
    leader: NodeId,
    leader_term: u64,
}

impl Replica {
    /// Freezes the range as it is now.
    pub fn snapshot(&self, id: u64, to: NodeId, engine: &dyn Engine, now: Monotonic) -> Option<Outgoing> {
        let state = self.state.as_ref().filter(|_| self.is_leader())?;
        Some(Outgoing {
            id,
            to,
            progress_at: now,
            header: SnapshotHeader {
                descriptor: state.descriptor.clone(),
                leader_term: self.term(),
                index: state.applied_index,
                term: state.applied_term,
            },
            reader: engine.snapshot(),
            position: Some((0, keys::replicated(&state.descriptor.span).start)),
            next_number: 0,
            unacknowledged: VecDeque::new(),
        })
    }

    /// Whether a snapshot up to `index`, sent in `leader_term`, would bring this replica forward.
    pub fn wants_snapshot(&self, index: u64, leader_term: u64) -> bool {
        self.restore.is_none() && !self.is_leader() && index > self.applied_index() && leader_term >= self.term()
    }

    /// Puts a complete snapshot into the engine. The span that was this replica's before is cleared too.
    pub fn begin_restore(
        &mut self,
        from: NodeId,
        header: SnapshotHeader,
        items: WriteBatch,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        let old = self.descriptor().map(|descriptor| descriptor.span.clone());
        for span in old.iter().chain([&header.descriptor.span]).map(keys::replicated) {
            for cf in ColumnFamily::ALL {
                batch.delete_range(cf, span.start.clone(), span.end.clone());
            }
        }
        batch.ops.extend(items.ops);
        let state =
            ReplicaState { descriptor: header.descriptor, applied_index: header.index, applied_term: header.term };
        state.put(&mut batch)?;
        cx.engine.write(&batch)?;
        cx.out.count("snapshots_received");
        cx.out.flush_wanted = true;
        self.restore = Some(Restore { flush: None, state, leader: from, leader_term: header.leader_term });
        Ok(())
    }

    /// The flush with this number will cover what was written before now.
    pub fn restore_flush_asked(&mut self, sequence: u64) {
        if let Some(restore) = &mut self.restore {
            restore.flush.get_or_insert(sequence);
        }
    }

    /// The engine has flushed up to `flushed`: if that covers the snapshot, the replica goes on from it. True when it did.
    pub fn finish_restore(&mut self, flushed: u64, cx: &mut Context<'_>) -> Result<bool> {
        let durable = self.restore.as_ref().is_some_and(|restore| restore.flush.is_some_and(|flush| flush <= flushed));
        if !durable || !self.is_persisted() {
            return Ok(false);
        }
        let Some(restore) = self.restore.take() else { return Ok(false) };
        let (leader, term) = (restore.leader, restore.leader_term);
        self.rebuild(restore.state, cx)?;
        if self.is_system() {
            self.system = Some(SystemState::load(cx.engine)?);
        }
        self.announce(leader, term, cx);
        Ok(true)
    }
}
