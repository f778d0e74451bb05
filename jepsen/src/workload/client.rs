//! A client's view of the gateways: run one transaction, learn whether it committed, aborted, or nobody knows.

use std::sync::Arc;

use base::{BoxFuture, Rng, Runtime};
use futures::channel::oneshot;
use parking_lot::Mutex;
use sql::{
    Database, Row, Session, SqlError, SqlState, Value,
    session::{Ending, Startup, Step},
};

use crate::{history::Outcome, sim::executor::SimRuntime};

/// A gateway process: gone when `None`.
pub type Slot = Arc<Mutex<Option<(Arc<Database>, Arc<SimRuntime>)>>>;

/// All gateways, and the clients' own runtime.
#[derive(Clone)]
pub struct Gateways {
    pub slots: Vec<Slot>,
    pub clock: Arc<SimRuntime>,
}

/// How a transaction ended, with what it returned if it committed.
pub struct Attempt<T> {
    pub outcome: Outcome,
    pub value: Option<T>,
}

impl Gateways {
    pub fn now(&self) -> u64 {
        self.clock.now().0
    }

    /// Runs `work` in a session on one of the gateways. The work happens in the gateway's own task: when the gateway dies,
    /// the client sees a lost connection and does not know what became of it.
    pub async fn run<T, W>(&self, rng: &mut Rng, work: W) -> Attempt<T>
    where
        T: Send + 'static,
        W: FnOnce(Session) -> BoxFuture<'static, Result<T, SqlError>> + Send + 'static,
    {
        let slot = &self.slots[rng.below(self.slots.len() as u64) as usize];
        let Some((database, runtime)) = slot.lock().clone() else {
            self.clock.sleep(std::time::Duration::from_millis(50)).await;
            return Attempt { outcome: Outcome::Aborted, value: None };
        };
        let (sender, receiver) = oneshot::channel();
        runtime.spawn(Box::pin(async move {
            let startup = Startup { user: "jepsen".into(), database: "locus".into(), ..Startup::default() };
            let result = match Session::new(database, startup) {
                Ok(session) => work(session).await,
                Err(error) => Err(error),
            };
            let _ = sender.send(result);
        }));
        match receiver.await {
            Ok(Ok(value)) => Attempt { outcome: Outcome::Committed, value: Some(value) },
            Ok(Err(error)) => Attempt { outcome: judge(&error), value: None },
            Err(oneshot::Canceled) => Attempt { outcome: Outcome::Unknown, value: None },
        }
    }
}

/// An error that says "nothing happened", or one that does not.
fn judge(error: &SqlError) -> Outcome {
    if error.state() == SqlState::STATEMENT_COMPLETION_UNKNOWN { Outcome::Unknown } else { Outcome::Aborted }
}

/// Runs one statement to its end; rows and command tag.
pub async fn query(session: &mut Session, text: &str, values: Vec<Value>) -> Result<(Vec<Row>, String), SqlError> {
    let mut result = (Vec::new(), String::new());
    for statement in session.parse(text)? {
        let prepared = session.prepare(&statement, &[]).await?;
        let mut portal = session.bind(&prepared, values.clone())?;
        loop {
            match session.execute(&mut portal, 0, Ending::Commit).await? {
                Step::Rows(rows) => result.0.extend(rows),
                Step::Complete(rows, tag) => {
                    result.0.extend(rows);
                    result.1 = tag;
                    break;
                }
                other => return Err(SqlError::internal(format!("unexpected step {other:?}"))),
            }
        }
    }
    Ok(result)
}

/// Reads at the end of a run, when everything has healed: tries again until there is an answer, within reason.
pub async fn read_until_answered(gateways: &Gateways, rng: &mut Rng, text: &'static str) -> Result<Vec<Row>, String> {
    for _ in 0..100 {
        let attempt = gateways
            .run(rng, move |mut session| {
                Box::pin(async move { query(&mut session, text, vec![]).await.map_err(|error| log_error(text, error)) })
            })
            .await;
        if let Some((rows, _)) = attempt.value {
            return Ok(rows);
        }
        gateways.clock.sleep(std::time::Duration::from_millis(200)).await;
    }
    Err(format!("the cluster did not recover: `{text}` was never answered"))
}

fn log_error(text: &str, error: SqlError) -> SqlError {
    tracing::debug!(%error, text, "final read failed");
    error
}

/// Committed, aborted, unknown.
pub fn counts<T>(history: &crate::history::History<T>) -> (u64, u64, u64) {
    let count = |outcome| history.operations.iter().filter(|operation| operation.outcome == outcome).count() as u64;
    (count(Outcome::Committed), count(Outcome::Aborted), count(Outcome::Unknown))
}
