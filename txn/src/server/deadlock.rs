//! Deadlocks over several ranges: waiting gateways report who waits for whom to the range that holds the detector key
//! ([`crate::Command::Wait`]). Edges are volatile and expire unless reported again, so a lost or stale edge costs a delay or,
//! at worst, a needless retry.
//!
//! Cycles inside one range are found at once by the lock table ([`super::lock`]). Both end the youngest member, the one with
//! the greatest begin timestamp: the order is the same everywhere and does not change, so two detectors that see the same
//! cycle agree, and the oldest transaction always gets through.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base::{Monotonic, TxnId};

use crate::command::{WaitEdge, WaitFor, WaitNode, WaitReply};

#[derive(Clone, Debug)]
pub struct Detector {
    waits: BTreeMap<TxnId, Wait>,
    /// Victims that have not been told yet: the cycle, the victim first.
    doomed: BTreeMap<TxnId, (Vec<WaitEdge>, Monotonic)>,
    edge_ttl: Duration,
}

#[derive(Clone, Debug)]
struct Wait {
    node: WaitNode,
    holders: Vec<WaitFor>,
    expires: Monotonic,
}

impl Detector {
    pub fn new(edge_ttl: Duration) -> Detector {
        Detector { waits: BTreeMap::new(), doomed: BTreeMap::new(), edge_ttl }
    }

    /// The waiter waits for these holders, and for nobody else.
    pub fn report(&mut self, waiter: WaitNode, holders: Vec<WaitFor>, now: Monotonic) -> WaitReply {
        self.tick(now);
        if let Some((cycle, _)) = self.doomed.remove(&waiter.txn)
            // It may have got through in the meantime, and wait for somebody else now.
            && cycle.first().is_some_and(|edge| holders.iter().any(|holder| holder.txn == edge.holder))
        {
            self.waits.remove(&waiter.txn);
            return WaitReply::Deadlock(cycle);
        }
        self.waits.insert(waiter.txn, Wait { node: waiter, holders, expires: now + self.edge_ttl });
        let mut victims: Vec<(Wait, Vec<WaitEdge>)> = Vec::new();
        while let Some(cycle) = find_cycle(waiter.txn, |txn| self.waits_for(txn)) {
            let age = |txn: &TxnId| self.waits.get(txn).map(|wait| (wait.node.begin_ts, *txn));
            let Some(victim) = cycle.iter().copied().max_by_key(age) else { break };
            let cycle = edges_of(&rotate(cycle, victim), |waiter, holder| self.edge(waiter, holder));
            let Some(wait) = self.waits.remove(&victim) else { break };
            if victim == waiter.txn {
                // Its death breaks the cycles of the others too.
                self.waits.extend(victims.into_iter().map(|(wait, _)| (wait.node.txn, wait)));
                return WaitReply::Deadlock(cycle);
            }
            victims.push((wait, cycle));
        }
        let expires = now + 2 * self.edge_ttl;
        self.doomed.extend(victims.into_iter().map(|(wait, cycle)| (wait.node.txn, (cycle, expires))));
        WaitReply::Wait
    }

    fn waits_for(&self, txn: TxnId) -> Vec<TxnId> {
        self.waits.get(&txn).map_or(Vec::new(), |wait| wait.holders.iter().map(|holder| holder.txn).collect())
    }

    fn edge(&self, waiter: TxnId, holder: TxnId) -> Option<WaitEdge> {
        let wait = self.waits.get(&waiter)?;
        let key = wait.holders.iter().find(|waited| waited.txn == holder)?.key.clone();
        Some(WaitEdge { waiter, holder, key, mode: wait.node.mode })
    }

    pub fn tick(&mut self, now: Monotonic) {
        self.waits.retain(|_, wait| wait.expires > now);
        self.doomed.retain(|_, (_, expires)| *expires > now);
    }
}

/// A cycle through `start`, in the order of waiting, `start` first.
pub fn find_cycle(start: TxnId, waits_for: impl Fn(TxnId) -> Vec<TxnId>) -> Option<Vec<TxnId>> {
    let mut seen = BTreeSet::new();
    let mut path = vec![start];
    let mut next = vec![waits_for(start)];
    while let Some(choices) = next.last_mut() {
        match choices.pop() {
            Some(txn) if txn == start => return Some(path),
            Some(txn) => {
                if seen.insert(txn) {
                    path.push(txn);
                    next.push(waits_for(txn));
                }
            }
            None => {
                path.pop();
                next.pop();
            }
        }
    }
    None
}

/// The same cycle, told from one member's point of view.
pub fn rotate(mut cycle: Vec<TxnId>, first: TxnId) -> Vec<TxnId> {
    if let Some(at) = cycle.iter().position(|txn| *txn == first) {
        cycle.rotate_left(at);
    }
    cycle
}

/// A cycle as the waits that make it up.
pub fn edges_of(cycle: &[TxnId], edge: impl Fn(TxnId, TxnId) -> Option<WaitEdge>) -> Vec<WaitEdge> {
    let next = cycle.iter().cycle().skip(1);
    cycle.iter().zip(next).filter_map(|(waiter, holder)| edge(*waiter, *holder)).collect()
}

#[cfg(test)]
#[path = "deadlock_test.rs"]
mod tests;
