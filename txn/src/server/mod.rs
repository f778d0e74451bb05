//! The server half: evaluates [`Command`]s on the leader of a range, under the latches of `storage`, into an answer and a
//! batch to replicate.
//!
//! Life of a command:
//!
//! 1. `storage` asks [`access::of`] which keys it touches and takes latches: nothing else that touches them is between
//!    evaluation and application.
//! 2. [`Evaluator::evaluate`] hands it to [`reading`], [`locking`] or [`committing`]. These look at the stored state through
//!    the pure functions of [`crate::mvcc`], at the volatile state of the leader ([`cache`], [`lock`]), and answer, propose a
//!    batch, or park the request ([`wait`]).
//! 3. When the batch is applied, [`Evaluator::finished`] releases locks and wakes those who waited for what has changed.
//! 4. Woken requests are evaluated again from the start. Who has waited for longer than its patience is answered with what
//!    is in the way, so that its gateway can look into it (recovery, deadlocks over ranges) and ask again.
//!
//! The volatile state is only ever a reason to wait or to be pushed: losing it loses no correctness, because a new leader
//! begins with a timestamp cache that has everything read up to now. See `docs/transactions-server.md`.

pub mod access;
pub mod cache;
pub mod committing;
pub mod deadlock;
mod handover;
pub mod lock;
pub mod locking;
pub mod reading;
pub mod record;
pub mod wait;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{Monotonic, Span, Timestamp, TxnId};
use bytes::Bytes;
use serde::Serialize;
use storage::{Access, Error, Evaluate, EvaluateContext, EvaluateFactory, Outcome, Reader, Result, Token, WriteBatch};

use self::{cache::TimestampCache, deadlock::Detector, lock::LockTable, record::Liveness, wait::Waits};
use crate::{
    command::{self, Command, Key, Pushdown},
    mvcc,
};

/// Makes the evaluators of a node's replicas.
pub fn evaluate_factory(pushdown: Arc<dyn Pushdown>, options: Options) -> EvaluateFactory {
    Arc::new(move || Box::new(Evaluator::new(pushdown.clone(), options.clone())) as Box<dyn Evaluate>)
}

#[derive(Clone, Debug)]
pub struct Options {
    /// How long a read waits for an intent before it is answered `Blocked`.
    pub read_patience: Duration,
    /// How long a lock request or a prewrite waits before it is answered `Waiting` or `Blocked`.
    pub lock_patience: Duration,
    /// How long a place in a lock's queue is kept for a gateway that was told to ask again.
    pub place_ttl: Duration,
    /// How long locks are kept for a transaction that is not heard of.
    pub owner_ttl: Duration,
    /// After how long a silent transaction counts as gone: others may decide it.
    pub silence_max: Duration,
    /// How long a reported wait counts for the detection of deadlocks over ranges.
    pub edge_ttl: Duration,
    /// Nothing reads or begins a commit further back than this (in oracle time), so older garbage may be collected. The
    /// collector must keep to it (`Command::CollectGarbage`).
    pub retention: Duration,
    /// Bytes of one page of a scan.
    pub page_bytes_max: u64,
    /// Versions looked at for one page of a scan.
    pub page_versions_max: u64,
    /// Entries of one of the two generations of the timestamp cache, and its age.
    pub cache_entries_max: usize,
    pub cache_rotate_after: Duration,
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            read_patience: Duration::from_millis(20),
            lock_patience: Duration::from_millis(50),
            place_ttl: Duration::from_secs(3),
            owner_ttl: Duration::from_secs(5),
            silence_max: Duration::from_secs(3),
            edge_ttl: Duration::from_millis(1500),
            retention: Duration::from_secs(4 * 3600),
            page_bytes_max: 1 << 20,
            page_versions_max: 32 << 10,
            cache_entries_max: 32 << 10,
            cache_rotate_after: Duration::from_secs(10),
            faults: Faults::default(),
        }
    }
}

/// Planted faults, for tests that must show that they would be found. All off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Writes are put below reads.
    pub ignore_timestamp_cache: bool,
    /// `Refresh` is answered `Done` without looking.
    pub skip_refresh_check: bool,
    /// Locks are granted to everybody. Not a fault of correctness: nothing may rest on locks.
    pub lose_locks: bool,
    /// `Prevent` says that everything is there, whether or not it is.
    pub resolve_orphan_as_committed: bool,
    /// A commit does not look for versions newer than what was seen.
    pub ignore_conflicts: bool,
    /// A leader leaves nothing to its successor, though it could: `FOR UPDATE` ends with the leader.
    pub lose_locks_on_transfer: bool,
}

