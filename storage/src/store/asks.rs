//! Questions to the system range's leader, by this node and by others: a timestamp for a new leader, an id for a new range.
//!
//! They are asked again until they are answered or nobody needs the answer any more. A timestamp that is answered was
//! allocated after the question was sent, by whoever held the oracle's lease then, so it is above everything that was
//! handed out before.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, NodeId, RangeId, Timestamp};
use bytes::Bytes;

use crate::{
    cluster::Stamp,
    error::Result,
    message::ResponseBody,
    oracle::{SystemCommand, Waiting},
    peer::{Answer, Ask, PeerMessage},
    range::{SYSTEM_RANGE, replica::Replica},
    store::{
        Store, context,
        output::{Context, Target},
    },
};

const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How long the oracle keeps a question of another node.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Asks {
    next_id: u64,
    open: BTreeMap<u64, Open>,
}

impl Asks {
    /// `first_id` must be random: a late answer to a question from before a restart must not be taken for a fresh one.
    pub(super) fn new(first_id: u64) -> Asks {
        Asks { next_id: first_id, open: BTreeMap::new() }
    }
}

struct Open {
    purpose: Purpose,
    asked_at: Monotonic,
}

#[derive(Clone)]
enum Purpose {
    LowWater {
        range: RangeId,
        term: u64,
    },
    Split {
        range: RangeId,
        key: Bytes,
        target: Target,
        deadline: Monotonic,
    },
    /// For the ranges that are led here, to close what is old.
    Close,
}

impl Store {
    pub(super) fn ask_low_water(&mut self, range: RangeId) {
        let Some(replica) = self.replicas.get(&range).filter(|replica| replica.is_leader()) else { return };
        let term = replica.term();
        if range == SYSTEM_RANGE
            && !self.oracle.is_leading()
            && let Some(state) = replica.system()
        {
            self.oracle.lead(state, self.options.faults.reuse_timestamps_after_failover);
        }
        self.ask(Purpose::LowWater { range, term });
    }

    pub(super) fn ask_range_id(&mut self, range: RangeId, key: Bytes, target: Target, deadline: Monotonic) {
        self.ask(Purpose::Split { range, key, target, deadline });
    }

    /// Whether a split of the range is on its way.
    pub(super) fn is_splitting(&self, range: RangeId) -> bool {
        let of_range = |open: &Open| matches!(open.purpose, Purpose::Split { range: other, .. } if other == range);
        self.asks.open.values().any(of_range)
    }

    /// Has timestamps closed in the ranges that are led here. One request for all of them; what is still open from the last
    /// time is forgotten.
    pub(super) fn ask_to_close(&mut self) {
        self.asks.open.retain(|_, open| !matches!(open.purpose, Purpose::Close));
        let wanted = self.options.close_after.is_some();
        if wanted && self.replicas.values().any(|replica| replica.wants_closing(self.clock.now)) {
            self.ask(Purpose::Close);
        }
    }

