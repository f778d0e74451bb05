//! What the gateway asks of a range leader. Closed and idempotent: the router may deliver a command more than once.
//!
//! Encoded with `postcard`; variants are only ever appended. `Command::decode` bounds nothing by itself: frames are bounded
//! by the transport.
//!
//! What the client half rests on (the argument is in `docs/transactions.md`):
//! - *Own traces first.* `Prewrite`/`CommitOneRange` look for what an earlier copy of the request left before any other check:
//!   own version → `Committed`; own marker → `Aborted`; own intents at exactly `write_ts` on all keys → `Done`, even where the
//!   timestamp cache has passed `write_ts` since. So `Pushed` means: these keys are not, and never will be, at `write_ts`.
//! - *Timestamps of intents only grow.* A prewrite replaces an own intent that is earlier; where it finds an own intent that
//!   is later, it is a stale copy and writes nothing.
//! - *`Prevent` is for one timestamp.* An earlier intent of the transaction is replaced by the marker. A later one is left
//!   alone and nothing is marked: `Superseded` (the asker's knowledge is stale; it asks the primary again). A marker stops
//!   every later attempt too, so after `Missing` the transaction can never commit, and whoever learned it may abort it.
//! - *Markers stay* (`Resolve` does not remove them) until no copy of a request can be under way any more.
//! - *Nothing to write*: a `CommitOneRange` with `checks` only is answered without a proposal.

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A key of the user key space. Complete keys are prefix-free (`base::keycode`).
pub type Key = Bytes;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    Read(Read),
    Lock(Lock),
    /// Releases the in-memory locks of a transaction in this range (after rollback, or commit of what it wrote), and
    /// withdraws its requests that wait here: those are answered `Waiting` or `Blocked` by nobody. `weaken` are locks that
    /// go back to a weaker mode, the one before a savepoint.
    Unlock {
        txn: TxnId,
        keys: Vec<Key>,
        weaken: Vec<(Key, LockMode)>,
    },
    /// Checks that nothing appeared in the spans within `(from, to]`, and records the read at `to`.
    Refresh {
        txn: TxnId,
        spans: Vec<Span>,
        from: Timestamp,
        to: Timestamp,
    },
    /// 1PC: checks and writes committed versions in one proposal.
    CommitOneRange(Prewrite),
    Prewrite(Prewrite),
    /// Turns intents into versions (`commit_ts` given) or removes them. Unknown intents are skipped: resolved already.
    Resolve {
        txn: TxnId,
        keys: Vec<Key>,
        commit_ts: Option<Timestamp>,
    },
    /// Asked at the range of the primary: what became of this transaction? Changes nothing.
    Query {
        txn: TxnId,
        primary: Key,
    },
    /// Asked at the primary's range when the owner is gone: decides a transaction that is not STAGED. Committed stays
    /// committed; anything else becomes aborted by a marker that makes a late prewrite fail. A STAGED one is left as it is
    /// and answered `Staged`. Also for an owner that gives up after a `Prewrite` or `CommitOneRange` whose fate it does not
    /// know: a late copy of that request then does nothing. `at` is any timestamp not before the transaction's begin (its
    /// write timestamp, as known to the asker): it tells when the marker may be forgotten.
    Abort {
        txn: TxnId,
        primary: Key,
        at: Timestamp,
    },
    /// Recovery of a STAGED transaction: for each key, is its intent (at `write_ts`) or its version there? With a marker in
    /// place of each missing one, so that it can never appear later.
    Prevent {
        txn: TxnId,
        write_ts: Timestamp,
        keys: Vec<Key>,
    },
    /// The transaction is alive: keeps its locks and its record in this range from expiring.
    Heartbeat {
        txn: TxnId,
        primary: Option<Key>,
    },
    /// Volatile wait-for edges, sent by waiting gateways to the range that holds the detector key. Finds cycles over ranges.
    Wait {
        waiter: WaitNode,
        holders: Vec<WaitFor>,
    },
    /// Committed versions at `write_ts`, in a key space that no other transaction can see yet (a new index). No locks, no
    /// conflict checks but the duplicate check.
    BulkWrite(BulkWrite),
    /// Drops versions that no read at or after `below` can see, in a part of the range; answers where to go on. From then on
    /// the range refuses reads and prewrites below. `below` must be at most an oracle timestamp already handed out less the
    /// retention (`server::Options::retention`), and intents below it must have been resolved in all ranges before anything
    /// is dropped in any (`limit` 0 drops nothing and lists them in [`CollectReply::intents`]).
    CollectGarbage {
        span: Span,
        below: Timestamp,
        limit: u32,
    },
    /// Deletes all data in a span: the key space of a dropped index, which nobody can name any more.
    ClearSpan {
        span: Span,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    pub txn: TxnId,
    pub read_ts: Timestamp,
    /// False for reads that need not be refreshed or protected (statistics, `AS OF SYSTEM TIME`): the timestamp cache is
    /// not touched.
    pub protect: bool,
    /// Old enough to be answered by any replica that has closed `read_ts`, as the gateway believes.
    pub anywhere: bool,
    pub body: ReadBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadBody {
    Get { keys: Vec<Key> },
    Scan(Scan),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    pub span: Span,
    pub reverse: bool,
    /// At most so many rows that pass the pushdown (0: no limit).
    pub limit_rows: u64,
    /// Stop after about so many bytes of answer (0: the leader's own bound, 1 MiB).
    pub limit_bytes: u64,
    /// Opaque program for the injected [`Pushdown`]: filter, projection, partial aggregates.
    pub pushdown: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadReply {
    /// The newest value at or below `read_ts` of each key, in the order asked.
    Values(Vec<Option<Bytes>>),
    Rows(Page),
    /// Foreign intents at or below `read_ts` are in the way and were not resolved within the leader's patience.
    Blocked(Vec<Blocker>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub rows: Vec<(Key, Bytes)>,
    /// What the pushdown made of the rows it swallowed (partial aggregates).
    pub pushed: Option<Bytes>,
    /// Where to go on: the part of the span not yet read; `None` when the range's part of the span is exhausted.
    pub resume: Option<Span>,
    /// Row versions looked at, for EXPLAIN ANALYZE.
    pub scanned: u64,
}

/// Somebody in the way: a transaction and where to ask for its fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    pub key: Key,
    pub txn: TxnId,
    /// The primary key, when it is an intent that blocks; `None` for an in-memory lock.
    pub primary: Option<Key>,
    /// The intent's timestamp; zero for a lock.
    pub write_ts: Timestamp,
}

/// The strengths of PostgreSQL's row locks (its manual, section 13.3.2), weakest first. Whatever a mode keeps out, a stronger
/// one keeps out too: so holding a mode is as good as holding any weaker one.
///
/// | | key share | share | no key update | update |
/// |---|---|---|---|---|
/// | key share | | | | conflict |
/// | share | | | conflict | conflict |
/// | no key update | | conflict | conflict | conflict |
/// | update | conflict | conflict | conflict | conflict |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LockMode {
    /// The key stays: nobody deletes it or changes what others refer to. The transaction depends on nothing else: at its
    /// commit the row may be a newer one. (Foreign keys)
    KeyShare,
    /// The row stays as it is.
    Share,
    /// The row is about to change, but not its keys.
    NoKeyUpdate,
    /// The row is about to go, or to change in any way.
    Update,
}

impl LockMode {
    /// Whether two transactions may not hold these modes on a key at the same time.
    pub fn conflicts_with(self, other: LockMode) -> bool {
        use LockMode::{KeyShare, NoKeyUpdate, Share, Update};
        match self {
            KeyShare => other == Update,
            Share => matches!(other, NoKeyUpdate | Update),
            NoKeyUpdate => other != KeyShare,
            Update => true,
        }
    }
}

impl std::fmt::Display for LockMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LockMode::KeyShare => "key share",
            LockMode::Share => "share",
            LockMode::NoKeyUpdate => "no key update",
            LockMode::Update => "update",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitPolicy {
    /// Queue until the lock is granted, a deadlock is found, or the leader's patience ends (`LockReply::Waiting`).
    Wait,
    /// Answer `LockReply::Locked` at once.
    NoWait,
    /// Leave out what is locked.
    SkipLocked,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub txn: TxnId,
    /// When the transaction began: the younger one dies in a deadlock.
    pub begin_ts: Timestamp,
    pub mode: LockMode,
    pub wait: WaitPolicy,
    /// All or nothing with `Wait`; taken in key order.
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockReply {
    /// In the order asked: the newest committed value.
    Granted(Vec<Locked>),
    /// Not granted within the leader's patience (about 50 ms). The place in the queue is kept for some seconds: report the
    /// wait (`Command::Wait`), then ask again.
    Waiting(Vec<Blocker>),
    /// With `NoWait`: somebody holds it.
    Locked(Blocker),
    /// Waiting would never end; this transaction is the youngest of the cycle, which is listed.
    Deadlock(Vec<WaitEdge>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// False only with `SkipLocked`: somebody else holds it; the rest is empty then.
    pub granted: bool,
    pub value: Option<Bytes>,
    /// Timestamp of the newest committed version (a tombstone counts); zero when there is none.
    pub version_ts: Timestamp,
    /// Who committed it.
    pub writer: Option<TxnId>,
}

/// One buffered write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    pub key: Key,
    /// `None` deletes.
    pub value: Option<Bytes>,
    /// The newest committed version that the transaction knows of and has taken into account: a newer one is a conflict.
    /// `Timestamp::MAX` for a blind write, which depends on nothing.
    pub seen: Timestamp,
}

/// Something that was locked and not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub key: Key,
    /// The newest committed version that the transaction knows of.
    pub seen: Timestamp,
    /// The transaction depends only on the key's being there: newer versions are no conflict, unless it was deleted.
    pub presence: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prewrite {
    pub txn: TxnId,
    pub begin_ts: Timestamp,
    pub write_ts: Timestamp,
    /// Written in this request, within one range.
    pub writes: Vec<Write>,
    /// Locked but not written: checked the same way and protected at `write_ts`.
    pub checks: Vec<Check>,
    /// Where the transaction's fate is kept. For `CommitOneRange` unused.
    pub primary: Key,
    /// With the primary's own prewrite: every other written key, when this is a parallel commit. `None` for a transaction
    /// too large for that, which is decided by resolving the primary.
    pub staged: Option<Vec<Key>>,
    /// Release the transaction's in-memory locks in this range once applied (they are replaced by the writes).
    pub unlock: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrewriteReply {
    /// Durable, at exactly the `write_ts` asked for.
    Done,
    /// This transaction was committed already, at this timestamp (a repeated request).
    Committed(Timestamp),
    /// The write timestamp is too low: something was read or written at `at_least` or above by others. Nothing written.
    Pushed { at_least: Timestamp },
    /// A committed version newer than what was seen; the transaction cannot commit with what it has read.
    Conflict { key: Key, other: TxnId, version_ts: Timestamp },
    /// Somebody's intent or lock is in the way and did not go within the leader's patience. Nothing written.
    Blocked(Vec<Blocker>),
    /// A recovery prevented or aborted this transaction.
    Aborted,
    /// Waiting for a lock would close a cycle.
    Deadlock(Vec<WaitEdge>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefreshReply {
    Done,
    /// A version or foreign intent within the interval.
    Changed {
        key: Key,
        other: TxnId,
    },
}

/// What a primary knows of its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TxnStatus {
    Committed(Timestamp),
    Aborted,
    /// No trace: not prewritten here (yet), or long forgotten.
    Unknown,
    /// The primary's intent without a list: undecided until the primary is resolved.
    Pending {
        write_ts: Timestamp,
        alive: bool,
    },
    /// The primary's intent with the list of all other keys: committed if all are there.
    Staged {
        write_ts: Timestamp,
        others: Vec<Key>,
        alive: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PreventReply {
    /// Every key has its intent or its committed version.
    AllPresent,
    /// At least one is missing and now prevented: the transaction can never commit. Abort it at its primary.
    Missing,
    /// An intent or the version of a later attempt (a greater `write_ts`) is there: the owner has moved on and what was known of it is
    /// stale. Nothing was changed; ask the primary again.
    Superseded,
}

/// Who waits, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitNode {
    pub txn: TxnId,
    pub begin_ts: Timestamp,
    /// The lock it wants; `None` for a read that waits for an intent.
    pub mode: Option<LockMode>,
}

/// Whom somebody waits for, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitFor {
    pub txn: TxnId,
    pub key: Key,
}

/// One member of a deadlock: `waiter` wants `key` in this mode, and `holder` (the next member) is in its way: holds the key
/// in a mode that conflicts, was there first, or has an intent on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitEdge {
    pub waiter: TxnId,
    pub holder: TxnId,
    pub key: Key,
    /// `None` for a read that waits for an intent.
    pub mode: Option<LockMode>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitReply {
    Wait,
    /// The waiter is the youngest of a cycle, the first of it, and must die.
    Deadlock(Vec<WaitEdge>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkWrite {
    pub txn: TxnId,
    /// Distinguishes this batch from every other of the transaction: a repeated request is not a duplicate key.
    pub batch: u32,
    pub write_ts: Timestamp,
    pub rows: Vec<(Key, Bytes)>,
    /// Fail when a key is there already from another batch.
    pub unique: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkReply {
    Done,
    Duplicate { key: Key },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectReply {
    pub dropped: u64,
    pub resume: Option<Span>,
    /// Intents below the mark that somebody must resolve (some of them, when there are many).
    pub intents: Vec<Blocker>,
}

/// What came back from a range, for those who count.
pub trait Reply: serde::de::DeserializeOwned + Send {
    /// Rows that the leader looked at, and rows that it sent.
    fn rows(&self) -> (u64, u64) {
        (0, 0)
    }
}

impl Reply for ReadReply {
    fn rows(&self) -> (u64, u64) {
        match self {
            ReadReply::Values(values) => (values.len() as u64, values.iter().flatten().count() as u64),
            ReadReply::Rows(page) => (page.scanned, page.rows.len() as u64),
            ReadReply::Blocked(_) => (0, 0),
        }
    }
}

impl Reply for LockReply {
    fn rows(&self) -> (u64, u64) {
        match self {
            LockReply::Granted(rows) => {
                (rows.len() as u64, rows.iter().filter(|row| row.value.is_some()).count() as u64)
            }
            _ => (0, 0),
        }
    }
}

impl Reply for () {}
impl Reply for PrewriteReply {}
impl Reply for RefreshReply {}
impl Reply for PreventReply {}
impl Reply for TxnStatus {}
impl Reply for WaitReply {}
impl Reply for BulkReply {}

/// Replies of the commands that have nothing to say (`Unlock`, `Resolve`, `Heartbeat`, `ClearSpan`) are empty; `Abort` and
/// `Query` answer [`TxnStatus`].
impl Command {
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    pub fn decode(bytes: &Bytes) -> Result<Command, postcard::Error> {
        decode(bytes)
    }
}

/// Encodes a reply (or any value of this module).
pub fn encode<T: Serialize>(value: &T) -> Bytes {
    postcard::to_stdvec(value).expect("plain data always encodes").into()
}

/// Decodes a reply (or any value of this module).
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}

/// Work on rows that is done where they lie, injected into the server half by whoever starts a node: `sql` implements it.
/// A program is compiled once per request.
pub trait Pushdown: Send + Sync {
    /// An error refuses the command.
    fn compile(&self, program: &[u8]) -> Result<Box<dyn RowSink>, String>;
}

/// Receives the visible rows of a scan in key order.
pub trait RowSink {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<Verdict, String>;
    /// What was swallowed, if anything (partial aggregates of this page).
    fn finish(&mut self) -> Result<Option<Bytes>, String>;
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes into the page as it is.
    Keep,
    /// Goes into the page with another value (projection).
    Replace(Bytes),
    /// Filtered out, or swallowed by an aggregate.
    Drop,
}
