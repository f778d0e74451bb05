//! The shell around a scripted core: what waits for what, what is refused, and what a hostile peer can do.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use base::{Monotonic, NodeId, RangeId};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, future::join_all};
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{
    TcpClient,
    clients::NodeHandle,
    counters::Counters,
    driver::{Driver, Machine},
    frame::{self, FRAME_BYTES_MAX, Frame, Hello, PROTOCOL_VERSION, Role},
    peers::Peers,
    persist,
    runtime::monotonic_now,
    server::Server,
    stream::Transport,
};
use crate::{
    cluster::Stamp,
    error::Result,
    log::{LogRecord, LogState, LogStore},
    message::{Effects, Event, Reply, Request, RequestBody, Response, ResponseBody},
    router::{CallError, NodeClient},
};

/// Answers `LocalRanges` at once, `Stamp` never in time, and `Lookup` after the log is durable.
#[derive(Default)]
struct Core {
    sequence: u64,
    waiting: BTreeMap<u64, Vec<Reply>>,
}

impl Machine for Core {
    fn step_all(&mut self, events: &mut dyn Iterator<Item = Event>, now: Monotonic, _: u64) -> Effects {
        let mut effects = Effects::default();
        for event in events {
            match event {
                Event::Request { client, request } => {
                    let reply =
                        |body, valid_until| Reply { client, response: Response { id: request.id, body }, valid_until };
                    match request.body {
                        RequestBody::Lookup { key, .. } => {
                            effects.log.push(record(&key));
                            let reply = reply(ResponseBody::Done, None);
                            self.waiting.entry(self.sequence + 1).or_default().push(reply);
                        }
                        RequestBody::Stamp { .. } => {
                            let stamp = Stamp { timestamp: base::Timestamp(1), fence: 0, fence_open: false };
                            effects.replies.push(reply(ResponseBody::Stamp(stamp), Some(now)));
                        }
                        _ => effects.replies.push(reply(ResponseBody::Done, None)),
                    }
                }
                Event::Persisted { sequence } => {
                    let later = self.waiting.split_off(&(sequence + 1));
                    effects.replies.extend(std::mem::replace(&mut self.waiting, later).into_values().flatten());
                }
                _ => {}
            }
        }
        if !effects.log.is_empty() {
            self.sequence += 1;
            effects.log_sequence = self.sequence;
        }
        effects
    }
}

fn record(key: &Bytes) -> LogRecord {
    LogRecord::Append { range: RangeId(1), hard_state: None, first_index: 1, entries: vec![key.clone()] }
}

fn driver(machine: impl Machine + 'static, requests_max: usize) -> Arc<Driver> {
    Arc::new(Driver::new(Box::new(machine), Peers::default(), requests_max, Arc::new(Counters::default())))
}

/// A log of which every sync waits for a permit.
struct SlowLog {
    permits: mpsc::Receiver<()>,
}

impl LogStore for SlowLog {
    fn load(&mut self) -> Result<BTreeMap<RangeId, LogState>> {
        Ok(BTreeMap::new())
    }

    fn append(&mut self, _: &[LogRecord]) -> Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        // At the end of the test the sender is gone.
        let _ = self.permits.recv();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        0
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(future)
}

const TIMEOUT: Duration = Duration::from_secs(10);

fn lookup(key: &str) -> RequestBody {
    RequestBody::Lookup { key: Bytes::copy_from_slice(key.as_bytes()), limit: 1 }
}

#[test]
fn writes_share_an_fsync_and_reads_do_not_wait_for_it() {
    let driver = driver(Core::default(), 1000);
    let (permit, permits) = mpsc::channel();
    let logging = {
        let driver = driver.clone();
        thread::spawn(move || persist::run_log(&driver, Box::new(SlowLog { permits })))
    };
    let working = {
        let driver = driver.clone();
        thread::spawn(move || driver.work(Duration::from_secs(3600)))
    };
    let handle = NodeHandle::new(NodeId(1), &driver);
    let mut first = handle.request(lookup("first"), TIMEOUT);
    assert!((&mut first).now_or_never().is_none(), "answered before it was durable");
    // Wait until the log thread has taken it: what comes now belongs to the next fsync.
    let deadline = monotonic_now() + TIMEOUT;
    while !driver.log.is_empty() {
        assert!(monotonic_now() < deadline);
        thread::yield_now();
    }
    let mut others: Vec<_> = (0..100).map(|i| handle.request(lookup(&i.to_string()), TIMEOUT)).collect();
    let read = handle.request(RequestBody::LocalRanges, TIMEOUT).now_or_never();
    assert!(matches!(read, Some(Ok(ResponseBody::Done))), "a read waits for the disk: {read:?}");
    permit.send(()).expect("log thread");
    assert!(matches!(block_on(&mut first), Ok(ResponseBody::Done)));
    assert!(others.iter_mut().all(|other| other.now_or_never().is_none()));
    permit.send(()).expect("log thread");
    assert!(block_on(join_all(others)).iter().all(|answer| matches!(answer, Ok(ResponseBody::Done))));
    assert_eq!((driver.counters.log_syncs.get(), driver.counters.log_records.get()), (2, 101));
    drop(permit);
    driver.stop_threads();
    logging.join().expect("log thread");
    working.join().expect("worker");
}

