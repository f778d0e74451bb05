//! What happens as time passes: ticks, heartbeats, map reports, automatic splits, spreading of leaders, flushes and
//! truncation of the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base::{Monotonic, NodeId, RangeId};

use crate::{
    error::Result,
    oracle::SystemCommand,
    peer::{Heartbeat, PeerMessage},
    range::{Descriptor, SYSTEM_RANGE, admin, replica::Replica},
    store::{
        Store, context,
        events::EventKind,
        output::{Context, Target},
    },
};

/// How often maps are compared and leaders spread.
const SECOND: Duration = Duration::from_secs(1);
/// How often sizes are looked at.
const SPLIT_CHECK: Duration = Duration::from_secs(3);
/// How long an automatic split may take.
const SPLIT_PATIENCE: Duration = Duration::from_secs(10);
/// A leader stays at least so long, and its heir must have been alive as long.
const SPREAD_AFTER: Duration = Duration::from_secs(3);
/// After an attempt that did not end in a change.
const SPREAD_AGAIN: Duration = Duration::from_secs(10);
/// Early campaigns after the start: how far apart, and how many.
const HURRY_TICKS: u64 = 3;
const HURRY_MAX: u64 = 5;
/// Between flushes for the sake of truncation.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// The newest entries of a range are kept in any case, for followers that are a little behind a later leader.
const LOG_BYTES_KEPT: u64 = 1 << 20;

pub(super) struct Housekeeping {
    next_tick: Monotonic,
    ticks: u64,
    next_second: Monotonic,
    /// The last tick was the first of a new second.
    second_at: Monotonic,
    next_split_check: Monotonic,
    next_flush: Monotonic,
    /// Whether the start has been noted as an event, and the other nodes that were alive when it was last looked.
    started: bool,
    live: BTreeSet<NodeId>,
    flush_sequence: u64,
    flushing: Option<Flushing>,
    spread_after: BTreeMap<RangeId, Monotonic>,
    /// How often this node has campaigned for a range without having waited for an election timeout.
    hurried: BTreeMap<RangeId, u64>,
}

/// A flush under way, and what had been applied before it began.
struct Flushing {
    sequence: u64,
    applied: BTreeMap<RangeId, u64>,
}

impl Housekeeping {
    pub(super) fn new(now: Monotonic) -> Housekeeping {
        Housekeeping {
            next_tick: now,
            ticks: 0,
            next_second: now,
            second_at: now,
            next_split_check: now + SPLIT_CHECK,
            next_flush: now,
            started: false,
            live: BTreeSet::new(),
            flush_sequence: 0,
            flushing: None,
            spread_after: BTreeMap::new(),
            hurried: BTreeMap::new(),
        }
    }

    /// Whether this is the first tick of a second.
    pub(super) fn is_second(&self, now: Monotonic) -> bool {
        self.second_at == now
    }
}

impl Store {
    /// A node that has not been heard of for so long is taken for dead.
    pub(super) fn dead_after(&self) -> Duration {
        self.options.election_timeout() * 2
    }

    /// Whether the node was heard of lately; a hint.
    pub fn is_live(&self, node: NodeId) -> bool {
        node == self.options.node || self.liveness.is_live(node, self.clock.now, self.dead_after())
    }

    /// Counts at most one tick per `Options::tick`, whatever arrives after a pause: leases rest on it.
    pub(super) fn tick(&mut self) -> Result<()> {
        let (now, tick) = (self.clock.now, self.options.tick);
        if now + tick / 4 < self.housekeeping.next_tick {
            return Ok(());
        }
        self.housekeeping.next_tick = self.housekeeping.next_tick + tick;
        if self.housekeeping.next_tick <= now {
            self.housekeeping.next_tick = now + tick;
        }
        self.housekeeping.ticks += 1;
        let ranges: Vec<RangeId> = self.replicas.keys().copied().collect();
        for range in &ranges {
            self.with(*range, |replica, cx| replica.tick(cx))?;
        }
        self.campaign_early(&ranges)?;
        self.tick_asks();
        let expired = self.oracle.expire(now);
        self.dismiss(expired);
        if self.housekeeping.ticks.is_multiple_of(self.options.heartbeat_ticks as u64) {
            self.send_heartbeats();
        }
        if now >= self.housekeeping.next_second {
            self.housekeeping.next_second = now + SECOND;
            self.housekeeping.second_at = now;
            self.report_map();
            self.ask_to_close();
            self.spread_leaders(&ranges)?;
            self.want_truncation();
            self.look_around();
        }
        if now >= self.housekeeping.next_split_check {
            self.housekeeping.next_split_check = now + SPLIT_CHECK;
            self.check_sizes(&ranges)?;
        }
        self.tick_snapshots();
        Ok(())
    }

