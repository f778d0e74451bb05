//! A small world for tests of this crate and of those above it: the real evaluator of a range leader over an engine in memory,
//! any number of ranges, virtual time, and a network that delays, loses and repeats. One thread, one seed, no consensus: what
//! replication may do wrong is tested in `storage` and in the simulated world of `jepsen`.
//!
//! ```text
//!  World ── Executor      virtual time; runs every task; kills those of a gateway
//!    ├───── Cell          ranges with their evaluators, oracle, fences, network
//!    └───── Gateway ...   a `storage::Cluster` with its own route cache, and a `Runtime` that dies with it
//! ```

use std::{future::Future, sync::Arc, time::Duration};

use base::{Monotonic, Rng, Timestamp};
use storage::EvaluateFactory;

use crate::{
    client::{Options, TxnClient},
    command::{Pushdown, RowSink},
    server,
};

pub use self::{
    cell::{Cell, Network, Version},
    executor::{Executor, Group, SimRuntime},
    gateway::Gateway,
};

mod cell;
mod executor;
mod gateway;

/// Everything, from one seed.
pub struct World {
    pub executor: Executor,
    pub cell: Arc<Cell>,
    pub rng: Rng,
}

impl World {
    /// With the evaluator of this crate and without a pushdown.
    pub fn real(seed: u64) -> World {
        World::with_server(seed, server::Options::default())
    }

    pub fn with_server(seed: u64, options: server::Options) -> World {
        World::new(seed, server::evaluate_factory(Arc::new(NoPushdown), options))
    }

    /// One range over all user keys, and a network that only delays.
    pub fn new(seed: u64, factory: EvaluateFactory) -> World {
        let mut rng = Rng::new(seed);
        let executor = Executor::new(rng.split());
        let cell = Cell::new(executor.runtime(Group(0)), factory, rng.split());
        World { executor, cell, rng }
    }

    /// A new gateway. What runs on it can be killed with [`World::kill`].
    pub fn gateway(&mut self, options: Options) -> (Group, TxnClient) {
        let group = self.executor.new_group();
        let runtime = Arc::new(self.executor.runtime(group));
        let cluster = Gateway::new(self.cell.clone(), self.executor.runtime(group));
        (group, TxnClient::new(Arc::new(cluster), runtime, options))
    }

    /// The gateway's process is gone: its tasks stop where they are and no new ones start.
    pub fn kill(&mut self, group: Group) {
        self.executor.kill(group);
    }

    /// Runs the world until the future is done.
    pub fn block_on<T: Send + 'static>(&mut self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.executor.block_on(future)
    }

    pub fn run_for(&mut self, duration: Duration) {
        self.executor.run_for(duration);
    }

    pub fn now(&self) -> Monotonic {
        self.executor.now()
    }

    /// A fresh timestamp, without any message.
    pub fn timestamp(&self) -> Timestamp {
        self.cell.next_timestamp()
    }
}

/// Refuses every program.
pub struct NoPushdown;

impl Pushdown for NoPushdown {
    fn compile(&self, _program: &[u8]) -> Result<Box<dyn RowSink>, String> {
        Err("no pushdown here".into())
    }
}
