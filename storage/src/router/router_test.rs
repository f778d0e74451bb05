//! The router against scripted nodes, in virtual time.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use base::{BoxFuture, Monotonic, NodeId, RangeId, Runtime, Span, Timestamp};
use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;

use super::{CallError, NodeClient, Router, RouterOptions};
use crate::{
    cluster::{Cluster, Stamp},
    error::Error,
    message::{RequestBody, ResponseBody},
    range::Descriptor,
};

/// A clock that jumps to the next timer when nothing else is to be done, and a queue of tasks.
#[derive(Default)]
struct World {
    now_ms: AtomicU64,
    timers: Mutex<Vec<(u64, Waker)>>,
    tasks: Mutex<Vec<BoxFuture<'static, ()>>>,
    random: AtomicU64,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl World {
    fn now(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            while flag.0.swap(false, Ordering::SeqCst) {
                if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                    return value;
                }
                let mut tasks = std::mem::take(&mut *self.tasks.lock());
                tasks.retain_mut(|task| task.as_mut().poll(&mut cx).is_pending());
                let mut spawned = self.tasks.lock();
                if !spawned.is_empty() {
                    flag.0.store(true, Ordering::SeqCst);
                }
                spawned.append(&mut tasks);
            }
            let mut timers = self.timers.lock();
            let next = timers.iter().map(|(at, _)| *at).min().expect("nothing will ever happen");
            self.now_ms.store(next, Ordering::SeqCst);
            timers.retain(|(at, waker)| {
                if *at <= next {
                    waker.wake_by_ref();
                }
                *at > next
            });
        }
    }
}

struct TestRuntime(Arc<World>);

impl Runtime for TestRuntime {
    fn now(&self) -> Monotonic {
        Monotonic(0) + Duration::from_millis(self.0.now())
    }

    fn wall_micros(&self) -> i64 {
        0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let world = self.0.clone();
        let at = world.now() + duration.as_millis().max(1) as u64;
        let mut registered = false;
        Box::pin(std::future::poll_fn(move |cx| {
            if world.now() >= at {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut registered, true) {
                world.timers.lock().push((at, cx.waker().clone()));
            }
            Poll::Pending
        }))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.tasks.lock().push(task);
    }

    fn random_u64(&self) -> u64 {
        self.0.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
    }
}

type Answer = Result<ResponseBody, CallError>;

/// What a scripted node does: answer after so many milliseconds, or never.
type Script = Box<dyn FnMut(u64, NodeId, &RequestBody) -> Option<(u64, Answer)> + Send>;

struct Nodes {
    runtime: TestRuntime,
    script: Mutex<Script>,
    /// When, to whom, what.
    calls: Mutex<Vec<(u64, NodeId, RequestBody)>>,
}

impl NodeClient for Nodes {
    fn call(&self, node: NodeId, body: RequestBody, timeout: Duration) -> BoxFuture<'_, Answer> {
        let now = self.runtime.0.now();
        let outcome = (self.script.lock())(now, node, &body);
        self.calls.lock().push((now, node, body));
        Box::pin(async move {
            match outcome {
                Some((delay, answer)) if Duration::from_millis(delay) <= timeout => {
                    if delay > 0 {
                        self.runtime.sleep(Duration::from_millis(delay)).await;
                    }
                    answer
                }
                _ => {
                    self.runtime.sleep(timeout).await;
                    Err(CallError::Lost("silence".into()))
                }
            }
        })
    }
}

struct Bench {
    world: Arc<World>,
    nodes: Arc<Nodes>,
    router: Router,
}

fn bench(script: impl FnMut(u64, NodeId, &RequestBody) -> Option<(u64, Answer)> + Send + 'static) -> Bench {
    let world = Arc::new(World::default());
    let nodes = Arc::new(Nodes {
        runtime: TestRuntime(world.clone()),
        script: Mutex::new(Box::new(script)),
        calls: Mutex::default(),
    });
    let addresses = (1..=3).map(|id| (NodeId(id), format!("node{id}"))).collect::<BTreeMap<_, _>>();
    let runtime = Arc::new(TestRuntime(world.clone()));
    let router = Router::new(nodes.clone(), runtime, RouterOptions::new(addresses));
    Bench { world, nodes, router }
}

impl Bench {
    fn asked(&self) -> Vec<(u64, u64)> {
        self.nodes.calls.lock().iter().map(|(at, node, _)| (*at, node.0)).collect()
    }

