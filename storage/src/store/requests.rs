//! Requests of gateways.

use std::time::Duration;

use base::{Monotonic, NodeId, RangeId};
use bytes::Bytes;

use crate::{
    cluster::{FenceOp, Follower, NodeStatus, PeerView, REPLICA_VIEWS_MAX, RangeStatus, ReplicaView},
    error::Result,
    map::ClusterMap,
    message::{ClientId, Request, RequestBody, ResponseBody},
    oracle::{SystemCommand, Waiting},
    range::{Descriptor, SYSTEM_RANGE, admin, propose, replica::Replica},
    store::{
        Store, context,
        output::{Context, Target},
    },
};

/// Timestamps in one request.
const STAMPS_MAX: u32 = 1 << 16;
/// Requests for timestamps that wait for the ceiling to be raised.
const STAMPS_WAITING_MAX: usize = 100_000;
const LOOKUP_MAX: u32 = 1000;

impl Store {
    pub(super) fn request(&mut self, client: ClientId, request: Request) -> Result<()> {
        let target = Target::Client { client, id: request.id };
        let deadline = self.clock.now + Duration::from_millis(u64::from(request.timeout_ms));
        match request.body {
            RequestBody::Evaluate { range, epoch, command } => {
                if self.has_replica(range, target, &command) {
                    self.with(range, |replica, cx| replica.evaluate(target, deadline, epoch, command, cx))?;
                }
            }
            RequestBody::ReadClosed { range, epoch, command } => {
                if self.has_replica(range, target, &command) {
                    self.with(range, |replica, cx| replica.read_closed(target, deadline, epoch, command, cx))?;
                }
            }
            RequestBody::Stamp { count } => {
                self.want_stamp(Waiting { target, count: count.min(STAMPS_MAX), deadline, maybe_applied: false });
            }
            RequestBody::Fence { op } => self.fence(target, op),
            RequestBody::Lookup { key, limit } => {
                let found = self.known_ranges().lookup(&key, limit.clamp(1, LOOKUP_MAX) as usize);
                self.out.reply(target, ResponseBody::Descriptors(found), None);
            }
            RequestBody::Split { range, key } => self.split(target, range, key, deadline)?,
            RequestBody::TransferLeader { range, to } => {
                if !self.is_live(to) {
                    self.out.reply(target, ResponseBody::Refused(format!("{to} has not been heard of lately")), None);
                } else if self.replicas.contains_key(&range) {
                    self.with(range, |replica, cx| {
                        replica.transfer_leader(to, target, cx);
                        Ok(())
                    })?;
                } else {
                    self.out.range_changed(target, base::Span::all());
                }
            }
            RequestBody::LocalRanges => {
                let ranges = self.local_ranges()?;
                self.out.reply(target, ResponseBody::Ranges(ranges), None);
            }
            RequestBody::NodeStatus => {
                let status = self.node_status();
                self.out.reply(target, ResponseBody::Node(status), None);
            }
        }
        Ok(())
    }

    /// Whether the range is here; otherwise answers what is.
    fn has_replica(&mut self, range: RangeId, target: Target, command: &Bytes) -> bool {
        let here = self.replicas.contains_key(&range);
        if !here {
            let accesses = (self.factory)().access(command).unwrap_or_default();
            self.out.range_changed(target, propose::union(&accesses));
        }
        here
    }

    /// The system range's leader here, if it holds its lease; until when.
    pub(super) fn oracle_until(&mut self) -> Option<Monotonic> {
        if !self.oracle.is_leading() {
            return None;
        }
        self.replicas.get(&SYSTEM_RANGE)?.leads_until(self.clock.now, &self.options)
    }

    pub(super) fn want_stamp(&mut self, waiting: Waiting) {
        if self.oracle_until().is_none() {
            self.dismiss([waiting]);
        } else if self.oracle.waiting_len() >= STAMPS_WAITING_MAX {
            self.out.reply(waiting.target, ResponseBody::Overloaded("the oracle has too many requests".into()), None);
        } else {
            self.oracle.wait(waiting);
        }
    }

