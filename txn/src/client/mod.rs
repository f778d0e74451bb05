//! The client half: one [`Txn`] per SQL transaction, in the gateway. Here is its face; the work is done in
//!
//! | module | what |
//! |---|---|
//! | `read`, `overlay` | `get` and `scan`, own writes laid over the pages |
//! | `times` | isolation levels and the timestamps that follow from them |
//! | `lock`, `savepoint` | locks; moving forward in time (`Txn::move_forward`); going back to a savepoint |
//! | `commit`, `batch` | 1PC, parallel commit, commit of large transactions |
//! | `recovery`, `wait` | somebody is in the way: settle it or wait for it |
//! | `open`, `heartbeat`, `background`, `end` | what it holds; what happens beside and after |
//! | `sender`, `trace` | one request per range, whatever splits; what was asked of which |

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base::{RangeId, Runtime, Span, Timestamp, TxnId};
use bytes::Bytes;
use storage::{Cluster, Stamp};

use crate::{
    client::{
        background::Background,
        heartbeat::Registry,
        open::Open,
        read_set::ReadSet,
        savepoint::Savepoints,
        times::{At, Times},
        trace::Trace,
        waiting::Waiting,
        write_buffer::{Buffered, WriteBuffer},
    },
    command::{Key, LockMode, Page, WaitPolicy},
    error::{Error, Result},
};

mod background;
mod batch;
mod bulk;
mod commit;
mod end;
mod heartbeat;
mod lock;
mod maintenance;
mod open;
mod overlay;
mod read;
mod read_set;
mod recovery;
mod savepoint;
mod sender;
mod times;
mod trace;
mod wait;
mod waiting;
mod write_buffer;

pub use self::{savepoint::Savepoint, times::Isolation, trace::RangeWork, waiting::WaitView};

/// What all transactions of a gateway share. Cheap to clone.
#[derive(Clone)]
pub struct TxnClient {
    pub cluster: Arc<dyn Cluster>,
    pub runtime: Arc<dyn Runtime>,
    pub options: Arc<Options>,
    shared: Arc<Shared>,
    /// Of one transaction's own copy.
    trace: Option<Arc<Trace>>,
}

/// What runs beside the transactions of a gateway.
#[derive(Default)]
struct Shared {
    background: Background,
    registry: Registry,
    /// The newest timestamp that this gateway was given.
    newest: AtomicU64,
    waiting: Waiting,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// How long one operation may take before the transaction gives up (faults included).
    pub operation_timeout: Duration,
    /// Limit of buffered writes of one transaction, in bytes.
    pub write_buffer_bytes_max: usize,
    /// Above so many keys a transaction commits in two rounds rather than listing all keys in its primary.
    pub staged_keys_max: usize,
    /// An open transaction that holds locks or intents says so this often. Well below the leaders' patience.
    pub heartbeat_interval: Duration,
    /// How long an intent whose primary has no trace of the transaction is left alone: the prewrites of one transaction arrive
    /// in any order. Too short a grace costs a retry, never a wrong answer.
    pub orphan_grace: Duration,
    /// Reads of transactions in the past ([`TxnClient::begin_at`]) that are older than this ask any replica first. Leaders close
    /// timestamps about four seconds behind the oracle; asking too early costs a message.
    pub follower_reads_after: Duration,
    pub faults: Faults,
}

/// Planted errors, to check that the checkers find them. All off in production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Move forward in time without checking that what was read still holds.
    pub skip_refresh: bool,
    /// Whoever recovers a transaction commits what it finds, without asking whether all of it is there.
    pub resolve_orphan_as_committed: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            operation_timeout: Duration::from_secs(30),
            write_buffer_bytes_max: 512 << 20,
            staged_keys_max: 1024,
            heartbeat_interval: Duration::from_secs(1),
            orphan_grace: Duration::from_secs(1),
            follower_reads_after: Duration::from_millis(4500),
            faults: Faults::default(),
        }
    }
}

