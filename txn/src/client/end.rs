//! Fences and the end of a transaction: whatever it holds besides its writes is given back here.

use std::time::Duration;

use storage::FenceOp;

use crate::{
    client::{Txn, TxnClient, recovery, recovery::Asker, sender::Pace},
    error::{Error, Result},
};

/// How long a gateway keeps trying to close a fence or to learn the outcome of its own ambiguous commit. Later, whoever is
/// hindered closes it (`FenceOp::CloseOlderThan`).
const CLOSE_FOR: Duration = Duration::from_secs(600);

impl Txn {
    pub(super) async fn raise_fence(&mut self) -> Result<()> {
        if self.fixed {
            return Err(Error::Internal("a transaction in the past cannot open a fence".into()));
        }
        // The request may have been executed even when its answer is lost: from here on there is a fence to close.
        self.fence = true;
        self.stats.round_trips += 1;
        let deadline = self.client.deadline();
        let stamp = self.client.cluster.fence(FenceOp::Open(self.open.id.0), deadline).await?;
        self.become_serializable();
        self.move_to(stamp).await
    }

    /// A schema change reads descriptors like any other row, and what it reads must be true at its commit. Of READ COMMITTED
    /// no earlier read counts: each was of its own statement.
    fn become_serializable(&mut self) {
        self.times.serial = true;
        self.times.statement_due = false;
    }

    /// Gives everything back, after the outcome is known.
    pub(super) async fn end(&mut self) {
        self.ended = true;
        self.client.waits_no_more(self.open.id);
        self.client.unwatch(&self.open);
        self.client.unlock(self.open.id, self.open.take_locks());
        if std::mem::take(&mut self.fence) {
            let op = FenceOp::Close(self.open.id.0);
            if self.client.cluster.fence(op, self.client.deadline()).await.is_err() {
                self.client.close_fence_later(op);
            }
        }
    }

    /// The outcome of the commit is not known: nothing may be given back that its writes rest on. Goes on asking in the
    /// background, and closes the fence once it knows.
    pub(super) fn end_ambiguous(&mut self) {
        self.ended = true;
        self.client.unwatch(&self.open);
        let fence = std::mem::take(&mut self.fence);
        let Some(primary) = self.open.state.lock().decider.clone() else { return };
        let client = self.client.clone();
        let txn = self.open.id;
        let at = self.times.begin.unwrap_or_default();
        self.client.runtime.spawn(Box::pin(async move {
            let until = client.runtime.now() + CLOSE_FOR;
            let mut pace = Pace::default();
            while client.runtime.now() < until {
                let mut stats = crate::client::TxnStats::default();
                let deadline = client.deadline();
                match recovery::decide(&client, txn, &primary, at, Asker::Owner, deadline, &mut stats).await {
                    Ok(_) if fence => return client.close_fence(FenceOp::Close(txn.0)).await,
                    Ok(_) => return,
                    Err(_) => client.runtime.sleep(pace.next().unwrap_or_default() * 16).await,
                }
            }
        }));
    }
}

impl TxnClient {
    pub(super) fn close_fence_later(&self, op: FenceOp) {
        let client = self.clone();
        // Not among the bounded background work: nobody else would do this one soon.
        self.runtime.spawn(Box::pin(async move { client.close_fence(op).await }));
    }

    async fn close_fence(&self, op: FenceOp) {
        let until = self.runtime.now() + CLOSE_FOR;
        let mut pace = Pace::default();
        while self.runtime.now() < until && self.cluster.fence(op, self.deadline()).await.is_err() {
            self.runtime.sleep(pace.next().unwrap_or_default() * 16).await;
        }
    }
}
