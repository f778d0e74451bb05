//! Snapshots on their way, out and in. One goes out at a time, few come in at a time; the window of chunks in flight
//! limits the rate to what the receiver takes.

use std::{collections::BTreeMap, time::Duration};

use base::{Monotonic, NodeId, RangeId};

use crate::{
    error::Result,
    peer::{PeerMessage, SnapshotAck, SnapshotChunk, SnapshotHeader},
    range::{
        Descriptor,
        replica::Replica,
        snapshot::{Outgoing, Staging, WINDOW},
    },
    store::Store,
};

/// Snapshots staged in memory at a time.
const STAGED_MAX: usize = 2;
/// Unacknowledged chunks are sent again after this time.
const RESEND: Duration = Duration::from_secs(1);
/// A snapshot without progress is given up.
const GIVE_UP: Duration = Duration::from_secs(10);
/// How long the receiver may take to make a complete snapshot durable, before another is sent.
const INSTALL: Duration = Duration::from_secs(10);
/// How long to leave a receiver alone that refused.
const REFUSED: Duration = Duration::from_secs(1);

pub(super) struct Snapshots {
    next_id: u64,
    outgoing: Option<Outgoing>,
    /// Not to be sent again before; and the log that the receiver will need from there on.
    waiting: BTreeMap<(RangeId, NodeId), Waiting>,
    staged: BTreeMap<RangeId, Staging>,
}

struct Waiting {
    until: Monotonic,
    index: u64,
}

impl Snapshots {
    /// `first_id` must be random, so that snapshots of different starts are told apart.
    pub(super) fn new(first_id: u64) -> Snapshots {
        Snapshots { next_id: first_id, outgoing: None, waiting: BTreeMap::new(), staged: BTreeMap::new() }
    }

    /// The log from here on must be kept for those who are getting a snapshot.
    pub(super) fn needed_from(&self, range: RangeId) -> Option<u64> {
        let outgoing = self.outgoing.iter().filter(|outgoing| outgoing.range() == range).map(Outgoing::index);
        let waiting = self.waiting.iter().filter(|((other, _), _)| *other == range).map(|(_, waiting)| waiting.index);
        outgoing.chain(waiting).min()
    }
}

impl Store {
    /// A follower needs entries that are gone.
    pub(super) fn snapshot_wanted(&mut self, range: RangeId, to: NodeId) -> Result<()> {
        let now = self.clock.now;
        if self.snapshots.outgoing.is_some()
            || self.snapshots.waiting.get(&(range, to)).is_some_and(|waiting| now < waiting.until)
        {
            return Ok(());
        }
        self.snapshots.next_id = self.snapshots.next_id.wrapping_add(1);
        let id = self.snapshots.next_id;
        let replica = self.replicas.get(&range);
        self.snapshots.outgoing = replica.and_then(|replica| replica.snapshot(id, to, &*self.engine, now));
        self.out.count("snapshots_sent");
        self.send_chunks()
    }

    fn send_chunks(&mut self) -> Result<()> {
        let Some(outgoing) = &mut self.snapshots.outgoing else { return Ok(()) };
        for chunk in outgoing.fill(self.options.snapshot_chunk_bytes)? {
            self.out.messages.push((outgoing.to, PeerMessage::SnapshotChunk(chunk)));
        }
        Ok(())
    }

    pub(super) fn snapshot_ack(&mut self, from: NodeId, ack: SnapshotAck) -> Result<()> {
        let now = self.clock.now;
        let Some(outgoing) = &mut self.snapshots.outgoing else { return Ok(()) };
        if outgoing.id != ack.id || outgoing.to != from || outgoing.range() != ack.range {
            return Ok(());
        }
        let index = outgoing.index();
        let pause = match ack.refused {
            true => Some(REFUSED),
            false => outgoing.acknowledge(ack.next, now).then_some(INSTALL),
        };
        match pause {
            Some(pause) => {
                self.snapshots.outgoing = None;
                self.snapshots.waiting.insert((ack.range, from), Waiting { until: now + pause, index });
                Ok(())
            }
            None => self.send_chunks(),
        }
    }

