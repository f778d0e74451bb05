//! The commit protocol and its recovery, model-checked with `stateright`: all interleavings of a few transactions over two or
//! three keys, with crashes, lost and repeated messages, changes of leaders and a split, at every step.
//!
//! Nothing of the protocol is written down again here. Both halves are the code that runs in production:
//!
//! ```text
//!            answers so far                            what is stored, what was read
//!                  │                                                │
//!   client::play   ▼                        leader::evaluate        ▼
//!   TxnClient: commit, round, prewrite,     server::Evaluator: commit, prevent, abort, resolve, query
//!   decide, prevent_all, resolve, …         over mvcc::write, mvcc::resolve
//!                  │                                                │
//!                  ▼  requests              world::World            ▼  answer, what is stored now
//!            ┌────────────────────────────────────────────────────────────┐
//!            │ which request is next? executed, repeated, lost, late, … │
//!            └────────────────────────────────────────────────────────────┘
//! ```
//!
//! A client is a pure function of its answers and a leader one of what is stored, so each distinct situation of either is run
//! once, and a state of the world is a handful of numbers. `docs/transactions.md` has the figures, and says how to allow more
//! faults on one path.

mod client;
mod intern;
mod leader;
mod mistakes;
mod properties;
mod protocol;
mod scenario;
mod world;
