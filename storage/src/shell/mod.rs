//! A node in the real world: threads, sockets, disks and clocks around [`crate::store::Store`].
//!
//! ```ignore
//! // Within a tokio runtime:
//! let node = Node::start(NodeOptions::new(NodeId(1), "127.0.0.1:7501".parse()?, peers), factory)?;
//! // A gateway in the same process (single node):
//! let client: Arc<dyn NodeClient> = Arc::new(node.client());
//! // A gateway elsewhere:
//! let client: Arc<dyn NodeClient> = Arc::new(TcpClient::new("locus", &addresses, &transport, &tokio));
//! let router = Router::new(client, Arc::new(TokioRuntime::new(tokio)), RouterOptions::new(addresses));
//! ```
//!
//! Who does what:
//!
//! | thread or task | does |
//! |---|---|
//! | task per connection | reads frames, steps the core (see [`driver`]), sends what comes out |
//! | caller of a [`NodeHandle`] | the same, without a connection |
//! | worker | ticks; works off what others left |
//! | log | appends and syncs, one fsync for all that has gathered; steps the core with `Persisted` |
//! | flush | flushes the engine in the background; measures in between (see [`gauges`]) |
//!
//! `docs/architecture.md` says why there are so few: waking a thread costs more than a read.

mod client;
mod clients;
mod counters;
mod dial;
mod driver;
mod frame;
mod gauges;
mod identity;
mod link;
mod peers;
mod persist;
mod runtime;
mod server;
mod stream;
mod tls;

#[cfg(test)]
mod shell_test;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use base::{NodeId, Rng};
use tokio::{runtime::Handle, task::AbortHandle};

pub use client::TcpClient;
pub use clients::NodeHandle;
pub use identity::create_private;
pub use runtime::{TokioRuntime, monotonic_now, random_u64, wall_micros};
pub use stream::Transport;
pub use tls::{Credentials, GATEWAY_NAME, PeerTls, Pem, fingerprint, node_name};

use self::{counters::Counters, driver::Driver, gauges::Sampler, peers::Peers, server::Server};
use crate::{
    engine::{
        Engine,
        memory::MemoryEngine,
        rocks::{RocksEngine, RocksOptions},
    },
    error::{Error, Result},
    evaluate::EvaluateFactory,
    log::LogStore,
    store::{Options, Store},
    wal::{FileLog, FileLogOptions, MemoryLog},
};

#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub id: NodeId,
    /// Nodes and gateways of other clusters are refused.
    pub cluster: String,
    pub listen: SocketAddr,
    /// The addresses of the other nodes (this one may be among them).
    pub peers: BTreeMap<NodeId, String>,
    /// How this node and the others, and gateways, speak to each other.
    pub transport: Transport,
    /// Without one everything is kept in memory and lost at the end: for tests.
    pub data_dir: Option<PathBuf>,
    pub store: Options,
    pub rocks: RocksOptions,
    pub log: FileLogOptions,
    /// Requests that wait for the core; further ones are answered `Overloaded`.
    pub requests_max: usize,
}

impl NodeOptions {
    pub fn new(id: NodeId, listen: SocketAddr, peers: BTreeMap<NodeId, String>) -> NodeOptions {
        let mut nodes: Vec<NodeId> = peers.keys().copied().chain([id]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        NodeOptions {
            id,
            cluster: "locus".into(),
            listen,
            peers,
            transport: Transport::Plain,
            data_dir: None,
            store: Options::new(id, nodes),
            rocks: RocksOptions::default(),
            log: FileLogOptions::default(),
            requests_max: 65_536,
        }
    }
}

/// A running node. Dropping it stops it at once, as a crash would but for the threads; [`Node::shutdown`] is the clean end.
pub struct Node {
    id: NodeId,
    address: SocketAddr,
    driver: Arc<Driver>,
    engine: Option<Arc<dyn Engine>>,
    tasks: Vec<AbortHandle>,
    threads: Vec<JoinHandle<()>>,
}

impl Node {
    /// Opens the data, begins to listen, and starts the threads. Must be called within a tokio runtime (of several threads).
    pub fn start(options: NodeOptions, factory: EvaluateFactory) -> Result<Node> {
        let listener = TcpListener::bind(options.listen).map_err(|error| Error::Unavailable {
            reason: format!("cannot listen on {}: {error}", options.listen),
            maybe_applied: false,
        })?;
        Node::start_on(listener, options, factory)
    }

