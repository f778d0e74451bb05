//! What every tier shares: ids, time, randomness, spans and the order-preserving key encoding.
//!
//! **Invariant**: no I/O, no threads, no clock but the one that enters through [`Runtime`]. Nothing here knows what a
//! range, a transaction or a table is.

pub mod ids;
pub mod keycode;
pub mod rng;
pub mod runtime;
pub mod span;
pub mod time;

pub use ids::{IndexId, NodeId, RangeId, TableId, TxnId};
pub use rng::Rng;
pub use runtime::{BoxFuture, Runtime};
pub use span::Span;
pub use time::{Monotonic, Timestamp};
