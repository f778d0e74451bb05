//! The catalog in memory, shared by all sessions of a gateway, and how a transaction knows that it is still true.
//!
//! A snapshot is cached under the fence number of the stamp it was read at. It is true for every transaction whose stamp has
//! the same number and no fence open: a schema change commits only while its own fence is open, and its commit timestamp is
//! later than the opening (`storage::Stamp`). While a fence is open, transactions read the catalog themselves.

use std::{sync::Arc, time::Duration};

use base::{Monotonic, Span, Timestamp};
use futures::lock::Mutex as AsyncMutex;
use parking_lot::Mutex;
use txn::{FenceOp, Stamp, Txn, TxnClient, WaitPolicy};

use super::{Snapshot, store};
use crate::error::Result;

/// A fence that stays open for so long makes us look whether its owner is alive.
const SUSPICION: Duration = Duration::from_secs(20);
/// Fences opened less than this before are never closed for their owners. Above the deadline of a transaction's operation:
/// so whoever opened one earlier has drawn its timestamp before the epoch is written.
const FENCE_AGE_MIN_MILLIS: u64 = 60_000;

pub struct CatalogCache {
    client: TxnClient,
    current: Mutex<Option<(u64, Arc<Snapshot>)>>,
    /// One loads at a time; the others find the result.
    loading: AsyncMutex<()>,
    /// Since when this fence number has been seen open.
    open_since: Mutex<Option<(u64, Monotonic)>>,
}

impl CatalogCache {
    pub fn new(client: TxnClient) -> CatalogCache {
        CatalogCache { client, current: Mutex::new(None), loading: AsyncMutex::new(()), open_since: Mutex::new(None) }
    }

    /// The catalog as the transaction sees it. The caller declares what it relies on ([`depend_on`]).
    pub async fn snapshot(&self, txn: &mut Txn) -> Result<Arc<Snapshot>> {
        let stamp = txn.stamp().await?;
        if stamp.fence_open {
            self.suspect(stamp);
            return Ok(Arc::new(store::load(txn).await?));
        }
        if let Some(snapshot) = self.cached(stamp.fence) {
            return Ok(snapshot);
        }
        let _turn = self.loading.lock().await;
        if let Some(snapshot) = self.cached(stamp.fence) {
            return Ok(snapshot);
        }
        // By a transaction of its own at the same timestamp: what is loaded here is everybody's, and must not be what this
        // transaction depends on. Later schema changes commit above its timestamp, so the read needs no protection either.
        let mut reader = self.client.begin_at(stamp.timestamp);
        let snapshot = Arc::new(store::load(&mut reader).await?);
        reader.rollback().await;
        let mut current = self.current.lock();
        // Fence numbers grow: never replace a newer catalog by an older one.
        if current.as_ref().is_none_or(|(fence, _)| *fence < stamp.fence) {
            *current = Some((stamp.fence, Arc::clone(&snapshot)));
        }
        Ok(snapshot)
    }

    /// The newest catalog known, true or not.
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.current.lock().as_ref().map(|(_, snapshot)| Arc::clone(snapshot))
    }

    fn cached(&self, fence: u64) -> Option<Arc<Snapshot>> {
        let current = self.current.lock();
        current.as_ref().filter(|(cached, _)| *cached == fence).map(|(_, snapshot)| Arc::clone(snapshot))
    }

    /// Remembers how long the fence has been open; after a while, looks in the background whether anybody is behind it.
    fn suspect(&self, stamp: Stamp) {
        let now = self.client.runtime.now();
        let mut open_since = self.open_since.lock();
        let since = match *open_since {
            Some((fence, since)) if fence == stamp.fence => since,
            _ => {
                *open_since = Some((stamp.fence, now));
                return;
            }
        };
        if now.since(since) < SUSPICION {
            return;
        }
        *open_since = Some((stamp.fence, now));
        let client = self.client.clone();
        let task = async move {
            if let Err(error) = close_dead_fences(&client).await {
                tracing::warn!(%error, "could not close the fences of dead schema changes; trying again later");
            }
        };
        self.client.runtime.spawn(Box::pin(task));
    }
}

/// Declares that the transaction relies on the descriptors with these OIDs.
pub fn depend_on(txn: &mut Txn, oids: impl IntoIterator<Item = u32>) {
    for oid in oids {
        txn.depend_on(Span::point(store::descriptor_key(oid)));
    }
}

/// Closes fences that were left open by gateways that died, after making sure that what was behind them can never commit.
pub async fn close_dead_fences(client: &TxnClient) -> Result<()> {
    let mut txn = client.begin();
    let now = txn.stamp().await?.timestamp;
    // A schema change at work holds this lock: then there is nothing to do.
    let version = match store::locked_number(&mut txn, store::version_key(), WaitPolicy::NoWait).await {
        Ok(version) => version,
        Err(_) => {
            txn.rollback().await;
            return Ok(());
        }
    };
    let epoch = store::locked_number(&mut txn, store::epoch_key(), WaitPolicy::Wait).await?;
    txn.put(store::version_key(), store::encode(&(version + 1))?)?;
    txn.put(store::epoch_key(), store::encode(&(epoch + 1))?)?;
    txn.commit().await?;
    let before = Timestamp::from_millis(now.millis().saturating_sub(FENCE_AGE_MIN_MILLIS));
    let deadline = client.runtime.now() + client.options.operation_timeout;
    client.cluster.fence(FenceOp::CloseOlderThan(before), deadline).await.map_err(txn::Error::from)?;
    Ok(())
}
