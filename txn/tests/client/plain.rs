//! What is awkward to tell as a story.

use std::{sync::Arc, time::Duration};

use base::{Span, Timestamp};
use bytes::Bytes;
use parking_lot::Mutex;
use txn::{
    Error, LockMode, Options, Pushdown, RowSink, ScanRequest, TxnClient, Verdict, WaitPolicy, server,
    testing::{Network, World},
};

fn world() -> (World, TxnClient) {
    let mut world = World::real(1);
    let (_, client) = world.gateway(Options::default());
    (world, client)
}

fn key(key: &'static str) -> Bytes {
    Bytes::from_static(key.as_bytes())
}

fn put(world: &mut World, client: &TxnClient, name: &'static str, value: &'static str) -> Timestamp {
    let mut txn = client.begin();
    txn.put(key(name), key(value)).unwrap();
    world.block_on(txn.commit()).unwrap().commit_ts
}

#[test]
fn the_past_stays_as_it_was() {
    let (mut world, client) = world();
    put(&mut world, &client, "a", "1");
    let then = world.timestamp();
    put(&mut world, &client, "a", "2");
    put(&mut world, &client, "b", "1");
    let mut txn = client.begin_at(then);
    assert!(matches!(txn.put(key("c"), key("1")), Err(Error::Internal(_))));
    let (values, rows, locked) = world.block_on(async move {
        let values = txn.get(&[key("a"), key("b")]).await.unwrap();
        let rows = txn.scan(&ScanRequest { span: Span::new("a", "z"), ..ScanRequest::default() }).await.unwrap();
        (values, rows.rows, txn.lock(&[key("a")], LockMode::Update, WaitPolicy::Wait).await)
    });
    assert_eq!(values, [Some(key("1")), None]);
    assert_eq!(rows, [(key("a"), key("1"))]);
    assert!(locked.is_err());
}

/// A transaction that began before the moment that somebody else has looked back to cannot commit below it any more.
#[test]
fn a_look_into_the_recent_past_is_protected() {
    let (mut world, client) = world();
    let mut writer = client.begin();
    let (writer, then) = world.block_on(async move {
        writer.get(&[key("z")]).await.unwrap();
        let stamp = writer.stamp().await.unwrap();
        (writer, stamp.timestamp)
    });
    let mut writer = writer;
    writer.put(key("a"), key("1")).unwrap();
    let look = |world: &mut World| {
        let mut past = client.begin_at(then.next());
        world.block_on(async move { past.get(&[key("a")]).await.unwrap() })
    };
    assert_eq!(look(&mut world), [None]);
    let committed = world.block_on(writer.commit()).unwrap();
    assert!(committed.commit_ts > then.next());
    assert_eq!(look(&mut world), [None]);
}

