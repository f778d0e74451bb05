//! What a transaction holds at the leaders, as its gateway knows it: shared with the heartbeat.

use std::{collections::BTreeMap, sync::Arc};

use base::{Monotonic, Timestamp, TxnId};
use parking_lot::Mutex;

use crate::{
    client::{TxnClient, TxnStats},
    command::{Check, Command, Key, LockMode, Locked},
    error::{Error, Result, RetryReason},
};

/// The part of a transaction that its heartbeat needs too.
#[derive(Debug)]
pub(crate) struct Open {
    pub id: TxnId,
    pub began: Monotonic,
    pub state: Mutex<OpenState>,
}

#[derive(Debug, Default)]
pub(crate) struct OpenState {
    pub locks: BTreeMap<Key, Held>,
    /// What was seen under locks that were given back to a savepoint, and must be true nevertheless.
    pub seen_before: BTreeMap<Key, Grant>,
    /// What each grant since the first savepoint replaced, oldest first. `None`: there is no savepoint.
    log: Option<Vec<(Key, Option<Grant>)>>,
    /// Where the fate of the transaction is kept, once its commit has begun.
    pub decider: Option<Key>,
    /// The same, once there may be an intent to keep alive.
    pub primary: Option<Key>,
    watched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Asked for; the leader may keep a place in the queue, or the lock.
    Queued,
    Granted(Grant),
}

/// A lock, and what was seen under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub mode: LockMode,
    /// The newest version at that time.
    pub seen: Timestamp,
    /// Whether it had a value.
    pub present: bool,
}

impl Grant {
    /// The transaction depends on the key's being there, and on nothing else.
    pub(crate) fn presence_only(&self) -> bool {
        self.mode == LockMode::KeyShare && self.present
    }

    pub(crate) fn check(&self, key: &Key) -> Check {
        Check { key: key.clone(), seen: self.seen, presence: self.presence_only() }
    }
}

/// Locks to give back, and locks to weaken.
#[derive(Debug, Default)]
pub(crate) struct Undone {
    pub released: Vec<Key>,
    pub weakened: Vec<(Key, LockMode)>,
}

impl Undone {
    pub(crate) fn is_empty(&self) -> bool {
        self.released.is_empty() && self.weakened.is_empty()
    }
}

impl Open {
    pub(crate) fn new(id: TxnId, began: Monotonic) -> Arc<Open> {
        Arc::new(Open { id, began, state: Mutex::default() })
    }

    /// What was seen of a key under its lock, if the whole of it counts.
    pub(crate) fn seen(&self, key: &Key) -> Option<Timestamp> {
        match self.state.lock().locks.get(key) {
            Some(Held::Granted(grant)) if !grant.presence_only() => Some(grant.seen),
            _ => None,
        }
    }

    pub(crate) fn is_held(&self, key: &Key) -> bool {
        matches!(self.state.lock().locks.get(key), Some(Held::Granted(_)))
    }

    pub(crate) fn holds_nothing(&self) -> bool {
        let state = self.state.lock();
        state.locks.is_empty() && state.seen_before.is_empty()
    }

    /// The newest version that was seen under a lock.
    pub(crate) fn newest_seen(&self) -> Timestamp {
        let state = self.state.lock();
        let granted = state.locks.values().filter_map(|held| match held {
            Held::Granted(grant) => Some(grant.seen),
            Held::Queued => None,
        });
        granted.max().unwrap_or(Timestamp::ZERO)
    }

    pub(crate) fn queue(&self, keys: &[Key]) {
        let mut state = self.state.lock();
        for key in keys {
            state.locks.entry(key.clone()).or_insert(Held::Queued);
        }
    }

    /// Forgets the keys that were asked for and not granted.
    pub(crate) fn take_queued(&self) -> Vec<Key> {
        let mut queued = Vec::new();
        self.state.lock().locks.retain(|key, held| {
            let granted = *held != Held::Queued;
            if !granted {
                queued.push(key.clone());
            }
            granted
        });
        queued
    }

