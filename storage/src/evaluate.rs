//! The one upcall: how a command turns into an answer and the bytes to replicate. `txn` implements it; tests of this crate
//! have a small one of their own.
//!
//! An evaluator exists per replica. Its state (locks, timestamp cache, wait queues) is volatile and means something only on
//! the leader: it is reset by [`Evaluate::lead`] and may be lost at any time.

use base::{Monotonic, Span, Timestamp};
use bytes::Bytes;

use crate::{
    engine::{Reader, WriteBatch},
    error::Result,
    range::Descriptor,
};

/// Names one request inside one replica's leadership, for parking and waking.
pub type Token = u64;

/// A span that a command touches, for latching. Latches are held from evaluation until the proposal is applied (or, for a
/// command that proposes nothing, until it is evaluated). Exclusive conflicts with everything that overlaps, shared with
/// exclusive only. The union of the spans must lie in the range; else the request is answered `RangeChanged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub span: Span,
    pub exclusive: bool,
}

/// What the replica knows at the moment of evaluation.
#[derive(Clone, Copy, Debug)]
pub struct EvaluateContext<'a> {
    pub now: Monotonic,
    pub descriptor: &'a Descriptor,
}

/// What came of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answer now; nothing to replicate. The answer leaves only while the lease holds.
    Reply(Bytes),
    /// Replicate the batch, then answer. An empty batch still goes through consensus.
    Propose { batch: WriteBatch, reply: Bytes },
    /// Park until the evaluator wakes the token; then the command is evaluated again from the start. The evaluator keeps
    /// the place in its queue.
    Blocked,
}

/// The meaning of commands. Every method must be deterministic.
pub trait Evaluate: Send {
    /// Spans for latching. An error refuses the command (it came from outside and may be malformed).
    fn access(&self, command: &Bytes) -> Result<Vec<Access>>;

    /// Evaluates under latches, against the applied state of the range.
    fn evaluate(
        &mut self,
        token: Token,
        command: &Bytes,
        context: EvaluateContext<'_>,
        reader: &dyn Reader,
    ) -> Result<Outcome>;

    /// The proposal of an evaluation is over: `applied` tells whether its batch is in the engine now. (False only at the
    /// loss of leadership, when the batch may still be applied later under another leader.)
    fn finished(&mut self, token: Token, applied: bool);

    /// The request of this token is gone (answered by deadline, or its client vanished): leave all queues.
    fn cancel(&mut self, token: Token);

    /// Tokens that must be evaluated again, in order; drains. Asked after every other call.
    fn take_woken(&mut self) -> Vec<Token>;

    /// Time passes: expire what has not been heard of.
    fn tick(&mut self, now: Monotonic);

    /// This replica has become the leader; nothing was read through it above `low_water`, a timestamp fetched from the
    /// oracle after the election. Starts with empty state.
    fn lead(&mut self, low_water: Timestamp, now: Monotonic);

    /// Leadership is over; drop the state. (Parked requests are answered by the replica.)
    fn unlead(&mut self);

    /// What a successor should know, when leadership is handed over in order: asked of the old leader, which serves nothing any
    /// more. Advisory, of bounded size; empty when there is nothing.
    fn export(&self) -> Bytes {
        Bytes::new()
    }

    /// Right after [`Evaluate::lead`]: what the predecessor knew. It may be wrong or late, and may be ignored.
    fn adopt(&mut self, _exported: &[u8]) {}

    /// From now on nothing is written at or below `timestamp`, which is less than one that the oracle has handed out, by any
    /// evaluation; what was proposed before may still be applied. False: this evaluator makes no such promise.
    fn close(&mut self, _timestamp: Timestamp) -> bool {
        false
    }

    /// On a follower: the answer to a command that reads the past, if the applied state alone can tell. All that is ever
    /// written at or below `closed` has been applied here. `None`: the leader must be asked.
    fn read_closed(&self, _command: &Bytes, _closed: Timestamp, _reader: &dyn Reader) -> Result<Option<Bytes>> {
        Ok(None)
    }

    /// The range was split at `at`: hands over the part of the state at and above it. Requests parked there are woken (they
    /// will be answered `RangeChanged`).
    fn split(&mut self, at: &[u8]) -> Box<dyn Evaluate>;

    /// The greatest key not after `engine_key` (a raw key of the data column family) at which a range may be cut without
    /// tearing apart what belongs together, such as the versions of one row. Storage asks it before every split by size.
    fn split_key(&self, engine_key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(engine_key)
    }
}

/// Makes the evaluator of a new replica.
pub type EvaluateFactory = std::sync::Arc<dyn Fn() -> Box<dyn Evaluate> + Send + Sync>;