#[test]
fn heartbeats_keep_locks_for_as_long_as_the_gateway_lives() {
    let mut world = World::real(1);
    let (group, holder) = world.gateway(Options::default());
    let (_, other) = world.gateway(Options::default());
    world.cell.split(b"m");
    let mut txn = holder.begin();
    let txn = world.block_on(async move {
        txn.lock(&[key("a"), key("z")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
        txn
    });
    let try_lock = move |world: &mut World, name: &'static str| {
        let mut txn = other.begin();
        world.block_on(async move { txn.lock(&[key(name)], LockMode::Update, WaitPolicy::NoWait).await.is_ok() })
    };
    // A split does not lose sight of the part that is cut off.
    world.run_for(Duration::from_secs(10));
    world.cell.split(b"b");
    world.cell.split(b"y");
    world.run_for(Duration::from_secs(10));
    assert!(!try_lock(&mut world, "a"));
    assert!(!try_lock(&mut world, "z"));
    world.kill(group);
    drop(txn);
    world.run_for(Duration::from_secs(10));
    assert!(try_lock(&mut world, "a"));
    assert!(try_lock(&mut world, "z"));
}

#[test]
fn the_write_buffer_is_bounded() {
    let (_, client) = world();
    let options = Options { write_buffer_bytes_max: 1000, ..Options::default() };
    let client = TxnClient::new(client.cluster.clone(), client.runtime.clone(), options);
    let mut txn = client.begin();
    txn.put(key("a"), Bytes::from(vec![0; 500])).unwrap();
    assert!(matches!(txn.put(key("b"), Bytes::from(vec![0; 500])), Err(Error::TooLarge(_))));
}

/// Many rows over several ranges: more than one request takes, more than a list of keys takes.
#[test]
fn a_large_transaction_commits_in_pieces() {
    let (mut world, client) = world();
    for border in ["k002000", "k003000", "k007000"] {
        world.cell.split(border.as_bytes());
    }
    let mut txn = client.begin();
    for row in 0..9000 {
        txn.put_blind(Bytes::from(format!("k{row:06}")), Bytes::from(vec![b'x'; 300])).unwrap();
    }
    world.block_on(txn.commit()).unwrap();
    let mut txn = client.begin();
    let rows = world.block_on(async move {
        let mut rows = 0;
        let mut rest = Some(Span::new("k", "l"));
        while let Some(span) = rest {
            let page = txn.scan(&ScanRequest { span, ..ScanRequest::default() }).await.unwrap();
            rows += page.rows.len();
            rest = page.resume;
        }
        rows
    });
    assert_eq!(rows, 9000);
    world.run_for(Duration::from_secs(5));
    assert!(world.cell.intents().is_empty());
}

/// The answer to a commit is lost, and the connection with it, for longer than an operation may take. Then the primary is
/// asked, and it knows.
#[test]
fn a_lost_answer_is_found_at_the_primary() {
    for ranges in [1, 2] {
        let mut world = World::real(1);
        let options = Options { operation_timeout: Duration::from_secs(1), ..Options::default() };
        let (_, client) = world.gateway(options);
        if ranges == 2 {
            world.cell.split(b"m");
        }
        let mut txn = client.begin();
        let mut txn = world.block_on(async move {
            // Routes are known from here on.
            txn.get(&[key("a"), key("z")]).await.unwrap();
            txn
        });
        txn.put_blind(key("a"), key("1")).unwrap();
        txn.put_blind(key("z"), key("1")).unwrap();
        // Requests that are under way arrive; their answers do not.
        let slow = Duration::from_millis(5);
        world.cell.set_network(Network { delay_min: slow, delay_max: slow, ..Network::default() });
        let outcome = Arc::new(Mutex::new(None));
        let slot = outcome.clone();
        client.runtime.spawn(Box::pin(async move { *slot.lock() = Some(txn.commit().await) }));
        world.run_for(slow / 2);
        world.cell.set_network(Network { lose: 1000, ..Network::default() });
        world.run_for(Duration::from_millis(1500));
        assert!(outcome.lock().is_none(), "it is still being asked for");
        world.cell.set_network(Network::default());
        world.run_for(Duration::from_secs(2));
        let info = outcome.lock().take().expect("an outcome").expect("committed");
        let versions = world.cell.versions();
        assert_eq!(versions.len(), 2);
        assert!(versions.iter().all(|version| version.at == info.commit_ts));
    }
}

/// While nobody can be reached nothing is known, and that is said.
#[test]
fn an_outcome_that_cannot_be_learned_is_ambiguous() {
    let mut world = World::real(1);
    let options = Options { operation_timeout: Duration::from_secs(1), ..Options::default() };
    let (_, client) = world.gateway(options);
    put(&mut world, &client, "a", "1");
    let mut txn = client.begin();
    let mut txn = world.block_on(async move {
        txn.lock(&[key("a")], LockMode::Update, WaitPolicy::Wait).await.unwrap();
        txn
    });
    txn.put(key("a"), key("2")).unwrap();
    let storm = txn::testing::Network { lose: 1000, ..txn::testing::Network::default() };
    world.cell.set_network(storm);
    assert!(matches!(world.block_on(txn.commit()), Err(Error::Ambiguous(_))));
    world.cell.set_network(txn::testing::Network::default());
    // The gateway itself sees to it that the matter is settled.
    world.run_for(Duration::from_secs(10));
    let mut txn = client.begin();
    let value = world.block_on(async move { txn.get(&[key("a")]).await.unwrap() });
    assert_eq!(value, [Some(key("1"))]);
}

/// A read in the future would hold every writer up until then.
#[test]
fn the_future_cannot_be_read() {
    let (mut world, client) = world();
    put(&mut world, &client, "a", "1");
    let soon = Timestamp::from_millis(world.timestamp().millis() + 60_000);
    let mut txn = client.begin_at(soon);
    let read = world.block_on(async move { txn.get(&[key("a")]).await });
    assert!(matches!(read, Err(Error::InFuture { read_ts }) if read_ts == soon), "{read:?}");
    let mut txn = client.begin();
    txn.put(key("a"), key("2")).unwrap();
    assert_eq!(world.block_on(txn.commit()).unwrap().stats.stamps, 1, "nobody was pushed");
}

/// The future of every operation may move between threads.
#[test]
fn operations_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let (_, client) = world();
    let mut txn = client.begin();
    is_send(&txn);
    is_send(&txn.get(&[]));
    is_send(&txn.lock(&[], LockMode::Share, WaitPolicy::Wait));
    is_send(&txn.scan(&ScanRequest::default()));
    is_send(&txn.bulk_write(Vec::new(), true));
    is_send(&txn.commit());
}