/// The volatile state of one leader of one range, and how it evaluates.
pub struct Evaluator {
    pushdown: Arc<dyn Pushdown>,
    options: Options,
    cache: TimestampCache,
    locks: LockTable,
    waits: Waits,
    liveness: Liveness,
    detector: Detector,
    /// Proposals that are under way.
    proposed: BTreeMap<Token, Proposed>,
    /// An oracle timestamp, not later than now, as great as is known.
    newest_ts: Timestamp,
    /// What garbage collection has been promised: see [`Evaluator::horizon`].
    collected_below: Timestamp,
    now: Monotonic,
}

/// What to do when a proposal is applied.
#[derive(Debug, Default)]
struct Proposed {
    /// Locks of the transaction to release.
    unlock: Option<(TxnId, Vec<Key>)>,
    /// Keys whose intent is gone or replaced then.
    removed: Vec<Key>,
    /// A span of which nothing is left.
    cleared: Option<Span>,
}

impl Evaluator {
    fn new(pushdown: Arc<dyn Pushdown>, options: Options) -> Evaluator {
        let start = Monotonic::default();
        Evaluator {
            cache: new_cache(&options, Timestamp::ZERO, start),
            locks: LockTable::new(options.place_ttl, options.owner_ttl),
            waits: Waits::default(),
            liveness: Liveness::new(start, options.silence_max),
            detector: Detector::new(options.edge_ttl),
            proposed: BTreeMap::new(),
            newest_ts: Timestamp::ZERO,
            collected_below: Timestamp::ZERO,
            now: start,
            pushdown,
            options,
        }
    }

    fn dispatch(
        &mut self,
        token: Token,
        command: Command,
        context: EvaluateContext<'_>,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        match command {
            Command::Read(read) => self.read(token, &read, reader),
            Command::Refresh { txn, spans, from, to } => self.refresh(token, txn, &spans, (from, to), reader),
            Command::Lock(lock) => self.lock(token, &lock, reader),
            Command::Unlock { txn, keys, weaken } => Ok(self.unlock(txn, &keys, &weaken)),
            Command::CommitOneRange(prewrite) => self.commit(token, &prewrite, committing::Mode::OneRange, reader),
            Command::Prewrite(prewrite) => self.commit(token, &prewrite, committing::Mode::Prewrite, reader),
            Command::Resolve { txn, keys, commit_ts } => self.resolve(token, txn, &keys, commit_ts, reader),
            Command::Query { txn, primary } => self.query(txn, &primary, reader),
            Command::Abort { txn, primary, at } => self.abort(token, txn, &primary, at, reader),
            Command::Prevent { txn, write_ts, keys } => self.prevent(token, txn, write_ts, &keys, reader),
            Command::Heartbeat { txn, primary: _ } => {
                self.hear(txn);
                Ok(Outcome::Reply(Bytes::new()))
            }
            Command::Wait { waiter, holders } => {
                // A self-loop is a confused report, not a deadlock.
                let holders = holders.into_iter().filter(|holder| holder.txn != waiter.txn).collect();
                Ok(answer(&self.detector.report(waiter, holders, self.now)))
            }
            Command::BulkWrite(bulk) => self.bulk_write(token, &bulk, reader),
            Command::CollectGarbage { span, below, limit } => {
                self.collect_garbage(token, (&span, below, limit), &context.descriptor.span, reader)
            }
            Command::ClearSpan { span } => Ok(self.clear_span(token, &span)),
        }
    }

    /// Nothing reads, and no transaction that commits began, before the horizon. It only grows, over changes of leader too:
    /// a new leader's low-water mark is fetched after all that its predecessors knew was handed out. So what was dropped
    /// because nobody may look below the horizon (versions, markers) will never be missed.
    fn horizon(&self) -> Timestamp {
        let retention = (self.options.retention.as_millis() as u64).saturating_mul(1 << Timestamp::COUNTER_BITS);
        self.collected_below.max(Timestamp(self.newest_ts.0.saturating_sub(retention)))
    }

    /// Learns an oracle timestamp from a request.
    fn learn(&mut self, ts: Timestamp) -> Result<()> {
        if ts == Timestamp::MAX {
            return Err(Error::Refused("not a timestamp of the oracle".into()));
        }
        self.newest_ts = self.newest_ts.max(ts);
        Ok(())
    }

    /// The transaction's owner has spoken.
    fn hear(&mut self, txn: TxnId) {
        self.locks.hear(txn, self.now);
        self.liveness.hear(txn, self.now);
    }

    /// Whether the request may still wait.
    fn is_patient(&self, token: Token, patience: Duration) -> bool {
        self.waits.since(token).is_none_or(|since| self.now.since(since) < patience)
    }

    fn propose<T: Serialize>(&mut self, token: Token, batch: WriteBatch, reply: &T, proposed: Proposed) -> Outcome {
        self.proposed.insert(token, proposed);
        Outcome::Propose { batch, reply: command::encode(reply) }
    }

    fn apply_effects(&mut self, proposed: Proposed) {
        for key in &proposed.removed {
            self.waits.wake_for(key);
        }
        if let Some(span) = &proposed.cleared {
            self.waits.wake_in(span);
        }
        if let Some((txn, keys)) = proposed.unlock {
            self.locks.unlock(txn, &keys);
        }
    }
}

