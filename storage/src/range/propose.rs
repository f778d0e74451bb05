//! The leader's path of a request: admission, latches, evaluation, proposal, answer.
//!
//! ```text
//!             ┌────────── woken ◄─────────┐
//!             ▼                           │
//!  admit ► Latching ► (evaluate) ► Parked ┘
//!                          │  └──► answered (nothing to replicate)
//!                          └────► Proposed ► applied ► answered
//! ```
//!
//! Latches are held from evaluation to application, not while parked. All of this is volatile and ends with leadership.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base::{Monotonic, RangeId, Span, Timestamp};
use bytes::Bytes;

use crate::{
    engine::Reader,
    error::{Error, Result},
    evaluate::{Access, EvaluateContext, Outcome, Token},
    message::ResponseBody,
    oracle::SystemCommand,
    range::{
        apply::{Body, Proposal},
        latch::Latches,
        lease::Lease,
        replica::Replica,
    },
    store::{
        Options,
        output::{Context, Target, Upcall},
    },
};

/// A proposal greater than this is refused: it must fit into one message of the transport.
const PROPOSAL_BYTES_MAX: usize = 48 << 20;

/// What a replica has only while it leads.
pub struct Leading {
    pub term: u64,
    pub since: Monotonic,
    pub phase: Phase,
    pub lease: Lease,
    next_token: Token,
    latches: Latches,
    requests: BTreeMap<Token, Pending>,
    deadlines: BTreeSet<(Monotonic, Token)>,
    /// Hold their latches and are to be evaluated.
    runnable: VecDeque<Token>,
    proposed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of this term has been applied yet: committed writes of earlier terms may be missing.
    Electing,
    /// The timestamp cache has no lower bound yet.
    AwaitingLowWater,
    Serving,
}

struct Pending {
    target: Target,
    deadline: Monotonic,
    work: Work,
    accesses: Vec<Access>,
    stage: Stage,
}

enum Work {
    Command(Bytes),
    Split { key: Bytes, child: RangeId },
    System(SystemCommand),
}

enum Stage {
    Latching,
    Parked,
    Proposed { reply: Bytes },
}

impl Leading {
    pub fn new(term: u64, now: Monotonic) -> Leading {
        Leading {
            term,
            since: now,
            phase: Phase::Electing,
            lease: Lease::default(),
            next_token: 1,
            latches: Latches::default(),
            requests: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            runnable: VecDeque::new(),
            proposed: 0,
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token - 1
    }

    fn insert(&mut self, token: Token, pending: Pending) {
        if pending.deadline < Monotonic(u64::MAX) {
            self.deadlines.insert((pending.deadline, token));
        }
        self.proposed += usize::from(matches!(pending.stage, Stage::Proposed { .. }));
        self.requests.insert(token, pending);
    }

    fn remove(&mut self, token: Token) -> Option<Pending> {
        let pending = self.requests.remove(&token)?;
        self.deadlines.remove(&(pending.deadline, token));
        self.proposed -= usize::from(matches!(pending.stage, Stage::Proposed { .. }));
        Some(pending)
    }

    fn release(&mut self, token: Token) {
        let granted = self.latches.release(token);
        self.runnable.extend(granted);
    }

    /// The evaluator wants a parked request to be evaluated again.
    fn wake(&mut self, token: Token) {
        if let Some(pending) = self.requests.get_mut(&token)
            && matches!(pending.stage, Stage::Parked)
        {
            pending.stage = Stage::Latching;
            if self.latches.acquire(token, pending.accesses.clone()) {
                self.runnable.push_back(token);
            }
        }
    }
}

impl Replica {
    /// Whether this replica leads, knows all that was committed, and holds its lease; until when.
    pub fn leads_until(&self, now: Monotonic, options: &Options) -> Option<Monotonic> {
        let leading = self.leading.as_ref()?;
        let current = self.is_leader() && leading.term == self.term() && leading.phase != Phase::Electing;
        if current && options.faults.serve_after_lease {
            return Some(Monotonic(u64::MAX));
        }
        let voters = &self.descriptor()?.replicas;
        leading.lease.valid_until(self.node, voters, now, options.lease).filter(|_| current)
    }

    /// Whether requests may be evaluated; until when.
    pub fn serves_until(&self, now: Monotonic, options: &Options) -> Option<Monotonic> {
        self.leads_until(now, options)
            .filter(|_| self.leading.as_ref().is_some_and(|leading| leading.phase == Phase::Serving))
    }

    pub fn leading_since(&self) -> Option<Monotonic> {
        self.leading.as_ref().map(|leading| leading.since)
    }

    /// Requests in any stage.
    pub fn requests_len(&self) -> usize {
        self.leading.as_ref().map_or(0, |leading| leading.requests.len())
    }