/// Program `count`: swallows and counts; program `odd`: keeps the rows whose key ends in an odd digit.
struct Programs;

struct Program {
    count: Option<u64>,
}

impl Pushdown for Programs {
    fn compile(&self, program: &[u8]) -> Result<Box<dyn RowSink>, String> {
        Ok(Box::new(Program { count: (program == b"count").then_some(0) }))
    }
}

impl RowSink for Program {
    fn row(&mut self, key: &[u8], _value: &[u8]) -> Result<Verdict, String> {
        let odd = key.last().is_some_and(|digit| digit % 2 == 1);
        Ok(match &mut self.count {
            Some(count) => {
                *count += 1;
                Verdict::Drop
            }
            None if odd => Verdict::Keep,
            None => Verdict::Drop,
        })
    }

    fn finish(&mut self) -> Result<Option<Bytes>, String> {
        Ok(self.count.map(|count| Bytes::copy_from_slice(&count.to_be_bytes())))
    }
}

/// Ranges work side by side, and each of them in several pages; the parts still add up and come in order.
#[test]
fn work_is_pushed_down_to_all_ranges() {
    let options = server::Options { page_versions_max: 7, ..server::Options::default() };
    let mut world = World::new(1, server::evaluate_factory(Arc::new(Programs), options));
    let (_, client) = world.gateway(Options::default());
    let mut txn = client.begin();
    for row in 0..200 {
        txn.put_blind(Bytes::from(format!("k{row:03}")), key("v")).unwrap();
    }
    world.block_on(txn.commit()).unwrap();
    for border in (0..200).step_by(15) {
        world.cell.split(format!("k{border:03}").as_bytes());
    }
    for reverse in [false, true] {
        let mut txn = client.begin();
        let (counted, odd) = world.block_on(async move {
            let request = |program: &'static str| ScanRequest {
                span: Span::new("k010", "k190"),
                reverse,
                limit_rows: 0,
                pushdown: Some(key(program)),
            };
            let counted = txn.scan(&request("count")).await.unwrap();
            (counted, txn.scan(&request("odd")).await.unwrap())
        });
        assert_eq!((counted.rows.len(), counted.resume), (0, None));
        let count: u64 = counted.pushed.iter().map(|part| u64::from_be_bytes(part[..].try_into().unwrap())).sum();
        assert_eq!(count, 180);
        let mut expected: Vec<Bytes> =
            (10..190).filter(|row| row % 2 == 1).map(|row| format!("k{row:03}").into()).collect();
        if reverse {
            expected.reverse();
        }
        assert_eq!(odd.rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
        assert_eq!(odd.resume, None);
    }
}