    fn send_heartbeats(&mut self) {
        let (ranges, leaders, now) = (self.replicas.len() as u64, self.leaders_len(), self.clock.now);
        for node in self.options.nodes.iter().filter(|node| **node != self.options.node) {
            let echo = self.liveness.echo(*node, now).map(|(stamp, held)| (stamp.0, held.as_nanos() as u64));
            let heartbeat = Heartbeat { ranges, leaders, stamp: now.0, echo };
            self.out.messages.push((*node, PeerMessage::Heartbeat(heartbeat)));
        }
    }

    /// For people: who has come or gone, and how busy the ranges are.
    fn look_around(&mut self) {
        if std::mem::replace(&mut self.housekeeping.started, true) {
            let peers: BTreeSet<NodeId> =
                self.options.nodes.iter().copied().filter(|node| *node != self.options.node).collect();
            let live: BTreeSet<NodeId> = peers.into_iter().filter(|node| self.is_live(*node)).collect();
            let before = std::mem::replace(&mut self.housekeeping.live, live.clone());
            for node in before.symmetric_difference(&live) {
                let kind = if live.contains(node) { EventKind::PeerUp } else { EventKind::PeerDown };
                self.note(kind, None, Some(*node));
            }
        } else {
            self.note(EventKind::NodeStarted, None, None);
        }
        for replica in self.replicas.values_mut() {
            replica.sample_heat(self.clock.wall_ms);
        }
    }

    /// After a start nobody leads: the preferred leader of a range need not wait for an election timeout. A few attempts,
    /// since the others may have started a little later and keep quiet.
    fn campaign_early(&mut self, ranges: &[RangeId]) -> Result<()> {
        let (now, node) = (self.clock.now, self.options.node);
        if !self.housekeeping.ticks.is_multiple_of(HURRY_TICKS) {
            return Ok(());
        }
        for range in ranges {
            let Some(replica) = self.replicas.get(range) else { continue };
            let preferred = replica.descriptor().and_then(admin::preferred_leader) == Some(node);
            let attempts = self.housekeeping.hurried.entry(*range).or_default();
            if preferred && replica.is_leaderless(now) && *attempts < HURRY_MAX {
                *attempts += 1;
                self.with(*range, |replica, cx| replica.campaign(cx))?;
            }
        }
        Ok(())
    }

    /// Tells the system range about the ranges that are led here and are not in the map as they are.
    fn report_map(&mut self) {
        let node = self.options.node;
        let Some(map) = self.replicas.get(&SYSTEM_RANGE).and_then(Replica::system).map(|state| &state.map) else {
            return;
        };
        let reports: Vec<Descriptor> = self
            .replicas
            .values()
            .filter(|replica| replica.is_leader())
            .filter_map(Replica::descriptor)
            .filter(|descriptor| !map.is_known(descriptor, node))
            .cloned()
            .collect();
        for descriptor in reports {
            if self.oracle.is_leading() {
                self.map_reported(descriptor, node);
            } else if let Some(leader) = self.oracle_hint().filter(|leader| *leader != node) {
                self.out.messages.push((leader, PeerMessage::MapReport { descriptor, leader: node }));
            }
        }
    }

    /// A leader has reported its range.
    pub(super) fn map_reported(&mut self, descriptor: Descriptor, leader: NodeId) {
        if self.oracle_until().is_none() {
            return;
        }
        if let Some(replica) = self.replicas.get_mut(&SYSTEM_RANGE)
            && replica.system().is_some_and(|state| !state.map.is_known(&descriptor, leader))
        {
            self.dirty.insert(SYSTEM_RANGE);
            replica.propose_system(Target::Nobody, SystemCommand::Map { descriptor, leader }, context!(self));
        }
    }

