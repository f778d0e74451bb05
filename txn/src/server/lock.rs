//! The lock table of one range: locks of transactions on keys, in the four modes of [`LockMode`], with a fair queue for each
//! key.
//!
//! In memory only; a crash loses it and the commit checks do not rest on it. It is here so that transactions that will
//! write the same row wait for each other instead of failing each other.
//!
//! ```text
//!   key a    holders: t1 (share), t2 (share)       waiters: t3 (update), t4 (share)
//! ```
//!
//! - *Fair*: who comes later than an incompatible waiter waits behind it (t4 above), so a stream of readers does not starve
//!   a writer. Who gets along with all of them goes in at once: it keeps nobody waiting. A holder that wants more (t1: update) goes before those who hold nothing: they wait for it anyway.
//! - *Handed over*: when a lock is released, its next holders are chosen at once and woken. Nobody can barge in.
//! - A transaction has at most one *place* in one queue: its keys are taken in key order. What it took on the way is a
//!   *claim* until the request is answered `Granted` and the claims are confirmed; if it is not, claims are given back.
//! - A place and its claims outlive the request that waits by `place_ttl`, so that a gateway may ask again and again without
//!   losing its turn. Confirmed locks live as long as their owner is heard of.
//! - When a wait would close a cycle, the youngest member (the greatest begin timestamp) loses its place and its claims and
//!   is told.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use base::{Monotonic, Timestamp, TxnId};
use storage::Token;

use super::deadlock::{edges_of, find_cycle, rotate};
use crate::command::{Blocker, Key, LockMode, WaitEdge};

#[derive(Debug)]
pub struct LockTable {
    pub(super) queues: BTreeMap<Key, Queue>,
    pub(super) owners: BTreeMap<TxnId, Owner>,
    woken: Vec<Token>,
    place_ttl: Duration,
    owner_ttl: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) holders: BTreeMap<TxnId, LockMode>,
    pub(super) waiters: VecDeque<Waiter>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) txn: TxnId,
    pub(super) mode: LockMode,
}

/// A transaction, as this range knows it.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) begin_ts: Timestamp,
    last_seen: Monotonic,
    /// Confirmed, and in which mode.
    pub(super) held: BTreeMap<Key, LockMode>,
    /// Taken or upgraded by a request that is not yet answered.
    pub(super) claims: BTreeSet<Key>,
    pub(super) place: Option<Key>,
    /// The requests that wait at the place.
    tokens: BTreeSet<Token>,
    /// Since when nobody has asked for the place and the claims.
    pub(super) unattended_since: Option<Monotonic>,
    /// It lost its place to break this cycle, and has not been told.
    doomed: Option<Vec<WaitEdge>>,
}

/// What came of asking for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Claimed (or held already).
    Yes,
    /// Queued behind these.
    Queued(Vec<Blocker>),
    /// The cycle, the asker first. It has no place and no claims any more.
    Deadlock(Vec<WaitEdge>),
}

impl LockTable {
    pub fn new(place_ttl: Duration, owner_ttl: Duration) -> LockTable {
        LockTable { queues: BTreeMap::new(), owners: BTreeMap::new(), woken: Vec::new(), place_ttl, owner_ttl }
    }

    /// Takes a lock or a place in its queue.
    pub fn acquire(
        &mut self,
        token: Token,
        (txn, begin_ts): (TxnId, Timestamp),
        key: &Key,
        mode: LockMode,
        now: Monotonic,
    ) -> Acquired {
        let owner = self.owners.entry(txn).or_insert_with(|| Owner::new(begin_ts, now));
        owner.unattended_since = None;
        let queue = self.queues.entry(key.clone()).or_default();
        if queue.holds(txn, mode) {
            return Acquired::Yes;
        }
        if owner.place.as_ref() != Some(key) {
            self.leave_queue(txn);
            let queue = self.queues.entry(key.clone()).or_default();
            let owner = self.owners.entry(txn).or_insert_with(|| Owner::new(begin_ts, now));
            if queue.is_free_for(txn, mode) {
                queue.holders.insert(txn, mode);
                owner.claims.insert(key.clone());
                return Acquired::Yes;
            }
            queue.enqueue(Waiter { txn, mode });
            owner.place = Some(key.clone());
        } else if let Some(waiter) = queue.waiters.iter_mut().find(|waiter| waiter.txn == txn) {
            waiter.mode = waiter.mode.max(mode);
        }
        if let Some(owner) = self.owners.get_mut(&txn) {
            owner.tokens.insert(token);
        }
        self.break_cycles(txn, key, now)
    }

