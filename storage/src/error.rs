//! Errors by what the caller can do about them.

use crate::range::Descriptor;

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The span of the request does not lie in one current range: look the route up again and split anew. The router has
    /// healed its cache with the descriptors already.
    #[error("the range has changed")]
    RangeChanged(Vec<Descriptor>),
    /// Nobody who could serve the request was reached before the deadline. When `maybe_applied`, a copy of the request may
    /// have been executed or may still be.
    #[error("no answer within the deadline: {reason}")]
    Unavailable { reason: String, maybe_applied: bool },
    /// A queue is full. Nothing was done; try again later.
    #[error("overloaded: {0}")]
    Overloaded(String),
    /// The command was refused by its evaluator; the text is for operators.
    #[error("command refused: {0}")]
    Refused(String),
    /// Stored bytes are not what was written, or the disk failed. The node must stop.
    #[error("corrupt or failed storage: {0}")]
    Corrupt(String),
}

pub type Result<T> = std::result::Result<T, Error>;
