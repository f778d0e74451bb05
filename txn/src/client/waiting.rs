//! Who waits for whom on this gateway, for people who look: noted where a wait goes on (`Txn::wait_out`), forgotten when it is
//! over. Nothing rests on it.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, TxnId};
use parking_lot::Mutex;

use crate::{
    client::TxnClient,
    command::{Key, LockMode, WaitFor},
};

/// A wait is noted again with every round, far more often than this. What was not is over.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// One transaction of this gateway that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitView {
    pub waiter: TxnId,
    pub holders: Vec<TxnId>,
    /// One of the keys that it wants, and how; `None`: it wants to read.
    pub key: Key,
    pub mode: Option<LockMode>,
    pub since: Monotonic,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_waiter: Mutex<BTreeMap<TxnId, (WaitView, Monotonic)>>,
}

impl TxnClient {
    /// The transactions of this gateway that wait for others.
    pub fn waits(&self) -> Vec<WaitView> {
        let now = self.runtime.now();
        let waiting = self.shared.waiting.by_waiter.lock();
        let fresh = waiting.values().filter(|(_, noted)| now.since(*noted) <= STALE_AFTER);
        fresh.map(|(view, _)| view.clone()).collect()
    }

    pub(crate) fn waits_for(&self, waiter: TxnId, holders: &[WaitFor], key: &Key, mode: Option<LockMode>) {
        let now = self.runtime.now();
        let mut waiting = self.shared.waiting.by_waiter.lock();
        let holders = holders.iter().map(|holder| holder.txn).collect();
        let view = WaitView { waiter, holders, key: key.clone(), mode, since: now };
        match waiting.get_mut(&waiter) {
            Some((known, noted)) if now.since(*noted) <= STALE_AFTER => {
                *known = WaitView { since: known.since, ..view };
                *noted = now;
            }
            _ => drop(waiting.insert(waiter, (view, now))),
        }
    }

    pub(crate) fn waits_no_more(&self, waiter: TxnId) {
        let mut waiting = self.shared.waiting.by_waiter.lock();
        if !waiting.is_empty() {
            waiting.remove(&waiter);
        }
    }
}
