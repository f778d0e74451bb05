//! Decisions about ranges, pure: where to split, who should lead, how much log to forget.

use base::{NodeId, RangeId, Span};
use bytes::Bytes;

use crate::{
    engine::{ColumnFamily, Engine},
    error::Result,
    range::{Descriptor, FIRST_USER_RANGE, SYSTEM_END, SYSTEM_RANGE},
};

/// The ranges of a new cluster, the same on every node.
pub fn bootstrap(nodes: &[NodeId]) -> [Descriptor; 2] {
    let descriptor = |id, start: &'static [u8], end: &'static [u8]| Descriptor {
        id,
        epoch: 1,
        span: Span::new(Bytes::from_static(start), Bytes::from_static(end)),
        replicas: nodes.to_vec(),
    };
    [descriptor(SYSTEM_RANGE, &[], SYSTEM_END), descriptor(FIRST_USER_RANGE, SYSTEM_END, &[])]
}

/// Both halves; `None` when `key` does not lie strictly inside, or the range is the system range.
pub fn split(range: &Descriptor, key: &Bytes, child: RangeId) -> Option<(Descriptor, Descriptor)> {
    if range.id == SYSTEM_RANGE || !range.span.contains(key) || range.span.start == *key {
        return None;
    }
    let epoch = range.epoch + 1;
    let left = Descriptor { epoch, span: Span::new(range.span.start.clone(), key.clone()), ..range.clone() };
    let right = Descriptor { id: child, epoch, span: Span::new(key.clone(), range.span.end.clone()), ..range.clone() };
    Some((left, right))
}

/// The node that should lead, when it can.
pub fn preferred_leader(range: &Descriptor) -> Option<NodeId> {
    let count = range.replicas.len() as u64;
    range.replicas.get(range.id.0.checked_rem(count)? as usize).copied()
}

/// Bytes of a range in the families that grow.
pub fn size_bytes(engine: &dyn Engine, span: &Span) -> Result<u64> {
    let data = engine.approximate_bytes(ColumnFamily::Data, &span.start, &span.end)?;
    Ok(data + engine.approximate_bytes(ColumnFamily::Intent, &span.start, &span.end)?)
}

/// A key near the middle of the data, by bytes, that `boundary` (`Evaluate::split_key`) allows. `None` when none lies
/// strictly inside.
pub fn middle_key(engine: &dyn Engine, span: &Span, boundary: &dyn Fn(&[u8]) -> Bytes) -> Result<Option<Bytes>> {
    let (mut low, mut high) = match ends(engine, span)? {
        Some(ends) => ends,
        None => return Ok(None),
    };
    let total = engine.approximate_bytes(ColumnFamily::Data, &span.start, &span.end)?;
    let mut best: Option<(u64, Bytes)> = None;
    for _ in 0..32 {
        let probe = between(&low, &high);
        let mut cursor = engine.cursor(ColumnFamily::Data, &span.start, &span.end)?;
        cursor.seek(&probe)?;
        let Some(found) = cursor.key().map(boundary) else { break };
        let left = engine.approximate_bytes(ColumnFamily::Data, &span.start, &found)?;
        let distance = left.abs_diff(total / 2);
        if found > span.start && best.as_ref().is_none_or(|(best, _)| distance < *best) {
            best = Some((distance, found));
        }
        if left < total / 2 {
            low = probe;
        } else {
            high = probe;
        }
        if low >= high {
            break;
        }
    }
    Ok(best.map(|(_, key)| key).filter(|key| span.contains(key)))
}

/// The first and the last key of the data.
fn ends(engine: &dyn Engine, span: &Span) -> Result<Option<(Bytes, Bytes)>> {
    let mut cursor = engine.cursor(ColumnFamily::Data, &span.start, &span.end)?;
    cursor.seek(&span.start)?;
    let first = cursor.key().map(Bytes::copy_from_slice);
    cursor.seek_before(&[])?;
    let last = cursor.key().map(Bytes::copy_from_slice);
    Ok(first.zip(last))
}

/// A byte string about half way between two others, seen as fractions: their common beginning, then the mean of the next
/// eight bytes.
fn between(low: &[u8], high: &[u8]) -> Bytes {
    let common = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    let number = |key: &[u8]| {
        let mut bytes = [0u8; 8];
        for (to, from) in bytes.iter_mut().zip(&key[common..]) {
            *to = *from;
        }
        u128::from(u64::from_be_bytes(bytes))
    };
    let middle = ((number(low) + number(high)) / 2) as u64;
    let mut key = low[..common].to_vec();
    key.extend_from_slice(&middle.to_be_bytes());
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_meet_and_stay_inside() {
        let [system, user] = bootstrap(&[NodeId(1), NodeId(2), NodeId(3)]);
        assert_eq!(system.span.end, user.span.start);
        let key = Bytes::from_static(b"k");
        let (left, right) = split(&user, &key, RangeId(3)).unwrap();
        assert_eq!(
            (left.span.end.clone(), right.span.start.clone(), left.epoch, right.epoch),
            (key.clone(), key.clone(), 2, 2)
        );
        assert!(split(&left, &key, RangeId(4)).is_none(), "not inside the left half");
        assert!(split(&right, &key, RangeId(4)).is_none(), "begins one already");
        assert!(split(&system, &Bytes::from_static(&[1]), RangeId(4)).is_none());
    }

    #[test]
    fn leaders_are_spread() {
        let nodes = [NodeId(1), NodeId(2), NodeId(3)];
        let leader = |id| preferred_leader(&Descriptor { id: RangeId(id), ..bootstrap(&nodes)[1].clone() });
        assert_eq!((leader(3), leader(4), leader(5)), (Some(NodeId(1)), Some(NodeId(2)), Some(NodeId(3))));
    }

    #[test]
    fn the_middle_of_two_strings_lies_between() {
        for (low, high) in [("a", "b"), ("abc", "abd"), ("x", "xxxxxxxxxxxxx"), ("aa", "zz")] {
            let middle = between(low.as_bytes(), high.as_bytes());
            assert!(low.as_bytes() <= &middle[..] && &middle[..] <= high.as_bytes(), "{low} {high} {middle:?}");
        }
    }
}
