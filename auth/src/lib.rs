//! Who may come in, and what they may do: pure decisions, no I/O.
//!
//! Life of a sign-in:
//!
//! 1. The gateway reads what is stored about the role and asks [`rules::Rules::decide`] how it is to be proved, and
//!    [`throttle`] whether it may be tried now.
//! 2. It makes a [`Mechanism`] of that ([`password::Cleartext`], [`scram::Scram`], [`ticket::ByTicket`]) and carries the
//!    conversation: [`Mechanism::exchange`] with [`Input::Start`] opens it, [`Step::Continue`] is sent to the client, the
//!    answer is the next input.
//! 3. [`Step::Success`] is a [`Proof`]. What it uses up (the time step of a code, a recovery code) is taken in one transaction
//!    with the [`audit`] row; the sign-in fails where another has taken it meanwhile, on whatever gateway.
//! 4. [`Step::Failure`] ends the connection, with one text for every reason. The reason goes into the audit log.
//!
//! Life of a statement: `sql` asks [`privilege::held`] for each object it touches.
//!
//! **Invariant**: no sockets, no clock, no randomness, no catalog. What a decision needs is handed in.

pub mod audit;
pub mod factor;
pub mod keys;
mod mechanism;
pub mod otp;
pub mod owner;
pub mod password;
pub mod privilege;
pub mod rules;
pub mod scram;
pub mod seal;
pub mod throttle;
pub mod ticket;

pub use factor::Factors;
pub use mechanism::{Challenge, Input, Mechanism, Proof, Reason, Step, Used};