/// One transaction. Not `Clone`; used by one statement at a time. Dropping it without commit rolls back in the background.
pub struct Txn {
    client: TxnClient,
    open: Arc<Open>,
    times: Times,
    /// Reads the past and cannot write.
    fixed: bool,
    /// Plain reads. They must stay true under SERIALIZABLE only.
    reads: ReadSet,
    /// What must stay true at every level: cached descriptors, constraints.
    depends: ReadSet,
    /// `depends` holds more than cached descriptors.
    constrained: bool,
    writes: WriteBuffer,
    savepoints: Savepoints,
    bulk_batches: u32,
    lock_timeout: Option<Duration>,
    /// A fence of this transaction may be open.
    fence: bool,
    ended: bool,
    stats: TxnStats,
}

/// What a scan asks for. Rows come in key order (or reverse), with the transaction's own writes overlaid.
#[derive(Clone, Debug, Default)]
pub struct ScanRequest {
    /// Bounds are complete keys, prefixes of keys, or a key with a zero byte after it ([`Span::point`]): nothing else that has a
    /// complete key as its prefix.
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
    /// Below SERIALIZABLE: somebody else has committed it since the timestamp of the transaction's plain reads.
    pub newer: bool,
}

impl TxnClient {
    pub fn new(cluster: Arc<dyn Cluster>, runtime: Arc<dyn Runtime>, options: Options) -> TxnClient {
        TxnClient { cluster, runtime, options: Arc::new(options), shared: Arc::default(), trace: None }
    }

    /// Begins a SERIALIZABLE transaction, lazily: nothing is sent before the first operation.
    pub fn begin(&self) -> Txn {
        self.begin_with(Isolation::Serializable)
    }

    /// As [`TxnClient::begin`], at another level.
    pub fn begin_with(&self, isolation: Isolation) -> Txn {
        Txn {
            client: self.clone(),
            open: Open::new(TxnId(self.runtime.random_u128()), self.runtime.now()),
            times: Times::new(isolation),
            fixed: false,
            reads: ReadSet::default(),
            depends: ReadSet::default(),
            constrained: false,
            writes: WriteBuffer::default(),
            savepoints: Savepoints::default(),
            bulk_batches: 0,
            lock_timeout: None,
            fence: false,
            ended: false,
            stats: TxnStats::default(),
        }
    }

    /// A transaction that reads at a fixed past timestamp and cannot write (`AS OF SYSTEM TIME`). When that timestamp has not
    /// come yet, its reads fail with [`crate::Error::InFuture`]. Reads that are old enough are answered by any replica.
    pub fn begin_at(&self, read_ts: Timestamp) -> Txn {
        let mut txn = self.begin();
        txn.fixed = true;
        // Whatever was cached describes the present: the catalog is to be read at the same timestamp.
        txn.times.move_to(Stamp { timestamp: read_ts, fence: 0, fence_open: true });
        txn
    }
}

impl TxnClient {
    /// A timestamp that has been handed out.
    fn newest_known(&self) -> Timestamp {
        Timestamp(self.shared.newest.load(Ordering::Relaxed))
    }
}

impl Txn {
    pub fn id(&self) -> TxnId {
        self.open.id
    }

    pub fn stats(&self) -> TxnStats {
        self.stats
    }

    /// Begins, or ends, to note what is asked of each range.
    pub fn set_trace(&mut self, on: bool) {
        self.client.trace = on.then(Arc::default);
    }

    /// What was asked of the ranges since the last call, while noting was on.
    pub fn take_trace(&mut self) -> BTreeMap<RangeId, RangeWork> {
        self.client.trace.as_ref().map(|trace| trace.take()).unwrap_or_default()
    }

    /// The level asked for.
    pub fn isolation(&self) -> Isolation {
        self.times.isolation
    }

    /// Changes the level. Only before anything was read, locked or written: afterwards nothing happens, and the answer is
    /// false.
    pub fn set_isolation(&mut self, isolation: Isolation) -> bool {
        let legal = !self.times.used && !self.fence;
        if legal {
            self.times.isolation = isolation;
            self.times.serial = isolation == Isolation::Serializable;
        }
        legal
    }

    /// A statement begins: under READ COMMITTED it reads at a timestamp of its own, which is fetched when something asks for
    /// it. At the other levels nothing happens.
    pub fn begin_statement(&mut self) {
        let own_snapshot = self.times.isolation == Isolation::ReadCommitted && !self.times.serial && !self.fixed;
        self.times.statement_due |= own_snapshot;
    }

