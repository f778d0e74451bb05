//! Errors by what the caller can do about them. `sql` maps them to SQLSTATE, once.

use base::{Timestamp, TxnId};
use bytes::Bytes;

use crate::command::WaitEdge;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What the transaction has read no longer holds: run it again. (40001)
    #[error("could not serialize access: {reason}")]
    Retry { reason: RetryReason, key: Option<Bytes>, other: Option<TxnId> },
    /// (40P01) The cycle: who waits for whom, on which key, in which mode; this transaction first.
    #[error("deadlock detected")]
    Deadlock(Vec<WaitEdge>),
    /// A `NoWait` lock is held by somebody. (55P03)
    #[error("lock not available")]
    LockNotAvailable { key: Bytes, other: TxnId },
    /// `lock_timeout` passed. (55P03)
    #[error("lock timeout")]
    LockTimeout { key: Bytes, other: TxnId },
    /// A unique bulk write met a key that is there already.
    #[error("duplicate key")]
    Duplicate { key: Bytes },
    /// The commit's answer was lost and the primary could not be asked before the deadline: it may or may not have
    /// happened. (40003)
    #[error("the outcome of the commit is unknown: {0}")]
    Ambiguous(String),
    /// Nothing was committed; the cluster did not answer in time. (58000 / 57P03, safe to try again)
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// (53300-class) A queue is full; nothing was done.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// The timestamp to read at has not come yet. (22023)
    #[error("the timestamp {read_ts} is in the future")]
    InFuture { read_ts: Timestamp },
    /// The transaction's buffered writes exceed its limit. (54000)
    #[error("transaction too large: {0}")]
    TooLarge(String),
    /// A reply or a stored value could not be decoded, or an invariant is broken. (XX000)
    #[error("internal error: {0}")]
    Internal(String),
}

/// Why a transaction cannot go on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryReason {
    /// A row to be locked or written has been changed by a transaction that was concurrent (PostgreSQL: "due to concurrent
    /// update").
    ConcurrentUpdate,
    /// The same, and the row is gone (PostgreSQL: "due to concurrent delete").
    ConcurrentDelete,
    /// Something that was only read has been changed (PostgreSQL: "due to read/write dependencies among transactions").
    ReadChanged,
    /// A lock was lost with its leader, and the row has changed since.
    LockLost,
    /// Somebody in whose way it was has taken it for dead.
    TakenForDead,
}

impl std::fmt::Display for RetryReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RetryReason::ConcurrentUpdate => "somebody else has committed a newer version",
            RetryReason::ConcurrentDelete => "somebody else has deleted it",
            RetryReason::ReadChanged => "something that was read has changed since",
            RetryReason::LockLost => "a lock was lost and the row has changed",
            RetryReason::TakenForDead => "the transaction was taken for dead and aborted",
        })
    }
}

pub type Result<T> = std::result::Result<T, Error>;

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Error {
        match error {
            storage::Error::Overloaded(reason) => Error::Overloaded(reason),
            storage::Error::Unavailable { reason, .. } => Error::Unavailable(reason),
            storage::Error::RangeChanged(_) => Error::Unavailable("ranges keep changing".into()),
            storage::Error::Refused(reason) | storage::Error::Corrupt(reason) => Error::Internal(reason),
        }
    }
}