impl Evaluate for Evaluator {
    fn access(&self, command: &Bytes) -> Result<Vec<Access>> {
        Ok(access::of(&decode(command)?))
    }

    fn evaluate(
        &mut self,
        token: Token,
        command: &Bytes,
        context: EvaluateContext<'_>,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        self.now = self.now.max(context.now);
        let outcome = self.dispatch(token, decode(command)?, context, reader);
        match &outcome {
            Ok(Outcome::Blocked) => {}
            Ok(_) => drop(self.waits.end(token)),
            Err(_) => self.cancel(token),
        }
        outcome
    }

    fn finished(&mut self, token: Token, applied: bool) {
        if let Some(proposed) = self.proposed.remove(&token).filter(|_| applied) {
            self.apply_effects(proposed);
        }
    }

    fn cancel(&mut self, token: Token) {
        if let Some(txn) = self.waits.end(token) {
            self.locks.cancel(token, txn);
        }
    }

    fn take_woken(&mut self) -> Vec<Token> {
        for token in self.locks.take_woken() {
            self.waits.wake(token);
        }
        self.waits.take_woken()
    }

    fn tick(&mut self, now: Monotonic) {
        self.now = self.now.max(now);
        self.locks.tick(self.now);
        self.liveness.tick(self.now);
        self.detector.tick(self.now);
        self.cache.tick(self.now);
        self.waits.tick(self.now);
    }

    fn lead(&mut self, low_water: Timestamp, now: Monotonic) {
        *self = Evaluator::new(self.pushdown.clone(), self.options.clone());
        self.now = now;
        self.newest_ts = low_water;
        self.cache = new_cache(&self.options, low_water, now);
        self.liveness = Liveness::new(now, self.options.silence_max);
    }

    fn unlead(&mut self) {
        *self = Evaluator::new(self.pushdown.clone(), self.options.clone());
    }

    fn split(&mut self, at: &[u8]) -> Box<dyn Evaluate> {
        self.waits.wake_all();
        let at = Bytes::copy_from_slice(at);
        Box::new(Evaluator {
            pushdown: self.pushdown.clone(),
            options: self.options.clone(),
            cache: self.cache.split(&at),
            locks: self.locks.split(&at, self.now),
            waits: Waits::default(),
            liveness: self.liveness.clone(),
            detector: self.detector.clone(),
            proposed: BTreeMap::new(),
            newest_ts: self.newest_ts,
            collected_below: self.collected_below,
            now: self.now,
        })
    }

    fn export(&self) -> Bytes {
        if self.options.faults.lose_locks_on_transfer {
            return Bytes::new();
        }
        let unlocks = self.proposed.values().filter_map(|proposed| proposed.unlock.as_ref());
        let releasing = unlocks.flat_map(|(txn, keys)| keys.iter().map(|key| (*txn, key))).collect();
        self.locks.export(&releasing).into()
    }

    fn adopt(&mut self, exported: &[u8]) {
        self.locks.adopt(exported, self.now);
    }

    fn close(&mut self, timestamp: Timestamp) -> bool {
        self.newest_ts = self.newest_ts.max(timestamp);
        self.cache.raise_low_water(timestamp);
        !self.options.faults.ignore_timestamp_cache
    }

    fn read_closed(&self, command: &Bytes, closed: Timestamp, reader: &dyn Reader) -> Result<Option<Bytes>> {
        match decode(command)? {
            Command::Read(read) if read.read_ts <= closed => self.read_as_follower(&read, closed, reader),
            _ => Ok(None),
        }
    }

    fn split_key(&self, engine_key: &[u8]) -> Bytes {
        mvcc::split_key(engine_key)
    }
}

fn new_cache(options: &Options, low_water: Timestamp, now: Monotonic) -> TimestampCache {
    TimestampCache::new(low_water, options.cache_entries_max, options.cache_rotate_after, now)
}

fn decode(command: &Bytes) -> Result<Command> {
    Command::decode(command).map_err(|error| Error::Refused(format!("malformed command: {error}")))
}

fn answer<T: Serialize>(reply: &T) -> Outcome {
    Outcome::Reply(command::encode(reply))
}
