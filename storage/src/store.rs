//! A node's core: all of its replicas, the oracle when it leads the system range, and what they share. Events in, effects
//! out; no clock, disk or socket of its own.
//!
//! One step takes many events: their proposals, log records and messages are gathered, so that one fsync and one message
//! per node serve them all.

mod asks;
pub mod events;
mod housekeeping;
pub mod options;
pub(crate) mod output;
mod requests;
mod snapshots;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use base::{Monotonic, NodeId, RangeId, Rng};

pub use options::{Faults, Options};

use crate::{
    engine::{ColumnFamily, Engine, WriteBatch},
    error::{Error, Result},
    evaluate::EvaluateFactory,
    keys,
    liveness::Liveness,
    log::LogState,
    message::{Effects, Event},
    oracle::{Oracle, SystemState},
    peer::{self, Envelope, PeerMessage},
    range::{
        SYSTEM_RANGE, admin,
        apply::ReplicaState,
        inbound,
        replica::{Origin, Replica},
    },
    store::{
        asks::Asks,
        events::{EventKind, Events},
        housekeeping::Housekeeping,
        output::{Context, Output, SplitApplied, Upcall},
        snapshots::Snapshots,
    },
};

/// Raft messages of one step to one node are cut into messages of about this size.
const PEER_MESSAGE_BYTES: usize = 4 << 20;

pub struct Store {
    options: Options,
    engine: Arc<dyn Engine>,
    factory: EvaluateFactory,
    rng: Rng,
    replicas: BTreeMap<RangeId, Replica>,
    oracle: Oracle,
    liveness: Liveness,
    events: Events,
    asks: Asks,
    snapshots: Snapshots,
    housekeeping: Housekeeping,
    out: Output,
    /// Replicas that may have something ready.
    dirty: BTreeSet<RangeId>,
    clock: Clock,
    /// There was nothing on disk at the start.
    opened_empty: bool,
    failed: Option<String>,
}

/// The time of the current step.
#[derive(Clone, Copy, Debug)]
struct Clock {
    now: Monotonic,
    wall_ms: u64,
    opened_at: Monotonic,
}

/// The core from outside, for tests and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    pub range: RangeId,
    pub descriptor: Option<crate::range::Descriptor>,
    pub leader: Option<NodeId>,
    pub is_leader: bool,
    pub term: u64,
    pub committed: u64,
    pub applied: u64,
    pub log_first: u64,
    pub log_last: u64,
    pub requests: usize,
}

/// Splits the borrow of a store: a context for calls of its replicas.
macro_rules! context {
    ($store:expr) => {
        &mut Context { now: $store.clock.now, options: &$store.options, engine: &*$store.engine, out: &mut $store.out }
    };
}
pub(crate) use context;

impl Store {
    /// Opens what the engine and the log hold; on empty storage, the first ranges with the members of `options`.
    pub fn open(
        options: Options,
        engine: Arc<dyn Engine>,
        loaded: BTreeMap<RangeId, LogState>,
        factory: EvaluateFactory,
        mut rng: Rng,
        now: Monotonic,
    ) -> Result<Store> {
        options.validate()?;
        let mut states = load_states(&*engine)?;
        let opened_empty = states.is_empty() && loaded.is_empty();
        bootstrap(&options, &*engine, &mut states)?;
        let mut store = Store {
            housekeeping: Housekeeping::new(now),
            options,
            engine,
            factory,
            replicas: BTreeMap::new(),
            oracle: Oracle::default(),
            liveness: Liveness::default(),
            events: Events::default(),
            asks: Asks::new(rng.next_u64()),
            snapshots: Snapshots::new(rng.next_u64()),
            out: Output { sequence: 1, ..Output::default() },
            dirty: BTreeSet::new(),
            clock: Clock { now, wall_ms: 0, opened_at: now },
            opened_empty,
            failed: None,
            rng,
        };
        let ranges: BTreeSet<RangeId> = states.keys().chain(loaded.keys()).copied().collect();
        for range in ranges {
            let log = loaded.get(&range).cloned().unwrap_or_default();
            store.create(range, states.remove(&range), log)?;
        }
        Ok(store)
    }