    /// Timestamps up to `low_water` may have been read through earlier leaders, none above it.
    pub fn set_low_water(&mut self, term: u64, low_water: Timestamp, cx: &mut Context<'_>) -> Result<()> {
        match &mut self.leading {
            Some(leading) if leading.term == term && leading.phase == Phase::AwaitingLowWater => {
                leading.phase = Phase::Serving;
            }
            _ => return Ok(()),
        }
        self.evaluator.lead(low_water, cx.now);
        self.accept_heritage(term, cx);
        cx.out.upcalls.push_back(Upcall::Serving(self.id));
        self.resume(cx)
    }

    /// A request of a client.
    pub fn evaluate(
        &mut self,
        target: Target,
        deadline: Monotonic,
        epoch: u64,
        command: Bytes,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        let not_leader = ResponseBody::NotLeader { hint: self.leader_hint(), maybe_applied: false };
        let (Some(valid_until), Some(state)) = (self.serves_until(cx.now, cx.options), &self.state) else {
            cx.out.reply(target, not_leader, None);
            return Ok(());
        };
        let accesses = match self.evaluator.access(&command) {
            Ok(accesses) => accesses,
            Err(error) => return refuse(target, error, cx),
        };
        let covered = accesses.iter().all(|access| state.descriptor.span.covers(&access.span));
        if epoch != state.descriptor.epoch || !covered {
            cx.out.range_changed(target, union(&accesses));
            return Ok(());
        }
        let Some(leading) = &mut self.leading else { return Ok(()) };
        let waiting = leading.requests.len() - leading.proposed;
        if waiting >= cx.options.parked_max || leading.proposed >= cx.options.proposals_max {
            cx.out.count("requests_overloaded");
            cx.out.reply(target, ResponseBody::Overloaded(format!("{} has too many requests", self.id)), None);
            return Ok(());
        }
        cx.out.count("requests_evaluated");
        self.closing.used_at = Some(cx.now);
        let token = leading.token();
        let free = leading.latches.is_free(&accesses);
        let pending = Pending { target, deadline, work: Work::Command(command), accesses, stage: Stage::Latching };
        if free {
            // Needs no place in the queue unless it proposes something.
            self.execute(token, pending, false, valid_until, cx)?;
        } else {
            leading.latches.acquire(token, pending.accesses.clone());
            leading.insert(token, pending);
        }
        self.resume(cx)
    }

    /// Splits the range at `key`; answered when applied. The caller has checked that the key lies inside.
    pub fn split_at(&mut self, target: Target, key: Bytes, child: RangeId, cx: &mut Context<'_>) -> Result<bool> {
        let Some(span) = self.descriptor().map(|descriptor| descriptor.span.clone()) else { return Ok(false) };
        let Some(leading) = &mut self.leading else { return Ok(false) };
        // Nothing may be in flight that was evaluated against the undivided range.
        let accesses = vec![Access { span, exclusive: true }];
        let token = leading.token();
        let pending = Pending {
            target,
            deadline: Monotonic(u64::MAX),
            work: Work::Split { key, child },
            accesses: accesses.clone(),
            stage: Stage::Latching,
        };
        leading.insert(token, pending);
        if leading.latches.acquire(token, accesses) {
            leading.runnable.push_back(token);
        }
        self.resume(cx)?;
        Ok(true)
    }

    /// Proposes a command of the system range. False when it was dropped.
    pub fn propose_system(&mut self, target: Target, command: SystemCommand, cx: &mut Context<'_>) -> bool {
        let Some(leading) = &mut self.leading else { return false };
        let token = leading.token();
        let pending = Pending {
            target,
            deadline: Monotonic(u64::MAX),
            work: Work::System(command.clone()),
            accesses: Vec::new(),
            stage: Stage::Latching,
        };
        self.propose(token, pending, Body::System(command), Bytes::new(), cx).is_none()
    }

    /// Evaluates whatever can be, until nothing more can.
    pub(super) fn resume(&mut self, cx: &mut Context<'_>) -> Result<()> {
        loop {
            let woken = self.evaluator.take_woken();
            let Some(leading) = &mut self.leading else { return Ok(()) };
            for token in woken {
                leading.wake(token);
            }
            let Some(token) = leading.runnable.pop_front() else { return Ok(()) };
            if let Some(pending) = leading.remove(token) {
                self.run(token, pending, cx)?;
            }
        }
    }