#[test]
fn an_answer_after_the_lease_is_withheld() {
    let driver = driver(Core::default(), 1000);
    let handle = NodeHandle::new(NodeId(1), &driver);
    let answer = block_on(handle.request(RequestBody::Stamp { count: 1 }, TIMEOUT));
    assert!(matches!(answer, Ok(ResponseBody::NotLeader { hint: None, maybe_applied: false })), "{answer:?}");
}

/// Holds the first step until told to go on.
struct Stuck {
    entered: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
    core: Core,
}

impl Machine for Stuck {
    fn step_all(&mut self, events: &mut dyn Iterator<Item = Event>, now: Monotonic, wall_ms: u64) -> Effects {
        let _ = self.entered.send(());
        let _ = self.go_on.recv();
        self.core.step_all(events, now, wall_ms)
    }
}

#[test]
fn a_full_mailbox_refuses_and_a_busy_core_is_not_waited_for() {
    let (entered, has_entered) = mpsc::channel();
    let (release, go_on) = mpsc::channel();
    let driver = driver(Stuck { entered, go_on, core: Core::default() }, 10);
    let handle = Arc::new(NodeHandle::new(NodeId(1), &driver));
    let holder = {
        let handle = handle.clone();
        thread::spawn(move || block_on(handle.request(RequestBody::LocalRanges, TIMEOUT)))
    };
    has_entered.recv().expect("the core is held");
    let mut waiting: Vec<_> = (0..10).map(|_| handle.request(RequestBody::LocalRanges, TIMEOUT)).collect();
    assert!(waiting.iter_mut().all(|call| call.now_or_never().is_none()));
    let refused = handle.request(RequestBody::LocalRanges, TIMEOUT).now_or_never();
    assert!(matches!(refused, Some(Ok(ResponseBody::Overloaded(_)))), "{refused:?}");
    drop(release);
    // The holder takes up what came meanwhile; nobody else is there to do it.
    assert!(matches!(holder.join().expect("holder"), Ok(ResponseBody::Done)));
    assert!(block_on(join_all(waiting)).iter().all(|answer| matches!(answer, Ok(ResponseBody::Done))));
}

/// Makes work for itself without end.
struct Busy {
    driver: Arc<OnceLock<Weak<Driver>>>,
    ticks: Arc<AtomicU64>,
}

impl Machine for Busy {
    fn step_all(&mut self, events: &mut dyn Iterator<Item = Event>, _: Monotonic, _: u64) -> Effects {
        let ticks = events.filter(|event| matches!(event, Event::Tick)).count();
        self.ticks.fetch_add(ticks as u64, Ordering::SeqCst);
        if let Some(driver) = self.driver.get().and_then(Weak::upgrade) {
            driver.push(Event::Flushed { sequence: 0 });
        }
        Effects::default()
    }
}

#[test]
fn load_does_not_stop_the_clock() {
    let (own, ticks) = (Arc::new(OnceLock::new()), Arc::new(AtomicU64::new(0)));
    let driver = driver(Busy { driver: own.clone(), ticks: ticks.clone() }, 10);
    own.set(Arc::downgrade(&driver)).expect("set once");
    let working = {
        let driver = driver.clone();
        thread::spawn(move || driver.work(Duration::from_millis(1)))
    };
    let deadline = monotonic_now() + TIMEOUT;
    while ticks.load(Ordering::SeqCst) < 5 {
        assert!(monotonic_now() < deadline, "the ticks have stopped");
        thread::yield_now();
    }
    driver.stop_threads();
    working.join().expect("worker");
}

/// A server with the scripted core on a port of its own.
async fn serve(driver: Arc<Driver>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let tokio = tokio::runtime::Handle::current();
    let server = Arc::new(Server::new(
        NodeId(1),
        "test".into(),
        [NodeId(1), NodeId(2)].into(),
        Transport::Plain,
        driver,
        tokio.clone(),
    ));
    drop(tokio.spawn(server.run(listener)));
    address
}

fn client(address: SocketAddr, node: u64, cluster: &str) -> TcpClient {
    let addresses = BTreeMap::from([(NodeId(node), address.to_string())]);
    TcpClient::new(cluster, &addresses, &Transport::Plain, &tokio::runtime::Handle::current())
}

/// Calls until the connection stands.
async fn call(client: &TcpClient, node: u64, body: RequestBody) -> std::result::Result<ResponseBody, CallError> {
    let deadline = monotonic_now() + TIMEOUT;
    loop {
        match client.call(NodeId(node), body.clone(), TIMEOUT).await {
            Err(CallError::Unsent(_)) if monotonic_now() < deadline => tokio::task::yield_now().await,
            answer => return answer,
        }
    }
}

fn hello(cluster: &str, role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, &Frame::Hello(Hello { version: PROTOCOL_VERSION, cluster: cluster.into(), role }));
    bytes
}

