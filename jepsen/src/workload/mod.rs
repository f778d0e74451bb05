//! Workloads: what clients do. Each is driven by one seed and records a history.

pub mod bank;
pub mod client;
pub mod kv_append;
pub mod list_append;
pub mod register;
pub mod statement;

use std::sync::Arc;

use base::{BoxFuture, Rng};

use crate::check::Anomaly;
pub use client::{Attempt, Gateway, Gateways};

/// A workload, shared by all of its clients.
pub trait Workload: Send + Sync {
    /// Makes the tables and splits them, before the faults begin.
    fn setup(&self, gateways: Gateways) -> BoxFuture<'static, Result<(), String>>;

    /// Splits somewhere in the middle of a run; may fail, as everything may then.
    fn split(&self, gateways: Gateways, rng: Rng) -> BoxFuture<'static, ()>;

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
        "bank" => Some(Arc::new(bank::Bank::default())),
        "kv-append" => Some(Arc::new(kv_append::KvAppend::default())),
        "list-append" => Some(Arc::new(list_append::ListAppend::default())),
        "register" => Some(Arc::new(register::Register::default())),
        _ => None,
    }
}

pub const NAMES: [&str; 4] = ["bank", "kv-append", "list-append", "register"];
