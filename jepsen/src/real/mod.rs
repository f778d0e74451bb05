//! Real clusters under real faults: processes, network namespaces, kill -9.
//!
//! Life of a run ([`run::run`]):
//!
//! 1. [`cluster::Cluster::start`] makes the namespaces ([`namespaces`], [`places`]), equips the processes with what the nemeses
//!    need ([`equipment`], [`relay`]) and starts them ([`process`]).
//! 2. Clients run a [`crate::workload`] over the wire ([`world`], [`wire`]); each records what it asked and was told.
//! 3. After a calm beginning the [`nemesis`]es begin and end their faults, each in its own rhythm.
//! 4. Everything heals; [`meter`] measures how long it takes until statements succeed again, and as many as before.
//! 5. Everything is read once more and the history is judged.
//!
//! [`matrix`] does this for workloads × nemeses.

pub mod cluster;
mod command;
mod equipment;
mod firewall;
mod inside;
pub mod matrix;
pub mod meter;
pub mod namespaces;
pub mod nemesis;
pub mod pages;
pub mod partition;
pub mod places;
mod process;
mod relay;
pub mod run;
pub mod wire;
pub mod world;

pub use cluster::{Cluster, ClusterOptions, sweep};
pub use equipment::Needs;
