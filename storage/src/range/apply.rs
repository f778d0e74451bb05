//! A committed entry becomes changes of the engine: bytes only, the same on every replica, once per index.

use base::{NodeId, RangeId, Span};
use bytes::Bytes;
use raft::eraftpb::Entry;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{ColumnFamily, WriteBatch},
    error::{Error, Result},
    keys,
    oracle::SystemCommand,
    range::{
        Descriptor, admin,
        log::{INITIAL_INDEX, INITIAL_TERM},
        replica::Replica,
    },
    store::output::{Context, SplitApplied, Target, Upcall},
};

/// What an entry of the log holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Who waits for it, under which number, if that node is still the leader of the entry's term.
    pub proposer: NodeId,
    pub id: u64,
    /// The epoch of the range when the proposal was evaluated. In another epoch the span may be another: not applied.
    pub epoch: u64,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    Write(WriteBatch),
    /// Keys from `key` on become the range `child`.
    Split {
        key: Bytes,
        child: RangeId,
    },
    /// Only in the system range.
    System(SystemCommand),
}

impl Proposal {
    pub fn encode(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(|error| Error::Refused(format!("proposal: {error}")))
    }

    pub fn decode(bytes: &[u8]) -> Result<Proposal> {
        postcard::from_bytes(bytes).map_err(|error| Error::Corrupt(format!("entry of the log: {error}")))
    }
}

/// What a node keeps about its replica, in the same batch as the data it describes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaState {
    pub descriptor: Descriptor,
    pub applied_index: u64,
    pub applied_term: u64,
}

impl ReplicaState {
    /// A range before its first entry.
    pub fn initial(descriptor: Descriptor) -> ReplicaState {
        ReplicaState { descriptor, applied_index: INITIAL_INDEX, applied_term: INITIAL_TERM }
    }

    pub fn put(&self, batch: &mut WriteBatch) -> Result<()> {
        let value = postcard::to_stdvec(self).map_err(|error| Error::Corrupt(format!("replica state: {error}")))?;
        batch.put(ColumnFamily::Meta, keys::replica_state(self.descriptor.id), value);
        Ok(())
    }

    pub fn decode(bytes: &[u8]) -> Result<ReplicaState> {
        postcard::from_bytes(bytes).map_err(|error| Error::Corrupt(format!("replica state: {error}")))
    }
}

/// What came of an entry.
#[derive(Debug)]
pub enum Applied {
    Done,
    RangeId(RangeId),
    /// Proposed in another epoch: nothing was changed.
    Rejected(Span),
    Split(Descriptor),
}

impl Replica {
    /// Applies committed entries in one write, then answers those who wait for them.
    pub(super) fn apply_entries(&mut self, entries: &[Entry], cx: &mut Context<'_>) -> Result<()> {
        let mut batch = WriteBatch::default();
        let mut finished = Vec::new();
        for entry in entries {
            let state = self.initialized_state()?;
            if entry.index <= state.applied_index {
                continue;
            }
            assert_eq!(entry.index, state.applied_index + 1, "entries are applied without a gap");
            (state.applied_index, state.applied_term) = (entry.index, entry.term);
            if !entry.data.is_empty() {
                let proposal = Proposal::decode(&entry.data)?;
                let applied = self.apply_body(proposal.epoch, proposal.body, entry.index, &mut batch, cx)?;
                finished.push((proposal.proposer, proposal.id, entry.term, applied));
            }
        }
        self.initialized_state()?.put(&mut batch)?;
        cx.engine.write(&batch)?;
        *cx.out.counters.entry("entries_applied").or_default() += finished.len() as u64;
        for (proposer, id, term, applied) in finished {
            let mine = proposer == cx.options.node && self.leading_term() == Some(term);
            self.finish(mine.then_some(id), applied, cx)?;
        }
        Ok(())
    }

    fn apply_body(
        &mut self,
        epoch: u64,
        body: Body,
        index: u64,
        batch: &mut WriteBatch,
        cx: &mut Context<'_>,
    ) -> Result<Applied> {
        let range = self.id;
        let state = self.initialized_state()?;
        let stale = epoch != state.descriptor.epoch;
        match body {
            Body::Write(_) | Body::Split { .. } if stale => {
                cx.out.count("entries_rejected");
                Ok(Applied::Rejected(state.descriptor.span.clone()))
            }
            Body::Write(write) => {
                if cx.options.faults.apply_twice {
                    self.plant_apply_twice(&write, batch);
                }
                batch.ops.extend(write.ops);
                Ok(Applied::Done)
            }
            Body::Split { key, child } => {
                let Some((left, right)) = admin::split(&state.descriptor, &key, child) else {
                    return Ok(Applied::Rejected(state.descriptor.span.clone()));
                };
                state.descriptor = left;
                ReplicaState::initial(right.clone()).put(batch)?;
                Ok(Applied::Split(right))
            }
            Body::System(command) => {
                let misplaced = || Error::Corrupt(format!("a command of the system range in the log of {range}"));
                self.system.as_mut().ok_or_else(misplaced)?.apply(index, command, batch)
            }
        }
    }

    /// Ends what an entry stood for; `id` when the proposal is one of ours that somebody waits for.
    fn finish(&mut self, id: Option<u64>, applied: Applied, cx: &mut Context<'_>) -> Result<()> {
        match applied {
            Applied::Split(child) => {
                let target = id.and_then(|id| self.end_internal(id, cx)).unwrap_or(Target::Nobody);
                let heritage = self.evaluator.split(&child.span.start).export();
                let campaign = self.leading_term().is_some();
                // The sooner the others split, the sooner the new range has its quorum.
                self.broadcast_commit();
                cx.out.upcalls.push_back(Upcall::Split(Box::new(SplitApplied { child, heritage, campaign, target })));
                self.resume(cx)
            }
            Applied::Done | Applied::RangeId(_) if self.system.is_some() => {
                let range_id = if let Applied::RangeId(id) = applied { Some(id) } else { None };
                match id {
                    Some(id) if self.is_internal(id) => {
                        let target = self.end_internal(id, cx).unwrap_or(Target::Nobody);
                        cx.out.upcalls.push_back(Upcall::SystemApplied { target, range_id });
                        Ok(())
                    }
                    Some(id) => self.end_command(id, None, cx),
                    None => Ok(()),
                }
            }
            Applied::Done | Applied::RangeId(_) => id.map_or(Ok(()), |id| self.end_command(id, None, cx)),
            Applied::Rejected(span) => id.map_or(Ok(()), |id| self.end_command(id, Some(span), cx)),
        }
    }

    /// [`crate::store::Faults::apply_twice`]: some batches are written again after up to eight later ones.
    fn plant_apply_twice(&mut self, write: &WriteBatch, batch: &mut WriteBatch) {
        let mut later = Vec::new();
        for (countdown, old) in std::mem::take(&mut self.planted) {
            match countdown {
                0 => batch.ops.extend(old.ops),
                _ => later.push((countdown - 1, old)),
            }
        }
        self.planted = later;
        if self.rng.chance(1, 3) {
            self.planted.push((self.rng.below(8), write.clone()));
        }
    }
}
