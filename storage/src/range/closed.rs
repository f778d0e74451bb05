//! Closed timestamps: promises that nothing is written at or below a timestamp any more, and reads by followers that rest on
//! them.
//!
//! ```text
//! leader    closes c: the evaluator refuses writes at or below c from here on; what was proposed before ends at index i
//!           ──heartbeat (c, i)──►  follower   has applied i: all that is ever written at or below c is here
//! ```
//!
//! Why a promise holds for ever, over changes of leader: it is made under the lease, so no other leader serves yet, and the
//! next one begins above a timestamp that is handed out after that lease. What lies before `i` in any later log is what lay
//! before `i` in the log of the leader that made the promise (it serves only after an entry of its own term is committed), or
//! was evaluated by a later leader, above `c`. So the index alone tells.

use std::{collections::VecDeque, time::Duration};

use base::{Monotonic, Timestamp};
use bytes::Bytes;

use crate::{
    error::Result,
    message::ResponseBody,
    peer::Closed,
    range::{propose::union, replica::Replica},
    store::{
        Options,
        output::{Context, Target},
    },
};

/// A range that nobody has asked for anything for so long makes no promises: an idle cluster keeps quiet. The first read wakes
/// it, by way of the leader.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// Promises that wait for their index; more are not remembered, the next one will do.
const PENDING_MAX: usize = 8;

/// The promises that a replica has made (leader) or heard of (follower).
#[derive(Debug, Default)]
pub struct Closing {
    /// The last one made, and in which term.
    made: Option<(u64, Closed)>,
    /// When this replica was last asked for anything as the leader.
    pub(super) used_at: Option<Monotonic>,
    /// Heard of, and not all applied yet; by timestamp.
    pending: VecDeque<Closed>,
    /// Kept by what is applied here.
    holds: Timestamp,
}

impl Closing {
    fn hear(&mut self, promise: Closed) {
        let newest = self.pending.back().map_or(self.holds, |last| last.timestamp);
        if promise.timestamp > newest && self.pending.len() < PENDING_MAX {
            self.pending.push_back(promise);
        }
    }

    /// The greatest timestamp that is closed here, with everything up to `applied`.
    fn closed(&mut self, applied: u64) -> Timestamp {
        while let Some(promise) = self.pending.front().filter(|promise| promise.index <= applied) {
            self.holds = self.holds.max(promise.timestamp);
            self.pending.pop_front();
        }
        self.holds
    }
}

impl Replica {
    /// Promises that nothing is written at or below `timestamp` any more, if this replica serves.
    pub fn close(&mut self, timestamp: Timestamp, cx: &mut Context<'_>) {
        if self.serves_until(cx.now, cx.options).is_none() || self.is_system() {
            return;
        }
        if self.evaluator.close(timestamp) {
            let index = self.raw.raft.raft_log.last_index();
            self.closing.made = Some((self.term(), Closed { timestamp, index }));
        }
    }

    /// Whether promises of this replica are of use to anybody.
    pub fn wants_closing(&self, now: Monotonic) -> bool {
        let used = self.closing.used_at.is_some_and(|at| now.since(at) < IDLE_AFTER);
        used && self.is_leader() && !self.is_system()
    }

    /// What to tell followers. A promise of an earlier term is as good, but its index may be another entry in this log.
    pub(super) fn promise(&self) -> Option<Closed> {
        self.closing.made.filter(|(term, _)| self.leading_term() == Some(*term)).map(|(_, closed)| closed)
    }

    /// A message of the leader brought its promise.
    pub(super) fn hear_promise(&mut self, promise: Option<Closed>) {
        if let Some(promise) = promise {
            self.closing.hear(promise);
        }
    }

    /// A request that reads the past: answered here if this replica leads, or if all that it asks for is closed and applied.
    pub fn read_closed(
        &mut self,
        target: Target,
        deadline: Monotonic,
        epoch: u64,
        command: Bytes,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        if self.serves_until(cx.now, cx.options).is_some() {
            return self.evaluate(target, deadline, epoch, command, cx);
        }
        let ask_leader = ResponseBody::NotLeader { hint: self.leader_hint(), maybe_applied: false };
        let Some(state) = self.state.as_ref().filter(|_| self.restore.is_none()) else {
            cx.out.reply(target, ask_leader, None);
            return Ok(());
        };
        let accesses = self.evaluator.access(&command).unwrap_or_default();
        let covered = accesses.iter().all(|access| state.descriptor.span.covers(&access.span));
        if epoch != state.descriptor.epoch || !covered {
            // Ahead of the asker, or behind: then the leader knows.
            if epoch < state.descriptor.epoch {
                cx.out.range_changed(target, union(&accesses));
            } else {
                cx.out.reply(target, ask_leader, None);
            }
            return Ok(());
        }
        let closed = self.closed(cx.options);
        match self.evaluator.read_closed(&command, closed, cx.engine)? {
            Some(reply) => {
                cx.out.count("follower_reads");
                cx.out.reply(target, ResponseBody::Evaluated { reply, replicated: false }, None);
            }
            None => {
                cx.out.count("follower_reads_declined");
                cx.out.reply(target, ask_leader, None);
            }
        }
        Ok(())
    }

    fn closed(&mut self, options: &Options) -> Timestamp {
        let applied = self.applied_index();
        let closed = self.closing.closed(applied);
        if options.faults.stale_follower { Timestamp::MAX } else { closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(timestamp: u64, index: u64) -> Closed {
        Closed { timestamp: Timestamp(timestamp), index }
    }

    #[test]
    fn a_promise_holds_once_its_index_is_applied() {
        let mut closing = Closing::default();
        closing.hear(promise(10, 5));
        closing.hear(promise(20, 5));
        closing.hear(promise(30, 9));
        assert_eq!(closing.closed(4), Timestamp::ZERO);
        assert_eq!(closing.closed(5), Timestamp(20));
        assert_eq!(closing.closed(8), Timestamp(20));
        closing.hear(promise(15, 1));
        assert_eq!(closing.closed(8), Timestamp(20), "an older one changes nothing");
        assert_eq!(closing.closed(9), Timestamp(30));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut closing = Closing::default();
        for n in 1..1000 {
            closing.hear(promise(n, 7));
        }
        assert_eq!(closing.pending.len(), PENDING_MAX);
        assert_eq!(closing.closed(7), Timestamp(PENDING_MAX as u64));
    }
}
