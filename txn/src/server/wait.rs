//! Parked requests: what each waits for, since when, and until when. The lock table has its own queues; here are the
//! deadlines of everything that waits, and the requests that wait for an intent to go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base::{Monotonic, Span, TxnId};
use storage::Token;

use crate::command::Key;

#[derive(Debug, Default)]
pub struct Waits {
    parked: BTreeMap<Token, Parked>,
    by_intent: BTreeMap<Key, BTreeSet<Token>>,
    woken: Vec<Token>,
}

#[derive(Debug)]
struct Parked {
    txn: TxnId,
    /// When the request was evaluated first: patience counts from there, however often it is woken.
    since: Monotonic,
    until: Monotonic,
    intents: Vec<Key>,
    woken: bool,
    withdrawn: bool,
}

impl Waits {
    /// Since when the request has been waiting, if it has.
    pub fn since(&self, token: Token) -> Option<Monotonic> {
        self.parked.get(&token).map(|parked| parked.since)
    }

    /// Parks a request until one of these intents goes (or until something else wakes it), at most for `patience`.
    pub fn park(&mut self, token: Token, txn: TxnId, intents: Vec<Key>, patience: Duration, now: Monotonic) {
        let since = self.since(token).unwrap_or(now);
        self.unregister(token);
        for key in &intents {
            self.by_intent.entry(key.clone()).or_default().insert(token);
        }
        let until = since + patience;
        self.parked.insert(token, Parked { txn, since, until, intents, woken: false, withdrawn: false });
    }

    /// The request is answered or gone. Returns its transaction if it was parked.
    pub fn end(&mut self, token: Token) -> Option<TxnId> {
        self.unregister(token);
        self.parked.remove(&token).map(|parked| parked.txn)
    }

    /// Wakes a request, if it is parked.
    pub fn wake(&mut self, token: Token) {
        if let Some(parked) = self.parked.get_mut(&token).filter(|parked| !parked.woken) {
            parked.woken = true;
            self.woken.push(token);
        }
    }

    /// The transaction has given up what it waits for: its requests must not take locks any more.
    pub fn withdraw(&mut self, txn: TxnId) {
        let tokens: Vec<Token> =
            self.parked.iter().filter(|(_, parked)| parked.txn == txn).map(|(token, _)| *token).collect();
        for token in tokens {
            if let Some(parked) = self.parked.get_mut(&token) {
                parked.withdrawn = true;
            }
            self.wake(token);
        }
    }

    pub fn is_withdrawn(&self, token: Token) -> bool {
        self.parked.get(&token).is_some_and(|parked| parked.withdrawn)
    }

    /// The intent on this key is gone.
    pub fn wake_for(&mut self, key: &Key) {
        for token in self.by_intent.remove(key).unwrap_or_default() {
            self.wake(token);
        }
    }

    /// All intents in this span are gone.
    pub fn wake_in(&mut self, span: &Span) {
        let keys: Vec<Key> = self.by_intent.keys().filter(|key| span.contains(key)).cloned().collect();
        for key in keys {
            self.wake_for(&key);
        }
    }

    /// Wakes and forgets everybody: whoever is still served here will ask again.
    pub fn wake_all(&mut self) {
        for token in std::mem::take(&mut self.parked).into_keys() {
            if !self.woken.contains(&token) {
                self.woken.push(token);
            }
        }
        self.by_intent.clear();
    }

    /// Wakes those whose patience is at its end.
    pub fn tick(&mut self, now: Monotonic) {
        let impatient: Vec<Token> =
            self.parked.iter().filter(|(_, parked)| parked.until <= now).map(|(token, _)| *token).collect();
        for token in impatient {
            self.wake(token);
        }
    }

    /// Requests that should be evaluated again, in the order in which they were woken; drains.
    pub fn take_woken(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.woken)
    }

    fn unregister(&mut self, token: Token) {
        let Some(parked) = self.parked.get_mut(&token) else { return };
        for key in std::mem::take(&mut parked.intents) {
            if let Some(tokens) = self.by_intent.get_mut(&key) {
                tokens.remove(&token);
                if tokens.is_empty() {
                    self.by_intent.remove(&key);
                }
            }
        }
    }
}
