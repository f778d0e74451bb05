//! The simulated gateways as a [`World`]: connections are tasks of a gateway's process, which die with it.

use std::{sync::Arc, time::Duration};

use base::{BoxFuture, Rng, Runtime};
use bytes::BytesMut;
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use parking_lot::Mutex;
use sql::{
    Database, Row, Session, SqlError, Value,
    session::{Ending, Prepared, Startup, Step},
};
use txn::TxnClient;

use super::executor::SimRuntime;
use crate::{
    history::Outcome,
    workload::{Answer, Connection, Failure, World, is_reader},
};

/// A running gateway.
#[derive(Clone)]
pub struct Gateway {
    pub database: Arc<Database>,
    /// The same transaction client that the database uses.
    pub client: TxnClient,
    pub runtime: Arc<SimRuntime>,
}

/// Where a gateway runs: `None` while it is down.
pub type Slot = Arc<Mutex<Option<Gateway>>>;

/// All gateways, and the clients' own runtime.
#[derive(Clone)]
pub struct Gateways {
    pub slots: Vec<Slot>,
    pub clock: Arc<SimRuntime>,
}

/// How a piece of work ended, with what it returned if it went well.
pub struct Attempt<T> {
    pub outcome: Outcome,
    pub value: Option<T>,
}

impl Gateways {
    /// One of the gateways, if it is up. Readers have the last gateway to themselves: nothing makes that gateway look for
    /// new leaders as long as somebody answers its reads, so a leader that answers too long is found out.
    fn pick(&self, client: u32, draw: u64) -> Option<Gateway> {
        let last = self.slots.len() - 1;
        let slot = if is_reader(client) { last } else { (draw % last as u64) as usize };
        self.slots[slot].lock().clone()
    }

    /// Runs `work` in a gateway's own task: when the gateway dies, nobody knows what became of it. `judge` tells what an
    /// error means. For what lies below SQL.
    pub async fn run<T, E, W>(&self, client: u32, rng: &mut Rng, judge: fn(&E) -> Outcome, work: W) -> Attempt<T>
    where
        T: Send + 'static,
        E: Send + 'static,
        W: FnOnce(Gateway) -> BoxFuture<'static, Result<T, E>> + Send + 'static,
    {
        let Some(gateway) = self.pick(client, rng.next_u64()) else {
            self.clock.sleep(Duration::from_millis(50)).await;
            return Attempt { outcome: Outcome::Aborted, value: None };
        };
        let (sender, receiver) = oneshot::channel();
        let runtime = gateway.runtime.clone();
        runtime.spawn(Box::pin(async move {
            let _ = sender.send(work(gateway).await);
        }));
        match receiver.await {
            Ok(Ok(value)) => Attempt { outcome: Outcome::Committed, value: Some(value) },
            Ok(Err(error)) => Attempt { outcome: judge(&error), value: None },
            Err(oneshot::Canceled) => Attempt { outcome: Outcome::Unknown, value: None },
        }
    }
}

impl World for Gateways {
    fn now(&self) -> u64 {
        self.clock.now().0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep(duration)
    }

    fn is_locus(&self) -> bool {
        true
    }

    fn connect(&self, client: u32) -> BoxFuture<'static, Result<Box<dyn Connection>, Failure>> {
        let gateway = self.pick(client, self.clock.random_u64());
        Box::pin(async move {
            let gateway = gateway.ok_or_else(|| Failure::NotSent("the gateway is down".into()))?;
            let startup = Startup { user: "locus".into(), database: "locus".into(), ..Startup::default() };
            let session = Session::new(gateway.database, startup).map_err(|error| refused(&error))?;
            let (sender, receiver) = mpsc::unbounded();
            gateway.runtime.spawn(Box::pin(serve(session, receiver)));
            Ok(Box::new(SimConnection { sender }) as Box<dyn Connection>)
        })
    }
}

/// A statement, and where its answer goes.
type Asked = (String, oneshot::Sender<Result<Answer, Failure>>);

struct SimConnection {
    sender: mpsc::UnboundedSender<Asked>,
}

impl Connection for SimConnection {
    fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Answer, Failure>> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.sender.unbounded_send((sql.to_owned(), sender));
        Box::pin(async move {
            sent.map_err(|_| Failure::Lost("the gateway is gone".into()))?;
            receiver.await.unwrap_or_else(|oneshot::Canceled| Err(Failure::Lost("the gateway died".into())))
        })
    }
}

/// The gateway's end of a connection, as long as the other end is there.
async fn serve(mut session: Session, mut statements: mpsc::UnboundedReceiver<Asked>) {
    while let Some((sql, answer)) = statements.next().await {
        let outcome = run(&mut session, &sql).await.map_err(|error| refused(&error));
        let _ = answer.send(outcome);
    }
    session.close().await;
}

async fn run(session: &mut Session, sql: &str) -> Result<Answer, SqlError> {
    let mut answer = Answer::default();
    for statement in session.parse(sql)? {
        let prepared = session.prepare(&statement, &[]).await?;
        let mut portal = session.bind(&prepared, Vec::new())?;
        loop {
            match session.execute(&mut portal, 0, Ending::Commit).await? {
                Step::Rows(rows) => append(session, &prepared, rows, &mut answer),
                Step::Complete(rows, tag) => {
                    append(session, &prepared, rows, &mut answer);
                    answer.affected = tag.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
                    break;
                }
                Step::Empty => break,
                other => return Err(SqlError::internal(format!("unexpected step {other:?}"))),
            }
        }
    }
    Ok(answer)
}

/// Rows as the wire has them in text format.
fn append(session: &Session, prepared: &Prepared, rows: Vec<Row>, answer: &mut Answer) {
    let Some(columns) = &prepared.columns else { return };
    if rows.is_empty() {
        return;
    }
    let options = session.format_options();
    for row in rows {
        let texts = row.iter().zip(columns).map(|(value, column)| {
            let mut text = BytesMut::new();
            sql::types::encode_text(value, column.ty, &options, &mut text);
            (*value != Value::Null).then(|| String::from_utf8_lossy(&text).into_owned())
        });
        answer.rows.push(texts.collect());
    }
}

fn refused(error: &SqlError) -> Failure {
    Failure::Refused { sqlstate: error.state().0.to_owned(), message: error.fields().message.clone() }
}