    /// One event; see [`Store::step_all`].
    pub fn step(&mut self, event: Event, now: Monotonic, wall_ms: u64) -> Effects {
        self.step_all([event], now, wall_ms)
    }

    /// Takes events in order. `now` must have been read after the last of them arrived: leases rest on it. After an effect
    /// that is fatal the store does nothing any more.
    pub fn step_all(&mut self, events: impl IntoIterator<Item = Event>, now: Monotonic, wall_ms: u64) -> Effects {
        self.clock.now = now.max(self.clock.now);
        self.clock.wall_ms = wall_ms;
        if self.failed.is_none() {
            let result = events.into_iter().try_for_each(|event| self.handle(event)).and_then(|()| self.settle());
            if let Err(error) = result {
                self.failed = Some(error.to_string());
            }
        }
        if self.failed.is_some() {
            return Effects { fatal: self.failed.clone(), ..Effects::default() };
        }
        self.effects()
    }

    pub fn status(&self) -> Vec<ReplicaStatus> {
        self.replicas.values().map(replica_status).collect()
    }

    /// What has happened since the start, by name.
    pub fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.out.counters
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Tick => self.tick(),
            Event::Request { client, request } => self.request(client, request),
            Event::ClientGone { client } => {
                let ranges: Vec<RangeId> = self.replicas.keys().copied().collect();
                ranges.into_iter().try_for_each(|range| self.with(range, |replica, cx| replica.client_gone(client, cx)))
            }
            Event::Peer { from, message } => self.peer(from, &message),
            Event::Persisted { sequence } => {
                let cx = context!(self);
                for (range, replica) in &mut self.replicas {
                    if replica.persisted(sequence, cx) {
                        self.dirty.insert(*range);
                    }
                }
                self.finish_restores()
            }
            Event::Flushed { sequence } => self.flushed(sequence),
        }
    }

    /// Calls one replica, if it exists, and has it looked after.
    fn with(&mut self, range: RangeId, call: impl FnOnce(&mut Replica, &mut Context<'_>) -> Result<()>) -> Result<()> {
        let Some(replica) = self.replicas.get_mut(&range) else { return Ok(()) };
        self.dirty.insert(range);
        call(replica, context!(self))
    }

    fn peer(&mut self, from: NodeId, message: &[u8]) -> Result<()> {
        if from == self.options.node || !self.options.nodes.contains(&from) {
            self.out.count("peer_messages_foreign");
            return Ok(());
        }
        let Some(message) = peer::decode(message) else {
            self.out.count("peer_messages_malformed");
            return Ok(());
        };
        self.liveness.heard(from, self.clock.now, self.dead_after());
        match message {
            PeerMessage::Raft(envelopes) => {
                envelopes.into_iter().try_for_each(|envelope| self.raft_message(from, envelope))
            }
            PeerMessage::Heartbeat(heartbeat) => {
                let echo = heartbeat.echo.map(|(ours, held)| (Monotonic(ours), Duration::from_nanos(held)));
                self.liveness.heartbeat(from, Monotonic(heartbeat.stamp), echo, self.clock.now);
                Ok(())
            }
            PeerMessage::Ask { id, body } => self.asked(from, id, body),
            PeerMessage::Answer { id, body } => self.answered(id, body),
            PeerMessage::MapReport { descriptor, leader } => {
                self.map_reported(descriptor, leader);
                Ok(())
            }
            PeerMessage::SnapshotChunk(chunk) => self.snapshot_chunk(from, chunk),
            PeerMessage::SnapshotAck(ack) => self.snapshot_ack(from, ack),
            PeerMessage::HandOver { range, term, state } => self.with(range, |replica, _| {
                replica.inherit(term, state);
                Ok(())
            }),
        }
    }

    fn raft_message(&mut self, from: NodeId, envelope: Envelope) -> Result<()> {
        let range = envelope.range;
        if !self.replicas.contains_key(&range) {
            if !inbound::is_contact(&envelope, from, self.options.node) {
                return Ok(());
            }
            self.create_unknown(range)?;
        }
        self.with(range, |replica, cx| replica.step(from, envelope, cx))
    }

    /// Makes the replica of a range that this node has not heard of: uninitialised.
    fn create_unknown(&mut self, range: RangeId) -> Result<()> {
        self.create(range, None, LogState::default())?;
        self.set_quiet(range);
        Ok(())
    }

    /// A replica that was created after the start has promised nothing since; before, perhaps, if the disk was lost.
    fn set_quiet(&mut self, range: RangeId) {
        let until = match self.opened_empty && self.options.nodes.len() > 1 {
            true => self.clock.opened_at + self.options.election_timeout(),
            false => self.clock.opened_at,
        };
        if let Some(replica) = self.replicas.get_mut(&range) {
            replica.quiet_until(until);
        }
    }

    fn create(&mut self, range: RangeId, state: Option<ReplicaState>, log: LogState) -> Result<()> {
        let system = if range == SYSTEM_RANGE { Some(SystemState::load(&*self.engine)?) } else { None };
        let origin = Origin {
            id: range,
            state,
            log,
            evaluator: (self.factory)(),
            system,
            rng: self.rng.split(),
            amnesia: self.opened_empty,
        };
        let (replica, record) = Replica::open(origin, self.out.sequence, &self.options, self.clock.now)?;
        self.out.log.extend(record);
        self.replicas.insert(range, replica);
        self.dirty.insert(range);
        Ok(())
    }

    /// Lets everything that follows from the events happen, until nothing more does.
    fn settle(&mut self) -> Result<()> {
        self.campaign_alone()?;
        loop {
            while let Some(range) = self.dirty.pop_first() {
                if let Some(replica) = self.replicas.get_mut(&range) {
                    while replica.process_ready(context!(self))? {}
                }
            }
            while let Some(upcall) = self.out.upcalls.pop_front() {
                self.upcall(upcall)?;
            }
            self.serve_stamps();
            if self.dirty.is_empty() && self.out.upcalls.is_empty() {
                return Ok(());
            }
        }
    }

    fn upcall(&mut self, upcall: Upcall) -> Result<()> {
        match upcall {
            Upcall::NeedLowWater(range) => self.ask_low_water(range),
            Upcall::Serving(range) => {
                self.out.count("leaderships_serving");
                self.note(EventKind::LeaderGained, Some(range), None);
            }
            Upcall::Unled(range) => {
                self.note(EventKind::LeaderLost, Some(range), None);
                if range == SYSTEM_RANGE {
                    let waiting = self.oracle.unlead();
                    self.dismiss(waiting);
                }
            }
            Upcall::Split(split) => self.split_applied(*split)?,
            Upcall::SystemApplied { target, range_id } => self.system_applied(target, range_id)?,
            Upcall::SnapshotWanted { range, to } => self.snapshot_wanted(range, to)?,
        }
        Ok(())
    }

    fn split_applied(&mut self, split: SplitApplied) -> Result<()> {
        let range = split.child.id;
        let state = ReplicaState::initial(split.child);
        self.out.count("splits");
        self.note(EventKind::Split, Some(range), None);
        match self.replicas.get_mut(&range) {
            Some(child) if child.descriptor().is_some() => {
                return Err(Error::Corrupt(format!("{range} was created by a split and exists already")));
            }
            Some(child) => child.initialize(state, context!(self))?,
            None => {
                self.create(range, Some(state), LogState::default())?;
                self.set_quiet(range);
            }
        }
        if split.campaign
            && let Some(child) = self.replicas.get_mut(&range)
        {
            child.inherit(child.term(), split.heritage);
        }
        self.out.reply(split.target, crate::message::ResponseBody::Done, None);
        if split.campaign {
            self.with(range, |child, cx| child.campaign(cx))?;
        }
        self.dirty.insert(range);
        Ok(())
    }

    fn note(&mut self, kind: EventKind, range: Option<RangeId>, node: Option<NodeId>) {
        self.events.note(self.clock.wall_ms, kind, range, node);
    }

    /// The only member of its cluster need not wait for an election.
    fn campaign_alone(&mut self) -> Result<()> {
        if self.options.nodes.len() > 1 {
            return Ok(());
        }
        let idle: Vec<RangeId> =
            self.replicas.iter().filter(|(_, replica)| !replica.is_leader()).map(|(range, _)| *range).collect();
        idle.into_iter().try_for_each(|range| self.with(range, |replica, cx| replica.campaign(cx)))
    }

    fn effects(&mut self) -> Effects {
        self.answer_range_changed();
        let flush = self.next_flush();
        let mut effects = Effects { flush, ..Effects::default() };
        if !self.out.log.is_empty() {
            effects.log = std::mem::take(&mut self.out.log);
            effects.log_sequence = self.out.sequence;
            self.out.sequence += 1;
            self.out.count("log_batches");
        }
        for (node, envelopes) in std::mem::take(&mut self.out.envelopes) {
            for message in batches(envelopes) {
                effects.messages.push((node, peer::encode(&message)));
            }
        }
        for (node, message) in std::mem::take(&mut self.out.messages) {
            effects.messages.push((node, peer::encode(&message)));
        }
        effects.replies = std::mem::take(&mut self.out.replies);
        effects
    }
}