    /// Whether a transaction could take the lock at once; otherwise who is in the way.
    pub fn obstacle(&self, txn: TxnId, key: &Key, mode: LockMode) -> Option<Blocker> {
        let queue = self.queues.get(key)?;
        if queue.holds(txn, mode) || queue.is_free_for(txn, mode) {
            return None;
        }
        queue.in_the_way_of(txn, mode).first().map(|txn| blocker(key, *txn))
    }

    /// Whether a write has to queue: others hold a lock on the key or wait for one, and the writer holds none that a write
    /// could rest on.
    pub fn is_contested(&self, txn: TxnId, key: &Key) -> bool {
        let Some(queue) = self.queues.get(key) else { return false };
        !queue.holds(txn, LockMode::NoKeyUpdate)
    }

    /// The request for these keys is granted: its claims become locks. Claims of an earlier request are given back.
    pub fn confirm<'k>(&mut self, txn: TxnId, keys: impl Iterator<Item = &'k Key>) {
        let Some(owner) = self.owners.get_mut(&txn) else { return };
        for key in keys {
            let mode = self.queues.get(key).and_then(|queue| queue.holders.get(&txn));
            if let (Some(key), Some(mode)) = (owner.claims.take(key), mode) {
                owner.held.insert(key, *mode);
            }
        }
        self.give_up(txn);
    }

    /// Gives up the place and the claims of a transaction.
    pub fn give_up(&mut self, txn: TxnId) {
        self.leave_queue(txn);
        let Some(owner) = self.owners.get_mut(&txn) else { return };
        owner.unattended_since = None;
        for key in std::mem::take(&mut owner.claims) {
            // A claim on a key that is held is an upgrade.
            let back_to = self.owners.get(&txn).and_then(|owner| owner.held.get(&key).copied());
            self.release(txn, &key, back_to);
        }
        self.forget_idle(txn);
    }

    /// The request is answered without a grant; its place and claims are kept for a while.
    pub fn detach(&mut self, token: Token, txn: TxnId, now: Monotonic) {
        let Some(owner) = self.owners.get_mut(&txn) else { return };
        owner.tokens.remove(&token);
        if owner.tokens.is_empty() {
            owner.unattended_since = Some(now);
        }
    }

    /// The request is gone: so is its place, unless another request waits there too.
    pub fn cancel(&mut self, token: Token, txn: TxnId) {
        let Some(owner) = self.owners.get_mut(&txn) else { return };
        owner.tokens.remove(&token);
        if owner.tokens.is_empty() {
            self.give_up(txn);
        }
    }

    /// Releases locks, and withdraws whatever the transaction still waits for.
    pub fn unlock(&mut self, txn: TxnId, keys: &[Key]) {
        let Some(owner) = self.owners.get_mut(&txn) else { return };
        owner.doomed = None;
        self.give_up(txn);
        for key in keys {
            if self.owners.get_mut(&txn).is_some_and(|owner| owner.held.remove(key).is_some()) {
                self.release(txn, key, None);
            }
        }
        self.forget_idle(txn);
    }

    /// Brings a lock back to a weaker mode; never to a stronger one.
    pub fn weaken(&mut self, txn: TxnId, key: &Key, mode: LockMode) {
        let held = self.owners.get_mut(&txn).and_then(|owner| owner.held.get_mut(key));
        if let Some(held) = held.filter(|held| **held > mode) {
            *held = mode;
            self.release(txn, key, Some(mode));
        }
    }

    /// The cycle for which the transaction lost its place, once.
    pub fn take_doom(&mut self, txn: TxnId) -> Option<Vec<WaitEdge>> {
        let cycle = self.owners.get_mut(&txn)?.doomed.take();
        self.forget_idle(txn);
        cycle
    }

    /// The owner of these locks has been heard of.
    pub fn hear(&mut self, txn: TxnId, now: Monotonic) {
        if let Some(owner) = self.owners.get_mut(&txn) {
            owner.last_seen = now;
        }
    }

    /// Expires places that nobody asked for, and locks whose owner is silent.
    pub fn tick(&mut self, now: Monotonic) {
        let mut unattended = Vec::new();
        let mut gone = Vec::new();
        for (txn, owner) in self.owners.iter().filter(|(_, owner)| owner.tokens.is_empty()) {
            if now.since(owner.last_seen) >= self.owner_ttl {
                gone.push(*txn);
            } else if owner.unattended_since.is_some_and(|since| now.since(since) >= self.place_ttl) {
                unattended.push(*txn);
            }
        }
        for txn in unattended {
            if let Some(owner) = self.owners.get_mut(&txn) {
                owner.doomed = None;
            }
            self.give_up(txn);
        }
        for txn in gone {
            let held: Vec<Key> = self.owners.get(&txn).map_or(Vec::new(), |owner| owner.held.keys().cloned().collect());
            self.unlock(txn, &held);
        }
    }

    /// Requests that should be evaluated again; drains.
    pub fn take_woken(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.woken)
    }

    /// Hands over the locks and places on keys at and above `at`. All requests must ask again, on both sides.
    pub fn split(&mut self, at: &Key, now: Monotonic) -> LockTable {
        let mut right = LockTable::new(self.place_ttl, self.owner_ttl);
        right.queues = self.queues.split_off(at);
        for (txn, owner) in &mut self.owners {
            let mut moved = Owner::new(owner.begin_ts, owner.last_seen);
            moved.held = owner.held.split_off(at);
            moved.claims = owner.claims.split_off(at);
            moved.place = owner.place.take_if(|key| *key >= *at);
            moved.unattended_since = Some(now);
            owner.unattended_since = Some(now);
            owner.tokens.clear();
            if !moved.is_idle() {
                right.owners.insert(*txn, moved);
            }
        }
        for txn in right.owners.keys() {
            self.forget_idle(*txn);
        }
        right
    }

    fn leave_queue(&mut self, txn: TxnId) {
        let Some(owner) = self.owners.get_mut(&txn) else { return };
        owner.tokens.clear();
        let Some(key) = owner.place.take() else { return };
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.waiters.retain(|waiter| waiter.txn != txn);
        }
        self.promote(&key);
    }

    /// Takes the lock from its holder, or weakens it.
    fn release(&mut self, txn: TxnId, key: &Key, back_to: Option<LockMode>) {
        if let Some(queue) = self.queues.get_mut(key) {
            queue.holders.remove(&txn);
            queue.holders.extend(back_to.map(|mode| (txn, mode)));
        }
        self.promote(key);
    }

    /// Grants the lock to those who can have it now, in the order of the queue.
    pub(super) fn promote(&mut self, key: &Key) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        while let Some(next) = queue.next_holder().and_then(|at| queue.waiters.remove(at)) {
            queue.holders.insert(next.txn, next.mode);
            if let Some(owner) = self.owners.get_mut(&next.txn) {
                owner.place = None;
                owner.claims.insert(key.clone());
                self.woken.extend(std::mem::take(&mut owner.tokens));
            }
        }
        if queue.holders.is_empty() && queue.waiters.is_empty() {
            self.queues.remove(key);
        }
    }

    fn break_cycles(&mut self, txn: TxnId, key: &Key, now: Monotonic) -> Acquired {
        while let Some(cycle) = find_cycle(txn, |txn| self.waits_for(txn)) {
            let age = |txn: &TxnId| self.owners.get(txn).map(|owner| (owner.begin_ts, *txn));
            let Some(victim) = cycle.iter().copied().max_by_key(age) else { break };
            let cycle = edges_of(&rotate(cycle, victim), |waiter, holder| self.edge(waiter, holder));
            if victim == txn {
                self.give_up(txn);
                return Acquired::Deadlock(cycle);
            }
            if let Some(owner) = self.owners.get_mut(&victim) {
                owner.doomed = Some(cycle);
                self.woken.extend(std::mem::take(&mut owner.tokens));
            }
            self.give_up(victim);
            if let Some(owner) = self.owners.get_mut(&victim) {
                owner.unattended_since = Some(now);
            }
        }
        match self.queues.get(key).filter(|queue| !queue.holders.contains_key(&txn) || self.place_of(txn) == Some(key))
        {
            Some(queue) => Acquired::Queued(queue.blockers(txn).iter().map(|other| blocker(key, *other)).collect()),
            // The death of another has freed it.
            None => Acquired::Yes,
        }
    }

    fn place_of(&self, txn: TxnId) -> Option<&Key> {
        self.owners.get(&txn)?.place.as_ref()
    }

    fn waits_for(&self, txn: TxnId) -> Vec<TxnId> {
        self.place_of(txn).and_then(|key| self.queues.get(key)).map_or(Vec::new(), |queue| queue.blockers(txn))
    }

    /// What one waits for, of another.
    fn edge(&self, waiter: TxnId, holder: TxnId) -> Option<WaitEdge> {
        let key = self.place_of(waiter)?;
        let mode = self.queues.get(key)?.waiters.iter().find(|waiting| waiting.txn == waiter)?.mode;
        Some(WaitEdge { waiter, holder, key: key.clone(), mode: Some(mode) })
    }

    fn forget_idle(&mut self, txn: TxnId) {
        if self.owners.get(&txn).is_some_and(Owner::is_idle) {
            self.owners.remove(&txn);
        }
    }
}

