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

    /// Asks until every key is granted (or left out). At first all ranges at once; where one lets us wait, what lies behind it
    /// in key order is given back and asked for again afterwards: so two statements that lock the same rows meet in the
    /// same order, as they would in one range, and do not end in a deadlock.
    async fn acquire(&mut self, keys: &[Key], mode: LockMode, wait: WaitPolicy) -> Result<Vec<Locked>> {
        let timeout_at = self.lock_timeout.map(|timeout| self.client.runtime.now() + timeout);
        let mut patience = Patience::endless();
        let mut locked: Vec<Option<Locked>> = vec![None; keys.len()];
        let mut wanted: Vec<usize> = (0..keys.len()).collect();
        loop {
            let mut waiting = self.ask(keys, &wanted, mode, wait, &mut locked).await?;
            waiting.sort_by(|a, b| a.first_key(keys).cmp(&b.first_key(keys)));
            let mut waiting = waiting.into_iter();
            let Some(first) = waiting.next() else {
                wanted = (0..keys.len()).filter(|index| locked[*index].is_none()).collect();
                if wanted.is_empty() {
                    return Ok(locked.into_iter().flatten().collect());
                }
                continue;
            };
            self.give_up_at(timeout_at, &first.blockers)?;
            let granted_behind = wanted.iter().filter(|index| {
                locked[**index].is_some() && Some(&keys[**index]) > first.first_key(keys) && self.is_new(&keys[**index])
            });
            let behind: Vec<usize> = granted_behind.copied().chain(waiting.flat_map(|other| other.items)).collect();
            self.give_back(keys, &behind, &mut locked).await?;
            wanted = first.items;
            self.wait_out(&mut patience, first.blockers).await?;
        }
    }

    /// One round: fills in what is granted, and answers who lets us wait.
    async fn ask(
        &mut self,
        keys: &[Key],
        wanted: &[usize],
        mode: LockMode,
        wait: WaitPolicy,
        locked: &mut [Option<Locked>],
    ) -> Result<Vec<Waiting>> {
        let begin_ts = self.begin_ts().await?;
        let txn = self.open.id;
        let wanted_keys: Vec<Key> = wanted.iter().map(|index| keys[*index].clone()).collect();
        let make = |items: &[usize]| {
            let keys = items.iter().map(|item| wanted_keys[*item].clone()).collect();
            Command::Lock(Lock { txn, begin_ts, mode, wait, keys })
        };
        let deadline = self.client.deadline();
        let replies = self.client.each_range::<LockReply>(&wanted_keys, make, deadline, &mut self.stats).await?;
        let mut waiting = Vec::new();
        for (items, reply) in replies {
            let items: Vec<usize> = items.into_iter().map(|item| wanted[item]).collect();
            match reply {
                LockReply::Granted(granted) if granted.len() == items.len() => {
                    for (index, granted) in items.into_iter().zip(granted) {
                        locked[index] = Some(granted);
                    }
                }
                LockReply::Granted(_) => return Err(unexpected_reply()),
                LockReply::Waiting(blockers) => waiting.push(Waiting { items, blockers }),
                LockReply::Locked(Blocker { key, txn, .. }) => {
                    return Err(Error::LockNotAvailable { key, other: txn });
                }
                LockReply::Deadlock(cycle) => return Err(Error::Deadlock(cycle)),
            }
        }
        Ok(waiting)
    }

    /// Whether a key was not held before this statement.
    fn is_new(&self, key: &Key) -> bool {
        self.open.seen(key).is_none()
    }

    /// Releases locks, or places in queues, that this statement will ask for again.
    async fn give_back(&mut self, keys: &[Key], behind: &[usize], locked: &mut [Option<Locked>]) -> Result<()> {
        if behind.is_empty() {
            return Ok(());
        }
        for index in behind {
            locked[*index] = None;
        }
        let txn = self.open.id;
        let released: Vec<Key> =
            behind.iter().map(|index| &keys[*index]).filter(|key| self.is_new(key)).cloned().collect();
        let make =
            |items: &[usize]| Command::Unlock { txn, keys: items.iter().map(|item| released[*item].clone()).collect() };
        let deadline = self.client.deadline();
        self.client.each_range::<()>(&released, make, deadline, &mut self.stats).await?;
        Ok(())
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

/// A range that lets us wait, and for whom.
struct Waiting {
    items: Vec<usize>,
    blockers: Vec<Blocker>,
}

impl Waiting {
    fn first_key<'k>(&self, keys: &'k [Key]) -> Option<&'k Key> {
        self.items.iter().map(|item| &keys[*item]).min()
    }
}