    /// Hands out timestamps to those who wait, and raises the ceiling when it comes near.
    pub(super) fn serve_stamps(&mut self) {
        if self.oracle.waiting_len() == 0 {
            return;
        }
        let Some(valid_until) = self.oracle_until() else {
            let waiting = std::iter::from_fn(|| self.oracle.pop_waiting()).collect::<Vec<_>>();
            self.dismiss(waiting);
            return;
        };
        while let (Some(waiting), Some(state)) =
            (self.oracle.next_waiting().copied(), self.replicas.get(&SYSTEM_RANGE).and_then(Replica::system))
        {
            let Some(stamp) = self.oracle.allocate(state, waiting.count, self.clock.wall_ms) else { break };
            self.oracle.pop_waiting();
            self.out.count("stamps");
            self.deliver_stamp(waiting.target, stamp, valid_until);
        }
        self.raise_ceiling();
    }

    fn raise_ceiling(&mut self) {
        let Some(replica) = self.replicas.get_mut(&SYSTEM_RANGE) else { return };
        let Some(command) = replica.system().and_then(|state| self.oracle.raise(state, self.clock.wall_ms)) else {
            return;
        };
        // A proposal that was dropped is made again with the next event, not at once: nothing would have changed.
        match replica.propose_system(Target::Nobody, command, context!(self)) {
            true => drop(self.dirty.insert(SYSTEM_RANGE)),
            false => self.oracle.raise_failed(),
        }
    }

    /// Tells those who wait for a timestamp that this node is not the oracle.
    pub(super) fn dismiss(&mut self, waiting: impl IntoIterator<Item = Waiting>) {
        let hint = self.oracle_hint();
        for waiting in waiting {
            let body = ResponseBody::NotLeader { hint, maybe_applied: waiting.maybe_applied };
            self.out.reply(waiting.target, body, None);
        }
    }

    pub(super) fn oracle_hint(&self) -> Option<NodeId> {
        self.replicas.get(&SYSTEM_RANGE).and_then(Replica::leader_hint)
    }

    fn fence(&mut self, target: Target, op: FenceOp) {
        let wall_ms = self.clock.wall_ms;
        let leads = self.oracle_until().is_some();
        let hint = self.oracle_hint();
        if let Some(replica) = self.replicas.get_mut(&SYSTEM_RANGE).filter(|_| leads) {
            // The age of the fence, for `CloseOlderThan`: a timestamp that is handed out to nobody.
            let at = replica.system().and_then(|state| self.oracle.allocate(state, 1, wall_ms));
            if let Some(at) = at {
                let command = SystemCommand::Fence { op, at: at.timestamp };
                self.dirty.insert(SYSTEM_RANGE);
                replica.propose_system(target, command, context!(self));
                return;
            }
            // The ceiling is too low for a moment: have it raised.
            self.raise_for_fence();
        }
        self.out.reply(target, ResponseBody::NotLeader { hint, maybe_applied: false }, None);
    }

    fn raise_for_fence(&mut self) {
        let deadline = self.clock.now;
        self.oracle.wait(Waiting { target: Target::Nobody, count: 1, deadline, maybe_applied: false });
    }

    /// A command of the system range that this node proposed has been applied.
    pub(super) fn system_applied(&mut self, target: Target, range_id: Option<RangeId>) -> Result<()> {
        match (target, range_id) {
            (Target::Client { .. }, None) => {
                // The stamp that ends a fence must be younger than its change.
                let deadline = self.clock.now + Duration::from_secs(5);
                self.want_stamp(Waiting { target, count: 1, deadline, maybe_applied: true });
                Ok(())
            }
            (_, Some(range_id)) => self.deliver_range_id(target, range_id),
            _ => Ok(()),
        }
    }

