//! Fault schedules: what goes wrong, and when. One seed draws one schedule; everything heals before the end.

use std::{collections::BTreeMap, time::Duration};

use base::Rng;

/// One fault. Nodes and gateways are drawn when it happens, from the schedule's own random stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Power loss of one node, back after a while.
    Crash,
    /// Power loss of all nodes at once, while their disks are busy.
    CrashAll,
    /// One node on one side, the rest on the other.
    IsolateNode,
    /// A node is cut off from the other nodes, while clients still reach it.
    IsolatePeers,
    /// All processes, nodes and gateways, fall into two halves.
    Halves,
    /// One direction of one link.
    OneWay,
    /// A gateway is cut off from some nodes.
    IsolateGateway,
    /// A process stands still for longer than a lease.
    Pause,
    /// The syncs of one node, or of all, take long.
    SlowDisk,
    /// Delay, loss, duplication, reordering.
    BadWeather,
    /// The wall clock of a node jumps; must be harmless.
    ClockJump,
    KillGateway,
    Split,
    TransferLeader,
}

impl Fault {
    pub const ALL: [Fault; 14] = [
        Fault::Crash,
        Fault::CrashAll,
        Fault::IsolateNode,
        Fault::IsolatePeers,
        Fault::Halves,
        Fault::OneWay,
        Fault::IsolateGateway,
        Fault::Pause,
        Fault::SlowDisk,
        Fault::BadWeather,
        Fault::ClockJump,
        Fault::KillGateway,
        Fault::Split,
        Fault::TransferLeader,
    ];
}

/// Faults with the moments of their beginning, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub faults: Vec<(Duration, Fault)>,
}

impl Schedule {
    /// Draws a few kinds of faults and strews them over the run, so that some seeds test one kind hard and others a mixture.
    pub fn draw(rng: &mut Rng, length: Duration, kinds: &[Fault]) -> Schedule {
        let mut kinds = kinds.to_vec();
        rng.shuffle(&mut kinds);
        kinds.truncate(rng.between(1, 4) as usize);
        Schedule::draw_from(rng, length, &kinds)
    }

    /// Strews faults of the given kinds over the run.
    pub fn draw_from(rng: &mut Rng, length: Duration, kinds: &[Fault]) -> Schedule {
        let count = rng.between(3, 12);
        let mut faults: Vec<(Duration, Fault)> = (0..count)
            .map(|_| {
                let at = Duration::from_nanos(rng.below(length.as_nanos() as u64));
                (at, kinds[rng.below(kinds.len() as u64) as usize])
            })
            .collect();
        faults.sort();
        Schedule { faults }
    }

    pub fn count_by_kind(&self) -> BTreeMap<Fault, u64> {
        let mut counts = BTreeMap::new();
        for (_, fault) in &self.faults {
            *counts.entry(*fault).or_default() += 1;
        }
        counts
    }
}