    fn counts(&self) -> Vec<u32> {
        let calls = self.nodes.calls.lock();
        let counts = calls.iter().filter_map(|(_, _, body)| match body {
            RequestBody::Stamp { count } => Some(*count),
            _ => None,
        });
        counts.collect()
    }
}

fn deadline(ms: u64) -> Monotonic {
    Monotonic(0) + Duration::from_millis(ms)
}

fn descriptor(id: u64, epoch: u64, start: &str, end: &str) -> Descriptor {
    let span = Span::new(Bytes::copy_from_slice(start.as_bytes()), Bytes::copy_from_slice(end.as_bytes()));
    Descriptor { id: RangeId(id), epoch, span, replicas: vec![NodeId(1), NodeId(2), NodeId(3)] }
}

fn not_leader(hint: Option<u64>) -> Answer {
    Ok(ResponseBody::NotLeader { hint: hint.map(NodeId), maybe_applied: false })
}

fn evaluated() -> Answer {
    Ok(ResponseBody::Evaluated { reply: Bytes::from_static(b"reply"), replicated: true })
}

fn route() -> crate::Route {
    crate::Route { descriptor: descriptor(2, 1, "", ""), leader: None }
}

fn stamp(at: u64) -> Answer {
    Ok(ResponseBody::Stamp(Stamp { timestamp: Timestamp(at), fence: 0, fence_open: false }))
}

#[test]
fn follows_the_hint_and_remembers_the_leader() {
    let bench = bench(|_, node, _| Some((1, if node == NodeId(3) { evaluated() } else { not_leader(Some(3)) })));
    for _ in 0..2 {
        let result = bench.world.block_on(bench.router.evaluate(&route(), Bytes::new(), deadline(1000)));
        assert_eq!(result.expect("evaluated").reply, "reply");
    }
    assert_eq!(bench.asked().iter().map(|(_, node)| *node).collect::<Vec<_>>(), [1, 3, 3]);
}

#[test]
fn waits_for_an_election_with_pauses() {
    // Node 1 is dead; the others point at it until node 2 is elected after a second.
    let bench = bench(|now, node, _| match node.0 {
        1 => Some((0, Err(CallError::Unsent("refused".into())))),
        2 if now >= 1000 => Some((1, evaluated())),
        _ if now >= 1000 => Some((1, not_leader(Some(2)))),
        _ => Some((1, not_leader(Some(1)))),
    });
    let result = bench.world.block_on(bench.router.evaluate(&route(), Bytes::new(), deadline(5000)));
    assert!(result.is_ok());
    assert!((1000..1200).contains(&bench.world.now()), "found late: {} ms", bench.world.now());
    assert!(bench.asked().len() < 100, "{} attempts", bench.asked().len());
}

#[test]
fn a_hung_node_does_not_stop_anybody() {
    let bench = bench(|_, node, _| match node.0 {
        1 => None,
        2 => Some((1, evaluated())),
        _ => Some((1, not_leader(Some(2)))),
    });
    let result = bench.world.block_on(bench.router.evaluate(&route(), Bytes::new(), deadline(5000)));
    assert!(result.is_ok());
    assert!(bench.world.now() < 500, "{} ms", bench.world.now());
}

#[test]
fn a_slow_answer_is_not_given_up() {
    // The leader waits for a lock; the others know that it leads.
    let bench = bench(|_, node, _| match node.0 {
        1 => Some((3000, evaluated())),
        _ => Some((1, not_leader(Some(1)))),
    });
    let result = bench.world.block_on(bench.router.evaluate(&route(), Bytes::new(), deadline(5000)));
    assert!(result.is_ok());
    assert!(bench.world.now() < 3010, "the first copy was given up: {} ms", bench.world.now());
    let asked = bench.asked();
    assert!(asked.iter().filter(|(_, node)| *node == 1).count() <= 2, "{asked:?}");
    assert!(asked.len() <= 12, "{asked:?}");
}

#[test]
fn a_swallowed_request_is_sent_again() {
    let mut swallowed = false;
    let bench = bench(move |_, node, _| match node.0 {
        1 if !std::mem::replace(&mut swallowed, true) => None,
        1 => Some((1, evaluated())),
        _ => Some((1, not_leader(Some(1)))),
    });
    let result = bench.world.block_on(bench.router.evaluate(&route(), Bytes::new(), deadline(10_000)));
    assert!(result.is_ok());
    assert!((2000..2900).contains(&bench.world.now()), "{} ms", bench.world.now());
}

