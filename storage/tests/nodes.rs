//! Whole nodes in one process: real threads, sockets, files.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::Duration,
};

use base::{NodeId, RangeId, Runtime};
use bytes::Bytes;
use storage::{
    Cluster, Error, EvaluateFactory, FenceOp,
    message::{RequestBody, ResponseBody},
    range::{FIRST_USER_RANGE, SYSTEM_RANGE},
    router::{NodeClient, Router, RouterOptions},
    shell::{Node, NodeOptions, TcpClient, TokioRuntime, Transport, monotonic_now},
};
use tempfile::TempDir;

use crate::world::toy::{Toy, ToyEvaluator, decode_list};

const PATIENCE: Duration = Duration::from_secs(30);

fn factory() -> EvaluateFactory {
    Arc::new(|| Box::<ToyEvaluator>::default())
}

/// Nodes on loopback, each with a directory, and a router over TCP.
struct Nodes {
    dirs: BTreeMap<NodeId, TempDir>,
    addresses: BTreeMap<NodeId, String>,
    running: BTreeMap<NodeId, Node>,
    client: Client,
}

/// What a gateway has.
#[derive(Clone)]
struct Client {
    runtime: Arc<TokioRuntime>,
    router: Router,
}

impl Nodes {
    fn start(count: u64) -> Nodes {
        let listeners: BTreeMap<NodeId, TcpListener> =
            (1..=count).map(|id| (NodeId(id), TcpListener::bind("127.0.0.1:0").expect("bind"))).collect();
        let addresses: BTreeMap<NodeId, String> =
            listeners.iter().map(|(id, listener)| (*id, listener.local_addr().expect("address").to_string())).collect();
        let tokio = tokio::runtime::Handle::current();
        let runtime = Arc::new(TokioRuntime::new(tokio.clone()));
        let connections = Arc::new(TcpClient::new("test", &addresses, &Transport::Plain, &tokio));
        let router = Router::new(connections, runtime.clone(), RouterOptions::new(addresses.clone()));
        let dirs = listeners.keys().map(|id| (*id, TempDir::new().expect("temporary directory"))).collect();
        let client = Client { runtime, router };
        let mut nodes = Nodes { dirs, addresses, running: BTreeMap::new(), client };
        for (id, listener) in listeners {
            let node = Node::start_on(listener, nodes.options(id), factory()).expect("start");
            nodes.running.insert(id, node);
        }
        nodes
    }

    fn options(&self, id: NodeId) -> NodeOptions {
        let listen = self.addresses[&id].parse().expect("address");
        let mut options = NodeOptions::new(id, listen, self.addresses.clone());
        options.cluster = "test".into();
        options.data_dir = Some(self.dirs[&id].path().to_path_buf());
        options.store.tick = Duration::from_millis(25);
        options.store.election_ticks = 16;
        options.store.heartbeat_ticks = 3;
        options.store.lease = Duration::from_millis(300);
        options.rocks.block_cache_bytes = 8 << 20;
        options.log.segment_bytes = 1 << 20;
        options
    }

    /// As `kill -9` would end it, but for what RocksDB writes when it is closed.
    fn kill(&mut self, id: NodeId) {
        drop(self.running.remove(&id).expect("it runs"));
    }

    /// Starts a node again on its directory, as soon as its port is free.
    async fn restart(&mut self, id: NodeId) {
        let deadline = monotonic_now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(&self.addresses[&id]) {
                Ok(listener) => break listener,
                Err(error) => assert!(monotonic_now() < deadline, "{error}"),
            }
            self.client.runtime.sleep(Duration::from_millis(5)).await;
        };
        let node = Node::start_on(listener, self.options(id), factory()).expect("start");
        self.running.insert(id, node);
    }
}

