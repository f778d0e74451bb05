//! Messages of other replicas: what is let through to `raft`, and what must be done beside it.

use base::{Monotonic, NodeId};
use bytes::Bytes;
use protobuf::Message as _;
use raft::{
    StateRole,
    eraftpb::{EntryType, Message, MessageType},
};

use crate::{
    error::{Error, Result},
    peer::Envelope,
    range::{log::INITIAL_INDEX, replica::Replica},
    store::output::Context,
};

impl Replica {
    /// A message of another replica. Anything that does not make sense is dropped.
    pub fn step(&mut self, from: NodeId, envelope: Envelope, cx: &mut Context<'_>) -> Result<()> {
        let Some(mut message) = parse(&envelope.message, from, self.node) else {
            cx.out.count("raft_messages_malformed");
            return Ok(());
        };
        if self.restore.is_some() || !self.may_step(&message, cx) {
            return Ok(());
        }
        if self.state.is_none() {
            // A vote request may bring news of what is committed; not for whoever cannot apply it.
            (message.commit, message.commit_term) = (0, 0);
        }
        let raft = &mut self.raw.raft;
        match message.get_msg_type() {
            MessageType::MsgAppend => self.check_committed(&message)?,
            // A leader that remembers more of us than we do (a lost disk) must not make us commit what we do not have.
            MessageType::MsgHeartbeat if message.commit > raft.raft_log.last_index() => {
                let last = raft.raft_log.last_index();
                self.reject(&message, message.commit, last, cx);
                message.commit = last;
            }
            MessageType::MsgAppendResponse | MessageType::MsgHeartbeatResponse => {
                if let (Some(leading), Some(echo)) = (&mut self.leading, envelope.echo)
                    && message.term == leading.term
                {
                    leading.lease.acknowledge(from, Monotonic(echo));
                }
                if self.forget_progress(&message) {
                    return Ok(());
                }
            }
            _ => {}
        }
        let (term, commit, is_append) =
            (message.term, message.commit, message.get_msg_type() == MessageType::MsgAppend);
        // Errors are refusals of messages that came too late (an unknown peer, a dropped proposal): nothing to do.
        let _ = self.raw.step(message);
        self.pin(cx.options);
        let raft = &self.raw.raft;
        if let Some(stamp) = envelope.stamp
            && (raft.term, raft.leader_id, raft.state) == (term, from.0, StateRole::Follower)
        {
            self.echo.stepped(term, stamp);
            self.amnesia &= !(is_append && commit <= raft.raft_log.last_index());
            self.hear_promise(envelope.closed);
        }
        self.observe_role(cx)
    }

    /// Whether the message may reach `raft`. Answers for an uninitialised replica.
    fn may_step(&mut self, message: &Message, cx: &mut Context<'_>) -> bool {
        match message.get_msg_type() {
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => {
                cx.now >= self.quiet_until && !(self.amnesia && message.index > INITIAL_INDEX)
            }
            MessageType::MsgTimeoutNow => cx.now >= self.quiet_until && !self.amnesia,
            MessageType::MsgAppend | MessageType::MsgHeartbeat if self.state.is_none() => {
                self.ask_for_snapshot(message, cx);
                false
            }
            _ => self.state.is_some(),
        }
    }

    /// Tells the leader that there is nothing here to append to. Promises nothing: neither the term nor the leader is
    /// noted, and the stamp is not echoed.
    fn ask_for_snapshot(&mut self, message: &Message, cx: &mut Context<'_>) {
        if message.term < self.raw.raft.term {
            return;
        }
        self.contact = Some((NodeId(message.from), message.term));
        self.reject(message, message.index.max(1), 0, cx);
        if message.get_msg_type() == MessageType::MsgHeartbeat {
            // Has the leader try again, should it have been busy with another snapshot.
            let mut response = Message::default();
            response.set_msg_type(MessageType::MsgHeartbeatResponse);
            (response.from, response.to, response.term) = (self.node.0, message.from, message.term);
            self.send(response, cx);
        }
    }

    /// Rejects an entry at `index`: the log here ends at `last`.
    fn reject(&mut self, message: &Message, index: u64, last: u64, cx: &mut Context<'_>) {
        let mut response = Message::default();
        response.set_msg_type(MessageType::MsgAppendResponse);
        (response.from, response.to, response.term) = (self.node.0, message.from, message.term);
        (response.index, response.reject, response.reject_hint) = (index, true, last);
        self.send(response, cx);
    }

    /// A follower that rejects what it had acknowledged has lost its disk (or the response is a late copy, then this costs
    /// one more probe): its progress begins anew. `raft` would take the rejection for stale for ever.
    fn forget_progress(&mut self, message: &Message) -> bool {
        let raft = &mut self.raw.raft;
        let stale = message.get_msg_type() != MessageType::MsgAppendResponse || !message.reject;
        if stale || raft.state != StateRole::Leader || message.term != raft.term {
            return false;
        }
        let last = raft.raft_log.last_index();
        let Some(progress) = raft.mut_prs().get_mut(message.from) else { return false };
        if message.index > progress.matched {
            return false;
        }
        if message.reject_hint < progress.matched {
            progress.matched = 0;
            progress.become_probe();
            progress.next_idx = message.reject_hint.min(last) + 1;
            progress.recent_active = true;
            raft.send_append(message.from);
        }
        true
    }

    /// Raft's promise, checked at the last moment: what was committed here is never replaced.
    fn check_committed(&self, message: &Message) -> Result<()> {
        let (log, committed) = (&self.raw.raft.raft_log, self.raw.raft.raft_log.committed);
        if message.term < self.raw.raft.term {
            return Ok(());
        }
        for entry in message.entries.iter().filter(|entry| entry.index <= committed) {
            if log.term(entry.index).is_ok_and(|term| term != 0 && term != entry.term) {
                return Err(Error::Corrupt(format!(
                    "{}: committed entry {} would be replaced by one of term {}",
                    self.id, entry.index, entry.term
                )));
            }
        }
        Ok(())
    }
}

/// Whether the message is one with which a leader or a candidate makes itself known to a replica that does not exist yet.
pub fn is_contact(envelope: &Envelope, from: NodeId, to: NodeId) -> bool {
    parse(&envelope.message, from, to).is_some_and(|message| {
        matches!(
            message.get_msg_type(),
            MessageType::MsgAppend
                | MessageType::MsgHeartbeat
                | MessageType::MsgRequestVote
                | MessageType::MsgRequestPreVote
        )
    })
}

/// Parses and checks a message from the network. `raft` trusts what it is given and panics on some nonsense.
fn parse(bytes: &Bytes, from: NodeId, to: NodeId) -> Option<Message> {
    let message = Message::parse_from_carllerche_bytes(bytes).ok()?;
    let known = matches!(
        message.get_msg_type(),
        MessageType::MsgAppend
            | MessageType::MsgAppendResponse
            | MessageType::MsgHeartbeat
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVote
            | MessageType::MsgRequestPreVoteResponse
            | MessageType::MsgTimeoutNow
    );
    let addressed = message.from == from.0 && message.to == to.0 && message.term > 0;
    let in_order = message.entries.iter().zip(1..).all(|(entry, offset)| {
        entry.get_entry_type() == EntryType::EntryNormal
            && Some(entry.index) == message.index.checked_add(offset)
            && entry.term <= message.term
    });
    (known && addressed && in_order && message.snapshot.is_none() && message.request_snapshot == 0).then_some(message)
}
