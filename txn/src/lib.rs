//! Transactions: MVCC, locks, timestamps, the commit protocol and its recovery.
//!
//! Two halves share [`command`]: the *server* half runs inside the range leader ([`server::Evaluator`] implements
//! `storage::Evaluate`), the *client* half runs in the gateway ([`client::Txn`]).
//!
//! Life of a transaction:
//!
//! 1. `client::TxnClient::begin` draws a `TxnId`; the first statement fetches `read_ts` from the oracle.
//! 2. `Txn::get` / `Txn::scan` send `Command::Read` to the leaders of the ranges, in parallel; `Txn::lock` sends
//!    `Command::Lock`. `Txn::put` and `Txn::delete` only fill the write buffer.
//! 3. Meeting something newer than `read_ts`, the transaction moves forward: fresh timestamp, `Command::Refresh` of its reads.
//! 4. `Txn::commit`: one range → `Command::CommitOneRange`; many → `Command::Prewrite` everywhere at once (parallel
//!    commit), then `Command::Resolve` in the background.
//! 5. Whoever meets the intent of a transaction that is gone runs `client::recovery`.
//!
//! The argument that this is strictly serializable is in `docs/transactions.md`.
//!
//! **Invariant**: knows keys and values, but not tables, rows or SQL types. No runtime, no clock but `base::Runtime`.

pub mod client;
pub mod command;
pub mod error;
pub mod mvcc;
pub mod server;
pub mod testing;

pub use client::{
    CommitInfo, Faults, Isolation, LockedRow, Options, RangeWork, Savepoint, ScanPage, ScanRequest, Txn, TxnClient,
    TxnStats, WaitView,
};
pub use command::{Command, LockMode, Pushdown, RowSink, Verdict, WaitEdge, WaitPolicy};
pub use error::{Error, Result, RetryReason};
/// What the layer above sees of the cluster besides transactions: fences, and the views of ranges and nodes.
pub use storage::{
    BUCKET_MS, Cluster, EventKind, FenceOp, Heat, NodeEvent, NodeStatus, PeerView, RangeStatus, ReplicaView, Stamp,
};