impl Client {
    async fn run(&self, command: Toy) -> Vec<u64> {
        let deadline = monotonic_now() + PATIENCE;
        loop {
            let route = self.router.locate(command.key(), deadline).await.expect("located");
            match self.router.evaluate(&route, command.encode(), deadline).await {
                Ok(evaluated) => return decode_list(&evaluated.reply),
                Err(Error::RangeChanged(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Appends an item and checks that the answer has it.
    async fn append(&self, key: &str, item: u64) {
        let list = self.run(Toy::Append { key: user_key(key), item }).await;
        assert!(list.contains(&item));
    }

    async fn get(&self, key: &str) -> BTreeSet<u64> {
        self.run(Toy::Get { key: user_key(key) }).await.into_iter().collect()
    }

    /// The leader of a range, once it has one that answers.
    async fn leader(&self, range: RangeId) -> NodeId {
        let deadline = monotonic_now() + PATIENCE;
        loop {
            let ranges = self.router.ranges(deadline).await.expect("ranges");
            if let Some(leader) =
                ranges.iter().find(|status| status.descriptor.id == range).and_then(|status| status.leader)
            {
                return leader;
            }
            assert!(monotonic_now() < deadline, "{range} has no leader");
            self.runtime.sleep(Duration::from_millis(20)).await;
        }
    }
}

fn user_key(key: &str) -> Bytes {
    format!("\x02{key}").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_survives_each_node_and_all_of_them() {
    let mut nodes = Nodes::start(3);
    let mut expected = BTreeSet::new();
    let mut item = 0;
    for victim in (1..=3).map(NodeId) {
        for _ in 0..20 {
            item += 1;
            nodes.client.append("k", item).await;
            expected.insert(item);
        }
        nodes.kill(victim);
        for _ in 0..20 {
            item += 1;
            nodes.client.append("k", item).await;
            expected.insert(item);
        }
        assert_eq!(nodes.client.get("k").await, expected, "while {victim} is down");
        nodes.restart(victim).await;
    }
    for id in (1..=3).map(NodeId) {
        nodes.kill(id);
    }
    for id in (1..=3).map(NodeId) {
        nodes.restart(id).await;
    }
    assert_eq!(nodes.client.get("k").await, expected, "after all were down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_fails_over_under_load() {
    let mut nodes = Nodes::start(3);
    nodes.client.append("warm", 0).await;
    let victim = nodes.client.leader(FIRST_USER_RANGE).await;
    let (writers, rounds) = (8, 60);
    let half = Arc::new(tokio::sync::Semaphore::new(0));
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (client, half) = (nodes.client.clone(), half.clone());
            tokio::runtime::Handle::current().spawn(async move {
                for round in 0..rounds {
                    client.append(&format!("w{writer}"), round).await;
                    if round == rounds / 2 {
                        half.add_permits(1);
                    }
                }
            })
        })
        .collect();
    // In the middle of the work of the quickest.
    drop(half.acquire().await.expect("never closed"));
    nodes.kill(victim);
    for task in tasks {
        task.await.expect("writer");
    }
    for writer in 0..writers {
        assert_eq!(nodes.client.get(&format!("w{writer}")).await, (0..rounds).collect());
    }
    assert_ne!(nodes.client.leader(FIRST_USER_RANGE).await, victim);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_grow_over_a_failover_of_the_oracle() {
    let mut nodes = Nodes::start(3);
    let mut last = base::Timestamp::ZERO;
    for round in 0..2 {
        let stamps =
            futures::future::join_all((0..100).map(|_| nodes.client.router.stamp(monotonic_now() + PATIENCE))).await;
        let mut stamps: Vec<_> = stamps.into_iter().map(|stamp| stamp.expect("stamp").timestamp).collect();
        stamps.sort_unstable();
        assert!(stamps[0] > last);
        assert!(stamps.windows(2).all(|pair| pair[0] < pair[1]), "a timestamp was handed out twice");
        last = stamps[99];
        if round == 0 {
            let victim = nodes.client.leader(SYSTEM_RANGE).await;
            nodes.kill(victim);
        }
    }
    let fenced = nodes.client.router.fence(FenceOp::Open(7), monotonic_now() + PATIENCE).await.expect("fence");
    assert!(fenced.timestamp > last && fenced.fence_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splits_and_views() {
    let nodes = Nodes::start(3);
    for key in ["a", "m", "z"] {
        nodes.client.append(key, 1).await;
    }
    let deadline = monotonic_now() + PATIENCE;
    nodes.client.router.split(&user_key("m"), deadline).await.expect("split");
    nodes.client.router.split(&user_key("m"), deadline).await.expect("no-op");
    for key in ["a", "m", "z"] {
        nodes.client.append(key, 2).await;
        assert_eq!(nodes.client.get(key).await, [1, 2].into());
    }
    let left = nodes.client.router.locate(&user_key("a"), deadline).await.expect("route");
    let right = nodes.client.router.locate(&user_key("z"), deadline).await.expect("route");
    assert_ne!(left.descriptor.id, right.descriptor.id);
    assert_eq!(right.descriptor.span.start, user_key("m"));
    let ranges = nodes.client.router.ranges(deadline).await.expect("ranges");
    assert_eq!(ranges.len(), 3);
    assert!(ranges.windows(2).all(|pair| pair[0].descriptor.span.end == pair[1].descriptor.span.start));
    let statuses = nodes.client.router.nodes(deadline).await.expect("nodes");
    assert_eq!(
        statuses.iter().map(|status| &status.address).collect::<Vec<_>>(),
        nodes.addresses.values().collect::<Vec<_>>()
    );
    for status in &statuses {
        let counter = |name: &str| status.counters.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
        assert!(status.live && counter("fsyncs") > Some(0), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_in_process() {
    let options = NodeOptions::new(NodeId(1), "127.0.0.1:0".parse().expect("address"), BTreeMap::new());
    let node = Node::start(options, factory()).expect("start");
    let client = Arc::new(node.client());
    let addresses = BTreeMap::from([(NodeId(1), node.local_addr().to_string())]);
    let runtime = Arc::new(TokioRuntime::new(tokio::runtime::Handle::current()));
    let router = Router::new(client.clone(), runtime, RouterOptions::new(addresses));
    let deadline = monotonic_now() + PATIENCE;
    let key = user_key("k");
    let route = router.locate(&key, deadline).await.expect("route");
    let command = Toy::Append { key: key.clone(), item: 5 }.encode();
    assert!(router.evaluate(&route, command, deadline).await.expect("appended").replicated);
    let reply = router.evaluate(&route, Toy::Get { key }.encode(), deadline).await.expect("read");
    assert!(!reply.replicated);
    assert_eq!(decode_list(&reply.reply), [5]);
    // What needs no disk is served before the call returns, unless another thread has the core just then.
    loop {
        let call = client.call(NodeId(1), RequestBody::Stamp { count: 1 }, PATIENCE);
        if matches!(futures::FutureExt::now_or_never(call), Some(Ok(ResponseBody::Stamp(_)))) {
            break;
        }
        assert!(monotonic_now() < deadline, "no call was ever served at once");
        tokio::task::yield_now().await;
    }
    node.shutdown().expect("shutdown");
    let after = client.call(NodeId(1), RequestBody::NodeStatus, PATIENCE).await;
    assert!(after.is_err(), "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_belongs_to_one_node() {
    let dir = TempDir::new().expect("temporary directory");
    let start = |id: u64, cluster: &str, dir: &Path| {
        let mut options = NodeOptions::new(NodeId(id), "127.0.0.1:0".parse().expect("address"), BTreeMap::new());
        options.data_dir = Some(dir.to_path_buf());
        options.cluster = cluster.into();
        Node::start(options, factory())
    };
    start(1, "a", dir.path()).expect("start").shutdown().expect("shutdown");
    assert!(matches!(start(2, "a", dir.path()), Err(Error::Refused(_))));
    assert!(matches!(start(1, "b", dir.path()), Err(Error::Refused(_))));
    start(1, "a", dir.path()).expect("start").shutdown().expect("shutdown");
}
