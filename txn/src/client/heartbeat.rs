//! Open transactions that hold something at the leaders, and the one task per gateway that keeps them alive. A transaction
//! that ends within a second costs an entry in a map and no message.

use std::{collections::BTreeMap, sync::Arc};

use base::{BoxFuture, Monotonic, Timestamp, TxnId};
use parking_lot::Mutex;

use crate::{
    client::{TxnClient, TxnStats},
    command::{Command, Key},
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
    /// With the newest version at that time.
    Granted { seen: Timestamp },
}

impl Open {
    pub(crate) fn new(id: TxnId, began: Monotonic) -> Arc<Open> {
        Arc::new(Open { id, began, state: Mutex::default() })
    }

    /// What was seen of a key under its lock.
    pub(crate) fn seen(&self, key: &Key) -> Option<Timestamp> {
        match self.state.lock().locks.get(key) {
            Some(Held::Granted { seen }) => Some(*seen),
            _ => None,
        }
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
    fn next_key(&self, from: &Key) -> Option<Key> {
        let state = self.state.lock();
        let lock = state.locks.range::<Key, _>(from..).next().map(|(key, _)| key);
        let primary = state.primary.as_ref().filter(|key| *key >= from);
        lock.into_iter().chain(primary).min().cloned()
    }
}

/// The open transactions of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<RegistryState>,
}

#[derive(Debug, Default)]
struct RegistryState {
    open: BTreeMap<TxnId, Arc<Open>>,
    /// Whether the task runs. It ends when it finds nothing to watch.
    running: bool,
}

impl TxnClient {
    /// Keeps the transaction alive from now on, once it is old enough to need that.
    pub(crate) fn watch(&self, open: &Arc<Open>) {
        if std::mem::replace(&mut open.state.lock().watched, true) {
            return;
        }
        let mut registry = self.shared.registry.state.lock();
        registry.open.insert(open.id, open.clone());
        if !registry.running {
            registry.running = true;
            let client = self.clone();
            self.runtime.spawn(Box::pin(async move { client.beat().await }));
        }
    }

    /// Lets the transaction go: it has ended, or nobody minds it any more.
    pub(crate) fn unwatch(&self, open: &Open) {
        if open.state.lock().watched {
            self.shared.registry.state.lock().open.remove(&open.id);
        }
    }

    async fn beat(self) {
        let interval = self.options.heartbeat_interval;
        loop {
            self.runtime.sleep(interval).await;
            let now = self.runtime.now();
            let due: Vec<Arc<Open>> = {
                let mut registry = self.shared.registry.state.lock();
                if registry.open.is_empty() {
                    registry.running = false;
                    return;
                }
                registry.open.values().filter(|open| now.since(open.began) >= interval).cloned().collect()
            };
            let beats = due.into_iter().map(|open| -> BoxFuture<'_, ()> { Box::pin(self.beat_for(open)) });
            futures::future::join_all(beats).await;
        }
    }

    /// One heartbeat to every range in which the transaction holds something.
    async fn beat_for(&self, open: Arc<Open>) {
        let deadline = self.runtime.now() + self.options.heartbeat_interval;
        let mut next = open.next_key(&Key::new());
        while let Some(key) = next {
            let Ok(route) = self.cluster.locate(&key, deadline).await else { return };
            let range = &route.descriptor.span;
            let primary = open.state.lock().primary.clone().filter(|primary| range.contains(primary));
            let command = Command::Heartbeat { txn: open.id, primary };
            // A range that has changed, or cannot be reached, is asked again with the next beat.
            let _unheard: storage::Result<((), bool)> = self.send(&route, &command, deadline).await;
            next = if range.end.is_empty() { None } else { open.next_key(&range.end) };
        }
    }

    /// Releases locks in the background.
    pub(crate) fn unlock(&self, open: &Open, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let client = self.clone();
        let txn = open.id;
        self.background(Box::pin(async move {
            let make =
                |items: &[usize]| Command::Unlock { txn, keys: items.iter().map(|item| keys[*item].clone()).collect() };
            let deadline = client.deadline();
            // What cannot be released now expires at its leader.
            if let Err(error) = client.each_range::<()>(&keys, make, deadline, &mut TxnStats::default()).await {
                tracing::debug!(%txn, %error, "locks are left to expire");
            }
        }));
    }
}