    fn split(&mut self, target: Target, range: RangeId, key: Bytes, deadline: Monotonic) -> Result<()> {
        let Some(replica) = self.replicas.get(&range) else {
            self.out.range_changed(target, base::Span::point(key));
            return Ok(());
        };
        let hint = replica.leader_hint();
        let serves = replica.serves_until(self.clock.now, &self.options).is_some();
        match self.replicas.get(&range).and_then(Replica::descriptor) {
            Some(_) if !serves => {
                self.out.reply(target, ResponseBody::NotLeader { hint, maybe_applied: false }, None);
            }
            Some(descriptor) if descriptor.span.start == key => self.out.reply(target, ResponseBody::Done, None),
            Some(descriptor) if !descriptor.span.contains(&key) => {
                self.out.range_changed(target, base::Span::point(key));
            }
            Some(descriptor) if admin::split(descriptor, &key, RangeId(u64::MAX)).is_none() => {
                self.out.reply(target, ResponseBody::Refused(format!("{range} cannot be split")), None);
            }
            Some(_) => self.ask_range_id(range, key, target, deadline),
            None => self.out.reply(target, ResponseBody::NotLeader { hint, maybe_applied: false }, None),
        }
        Ok(())
    }

    /// What this node knows about ranges: the map, overruled by its own replicas.
    pub(super) fn known_ranges(&self) -> ClusterMap {
        let system = self.replicas.get(&SYSTEM_RANGE).and_then(Replica::system);
        let mut map = system.map(|state| state.map.clone()).unwrap_or_default();
        for replica in self.replicas.values() {
            if let Some(descriptor) = replica.descriptor() {
                map.put(descriptor.clone(), replica.leader_hint());
            }
        }
        map
    }

    /// Answers the requests of this step whose route was wrong.
    pub(super) fn answer_range_changed(&mut self) {
        if self.out.range_changed.is_empty() {
            return;
        }
        let map = self.known_ranges();
        for (client, id, span) in std::mem::take(&mut self.out.range_changed) {
            let known: Vec<Descriptor> = map.overlapping(&span);
            self.out.reply(Target::Client { client, id }, ResponseBody::RangeChanged(known), None);
        }
    }

    fn local_ranges(&mut self) -> Result<Vec<RangeStatus>> {
        let mut ranges = Vec::new();
        for replica in self.replicas.values().filter(|replica| replica.is_leader()) {
            let Some(descriptor) = replica.descriptor() else { continue };
            ranges.push(RangeStatus {
                descriptor: descriptor.clone(),
                leader: Some(self.options.node),
                term: replica.term(),
                size_bytes: admin::size_bytes(&*self.engine, &descriptor.span)?,
                applied_index: replica.applied_index(),
                followers: self.followers(replica, descriptor),
                heat: replica.heat(self.clock.wall_ms),
            });
        }
        Ok(ranges)
    }

    fn node_status(&self) -> NodeStatus {
        NodeStatus {
            id: self.options.node,
            // The core does not know where it runs; the shell fills this in.
            address: String::new(),
            live: true,
            ranges: self.replicas.len() as u64,
            leaders: self.leaders_len(),
            counters: self.out.counters.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            gauges: Vec::new(),
            replicas: self.replicas.values().take(REPLICA_VIEWS_MAX).map(replica_view).collect(),
            peers: self.peer_views(),
            events: self.events.list(),
        }
    }

    fn followers(&self, replica: &Replica, descriptor: &Descriptor) -> Vec<Follower> {
        let others = descriptor.replicas.iter().filter(|node| **node != self.options.node);
        let follower = |node: &NodeId| Some(Follower { node: *node, matched_index: replica.matched(*node)? });
        others.filter_map(follower).collect()
    }

    fn peer_views(&self) -> Vec<PeerView> {
        let others = self.options.nodes.iter().filter(|node| **node != self.options.node);
        let view = |node: &NodeId| PeerView {
            node: *node,
            live: self.is_live(*node),
            round_trip_micros: self.liveness.round_trip(*node).map(|took| took.as_micros() as u64),
        };
        others.map(view).collect()
    }

    pub(super) fn leaders_len(&self) -> u64 {
        self.replicas.values().filter(|replica| replica.is_leader()).count() as u64
    }
}

fn replica_view(replica: &Replica) -> ReplicaView {
    let log = replica.log();
    ReplicaView {
        range: replica.id(),
        leads: replica.is_leader(),
        term: replica.term(),
        committed_index: replica.committed_index(),
        applied_index: replica.applied_index(),
        log_entries: log.last().saturating_sub(log.truncated().0),
        log_bytes: log.bytes(),
    }
}
