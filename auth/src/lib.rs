//! Who may come in: pure decisions, no I/O.
//!
//! A sign-in is a conversation. The gateway creates a [`Mechanism`] for the connection, feeds it what the client says and
//! carries its [`Step`]s back until one of them is a success or a failure:
//!
//! 1. [`Mechanism::exchange`] with an empty input opens the conversation.
//! 2. [`Step::Continue`] is sent to the client; its answer is the next input.
//! 3. [`Step::Success`] names the identity under which the session runs; [`Step::Failure`] ends the connection.
//!
//! For now the only mechanism is [`trust`]: whoever reaches the machine's own loopback interface is who they say they are.
//! Passwords, one-time codes and keys are further mechanisms behind the same trait.
//!
//! **Invariant**: no sockets, no clock, no catalog. What a decision needs is handed in.

mod mechanism;
pub mod trust;

pub use mechanism::{Denied, Identity, Mechanism, Step};
