//! Errors by what the caller can do about them. `sql` maps them to SQLSTATE, once.

use base::TxnId;
use bytes::Bytes;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// What the transaction has read no longer holds: run it again. (40001)
    #[error("could not serialize access: {reason}")]
    Retry { reason: String, key: Option<Bytes>, other: Option<TxnId> },
    /// (40P01) The cycle, this transaction first.
    #[error("deadlock detected")]
    Deadlock(Vec<TxnId>),
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
    /// The transaction's buffered writes exceed its limit. (54000)
    #[error("transaction too large: {0}")]
    TooLarge(String),
    /// A reply or a stored value could not be decoded, or an invariant is broken. (XX000)
    #[error("internal error: {0}")]
    Internal(String),
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
