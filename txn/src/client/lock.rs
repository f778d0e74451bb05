//! Locks, and moving forward in time when a locked row turns out to be newer than the transaction.

use base::{Monotonic, Timestamp};
use storage::Stamp;

use crate::{
    client::{LockedRow, Txn, heartbeat::Held, read::unexpected_reply, wait::Patience},
    command::{Blocker, Command, Key, Lock, LockMode, LockReply, Locked, RefreshReply, WaitPolicy},
    error::{Error, Result},
};

impl Txn {
    pub(super) async fn lock_keys(&mut self, keys: &[Key], mode: LockMode, wait: WaitPolicy) -> Result<Vec<LockedRow>> {
        if self.fixed {
            return Err(Error::Internal("a transaction in the past cannot lock".into()));
        }
        self.read_ts().await?;
        self.client.watch(&self.open);
        self.open.queue(keys);
        let locked = match self.acquire(keys, mode, wait).await {
            Ok(locked) => locked,
            Err(error) => {
                // A savepoint may bring the transaction back to life: leave the queues, keep what was held before.
                self.client.unlock(&self.open, self.open.take_queued());
                return Err(error);
            }
        };
        let newest = self.note_locked(keys, &locked)?;
        if newest > self.read_ts().await? {
            self.move_forward(newest).await?;
        }
        Ok(keys.iter().zip(locked).map(|(key, locked)| self.locked_row(key, locked)).collect())
    }

    fn locked_row(&self, key: &Key, locked: Locked) -> LockedRow {
        let value = match self.writes.get(key) {
            Some(own) if locked.granted => own.value.clone(),
            _ => locked.value,
        };
        LockedRow { granted: locked.granted, value }
    }

    /// Asks until every key is granted (or left out).
    async fn acquire(&mut self, keys: &[Key], mode: LockMode, wait: WaitPolicy) -> Result<Vec<Locked>> {
        let begin_ts = self.begin_ts().await?;
        let timeout_at = self.lock_timeout.map(|timeout| self.client.runtime.now() + timeout);
        let mut patience = Patience::endless();
        let mut locked: Vec<Option<Locked>> = vec![None; keys.len()];
        let mut wanted: Vec<usize> = (0..keys.len()).collect();
        loop {
            let txn = self.open.id;
            let wanted_keys: Vec<Key> = wanted.iter().map(|index| keys[*index].clone()).collect();
            let make = |items: &[usize]| {
                let keys = items.iter().map(|item| wanted_keys[*item].clone()).collect();
                Command::Lock(Lock { txn, begin_ts, mode, wait, keys })
            };
            let deadline = self.client.deadline();
            let replies = self.client.each_range::<LockReply>(&wanted_keys, make, deadline, &mut self.stats).await?;
            let mut left = Vec::new();
            let mut blockers = Vec::new();
            for (items, reply) in replies {
                let items = items.into_iter().map(|item| wanted[item]);
                match reply {
                    LockReply::Granted(granted) if granted.len() == items.len() => {
                        for (index, granted) in items.zip(granted) {
                            locked[index] = Some(granted);
                        }
                    }
                    LockReply::Granted(_) => return Err(unexpected_reply()),
                    LockReply::Waiting(by) => {
                        left.extend(items);
                        blockers.extend(by);
                    }
                    LockReply::Locked(Blocker { key, txn, .. }) => {
                        return Err(Error::LockNotAvailable { key, other: txn });
                    }
                    LockReply::Deadlock(cycle) => return Err(Error::Deadlock(cycle)),
                }
            }
            if left.is_empty() {
                return locked.into_iter().map(|locked| locked.ok_or_else(unexpected_reply)).collect();
            }
            self.give_up_at(timeout_at, &blockers)?;
            left.sort_unstable();
            wanted = left;
            self.wait_out(&mut patience, blockers).await?;
        }
    }

    fn give_up_at(&self, timeout_at: Option<Monotonic>, blockers: &[Blocker]) -> Result<()> {
        match blockers.first() {
            Some(first) if timeout_at.is_some_and(|at| self.client.runtime.now() >= at) => {
                Err(Error::LockTimeout { key: first.key.clone(), other: first.txn })
            }
            _ => Ok(()),
        }
    }

    /// Remembers what was seen under each lock; the newest of it. A lock that was held before and now shows something newer was
    /// lost in between.
    fn note_locked(&mut self, keys: &[Key], locked: &[Locked]) -> Result<Timestamp> {
        let mut newest = Timestamp::ZERO;
        let mut open = self.open.state.lock();
        for (key, locked) in keys.iter().zip(locked) {
            match open.locks.get(key) {
                Some(Held::Granted { seen }) if locked.granted && *seen < locked.version_ts => {
                    return Err(Error::Retry {
                        reason: "a lock was lost and the row has changed".into(),
                        key: Some(key.clone()),
                        other: None,
                    });
                }
                Some(Held::Granted { .. }) => {}
                _ if locked.granted => {
                    open.locks.insert(key.clone(), Held::Granted { seen: locked.version_ts });
                }
                _ => {
                    open.locks.remove(key);
                }
            }
            newest = newest.max(locked.version_ts);
        }
        Ok(newest)
    }

    /// Moves the transaction to a fresh timestamp above `at_least`, after showing that all it has read is unchanged there.
    pub(super) async fn move_forward(&mut self, at_least: Timestamp) -> Result<()> {
        let stamp = self.fresh_stamp().await?;
        if stamp.timestamp <= at_least {
            // Timestamps come from one oracle in order; whoever wrote `at_least` had it from there before us.
            return Err(Error::Internal(format!("the oracle answered {} after {at_least}", stamp.timestamp)));
        }
        self.move_to(stamp).await
    }

    pub(super) async fn move_to(&mut self, stamp: Stamp) -> Result<()> {
        if let Some(old) = self.stamp {
            self.refresh(old.timestamp, stamp.timestamp).await?;
        }
        self.begin_ts.get_or_insert(stamp.timestamp);
        self.stamp = Some(stamp);
        Ok(())
    }

    /// Checks that nothing this transaction has read changed within `(from, to]`. Keys locked at or before `from` are left
    /// out: the commit checks them against what was seen under the lock.
    async fn refresh(&mut self, from: Timestamp, to: Timestamp) -> Result<()> {
        if self.client.options.faults.skip_refresh {
            return Ok(());
        }
        let spans = {
            let open = self.open.state.lock();
            self.reads.spans(|key| matches!(open.locks.get(key), Some(Held::Granted { seen }) if *seen <= from))
        };
        if spans.is_empty() {
            return Ok(());
        }
        self.stats.refreshes += 1;
        let txn = self.open.id;
        let make = |spans: &[base::Span]| Command::Refresh { txn, spans: spans.to_vec(), from, to };
        let deadline = self.client.deadline();
        let replies = self.client.each_span::<RefreshReply>(&spans, make, deadline, &mut self.stats).await?;
        for reply in replies {
            if let RefreshReply::Changed { key, other } = reply {
                let reason = "something that was read has changed since".into();
                return Err(Error::Retry { reason, key: Some(key), other: Some(other) });
            }
        }
        Ok(())
    }
}
