//! The client half: one [`Txn`] per SQL transaction, in the gateway.

use std::{sync::Arc, time::Duration};

use base::{Runtime, Span, Timestamp, TxnId};
use bytes::Bytes;
use storage::{Cluster, Stamp};

use crate::{
    command::{Key, LockMode, Page, WaitPolicy},
    error::Result,
};

/// What all transactions of a gateway share. Cheap to clone.
#[derive(Clone)]
pub struct TxnClient {
    pub cluster: Arc<dyn Cluster>,
    pub runtime: Arc<dyn Runtime>,
    pub options: Arc<Options>,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// How long one operation may take before the transaction gives up (faults included).
    pub operation_timeout: Duration,
    /// Limit of buffered writes of one transaction, in bytes.
    pub write_buffer_bytes_max: usize,
    /// Above so many keys a transaction commits in two rounds rather than listing all keys in its primary.
    pub staged_keys_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            operation_timeout: Duration::from_secs(30),
            write_buffer_bytes_max: 512 << 20,
            staged_keys_max: 1024,
        }
    }
}

/// One transaction. Not `Clone`; used by one statement at a time. Dropping it without commit rolls back in the background.
pub struct Txn {
    _contract: (),
}

/// A mark in the write buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(pub u32);

/// What a scan asks for. Rows come in key order (or reverse), with the transaction's own writes overlaid.
#[derive(Clone, Debug, Default)]
pub struct ScanRequest {
    pub span: Span,
    pub reverse: bool,
    /// Rows per page (0: by bytes only).
    pub limit_rows: u64,
    /// Runs at the leaders on committed rows, see [`crate::Pushdown`]. The caller must check [`Txn::has_writes_in`] first:
    /// own buffered rows are overlaid raw (not passed through the program), which only pure filters survive.
    pub pushdown: Option<Bytes>,
}

/// Counters of one transaction, for EXPLAIN ANALYZE, system views and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnStats {
    /// Sequential waits for the cluster on the client's path (parallel requests count once).
    pub round_trips: u64,
    /// Requests to range leaders, and ranges touched by them (a range counts once a round).
    pub range_requests: u64,
    /// Sequential waits that included a Raft round.
    pub consensus_rounds: u64,
    /// Oracle requests waited for.
    pub stamps: u64,
    pub refreshes: u64,
    pub lock_waits: u64,
}

#[derive(Clone, Debug)]
pub struct LockedRow {
    /// False only with `SkipLocked`.
    pub granted: bool,
    /// The newest committed value, overlaid with the transaction's own write.
    pub value: Option<Bytes>,
}

impl TxnClient {
    /// Begins lazily: nothing is sent before the first operation.
    pub fn begin(&self) -> Txn {
        todo!()
    }

    /// A transaction that reads at a fixed past timestamp and cannot write (`AS OF SYSTEM TIME`).
    pub fn begin_at(&self, _read_ts: Timestamp) -> Txn {
        todo!()
    }
}

impl Txn {
    pub fn id(&self) -> TxnId {
        todo!()
    }

    pub fn stats(&self) -> TxnStats {
        todo!()
    }

    /// The stamp of the current read timestamp; fetches one if there is none yet. Its `fence` says whether a cached catalog
    /// is still true for this transaction. After moving forward this is the newer stamp.
    pub async fn stamp(&mut self) -> Result<Stamp> {
        todo!()
    }

    /// Statement-level lock timeout for the following operations; `None`: wait as long as it takes.
    pub fn set_lock_timeout(&mut self, _timeout: Option<Duration>) {
        todo!()
    }

    /// Values at the transaction's timestamp, in the order asked; own writes included.
    pub async fn get(&mut self, _keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        todo!()
    }

    /// One page of a scan, over as many ranges as it takes. `Page::resume` tells where to go on. With a pushdown that
    /// aggregates there may be several partial results: one `pushed` a range, in the order of the ranges.
    pub async fn scan(&mut self, _request: &ScanRequest) -> Result<ScanPage> {
        todo!()
    }

    /// Whether the write buffer holds anything in the span (then aggregates must not be pushed down).
    pub fn has_writes_in(&self, _span: &Span) -> bool {
        todo!()
    }

    /// Locks rows (absent keys too: that is how uniqueness is checked) and returns their newest values. Moves the
    /// transaction forward when one of them is newer than its timestamp.
    pub async fn lock(&mut self, _keys: &[Key], _mode: LockMode, _wait: WaitPolicy) -> Result<Vec<LockedRow>> {
        todo!()
    }

    /// Buffers a write of a key that was locked or read before by this transaction.
    pub fn put(&mut self, _key: Key, _value: Bytes) -> Result<()> {
        todo!()
    }

    /// Buffers a write of a key that cannot exist yet and depends on nothing (a fresh unique row id, an entry of a
    /// non-unique index that ends in the primary key).
    pub fn put_blind(&mut self, _key: Key, _value: Bytes) -> Result<()> {
        todo!()
    }

    /// Buffers a deletion. `blind` as in [`Txn::put_blind`].
    pub fn delete(&mut self, _key: Key, _blind: bool) -> Result<()> {
        todo!()
    }

    /// Declares that the transaction depends on `span` as of its timestamp, though it was read from a cache: the span will
    /// be refreshed with the others.
    pub fn depend_on(&mut self, _span: Span) {
        todo!()
    }

    /// Writes rows at once, outside the buffer and the commit protocol, into a key space that no other transaction can see
    /// before this one commits (a new index of a new or changed table). Bounded memory; not undone by rollback: the caller
    /// clears the key space of an index that did not come to be. With `unique`, a key written by another batch (or twice in
    /// this one) is [`crate::Error::Duplicate`].
    pub async fn bulk_write(&mut self, _rows: Vec<(Key, Bytes)>, _unique: bool) -> Result<()> {
        todo!()
    }

    /// Opens a fence of this transaction (see `storage::Stamp`), and moves the transaction to a timestamp after it. It is
    /// closed when the transaction has ended, either way, before `commit`/`rollback` returns.
    pub async fn open_fence(&mut self) -> Result<()> {
        todo!()
    }

    pub fn savepoint(&mut self) -> Savepoint {
        todo!()
    }

    /// Undoes the buffered writes since the savepoint, which stays. Locks are kept.
    pub fn rollback_to(&mut self, _savepoint: Savepoint) {
        todo!()
    }

    /// Whether anything has been written (buffered or in bulk).
    pub fn is_read_only(&self) -> bool {
        todo!()
    }

    /// Commits. After `Ok` the writes are durable on a quorum of every range and visible to everyone who asks later. After
    /// an error the transaction is over, rolled back unless the error is `Ambiguous`.
    pub async fn commit(self) -> Result<CommitInfo> {
        todo!()
    }

    /// Gives up: releases locks (in the background where nobody waits for it).
    pub async fn rollback(self) {
        todo!()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    pub commit_ts: Timestamp,
    pub stats: TxnStats,
}

/// One page of a scan over several ranges.
#[derive(Clone, Debug, Default)]
pub struct ScanPage {
    pub rows: Vec<(Key, Bytes)>,
    pub pushed: Vec<Bytes>,
    pub resume: Option<Span>,
    pub scanned: u64,
}

impl From<Page> for ScanPage {
    fn from(page: Page) -> ScanPage {
        ScanPage {
            rows: page.rows,
            pushed: page.pushed.into_iter().collect(),
            resume: page.resume,
            scanned: page.scanned,
        }
    }
}
