//! Is a database what it promises to be? Workloads that clients run over its SQL, and checkers of what they saw.
//!
//! Life of a check:
//!
//! 1. [`workload::by_name`] gives a [`workload::Workload`]; its clients live in a [`workload::World`], which opens sessions and
//!    tells the time. There are three worlds: the simulated one and the one of real processes, both in `jepsen`, and the page
//!    in a browser (`web-ui`).
//! 2. Clients record what they asked and what they were told in a [`history::History`], which can be written to a file in
//!    Jepsen's format and read from one ([`edn`]).
//! 3. [`check`] finds the anomalies in it, and [`check::Verdict`] says which isolation levels they leave.
//!
//! **Invariant**: no clock, no socket, no runtime, no tier of Locus: all of it enters through [`workload::World`]. It compiles
//! for the browser.

pub mod check;
pub mod edn;
pub mod history;
pub mod nemesis;
pub mod workload;
