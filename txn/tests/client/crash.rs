//! A gateway dies at every moment of a commit, one after the other, and several others find what it left behind. Each time
//! all of the transaction must be there or none of it, and all of it if its client had been told so.

use std::{sync::Arc, time::Duration};

use base::Runtime;
use bytes::Bytes;
use parking_lot::Mutex;
use txn::{LockMode, Options, Txn, TxnClient, WaitPolicy, testing::World};

const KEYS: [&str; 3] = ["a", "b", "c"];
const STEP: Duration = Duration::from_micros(20);

fn key(key: &str) -> Bytes {
    Bytes::copy_from_slice(key.as_bytes())
}

fn keys() -> Vec<Bytes> {
    KEYS.iter().map(|name| key(name)).collect()
}

/// What a scenario does to the victim's commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    None,
    /// One range has seen a later read: everything has to be prewritten again at a later timestamp.
    PushedAt(&'static str),
    /// A range is cut while the commit is under way.
    Split,
    /// A leader is replaced, and its new timestamp cache pushes.
    LeaderAt(&'static str),
}

/// Runs the victim's commit for `steps`, kills it, and lets others look. False when the commit had ended before.
fn run(disturbance: Disturbance, staged_keys_max: usize, steps: u32) -> bool {
    let case = format!("{disturbance:?}, {staged_keys_max} keys, step {steps}");
    let mut world = World::real(u64::from(steps) + 1);
    world.cell.split(b"b");
    world.cell.split(b"c");
    let (group, victim) = world.gateway(Options { staged_keys_max, ..Options::default() });
    let (_, witness) = world.gateway(Options::default());
    let (_, other) = world.gateway(Options::default());
    let mut txn = world.block_on(open(victim.clone()));
    for name in KEYS {
        txn.put(key(name), key("new")).unwrap();
    }
    if let Disturbance::PushedAt(name) = disturbance {
        world.block_on(read(witness.clone(), vec![key(name)]));
    }
    let told = Arc::new(Mutex::new(None));
    let answer = told.clone();
    victim.runtime.spawn(Box::pin(async move {
        let result = txn.commit().await;
        *answer.lock() = Some(result.is_ok());
    }));
    for step in 0..steps {
        match disturbance {
            Disturbance::Split if step == steps / 2 => world.cell.split(b"aa"),
            Disturbance::LeaderAt(name) if step == steps / 2 => world.cell.change_leader(name.as_bytes()),
            _ => {}
        }
        world.run_for(STEP);
    }
    world.kill(group);
    let told = *told.lock();

    // Two look at the same time, from different ends.
    let second = world.executor.runtime(txn::testing::Group(0));
    let late = Arc::new(Mutex::new(None));
    let (slot, reader) = (late.clone(), other.clone());
    second.spawn(Box::pin(async move {
        let values = read(reader, keys().into_iter().rev().collect()).await;
        *slot.lock() = Some(values);
    }));
    let first = world.block_on(read(witness, keys()));
    world.run_for(Duration::from_secs(10));
    let last = world.block_on(read(other, keys()));
    let late = late.lock().take().expect("the second reader is done");

    let all = vec![Some(key("new")); 3];
    let none = vec![None; 3];
    assert!(first == all || first == none, "{case}: {first:?}");
    assert_eq!(first, late, "{case}");
    assert_eq!(first, last, "{case}");
    assert!(told != Some(true) || first == all, "{case}: told and lost");
    assert!(told != Some(false) || first == none, "{case}: refused and done");
    world.run_for(Duration::from_secs(1));
    assert!(world.cell.intents().is_empty(), "{case}: intents are left");
    told.is_none()
}

async fn open(client: TxnClient) -> Txn {
    let mut txn = client.begin();
    txn.get(&[key("z")]).await.unwrap();
    txn.lock(&[key("a"), key("b")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
    txn
}

async fn read(client: TxnClient, keys: Vec<Bytes>) -> Vec<Option<Bytes>> {
    client.begin().get(&keys).await.unwrap()
}

/// From before the first message to some time after the answer.
fn every_moment(disturbance: Disturbance, staged_keys_max: usize) {
    let mut steps = 0;
    while run(disturbance, staged_keys_max, steps) {
        steps += 1;
        assert!(steps < 2000, "the commit does not end");
    }
    for after in (1..40).step_by(3) {
        run(disturbance, staged_keys_max, steps + after);
    }
}

#[test]
fn of_a_parallel_commit() {
    every_moment(Disturbance::None, 10);
}

#[test]
fn of_a_commit_decided_by_its_primary() {
    every_moment(Disturbance::None, 1);
}

#[test]
fn of_a_commit_that_is_pushed() {
    for name in KEYS {
        every_moment(Disturbance::PushedAt(name), 10);
    }
    every_moment(Disturbance::PushedAt("b"), 1);
}

#[test]
fn of_a_commit_whose_ranges_change() {
    every_moment(Disturbance::Split, 10);
    every_moment(Disturbance::LeaderAt("a"), 10);
    every_moment(Disturbance::LeaderAt("b"), 10);
}
