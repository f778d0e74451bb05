//! Where a workload writes down what its clients asked and were told.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::client::{Client, Result};
use crate::history::{History, Outcome};

/// What one operation of a workload is, in the words of Jepsen's histories.
pub trait Body: Clone + Send + 'static {
    /// The `:f` of the operation, without the colon.
    fn f(&self) -> &'static str;

    /// The `:value` of the operation as EDN; when `asked`, without what only the answer tells.
    fn value(&self, asked: bool) -> String;

    /// Answered, but with "no": a compare-and-set that found another value. Jepsen calls that `:fail`.
    fn did_nothing(&self) -> bool {
        false
    }
}

/// The history of a run, shared by all clients.
#[derive(Clone, Debug)]
pub struct Recorder<T>(Arc<Mutex<History<T>>>);

impl<T> Default for Recorder<T> {
    fn default() -> Recorder<T> {
        Recorder(Arc::default())
    }
}

impl<T: Body> Recorder<T> {
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

    /// A completed operation of nobody in particular: a read at the end.
    pub fn add(&self, begin: u64, end: u64, body: T) {
        let mut history = self.0.lock();
        let index = history.begin(u32::MAX, begin, body.clone());
        history.end(index, end, Outcome::Committed, body);
    }

    pub fn lock(&self) -> MutexGuard<'_, History<T>> {
        self.0.lock()
    }

    /// Committed, aborted, unknown.
    pub fn counts(&self) -> (u64, u64, u64) {
        let history = self.0.lock();
        let count = |outcome| history.operations.iter().filter(|operation| operation.outcome == outcome).count() as u64;
        (count(Outcome::Committed), count(Outcome::Aborted), count(Outcome::Unknown))
    }

    /// The history in Jepsen's own format: an `:invoke` and a completion for each operation.
    pub fn edn(&self) -> String {
        let history = self.0.lock();
        let mut lines: Vec<(u64, u8, String)> = Vec::new();
        for operation in &history.operations {
            let kind = match operation.outcome {
                Outcome::Committed if operation.body.did_nothing() => ":fail",
                Outcome::Committed => ":ok",
                Outcome::Aborted => ":fail",
                Outcome::Unknown => ":info",
            };
            let line = |kind: &str, value: String, time: u64| {
                let (process, f) = (operation.process, operation.body.f());
                format!(":type {kind} :process {process} :f :{f} :value {value} :time {time}")
            };
            let (asked, told) = (operation.body.value(true), operation.outcome == Outcome::Committed);
            let end = operation.end.min(i64::MAX as u64);
            lines.push((operation.begin, 0, line(":invoke", asked, operation.begin)));
            lines.push((operation.end, 1, line(kind, operation.body.value(!told), end)));
        }
        lines.sort_by_key(|(time, order, _)| (*time, *order));
        lines.iter().enumerate().map(|(index, (_, _, line))| format!("{{:index {index} {line}}}\n")).collect()
    }
}