    fn close_timestamps(&mut self, now: Timestamp) -> Result<()> {
        let Some(behind) = self.options.close_after else { return Ok(()) };
        let behind = Timestamp::from_millis(behind.as_millis() as u64);
        let timestamp = Timestamp(now.0.saturating_sub(behind.0));
        let leading: Vec<RangeId> =
            self.replicas.iter().filter(|(_, replica)| replica.is_leader()).map(|(range, _)| *range).collect();
        for range in leading {
            self.with(range, |replica, cx| {
                replica.close(timestamp, cx);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn ask(&mut self, purpose: Purpose) {
        self.asks.next_id = self.asks.next_id.wrapping_add(1);
        let id = self.asks.next_id;
        self.asks.open.insert(id, Open { purpose: purpose.clone(), asked_at: self.clock.now });
        self.send_ask(id, &purpose);
    }

    fn send_ask(&mut self, id: u64, purpose: &Purpose) {
        let body = match purpose {
            Purpose::LowWater { .. } | Purpose::Close => Ask::Stamp,
            Purpose::Split { .. } => Ask::RangeId,
        };
        if self.oracle.is_leading() {
            self.serve_ask(Target::Myself { id }, body);
            return;
        }
        let me = self.options.node;
        let to: Vec<NodeId> = match self.oracle_hint().filter(|hint| *hint != me) {
            Some(leader) => vec![leader],
            None => self.options.nodes.iter().copied().filter(|node| *node != me).collect(),
        };
        for node in to {
            self.out.messages.push((node, PeerMessage::Ask { id, body }));
        }
    }

    /// Another node asks. Only the leader of the system range answers.
    pub(super) fn asked(&mut self, from: NodeId, id: u64, body: Ask) -> Result<()> {
        self.serve_ask(Target::Peer { node: from, id }, body);
        Ok(())
    }

    fn serve_ask(&mut self, target: Target, body: Ask) {
        if self.oracle_until().is_none() {
            return;
        }
        match body {
            Ask::Stamp => {
                let deadline = self.clock.now + PATIENCE;
                self.want_stamp(Waiting { target, count: 1, deadline, maybe_applied: false });
            }
            Ask::RangeId => {
                if let Some(replica) = self.replicas.get_mut(&SYSTEM_RANGE) {
                    self.dirty.insert(SYSTEM_RANGE);
                    replica.propose_system(target, SystemCommand::AllocateRange, context!(self));
                }
            }
        }
    }

    pub(super) fn deliver_stamp(&mut self, target: Target, stamp: Stamp, valid_until: Monotonic) {
        match target {
            Target::Client { .. } => self.out.reply(target, ResponseBody::Stamp(stamp), Some(valid_until)),
            Target::Peer { node, id } => {
                self.out.messages.push((node, PeerMessage::Answer { id, body: Answer::Stamp(stamp) }));
            }
            Target::Myself { id } => self.asks_answered_here(id, Answer::Stamp(stamp)),
            Target::Nobody => {}
        }
    }

    pub(super) fn deliver_range_id(&mut self, target: Target, range_id: RangeId) -> Result<()> {
        match target {
            Target::Peer { node, id } => {
                self.out.messages.push((node, PeerMessage::Answer { id, body: Answer::RangeId(range_id) }));
                Ok(())
            }
            Target::Myself { id } => self.answered(id, Answer::RangeId(range_id)),
            Target::Client { .. } | Target::Nobody => Ok(()),
        }
    }

    /// A timestamp for this node itself. An evaluator that fails over it reports the error with its next event.
    fn asks_answered_here(&mut self, id: u64, answer: Answer) {
        if let Err(error) = self.answered(id, answer) {
            self.failed = Some(error.to_string());
        }
    }

    pub(super) fn answered(&mut self, id: u64, answer: Answer) -> Result<()> {
        match (self.asks.open.get(&id).map(|open| open.purpose.clone()), answer) {
            (Some(Purpose::LowWater { range, term }), Answer::Stamp(stamp)) => {
                self.asks.open.remove(&id);
                self.with(range, |replica, cx| replica.set_low_water(term, stamp.timestamp, cx))
            }
            (Some(Purpose::Split { range, key, target, .. }), Answer::RangeId(child)) => {
                self.asks.open.remove(&id);
                self.begin_split(range, key, child, target)
            }
            (Some(Purpose::Close), Answer::Stamp(stamp)) => {
                self.asks.open.remove(&id);
                self.close_timestamps(stamp.timestamp)
            }
            // Answered before, or given up.
            _ => Ok(()),
        }
    }

    fn begin_split(&mut self, range: RangeId, key: Bytes, child: RangeId, target: Target) -> Result<()> {
        let Some(replica) = self.replicas.get_mut(&range) else { return Ok(()) };
        self.dirty.insert(range);
        if !replica.split_at(target, key, child, context!(self))? {
            let hint = replica.leader_hint();
            self.out.reply(target, ResponseBody::NotLeader { hint, maybe_applied: false }, None);
        }
        Ok(())
    }

    /// Asks again what was not answered, and gives up what is of no use any more.
    pub(super) fn tick_asks(&mut self) {
        let now = self.clock.now;
        let mut again = Vec::new();
        let mut over = Vec::new();
        for (id, open) in &mut self.asks.open {
            let wanted = match &open.purpose {
                Purpose::LowWater { range, term } => {
                    self.replicas.get(range).is_some_and(|replica| replica.is_leader() && replica.term() == *term)
                }
                Purpose::Split { range, deadline, .. } => {
                    self.replicas.get(range).is_some_and(Replica::is_leader) && now < *deadline
                }
                // Asked anew every second.
                Purpose::Close => true,
            };
            if !wanted {
                over.push(*id);
            } else if now.since(open.asked_at) >= ASK_AGAIN {
                open.asked_at = now;
                again.push((*id, open.purpose.clone()));
            }
        }
        for id in over {
            if let Some(Open { purpose: Purpose::Split { target, .. }, .. }) = self.asks.open.remove(&id) {
                self.out.reply(target, ResponseBody::Timeout { maybe_applied: false }, None);
            }
        }
        for (id, purpose) in again {
            self.send_ask(id, &purpose);
        }
    }
}