    /// Like [`Node::start`], on a socket that listens already.
    pub fn start_on(listener: TcpListener, options: NodeOptions, factory: EvaluateFactory) -> Result<Node> {
        let tokio = Handle::try_current().map_err(|error| Error::Refused(error.to_string()))?;
        let (listener, address) = adopt(listener, &tokio)?;
        let (engine, mut log) = open_storage(&options)?;
        let loaded = log.load()?;
        let rng = Rng::new(random_u64());
        let store = Store::open(options.store.clone(), engine.clone(), loaded, factory, rng, monotonic_now())?;
        let peers = Peers::new(options.store.nodes.iter().copied().filter(|node| *node != options.id));
        let counters = Arc::new(Counters::default());
        let driver = Arc::new(Driver::new(Box::new(store), peers, options.requests_max, counters));
        *driver.address.lock() = options.peers.get(&options.id).cloned().unwrap_or_else(|| address.to_string());
        let mut node = Node { id: options.id, address, driver, engine: Some(engine), tasks: vec![], threads: vec![] };
        node.start_threads(log, &options)?;
        node.start_tasks(listener, &options, &tokio);
        tracing::info!(node = %node.id, %address, cluster = options.cluster, "node started");
        Ok(node)
    }

    fn start_threads(&mut self, log: Box<dyn LogStore>, options: &NodeOptions) -> Result<()> {
        let tick = options.store.tick;
        let driver = self.driver.clone();
        self.spawn("worker", move || driver.work(tick))?;
        let driver = self.driver.clone();
        self.spawn("log", move || persist::run_log(&driver, log))?;
        if let Some(engine) = self.engine.clone() {
            let driver = self.driver.clone();
            let sampler = Sampler::new(options.data_dir.clone());
            self.spawn("flush", move || persist::run_flush(&driver, engine, sampler))?;
        }
        Ok(())
    }

    fn spawn(&mut self, role: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let name = format!("{}-{role}", self.id);
        let thread = thread::Builder::new().name(name).spawn(run);
        self.threads.push(thread.map_err(|error| Error::Overloaded(format!("cannot start a thread: {error}")))?);
        Ok(())
    }

    fn start_tasks(&mut self, listener: tokio::net::TcpListener, options: &NodeOptions, tokio: &Handle) {
        let members = options.store.nodes.iter().copied().collect();
        let (cluster, transport) = (options.cluster.clone(), options.transport.clone());
        let server = Server::new(self.id, cluster, members, transport, self.driver.clone(), tokio.clone());
        let server = Arc::new(server);
        self.tasks.push(tokio.spawn(server.run(listener)).abort_handle());
        self.tasks.extend(self.driver.peers.dial(self.id, &options.cluster, &options.peers, &options.transport, tokio));
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where the node listens; the port is the real one when `listen` had port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// A way to call this node from the same process.
    pub fn client(&self) -> NodeHandle {
        NodeHandle::new(self.id, &self.driver)
    }

    /// Stops, and makes the engine's state durable so that the next start has nothing to replay. Blocks.
    pub fn shutdown(mut self) -> Result<()> {
        self.stop();
        let flushed = self.engine.take().map_or(Ok(()), |engine| engine.flush());
        self.driver.drop_machine();
        tracing::info!(node = %self.id, "node stopped");
        flushed
    }

    fn stop(&mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        self.driver.stop_threads();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
        self.driver.drop_machine();
    }
}

fn adopt(listener: TcpListener, tokio: &Handle) -> Result<(tokio::net::TcpListener, SocketAddr)> {
    let _context = tokio.enter();
    let adopt = || {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((tokio::net::TcpListener::from_std(listener)?, address))
    };
    adopt().map_err(|error: std::io::Error| Error::Refused(format!("cannot listen: {error}")))
}

fn open_storage(options: &NodeOptions) -> Result<(Arc<dyn Engine>, Box<dyn LogStore>)> {
    let Some(dir) = &options.data_dir else {
        return Ok((Arc::new(MemoryEngine::new()), Box::new(MemoryLog::default())));
    };
    identity::check(dir, &options.cluster, options.id)?;
    let engine = RocksEngine::open(&dir.join("engine"), &options.rocks)?;
    let log = FileLog::open(&dir.join("log"), options.log.clone())?;
    Ok((Arc::new(engine), Box::new(log)))
}
