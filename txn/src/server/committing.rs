//! The commit protocol's server side: prewrites, one-range commits, and deciding and resolving transactions. The rules are
//! in [`crate::mvcc::write`] and [`crate::mvcc::resolve`]; here they meet locks and the timestamp cache.

use std::collections::BTreeSet;

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use storage::{ColumnFamily, Error, Outcome, Reader, Result, Token, WriteBatch};

use super::{Evaluator, Proposed, answer, lock::Acquired};
use crate::{
    command::{
        Blocker, BulkReply, BulkWrite, Check, CollectReply, Key, LockMode, PreventReply, Prewrite, PrewriteReply,
        TxnStatus,
    },
    mvcc::{
        gc,
        read::Versions,
        resolve::{self, Fate},
        write::{self, Clear, Finding},
    },
};

/// What a prewrite leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Committed versions.
    OneRange,
    /// Intents.
    Prewrite,
}

impl Evaluator {
    pub(super) fn commit(
        &mut self,
        token: Token,
        prewrite: &Prewrite,
        mode: Mode,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        let txn = prewrite.txn;
        self.hear(txn);
        self.learn(prewrite.write_ts)?;
        if prewrite.begin_ts > prewrite.write_ts {
            return Err(Error::Refused("a transaction cannot write before it began".into()));
        }
        if self.waits.is_withdrawn(token) {
            return Ok(answer(&PrewriteReply::Blocked(Vec::new())));
        }
        if let Some(cycle) = self.locks.take_doom(txn) {
            return Ok(answer(&PrewriteReply::Deadlock(cycle)));
        }
        let clear = match self.examine(prewrite, reader)? {
            Finding::Clear(clear) => clear,
            Finding::Intents(blockers) => return Ok(self.commit_blocked(token, txn, blockers, true)),
            Finding::Present if mode == Mode::OneRange => Clear::all_present(prewrite),
            Finding::Present => return Ok(self.commit_over(prewrite, &PrewriteReply::Done)),
            Finding::Committed(ts) => return Ok(self.commit_over(prewrite, &PrewriteReply::Committed(ts))),
            Finding::Aborted => return Ok(self.commit_refused(txn, &PrewriteReply::Aborted)),
            Finding::Stale(at_least) => return Ok(self.commit_refused(txn, &PrewriteReply::Pushed { at_least })),
            Finding::Conflict { key, other, version_ts } => {
                return Ok(self.commit_refused(txn, &PrewriteReply::Conflict { key, other, version_ts }));
            }
        };
        match self.lock_writes(token, prewrite, &clear) {
            Acquired::Yes => {}
            Acquired::Queued(blockers) => return Ok(self.commit_blocked(token, txn, blockers, false)),
            Acquired::Deadlock(cycle) => return Ok(answer(&PrewriteReply::Deadlock(cycle))),
        }
        if let Some(at_least) = self.pushed(prewrite, &clear) {
            return Ok(self.commit_refused(txn, &PrewriteReply::Pushed { at_least }));
        }
        // From here on nothing is written under what was looked at.
        for Check { key, .. } in &prewrite.checks {
            self.cache.record_key(key, prewrite.write_ts, txn);
        }
        if prewrite.writes.is_empty() {
            return Ok(self.commit_over(prewrite, &PrewriteReply::Done));
        }
        let batch = match mode {
            Mode::OneRange => write::put_versions(prewrite, &clear.own_intents),
            Mode::Prewrite => write::put_intents(prewrite),
        };
        let effects = Proposed {
            unlock: Some((txn, prewrite.unlock.clone())),
            // A replaced intent is later: readers that waited for it may go on.
            removed: clear.own_intents,
            cleared: None,
        };
        Ok(self.propose(token, batch, &PrewriteReply::Done, effects))
    }

    fn examine(&self, prewrite: &Prewrite, reader: &dyn Reader) -> Result<Finding> {
        if !self.options.faults.ignore_conflicts {
            return write::examine(reader, prewrite, self.horizon());
        }
        let mut blind = prewrite.clone();
        blind.writes.iter_mut().for_each(|write| write.seen = Timestamp::MAX);
        blind.checks.iter_mut().for_each(|check| check.seen = Timestamp::MAX);
        write::examine(reader, &blind, self.horizon())
    }

    /// Where others hold or await the lock of a written key, the writer queues with them.
    fn lock_writes(&mut self, token: Token, prewrite: &Prewrite, clear: &Clear) -> Acquired {
        if self.options.faults.lose_locks {
            return Acquired::Yes;
        }
        let keys: BTreeSet<&Key> = prewrite
            .writes
            .iter()
            .zip(&clear.present)
            .filter(|(write, present)| !**present && self.locks.is_contested(prewrite.txn, &write.key))
            .map(|(write, _)| &write.key)
            .collect();
        for key in keys {
            let who = (prewrite.txn, prewrite.begin_ts);
            match self.locks.acquire(token, who, key, LockMode::Update, self.now) {
                Acquired::Yes => {}
                otherwise => return otherwise,
            }
        }
        Acquired::Yes
    }

    /// The greatest timestamp at which something stands in the way of the write timestamp.
    fn pushed(&self, prewrite: &Prewrite, clear: &Clear) -> Option<Timestamp> {
        let mut at_least = Some(clear.newest).filter(|newest| *newest >= prewrite.write_ts);
        if self.options.faults.ignore_timestamp_cache {
            return at_least;
        }
        for (write, _) in prewrite.writes.iter().zip(&clear.present).filter(|(_, present)| !**present) {
            let last = self.cache.last_read(&write.key);
            if last.forbids(prewrite.txn, prewrite.write_ts) {
                at_least = at_least.max(Some(last.ts));
            }
        }
        at_least
    }

