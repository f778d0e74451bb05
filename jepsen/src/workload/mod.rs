//! Workloads: what clients do, as SQL. Each is driven by one seed and records a history.

pub mod bank;
pub mod list_append;
pub mod register;
pub mod client;

use std::sync::Arc;

use base::{BoxFuture, Rng};

use crate::check::Anomaly;
pub use client::{Attempt, Gateways};

/// A workload over SQL. Shared by all of its clients.
pub trait Workload: Send + Sync {
    /// Statements that make the tables, run once before the faults begin.
    fn setup(&self) -> Vec<String>;

    /// `ALTER TABLE … SPLIT AT` statements, so that transactions touch many ranges.
    fn splits(&self) -> Vec<String>;

    /// One more such statement, for splits in the middle of a run.
    fn split(&self, rng: &mut Rng) -> String;

    /// One operation of one client: recorded in the history whatever happens.
    fn operate(&self, gateways: Gateways, process: u32, rng: Rng) -> BoxFuture<'static, ()>;

    /// Reads everything at the end, when the faults have healed, and judges the history. An error means that the final
    /// read itself failed, which counts against the run.
    fn finish(&self, gateways: Gateways) -> BoxFuture<'static, Result<Vec<Anomaly>, String>>;

    /// How many operations committed, aborted and stayed unknown.
    fn counts(&self) -> (u64, u64, u64);
}

/// The workloads by name.
pub fn by_name(name: &str) -> Option<Arc<dyn Workload>> {
    match name {
        "list-append" => Some(Arc::new(list_append::ListAppend::default())),
        "bank" => Some(Arc::new(bank::Bank::default())),
        "register" => Some(Arc::new(register::Register::default())),
        _ => None,
    }
}

pub const NAMES: [&str; 3] = ["bank", "list-append", "register"];
