//! The cluster's map: which ranges there are and who leads them, as their leaders reported it. Kept by the system range.
//!
//! It is a hint. The truth about a range is each replica's own descriptor; a request with a stale epoch is answered with
//! that, and whoever asked heals.

use std::collections::BTreeMap;

use base::{NodeId, RangeId};

use crate::{
    engine::{ColumnFamily, Reader},
    error::{Error, Result},
    keys,
    range::Descriptor,
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMap {
    ranges: BTreeMap<RangeId, (Descriptor, Option<NodeId>)>,
}

impl ClusterMap {
    /// What the system range holds.
    pub fn load(reader: &dyn Reader) -> Result<ClusterMap> {
        let mut map = ClusterMap::default();
        let span = keys::map_entries();
        let mut cursor = reader.cursor(ColumnFamily::Meta, &span.start, &span.end)?;
        cursor.seek(&span.start)?;
        while cursor.key().is_some() {
            let (descriptor, leader): (Descriptor, NodeId) = postcard::from_bytes(cursor.value())
                .map_err(|error| Error::Corrupt(format!("entry of the cluster's map: {error}")))?;
            map.put(descriptor, Some(leader));
            cursor.next()?;
        }
        Ok(map)
    }

    /// Notes a range, unless something newer is known of it.
    pub fn put(&mut self, descriptor: Descriptor, leader: Option<NodeId>) {
        match self.ranges.get_mut(&descriptor.id) {
            Some((known, _)) if known.epoch > descriptor.epoch => {}
            Some(entry) => *entry = (descriptor, leader.or(entry.1)),
            None => {
                self.ranges.insert(descriptor.id, (descriptor, leader));
            }
        }
    }

    /// Whether the map already says this, or something newer.
    pub fn is_known(&self, descriptor: &Descriptor, leader: NodeId) -> bool {
        self.ranges.get(&descriptor.id).is_some_and(|(known, known_leader)| {
            known.epoch > descriptor.epoch || (known == descriptor && *known_leader == Some(leader))
        })
    }

    /// At most `limit` ranges in key order, from the one that holds `key` on.
    pub fn lookup(&self, key: &[u8], limit: usize) -> Vec<(Descriptor, Option<NodeId>)> {
        let mut found: Vec<_> = self
            .ranges
            .values()
            .filter(|(descriptor, _)| descriptor.span.end.is_empty() || key < &descriptor.span.end[..])
            .cloned()
            .collect();
        found.sort_by(|(a, _), (b, _)| (&a.span.start, b.epoch).cmp(&(&b.span.start, a.epoch)));
        found.truncate(limit);
        found
    }

    /// The ranges that share a key with the span.
    pub fn overlapping(&self, span: &base::Span) -> Vec<Descriptor> {
        let mut found: Vec<_> = self
            .ranges
            .values()
            .map(|(descriptor, _)| descriptor.clone())
            .filter(|descriptor| descriptor.span.overlaps(span))
            .collect();
        found.sort_by(|a, b| a.span.start.cmp(&b.span.start));
        found
    }
}

#[cfg(test)]
mod tests {
    use base::Span;

    use super::*;

    fn range(id: u64, epoch: u64, start: &'static str, end: &'static str) -> Descriptor {
        Descriptor { id: RangeId(id), epoch, span: Span::new(start, end), replicas: vec![NodeId(1)] }
    }

    #[test]
    fn newer_epochs_win_and_lookups_go_on_in_key_order() {
        let mut map = ClusterMap::default();
        map.put(range(2, 1, "a", ""), Some(NodeId(1)));
        map.put(range(2, 2, "a", "m"), None);
        map.put(range(2, 1, "a", ""), Some(NodeId(3)));
        map.put(range(3, 2, "m", ""), None);
        assert!(map.is_known(&range(2, 2, "a", "m"), NodeId(1)));
        assert!(map.is_known(&range(2, 1, "a", ""), NodeId(9)), "something newer is known");
        let ids = |key: &str, limit| map.lookup(key.as_bytes(), limit).iter().map(|(d, _)| d.id.0).collect::<Vec<_>>();
        assert_eq!(ids("b", 10), [2, 3]);
        assert_eq!(ids("m", 10), [3]);
        assert_eq!(ids("a", 1), [2]);
        assert_eq!(map.overlapping(&Span::new("l", "n")).len(), 2);
    }
}
