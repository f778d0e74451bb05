//! What a leader leaves to its successor: the volatile state of its evaluator, when the change is in order. Advisory: whoever
//! inherits nothing begins with nothing.

use base::NodeId;
use bytes::Bytes;

use crate::{
    peer::PeerMessage,
    range::{propose::Phase, replica::Replica},
    store::output::Context,
};

/// What this replica has been left, and by the leader of which term.
#[derive(Debug, Default)]
pub struct Heritage(Option<(u64, Bytes)>);

impl Replica {
    /// Leaves the evaluator's state to the replica on `to`. The lease must be over: nothing may be evaluated any more.
    pub(super) fn bequeath(&mut self, to: NodeId, cx: &mut Context<'_>) {
        let Some(term) = self.leading.as_ref().filter(|leading| leading.phase == Phase::Serving).map(|by| by.term)
        else {
            return;
        };
        let state = self.evaluator.export();
        if !state.is_empty() {
            cx.out.count("handovers_sent");
            cx.out.messages.push((to, PeerMessage::HandOver { range: self.id, term, state: state.clone() }));
            // The other may not come to lead; this one may be next itself.
            self.inherit(term, state);
        }
    }

    /// This replica has been left something by the leader of `term`, or (a new range) by the leader of the range that it
    /// was part of.
    pub fn inherit(&mut self, term: u64, state: Bytes) {
        if !state.is_empty() && self.heritage.0.as_ref().is_none_or(|(known, _)| *known <= term) {
            self.heritage = Heritage(Some((term, state)));
        }
    }

    /// Leadership of `term` begins: the evaluator takes over what was left for it, unless there was time for somebody else to
    /// lead in between.
    pub(super) fn accept_heritage(&mut self, term: u64, cx: &mut Context<'_>) {
        if let Some((from, state)) = self.heritage.0.take()
            && from + 1 == term
        {
            self.evaluator.adopt(&state);
            cx.out.count("handovers_adopted");
        }
    }
}
