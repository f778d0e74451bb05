//! Who is alive: when a transaction was last heard of in this range. Volatile; after a change of leader everybody gets the
//! benefit of the doubt for as long as a silence may last.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, TxnId};

#[derive(Clone, Debug)]
pub struct Liveness {
    heard: BTreeMap<TxnId, Monotonic>,
    since: Monotonic,
    silence_max: Duration,
}

impl Liveness {
    pub fn new(now: Monotonic, silence_max: Duration) -> Liveness {
        Liveness { heard: BTreeMap::new(), since: now, silence_max }
    }

    pub fn hear(&mut self, txn: TxnId, now: Monotonic) {
        self.heard.insert(txn, now);
    }

    pub fn is_alive(&self, txn: TxnId, now: Monotonic) -> bool {
        let last = self.heard.get(&txn).map_or(self.since, |heard| *heard);
        now.since(last) < self.silence_max
    }

    pub fn tick(&mut self, now: Monotonic) {
        self.heard.retain(|_, heard| now.since(*heard) < self.silence_max);
    }
}
