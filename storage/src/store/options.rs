//! What a node is told when it starts.

use std::time::Duration;

use base::NodeId;

use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub struct Options {
    pub node: NodeId,
    /// The members of the cluster, this node among them: every range has a replica on each. The same on all nodes.
    pub nodes: Vec<NodeId>,
    /// How often `Event::Tick` is sent. Ticks that come faster are not counted.
    pub tick: Duration,
    /// Without a leader's message for so many ticks (up to twice as many) a replica campaigns.
    pub election_ticks: usize,
    pub heartbeat_ticks: usize,
    /// How long a leader may serve reads after a quorum has heard of it. Must be shorter than `election_ticks` by three
    /// ticks: two by which the counting of ticks may be off, one for the drift of clocks.
    pub lease: Duration,
    /// A range greater than this is split in the middle.
    pub split_bytes: u64,
    /// Log entries kept in memory, over all ranges; above it the engine is flushed and the log truncated.
    pub log_bytes_max: u64,
    /// Requests that may wait (for latches or parked by the evaluator) in one range.
    pub parked_max: usize,
    /// Proposals in flight in one range.
    pub proposals_max: usize,
    pub snapshot_chunk_bytes: usize,
    /// Hand leadership to the range's preferred node, so that leaders are spread evenly.
    pub spread_leaders: bool,
    /// So far behind the oracle leaders close timestamps, once a second: whoever commits later than this after its timestamp was
    /// handed out must fetch another, and followers answer reads that are older than this. `None`: followers answer nothing.
    pub close_after: Option<Duration>,
    pub faults: Faults,
}

impl Options {
    pub fn new(node: NodeId, nodes: Vec<NodeId>) -> Options {
        Options {
            node,
            nodes,
            tick: Duration::from_millis(50),
            election_ticks: 20,
            heartbeat_ticks: 4,
            lease: Duration::from_millis(800),
            split_bytes: 96 << 20,
            log_bytes_max: 64 << 20,
            parked_max: 10_000,
            proposals_max: 4096,
            snapshot_chunk_bytes: 512 << 10,
            spread_leaders: true,
            close_after: Some(Duration::from_secs(3)),
            faults: Faults::default(),
        }
    }

    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: &str| Err(Error::Refused(reason.to_owned()));
        let mut distinct = self.nodes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if self.node == NodeId(0) || distinct.first() == Some(&NodeId(0)) {
            return refuse("node ids begin at 1");
        }
        if distinct.len() != self.nodes.len() || !distinct.contains(&self.node) {
            return refuse("the members must be distinct and include this node");
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks + 3 {
            return refuse("the election timeout must be longer than the heartbeat interval by more than three ticks");
        }
        if self.lease > self.tick * (self.election_ticks as u32 - 3) {
            return refuse("the lease must be shorter than the election timeout by three ticks");
        }
        Ok(())
    }

    /// The least time between the last message of a leader and the first vote against it.
    pub fn election_timeout(&self) -> Duration {
        self.tick * self.election_ticks as u32
    }
}

/// Planted bugs, for tests of the simulator and of the history checkers only. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Take the log for durable as soon as it is handed out.
    pub ack_before_fsync: bool,
    /// Answer writes as soon as they are proposed.
    pub ack_before_quorum: bool,
    /// Answer reads when the lease has run out, and never step down for lack of a quorum.
    pub serve_after_lease: bool,
    /// A new oracle begins below the ceiling of the one before.
    pub reuse_timestamps_after_failover: bool,
    /// Apply some batches a second time, later.
    pub apply_twice: bool,
    /// Followers answer reads above the closed timestamp, from whatever they have applied.
    pub stale_follower: bool,
}
