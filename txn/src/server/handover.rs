//! What a leader's successor should know of its locks: who holds what, and who waits in which order. Encoded when leadership
//! is handed over in order, or when a split makes a range of its own of a part.
//!
//! All of it is advice. A lock that is lost costs its owner a conflict at worst; one that is held in error goes when its
//! owner is not heard of. Everybody counts as just heard of, as after any change of leader.

use std::collections::BTreeSet;

use base::{Monotonic, Timestamp, TxnId};
use serde::{Deserialize, Serialize};

use super::lock::{LockTable, Owner, Waiter};
use crate::command::{Key, LockMode};

/// About so many bytes are handed over at most; the locks on keys behind are lost.
const BYTES_MAX: usize = 1 << 20;
/// Rough size of a holder or waiter.
const ENTRY_BYTES: usize = 32;

/// One key and who is interested in it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    key: Key,
    holders: Vec<Holder>,
    /// In order.
    waiters: Vec<Queued>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    txn: TxnId,
    begin_ts: Timestamp,
    /// As the owner was told; `None`: it was not told yet.
    confirmed: Option<LockMode>,
    mode: LockMode,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Queued {
    txn: TxnId,
    begin_ts: Timestamp,
    mode: LockMode,
}

impl LockTable {
    /// Everything but the locks that a proposal under way is about to release. Empty when there is nothing.
    pub fn export(&self, releasing: &BTreeSet<(TxnId, &Key)>) -> Vec<u8> {
        let mut rows = Vec::new();
        let mut size_bytes = 0;
        for (key, queue) in &self.queues {
            let holders = queue.holders.iter().filter(|(txn, _)| !releasing.contains(&(**txn, key)));
            let holders = holders.filter_map(|(txn, mode)| {
                let owner = self.owners.get(txn)?;
                let confirmed = owner.held.get(key).copied();
                Some(Holder { txn: *txn, begin_ts: owner.begin_ts, confirmed, mode: *mode })
            });
            let waiters = queue.waiters.iter().filter_map(|waiter| {
                let begin_ts = self.owners.get(&waiter.txn)?.begin_ts;
                Some(Queued { txn: waiter.txn, begin_ts, mode: waiter.mode })
            });
            let row = Row { key: key.clone(), holders: holders.collect(), waiters: waiters.collect() };
            size_bytes += row.key.len() + ENTRY_BYTES * (1 + row.holders.len() + row.waiters.len());
            if size_bytes > BYTES_MAX {
                break;
            }
            rows.push(row);
        }
        if rows.is_empty() { Vec::new() } else { postcard::to_stdvec(&rows).unwrap_or_default() }
    }

    /// Takes over what another table exported, where nothing stands against it. Waiters keep their places for as long as a
    /// request is given to come back.
    pub fn adopt(&mut self, exported: &[u8], now: Monotonic) {
        // Whatever cannot be read is as good as lost.
        let rows: Vec<Row> = postcard::from_bytes(exported).unwrap_or_default();
        for Row { key, holders, waiters } in rows {
            for Holder { txn, begin_ts, confirmed, mode } in holders {
                let queue = self.queues.entry(key.clone()).or_default();
                if !queue.suits(txn, mode) || queue.holders.contains_key(&txn) {
                    continue;
                }
                queue.holders.insert(txn, mode);
                let owner = self.owners.entry(txn).or_insert_with(|| Owner::new(begin_ts, now));
                if let Some(confirmed) = confirmed {
                    owner.held.insert(key.clone(), confirmed.min(mode));
                }
                if confirmed.is_none_or(|confirmed| confirmed < mode) {
                    owner.claims.insert(key.clone());
                    owner.unattended_since = Some(now);
                }
            }
            for Queued { txn, begin_ts, mode } in waiters {
                let owner = self.owners.entry(txn).or_insert_with(|| Owner::new(begin_ts, now));
                if owner.place.is_none() {
                    owner.place = Some(key.clone());
                    owner.unattended_since = Some(now);
                    self.queues.entry(key.clone()).or_default().waiters.push_back(Waiter { txn, mode });
                }
            }
            // Who waited for a lock that is being released, or for one that was not taken over.
            self.promote(&key);
        }
    }
}

#[cfg(test)]
#[path = "handover_test.rs"]
mod tests;