    fn commit_blocked(&mut self, token: Token, txn: TxnId, blockers: Vec<Blocker>, intents: bool) -> Outcome {
        let waited_for = if intents { &blockers[..] } else { &[] };
        if self.wait_for_intents(token, txn, waited_for, self.options.lock_patience) {
            return Outcome::Blocked;
        }
        self.locks.detach(token, txn, self.now);
        answer(&PrewriteReply::Blocked(blockers))
    }

    /// Nothing was written; the locks that were held before stay.
    fn commit_refused(&mut self, txn: TxnId, reply: &PrewriteReply) -> Outcome {
        self.locks.give_up(txn);
        answer(reply)
    }

    /// All is done already.
    fn commit_over(&mut self, prewrite: &Prewrite, reply: &PrewriteReply) -> Outcome {
        self.locks.unlock(prewrite.txn, &prewrite.unlock);
        answer(reply)
    }

    pub(super) fn resolve(
        &mut self,
        token: Token,
        txn: TxnId,
        keys: &[Key],
        commit_ts: Option<Timestamp>,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        let resolved = resolve::resolve(reader, txn, keys, commit_ts)?;
        if resolved.batch.is_empty() {
            return Ok(Outcome::Reply(Bytes::new()));
        }
        let effects = Proposed { removed: resolved.removed, ..Proposed::default() };
        Ok(self.propose(token, resolved.batch, &(), effects))
    }

    pub(super) fn query(&mut self, txn: TxnId, primary: &Key, reader: &dyn Reader) -> Result<Outcome> {
        let fate = Fate::read(reader, txn, primary, Timestamp::ZERO)?;
        Ok(answer(&self.status(txn, fate)))
    }

    pub(super) fn abort(
        &mut self,
        token: Token,
        txn: TxnId,
        primary: &Key,
        at: Timestamp,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        self.learn(at)?;
        let (fate, resolved) = resolve::abort(reader, txn, primary, at)?;
        let status = self.status(txn, fate);
        if resolved.batch.is_empty() {
            return Ok(answer(&status));
        }
        let effects = Proposed { removed: resolved.removed, ..Proposed::default() };
        Ok(self.propose(token, resolved.batch, &status, effects))
    }

    fn status(&self, txn: TxnId, fate: Fate) -> TxnStatus {
        let alive = self.liveness.is_alive(txn, self.now);
        match fate {
            Fate::Committed(ts) => TxnStatus::Committed(ts),
            Fate::Aborted => TxnStatus::Aborted,
            Fate::Unknown => TxnStatus::Unknown,
            Fate::Open(intent) => match intent.staged {
                Some(others) => TxnStatus::Staged { write_ts: intent.write_ts, others, alive },
                None => TxnStatus::Pending { write_ts: intent.write_ts, alive },
            },
        }
    }

    pub(super) fn prevent(
        &mut self,
        token: Token,
        txn: TxnId,
        write_ts: Timestamp,
        keys: &[Key],
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        self.learn(write_ts)?;
        if self.options.faults.resolve_orphan_as_committed {
            return Ok(answer(&PreventReply::AllPresent));
        }
        let (reply, resolved) = resolve::prevent(reader, txn, write_ts, keys)?;
        if resolved.batch.is_empty() {
            return Ok(answer(&reply));
        }
        let effects = Proposed { removed: resolved.removed, ..Proposed::default() };
        Ok(self.propose(token, resolved.batch, &reply, effects))
    }

    pub(super) fn bulk_write(&mut self, token: Token, bulk: &BulkWrite, reader: &dyn Reader) -> Result<Outcome> {
        self.locks.hear(bulk.txn, self.now);
        self.learn(bulk.write_ts)?;
        self.check_retention(bulk.write_ts)?;
        if bulk.unique {
            let mut versions = Versions::over(reader, bulk.rows.iter().map(|(key, _)| key))?;
            let mut keys = BTreeSet::new();
            for (key, _) in &bulk.rows {
                if !keys.insert(key) || write::is_duplicate(&mut versions, key, bulk.txn, bulk.batch)? {
                    return Ok(answer(&BulkReply::Duplicate { key: key.clone() }));
                }
            }
        }
        let mut batch = WriteBatch::default();
        for (key, value) in &bulk.rows {
            write::put_version(&mut batch, key, bulk.write_ts, bulk.txn, Some(bulk.batch), Some(value));
        }
        if batch.is_empty() {
            return Ok(answer(&BulkReply::Done));
        }
        Ok(self.propose(token, batch, &BulkReply::Done, Proposed::default()))
    }

    pub(super) fn collect_garbage(
        &mut self,
        token: Token,
        (span, below, limit): (&Span, Timestamp, u32),
        range: &Span,
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        self.learn(below)?;
        self.collected_below = self.collected_below.max(below);
        let Some(span) = span.intersect(range) else {
            return Ok(answer(&CollectReply { dropped: 0, resume: None, intents: Vec::new() }));
        };
        let (reply, batch) = gc::collect(reader, &span, below, limit)?;
        if batch.is_empty() {
            return Ok(answer(&reply));
        }
        Ok(self.propose(token, batch, &reply, Proposed::default()))
    }

    pub(super) fn clear_span(&mut self, token: Token, span: &Span) -> Outcome {
        let mut batch = WriteBatch::default();
        for cf in [ColumnFamily::Data, ColumnFamily::Intent] {
            batch.delete_range(cf, span.start.clone(), span.end.clone());
        }
        self.propose(token, batch, &(), Proposed { cleared: Some(span.clone()), ..Proposed::default() })
    }
}