    /// Under READ COMMITTED: reads are as of an earlier statement again, whose cursor goes on; answers the stamp that was the
    /// current one, to return to. At the other levels all statements read at one timestamp, and the answer is `None`.
    pub fn resume_statement(&mut self, stamp: Stamp) -> Option<Stamp> {
        if self.times.isolation != Isolation::ReadCommitted || self.times.serial || self.fixed {
            return None;
        }
        self.times.read.replace(stamp)
    }

    /// The stamp of the current read timestamp; fetches one if there is none yet. Its `fence` says whether a cached catalog
    /// is still true for this transaction. After moving forward, and in a new statement under READ COMMITTED, this is a newer
    /// stamp.
    pub async fn stamp(&mut self) -> Result<Stamp> {
        if let Some(stamp) = self.times.current() {
            return Ok(stamp);
        }
        let stamp = self.fresh_stamp().await?;
        self.times.begin_at(stamp, !self.constrained);
        Ok(stamp)
    }

    /// Statement-level lock timeout for the following operations; `None`: wait as long as it takes.
    pub fn set_lock_timeout(&mut self, timeout: Option<Duration>) {
        self.lock_timeout = timeout;
    }

    /// Values at the transaction's timestamp, in the order asked; own writes included.
    pub async fn get(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        self.read_keys(keys, At::Snapshot).await
    }

    /// As [`Txn::get`], but as things are now, and so that they still are when the transaction commits: what constraints are
    /// checked against at the levels below SERIALIZABLE. At that level it is the same as `get`. What was locked before is taken
    /// into account: nobody who gave way to the lock is missed.
    pub async fn get_latest(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        self.read_keys(keys, At::Latest).await
    }

    /// One page of a scan, over as many ranges as it takes. `Page::resume` tells where to go on. With a pushdown that
    /// aggregates there may be several partial results: one `pushed` a page of a range, in the order of the ranges.
    pub async fn scan(&mut self, request: &ScanRequest) -> Result<ScanPage> {
        self.read_page(request, At::Snapshot).await
    }

    /// As [`Txn::scan`], in the way of [`Txn::get_latest`].
    pub async fn scan_latest(&mut self, request: &ScanRequest) -> Result<ScanPage> {
        self.read_page(request, At::Latest).await
    }

    /// Whether the write buffer holds anything in the span (then aggregates must not be pushed down).
    pub fn has_writes_in(&self, span: &Span) -> bool {
        self.writes.range(span).next().is_some()
    }

    /// Locks rows (absent keys too: that is how uniqueness is checked) and returns their newest values. When one of them is
    /// newer than the transaction's timestamp: SERIALIZABLE moves the transaction forward; REPEATABLE READ fails with
    /// [`crate::RetryReason::ConcurrentUpdate`]; READ COMMITTED leaves it to the caller to look at the row again.
    ///
    /// What was returned is checked at the commit. Of a row that was there and locked in mode `KeyShare`, only that it still
    /// is: who relies on its value must read it, too.
    pub async fn lock(&mut self, keys: &[Key], mode: LockMode, wait: WaitPolicy) -> Result<Vec<LockedRow>> {
        self.lock_keys(keys, mode, wait, At::Snapshot).await
    }

    /// As [`Txn::lock`], but REPEATABLE READ takes a newer row as it is: uniqueness and foreign keys are about what is there,
    /// not about what was.
    pub async fn lock_latest(&mut self, keys: &[Key], mode: LockMode, wait: WaitPolicy) -> Result<Vec<LockedRow>> {
        self.lock_keys(keys, mode, wait, At::Latest).await
    }

    /// Buffers a write of a key that was locked or read before by this transaction (READ COMMITTED: locked, or read by this
    /// statement).
    pub fn put(&mut self, key: Key, value: Bytes) -> Result<()> {
        self.buffer(key, Some(value), false)
    }

    /// Buffers a write of a key that cannot exist yet and depends on nothing (a fresh unique row id, an entry of a
    /// non-unique index that ends in the primary key).
    pub fn put_blind(&mut self, key: Key, value: Bytes) -> Result<()> {
        self.buffer(key, Some(value), true)
    }

    /// Buffers a deletion. `blind` as in [`Txn::put_blind`].
    pub fn delete(&mut self, key: Key, blind: bool) -> Result<()> {
        self.buffer(key, None, blind)
    }

