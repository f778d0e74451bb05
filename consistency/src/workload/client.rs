//! One client: holds a connection, runs transactions one after the other, and knows after a failure whether the
//! transaction committed, aborted, or nobody can tell.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use base::{BoxFuture, Rng};
use futures::future::{self, Either};

use super::{
    parameters::{Isolation, Parameters},
    world::{Answer, Connection, Failure, Stage, World},
};
use crate::history::Outcome;

/// A transaction that failed, and what that says about its effects.
#[derive(Clone, Debug)]
pub struct Failed {
    pub outcome: Outcome,
    pub failure: Failure,
}

pub type Result<T> = std::result::Result<T, Failed>;

pub struct Client {
    pub world: Arc<dyn World>,
    /// From 0 to the number of clients.
    pub number: u32,
    /// The name in the history. After an unknown outcome the client goes on under another one, as in Jepsen's histories: what
    /// it did before may still be under way.
    pub process: u32,
    pub rng: Rng,
    clients: u32,
    isolation: Isolation,
    timeout: Duration,
    connection: Option<Box<dyn Connection>>,
    /// A block was left open by a failure: it is rolled back before the next transaction.
    left_open: bool,
}

impl Client {
    pub fn new(world: Arc<dyn World>, number: u32, parameters: &Parameters, rng: Rng) -> Client {
        Client {
            world,
            number,
            process: number,
            rng,
            clients: parameters.clients,
            isolation: parameters.isolation,
            timeout: parameters.timeout,
            connection: None,
            left_open: false,
        }
    }

    pub fn now(&self) -> u64 {
        self.world.now()
    }

    /// Whether this client only reads. Readers are not held up where writers are: there must be somebody to see a state that
    /// is out of date.
    pub fn is_reader(&self) -> bool {
        is_reader(self.number)
    }

    /// One statement that is a transaction of its own.
    pub async fn query(&mut self, sql: &str) -> Result<Answer> {
        self.ready().await?;
        self.send(sql, Stage::Committing).await
    }

    /// Begins a transaction block.
    pub async fn begin(&mut self) -> Result<Block<'_>> {
        self.begin_with("BEGIN").await
    }

    /// Begins a block by a statement of the caller's (`BEGIN READ ONLY`).
    pub async fn begin_with(&mut self, sql: &str) -> Result<Block<'_>> {
        self.ready().await?;
        self.left_open = true;
        self.send(sql, Stage::Open).await?;
        Ok(Block { client: self })
    }

    /// Asks until there is an answer, within reason: at the end of a run, when everything has healed.
    pub async fn query_until_answered(&mut self, sql: &str) -> std::result::Result<Answer, String> {
        let mut last = String::new();
        for _ in 0..100 {
            match self.query(sql).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => last = failed.to_string(),
            }
            self.world.sleep(Duration::from_millis(200)).await;
        }
        Err(format!("the cluster did not recover: `{sql}` was never answered ({last})"))
    }

    /// Runs the statements of a set-up; each must succeed.
    pub async fn run_all(&mut self, statements: &[String]) -> std::result::Result<(), String> {
        for sql in statements {
            self.query(sql).await.map_err(|failed| format!("set-up statement `{sql}` failed: {failed}"))?;
        }
        Ok(())
    }

    /// Closes the connection; the next transaction runs on another one.
    pub fn disconnect(&mut self) {
        self.connection = None;
        self.left_open = false;
    }

    /// Goes on under another name (see [`Client::process`]), on another connection.
    pub fn rename(&mut self) {
        self.process += self.clients;
        self.disconnect();
    }

    /// Connects where there is no connection, changes the gateway now and then, ends what a failure left open.
    async fn ready(&mut self) -> Result<()> {
        if self.rng.chance(1, 30) {
            self.disconnect();
        }
        if std::mem::take(&mut self.left_open) && self.connection.is_some() {
            self.send("ROLLBACK", Stage::Open).await?;
        }
        if self.connection.is_some() {
            return Ok(());
        }
        let connected = within(&*self.world, self.timeout, self.world.connect(self.number)).await;
        let connected = connected.unwrap_or_else(|| Err(Failure::NotSent("nobody answers".into())));
        match connected {
            Ok(connection) => self.connection = Some(connection),
            Err(failure) => {
                self.world.sleep(Duration::from_millis(50)).await;
                return Err(Failed { outcome: Outcome::Aborted, failure });
            }
        }
        let level = format!("SET default_transaction_isolation = '{}'", self.isolation);
        self.send(&level, Stage::Open).await?;
        Ok(())
    }

    async fn send(&mut self, sql: &str, stage: Stage) -> Result<Answer> {
        let Some(connection) = &mut self.connection else {
            return Err(Failed { outcome: Outcome::Aborted, failure: Failure::NotSent("not connected".into()) });
        };
        let answer = within(&*self.world, self.timeout, connection.query(sql)).await;
        let answer = answer.unwrap_or_else(|| Err(Failure::Lost("no answer in time".into())));
        answer.map_err(|failure| {
            tracing::debug!(client = self.number, sql, %failure, "statement failed");
            if !failure.is_refused() {
                self.disconnect();
            }
            Failed { outcome: failure.outcome(stage), failure }
        })
    }
}

/// Every third client only reads.
pub fn is_reader(number: u32) -> bool {
    number % 3 == 2
}

/// `None` when it takes longer.
async fn within<T>(world: &dyn World, limit: Duration, work: impl Future<Output = T> + Unpin) -> Option<T> {
    match future::select(work, world.sleep(limit)).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}

/// An open transaction block. Dropping it leaves the rollback to the client's next transaction.
pub struct Block<'a> {
    client: &'a mut Client,
}

impl Block<'_> {
    /// The world's time.
    pub fn now(&self) -> u64 {
        self.client.now()
    }

    pub fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.client.world.sleep(duration)
    }

    pub async fn query(&mut self, sql: &str) -> Result<Answer> {
        self.client.send(sql, Stage::Open).await
    }

    pub async fn commit(self) -> Result<()> {
        self.client.left_open = false;
        self.client.send("COMMIT", Stage::Committing).await.map(drop)
    }

    /// Commits, but hangs up when that takes longer.
    pub async fn commit_within(self, patience: Duration) -> Result<()> {
        let world = self.client.world.clone();
        let committing = Box::pin(self.commit());
        match future::select(committing, world.sleep(patience)).await {
            Either::Left((outcome, _)) => outcome,
            // The client is renamed when this is written down, and with that the connection is closed.
            Either::Right(_) => {
                let failure = Failure::Lost("the client hung up".into());
                Err(Failed { outcome: failure.outcome(Stage::Committing), failure })
            }
        }
    }

    pub async fn rollback(self) -> Result<()> {
        self.client.left_open = false;
        self.client.send("ROLLBACK", Stage::Open).await.map(drop)
    }

    pub fn rng(&mut self) -> &mut Rng {
        &mut self.client.rng
    }
}

impl Failed {
    /// The client itself decided not to go on, and will roll back.
    pub fn declined(reason: &str) -> Failed {
        let failure = Failure::Refused { sqlstate: "P0001".into(), message: reason.into() };
        Failed { outcome: Outcome::Aborted, failure }
    }

    /// Whether the server refused with this SQLSTATE.
    pub fn is(&self, sqlstate: &str) -> bool {
        self.failure.sqlstate() == Some(sqlstate)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.failure, self.outcome)
    }
}