    /// Remembers what was seen under each lock. A lock that was held before and now shows something newer was lost in
    /// between.
    pub(crate) fn note_locked(&self, keys: &[Key], mode: LockMode, locked: &[Locked]) -> Result<()> {
        let mut state = self.state.lock();
        for (key, locked) in keys.iter().zip(locked) {
            let before = match state.locks.get(key) {
                Some(Held::Granted(grant)) => Some(*grant),
                _ => None,
            };
            if !locked.granted {
                if before.is_none() {
                    state.locks.remove(key);
                }
                continue;
            }
            let mut grant = Grant { mode, seen: locked.version_ts, present: locked.value.is_some() };
            let known = [before, state.seen_before.get(key).copied()];
            if known.into_iter().flatten().any(|known| known.is_contradicted_by(&grant)) {
                let reason = if before.is_some() { RetryReason::LockLost } else { RetryReason::ReadChanged };
                return Err(Error::Retry { reason, key: Some(key.clone()), other: locked.writer });
            }
            if let Some(before) = before {
                grant.mode = grant.mode.max(before.mode);
            }
            if before != Some(grant) {
                state.locks.insert(key.clone(), Held::Granted(grant));
                if let Some(log) = &mut state.log {
                    log.push((key.clone(), before));
                }
            }
        }
        Ok(())
    }

    /// From now on grants can be undone; how many of them there are.
    pub(crate) fn mark(&self) -> usize {
        self.state.lock().log.get_or_insert_default().len()
    }

    /// Nothing will be undone any more.
    pub(crate) fn forget_marks(&self) {
        self.state.lock().log = None;
    }

    /// Undoes all grants but the first `mark`. `seen_counts`: what was seen under them must still be true at the commit.
    pub(crate) fn rollback_to(&self, mark: usize, seen_counts: bool) -> Undone {
        let mut state = self.state.lock();
        let mut before = BTreeMap::new();
        for (key, grant) in state.log.as_mut().map(|log| log.split_off(mark.min(log.len()))).unwrap_or_default() {
            // The first entry of a key tells how it was at the mark.
            before.entry(key).or_insert(grant);
        }
        let mut undone = Undone::default();
        for (key, before) in before {
            let Some(Held::Granted(now)) = state.locks.get(&key).copied() else { continue };
            // What was seen as a whole counts more than mere presence.
            if seen_counts && state.seen_before.get(&key).is_none_or(Grant::presence_only) {
                state.seen_before.insert(key.clone(), now);
            }
            match before {
                Some(before) => {
                    state.locks.insert(key.clone(), Held::Granted(before));
                    undone.weakened.push((key, before.mode));
                }
                None => {
                    state.locks.remove(&key);
                    undone.released.push(key);
                }
            }
        }
        undone
    }

    /// Forgets locks that a request of the commit has released.
    pub(crate) fn released<'k>(&self, keys: impl Iterator<Item = &'k Key>) {
        let mut state = self.state.lock();
        if state.locks.is_empty() {
            return;
        }
        for key in keys {
            state.locks.remove(key);
        }
    }

    pub(crate) fn take_locks(&self) -> Vec<Key> {
        std::mem::take(&mut self.state.lock().locks).into_keys().collect()
    }

    /// The first key at or after `from` that this transaction holds, with the primary among them.
    pub(crate) fn next_key(&self, from: &Key) -> Option<Key> {
        let state = self.state.lock();
        let lock = state.locks.range::<Key, _>(from..).next().map(|(key, _)| key);
        let primary = state.primary.as_ref().filter(|key| *key >= from);
        lock.into_iter().chain(primary).min().cloned()
    }

    /// Whether it was watched before; it is now.
    pub(crate) fn watch(&self) -> bool {
        std::mem::replace(&mut self.state.lock().watched, true)
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.state.lock().watched
    }
}

impl Grant {
    /// What is seen now is not what the transaction has relied on.
    fn is_contradicted_by(&self, now: &Grant) -> bool {
        if self.presence_only() { !now.present } else { now.seen > self.seen }
    }
}

impl TxnClient {
    /// Releases locks in the background.
    pub(crate) fn unlock(&self, txn: TxnId, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let client = self.clone();
        let undone = Undone { released: keys, weakened: Vec::new() };
        self.background(Box::pin(async move { client.give_back(txn, undone).await }));
    }

    /// Releases and weakens locks.
    pub(crate) async fn give_back(&self, txn: TxnId, undone: Undone) {
        let Undone { released, weakened } = undone;
        let keys: Vec<Key> = released.iter().chain(weakened.iter().map(|(key, _)| key)).cloned().collect();
        let make = |items: &[usize]| {
            let (mut gone, mut weaken) = (Vec::new(), Vec::new());
            for &item in items {
                match item.checked_sub(released.len()) {
                    None => gone.push(keys[item].clone()),
                    Some(item) => weaken.push(weakened[item].clone()),
                }
            }
            Command::Unlock { txn, keys: gone, weaken }
        };
        let deadline = self.deadline();
        // What cannot be released now expires at its leader.
        if let Err(error) = self.each_range::<()>(&keys, make, deadline, &mut TxnStats::default()).await {
            tracing::debug!(%txn, %error, "locks are left to expire");
        }
    }
}
