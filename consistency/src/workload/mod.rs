//! Workloads: what clients do. Each is driven by one seed, speaks SQL to a [`World`] and records a history.
//!
//! | | where |
//! |---|---|
//! | the other side, in text | [`world`] |
//! | one client, its connection, what a failure means | [`client`] |
//! | isolation level, shape of the tables | [`parameters`], [`rows`] |
//! | recording and judging, which all share | [`scenario`] |
//! | what each is about | [`about`] |
//! | the workloads themselves | the other modules; [`by_name`] |

pub mod about;
pub mod client;
pub mod parameters;
pub mod rows;
pub mod scenario;
pub mod world;

pub mod bank;
pub mod causal_reverse;
pub mod counter;
pub mod foreign_key;
pub mod list_append;
pub mod long_fork;
pub mod monotonic;
pub mod mutex;
pub mod past;
pub mod predicate;
pub mod queue;
pub mod register;
pub mod rw_register;
pub mod sequential;
pub mod set;
pub mod unique;

use std::{sync::Arc, time::Duration};

use base::{BoxFuture, Rng};

pub use self::{
    about::{ABOUT, About, NAMES},
    client::{Client, Failed, is_reader},
    parameters::{Isolation, Parameters, Shape},
    scenario::{Recorded, is_forbidden},
    world::{Answer, Connection, Failure, Stage, World},
};
use self::{list_append::Temper, scenario::Scenario, set::Variant};
use crate::{
    check::{Anomaly, Kind, Level},
    history::{Counts, Told},
    nemesis::Fault,
};

/// A workload, shared by all of its clients.
pub trait Workload: Send + Sync {
    /// Makes the tables and splits them, before the faults begin. What an earlier run left is dropped.
    fn setup<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, Result<(), String>>;

    /// One operation of one client: recorded in the history whatever happens.
    fn operate<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, ()>;

    /// A statement that cuts a range in the middle of a run, for Locus; it may fail, as everything may then.
    fn split(&self, rng: &mut Rng) -> Option<String>;

    /// Reads everything at the end, when the faults have healed, and finds everything that strict serializability forbids
    /// ([`Workload::permits`] tells what the promise allows). An error means that the final read itself failed, which counts
    /// against the run.
    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, Result<Vec<Anomaly>, String>>;

    /// The level that histories are promised by Locus, given what the clients ask for.
    fn promise(&self) -> Level;

    /// Whether the promise allows such an anomaly.
    fn permits(&self, kind: Kind) -> bool {
        !is_forbidden(kind, self.promise())
    }

    /// Whether the promise holds under such a fault. Row locks alone may get lost, in crashes.
    fn bears(&self, fault: Fault) -> bool;

    /// How many operations committed, aborted and stayed unknown.
    fn counts(&self) -> Counts;

    /// One operation of the history, by its index.
    fn told(&self, index: usize) -> Option<Told>;

    /// The history in Jepsen's own format.
    fn edn(&self) -> String;
}

/// The workloads of [`ABOUT`], and `mutex`, which holds only while no process dies: locks are in the leaders' memory.
pub fn by_name(name: &str, parameters: &Parameters) -> Option<Arc<dyn Workload>> {
    fn record(scenario: impl Scenario, parameters: &Parameters) -> Option<Arc<dyn Workload>> {
        Some(Arc::new(Recorded::new(scenario, parameters.isolation)))
    }
    match name {
        "ambiguous-commit" => record(list_append::ListAppend::new(parameters, Temper::Impatient), parameters),
        "bank" => record(bank::Bank::new(parameters), parameters),
        "causal-reverse" => record(causal_reverse::CausalReverse::new(parameters), parameters),
        "counter" => record(counter::Counter::new(parameters), parameters),
        "ddl" => record(set::Set::new(parameters, Variant::ChangingSchema), parameters),
        "foreign-key" => record(foreign_key::ForeignKey::new(parameters), parameters),
        "list-append" => record(list_append::ListAppend::new(parameters, Temper::Calm), parameters),
        "long-fork" => record(long_fork::LongFork::new(parameters), parameters),
        "monotonic" => record(monotonic::Monotonic::new(parameters), parameters),
        "mutex" => record(mutex::Mutex::new(parameters), parameters),
        "past" => record(past::Past::new(parameters), parameters),
        "predicate" => record(predicate::Predicate::new(parameters), parameters),
        "queue" => record(queue::Queue::new(parameters), parameters),
        "register" => record(register::Register::new(parameters), parameters),
        "rw-register" => record(rw_register::RwRegister::new(parameters), parameters),
        "savepoints" => record(list_append::ListAppend::new(parameters, Temper::Undoing), parameters),
        "sequence" => record(unique::Sequence, parameters),
        "sequential" => record(sequential::Sequential::new(parameters), parameters),
        "set" => record(set::Set::new(parameters, Variant::Table), parameters),
        "set-by-index" => record(set::Set::new(parameters, Variant::Index), parameters),
        "unique" => record(unique::Unique::new(parameters), parameters),
        _ => None,
    }
}

/// Lets one client work until `end` (in the world's time), thinking for up to `think` after each operation.
pub async fn run_client(workload: &dyn Workload, client: &mut Client, end: u64, think: Duration) {
    while client.now() < end {
        workload.operate(client).await;
        let nanos = client.rng.below(think.as_nanos() as u64 + 1);
        client.world.sleep(Duration::from_nanos(nanos)).await;
    }
    client.disconnect();
}
