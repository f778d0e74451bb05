//! Waiting for locks: fairness among many, deadlocks found in time, queues that survive a change of leader.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use txn::{
    Error, Isolation, LockMode, Options, TxnClient, WaitEdge, WaitPolicy, server,
    testing::{Network, World},
};

fn key(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

const WRITERS: usize = 64;
const TURNS: usize = 8;

/// What happened at one row: who got it, in order, and for each grant how many others came first while it was waited for.
#[derive(Default)]
struct Queue {
    grants: usize,
    overtaken_max: usize,
    wait_max: Duration,
}

#[test]
fn sixty_four_writers_of_one_row_all_make_progress() {
    let mut world = World::real(3);
    let gateways: Vec<TxnClient> = (0..4).map(|_| world.gateway(Options::default()).1).collect();
    let queue = Arc::new(Mutex::new(Queue::default()));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let isolation = if writer % 2 == 0 { Isolation::Serializable } else { Isolation::ReadCommitted };
            increment(gateways[writer % gateways.len()].clone(), isolation, queue.clone())
        })
        .collect();
    world.block_on(join_all(writers));
    let client = gateways[0].clone();
    let count = world.block_on(async move { client.begin().get(&[key("row")]).await.unwrap().remove(0) });
    assert_eq!(count.unwrap(), Bytes::from((WRITERS * TURNS).to_string()));
    let queue = queue.lock();
    // First come, first served: while one waits, every other has one turn at most. A few more, as messages overtake each other.
    assert!(queue.overtaken_max <= WRITERS + 8, "{} others came first", queue.overtaken_max);
    // A turn takes two or three journeys of at most 0.6 ms.
    assert!(queue.wait_max < Duration::from_millis(4 * WRITERS as u64), "waited for {:?}", queue.wait_max);
}

async fn increment(client: TxnClient, isolation: Isolation, queue: Arc<Mutex<Queue>>) {
    for _ in 0..TURNS {
        let mut txn = client.begin_with(isolation);
        let (began, before) = (client.runtime.now(), queue.lock().grants);
        let rows = txn.lock(&[key("row")], LockMode::NoKeyUpdate, WaitPolicy::Wait).await.expect("nobody is sent away");
        {
            let mut queue = queue.lock();
            queue.overtaken_max = queue.overtaken_max.max(queue.grants - before);
            queue.wait_max = queue.wait_max.max(client.runtime.now().since(began));
            queue.grants += 1;
        }
        let count = rows[0].value.as_ref().map_or(0, |value| str::from_utf8(value).unwrap().parse::<u64>().unwrap());
        txn.put(key("row"), Bytes::from((count + 1).to_string())).unwrap();
        txn.commit().await.expect("the lock was held");
    }
}

/// Two transactions lock a row each, in two ranges, and then want the other's. How long until one is told.
fn deadlock_over_two_ranges(seed: u64, delay_max: Duration) -> (Duration, Vec<WaitEdge>) {
    let mut world = World::real(seed);
    world.cell.split(b"m");
    world.cell.set_network(Network { delay_min: delay_max / 4, delay_max, ..Network::default() });
    let (_, one) = world.gateway(Options::default());
    let (_, other) = world.gateway(Options::default());
    let ring = async move {
        let (mut one, runtime) = (one.begin(), one.runtime.clone());
        let mut other = other.begin_with(Isolation::ReadCommitted);
        one.lock(&[key("a")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
        other.lock(&[key("z")], LockMode::Share, WaitPolicy::Wait).await.unwrap();
        let began = runtime.now();
        let (z, a) = ([key("z")], [key("a")]);
        let first = one.lock(&z, LockMode::NoKeyUpdate, WaitPolicy::Wait);
        let second = async {
            let result = other.lock(&a, LockMode::KeyShare, WaitPolicy::Wait).await;
            let told_at = runtime.now();
            other.rollback().await;
            (result, told_at)
        };
        let (granted, (refused, told_at)) = futures::join!(first, second);
        // The younger gives way, and the older goes on.
        granted.expect("the older transaction gets through");
        let Err(Error::Deadlock(cycle)) = refused else { panic!("{refused:?}") };
        (told_at.since(began), cycle)
    };
    world.block_on(ring)
}

#[test]
fn deadlocks_over_ranges_are_found_within_a_second_and_say_who_waits_for_whom() {
    let mut slowest = Duration::ZERO;
    for seed in 0..50 {
        let delay_max = Duration::from_micros([300, 2000, 20_000][seed as usize % 3]);
        let (took, cycle) = deadlock_over_two_ranges(seed, delay_max);
        slowest = slowest.max(took);
        let [first, second] = &cycle[..] else { panic!("{cycle:?}") };
        assert_eq!((&first.key, first.mode), (&key("a"), Some(LockMode::KeyShare)));
        assert_eq!((&second.key, second.mode), (&key("z"), Some(LockMode::NoKeyUpdate)));
        assert_eq!((first.holder, second.holder), (second.waiter, first.waiter));
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Whether a lock keeps others out after the leader has handed over.
fn lock_survives(options: server::Options, change: fn(&World)) -> bool {
    let mut world = World::with_server(1, options);
    let (_, client) = world.gateway(Options::default());
    let mut holder = client.begin();
    let holder = world.block_on(async move {
        holder.lock(&[key("a"), key("z")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
        holder
    });
    change(&world);
    let refused = world.block_on(async move {
        let mut other = client.begin();
        let asked = other.lock(&[key("z")], LockMode::Share, WaitPolicy::NoWait).await;
        matches!(asked, Err(Error::LockNotAvailable { .. }))
    });
    drop(holder);
    refused
}

#[test]
fn locks_survive_what_is_done_in_order() {
    let options = server::Options::default;
    let losing = || {
        let faults = server::Faults { lose_locks_on_transfer: true, ..server::Faults::default() };
        server::Options { faults, ..server::Options::default() }
    };
    assert!(lock_survives(options(), |world| world.cell.hand_over(b"z")));
    assert!(lock_survives(options(), |world| world.cell.split(b"m")));
    assert!(!lock_survives(options(), |world| world.cell.change_leader(b"z")), "nobody was there to hand over");
    assert!(!lock_survives(losing(), |world| world.cell.hand_over(b"z")), "the planted fault can be seen");
}

/// Those who wait are answered, ask again, and come to their turn in the order in which they came.
#[test]
fn queues_survive_a_transfer() {
    let mut world = World::real(5);
    let (_, client) = world.gateway(Options::default());
    let order = Arc::new(Mutex::new(Vec::new()));
    let cell = world.cell.clone();
    let noted = order.clone();
    world.block_on(async move {
        let mut holder = client.begin();
        holder.lock(&[key("a")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
        let waiters = (0..10u64).map(|n| {
            let (client, order) = (client.clone(), noted.clone());
            async move {
                client.runtime.sleep(Duration::from_millis(5 * n)).await;
                let mut txn = client.begin();
                txn.lock(&[key("a")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
                order.lock().push(n);
                txn.rollback().await;
            }
        });
        let hand_over = async {
            client.runtime.sleep(Duration::from_millis(120)).await;
            cell.hand_over(b"a");
            client.runtime.sleep(Duration::from_millis(300)).await;
            holder.rollback().await;
        };
        futures::join!(join_all(waiters), hand_over);
    });
    assert_eq!(*order.lock(), (0..10).collect::<Vec<_>>());
}
