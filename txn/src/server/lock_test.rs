use proptest::prelude::*;

use super::*;

fn key(n: u8) -> Key {
    Key::copy_from_slice(&[b'k', n])
}

fn table() -> LockTable {
    LockTable::new(Duration::from_secs(3), Duration::from_secs(5))
}

impl LockTable {
    /// What must hold between any two calls.
    fn check(&self) {
        for (key, queue) in &self.queues {
            for (one, mode) in &queue.holders {
                let clash = queue.holders.iter().find(|(other, held)| *other != one && held.conflicts_with(*mode));
                assert_eq!(clash, None, "{key:?}: {one:?} holds it too ({mode})");
            }
            assert!(!queue.holders.is_empty(), "{key:?}: free, and yet somebody waits");
            assert_eq!(queue.next_holder(), None, "{key:?}: one of {:?} could have it", queue.waiters);
            for holder in queue.holders.keys() {
                let owner = &self.owners[holder];
                assert!(
                    owner.held.contains_key(key) || owner.claims.contains(key),
                    "{key:?}: {holder:?} does not know"
                );
            }
            for waiter in &queue.waiters {
                assert_eq!(self.owners[&waiter.txn].place.as_ref(), Some(key));
                assert_eq!(queue.waiters.iter().filter(|other| other.txn == waiter.txn).count(), 1);
            }
        }
        for (txn, owner) in &self.owners {
            assert!(!owner.is_idle(), "{txn:?} is remembered for nothing");
            for key in owner.held.keys().chain(&owner.claims) {
                assert!(self.queues[key].holders.contains_key(txn), "{txn:?} believes it holds {key:?}");
            }
            for (key, mode) in &owner.held {
                assert!(self.queues[key].holders[txn] >= *mode, "{txn:?} holds {key:?} in a weaker mode than it knows");
            }
            if let Some(key) = &owner.place {
                assert!(self.queues[key].waiters.iter().any(|waiter| waiter.txn == *txn));
            }
            assert_eq!(find_cycle(*txn, |txn| self.waits_for(txn)), None, "a deadlock was not seen");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire { txn: u8, key: u8, mode: LockMode },
    Confirm { txn: u8 },
    Weaken { txn: u8, key: u8, mode: LockMode },
    Unlock { txn: u8 },
    Detach { txn: u8 },
    Cancel { txn: u8 },
    TakeDoom { txn: u8 },
    Tick { millis: u16 },
    Split { at: u8 },
}

const MODES: [LockMode; 4] = [LockMode::KeyShare, LockMode::Share, LockMode::NoKeyUpdate, LockMode::Update];

fn mode() -> impl Strategy<Value = LockMode> {
    prop::sample::select(&MODES[..])
}

fn step() -> impl Strategy<Value = Step> {
    let txn = 1u8..6;
    prop_oneof![
        10 => (txn.clone(), 0u8..5, mode()).prop_map(|(txn, key, mode)| Step::Acquire { txn, key, mode }),
        2 => (txn.clone(), 0u8..5, mode()).prop_map(|(txn, key, mode)| Step::Weaken { txn, key, mode }),
        3 => txn.clone().prop_map(|txn| Step::Confirm { txn }),
        3 => txn.clone().prop_map(|txn| Step::Unlock { txn }),
        1 => txn.clone().prop_map(|txn| Step::Detach { txn }),
        1 => txn.clone().prop_map(|txn| Step::Cancel { txn }),
        1 => txn.prop_map(|txn| Step::TakeDoom { txn }),
        1 => (0u16..4000).prop_map(|millis| Step::Tick { millis }),
        1 => (0u8..5).prop_map(|at| Step::Split { at }),
    ]
}

fn all_keys() -> Vec<Key> {
    (0..5).map(key).collect()
}

proptest! {
    #[test]
    fn invariants_hold_after_every_step(steps in prop::collection::vec(step(), 0..80)) {
        let mut tables = vec![(0u8, table())];
        let mut now = Monotonic(0);
        for step in steps {
            for at in 0..tables.len() {
                let end = tables.get(at + 1).map_or(u8::MAX, |(start, _)| *start);
                let start = tables[at].0;
                let table = &mut tables[at].1;
                match &step {
                    Step::Acquire { txn, key: n, mode } if (start..end).contains(n) => {
                        let mode = *mode;
                        let id = TxnId(u128::from(*txn));
                        table.hear(id, now);
                        let got = table.acquire(u64::from(*txn), (id, Timestamp(u64::from(*txn))), &key(*n), mode, now);
                        match got {
                            Acquired::Yes => prop_assert!(table.queues[&key(*n)].holds(id, mode)),
                            Acquired::Queued(blockers) => prop_assert!(!blockers.is_empty()),
                            Acquired::Deadlock(cycle) => {
                                prop_assert_eq!(cycle[0].waiter, id);
                                let closed = cycle.iter().zip(cycle.iter().cycle().skip(1));
                                prop_assert!(closed.into_iter().all(|(edge, next)| edge.holder == next.waiter));
                            }
                        }
                    }
                    Step::Weaken { txn, key: n, mode } => table.weaken(TxnId(u128::from(*txn)), &key(*n), *mode),
                    Step::Confirm { txn } => table.confirm(TxnId(u128::from(*txn)), all_keys().iter()),
                    Step::Unlock { txn } => {
                        table.unlock(TxnId(u128::from(*txn)), &all_keys());
                        prop_assert!(!table.owners.contains_key(&TxnId(u128::from(*txn))));
                    }
                    Step::Detach { txn } => table.detach(u64::from(*txn), TxnId(u128::from(*txn)), now),
                    Step::Cancel { txn } => table.cancel(u64::from(*txn), TxnId(u128::from(*txn))),
                    Step::TakeDoom { txn } => drop(table.take_doom(TxnId(u128::from(*txn)))),
                    Step::Tick { millis } => {
                        if at == 0 {
                            now = now + Duration::from_millis(u64::from(*millis));
                        }
                        table.tick(now);
                    }
                    Step::Split { .. } | Step::Acquire { .. } => {}
                }
                table.check();
            }
            if let Step::Split { at } = step {
                let part = tables.iter().rposition(|(start, _)| *start <= at).unwrap();
                if tables[part].0 != at {
                    let right = tables[part].1.split(&key(at), now);
                    tables[part].1.check();
                    right.check();
                    tables.insert(part + 1, (at, right));
                }
            }
        }
        // Left alone, everything expires.
        for (_, table) in &mut tables {
            for token in 1..6u8 {
                table.detach(u64::from(token), TxnId(u128::from(token)), now);
            }
            table.tick(now + Duration::from_secs(20));
            prop_assert!(table.queues.is_empty() && table.owners.is_empty());
        }
    }
}

#[test]
fn nobody_barges_in() {
    let (mut table, now) = (table(), Monotonic(0));
    let mut ask = |txn: u64, mode| table.acquire(txn, (TxnId(txn.into()), Timestamp(txn)), &key(1), mode, now);
    assert_eq!(ask(1, LockMode::Share), Acquired::Yes);
    assert!(matches!(ask(2, LockMode::Update), Acquired::Queued(_)));
    assert!(matches!(ask(3, LockMode::Share), Acquired::Queued(_)), "a reader may not starve the writer");
    table.unlock(TxnId(1), &[]);
    assert_eq!(table.take_woken(), vec![2]);
    table.unlock(TxnId(2), &[]);
    assert_eq!(table.take_woken(), vec![3]);
}

#[test]
fn the_youngest_of_a_cycle_dies_wherever_it_waits() {
    let (mut table, now) = (table(), Monotonic(0));
    let mut ask = |txn: u64, n| table.acquire(txn, (TxnId(txn.into()), Timestamp(txn)), &key(n), LockMode::Update, now);
    assert_eq!(ask(1, 1), Acquired::Yes);
    assert_eq!(ask(2, 2), Acquired::Yes);
    assert!(matches!(ask(2, 1), Acquired::Queued(_)));
    // The claims of 2 fall with its place, so 1 has what it wants at once.
    assert_eq!(ask(1, 2), Acquired::Yes);
    let waits = |waiter, holder, n| WaitEdge {
        waiter: TxnId(waiter),
        holder: TxnId(holder),
        key: key(n),
        mode: Some(LockMode::Update),
    };
    assert_eq!(table.take_doom(TxnId(2)), Some(vec![waits(2, 1, 1), waits(1, 2, 2)]));
    assert_eq!(table.take_woken(), vec![2, 1]);
}

#[test]
fn who_is_in_nobodys_way_does_not_wait() {
    let (mut table, now) = (table(), Monotonic(0));
    let mut ask = |txn: u64, mode| table.acquire(txn, (TxnId(txn.into()), Timestamp(txn)), &key(1), mode, now);
    assert_eq!(ask(1, LockMode::Share), Acquired::Yes);
    assert!(matches!(ask(2, LockMode::NoKeyUpdate), Acquired::Queued(_)));
    assert_eq!(ask(3, LockMode::KeyShare), Acquired::Yes);
    assert!(matches!(ask(4, LockMode::Update), Acquired::Queued(_)));
    assert!(matches!(ask(5, LockMode::KeyShare), Acquired::Queued(_)));
    // With 4 gone, 5 conflicts with nobody, though 2 still waits before it.
    table.unlock(TxnId(4), &[]);
    assert_eq!(table.take_woken(), vec![5]);
}

/// Table 13.3 of PostgreSQL's manual, "Conflicting Row-Level Locks".
#[test]
fn modes_conflict_as_in_postgresql() {
    let rows = ["...X", "..XX", ".XXX", "XXXX"];
    for (requested, row) in MODES.into_iter().zip(rows) {
        let found: String = MODES.iter().map(|held| if requested.conflicts_with(*held) { 'X' } else { '.' }).collect();
        assert_eq!(found, row, "{requested}");
    }
}

#[test]
fn a_weakened_lock_lets_in_who_now_fits() {
    let (mut table, now) = (table(), Monotonic(0));
    let mut ask = |txn: u64, mode| table.acquire(txn, (TxnId(txn.into()), Timestamp(txn)), &key(1), mode, now);
    assert_eq!(ask(1, LockMode::Update), Acquired::Yes);
    table.confirm(TxnId(1), [key(1)].iter());
    let mut ask = |txn: u64, mode| table.acquire(txn, (TxnId(txn.into()), Timestamp(txn)), &key(1), mode, now);
    assert!(matches!(ask(2, LockMode::NoKeyUpdate), Acquired::Queued(_)));
    assert!(matches!(ask(3, LockMode::Share), Acquired::Queued(_)));
    table.weaken(TxnId(1), &key(1), LockMode::KeyShare);
    assert_eq!(table.take_woken(), vec![2]);
    // Not stronger again.
    table.weaken(TxnId(1), &key(1), LockMode::Share);
    table.unlock(TxnId(2), &[key(1)]);
    table.check();
    assert_eq!(table.take_woken(), vec![3]);
}
