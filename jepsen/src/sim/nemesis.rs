//! Carries out a fault schedule on the simulated cluster.

use std::{sync::Arc, time::Duration};

use base::{Monotonic, NodeId, Rng, Runtime};

use super::{
    cluster::{Cluster, GATEWAYS, NODES},
    network::{Endpoint, Weather},
    world::PAUSE,
};
use crate::{
    nemesis::{Fault, Schedule},
    workload::{Client, Parameters, Workload},
};

/// The end of a fault, or its second act.
#[derive(Clone, Copy, Debug)]
enum Repair {
    /// The lights go out.
    PowerLoss,
    Restart(NodeId),
    RestartGateway(u32),
    Resume(NodeId),
    FastDisk(NodeId),
    /// Links and weather.
    Network,
}

/// Faults and their repairs, in order of time.
pub struct Nemesis {
    faults: Vec<(Duration, Fault)>,
    repairs: Vec<(Monotonic, Repair)>,
    workload: Arc<dyn Workload>,
    rng: Rng,
}

impl Nemesis {
    pub fn new(schedule: &Schedule, workload: Arc<dyn Workload>, rng: Rng) -> Nemesis {
        Nemesis { faults: schedule.faults.clone(), repairs: Vec::new(), workload, rng }
    }

    /// Lets the workload run for `length` under the schedule.
    pub fn unleash(mut self, cluster: &mut Cluster, length: Duration) {
        let begin = cluster.world.now();
        let mut faults = std::mem::take(&mut self.faults).into_iter().peekable();
        loop {
            let fault_at = faults.peek().map(|(at, _)| begin + *at);
            let repair_at = self.repairs.iter().map(|(at, _)| *at).min();
            let next = [fault_at, repair_at].into_iter().flatten().min().unwrap_or(begin + length);
            let next = next.min(begin + length);
            cluster.world.run_until(next, || false);
            if next == begin + length || !cluster.world.fatal.is_empty() {
                return;
            }
            self.repair_due(cluster);
            if fault_at.is_some_and(|at| at <= next)
                && let Some((_, fault)) = faults.next()
            {
                self.strike(cluster, fault);
            }
        }
    }

    fn repair_due(&mut self, cluster: &mut Cluster) {
        let now = cluster.world.now();
        let (due, later): (Vec<_>, Vec<_>) = self.repairs.drain(..).partition(|(at, _)| *at <= now);
        self.repairs = later;
        for (_, repair) in due {
            match repair {
                Repair::PowerLoss => {
                    for id in (1..=NODES).map(NodeId) {
                        cluster.world.crash_node(id);
                        self.repair_after(now, 100, 1500, Repair::Restart(id));
                        self.repairs.push((now, Repair::FastDisk(id)));
                    }
                }
                Repair::Restart(node) if !cluster.world.nodes[&node].is_up() => cluster.world.start_node(node),
                Repair::Restart(_) => {}
                Repair::RestartGateway(gateway) => cluster.start_gateway(gateway),
                Repair::Resume(node) => cluster.world.resume_node(node),
                Repair::FastDisk(node) => {
                    if let Some(node) = cluster.world.nodes.get_mut(&node) {
                        node.slow_disk = Duration::ZERO;
                    }
                }
                Repair::Network => cluster.world.network.heal(),
            }
        }
    }

