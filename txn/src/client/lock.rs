//! Locks, and moving forward in time when a locked row turns out to be newer than the transaction.

use base::{Monotonic, Timestamp};
use storage::Stamp;

use crate::{
    client::{Isolation, LockedRow, Txn, open::Held, read::unexpected_reply, times::At, wait::Patience},
    command::{Blocker, Command, Key, Lock, LockMode, LockReply, Locked, RefreshReply, WaitPolicy},
    error::{Error, Result, RetryReason},
};

impl Txn {
    pub(super) async fn lock_keys(
        &mut self,
        keys: &[Key],
        mode: LockMode,
        wait: WaitPolicy,
        at: At,
    ) -> Result<Vec<LockedRow>> {
        if self.fixed {
            return Err(Error::Internal("a transaction in the past cannot lock".into()));
        }
        self.times.used = true;
        self.read_ts().await?;
        self.locks_released().await;
        self.client.watch(&self.open);
        self.open.queue(keys);
        let locked = match self.acquire(keys, mode, wait).await {
            Ok(locked) => locked,
            Err(error) => {
                // A savepoint may bring the transaction back to life: leave the queues, keep what was held before.
                self.client.unlock(self.open.id, self.open.take_queued());
                return Err(error);
            }
        };
        self.times.firm_is_fresh = false;
        self.open.note_locked(keys, mode, &locked)?;
        let newest = keys.iter().zip(&locked).max_by_key(|(_, locked)| locked.version_ts);
        if let Some((key, newest)) = newest
            && newest.version_ts > self.read_ts().await?
        {
            self.meet_newer(key, newest, at).await?;
        }
        Ok(keys.iter().zip(locked).map(|(key, locked)| self.locked_row(key, locked)).collect())
    }

    /// A locked row is newer than what the transaction reads.
    async fn meet_newer(&mut self, key: &Key, newest: &Locked, at: At) -> Result<()> {
        if self.times.serial {
            return self.move_forward(newest.version_ts).await;
        }
        if self.times.isolation == Isolation::RepeatableRead && at == At::Snapshot {
            let deleted = newest.value.is_none();
            let reason = if deleted { RetryReason::ConcurrentDelete } else { RetryReason::ConcurrentUpdate };
            return Err(Error::Retry { reason, key: Some(key.clone()), other: newest.writer });
        }
        Ok(())
    }

    fn locked_row(&self, key: &Key, locked: Locked) -> LockedRow {
        // SERIALIZABLE has moved forward, and reads at the version's timestamp or after it.
        let read = self.times.read.filter(|_| !self.times.serial);
        let newer = read.is_some_and(|read| locked.granted && locked.version_ts > read.timestamp);
        match self.writes.get(key) {
            Some(own) if locked.granted => LockedRow { granted: true, value: own.value.clone(), newer: false },
            _ => LockedRow { granted: locked.granted, value: locked.value, newer },
        }
    }

    /// Asks until every key is granted (or left out). At first all ranges at once; where one lets us wait, what lies behind it
    /// in key order is given back and asked for again afterwards: so two statements that lock the same rows meet in the
    /// same order, as they would in one range, and do not end in a deadlock.
    async fn acquire(&mut self, keys: &[Key], mode: LockMode, wait: WaitPolicy) -> Result<Vec<Locked>> {
        let timeout_at = self.lock_timeout.map(|timeout| self.client.runtime.now() + timeout);
        let mut patience = Patience::endless(mode);
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
        !self.open.is_held(key)
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
        let make = |items: &[usize]| Command::Unlock {
            txn,
            keys: items.iter().map(|item| released[*item].clone()).collect(),
            weaken: Vec::new(),
        };
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

    /// Where the transaction would commit: above all that it has seen under locks, and everything that must be true at the
    /// commit is.
    pub(super) async fn write_ts(&mut self) -> Result<Timestamp> {
        let Some(read) = self.times.read else { return self.read_ts().await };
        let newest = self.open.newest_seen();
        if self.times.serial {
            return Ok(read.timestamp);
        }
        if self.times.firm <= newest && read.timestamp <= newest {
            self.move_forward(newest).await?;
        } else if self.times.firm < read.timestamp {
            self.refresh(self.times.firm, read.timestamp).await?;
            self.times.firm = read.timestamp;
        }
        Ok(self.times.firm)
    }

    /// Moves the transaction to a fresh timestamp above `at_least`, after showing that all that must be true at the commit is
    /// unchanged there. Below SERIALIZABLE, plain reads stay where they are.
    pub(super) async fn move_forward(&mut self, at_least: Timestamp) -> Result<()> {
        let stamp = self.fresh_stamp().await?;
        if stamp.timestamp <= at_least {
            // Timestamps come from one oracle in order; whoever wrote `at_least` had it from there before us.
            return Err(Error::Internal(format!("the oracle answered {} after {at_least}", stamp.timestamp)));
        }
        self.move_to(stamp).await
    }

    pub(super) async fn move_to(&mut self, stamp: Stamp) -> Result<()> {
        if let Some(from) = self.times.refreshed_to() {
            self.refresh(from, stamp.timestamp).await?;
        }
        self.times.move_to(stamp);
        Ok(())
    }

    /// Checks that nothing this transaction depends on changed within `(from, to]`. Keys locked at or before `from` are left
    /// out: the commit checks them against what was seen under the lock.
    async fn refresh(&mut self, from: Timestamp, to: Timestamp) -> Result<()> {
        if self.client.options.faults.skip_refresh {
            return Ok(());
        }
        let spans = {
            let open = self.open.state.lock();
            let checked = |key: &Key| match open.locks.get(key) {
                Some(Held::Granted(grant)) => grant.seen <= from && !grant.presence_only(),
                _ => false,
            };
            let mut spans = self.depends.spans(checked);
            if self.times.serial {
                spans.extend(self.reads.spans(checked));
                spans.sort();
            }
            spans
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
                let reason = RetryReason::ReadChanged;
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