/// Sends bytes and reads until the other side hangs up.
fn provoke(address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(TIMEOUT)).expect("timeout");
    stream.write_all(&bytes).expect("write");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // It may have more of our bytes than it has read.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bytes_cost_their_sender_the_connection() {
    let address = serve(driver(Core::default(), 1000)).await;
    let client = client(address, 1, "test");
    let gateway = hello("test", Role::Client);
    let too_long = [&gateway[..], &(FRAME_BYTES_MAX as u32 + 1).to_be_bytes(), &[0; 100]].concat();
    let empty = [&gateway[..], &[0; 4]].concat();
    let unknown = [&gateway[..], &[0, 0, 0, 2, 99, 1]].concat();
    let malformed = [&gateway[..], &[0, 0, 0, 4, 4, 255, 255, 255]].concat();
    let twice = [&gateway[..], &gateway[..]].concat();
    for bytes in [vec![0xff; 64], b"GET / HTTP/1.1\r\n\r\n".to_vec(), too_long, empty, unknown, malformed, twice] {
        tokio::task::spawn_blocking(move || provoke(address, bytes)).await.expect("provoke");
        assert!(matches!(call(&client, 1, RequestBody::LocalRanges).await, Ok(ResponseBody::Done)));
    }
    let stranger = hello("elsewhere", Role::Client);
    let answer = tokio::task::spawn_blocking(move || provoke(address, stranger)).await.expect("provoke");
    let mut answer = BytesMut::from(&answer[..]);
    assert!(matches!(frame::decode(&mut answer, 4096), Ok(Some(Frame::Reject(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_not_served_by_the_wrong_node() {
    let address = serve(driver(Core::default(), 1000)).await;
    let client = client(address, 2, "test");
    for _ in 0..100 {
        let answer = client.call(NodeId(2), RequestBody::LocalRanges, TIMEOUT).await;
        assert!(matches!(answer, Err(CallError::Unsent(_))), "{answer:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_share_a_connection() {
    let address = serve(driver(Core::default(), 10_000)).await;
    let client = client(address, 1, "test");
    assert!(matches!(call(&client, 1, RequestBody::LocalRanges).await, Ok(ResponseBody::Done)));
    let calls = (0..5000).map(|_| client.call(NodeId(1), RequestBody::LocalRanges, TIMEOUT));
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(ResponseBody::Done))));
}

/// Sees what peers say.
struct Ear(Arc<Mutex<Vec<Bytes>>>);

impl Machine for Ear {
    fn step_all(&mut self, events: &mut dyn Iterator<Item = Event>, _: Monotonic, _: u64) -> Effects {
        self.0.lock().extend(events.filter_map(|event| match event {
            Event::Peer { message, .. } => Some(message),
            _ => None,
        }));
        Effects::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_peer_arrive_in_order() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let address = serve(driver(Ear(heard.clone()), 10)).await;
    let peers = Peers::new([NodeId(1)]);
    let addresses = BTreeMap::from([(NodeId(1), address.to_string())]);
    let tasks = peers.dial(NodeId(2), "test", &addresses, &Transport::Plain, &tokio::runtime::Handle::current());
    let counters = Counters::default();
    let deadline = monotonic_now() + TIMEOUT;
    let mut number = 0u32;
    while heard.lock().len() < 1000 {
        assert!(monotonic_now() < deadline);
        let mut outbox = Vec::new();
        peers.send(NodeId(1), &Bytes::copy_from_slice(&number.to_be_bytes()), &mut outbox, &counters);
        for link in outbox {
            link.unlist();
            let _ = link.flush();
        }
        number += 1;
        tokio::task::yield_now().await;
    }
    let heard = heard.lock();
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]));
    tasks.iter().for_each(|task| task.abort());
}

proptest! {
    /// Whatever bytes arrive, decoding ends in frames, a wait for more, or an error.
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..9u8) {
        let mut framed = (bytes.len() as u32 + 1).to_be_bytes().to_vec();
        framed.push(kind);
        framed.extend_from_slice(&bytes);
        let mut whole = BytesMut::from(&framed[..]);
        let _ = frame::decode(&mut whole, FRAME_BYTES_MAX);
        let mut raw = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = frame::decode(&mut raw, FRAME_BYTES_MAX) {}
    }

    #[test]
    fn requests_come_out_as_they_went_in(id in any::<u64>(), command in prop::collection::vec(any::<u8>(), 0..100), cut in any::<prop::sample::Index>()) {
        let body = RequestBody::Evaluate { range: RangeId(id), epoch: 3, command: command.into() };
        let request = Request { id, timeout_ms: 7, body };
        let mut bytes = Vec::new();
        prop_assert!(frame::encode_request(&mut bytes, &request));
        let mut partial = BytesMut::from(&bytes[..cut.index(bytes.len())]);
        prop_assert!(matches!(frame::decode(&mut partial, FRAME_BYTES_MAX), Ok(None)));
        let mut whole = BytesMut::from(&bytes[..]);
        match frame::decode(&mut whole, FRAME_BYTES_MAX) {
            Ok(Some(Frame::Request(decoded))) => prop_assert_eq!(decoded, request),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
