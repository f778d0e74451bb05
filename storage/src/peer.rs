//! What nodes say to each other. Encoded with `postcard`; variants are only ever appended. Peers are authenticated by the
//! transport, yet nothing here is trusted to be well formed.

use base::{NodeId, RangeId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{cluster::Stamp, engine::ColumnFamily, range::Descriptor};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// All Raft messages of one step to this node.
    Raft(Vec<Envelope>),
    /// The sender is alive (see `liveness`).
    Heartbeat(Heartbeat),
    /// A question to the leader of the system range; not answered by anybody else.
    Ask {
        id: u64,
        body: Ask,
    },
    Answer {
        id: u64,
        body: Answer,
    },
    /// A leader tells the system range about its range, for the cluster's map.
    MapReport {
        descriptor: Descriptor,
        leader: NodeId,
    },
    SnapshotChunk(SnapshotChunk),
    SnapshotAck(SnapshotAck),
    /// The leader of `term` has told the receiver to take over: `Evaluate::export`.
    HandOver {
        range: RangeId,
        term: u64,
        state: Bytes,
    },
}

/// One Raft message with what leases need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub range: RangeId,
    /// A leader's own monotonic clock when it made the message. Means something to the sender only.
    pub stamp: Option<u64>,
    /// In a response: the newest stamp of a message of the same term that this replica has stepped.
    pub echo: Option<u64>,
    /// `raft::eraftpb::Message`.
    pub message: Bytes,
    /// With a leader's heartbeat.
    pub closed: Option<Closed>,
}

/// A leader's promise: all that is ever written at or below `timestamp` in this range lies in the log at or before `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub timestamp: Timestamp,
    pub index: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    pub ranges: u64,
    pub leaders: u64,
    /// The sender's clock, in nanoseconds. Means something to the sender only.
    pub stamp: u64,
    /// The newest stamp of the receiver that the sender has got, and for how many nanoseconds it had it: what has passed at the
    /// receiver since then, less that, is a round trip.
    pub echo: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A fresh timestamp: the low-water mark of a new leader.
    Stamp,
    /// An id for the new half of a range.
    RangeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Stamp(Stamp),
    RangeId(RangeId),
}

impl Answer {
    /// The timestamp, when it is one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Answer::Stamp(stamp) => Some(stamp.timestamp),
            Answer::RangeId(_) => None,
        }
    }
}

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHeader {
    pub descriptor: Descriptor,
    /// The term of the sending leader.
    pub leader_term: u64,
    /// What the snapshot covers: all entries up to this one, which is of `term`.
    pub index: u64,
    pub term: u64,
}

/// A piece of a snapshot. Pieces of one snapshot are numbered from 0 and put together in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotChunk {
    pub id: u64,
    pub header: SnapshotHeader,
    pub number: u64,
    pub items: Vec<(ColumnFamily, Bytes, Bytes)>,
    pub last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotAck {
    pub range: RangeId,
    pub id: u64,
    /// The number of the chunk that is wanted next; all before it have arrived.
    pub next: u64,
    /// Not now: the receiver is busy, or its replica of a neighbour still covers these keys.
    pub refused: bool,
}

/// `None` when the bytes are not a message: the caller drops them.
pub fn decode(bytes: &[u8]) -> Option<PeerMessage> {
    postcard::from_bytes(bytes).ok()
}

pub fn encode(message: &PeerMessage) -> Bytes {
    // Plain data without maps or floats: serialisation into memory cannot fail.
    postcard::to_stdvec(message).map(Bytes::from).unwrap_or_default()
}