    fn strike(&mut self, cluster: &mut Cluster, fault: Fault) {
        let now = cluster.world.now();
        cluster.world.trace.line(now, format_args!("fault: {fault:?}"));
        let node = NodeId(self.rng.between(1, NODES));
        let gateway = self.rng.below(u64::from(GATEWAYS)) as u32;
        match fault {
            Fault::Crash => {
                cluster.world.crash_node(node);
                self.repair_after(now, 100, 4000, Repair::Restart(node));
            }
            Fault::CrashAll => {
                for node in cluster.world.nodes.values_mut() {
                    node.slow_disk = Duration::from_millis(self.rng.between(20, 200));
                }
                self.repair_after(now, 50, 300, Repair::PowerLoss);
            }
            Fault::IsolateNode | Fault::IsolatePeers => {
                let peers_only = fault == Fault::IsolatePeers;
                let far: Vec<Endpoint> = cluster
                    .endpoints()
                    .into_iter()
                    .filter(|end| *end != Endpoint::Node(node) && (!peers_only || matches!(end, Endpoint::Node(_))))
                    .collect();
                cluster.world.network.partition(&[Endpoint::Node(node)], &far);
                self.repair_after(now, 500, 6000, Repair::Network);
            }
            Fault::Halves => {
                let mut ends = cluster.endpoints();
                self.rng.shuffle(&mut ends);
                let (left, right) = ends.split_at(ends.len() / 2);
                cluster.world.network.partition(left, right);
                self.repair_after(now, 500, 6000, Repair::Network);
            }
            Fault::OneWay => {
                let ends = cluster.endpoints();
                if let Some(from) = self.rng.pick(&ends) {
                    cluster.world.network.cut(*from, Endpoint::Node(node));
                }
                self.repair_after(now, 500, 5000, Repair::Network);
            }
            Fault::IsolateGateway => {
                cluster.world.network.partition(&[Endpoint::Gateway(gateway)], &[Endpoint::Node(node)]);
                self.repair_after(now, 500, 5000, Repair::Network);
            }
            Fault::Pause => {
                cluster.world.pause_node(node);
                self.repairs.push((now + PAUSE, Repair::Resume(node)));
            }
            Fault::SlowDisk => {
                let slow = Duration::from_millis(self.rng.between(20, 400));
                let all = self.rng.chance(1, 3);
                for node in cluster.world.nodes.values_mut().filter(|other| all || other.id == node) {
                    node.slow_disk = slow;
                    self.repairs.push((now + Duration::from_secs(3), Repair::FastDisk(node.id)));
                }
            }
            Fault::BadWeather => {
                cluster.world.network.weather = self.bad_weather();
                self.repair_after(now, 500, 5000, Repair::Network);
            }
            Fault::ClockJump => self.jump_clock(cluster, node),
            Fault::KillGateway => {
                if cluster.slots[gateway as usize].lock().is_some() {
                    cluster.kill_gateway(gateway);
                    self.repair_after(now, 100, 2000, Repair::RestartGateway(gateway));
                }
            }
            Fault::Split | Fault::TransferLeader => self.move_ranges(cluster, fault, node),
        }
    }

    fn repair_after(&mut self, now: Monotonic, low_ms: u64, high_ms: u64, repair: Repair) {
        self.repairs.push((now + Duration::from_millis(self.rng.between(low_ms, high_ms)), repair));
    }

    fn bad_weather(&mut self) -> Weather {
        Weather {
            delay_min: Duration::from_micros(100),
            delay_max: Duration::from_millis(self.rng.between(1, 60)),
            loss: self.rng.below(1500),
            duplication: self.rng.below(1000),
            reordering: self.rng.below(1500),
        }
    }

    fn jump_clock(&mut self, cluster: &mut Cluster, node: NodeId) {
        let jump_ms = self.rng.between(0, 7_200_000) as i64 - 3_600_000;
        cluster.world.executor.jump_wall(jump_ms * 1000);
        if let Some(node) = cluster.world.nodes.get_mut(&node) {
            node.clock.wall_offset_ms += jump_ms;
        }
    }

    /// Splits the workload's table somewhere, or moves a leader, by request of a gateway. Whether that succeeds does not
    /// matter: the cluster may be in pieces.
    fn move_ranges(&mut self, cluster: &mut Cluster, fault: Fault, node: NodeId) {
        if fault == Fault::Split {
            let Some(statement) = self.workload.split(&mut self.rng) else { return };
            let world = Arc::new(cluster.gateways());
            let mut client = Client::new(world, 0, &Parameters::default(), self.rng.split());
            cluster.world.executor.spawn(Box::pin(async move {
                let _ = client.query(&statement).await;
            }));
            return;
        }
        let up = cluster.slots[0].lock().clone();
        let Some(gateway) = up else { return };
        let draw = self.rng.next_u64();
        let (kv, clock) = (gateway.client.cluster.clone(), gateway.runtime.clone());
        gateway.runtime.spawn(Box::pin(async move {
            let deadline = clock.now() + Duration::from_secs(3);
            let Ok(ranges) = kv.ranges(deadline).await else { return };
            if !ranges.is_empty() {
                let range = ranges[(draw % ranges.len() as u64) as usize].descriptor.id;
                let _ = kv.transfer_leader(range, node, deadline).await;
            }
        }));
    }
}