    /// The request holds its latches; its turn has come. The world may have changed while it waited.
    fn run(&mut self, token: Token, pending: Pending, cx: &mut Context<'_>) -> Result<()> {
        let valid_until = self.serves_until(cx.now, cx.options);
        let covered = self
            .descriptor()
            .is_some_and(|descriptor| pending.accesses.iter().all(|access| descriptor.span.covers(&access.span)));
        let (Some(valid_until), true) = (valid_until, covered) else {
            self.evaluator.cancel(token);
            if covered {
                let body = ResponseBody::NotLeader { hint: self.leader_hint(), maybe_applied: false };
                cx.out.reply(pending.target, body, None);
            } else {
                cx.out.range_changed(pending.target, union(&pending.accesses));
            }
            self.release(token);
            return Ok(());
        };
        match &pending.work {
            Work::Command(_) => self.execute(token, pending, true, valid_until, cx),
            Work::Split { key, child } => {
                let body = Body::Split { key: key.clone(), child: *child };
                self.propose(token, pending, body, Bytes::new(), cx);
                Ok(())
            }
            Work::System(command) => {
                let body = Body::System(command.clone());
                self.propose(token, pending, body, Bytes::new(), cx);
                Ok(())
            }
        }
    }

    fn execute(
        &mut self,
        token: Token,
        mut pending: Pending,
        latched: bool,
        valid_until: Monotonic,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        let (Some(state), Work::Command(command)) = (&self.state, &pending.work) else { return Ok(()) };
        let context = EvaluateContext { now: cx.now, descriptor: &state.descriptor };
        let reader: &dyn Reader = cx.engine;
        match self.evaluator.evaluate(token, command, context, reader) {
            Ok(Outcome::Reply(reply)) => {
                self.heat.read();
                cx.out.reply(pending.target, ResponseBody::Evaluated { reply, replicated: false }, Some(valid_until));
                self.release(token);
            }
            Ok(Outcome::Propose { batch, reply }) => {
                self.heat.write();
                if !latched && let Some(leading) = &mut self.leading {
                    let granted = leading.latches.acquire(token, pending.accesses.clone());
                    assert!(granted, "the latches were free");
                }
                self.propose(token, pending, Body::Write(batch), reply, cx);
            }
            Ok(Outcome::Blocked) => {
                self.release(token);
                pending.stage = Stage::Parked;
                if let Some(leading) = &mut self.leading {
                    leading.insert(token, pending);
                }
            }
            Err(error) => {
                self.evaluator.cancel(token);
                self.release(token);
                return refuse(pending.target, error, cx);
            }
        }
        Ok(())
    }

    fn release(&mut self, token: Token) {
        if let Some(leading) = &mut self.leading {
            leading.release(token);
        }
    }

    /// Hands a body to Raft. Returns the target (answered already) when that was not possible.
    fn propose(
        &mut self,
        token: Token,
        mut pending: Pending,
        body: Body,
        reply: Bytes,
        cx: &mut Context<'_>,
    ) -> Option<Target> {
        let epoch = self.descriptor().map_or(0, |descriptor| descriptor.epoch);
        let proposal = Proposal { proposer: self.node, id: token, epoch, body };
        let failure = match proposal.encode() {
            Err(error) => ResponseBody::Refused(error.to_string()),
            Ok(data) if data.len() > PROPOSAL_BYTES_MAX => {
                ResponseBody::Refused(format!("a write of {} bytes is too large", data.len()))
            }
            Ok(data) => match self.raw.propose(Vec::new(), data) {
                Ok(()) => {
                    cx.out.count("proposals");
                    if cx.options.faults.ack_before_quorum && matches!(pending.work, Work::Command(_)) {
                        let body = ResponseBody::Evaluated { reply: reply.clone(), replicated: true };
                        cx.out.reply(pending.target, body, None);
                    }
                    pending.stage = Stage::Proposed { reply };
                    if let Some(leading) = &mut self.leading {
                        leading.insert(token, pending);
                    }
                    return None;
                }
                Err(_) if self.raw.raft.lead_transferee.is_some() || !self.is_leader() => {
                    ResponseBody::NotLeader { hint: self.leader_hint(), maybe_applied: false }
                }
                Err(error) => ResponseBody::Overloaded(error.to_string()),
            },
        };
        if matches!(pending.work, Work::Command(_)) {
            self.evaluator.finished(token, false);
        }
        self.release(token);
        cx.out.reply(pending.target, failure, None);
        Some(pending.target)
    }

    /// The entry of a command was applied, or rejected because the range is another now.
    pub(super) fn end_command(&mut self, token: Token, rejected: Option<Span>, cx: &mut Context<'_>) -> Result<()> {
        let Some(pending) = self.leading.as_mut().and_then(|leading| leading.remove(token)) else { return Ok(()) };
        self.release(token);
        if matches!(pending.work, Work::Command(_)) {
            self.evaluator.finished(token, rejected.is_none());
        }
        match (rejected, pending.stage) {
            (Some(_), _) => cx.out.range_changed(pending.target, union(&pending.accesses)),
            (None, Stage::Proposed { reply }) => {
                cx.out.reply(pending.target, ResponseBody::Evaluated { reply, replicated: true }, None);
            }
            (None, _) => {}
        }
        self.resume(cx)
    }