/// Cuts envelopes into messages of bounded size, in order.
fn batches(envelopes: Vec<Envelope>) -> Vec<PeerMessage> {
    let mut messages = Vec::new();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for envelope in envelopes {
        if bytes > 0 && bytes + envelope.message.len() > PEER_MESSAGE_BYTES {
            messages.push(PeerMessage::Raft(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes += envelope.message.len();
        batch.push(envelope);
    }
    messages.push(PeerMessage::Raft(batch));
    messages
}

fn load_states(engine: &dyn Engine) -> Result<BTreeMap<RangeId, ReplicaState>> {
    let span = keys::replica_states();
    let mut states = BTreeMap::new();
    let mut cursor = engine.cursor(ColumnFamily::Meta, &span.start, &span.end)?;
    cursor.seek(&span.start)?;
    while cursor.key().is_some() {
        let state = ReplicaState::decode(cursor.value())?;
        states.insert(state.descriptor.id, state);
        cursor.next()?;
    }
    Ok(states)
}

/// The first ranges of a new cluster. Also after a crash before the first flush: the log, replayed, brings back the rest.
fn bootstrap(options: &Options, engine: &dyn Engine, states: &mut BTreeMap<RangeId, ReplicaState>) -> Result<()> {
    if !states.is_empty() {
        return Ok(());
    }
    let mut batch = WriteBatch::default();
    for descriptor in admin::bootstrap(&options.nodes) {
        let state = ReplicaState::initial(descriptor);
        state.put(&mut batch)?;
        states.insert(state.descriptor.id, state);
    }
    engine.write(&batch)
}

fn replica_status(replica: &Replica) -> ReplicaStatus {
    ReplicaStatus {
        range: replica.id(),
        descriptor: replica.descriptor().cloned(),
        leader: replica.leader_hint(),
        is_leader: replica.is_leader(),
        term: replica.term(),
        committed: replica.committed_index(),
        applied: replica.applied_index(),
        log_first: replica.log().truncated().0 + 1,
        log_last: replica.log().last(),
        requests: replica.requests_len(),
    }
}
