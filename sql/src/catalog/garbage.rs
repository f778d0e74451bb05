//! What each gateway does in the background: key spaces that nobody names any more are cleared, versions that nobody can read
//! any more are dropped. All of it may be done by several gateways at once, and be broken off anywhere.

use std::{slice, sync::Weak, time::Duration};

use base::{IndexId, Span, TableId, Timestamp};
use txn::{LockMode, TxnClient, WaitPolicy};

use super::store::{self, Garbage};
use crate::{
    error::{Result, SqlError},
    session::Database,
};

/// A build that has not ended after so long, and whose lock nobody holds, is one of a dead gateway.
const BUILD_MILLIS_MAX: u64 = 600_000;

/// Runs until the gateway is gone.
pub async fn run(database: Weak<Database>, interval: Duration) {
    loop {
        let Some(strong) = database.upgrade() else { return };
        let client = strong.client.clone();
        let retention = strong.options.retention;
        if let Err(error) = strong.sweep_security().await {
            tracing::debug!(%error, "removing tickets that have ended: trying again later");
        }
        drop(strong);
        // Gateways that start together spread out.
        let jitter = Duration::from_millis(client.runtime.random_u64() % (interval.as_millis() as u64).max(1));
        client.runtime.sleep(interval / 2 + jitter).await;
        if let Err(error) = clear_spaces(&client, retention).await {
            tracing::warn!(%error, "clearing dropped key spaces: trying again later");
        }
        if let Err(error) = collect_versions(&client, retention).await {
            tracing::warn!(%error, "collecting old versions: trying again later");
        }
    }
}

/// Clears the key spaces whose garbage records are due.
pub async fn clear_spaces(client: &TxnClient, retention: Duration) -> Result<()> {
    let mut txn = client.begin();
    let now = txn.stamp().await?.timestamp.millis();
    let records = store::scan(&mut txn, store::garbage_span()).await?;
    txn.rollback().await;
    for (key, value) in records {
        let Some((table, index)) = store::garbage_subject(&key) else {
            return Err(SqlError::internal("a damaged garbage record"));
        };
        let due = match store::decode::<Garbage>(&value)? {
            // Transactions older than the retention cannot read any more, so nobody can look there.
            Garbage::Dropped { since_millis } => since_millis + retention.as_millis() as u64 <= now,
            Garbage::Building { since_millis } => since_millis + BUILD_MILLIS_MAX <= now,
        };
        if due && claim(client, key.clone()).await? {
            clear(client, table, index).await?;
            let mut txn = client.begin();
            txn.lock(slice::from_ref(&key), LockMode::Update, WaitPolicy::Wait).await?;
            txn.delete(key, false)?;
            txn.commit().await?;
        }
    }
    Ok(())
}

/// Makes sure that the schema change behind a record can no longer commit: its commit would find the record changed.
async fn claim(client: &TxnClient, key: bytes::Bytes) -> Result<bool> {
    let mut txn = client.begin();
    let locked = txn.lock(slice::from_ref(&key), LockMode::Update, WaitPolicy::NoWait).await;
    let Ok(rows) = locked else {
        // At work, or somebody else clears it.
        txn.rollback().await;
        return Ok(false);
    };
    if rows.first().is_none_or(|row| row.value.is_none()) {
        txn.rollback().await;
        return Ok(false);
    }
    txn.put(key, store::encode(&Garbage::Dropped { since_millis: 0 })?)?;
    txn.commit().await?;
    Ok(true)
}

async fn clear(client: &TxnClient, table: TableId, index: IndexId) -> Result<()> {
    Ok(client.clear_span(Span::prefix(&crate::encode::index_prefix(table, index))).await?)
}

/// Drops versions older than the retention in all ranges of user keys.
pub async fn collect_versions(client: &TxnClient, retention: Duration) -> Result<u64> {
    let mut txn = client.begin();
    let now = txn.stamp().await?.timestamp;
    txn.rollback().await;
    let below = Timestamp::from_millis(now.millis().saturating_sub(retention.as_millis() as u64));
    if below == Timestamp::ZERO {
        return Ok(0);
    }
    let start = crate::encode::index_prefix(TableId(0), IndexId(0));
    Ok(client.collect_garbage(Span::new(start, bytes::Bytes::new()), below).await?)
}
