//! One range: a span of keys, its replicas, and the state machine that keeps them equal.

pub mod admin;
pub mod apply;
pub mod closed;
pub mod heat;
pub mod heritage;
pub mod inbound;
pub mod latch;
pub mod lease;
pub mod log;
pub mod propose;
pub mod replica;
pub mod snapshot;

use base::{NodeId, RangeId, Span};
use serde::{Deserialize, Serialize};

/// The system range: the cluster's map, the oracle, the fences. It owns the keys below [`SYSTEM_END`].
pub const SYSTEM_RANGE: RangeId = RangeId(1);

/// The first range of user keys; it is split as data comes.
pub const FIRST_USER_RANGE: RangeId = RangeId(2);

/// Keys below this belong to the system range. User keys (tables) begin here.
pub const SYSTEM_END: &[u8] = &[0x02];

/// Where a range lies and who holds it. `epoch` grows with every change of span or membership; a request that carries
/// another epoch is answered with the current descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub id: RangeId,
    pub epoch: u64,
    pub span: Span,
    /// The nodes that hold a voting replica, in order.
    pub replicas: Vec<NodeId>,
}