impl Queue {
    fn holds(&self, txn: TxnId, mode: LockMode) -> bool {
        self.holders.get(&txn).is_some_and(|held| *held >= mode)
    }

    /// Whether the other holders let it in.
    pub(super) fn suits(&self, txn: TxnId, mode: LockMode) -> bool {
        self.holders.iter().all(|(holder, held)| *holder == txn || !held.conflicts_with(mode))
    }

    /// Whether a newcomer could have it: nobody whom it conflicts with is before it. A holder that wants more goes first.
    fn is_free_for(&self, txn: TxnId, mode: LockMode) -> bool {
        let unopposed = || self.waiters.iter().all(|waiter| !waiter.mode.conflicts_with(mode));
        self.suits(txn, mode) && (self.holders.contains_key(&txn) || unopposed())
    }

    /// The first waiter that could have it: it suits the holders, and conflicts with nobody before it.
    fn next_holder(&self) -> Option<usize> {
        self.waiters.iter().enumerate().position(|(at, waiter)| {
            let before = || self.waiters.iter().take(at);
            self.suits(waiter.txn, waiter.mode) && before().all(|other| !other.mode.conflicts_with(waiter.mode))
        })
    }

    fn enqueue(&mut self, waiter: Waiter) {
        let at = match self.holders.contains_key(&waiter.txn) {
            true => self.waiters.iter().take_while(|other| self.holders.contains_key(&other.txn)).count(),
            false => self.waiters.len(),
        };
        self.waiters.insert(at, waiter);
    }

