//! The cluster as the layer above sees it: timestamps, routes, and commands sent to the leader of a range. Implemented by
//! [`crate::router`] over any transport (function calls in one process, TCP, the simulated network).

use base::{BoxFuture, Monotonic, NodeId, RangeId, Timestamp};
use bytes::Bytes;

use crate::{error::Result, range::Descriptor};
pub use crate::{
    range::heat::{BUCKET_MS, Heat},
    store::events::{EventKind, NodeEvent},
};

/// A timestamp, and the state of the fences at the moment it was allocated.
///
/// A *fence* is a replicated marker next to the oracle, ordered with the timestamps. The SQL layer uses it to know whether
/// a cached catalog is still true: `fence` changes whenever a fence is opened or closed and never returns to an earlier
/// value; while `fence_open`, somebody is changing what others may have cached, so caching is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    pub timestamp: Timestamp,
    pub fence: u64,
    pub fence_open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum FenceOp {
    /// Opens the fence with this id (random, chosen by the caller). Idempotent.
    Open(u128),
    /// Closes it. Idempotent.
    Close(u128),
    /// Closes every fence that was opened before this timestamp: their owners are gone.
    CloseOlderThan(Timestamp),
}

/// A cached belief about a range. Wrong beliefs cost a retry, never a wrong answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub descriptor: Descriptor,
    pub leader: Option<NodeId>,
}

/// What came back from a leader.
#[derive(Clone, Debug)]
pub struct Evaluated {
    pub reply: Bytes,
    /// Whether the command went through consensus (one Raft round) before it was answered.
    pub replicated: bool,
}

/// One range as its leader reports it, for system views and tests.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct RangeStatus {
    pub descriptor: Descriptor,
    pub leader: Option<NodeId>,
    pub term: u64,
    pub size_bytes: u64,
    pub applied_index: u64,
    /// What each other replica is known to have of the log.
    pub followers: Vec<Follower>,
    /// How busy the leader was, the oldest bucket first; only buckets in which there was something.
    pub heat: Vec<Heat>,
}

/// Another replica, as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Follower {
    pub node: NodeId,
    pub matched_index: u64,
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct NodeStatus {
    pub id: NodeId,
    pub address: String,
    pub live: bool,
    pub ranges: u64,
    pub leaders: u64,
    /// What has happened since the start, by name.
    pub counters: Vec<(String, u64)>,
    /// What was measured lately, by name: sizes, memory, processor, disk, network.
    pub gauges: Vec<(String, u64)>,
    pub replicas: Vec<ReplicaView>,
    pub peers: Vec<PeerView>,
    /// The latest events, the oldest first.
    pub events: Vec<NodeEvent>,
}

impl NodeStatus {
    /// Of a node that does not answer.
    pub fn silent(id: NodeId, address: String) -> NodeStatus {
        NodeStatus {
            id,
            address,
            live: false,
            ranges: 0,
            leaders: 0,
            counters: Vec::new(),
            gauges: Vec::new(),
            replicas: Vec::new(),
            peers: Vec::new(),
            events: Vec::new(),
        }
    }

    /// What was measured under this name.
    pub fn gauge(&self, name: &str) -> Option<u64> {
        self.gauges.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// One replica on a node. At most [`REPLICA_VIEWS_MAX`] of them are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReplicaView {
    pub range: RangeId,
    pub leads: bool,
    pub term: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    /// Entries and bytes of the log that are kept for this replica.
    pub log_entries: u64,
    pub log_bytes: u64,
}

pub const REPLICA_VIEWS_MAX: usize = 20_000;

/// Another node, as one node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PeerView {
    pub node: NodeId,
    /// Heard of lately.
    pub live: bool,
    /// How long a message takes there and back, smoothed.
    pub round_trip_micros: Option<u64>,
}

pub trait Cluster: Send + Sync + 'static {
    /// A fresh timestamp from the oracle, greater than every one handed out before this call. Concurrent calls share one
    /// request.
    fn stamp(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>>;

    /// Changes a fence, durably, and returns a stamp allocated after the change.
    fn fence(&self, op: FenceOp, deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>>;

    /// The range that holds `key`; from the cache where possible.
    fn locate(&self, key: &[u8], deadline: Monotonic) -> BoxFuture<'_, Result<Route>>;

    /// Has the leader of the range evaluate `command`. Finds the leader, retries lost messages and leader changes until the
    /// deadline; so a command may be executed more than once and must be idempotent. `RangeChanged`, `Refused` and
    /// `Overloaded` are the answer to the last copy that was sent and say nothing about earlier ones.
    fn evaluate(&self, route: &Route, command: Bytes, deadline: Monotonic) -> BoxFuture<'_, Result<Evaluated>>;

    /// As [`Cluster::evaluate`], of a command that reads the past: any replica that has closed its timestamp may answer, the
    /// nearest is asked first, and the leader when that one cannot tell.
    fn evaluate_past(&self, route: &Route, command: Bytes, deadline: Monotonic) -> BoxFuture<'_, Result<Evaluated>> {
        self.evaluate(route, command, deadline)
    }

    /// Splits the range that holds `key` so that `key` begins a new one; no-op when one begins there already.
    fn split(&self, key: &[u8], deadline: Monotonic) -> BoxFuture<'_, Result<()>>;

    /// Asks the leader of a range to hand over to another node.
    fn transfer_leader(&self, range: RangeId, to: NodeId, deadline: Monotonic) -> BoxFuture<'_, Result<()>>;

    /// All ranges in key order.
    fn ranges(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Vec<RangeStatus>>>;

    fn nodes(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Vec<NodeStatus>>>;
}