    /// Hands ranges to their preferred leaders, when those are alive and have everything.
    fn spread_leaders(&mut self, ranges: &[RangeId]) -> Result<()> {
        if !self.options.spread_leaders {
            return Ok(());
        }
        let (now, dead_after) = (self.clock.now, self.dead_after());
        for range in ranges {
            let heir = self.replicas.get(range).and_then(|replica| {
                let serves = replica.serves_until(self.clock.now, &self.options).is_some();
                let settled = replica.leading_since().is_some_and(|since| now.since(since) >= SPREAD_AFTER);
                let heir = replica.descriptor().and_then(admin::preferred_leader)?;
                let ready = heir != self.options.node
                    && self.liveness.is_stable(heir, now, dead_after, SPREAD_AFTER)
                    && replica.is_caught_up(heir);
                (serves && settled && ready).then_some(heir)
            });
            let waits = self.housekeeping.spread_after.get(range).is_some_and(|after| now < *after);
            if let Some(heir) = heir.filter(|_| !waits) {
                self.housekeeping.spread_after.insert(*range, now + SPREAD_AGAIN);
                self.with(*range, |replica, cx| {
                    replica.transfer_leader(heir, Target::Nobody, cx);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn check_sizes(&mut self, ranges: &[RangeId]) -> Result<()> {
        for range in ranges.iter().filter(|range| **range != SYSTEM_RANGE) {
            if self.is_splitting(*range) {
                continue;
            }
            let Some(replica) = self.replicas.get(range) else { continue };
            let serves = replica.serves_until(self.clock.now, &self.options).is_some();
            let Some(span) = replica.descriptor().map(|descriptor| descriptor.span.clone()).filter(|_| serves) else {
                continue;
            };
            if admin::size_bytes(&*self.engine, &span)? <= self.options.split_bytes {
                continue;
            }
            if let Some(key) = admin::middle_key(&*self.engine, &span, &|key| replica.split_key(key))? {
                self.ask_range_id(*range, key, Target::Nobody, self.clock.now + SPLIT_PATIENCE);
            }
        }
        Ok(())
    }

    fn want_truncation(&mut self) {
        let bytes: u64 = self.replicas.values().map(|replica| replica.log().bytes()).sum();
        if bytes > self.options.log_bytes_max && self.clock.now >= self.housekeeping.next_flush {
            self.out.flush_wanted = true;
        }
    }

    /// The flush to ask for, if one is wanted and none is under way.
    pub(super) fn next_flush(&mut self) -> Option<u64> {
        if !self.out.flush_wanted || self.housekeeping.flushing.is_some() {
            return None;
        }
        self.out.flush_wanted = false;
        self.housekeeping.flush_sequence += 1;
        self.housekeeping.next_flush = self.clock.now + FLUSH_INTERVAL;
        let sequence = self.housekeeping.flush_sequence;
        let applied = self.replicas.iter().map(|(range, replica)| (*range, replica.applied_index())).collect();
        self.housekeeping.flushing = Some(Flushing { sequence, applied });
        for replica in self.replicas.values_mut() {
            replica.restore_flush_asked(sequence);
        }
        self.out.count("flushes");
        Some(sequence)
    }

    pub(super) fn flushed(&mut self, sequence: u64) -> Result<()> {
        let Some(flushing) = self.housekeeping.flushing.take_if(|flushing| flushing.sequence <= sequence) else {
            return Ok(());
        };
        for (range, applied) in flushing.applied {
            let needed = self.needed_from(range);
            let kept = self.options.log_bytes_max.min(LOG_BYTES_KEPT * 8) / 8;
            self.with(range, |replica, cx| {
                let index = applied.min(needed).min(replica.log().index_leaving(kept));
                replica.truncate(index, cx);
                Ok(())
            })?;
        }
        self.finish_restores()
    }

    /// The log after this index is still of use to somebody. A follower that is dead or too far behind gets a snapshot.
    fn needed_from(&self, range: RangeId) -> u64 {
        let Some(replica) = self.replicas.get(&range) else { return 0 };
        let snapshots = self.snapshots.needed_from(range).unwrap_or(u64::MAX);
        let patient = replica.log().bytes() <= self.options.log_bytes_max / 2;
        let followers = replica.descriptor().into_iter().flat_map(|descriptor| &descriptor.replicas);
        let matched = followers
            .filter(|node| patient && **node != self.options.node && self.is_live(**node))
            .filter_map(|node| replica.matched(*node))
            .min()
            .unwrap_or(u64::MAX);
        snapshots.min(matched)
    }

    /// Replicas whose snapshot has become durable go on.
    pub(super) fn finish_restores(&mut self) -> Result<()> {
        let flushed = match &self.housekeeping.flushing {
            Some(flushing) => flushing.sequence - 1,
            None => self.housekeeping.flush_sequence,
        };
        let ranges: Vec<RangeId> = self.replicas.keys().copied().collect();
        for range in ranges {
            let Some(replica) = self.replicas.get_mut(&range) else { continue };
            if replica.finish_restore(flushed, context!(self))? {
                self.dirty.insert(range);
            }
        }
        Ok(())
    }
}
