//! The key spaces of the column families.
//!
//! | family | key | holds | in snapshots |
//! |---|---|---|---|
//! | meta | `0x00`, range id (8 bytes) | [`crate::range::apply::ReplicaState`] of this node's replica | no |
//! | meta | `0x01 's'` | [`crate::oracle::SystemState`]: ceiling, fences, next range id | range 1 |
//! | meta | `0x01 'm'`, range id (8 bytes) | one entry of the cluster's map | range 1 |
//! | data, intent | anything from `0x01` on | what the evaluator writes | the range it lies in |
//!
//! Keys of the meta family from `0x01` on are range data like any other: they lie in the span of the system range.

use base::{RangeId, Span};
use bytes::Bytes;

/// Everything below is local to the node and belongs to no range.
pub const LOCAL_END: &[u8] = &[0x01];

const LOCAL: u8 = 0x00;
const SYSTEM: u8 = 0x01;

/// Where this node keeps the state of its replica of a range.
pub fn replica_state(range: RangeId) -> Bytes {
    let mut key = vec![LOCAL];
    key.extend_from_slice(&range.0.to_be_bytes());
    key.into()
}

/// The span of all replica states.
pub fn replica_states() -> Span {
    Span::prefix(&[LOCAL])
}

pub fn system_state() -> Bytes {
    Bytes::from_static(&[SYSTEM, b's'])
}

pub fn map_entry(range: RangeId) -> Bytes {
    let mut key = vec![SYSTEM, b'm'];
    key.extend_from_slice(&range.0.to_be_bytes());
    key.into()
}

/// The span of the cluster's map.
pub fn map_entries() -> Span {
    Span::prefix(&[SYSTEM, b'm'])
}

/// The part of a range's span that is replicated: all but the node's local keys.
pub fn replicated(span: &Span) -> Span {
    Span { start: span.start.clone().max(Bytes::from_static(LOCAL_END)), end: span.end.clone() }
}
