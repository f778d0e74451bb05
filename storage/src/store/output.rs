//! What replicas want done, gathered over one step.

use std::collections::{BTreeMap, VecDeque};

use base::{Monotonic, NodeId, RangeId, Span};
use bytes::Bytes;

use crate::{
    engine::Engine,
    log::LogRecord,
    message::{ClientId, Reply, Response, ResponseBody},
    peer::{Envelope, PeerMessage},
    range::Descriptor,
    store::Options,
};

/// Who waits for the end of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Nobody,
    Client {
        client: ClientId,
        id: u64,
    },
    /// Another node asked the oracle.
    Peer {
        node: NodeId,
        id: u64,
    },
    /// This node asked itself.
    Myself {
        id: u64,
    },
}

/// What a replica tells its store.
pub enum Upcall {
    /// Leadership begins: fetch a timestamp for it (`Replica::set_low_water`).
    NeedLowWater(RangeId),
    /// It serves requests from now on.
    Serving(RangeId),
    Unled(RangeId),
    /// A split was applied.
    Split(Box<SplitApplied>),
    /// A command of the system range was applied by its proposer.
    SystemApplied {
        target: Target,
        range_id: Option<RangeId>,
    },
    /// A follower needs entries that are gone.
    SnapshotWanted {
        range: RangeId,
        to: NodeId,
    },
}

pub struct SplitApplied {
    pub child: Descriptor,
    /// What the parent's evaluator knew of the child's part.
    pub heritage: Bytes,
    /// The parent's leader is here: the child should campaign at once.
    pub campaign: bool,
    pub target: Target,
}

#[derive(Default)]
pub struct Output {
    pub log: Vec<LogRecord>,
    /// The sequence number that `log` will have.
    pub sequence: u64,
    pub envelopes: BTreeMap<NodeId, Vec<Envelope>>,
    pub messages: Vec<(NodeId, PeerMessage)>,
    pub replies: Vec<Reply>,
    /// To be answered `RangeChanged` with what the node knows about the span.
    pub range_changed: Vec<(ClientId, u64, Span)>,
    pub upcalls: VecDeque<Upcall>,
    pub flush_wanted: bool,
    pub counters: BTreeMap<&'static str, u64>,
}

impl Output {
    pub fn reply(&mut self, target: Target, body: ResponseBody, valid_until: Option<Monotonic>) {
        if let Target::Client { client, id } = target {
            self.replies.push(Reply { client, response: Response { id, body }, valid_until });
        }
    }

    pub fn range_changed(&mut self, target: Target, span: Span) {
        if let Target::Client { client, id } = target {
            self.range_changed.push((client, id, span));
        }
    }

    pub fn count(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
    }
}

/// What a replica needs from its node for one call.
pub struct Context<'a> {
    pub now: Monotonic,
    pub options: &'a Options,
    pub engine: &'a dyn Engine,
    pub out: &'a mut Output,
}
