//! What enters and leaves the sans-I/O core of a node (`store::Store`), and the requests of gateways.
//!
//! Everything here is encoded with `postcard`; variants are only ever appended.

use base::{Monotonic, NodeId, RangeId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{FenceOp, NodeStatus, RangeStatus, Stamp},
    log::LogRecord,
    range::Descriptor,
};

/// A request of a gateway (or of another node) to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Unique per connection; names the answer.
    pub id: u64,
    /// How long the asker still waits. After that the node drops the request where it parks.
    pub timeout_ms: u32,
    pub body: RequestBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Evaluate a command on the leader of a range.
    Evaluate {
        range: RangeId,
        epoch: u64,
        command: Bytes,
    },
    /// `count` consecutive timestamps from the oracle; the answer's stamp is the first.
    Stamp {
        count: u32,
    },
    Fence {
        op: FenceOp,
    },
    /// Descriptors of ranges from the one that holds `key` on, at most `limit`. From the cluster's map: a hint.
    Lookup {
        key: Bytes,
        limit: u32,
    },
    Split {
        range: RangeId,
        key: Bytes,
    },
    TransferLeader {
        range: RangeId,
        to: NodeId,
    },
    /// The ranges of which this node is the leader.
    LocalRanges,
    NodeStatus,
    /// As `Evaluate`, of a command that reads the past: any replica that can tell answers it; the others answer `NotLeader`.
    ReadClosed {
        range: RangeId,
        epoch: u64,
        command: Bytes,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    pub id: u64,
    pub body: ResponseBody,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ResponseBody {
    Evaluated {
        reply: Bytes,
        replicated: bool,
    },
    Stamp(Stamp),
    /// Each with its presumed leader.
    Descriptors(Vec<(Descriptor, Option<NodeId>)>),
    Ranges(Vec<RangeStatus>),
    Node(NodeStatus),
    Done,
    /// Not the leader (or its lease has run out). Nothing was executed unless `maybe_applied`.
    NotLeader {
        hint: Option<NodeId>,
        maybe_applied: bool,
    },
    /// The epoch was wrong; these are the current descriptors of what this node knows around the span.
    RangeChanged(Vec<Descriptor>),
    Overloaded(String),
    /// The deadline passed while the request was parked.
    Timeout {
        maybe_applied: bool,
    },
    Refused(String),
}

/// Where an answer goes: a connection (or an in-process caller) of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Everything that can happen to a node. A new input is a new variant.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time has passed; sent every [`crate::store::Options::tick`].
    Tick,
    Request {
        client: ClientId,
        request: Request,
    },
    /// The connection is gone: drop its parked requests.
    ClientGone {
        client: ClientId,
    },
    /// A message of another node (`PeerMessage`, encoded).
    Peer {
        from: NodeId,
        message: Bytes,
    },
    /// All log records of effects up to this sequence number are durable.
    Persisted {
        sequence: u64,
    },
    /// The flush asked for by `Effects::flush` with this sequence number has ended.
    Flushed {
        sequence: u64,
    },
}

/// What a node wants done, in any order, except: `log` is appended and synced, then reported by [`Event::Persisted`].
/// Messages that must not leave before the sync are held back by the core itself.
#[derive(Debug, Default)]
pub struct Effects {
    /// Records to append and sync; the sequence number grows by one with every non-empty `log`.
    pub log: Vec<LogRecord>,
    pub log_sequence: u64,
    /// Messages to other nodes, encoded. Order per destination matters where the transport can keep it.
    pub messages: Vec<(NodeId, Bytes)>,
    pub replies: Vec<Reply>,
    /// Flush the engine in the background, then report [`Event::Flushed`] with this number.
    pub flush: Option<u64>,
    /// Stored state is damaged: the shell logs it and stops the process.
    pub fatal: Option<String>,
}

#[derive(Debug)]
pub struct Reply {
    pub client: ClientId,
    pub response: Response,
    /// The answer may leave only before this moment on the clock as read just before it is sent (the leader's lease). Too
    /// late: the shell sends `NotLeader { hint: None, maybe_applied: false }` instead.
    pub valid_until: Option<Monotonic>,
}