    /// Whether the token names a split or a command of the system range.
    pub(super) fn is_internal(&self, token: Token) -> bool {
        let pending = self.leading.as_ref().and_then(|leading| leading.requests.get(&token));
        pending.is_some_and(|pending| !matches!(pending.work, Work::Command(_)))
    }

    /// Ends a split or a command of the system range; who waits for it.
    pub(super) fn end_internal(&mut self, token: Token, _cx: &mut Context<'_>) -> Option<Target> {
        let pending = self.leading.as_mut()?.remove(token)?;
        self.release(token);
        Some(pending.target)
    }

    /// Leadership is over. What was proposed may still be applied by the next leader; the rest was never executed.
    pub(super) fn unlead(&mut self, cx: &mut Context<'_>) {
        let Some(leading) = self.leading.take() else { return };
        let hint = self.leader_hint();
        for (token, pending) in leading.requests {
            let maybe_applied = matches!(pending.stage, Stage::Proposed { .. });
            if maybe_applied && matches!(pending.work, Work::Command(_)) {
                self.evaluator.finished(token, false);
            }
            cx.out.reply(pending.target, ResponseBody::NotLeader { hint, maybe_applied }, None);
        }
        if leading.phase == Phase::Serving {
            self.evaluator.unlead();
        }
        // Whoever was woken by that is gone already.
        self.evaluator.take_woken();
    }

    pub(super) fn tick_leader(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Some(leading) = &mut self.leading else { return Ok(()) };
        if leading.lease.is_forfeited() && self.raw.raft.lead_transferee.is_none() {
            return self.step_down(cx);
        }
        if leading.phase != Phase::Serving {
            return Ok(());
        }
        self.evaluator.tick(cx.now);
        self.expire(cx);
        self.resume(cx)
    }

    fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(leading) = &mut self.leading
            && let Some((_, token)) = leading.deadlines.first().copied().filter(|(deadline, _)| *deadline <= cx.now)
            && let Some(mut pending) = leading.remove(token)
        {
            let maybe_applied = matches!(pending.stage, Stage::Proposed { .. });
            cx.out.reply(pending.target, ResponseBody::Timeout { maybe_applied }, None);
            if maybe_applied {
                (pending.target, pending.deadline) = (Target::Nobody, Monotonic(u64::MAX));
                leading.insert(token, pending);
            } else {
                leading.release(token);
                self.evaluator.cancel(token);
            }
        }
    }

    /// The client is gone: nobody waits for its requests any more.
    pub fn client_gone(&mut self, gone: crate::message::ClientId, cx: &mut Context<'_>) -> Result<()> {
        let Some(leading) = &mut self.leading else { return Ok(()) };
        let tokens: Vec<Token> = leading
            .requests
            .iter()
            .filter(|(_, pending)| matches!(pending.target, Target::Client { client, .. } if client == gone))
            .map(|(token, _)| *token)
            .collect();
        for token in tokens {
            let Some(leading) = &mut self.leading else { break };
            let Some(mut pending) = leading.remove(token) else { continue };
            if matches!(pending.stage, Stage::Proposed { .. }) || !matches!(pending.work, Work::Command(_)) {
                pending.target = Target::Nobody;
                leading.insert(token, pending);
            } else {
                leading.release(token);
                self.evaluator.cancel(token);
            }
        }
        self.resume(cx)
    }
}

fn refuse(target: Target, error: Error, cx: &mut Context<'_>) -> Result<()> {
    match error {
        Error::Corrupt(_) => Err(error),
        Error::Refused(reason) => {
            cx.out.reply(target, ResponseBody::Refused(reason), None);
            Ok(())
        }
        Error::Overloaded(reason) => {
            cx.out.reply(target, ResponseBody::Overloaded(reason), None);
            Ok(())
        }
        other => {
            cx.out.reply(target, ResponseBody::Refused(other.to_string()), None);
            Ok(())
        }
    }
}

/// The least span that holds all of them.
pub fn union(accesses: &[Access]) -> Span {
    let Some(first) = accesses.first() else { return Span::all() };
    let mut all = first.span.clone();
    for access in &accesses[1..] {
        all.start = all.start.min(access.span.start.clone());
        all.end = match all.end.is_empty() || access.span.end.is_empty() {
            true => Bytes::new(),
            false => all.end.max(access.span.end.clone()),
        };
    }
    all
}
