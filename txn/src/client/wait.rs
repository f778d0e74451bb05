//! Waiting for somebody in the way: settle what is dead, tell the deadlock detector about the rest.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, TxnId};
use bytes::Bytes;
use storage::range::SYSTEM_END;

use crate::{
    client::{
        Txn,
        recovery::{self, Asker, Orphan},
        sender::Pace,
    },
    command::{Blocker, Command, Key, LockMode, WaitFor, WaitNode, WaitReply},
    error::{Error, Result},
};

/// Wait-for edges of all gateways meet in the range that holds this key: the first range of user keys.
pub(crate) const DETECTOR_KEY: &[u8] = SYSTEM_END;

/// Rounds of waiting before the detector is told: most waits are over by then, and a cycle never is.
const QUIET_ROUNDS: u32 = 2;

/// The leader parks a blocked request for a while before it says so. A round quicker than this did not park, and pauses here.
const PARKED_AT_LEAST: Duration = Duration::from_millis(10);

/// How one operation has waited so far.
pub(crate) struct Patience {
    /// `None`: a lock wait, which ends by being granted, by a deadlock or by `lock_timeout`.
    deadline: Option<Monotonic>,
    /// The lock that is waited for; `None` for a read.
    wants: Option<LockMode>,
    pub(crate) pace: Pace,
    rounds: u32,
    last_round: Monotonic,
    first_met: BTreeMap<TxnId, Monotonic>,
}

impl Patience {
    pub(crate) fn until(deadline: Monotonic, wants: Option<LockMode>) -> Patience {
        Patience { deadline: Some(deadline), wants, ..Patience::endless(LockMode::Update) }
    }

    pub(crate) fn endless(wants: LockMode) -> Patience {
        Patience {
            deadline: None,
            wants: Some(wants),
            pace: Pace::default(),
            rounds: 0,
            last_round: Monotonic(0),
            first_met: BTreeMap::new(),
        }
    }
}

impl Txn {
    /// Waits a little for transactions in the way, after clearing away those that are over or dead. The caller then tries
    /// again.
    pub(crate) async fn wait_out(&mut self, patience: &mut Patience, blockers: Vec<Blocker>) -> Result<()> {
        let now = self.client.runtime.now();
        let Some(first) = blockers.first().cloned() else { return Ok(()) };
        if patience.deadline.is_some_and(|deadline| now >= deadline) {
            let reason = format!("transaction {} did not get out of the way", first.txn);
            return Err(Error::Unavailable(reason));
        }
        self.stats.lock_waits += 1;
        let mut holders = Vec::new();
        for (txn, (key, orphan)) in group_by_txn(blockers) {
            let holder = WaitFor { txn, key };
            let Some(orphan) = orphan else {
                holders.push(holder);
                continue;
            };
            let met = *patience.first_met.entry(txn).or_insert(now);
            let grace_over = now.since(met) >= self.client.options.orphan_grace;
            let deadline = self.client.deadline();
            let asker = Asker::Other { grace_over };
            if !recovery::settle(&self.client, orphan, asker, deadline, &mut self.stats).await? {
                holders.push(holder);
            }
        }
        if holders.is_empty() {
            self.client.waits_no_more(self.open.id);
            return Ok(());
        }
        self.client.waits_for(self.open.id, &holders, &first.key, patience.wants);
        patience.rounds += 1;
        if patience.rounds > QUIET_ROUNDS {
            self.report_wait(patience.wants, holders).await?;
        }
        if now.since(patience.last_round) < PARKED_AT_LEAST
            && let Some(pause) = patience.pace.next()
        {
            self.client.runtime.sleep(pause).await;
        }
        patience.last_round = self.client.runtime.now();
        Ok(())
    }

    /// Tells the detector for whom this transaction waits. Being unable to is no error: the next round tells again.
    async fn report_wait(&mut self, mode: Option<LockMode>, holders: Vec<WaitFor>) -> Result<()> {
        let begin_ts = self.begin_ts().await?;
        let waiter = WaitNode { txn: self.open.id, begin_ts, mode };
        let command = Command::Wait { waiter, holders };
        let deadline = self.client.deadline();
        let key = Bytes::from_static(DETECTOR_KEY);
        match self.client.at_key::<WaitReply>(&key, command, deadline, &mut self.stats).await {
            Ok(WaitReply::Deadlock(cycle)) => Err(Error::Deadlock(cycle)),
            Ok(WaitReply::Wait) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "the deadlock detector could not be told");
                Ok(())
            }
        }
    }
}

/// One entry per transaction, with a key at which it was met; `None` for one that only holds locks.
fn group_by_txn(blockers: Vec<Blocker>) -> BTreeMap<TxnId, (Key, Option<Orphan>)> {
    let mut by_txn: BTreeMap<TxnId, (Key, Option<Orphan>)> = BTreeMap::new();
    for Blocker { key, txn, primary, write_ts } in blockers {
        let (_, entry) = by_txn.entry(txn).or_insert_with(|| (key.clone(), None));
        let Some(primary) = primary else { continue };
        match entry {
            Some(orphan) => push_key(&mut orphan.keys, key),
            None => *entry = Some(Orphan { txn, primary, keys: vec![key], write_ts }),
        }
    }
    by_txn
}

fn push_key(keys: &mut Vec<Key>, key: Key) {
    if !keys.contains(&key) {
        keys.push(key);
    }
}
