use std::time::Duration;

use base::{Monotonic, Timestamp, TxnId};

use super::*;
use crate::server::lock::Acquired;

const NOW: Monotonic = Monotonic(5_000_000_000);

fn table() -> LockTable {
    LockTable::new(Duration::from_secs(3), Duration::from_secs(5))
}

fn ask(table: &mut LockTable, txn: u64, key: &Key, mode: LockMode) -> Acquired {
    let id = TxnId(txn.into());
    let acquired = table.acquire(txn, (id, Timestamp(txn)), key, mode, NOW);
    if acquired == Acquired::Yes {
        table.confirm(id, [key.clone()].iter());
    }
    acquired
}

/// What a successor makes of it.
fn successor(table: &LockTable) -> LockTable {
    let mut next = self::table();
    next.adopt(&table.export(&BTreeSet::new()), NOW);
    next
}

#[test]
fn holders_and_the_order_of_waiters_survive() {
    let (mut old, a) = (table(), Key::from("a"));
    assert_eq!(ask(&mut old, 1, &a, LockMode::Update), Acquired::Yes);
    assert!(matches!(ask(&mut old, 2, &a, LockMode::Update), Acquired::Queued(_)));
    assert!(matches!(ask(&mut old, 3, &a, LockMode::Share), Acquired::Queued(_)));
    let mut new = successor(&old);
    // A newcomer queues behind those who were there.
    assert!(matches!(ask(&mut new, 4, &a, LockMode::Update), Acquired::Queued(_)));
    new.unlock(TxnId(1), std::slice::from_ref(&a));
    assert_eq!(ask(&mut new, 2, &a, LockMode::Update), Acquired::Yes);
    assert!(matches!(ask(&mut new, 3, &a, LockMode::Share), Acquired::Queued(_)));
}

#[test]
fn what_nobody_was_told_of_expires_like_a_place() {
    let (mut old, a, b) = (table(), Key::from("a"), Key::from("b"));
    let id = TxnId(1);
    // Claimed on the way to `b`, which somebody else holds.
    assert_eq!(ask(&mut old, 2, &b, LockMode::Update), Acquired::Yes);
    assert_eq!(old.acquire(1, (id, Timestamp(1)), &a, LockMode::Update, NOW), Acquired::Yes);
    assert!(matches!(old.acquire(1, (id, Timestamp(1)), &b, LockMode::Update, NOW), Acquired::Queued(_)));
    let mut new = successor(&old);
    assert!(matches!(ask(&mut new, 3, &a, LockMode::Update), Acquired::Queued(_)));
    new.hear(id, NOW + Duration::from_secs(4));
    new.tick(NOW + Duration::from_secs(4));
    assert_eq!(ask(&mut new, 3, &a, LockMode::Update), Acquired::Yes);
}

#[test]
fn an_upgrade_that_was_not_told_falls_back() {
    let (mut old, a) = (table(), Key::from("a"));
    assert_eq!(ask(&mut old, 1, &a, LockMode::KeyShare), Acquired::Yes);
    assert_eq!(old.acquire(1, (TxnId(1), Timestamp(1)), &a, LockMode::Update, NOW), Acquired::Yes);
    let mut new = successor(&old);
    assert!(matches!(ask(&mut new, 2, &a, LockMode::NoKeyUpdate), Acquired::Queued(_)));
    new.give_up(TxnId(1));
    assert_eq!(ask(&mut new, 2, &a, LockMode::NoKeyUpdate), Acquired::Yes);
    assert!(matches!(ask(&mut new, 3, &a, LockMode::Update), Acquired::Queued(_)));
}

#[test]
fn locks_about_to_be_released_stay_behind() {
    let (mut old, a) = (table(), Key::from("a"));
    assert_eq!(ask(&mut old, 1, &a, LockMode::Update), Acquired::Yes);
    assert!(matches!(ask(&mut old, 2, &a, LockMode::Update), Acquired::Queued(_)));
    let mut new = table();
    new.adopt(&old.export(&BTreeSet::from([(TxnId(1), &a)])), NOW);
    // The lock is the next one's already; it only has to ask.
    assert!(matches!(ask(&mut new, 3, &a, LockMode::Share), Acquired::Queued(_)));
    assert_eq!(ask(&mut new, 2, &a, LockMode::Update), Acquired::Yes);
}

#[test]
fn the_size_is_bounded_and_nonsense_is_ignored() {
    let mut old = table();
    for n in 0..40_000u32 {
        let key = Key::copy_from_slice(&n.to_be_bytes());
        assert_eq!(ask(&mut old, u64::from(n) + 1, &key, LockMode::Update), Acquired::Yes);
    }
    let exported = old.export(&BTreeSet::new());
    assert!(exported.len() <= BYTES_MAX && exported.len() > BYTES_MAX / 16, "{}", exported.len());
    let mut new = table();
    new.adopt(&exported[..exported.len() / 2], NOW);
    assert!(new.export(&BTreeSet::new()).is_empty(), "half of it cannot be read");
    assert!(table().export(&BTreeSet::new()).is_empty());
}