    /// For whom a waiter waits: incompatible holders, then incompatible waiters before it.
    fn blockers(&self, txn: TxnId) -> Vec<TxnId> {
        match self.waiters.iter().find(|waiter| waiter.txn == txn) {
            Some(waiter) => self.in_the_way_of(txn, waiter.mode),
            None => Vec::new(),
        }
    }

    fn in_the_way_of(&self, txn: TxnId, mode: LockMode) -> Vec<TxnId> {
        let holders = self.holders.iter().map(|(holder, held)| (*holder, *held));
        let before = self.waiters.iter().take_while(|waiter| waiter.txn != txn).map(|waiter| (waiter.txn, waiter.mode));
        let mut found: Vec<TxnId> = Vec::new();
        for (other, held) in holders.chain(before) {
            if other != txn && held.conflicts_with(mode) && !found.contains(&other) {
                found.push(other);
            }
        }
        found
    }
}

impl Owner {
    pub(super) fn new(begin_ts: Timestamp, now: Monotonic) -> Owner {
        Owner {
            begin_ts,
            last_seen: now,
            held: BTreeMap::new(),
            claims: BTreeSet::new(),
            place: None,
            tokens: BTreeSet::new(),
            unattended_since: None,
            doomed: None,
        }
    }

    fn is_idle(&self) -> bool {
        self.held.is_empty() && self.claims.is_empty() && self.place.is_none() && self.doomed.is_none()
    }
}

fn blocker(key: &Key, txn: TxnId) -> Blocker {
    Blocker { key: key.clone(), txn, primary: None, write_ts: Timestamp::ZERO }
}

#[cfg(test)]
#[path = "lock_test.rs"]
mod tests;
