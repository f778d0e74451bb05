//! The processes of a simulated cluster: nodes, gateways, and how they die and come back.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{NodeId, Rng};
use sql::Database;
use storage::{
    router::{Router, RouterOptions},
    store,
};
use txn::TxnClient;

use super::{
    executor::{Owner, SimRuntime, WORLD},
    gateways::{Gateway, Gateways, Slot},
    network::{Endpoint, Network},
    node::{ClockError, SimNode},
    planted::Planted,
    trace::Trace,
    world::World,
};

pub const NODES: u64 = 3;
pub const GATEWAYS: u32 = 3;

/// How far leaders close timestamps behind the oracle: as always, or so soon that many transactions meet it.
const CLOSE_AFTER: [Duration; 2] = [Duration::from_secs(3), Duration::from_millis(500)];

pub struct ClusterOptions {
    pub planted: Option<Planted>,
    pub keep_trace: bool,
}

pub struct Cluster {
    pub world: World,
    pub slots: Vec<Slot>,
    /// The clients' own time.
    pub clock: Arc<SimRuntime>,
    planted: Option<Planted>,
    close_after: Duration,
    rng: Rng,
    /// Every life of a gateway has its own owner.
    next_owner: u64,
    owners: Vec<Owner>,
}

impl Cluster {
    /// Starts all processes; elections follow in simulated time.
    pub fn start(options: &ClusterOptions, rng: &mut Rng) -> Cluster {
        let ids: Vec<NodeId> = (1..=NODES).map(NodeId).collect();
        let close_after = CLOSE_AFTER[rng.below(2) as usize];
        let node = |id: &NodeId| node(*id, &ids, options.planted, close_after, rng);
        let nodes = ids.iter().map(node).collect();
        let tick = store::Options::new(ids[0], ids.clone()).tick;
        let mut world = World::new(nodes, tick, Network::new(rng.split()), Trace::new(options.keep_trace));
        for id in &ids {
            world.start_node(*id);
        }
        let clock = world.runtime(WORLD, rng.split());
        let mut cluster = Cluster {
            world,
            slots: (0..GATEWAYS).map(|_| Slot::default()).collect(),
            clock,
            planted: options.planted,
            close_after,
            rng: rng.split(),
            next_owner: 1,
            owners: vec![WORLD; GATEWAYS as usize],
        };
        for gateway in 0..GATEWAYS {
            cluster.start_gateway(gateway);
        }
        cluster
    }

    pub fn start_gateway(&mut self, gateway: u32) {
        let owner = Owner(self.next_owner);
        self.next_owner += 1;
        self.owners[gateway as usize] = owner;
        let runtime = self.world.runtime(owner, self.rng.split());
        let addresses: BTreeMap<NodeId, String> = (1..=NODES).map(|id| (NodeId(id), format!("n{id}"))).collect();
        let client = Arc::new(self.world.client(gateway, runtime.clone()));
        let router = Router::new(client, runtime.clone(), RouterOptions::new(addresses));
        let faults = Planted::in_coordinators(self.planted);
        let follower_reads_after = self.close_after + Duration::from_millis(1500);
        let options = txn::client::Options { faults, follower_reads_after, ..txn::client::Options::default() };
        let client = TxnClient::new(Arc::new(router), runtime.clone(), options);
        let faults = Planted::in_sessions(self.planted);
        let options = sql::session::Options { garbage_interval: None, faults, ..Default::default() };
        let database = Database::new(client.clone(), options);
        *self.slots[gateway as usize].lock() = Some(Gateway { database, client, runtime });
    }

    pub fn kill_gateway(&mut self, gateway: u32) {
        let now = self.world.now();
        self.world.trace.line(now, format_args!("g{gateway} is killed"));
        *self.slots[gateway as usize].lock() = None;
        self.world.executor.kill(self.owners[gateway as usize]);
    }

    /// Ends every fault: processes run, links work, disks are quick.
    pub fn heal(&mut self) {
        self.world.network.heal();
        let ids: Vec<NodeId> = self.world.nodes.keys().copied().collect();
        for id in ids {
            self.world.resume_node(id);
            if !self.world.nodes[&id].is_up() {
                self.world.start_node(id);
            }
            if let Some(node) = self.world.nodes.get_mut(&id) {
                node.slow_disk = Duration::ZERO;
            }
        }
        for gateway in 0..GATEWAYS {
            if self.slots[gateway as usize].lock().is_none() {
                self.start_gateway(gateway);
            }
        }
        let now = self.world.now();
        self.world.trace.line(now, format_args!("everything heals"));
    }

    pub fn gateways(&self) -> Gateways {
        Gateways { slots: self.slots.clone(), clock: self.clock.clone() }
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        let nodes = self.world.nodes.keys().map(|id| Endpoint::Node(*id));
        nodes.chain((0..GATEWAYS).map(Endpoint::Gateway)).collect()
    }
}

fn node(id: NodeId, ids: &[NodeId], planted: Option<Planted>, close_after: Duration, rng: &mut Rng) -> SimNode {
    let mut options = store::Options::new(id, ids.to_vec());
    options.close_after = Some(close_after);
    // Small limits, so that splits, truncation and snapshots happen within a run.
    options.split_bytes = 256 << 10;
    options.log_bytes_max = 32 << 10;
    options.snapshot_chunk_bytes = 1 << 10;
    options.faults = Planted::in_storage(planted);
    let pushdown: Arc<dyn txn::Pushdown> = Arc::new(sql::pushdown::Compiler);
    let faults = Planted::on_leaders(planted);
    let server = txn::server::Options { faults, ..txn::server::Options::default() };
    let factory = txn::server::evaluate_factory(pushdown, server);
    let clock = ClockError {
        offset: Duration::from_secs(rng.below(1000)),
        drift_ppm: rng.between(0, 10_000) as i64 - 5_000,
        wall_offset_ms: rng.between(0, 20_000) as i64 - 10_000,
    };
    SimNode::new(options, factory, clock, rng.split())
}
