//! The simulated world: a whole cluster, SQL included, in one thread on simulated time, from one seed.

pub mod cluster;
pub mod executor;
pub mod gateways;
pub mod kv_append;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod planted;
pub mod trace;
pub mod world;

mod run;

pub use planted::Planted;
pub use run::{NAMES, Report, RunOptions, run};
