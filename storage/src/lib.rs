//! Replicated ranges of ordered bytes: Raft, its log, RocksDB, leases, splitting, the timestamp oracle, routing.
//!
//! Life of a request below SQL:
//!
//! 1. The gateway's [`router::Router`] (behind [`cluster::Cluster`]) finds the range and its leader in its cache and sends
//!    one [`message::Request`].
//! 2. The node's shell ([`shell`]) receives it and hands it to `Store::step` as an [`message::Event`].
//! 3. `Store` finds the `Replica`; the replica checks leadership, lease and epoch, takes latches and calls
//!    [`evaluate::Evaluate::evaluate`], which `txn` implements.
//! 4. A read answers at once. A write becomes one Raft proposal; the shell appends it to the log with one fsync shared by
//!    all replicas ([`log::LogStore`]), while followers do the same.
//! 5. When a quorum has it, the replica applies the batch to the [`engine::Engine`], releases the latches and the reply leaves.
//!
//! **Invariant**: bytes below, meaning above. Nothing here knows what a transaction, a version or a row is. Everything but
//! `shell` and `engine::rocks` is sans-I/O: no clock, socket, thread or randomness of its own.

pub mod cluster;
pub mod engine;
pub mod error;
pub mod evaluate;
mod keys;
mod liveness;
pub mod log;
mod map;
pub mod message;
mod oracle;
pub mod peer;
pub mod range;
pub mod router;
pub mod shell;
mod slog_adapter;
pub mod store;
pub mod wal;

pub use cluster::{
    BUCKET_MS, Cluster, Evaluated, EventKind, FenceOp, Follower, Heat, NodeEvent, NodeStatus, PeerView, RangeStatus,
    ReplicaView, Route, Stamp,
};
pub use engine::{ColumnFamily, Cursor, Engine, Reader, WriteBatch, WriteOp};
pub use error::{Error, Result};
pub use evaluate::{Access, Evaluate, EvaluateContext, EvaluateFactory, Outcome, Token};
pub use range::Descriptor;
pub use store::{Faults, Options, Store};