    fn buffer(&mut self, key: Key, value: Option<Bytes>, blind: bool) -> Result<()> {
        if self.fixed {
            return Err(Error::Internal("a transaction in the past cannot write".into()));
        }
        let size_bytes_max = self.client.options.write_buffer_bytes_max;
        self.times.used = true;
        // Below SERIALIZABLE nothing refreshes what was read, so its version counts; unless the lock says more.
        let is_locked = !blind && self.open.seen(&key).is_some();
        let as_of = self.times.read.filter(|_| !self.times.serial && !is_locked).map(|stamp| stamp.timestamp);
        let write = Buffered { value, blind, as_of };
        if self.writes.put(key, write, size_bytes_max) {
            return Ok(());
        }
        Err(Error::TooLarge(format!("buffered writes exceed {size_bytes_max} bytes")))
    }

    /// Declares that the transaction depends on `span` as of its timestamp, though it was read from a cache: at every level
    /// the span is checked to be the same when the transaction commits.
    pub fn depend_on(&mut self, span: Span) {
        self.depends.add_span(span);
    }

    /// Writes rows at once, outside the buffer and the commit protocol, into a key space that no other transaction can see
    /// before this one commits (a new index of a new or changed table). Bounded memory; not undone by rollback: the caller
    /// clears the key space of an index that did not come to be. With `unique`, a key written by another batch (or twice in
    /// this one) is [`crate::Error::Duplicate`].
    pub async fn bulk_write(&mut self, rows: Vec<(Key, Bytes)>, unique: bool) -> Result<()> {
        self.write_bulk(rows, unique).await
    }

    /// Opens a fence of this transaction (see `storage::Stamp`), and moves the transaction to a timestamp after it. It is
    /// closed when the transaction has ended, either way, before `commit`/`rollback` returns. From here on the transaction is
    /// serializable, whatever its level.
    pub async fn open_fence(&mut self) -> Result<()> {
        self.raise_fence().await
    }

    /// Marks a point to go back to. Savepoints are nested: going back to one, or releasing it, ends those made after it.
    pub fn savepoint(&mut self) -> Savepoint {
        self.make_savepoint()
    }

    /// Undoes the buffered writes since the savepoint, which stays. Locks taken since are released, and locks that were made
    /// stronger since are as strong as before. What was read since counts as read.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        self.go_back_to(savepoint);
    }

    /// Forgets the savepoint and those made after it; what was done since stays.
    pub fn release(&mut self, savepoint: Savepoint) {
        self.forget_savepoint(savepoint);
    }

    /// Whether anything has been written (buffered or in bulk).
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty() && self.bulk_batches == 0
    }

    /// Commits. After `Ok` the writes are durable on a quorum of every range and visible to everyone who asks later. After
    /// an error the transaction is over, rolled back unless the error is `Ambiguous`.
    pub async fn commit(mut self) -> Result<CommitInfo> {
        let result = self.commit_writes().await;
        if matches!(result, Err(Error::Ambiguous(_))) {
            self.end_ambiguous();
        } else {
            self.end().await;
        }
        Ok(CommitInfo { commit_ts: result?, stats: self.stats })
    }

    /// Gives up: releases locks (in the background where nobody waits for it).
    pub async fn rollback(mut self) {
        self.end().await;
    }

    async fn read_ts(&mut self) -> Result<Timestamp> {
        Ok(self.stamp().await?.timestamp)
    }

    async fn begin_ts(&mut self) -> Result<Timestamp> {
        match self.times.begin {
            Some(begin) => Ok(begin),
            None => self.read_ts().await,
        }
    }

    async fn fresh_stamp(&mut self) -> Result<Stamp> {
        self.stats.round_trips += 1;
        self.stats.stamps += 1;
        let stamp = self.client.cluster.stamp(self.client.deadline()).await?;
        self.client.shared.newest.fetch_max(stamp.timestamp.0, Ordering::Relaxed);
        Ok(stamp)
    }
}

impl Drop for Txn {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.client.unwatch(&self.open);
        self.client.unlock(self.open.id, self.open.take_locks());
        // Dropped in the middle of a commit, the outcome is not known; the fence must outlive the transaction.
        if self.fence && self.open.state.lock().decider.is_none() {
            self.client.close_fence_later(storage::FenceOp::Close(self.open.id.0));
        }
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
