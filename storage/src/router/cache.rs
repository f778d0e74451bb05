//! What the router believes about ranges.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use base::{NodeId, RangeId};
use bytes::Bytes;

use crate::{cluster::Route, range::Descriptor};

/// Descriptors by their first key, never overlapping, and the presumed leaders of ranges.
pub struct RangeCache {
    ranges: BTreeMap<Bytes, Descriptor>,
    leaders: BTreeMap<RangeId, NodeId>,
    ranges_max: usize,
    /// Where eviction goes on: it circles over the keys.
    hand: Bytes,
}

impl RangeCache {
    pub fn new(ranges_max: usize) -> RangeCache {
        RangeCache { ranges: BTreeMap::new(), leaders: BTreeMap::new(), ranges_max, hand: Bytes::new() }
    }

    pub fn route(&self, key: &[u8]) -> Option<Route> {
        let (_, descriptor) = self.ranges.range::<[u8], _>((Unbounded, Included(key))).next_back()?;
        descriptor.span.contains(key).then(|| self.route_to(descriptor.clone()))
    }

    pub fn route_to(&self, descriptor: Descriptor) -> Route {
        let leader = self.leader(descriptor.id);
        Route { descriptor, leader }
    }

    pub fn leader(&self, range: RangeId) -> Option<NodeId> {
        self.leaders.get(&range).copied()
    }

    pub fn set_leader(&mut self, range: RangeId, leader: Option<NodeId>) {
        match leader {
            Some(leader) => {
                self.leaders.insert(range, leader);
            }
            None => {
                self.leaders.remove(&range);
            }
        }
    }

    /// Takes up a descriptor and drops all that overlap it; unless one of those is newer. (A range that comes out of others
    /// has a greater epoch than they had, so epochs can be compared wherever ranges overlap.)
    pub fn insert(&mut self, descriptor: Descriptor) {
        let overlapping: Vec<Bytes> = self.overlapping(&descriptor).map(|(start, _)| start.clone()).collect();
        if self.overlapping(&descriptor).any(|(_, known)| known.epoch > descriptor.epoch) {
            return;
        }
        for start in overlapping {
            self.ranges.remove(&start);
        }
        self.ranges.insert(descriptor.span.start.clone(), descriptor);
        if self.ranges.len() > self.ranges_max {
            self.evict();
        }
    }

    fn overlapping<'a>(&'a self, descriptor: &'a Descriptor) -> impl Iterator<Item = (&'a Bytes, &'a Descriptor)> {
        let span = &descriptor.span;
        let before = self.ranges.range::<[u8], _>((Unbounded, Included(&span.start[..]))).next_back();
        let after = self.ranges.range::<[u8], _>((Excluded(&span.start[..]), Unbounded));
        let after = after.take_while(move |(start, _)| span.end.is_empty() || **start < span.end);
        before.into_iter().chain(after).filter(move |(_, known)| known.span.overlaps(span))
    }

    pub fn remove(&mut self, range: RangeId) {
        self.ranges.retain(|_, descriptor| descriptor.id != range);
    }

    fn evict(&mut self) {
        let next = self.ranges.range::<[u8], _>((Excluded(&self.hand[..]), Unbounded)).next();
        let victim = next.or_else(|| self.ranges.first_key_value()).map(|(start, _)| start.clone());
        if let Some(descriptor) = victim.and_then(|start| self.ranges.remove(&start)) {
            self.leaders.remove(&descriptor.id);
            self.hand = descriptor.span.start;
        }
    }
}
