//! `Lock` and `Unlock`: the queues are in [`super::lock`]; here is what a request makes of them. A lock is granted only
//! where no other transaction's intent is left on the key: what comes back is the newest committed value, and nothing newer
//! is about to appear under the lock.

use std::collections::BTreeSet;

use base::{Timestamp, TxnId};
use bytes::Bytes;
use storage::{Outcome, Reader, Result, Token};

use super::{Evaluator, answer, lock::Acquired};
use crate::{
    command::{Blocker, Key, Lock, LockMode, LockReply, Locked, WaitPolicy},
    mvcc::{
        get_intent,
        read::{Found, Versions},
    },
};

impl Evaluator {
    pub(super) fn lock(&mut self, token: Token, lock: &Lock, reader: &dyn Reader) -> Result<Outcome> {
        self.locks.hear(lock.txn, self.now);
        if self.options.faults.lose_locks {
            return granted(lock, reader, &BTreeSet::new());
        }
        if self.waits.is_withdrawn(token) {
            return Ok(answer(&LockReply::Waiting(Vec::new())));
        }
        if let Some(cycle) = self.locks.take_doom(lock.txn) {
            return Ok(answer(&LockReply::Deadlock(cycle)));
        }
        match lock.wait {
            WaitPolicy::Wait => self.lock_waiting(token, lock, reader),
            WaitPolicy::NoWait => self.lock_at_once(token, lock, reader),
            WaitPolicy::SkipLocked => self.lock_skipping(token, lock, reader),
        }
    }

    pub(super) fn unlock(&mut self, txn: TxnId, keys: &[Key], weaken: &[(Key, LockMode)]) -> Outcome {
        self.locks.unlock(txn, keys);
        for (key, mode) in weaken {
            self.locks.weaken(txn, key, *mode);
        }
        self.waits.withdraw(txn);
        Outcome::Reply(Bytes::new())
    }

    fn lock_waiting(&mut self, token: Token, lock: &Lock, reader: &dyn Reader) -> Result<Outcome> {
        let keys: BTreeSet<&Key> = lock.keys.iter().collect();
        for key in &keys {
            match self.locks.acquire(token, (lock.txn, lock.begin_ts), key, lock.mode, self.now) {
                Acquired::Yes => {}
                Acquired::Deadlock(cycle) => return Ok(answer(&LockReply::Deadlock(cycle))),
                Acquired::Queued(blockers) => return Ok(self.lock_blocked(token, lock, blockers, false)),
            }
        }
        let blockers = intents_on(reader, lock.txn, keys.iter().copied())?;
        if !blockers.is_empty() {
            return Ok(self.lock_blocked(token, lock, blockers, true));
        }
        self.locks.confirm(lock.txn, keys.into_iter());
        granted(lock, reader, &BTreeSet::new())
    }

    /// Waits, or keeps the place and lets the gateway look into what is in the way.
    fn lock_blocked(&mut self, token: Token, lock: &Lock, blockers: Vec<Blocker>, intents: bool) -> Outcome {
        let waited_for = if intents { &blockers[..] } else { &[] };
        if self.wait_for_intents(token, lock.txn, waited_for, self.options.lock_patience) {
            return Outcome::Blocked;
        }
        self.locks.detach(token, lock.txn, self.now);
        answer(&LockReply::Waiting(blockers))
    }

    fn lock_at_once(&mut self, token: Token, lock: &Lock, reader: &dyn Reader) -> Result<Outcome> {
        for key in &lock.keys {
            if let Some(blocker) = self.locks.obstacle(lock.txn, key, lock.mode) {
                return Ok(answer(&LockReply::Locked(blocker)));
            }
        }
        // Most often the intent of a transaction that is committed already and about to be resolved.
        let mut blockers = intents_on(reader, lock.txn, lock.keys.iter())?;
        if !blockers.is_empty() {
            return Ok(match self.wait_for_intents(token, lock.txn, &blockers, self.options.lock_patience) {
                true => Outcome::Blocked,
                false => answer(&LockReply::Locked(blockers.swap_remove(0))),
            });
        }
        for key in &lock.keys {
            self.locks.acquire(token, (lock.txn, lock.begin_ts), key, lock.mode, self.now);
        }
        self.locks.confirm(lock.txn, lock.keys.iter());
        granted(lock, reader, &BTreeSet::new())
    }

    fn lock_skipping(&mut self, token: Token, lock: &Lock, reader: &dyn Reader) -> Result<Outcome> {
        let mut skipped = BTreeSet::new();
        for key in &lock.keys {
            let obstacle = self.locks.obstacle(lock.txn, key, lock.mode).is_some();
            if obstacle || !intents_on(reader, lock.txn, [key].into_iter())?.is_empty() {
                skipped.insert(key);
            } else {
                self.locks.acquire(token, (lock.txn, lock.begin_ts), key, lock.mode, self.now);
            }
        }
        self.locks.confirm(lock.txn, lock.keys.iter());
        granted(lock, reader, &skipped)
    }
}

/// The intents of others on these keys, at whatever timestamp.
fn intents_on<'k>(reader: &dyn Reader, txn: TxnId, keys: impl Iterator<Item = &'k Key>) -> Result<Vec<Blocker>> {
    let mut found = Vec::new();
    for key in keys {
        let foreign = get_intent(reader, key)?.filter(|intent| intent.txn != txn);
        found.extend(foreign.map(|intent| intent.blocker(key)));
    }
    Ok(found)
}

fn granted(lock: &Lock, reader: &dyn Reader, skipped: &BTreeSet<&Key>) -> Result<Outcome> {
    let mut versions = Versions::over(reader, lock.keys.iter())?;
    let mut locked = Vec::with_capacity(lock.keys.len());
    for key in &lock.keys {
        if skipped.contains(key) {
            locked.push(Locked { granted: false, value: None, version_ts: Timestamp::ZERO, writer: None });
            continue;
        }
        locked.push(match versions.seek(key, Timestamp::MAX)? {
            Some(Found { ts, writer, .. }) => {
                Locked { granted: true, value: versions.value()?, version_ts: ts, writer: Some(writer) }
            }
            None => Locked { granted: true, value: None, version_ts: Timestamp::ZERO, writer: None },
        });
    }
    Ok(answer(&LockReply::Granted(locked)))
}
