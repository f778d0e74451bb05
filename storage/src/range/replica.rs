//! One replica of one range: wraps `raft`'s `RawNode`, moves its messages and entries, knows whether it may serve.
//!
//! A replica is *uninitialised* while it does not know its range: another node's leader contacted it before the split
//! that creates it was applied here, or instead of it (the parent came by snapshot). It remembers its vote, votes, asks
//! for a snapshot, and does nothing else.

use std::collections::VecDeque;

use base::{Monotonic, NodeId, RangeId, Rng};
use bytes::Bytes;
use protobuf::Message as _;
use raft::{
    RawNode, StateRole,
    eraftpb::{Message, MessageType},
};

use crate::{
    engine::WriteBatch,
    error::{Error, Result},
    evaluate::Evaluate,
    log::{HardState, LogRecord, LogState},
    message::ResponseBody,
    oracle::SystemState,
    peer::Envelope,
    range::{
        Descriptor, SYSTEM_RANGE,
        apply::ReplicaState,
        closed::Closing,
        heritage::Heritage,
        lease::Echo,
        log::Log,
        propose::{Leading, Phase},
        snapshot::Restore,
    },
    slog_adapter,
    store::{
        Options,
        output::{Context, Target, Upcall},
    },
};

/// Entries of one append message, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Above this an append message is cut; one entry may still be larger.
const APPEND_BYTES_MAX: u64 = 4 << 20;
/// Committed entries applied in one write, in bytes.
const APPLY_BYTES_MAX: u64 = 16 << 20;
/// Entries proposed and not committed, in bytes; above it proposals are refused.
const UNCOMMITTED_BYTES_MAX: u64 = 256 << 20;
const INFLIGHT_MESSAGES_MAX: usize = 256;

pub struct Replica {
    pub(super) id: RangeId,
    pub(super) node: NodeId,
    /// `None`: uninitialised.
    pub(super) state: Option<ReplicaState>,
    pub(super) raw: RawNode<Log>,
    /// Steps whose log records are not durable yet, in order.
    unpersisted: VecDeque<Unpersisted>,
    pub(super) echo: Echo,
    /// Neither votes nor campaigns before this moment: it may have promised a leader its lease and forgotten.
    pub(super) quiet_until: Monotonic,
    /// The disk was empty when the node started. If the disk was lost, votes and acknowledged entries were too: no vote
    /// for anybody who is further, until a leader has brought this replica up to date.
    pub(super) amnesia: bool,
    /// Uninitialised: the leader that was told to send a snapshot, and its term.
    pub(super) contact: Option<(NodeId, u64)>,
    /// A snapshot is in the engine and not yet durable there; meanwhile Raft stands still.
    pub(super) restore: Option<Restore>,
    pub(super) leading: Option<Leading>,
    pub(super) evaluator: Box<dyn Evaluate>,
    pub(super) heritage: Heritage,
    pub(super) closing: Closing,
    /// Range 1 only.
    pub(super) system: Option<SystemState>,
    pub(super) rng: Rng,
    /// Counted while it leads.
    pub(super) heat: super::heat::HeatCounter,
    /// [`crate::store::Faults::apply_twice`].
    pub(super) planted: Vec<(u64, WriteBatch)>,
}

struct Unpersisted {
    sequence: u64,
    /// Of the ready; 0 when it belongs to a `RawNode` that is gone.
    number: u64,
    messages: Vec<Message>,
}

/// What a replica starts from.
pub struct Origin {
    pub id: RangeId,
    pub state: Option<ReplicaState>,
    pub log: LogState,
    pub evaluator: Box<dyn Evaluate>,
    pub system: Option<SystemState>,
    pub rng: Rng,
    pub amnesia: bool,
}

