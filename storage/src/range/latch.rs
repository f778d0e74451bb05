//! Latches: isolation of the requests of one replica from evaluation to application. Fair: a request waits for every
//! conflicting one that came before it, and for nothing else. All spans of a request are taken at once, so there is no
//! deadlock.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::evaluate::{Access, Token};

/// Who holds and who waits.
#[derive(Debug, Default)]
pub struct Latches {
    next_order: u64,
    /// By arrival.
    queue: BTreeMap<u64, Request>,
    orders: BTreeMap<Token, u64>,
    /// Point accesses by key; (arrival, exclusive), in order of arrival.
    points: BTreeMap<Bytes, Vec<(u64, bool)>>,
    /// Arrivals that have an access which is not a point.
    wide: BTreeSet<u64>,
}

#[derive(Debug)]
struct Request {
    token: Token,
    accesses: Vec<Access>,
    /// Earlier conflicting requests that are still here.
    waits_for: usize,
    /// Later requests that wait for this one.
    blocks: Vec<u64>,
    /// Gone before its turn; keeps its place, so that those behind it still wait for those before it.
    cancelled: bool,
}

impl Latches {
    /// Whether a request with these accesses could run at once. Such a request need not be entered if it ends at once too.
    pub fn is_free(&self, accesses: &[Access]) -> bool {
        self.conflicts(accesses).is_empty()
    }

    /// Enters a request. True: it holds its latches now. False: [`Latches::release`] of another will name it.
    pub fn acquire(&mut self, token: Token, accesses: Vec<Access>) -> bool {
        let order = self.next_order;
        self.next_order += 1;
        let conflicts = self.conflicts(&accesses);
        let waits_for = conflicts.len();
        for earlier in conflicts {
            if let Some(request) = self.queue.get_mut(&earlier) {
                request.blocks.push(order);
            }
        }
        for access in &accesses {
            if access.span.is_point() {
                self.points.entry(access.span.start.clone()).or_default().push((order, access.exclusive));
            } else {
                self.wide.insert(order);
            }
        }
        self.queue.insert(order, Request { token, accesses, waits_for, blocks: Vec::new(), cancelled: false });
        self.orders.insert(token, order);
        waits_for == 0
    }

    /// The request is over (or was cancelled while it held or waited). Returns those that hold their latches now, in
    /// order of arrival.
    pub fn release(&mut self, token: Token) -> Vec<Token> {
        let Some(order) = self.orders.remove(&token) else { return Vec::new() };
        if let Some(request) = self.queue.get_mut(&order)
            && request.waits_for > 0
        {
            request.cancelled = true;
            return Vec::new();
        }
        let mut granted = Vec::new();
        let mut leaving = vec![order];
        while let Some(order) = leaving.pop() {
            for later in self.remove(order) {
                let Some(request) = self.queue.get_mut(&later) else { continue };
                request.waits_for -= 1;
                match (request.waits_for, request.cancelled) {
                    (0, true) => leaving.push(later),
                    (0, false) => granted.push((later, request.token)),
                    _ => {}
                }
            }
        }
        granted.sort_unstable();
        granted.into_iter().map(|(_, token)| token).collect()
    }

    pub fn clear(&mut self) {
        *self = Latches::default();
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn remove(&mut self, order: u64) -> Vec<u64> {
        let Some(request) = self.queue.remove(&order) else { return Vec::new() };
        self.wide.remove(&order);
        for access in request.accesses.iter().filter(|access| access.span.is_point()) {
            if let Some(users) = self.points.get_mut(&access.span.start) {
                users.retain(|(user, _)| *user != order);
                if users.is_empty() {
                    self.points.remove(&access.span.start);
                }
            }
        }
        request.blocks
    }

    /// The requests that a newcomer has to wait for. On one key, whoever is behind an exclusive request waits for those
    /// before it through it.
    fn conflicts(&self, accesses: &[Access]) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for access in accesses {
            if access.span.is_point() {
                if let Some(users) = self.points.get(&access.span.start) {
                    last_conflicts(users, access.exclusive, &mut found);
                }
            } else {
                let from = std::ops::Bound::Included(access.span.start.clone());
                let to = match access.span.end.is_empty() {
                    true => std::ops::Bound::Unbounded,
                    false => std::ops::Bound::Excluded(access.span.end.clone()),
                };
                if !access.span.is_empty() {
                    for users in self.points.range((from, to)).map(|(_, users)| users) {
                        last_conflicts(users, access.exclusive, &mut found);
                    }
                }
            }
            for order in &self.wide {
                let Some(request) = self.queue.get(order) else { continue };
                let conflict = |other: &Access| {
                    !other.span.is_point() && (other.exclusive || access.exclusive) && other.span.overlaps(&access.span)
                };
                if request.accesses.iter().any(conflict) {
                    found.insert(*order);
                }
            }
        }
        found
    }
}

fn last_conflicts(users: &[(u64, bool)], exclusive: bool, found: &mut BTreeSet<u64>) {
    for (order, held_exclusive) in users.iter().rev() {
        if *held_exclusive {
            found.insert(*order);
            return;
        }
        if exclusive {
            found.insert(*order);
        }
    }
}

#[cfg(test)]
#[path = "latch_test.rs"]
mod tests;
