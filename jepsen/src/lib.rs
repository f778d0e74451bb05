//! Consistency under faults: a simulated world that runs the whole stack from one seed, workloads, and history checkers.
//!
//! Life of a simulated run:
//!
//! 1. [`sim::run`] draws a cluster, a [`nemesis::Schedule`] and a [`workload`] from one seed.
//! 2. [`sim::world::World`] is the event heap: messages, disk syncs, ticks and timers happen in simulated time, one at a
//!    time, in one thread. Nodes are `storage::Store`, gateways are `sql::Database`, clients are tasks on [`sim::executor`].
//! 3. Clients record what they asked and what they were told in a [`history::History`].
//! 4. At the end the faults heal, everything is read once more, and [`check`] decides whether the history is what was
//!    promised (strict serializability) and whether the replicas agree.
//!
//! A history may as well come from a file, of our own or of Jepsen's ([`history::read`], [`edn`]); [`check_file`] judges it,
//! [`report`] makes a page of it.
//!
//! **Invariant**: the same seed gives the same trace, byte for byte. Nothing in the simulated world reads a real clock.

pub mod check_file;
pub mod generate;
pub mod real;
pub mod report;
pub mod sim;

// What needs neither processes nor a simulator is a crate of its own, because the page in the browser runs it too.
pub use consistency::{check, edn, history, nemesis, workload};
