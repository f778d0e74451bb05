//! Workloads: what clients do. Each is driven by one seed, speaks SQL to a [`World`] and records a history.

pub mod bank;
pub mod client;
pub mod list_append;
pub mod parameters;
pub mod record;
pub mod register;
pub mod rows;
pub mod world;

use std::{sync::Arc, time::Duration};

use base::{BoxFuture, Rng};

pub use self::{
    client::{Client, Failed, is_reader},
    parameters::{Isolation, Parameters, Shape},
    world::{Answer, Connection, Failure, Stage, World},
};
use crate::check::{Anomaly, Kind, Level};

/// A workload, shared by all of its clients.
pub trait Workload: Send + Sync {
    /// Makes the tables and splits them, before the faults begin.
    fn setup<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, Result<(), String>>;

    /// One operation of one client: recorded in the history whatever happens.
    fn operate<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, ()>;

    /// A statement that cuts a range in the middle of a run, for Locus; it may fail, as everything may then.
    fn split(&self, rng: &mut Rng) -> Option<String>;

    /// Reads everything at the end, when the faults have healed, and judges the history. An error means that the final
    /// read itself failed, which counts against the run. Anomalies that the isolation level permits are among the answer:
    /// see [`Workload::permits`].
    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, Result<Vec<Anomaly>, String>>;

    /// Whether the level that the clients asked for lets this happen.
    fn permits(&self, kind: Kind) -> bool {
        let _ = kind;
        false
    }

    /// How many operations committed, aborted and stayed unknown.
    fn counts(&self) -> (u64, u64, u64);

    /// The history in Jepsen's own format.
    fn edn(&self) -> String;
}

/// The workloads by name.
pub fn by_name(name: &str, parameters: &Parameters) -> Option<Arc<dyn Workload>> {
    match name {
        "bank" => Some(Arc::new(bank::Bank::new(parameters))),
        "list-append" => Some(Arc::new(list_append::ListAppend::new(parameters))),
        "register" => Some(Arc::new(register::Register::new(parameters))),
        _ => None,
    }
}

pub const NAMES: [&str; 3] = ["bank", "list-append", "register"];

/// Lets one client work until `end` (in the world's time), thinking for up to `think` after each operation.
pub async fn run_client(workload: &dyn Workload, client: &mut Client, end: u64, think: Duration) {
    while client.now() < end {
        workload.operate(client).await;
        let nanos = client.rng.below(think.as_nanos() as u64 + 1);
        client.world.sleep(Duration::from_nanos(nanos)).await;
    }
    client.disconnect();
}

/// What an isolation level permits: each is what PostgreSQL documents, or stronger.
pub fn level_permits(isolation: Isolation, kind: Kind) -> bool {
    let promised = match isolation {
        Isolation::Serializable => Level::StrictSerializable,
        Isolation::RepeatableRead => Level::SnapshotIsolation,
        Isolation::ReadCommitted => Level::ReadCommitted,
    };
    !kind.is_always_wrong() && !kind.violates().iter().any(|weaker| promised.implies(*weaker))
}
