//! The conversation of a sign-in.

use bytes::Bytes;

/// One conversation with one client.
pub trait Mechanism: Send {
    /// Takes what the client said (empty at first) and decides what happens next. Must not be called again after a success or
    /// a failure.
    fn exchange(&mut self, input: &[u8]) -> Step;
}

/// What comes next in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this to the client and wait for its answer.
    Continue(Bytes),
    Success(Identity),
    Failure(Denied),
}

/// Who the client has proved to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub role: String,
}

/// Why a client may not come in, in the words that the client may see: nothing here tells an unknown role from a wrong
/// password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No rule admits this role from this address (SQLSTATE 28000).
    #[error("no sign-in rule admits user \"{role}\" from address {address}")]
    NotAdmitted { role: String, address: String },
}