#[test]
fn says_whether_a_command_may_have_been_applied() {
    let unsent = bench(|_, _, _| Some((0, Err(CallError::Unsent("refused".into())))));
    let result = unsent.world.block_on(unsent.router.evaluate(&route(), Bytes::new(), deadline(300)));
    assert!(matches!(result, Err(Error::Unavailable { maybe_applied: false, .. })), "{result:?}");
    let lost = bench(|_, node, _| match node.0 {
        1 => Some((5, Err(CallError::Lost("reset".into())))),
        _ => Some((1, not_leader(None))),
    });
    let result = lost.world.block_on(lost.router.evaluate(&route(), Bytes::new(), deadline(300)));
    assert!(matches!(result, Err(Error::Unavailable { maybe_applied: true, .. })), "{result:?}");
    let silent = bench(|_, _, _| None);
    let result = silent.world.block_on(silent.router.evaluate(&route(), Bytes::new(), deadline(300)));
    assert!(matches!(result, Err(Error::Unavailable { maybe_applied: true, .. })), "{result:?}");
    assert!(silent.world.now() <= 301);
}

#[test]
fn a_definite_answer_ends_the_doubt() {
    let bench = bench(|_, node, _| match node.0 {
        1 => Some((5, Err(CallError::Lost("reset".into())))),
        _ => Some((1, evaluated())),
    });
    assert!(bench.world.block_on(bench.router.evaluate(&route(), Bytes::new(), deadline(300))).is_ok());
}

#[test]
fn locates_heals_and_splits() {
    let mut split = false;
    let bench = bench(move |_, _, body| {
        let (left, right) = (descriptor(2, 2, "", "m"), descriptor(9, 2, "m", ""));
        Some((
            1,
            Ok(match body {
                // The map does not know of the split before it is told.
                RequestBody::Lookup { .. } if !split => {
                    ResponseBody::Descriptors(vec![(descriptor(2, 1, "", ""), Some(NodeId(2)))])
                }
                RequestBody::Lookup { .. } => {
                    ResponseBody::Descriptors(vec![(left, Some(NodeId(2))), (right, Some(NodeId(3)))])
                }
                RequestBody::Evaluate { epoch: 1, .. } => {
                    split = true;
                    ResponseBody::RangeChanged(vec![left, right])
                }
                RequestBody::Evaluate { .. } => return Some((1, evaluated())),
                RequestBody::Split { .. } => ResponseBody::Done,
                _ => return None,
            }),
        ))
    });
    let (world, router) = (&bench.world, &bench.router);
    let route = world.block_on(router.locate(b"z", deadline(1000))).expect("located");
    assert_eq!((route.descriptor.epoch, route.leader), (1, Some(NodeId(2))));
    let result = world.block_on(router.evaluate(&route, Bytes::new(), deadline(1000)));
    assert!(matches!(result, Err(Error::RangeChanged(ref now)) if now.len() == 2), "{result:?}");
    let lookups = bench.asked().len();
    let route = world.block_on(router.locate(b"z", deadline(1000))).expect("located");
    assert_eq!(route.descriptor.id, RangeId(9));
    assert_eq!(bench.asked().len(), lookups, "the answer has healed the cache");
    assert!(world.block_on(router.evaluate(&route, Bytes::new(), deadline(1000))).is_ok());
    assert!(world.block_on(router.split(b"m", deadline(1000))).is_ok());
    assert!(world.block_on(router.split(b"q", deadline(1000))).is_ok());
    let splits =
        bench.nodes.calls.lock().iter().filter(|(_, _, body)| matches!(body, RequestBody::Split { .. })).count();
    assert_eq!(splits, 1, "m begins a range already");
}

#[test]
fn an_old_descriptor_does_not_displace_newer_ones() {
    let mut cache = super::RangeCache::new(3);
    cache.insert(descriptor(2, 5, "a", "f"));
    cache.insert(descriptor(3, 5, "f", "m"));
    cache.insert(descriptor(2, 4, "a", "m"));
    assert_eq!(cache.route(b"g").map(|route| route.descriptor.id), Some(RangeId(3)));
    cache.insert(descriptor(2, 6, "a", "m"));
    assert_eq!(cache.route(b"g").map(|route| route.descriptor.id), Some(RangeId(2)));
    assert_eq!(cache.route(b"m"), None);
    for id in 10..20 {
        let start = format!("x{id}");
        cache.insert(descriptor(id, 1, &start, &format!("{start}!")));
    }
    let cached = (10..20).filter(|id| cache.route(format!("x{id}").as_bytes()).is_some()).count();
    assert!(cached <= 3, "{cached} in a cache of 3");
    assert!(cache.route(b"x19").is_some());
}