impl Replica {
    /// Returns the replica, and a record when the log had to be brought in line with the engine: the engine holds a
    /// snapshot whose log record was lost in a crash.
    ///
    /// The record will be logged with `sequence`.
    pub fn open(
        origin: Origin,
        sequence: u64,
        options: &Options,
        now: Monotonic,
    ) -> Result<(Replica, Option<LogRecord>)> {
        let mut log = Log::load(&origin.log)?;
        let record = match &origin.state {
            Some(state) => align(&mut log, origin.id, state),
            None => {
                // Nothing can be applied yet, so nothing is committed as far as `raft` is concerned. It will learn.
                let hard_state = HardState { commit: log.truncated().0, ..log.hard_state() };
                log.set_hard_state(hard_state);
                None
            }
        };
        let mut replica = Replica {
            id: origin.id,
            node: options.node,
            raw: raw_node(options, log, origin.state.as_ref())?,
            state: origin.state,
            unpersisted: VecDeque::new(),
            echo: Echo::default(),
            quiet_until: now,
            amnesia: origin.amnesia,
            contact: None,
            restore: None,
            leading: None,
            evaluator: origin.evaluator,
            heritage: Heritage::default(),
            closing: Closing::default(),
            system: origin.system,
            rng: origin.rng,
            heat: Default::default(),
            planted: Vec::new(),
        };
        if record.is_some() {
            replica.unpersisted.push_back(Unpersisted { sequence, number: 0, messages: Vec::new() });
        }
        replica.keep_quiet(options, now);
        replica.pin(options);
        Ok((replica, record))
    }

    pub fn id(&self) -> RangeId {
        self.id
    }

    pub fn descriptor(&self) -> Option<&Descriptor> {
        self.state.as_ref().map(|state| &state.descriptor)
    }