    /// Sends again what may have been lost; gives up what leads nowhere.
    pub(super) fn tick_snapshots(&mut self) {
        let (now, replicas) = (self.clock.now, &self.replicas);
        self.snapshots.waiting.retain(|(range, node), waiting| {
            let matched = replicas.get(range).and_then(|replica| replica.matched(*node));
            now < waiting.until && matched.is_none_or(|matched| matched < waiting.index)
        });
        self.snapshots.staged.retain(|_, staging| now.since(staging.heard_at) < GIVE_UP);
        let Some(outgoing) = &self.snapshots.outgoing else { return };
        let leads = self
            .replicas
            .get(&outgoing.range())
            .is_some_and(|replica| replica.is_leader() && replica.term() == outgoing.leader_term());
        let silent = now.since(outgoing.progress_at);
        if !leads || silent >= GIVE_UP {
            self.snapshots.outgoing = None;
        } else if silent >= RESEND && self.housekeeping.is_second(now) {
            for chunk in outgoing.unacknowledged() {
                self.out.messages.push((outgoing.to, PeerMessage::SnapshotChunk(chunk.clone())));
            }
        }
    }

    pub(super) fn snapshot_chunk(&mut self, from: NodeId, chunk: SnapshotChunk) -> Result<()> {
        let (range, id, number) = (chunk.header.descriptor.id, chunk.id, chunk.number);
        let known = self.snapshots.staged.get(&range).is_some_and(|staging| staging.id == id && staging.from == from);
        if !known && number == 0 {
            self.begin_staging(from, &chunk)?;
        }
        let (now, header) = (self.clock.now, chunk.header.clone());
        let Some(staging) =
            self.snapshots.staged.get_mut(&range).filter(|staging| staging.id == id && staging.from == from)
        else {
            // A chunk that may have overtaken the first one is left to be sent again.
            if number == 0 || number >= WINDOW as u64 {
                self.acknowledge_chunk(from, range, id, 0, true);
            }
            return Ok(());
        };
        let complete = staging.take(chunk, now);
        let next = staging.next();
        self.acknowledge_chunk(from, range, id, next, false);
        if complete && let Some(staging) = self.snapshots.staged.remove(&range) {
            self.install(from, header, staging)?;
        }
        Ok(())
    }

    fn acknowledge_chunk(&mut self, to: NodeId, range: RangeId, id: u64, next: u64, refused: bool) {
        self.out.messages.push((to, PeerMessage::SnapshotAck(SnapshotAck { range, id, next, refused })));
    }

    fn begin_staging(&mut self, from: NodeId, chunk: &SnapshotChunk) -> Result<()> {
        let range = chunk.header.descriptor.id;
        let (index, term) = (chunk.header.index, chunk.header.leader_term);
        self.with(range, |replica, cx| {
            replica.decline_snapshot(from, index, term, cx);
            Ok(())
        })?;
        let room = self.snapshots.staged.len() < STAGED_MAX || self.snapshots.staged.contains_key(&range);
        if !room || !self.may_install(&chunk.header) {
            return Ok(());
        }
        if !self.replicas.contains_key(&range) {
            self.create_unknown(range)?;
        }
        self.snapshots.staged.insert(range, Staging::new(chunk.id, from, self.clock.now));
        Ok(())
    }

    /// Whether the snapshot brings its replica forward and takes no keys from another. A neighbour that has not applied
    /// the split which created this range yet still covers its keys: it must come first.
    fn may_install(&self, header: &SnapshotHeader) -> bool {
        let wanted_here = &header.descriptor;
        let overlaps =
            |descriptor: &Descriptor| descriptor.id != wanted_here.id && descriptor.span.overlaps(&wanted_here.span);
        let wanted = self
            .replicas
            .get(&wanted_here.id)
            .is_none_or(|replica| replica.wants_snapshot(header.index, header.leader_term));
        let member = wanted_here.replicas.contains(&self.options.node);
        member && wanted && !self.replicas.values().filter_map(Replica::descriptor).any(overlaps)
    }

    fn install(&mut self, from: NodeId, header: SnapshotHeader, staging: Staging) -> Result<()> {
        if !self.may_install(&header) {
            return Ok(());
        }
        let batch = staging.into_batch();
        self.with(header.descriptor.id, |replica, cx| replica.begin_restore(from, header, batch, cx))
    }
}
