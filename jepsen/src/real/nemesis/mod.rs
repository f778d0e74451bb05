//! What goes wrong with real processes: each nemesis begins and ends one fault, as often as it is told to.

mod clock;
mod disk;
mod kill;
mod network;
mod storm;

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use anyhow::Result;
use base::{BoxFuture, Rng};

use super::{cluster::Cluster, equipment::Needs};
use crate::workload::Workload;

/// One kind of fault.
pub trait Nemesis: Send {
    /// Brings the fault about; what it hit, for people.
    fn begin<'a>(&'a mut self, cluster: &'a Cluster, rng: &'a mut Rng) -> BoxFuture<'a, Result<String>>;

    /// Takes it back. Called once after each `begin`, also after one that failed half way.
    fn end<'a>(&'a mut self, cluster: &'a Cluster) -> BoxFuture<'a, Result<()>>;

    /// How long the fault lasts.
    fn lasts(&self, rng: &mut Rng) -> Duration {
        Duration::from_millis(rng.between(3000, 9000))
    }

    /// How long to leave the cluster alone before the (next) fault.
    fn pause(&self, rng: &mut Rng) -> Duration {
        Duration::from_millis(rng.between(2000, 5000))
    }
}

/// The nemeses by name. Where [`crate::nemesis::Fault`] has the same fault for the simulated world, the name is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    None,
    KillOne,
    KillLeader,
    KillOracle,
    KillMajority,
    KillAll,
    KillGateway,
    RollingRestart,
    Pause,
    Halves,
    Ring,
    Bridge,
    OneWay,
    IsolateLeader,
    IsolateNode,
    IsolateGateway,
    Flapping,
    Delay,
    Loss,
    Duplicate,
    Reorder,
    ClockJump,
    ClockStrobe,
    SlowDisk,
    FullDisk,
    TransferLeader,
    Split,
}

impl Kind {
    pub const ALL: [Kind; 27] = [
        Kind::None,
        Kind::KillOne,
        Kind::KillLeader,
        Kind::KillOracle,
        Kind::KillMajority,
        Kind::KillAll,
        Kind::KillGateway,
        Kind::RollingRestart,
        Kind::Pause,
        Kind::Halves,
        Kind::Ring,
        Kind::Bridge,
        Kind::OneWay,
        Kind::IsolateLeader,
        Kind::IsolateNode,
        Kind::IsolateGateway,
        Kind::Flapping,
        Kind::Delay,
        Kind::Loss,
        Kind::Duplicate,
        Kind::Reorder,
        Kind::ClockJump,
        Kind::ClockStrobe,
        Kind::SlowDisk,
        Kind::FullDisk,
        Kind::TransferLeader,
        Kind::Split,
    ];

    /// Name, and what it does in one line.
    pub fn about(self) -> (&'static str, &'static str) {
        match self {
            Kind::None => ("none", "no faults"),
            Kind::KillOne => ("kill-one", "kill -9 one process, node or gateway"),
            Kind::KillLeader => ("kill-leader", "kill -9 the node that leads most ranges"),
            Kind::KillOracle => ("kill-oracle", "kill -9 the leader of the system range"),
            Kind::KillMajority => ("kill-majority", "kill -9 more than half of the nodes at once"),
            Kind::KillAll => ("kill-all", "kill -9 every process at once"),
            Kind::KillGateway => ("kill-gateway", "kill -9 one gateway"),
            Kind::RollingRestart => ("rolling-restart", "stop and start one process after the other"),
            Kind::Pause => ("pause", "SIGSTOP one node, mostly a leader, for longer than its lease"),
            Kind::Halves => ("halves", "all processes fall into two halves"),
            Kind::Ring => ("ring", "every process reaches its two neighbours only"),
            Kind::Bridge => ("bridge", "two halves of nodes, and one node that reaches both"),
            Kind::OneWay => ("one-way", "packets are lost in one direction only"),
            Kind::IsolateLeader => ("isolate-leader", "a leader is cut off from the other nodes, not from gateways"),
            Kind::IsolateNode => ("isolate-node", "one node is cut off from everybody"),
            Kind::IsolateGateway => ("isolate-gateway", "a gateway is cut off from some of the nodes"),
            Kind::Flapping => ("flapping", "one node after the other is cut off and let back, several times a second"),
            Kind::Delay => ("delay", "messages take 20 to 200 ms"),
            Kind::Loss => ("loss", "a fifth of all packets is lost"),
            Kind::Duplicate => ("duplicate", "a fifth of all messages arrives twice"),
            Kind::Reorder => ("reorder", "messages overtake each other"),
            Kind::ClockJump => ("clock-jump", "the wall clock of a process jumps by up to a day"),
            Kind::ClockStrobe => ("clock-strobe", "the wall clocks of all processes jump to and fro"),
            Kind::SlowDisk => ("slow-disk", "each sync of one node, or of all, takes up to 500 ms longer"),
            Kind::FullDisk => ("full-disk", "the disk of one node is full"),
            Kind::TransferLeader => ("transfer-leader", "leaders of ranges change ten times a second"),
            Kind::Split => ("split", "ranges of the tables are split again and again"),
        }
    }

    pub fn needs(self) -> Needs {
        let none = Needs::default();
        match self {
            Kind::Halves
            | Kind::Ring
            | Kind::Bridge
            | Kind::OneWay
            | Kind::IsolateLeader
            | Kind::IsolateNode
            | Kind::IsolateGateway
            | Kind::Flapping
            | Kind::Loss => Needs { network: true, ..none },
            Kind::Delay | Kind::Duplicate | Kind::Reorder => Needs { network: true, relays: true, ..none },
            Kind::ClockJump | Kind::ClockStrobe => Needs { clocks: true, ..none },
            Kind::SlowDisk => Needs { slow_disks: true, ..none },
            Kind::FullDisk => Needs { small_disks: true, ..none },
            _ => none,
        }
    }

    /// The nemesis; the workload tells where its tables may be split.
    pub fn create(self, cluster: &Cluster, workload: &Arc<dyn Workload>) -> Option<Box<dyn Nemesis>> {
        Some(match self {
            Kind::None => return None,
            Kind::KillOne
            | Kind::KillLeader
            | Kind::KillOracle
            | Kind::KillMajority
            | Kind::KillAll
            | Kind::KillGateway => Box::new(kill::Kill(self)),
            Kind::RollingRestart => Box::new(kill::RollingRestart),
            Kind::Pause => Box::new(kill::Pause::default()),
            Kind::Halves
            | Kind::Ring
            | Kind::Bridge
            | Kind::OneWay
            | Kind::IsolateLeader
            | Kind::IsolateNode
            | Kind::IsolateGateway
            | Kind::Loss => Box::new(network::Filter::new(self, cluster)),
            Kind::Flapping => Box::new(network::Flapping::new(cluster)),
            Kind::Delay | Kind::Duplicate | Kind::Reorder => Box::new(network::BadWeather(self)),
            Kind::ClockJump => Box::new(clock::Jump::default()),
            Kind::ClockStrobe => Box::new(clock::Strobe),
            Kind::SlowDisk => Box::new(disk::Slow::default()),
            Kind::FullDisk => Box::new(disk::Full::default()),
            Kind::TransferLeader => Box::new(storm::Transfers),
            Kind::Split => Box::new(storm::Splits(workload.clone())),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.about().0)
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Kind, String> {
        Kind::ALL.into_iter().find(|kind| kind.about().0 == name).ok_or_else(|| {
            let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.about().0).collect();
            format!("no nemesis has this name; there are: {}", names.join(", "))
        })
    }
}
