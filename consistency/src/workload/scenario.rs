//! What a workload says about itself, and the recording and judging that all of them share.

use std::{sync::Arc, time::Duration};

use base::{BoxFuture, Rng};
use parking_lot::Mutex;

use super::{
    Isolation, Workload,
    client::{Client, Result},
};
use crate::{
    check::{Anomaly, Kind, Level},
    history::{Body, Counts, History, Outcome, Told},
    nemesis::Fault,
};

/// A workload in the words of its own operations.
pub trait Scenario: Send + Sync + 'static {
    type Step: Body + Send + 'static;

    /// Makes the tables; cuts them into ranges where the cluster knows what that is.
    fn setup(&self, is_locus: bool) -> Vec<String>;

    /// A statement that cuts a range in the middle of a run; it may fail, as everything may then.
    fn split(&self, rng: &mut Rng) -> Option<String>;

    /// What the client is to do next.
    fn draw(&self, client: &mut Client) -> Self::Step;

    /// Does it; the step with its answer.
    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Self::Step) -> BoxFuture<'a, Result<Self::Step>>;

    /// At the end, when everything has healed: reads everything once more, as operations of the history where the checker
    /// wants them there, and otherwise as anomalies.
    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Self::Step>) -> BoxFuture<'a, Last>;

    /// Everything that strict serializability forbids.
    fn check(&self, history: &History<Self::Step>) -> Vec<Anomaly>;

    /// The level that histories of this workload are promised, when clients ask for `isolation`. Each is what PostgreSQL
    /// documents, or stronger: Locus gives every statement the newest state there is.
    fn promise(&self, isolation: Isolation) -> Level {
        match isolation {
            Isolation::Serializable => Level::StrictSerializable,
            Isolation::RepeatableRead => Level::StrongSnapshotIsolation,
            Isolation::ReadCommitted => Level::ReadCommitted,
        }
    }

    /// The longest pause of a client after each operation, besides what the run asks for: where reads grow with the
    /// history, fewer operations find as much.
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the promise holds under such a fault.
    fn bears(&self, _fault: Fault) -> bool {
        true
    }
}

/// What the last reads found; an error means that they failed, which counts against the run.
pub type Last = std::result::Result<Vec<Anomaly>, String>;

/// Where a workload writes down what its clients asked and were told.
#[derive(Clone, Debug)]
pub struct Recorder<T>(Arc<Mutex<History<T>>>);

impl<T> Default for Recorder<T> {
    fn default() -> Recorder<T> {
        Recorder(Arc::new(Mutex::new(History::default())))
    }
}

impl<T: Clone> Recorder<T> {
    pub fn begin(&self, client: &Client, asked: &T) -> usize {
        self.0.lock().begin(client.process, client.now(), asked.clone())
    }

    /// Writes down the answer, or that there was none.
    pub fn end(&self, client: &mut Client, index: usize, asked: T, answered: Result<T>) {
        let (outcome, body) = match answered {
            Ok(body) => (Outcome::Committed, body),
            Err(failed) => (failed.outcome, asked),
        };
        self.0.lock().end(index, client.now(), outcome, body);
        if outcome == Outcome::Unknown {
            client.rename();
        }
    }

    /// A read at the end, by nobody in particular. Each by a process of its own: several are noted of one question, and a process
    /// does one thing at a time.
    pub fn add(&self, begin: u64, end: u64, body: T) {
        let mut history = self.0.lock();
        let last = history.operations.last().map_or(0, |operation| operation.process);
        let process = if last < LAST_PROCESS { LAST_PROCESS } else { last + 1 };
        let index = history.begin(process, begin, body.clone());
        history.end(index, end, Outcome::Committed, body);
    }

    pub fn lock(&self) -> parking_lot::MutexGuard<'_, History<T>> {
        self.0.lock()
    }
}

/// The first name in histories of those who read at the end.
pub const LAST_PROCESS: u32 = 1_000_000;

/// A scenario with its history.
pub struct Recorded<S: Scenario> {
    scenario: S,
    isolation: Isolation,
    history: Recorder<S::Step>,
}

impl<S: Scenario> Recorded<S> {
    pub fn new(scenario: S, isolation: Isolation) -> Recorded<S> {
        Recorded { scenario, isolation, history: Recorder::default() }
    }
}

impl<S: Scenario> Workload for Recorded<S> {
    fn setup<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<(), String>> {
        Box::pin(prepare(self.scenario.setup(client.world.is_locus()), client))
    }

    fn operate<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let step = self.scenario.draw(client);
            let index = self.history.begin(client, &step);
            let answered = self.scenario.run(client, &step).await;
            self.history.end(client, index, step, answered);
            let nanos = self.scenario.pause().as_nanos() as u64;
            if nanos > 0 {
                let pause = Duration::from_nanos(client.rng.below(nanos));
                client.world.sleep(pause).await;
            }
        })
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        self.scenario.split(rng)
    }

    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let mut anomalies = self.scenario.last(client, &self.history).await?;
            anomalies.extend(self.scenario.check(&self.history.lock()));
            Ok(anomalies)
        })
    }

    fn promise(&self) -> Level {
        self.scenario.promise(self.isolation)
    }

    fn bears(&self, fault: Fault) -> bool {
        self.scenario.bears(fault)
    }

    fn counts(&self) -> Counts {
        self.history.lock().counts()
    }

    fn told(&self, index: usize) -> Option<Told> {
        self.history.lock().told(index)
    }

    fn edn(&self) -> String {
        self.history.lock().to_edn()
    }
}

async fn prepare(statements: Vec<String>, client: &mut Client) -> std::result::Result<(), String> {
    let left_over: Vec<String> = statements.iter().rev().filter_map(|sql| drop_first(sql)).collect();
    client.run_all(&left_over).await?;
    client.run_all(&statements).await
}

/// A run before this one may have left tables behind.
fn drop_first(sql: &str) -> Option<String> {
    let mut words = sql.split([' ', '(']);
    match (words.next()?, words.next()?, words.next()?) {
        ("CREATE", kind @ ("TABLE" | "SEQUENCE"), name) => Some(format!("DROP {kind} IF EXISTS {name}")),
        _ => None,
    }
}

/// Whether an anomaly breaks a promise.
pub fn is_forbidden(kind: Kind, promise: Level) -> bool {
    kind.is_always_wrong() || kind.violates().iter().any(|weakest| promise.implies(*weakest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::register::{Action, Step},
        history::read,
    };

    /// A process in a file does one thing at a time.
    #[test]
    fn last_reads_at_one_moment_make_a_file_that_can_be_read() {
        let recorder = Recorder::default();
        for key in 0..3 {
            recorder.add(5, 9, Step { key, action: Action::Read { seen: Some(1) } });
        }
        let text = recorder.lock().to_edn();
        let again = read::<Step>(text.as_bytes(), |_, _| {}).expect("a readable history").history;
        assert_eq!(again.operations.len(), 3);
        assert!(again.operations.iter().all(|operation| operation.outcome == Outcome::Committed));
    }
}
