//! Open transactions that hold something at the leaders, and the one task per gateway that keeps them alive. A transaction
//! that ends within a second costs an entry in a map and no message.

use std::{collections::BTreeMap, sync::Arc};

use base::{BoxFuture, TxnId};
use parking_lot::Mutex;

use crate::{
    client::{TxnClient, open::Open},
    command::{Command, Key},
};

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
        if open.watch() {
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
        if open.is_watched() {
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
}