#[test]
fn concurrent_stamps_share_a_request_that_was_sent_after_they_began() {
    let mut next = 100;
    let bench = bench(move |_, _, body| {
        let RequestBody::Stamp { count } = body else { return None };
        let first = next;
        next += u64::from(*count);
        Some((10, stamp(first)))
    });
    let started = &bench.nodes;
    let results = bench.world.block_on(join_all((0..10).map(|i| {
        let router = &bench.router;
        async move {
            // Five at once; five more while the first request is in flight.
            TestRuntime(started.runtime.0.clone()).sleep(Duration::from_millis(if i < 5 { 1 } else { 5 })).await;
            let before = started.calls.lock().len();
            let stamp = router.stamp(deadline(1000)).await.expect("stamp").timestamp;
            (i, before, stamp)
        }
    })));
    assert_eq!(bench.counts(), [1, 9], "the first alone; all who came meanwhile together");
    let mut stamps: Vec<_> = results.iter().map(|(_, _, stamp)| *stamp).collect();
    stamps.sort_unstable();
    stamps.dedup();
    assert_eq!(stamps.len(), 10, "every caller has a timestamp of its own");
    // Whoever began when the first request was out has a timestamp of the second.
    assert!(results.iter().filter(|(_, before, _)| *before > 0).all(|(_, _, stamp)| *stamp > Timestamp(100)));
}

#[test]
fn a_caller_that_goes_away_does_not_stop_the_others() {
    let bench = bench(|_, _, body| matches!(body, RequestBody::Stamp { .. }).then(|| (20, stamp(7))));
    let runtime = TestRuntime(bench.world.clone());
    bench.world.block_on(async {
        // The first one serves; it is dropped in the middle.
        let first = base::runtime::timeout_at(&runtime, deadline(5), bench.router.stamp(deadline(1000)));
        let second = bench.router.stamp(deadline(1000));
        let (first, second) = futures::future::join(first, second).await;
        assert!(first.is_none());
        assert_eq!(second.expect("stamp").timestamp, Timestamp(7));
    });
    assert!(bench.world.now() < 100);
}

#[test]
fn stamps_end_at_the_deadline() {
    let bench = bench(|_, _, _| Some((1, not_leader(None))));
    let results = bench.world.block_on(join_all((1..4).map(|i| bench.router.stamp(deadline(100 * i)))));
    assert!(results.iter().all(|result| matches!(result, Err(Error::Unavailable { .. }))));
    assert!((300..320).contains(&bench.world.now()), "{} ms", bench.world.now());
}

#[test]
fn views_leave_out_what_does_not_answer() {
    let bench = bench(|_, node, body| match (node.0, body) {
        (2, _) => None,
        (_, RequestBody::NodeStatus) => Some((
            1,
            Ok(ResponseBody::Node(crate::NodeStatus {
                live: true,
                ranges: 1,
                leaders: 1,
                ..crate::NodeStatus::silent(node, "there".into())
            })),
        )),
        (1, RequestBody::LocalRanges) => Some((
            1,
            Ok(ResponseBody::Ranges(vec![crate::RangeStatus {
                descriptor: descriptor(5, 3, "m", ""),
                leader: Some(node),
                term: 4,
                size_bytes: 1,
                applied_index: 1,
                followers: vec![],
                heat: vec![],
            }])),
        )),
        (3, RequestBody::LocalRanges) => Some((1, Ok(ResponseBody::Ranges(vec![])))),
        (_, RequestBody::Lookup { .. }) => {
            let known = vec![(descriptor(2, 3, "", "m"), None), (descriptor(5, 3, "m", ""), None)];
            Some((1, Ok(ResponseBody::Descriptors(known))))
        }
        _ => None,
    });
    let nodes = bench.world.block_on(bench.router.nodes(deadline(10_000))).expect("nodes");
    assert_eq!(nodes.iter().map(|node| node.live).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(nodes[1].address, "node2");
    let ranges = bench.world.block_on(bench.router.ranges(deadline(20_000))).expect("ranges");
    let seen: Vec<_> = ranges.iter().map(|range| (range.descriptor.id, range.leader)).collect();
    assert_eq!(seen, [(RangeId(2), None), (RangeId(5), Some(NodeId(1)))]);
}