    pub fn applied_index(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.applied_index)
    }

    pub fn system(&self) -> Option<&SystemState> {
        self.system.as_ref()
    }

    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    pub fn log(&self) -> &Log {
        self.raw.raft.store()
    }

    pub fn role(&self) -> StateRole {
        self.raw.raft.state
    }

    pub fn committed_index(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }

    pub fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// Who leads, as far as this replica knows. Not itself while it hands over.
    pub fn leader_hint(&self) -> Option<NodeId> {
        let known = match (self.is_leader(), self.raw.raft.lead_transferee) {
            (true, Some(to)) => to,
            _ => self.raw.raft.leader_id,
        };
        (known != raft::INVALID_ID).then_some(NodeId(known))
    }

    pub(super) fn initialized_state(&mut self) -> Result<&mut ReplicaState> {
        let id = self.id;
        self.state.as_mut().ok_or_else(|| Error::Corrupt(format!("{id} applies an entry without knowing its span")))
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.state.is_none() || self.restore.is_some() {
            return Ok(());
        }
        if self.is_leader() || cx.now >= self.quiet_until {
            self.raw.tick();
            self.pin(cx.options);
        }
        self.observe_role(cx)?;
        self.tick_leader(cx)
    }

    /// Begins an election (pre-vote first), unless it leads already.
    pub fn campaign(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.state.is_some() && self.restore.is_none() && !self.is_leader() && cx.now >= self.quiet_until {
            let _ = self.raw.campaign();
            self.pin(cx.options);
        }
        self.observe_role(cx)
    }

    /// Moves what `raft` has ready. True when there was something.
    pub fn process_ready(&mut self, cx: &mut Context<'_>) -> Result<bool> {
        if let Some(to) = self.log().take_snapshot_wanted() {
            cx.out.upcalls.push_back(Upcall::SnapshotWanted { range: self.id, to: NodeId(to) });
        }
        if self.restore.is_some() || !self.raw.has_ready() {
            return Ok(false);
        }
        let mut ready = self.raw.ready();
        for message in ready.take_messages() {
            self.send(message, cx);
        }
        let held = ready.take_persisted_messages();
        if let Some(hard_state) = ready.hs() {
            let hard_state = HardState { term: hard_state.term, vote: hard_state.vote, commit: hard_state.commit };
            self.raw.mut_store().set_hard_state(hard_state);
        }
        if !ready.snapshot().is_empty() {
            return Err(Error::Corrupt(format!("{}: a snapshot inside a Raft message", self.id)));
        }
        let entries = ready.take_entries();
        let encoded = self.raw.mut_store().append(&entries)?;
        let sequence = if ready.must_sync() {
            let first_index = entries.first().map_or(self.log().last() + 1, |entry| entry.index);
            *cx.out.counters.entry("entries_appended").or_default() += entries.len() as u64;
            let hard_state = Some(self.log().hard_state());
            cx.out.log.push(LogRecord::Append { range: self.id, hard_state, first_index, entries: encoded });
            Some(cx.out.sequence)
        } else {
            self.unpersisted.back().map(|last| last.sequence)
        };
        let committed = ready.take_committed_entries();
        let number = ready.number();
        self.raw.advance_append_async(ready);
        match sequence {
            Some(sequence) if !cx.options.faults.ack_before_fsync => {
                self.unpersisted.push_back(Unpersisted { sequence, number, messages: held });
            }
            _ => self.on_persisted(number, held, cx),
        }
        if let Some(last) = committed.last().map(|entry| entry.index) {
            self.apply_entries(&committed, cx)?;
            self.raw.advance_apply_to(last);
        }
        self.observe_role(cx)?;
        self.begin_serving(cx);
        Ok(true)
    }

    /// All log records up to `sequence` are durable. True when that concerns this replica.
    pub fn persisted(&mut self, sequence: u64, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while self.unpersisted.front().is_some_and(|first| first.sequence <= sequence) {
            if let Some(step) = self.unpersisted.pop_front() {
                self.on_persisted(step.number, step.messages, cx);
                any = true;
            }
        }
        any
    }

    fn on_persisted(&mut self, number: u64, messages: Vec<Message>, cx: &mut Context<'_>) {
        if number > 0 {
            self.raw.on_persist_ready(number);
        }
        for message in messages {
            self.send(message, cx);
        }
    }

    pub(super) fn is_persisted(&self) -> bool {
        self.unpersisted.is_empty()
    }

    pub(super) fn send(&mut self, message: Message, cx: &mut Context<'_>) {
        for message in cut(message) {
            let Ok(bytes) = message.write_to_bytes() else { return };
            let kind = message.get_msg_type();
            let from_leader = matches!(kind, MessageType::MsgAppend | MessageType::MsgHeartbeat);
            let response = matches!(kind, MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse);
            let echo = if response { self.echo.of_term(message.term) } else { None };
            cx.out.count("raft_messages_sent");
            cx.out.envelopes.entry(NodeId(message.to)).or_default().push(Envelope {
                range: self.id,
                stamp: from_leader.then_some(cx.now.0),
                echo,
                message: Bytes::from(bytes),
                closed: if kind == MessageType::MsgHeartbeat { self.promise() } else { None },
            });
        }
    }

    /// Notices that leadership began or ended.
    pub(super) fn observe_role(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let term = self.is_leader().then_some(self.raw.raft.term);
        if self.leading_term() == term {
            return Ok(());
        }
        if self.leading.is_some() {
            self.unlead(cx);
            cx.out.upcalls.push_back(Upcall::Unled(self.id));
        }
        if let Some(term) = term {
            self.leading = Some(Leading::new(term, cx.now));
            cx.out.count("leaderships");
        }
        Ok(())
    }

    /// A leader has applied an entry of its own term: only now does it know everything that was committed before.
    fn begin_serving(&mut self, cx: &mut Context<'_>) {
        let applied_term = self.state.as_ref().map_or(0, |state| state.applied_term);
        if let Some(leading) = &mut self.leading
            && leading.phase == Phase::Electing
            && leading.term == applied_term
        {
            leading.phase = Phase::AwaitingLowWater;
            cx.out.upcalls.push_back(Upcall::NeedLowWater(self.id));
        }
    }

    /// Hands leadership to another replica. The lease ends at once and for this term: `raft` lets the others vote for it
    /// in spite of the lease, and nobody knows when the order arrives.
    pub fn transfer_leader(&mut self, to: NodeId, target: Target, cx: &mut Context<'_>) {
        let known = self.descriptor().is_some_and(|descriptor| descriptor.replicas.contains(&to));
        let body = match self.leading.as_mut() {
            _ if !known => ResponseBody::Refused(format!("{to} holds no replica of {}", self.id)),
            Some(_) if to == self.node => ResponseBody::Done,
            // The attempt would cost the lease and come to nothing.
            Some(_) if !self.raw.raft.prs().get(to.0).is_some_and(follows) => {
                ResponseBody::Refused(format!("{to} is not following {}", self.id))
            }
            Some(leading) if self.raw.raft.state == StateRole::Leader => {
                leading.lease.forfeit();
                self.bequeath(to, cx);
                self.raw.transfer_leader(to.0);
                cx.out.count("leader_transfers");
                ResponseBody::Done
            }
            _ => ResponseBody::NotLeader { hint: self.leader_hint(), maybe_applied: false },
        };
        cx.out.reply(target, body, None);
    }

    /// Gives up leadership when a hand-over came to nothing: without a lease this term is of no use.
    pub(super) fn step_down(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
        self.pin(cx.options);
        self.observe_role(cx)
    }

    /// Whether the replica on `node` has everything that is committed, as this leader knows.
    pub fn is_caught_up(&self, node: NodeId) -> bool {
        let committed = self.committed_index();
        self.raw.raft.prs().get(node.0).is_some_and(|progress| progress.matched >= committed && follows(progress))
    }

    /// The last entry that the replica on `node` is known to have; leaders only.
    pub fn matched(&self, node: NodeId) -> Option<u64> {
        self.is_leader().then(|| self.raw.raft.prs().get(node.0).map(|progress| progress.matched))?
    }

    /// Forgets the log up to `index`.
    pub fn truncate(&mut self, index: u64, cx: &mut Context<'_>) {
        let index = index.min(self.applied_index());
        if self.state.is_some()
            && self.restore.is_none()
            && let Some(term) = self.raw.mut_store().truncate(index)
        {
            cx.out.log.push(LogRecord::Truncate { range: self.id, index, term });
        }
    }

    /// Becomes the replica that `state` describes: by a split (the log may already reach further: this replica had been
    /// initialised before a crash, or the entries were appended before) or by a snapshot. Keeps term and vote.
    pub(super) fn rebuild(&mut self, state: ReplicaState, cx: &mut Context<'_>) -> Result<()> {
        let mut log = std::mem::take(self.raw.mut_store());
        if let Some(record) = align(&mut log, self.id, &state) {
            cx.out.log.push(record);
            // Nothing that this replica says from now on may leave before the record is durable.
            let sequence = cx.out.sequence;
            self.unpersisted.push_back(Unpersisted { sequence, number: 0, messages: Vec::new() });
        }
        for step in &mut self.unpersisted {
            step.number = 0;
        }
        self.raw = raw_node(cx.options, log, Some(&state))?;
        self.state = Some(state);
        self.keep_quiet(cx.options, cx.now);
        self.pin(cx.options);
        Ok(())
    }

    /// A split applied on this node created the range of this uninitialised replica.
    pub fn initialize(&mut self, state: ReplicaState, cx: &mut Context<'_>) -> Result<()> {
        // An uninitialised replica echoes no stamps: there is no lease that it could break by campaigning at once.
        let quiet_until = self.quiet_until;
        self.rebuild(state, cx)?;
        self.quiet_until = quiet_until;
        if let Some((leader, term)) = self.contact.take() {
            self.announce(leader, term, cx);
        }
        Ok(())
    }

    /// Tells a leader where this replica is: it need not send a snapshot, or the one it sent has arrived.
    pub(super) fn announce(&mut self, leader: NodeId, term: u64, cx: &mut Context<'_>) {
        if term < self.term() {
            return;
        }
        let committed = self.committed_index();
        let mut response = Message::default();
        response.set_msg_type(MessageType::MsgAppendResponse);
        (response.from, response.to, response.term) = (self.node.0, leader.0, term);
        (response.index, response.commit) = (committed, committed);
        match self.unpersisted.back_mut() {
            Some(last) if !cx.options.faults.ack_before_fsync => last.messages.push(response),
            _ => self.send(response, cx),
        }
    }

    /// A snapshot was offered that this replica does not need.
    pub fn decline_snapshot(&mut self, leader: NodeId, index: u64, term: u64, cx: &mut Context<'_>) {
        if self.state.is_some() && self.restore.is_none() && !self.is_leader() && index <= self.applied_index() {
            self.announce(leader, term, cx);
        }
    }

    /// Lets followers know at once what is committed.
    pub(super) fn broadcast_commit(&mut self) {
        if self.is_leader() {
            self.raw.raft.bcast_append();
        }
    }

    fn keep_quiet(&mut self, options: &Options, now: Monotonic) {
        if options.nodes.len() > 1 {
            self.quiet_until = now + options.election_timeout();
        }
    }

    /// The replica is new: before this moment (the start of the node) at the latest it may have promised anything.
    pub fn quiet_until(&mut self, until: Monotonic) {
        self.quiet_until = until;
    }

    /// Whether this replica waits for somebody to take the lead and could do so itself.
    pub fn is_leaderless(&self, now: Monotonic) -> bool {
        self.state.is_some() && self.raw.raft.leader_id == raft::INVALID_ID && now >= self.quiet_until
    }

    /// `raft` draws election timeouts from the thread's own randomness; replaced after every input, so that a seed
    /// replays exactly.
    pub(super) fn pin(&mut self, options: &Options) {
        let raft = &mut self.raw.raft;
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for part in [self.id.0, self.node.0, raft.term] {
            hash = (hash ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        raft.set_randomized_election_timeout(options.election_ticks + (hash % options.election_ticks as u64) as usize);
    }

    pub(super) fn leading_term(&self) -> Option<u64> {
        self.leading.as_ref().map(|leading| leading.term)
    }

    /// The greatest key up to `engine_key` at which the range may be cut.
    pub fn split_key(&self, engine_key: &[u8]) -> Bytes {
        self.evaluator.split_key(engine_key)
    }

    pub(super) fn is_system(&self) -> bool {
        self.id == SYSTEM_RANGE
    }
}

/// Makes the log agree with what the engine holds: when it does not contain the engine's last applied entry, the engine
/// is ahead by a snapshot (or a split), and the log begins after it.
fn align(log: &mut Log, range: RangeId, state: &ReplicaState) -> Option<LogRecord> {
    let (index, term) = (state.applied_index, state.applied_term);
    let mut record = None;
    let truncated = log.truncated().0;
    if log.term_of(index) != Some(term) && index >= truncated {
        log.reset(index, term);
        record = Some(LogRecord::Reset { range, hard_state: log.hard_state(), index, term });
    }
    let mut hard_state = log.hard_state();
    hard_state.commit = hard_state.commit.max(index).min(log.last());
    log.set_hard_state(hard_state);
    log.set_voters(&state.descriptor.replicas);
    record
}

fn raw_node(options: &Options, log: Log, state: Option<&ReplicaState>) -> Result<RawNode<Log>> {
    let applied = state.map_or(log.truncated().0, |state| state.applied_index);
    if applied < log.truncated().0 {
        return Err(Error::Corrupt(format!(
            "the log begins at {} but the engine ends at {applied}",
            log.truncated().0 + 1
        )));
    }
    let config = raft::Config {
        id: options.node.0,
        election_tick: options.election_ticks,
        heartbeat_tick: options.heartbeat_ticks,
        applied: if state.is_some() { applied } else { 0 },
        max_size_per_msg: MESSAGE_BYTES_MAX,
        max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
        check_quorum: !options.faults.serve_after_lease,
        pre_vote: true,
        batch_append: true,
        // Followers learn what is committed with the next append or heartbeat; nobody waits for them to apply.
        skip_bcast_commit: true,
        max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
        max_committed_size_per_ready: APPLY_BYTES_MAX,
        ..raft::Config::default()
    };
    RawNode::new(&config, log, &slog_adapter::logger()).map_err(|error| Error::Corrupt(format!("raft: {error}")))
}

/// Whether a follower takes entries as they come. (`recent_active` would not do: it is false for a moment in every
/// election timeout, which periodic checks may meet every time.)
fn follows(progress: &raft::Progress) -> bool {
    progress.state == raft::ProgressState::Replicate
}

/// `raft` gathers all entries of a step into one message, however many they are. Cuts it where it becomes too large for
/// the transport.
fn cut(mut message: Message) -> Vec<Message> {
    let total: u64 = message.entries.iter().map(|entry| entry.data.len() as u64).sum();
    if message.entries.len() < 2 || total <= APPEND_BYTES_MAX {
        return vec![message];
    }
    let entries = message.take_entries();
    let mut messages = Vec::new();
    let mut part = message.clone();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.data.len() as u64;
        if let Some(last) = part.entries.last().filter(|_| bytes > APPEND_BYTES_MAX) {
            let mut next = message.clone();
            (next.index, next.log_term) = (last.index, last.term);
            bytes = entry.data.len() as u64;
            messages.push(std::mem::replace(&mut part, next));
        }
        part.mut_entries().push(entry);
    }
    messages.push(part);
    messages
}

#[cfg(test)]
mod tests {
    use raft::eraftpb::Entry;

    use super::*;

    #[test]
    fn a_large_append_is_cut_into_a_chain() {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        (message.index, message.log_term) = (10, 2);
        for index in 11..=20 {
            let mut entry = Entry::default();
            (entry.index, entry.term) = (index, 3);
            entry.data = vec![0; APPEND_BYTES_MAX as usize / 3].into();
            message.mut_entries().push(entry);
        }
        let parts = cut(message);
        assert_eq!(parts.len(), 4);
        let (mut index, mut term) = (10, 2);
        for part in &parts {
            assert_eq!((part.index, part.log_term), (index, term));
            let last = part.entries.last().unwrap();
            (index, term) = (last.index, last.term);
        }
        assert_eq!(index, 20);
    }
}
