//! Statements in sessions, for the workloads that speak SQL.

use std::time::Duration;

use base::{BoxFuture, Rng, Runtime};
use sql::{
    Row, Session, SqlError, SqlState,
    session::{Ending, Startup, Step},
};

use super::client::{Attempt, Gateway, Gateways};
use crate::history::Outcome;

/// Runs `work` in a new session on one of the gateways.
pub async fn in_session<T, W>(gateways: &Gateways, process: u32, rng: &mut Rng, work: W) -> Attempt<T>
where
    T: Send + 'static,
    W: FnOnce(Session) -> BoxFuture<'static, Result<T, SqlError>> + Send + 'static,
{
    let connect = move |gateway: Gateway| -> BoxFuture<'static, Result<T, SqlError>> {
        Box::pin(async move {
            let startup = Startup { user: "jepsen".into(), database: "locus".into(), ..Startup::default() };
            work(Session::new(gateway.database, startup)?).await
        })
    };
    gateways.run(process, rng, judge, connect).await
}

/// Whether an error says "nothing happened".
fn judge(error: &SqlError) -> Outcome {
    if error.state() == SqlState::STATEMENT_COMPLETION_UNKNOWN { Outcome::Unknown } else { Outcome::Aborted }
}

/// Runs a text to its end; rows and the last command tag.
pub async fn query(session: &mut Session, text: &str) -> Result<(Vec<Row>, String), SqlError> {
    let mut result = (Vec::new(), String::new());
    for statement in session.parse(text)? {
        let prepared = session.prepare(&statement, &[]).await?;
        let mut portal = session.bind(&prepared, Vec::new())?;
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

/// One statement in a session of its own.
pub async fn run_alone(gateways: &Gateways, rng: &mut Rng, text: String) -> Attempt<Vec<Row>> {
    in_session(gateways, 0, rng, move |mut session| {
        Box::pin(async move {
            let outcome = query(&mut session, &text).await;
            outcome.map(|(rows, _)| rows).inspect_err(|error| tracing::debug!(%error, text, "statement failed"))
        })
    })
    .await
}

/// Reads at the end of a run, when everything has healed: tries again until there is an answer, within reason.
pub async fn read_until_answered(gateways: &Gateways, text: &str) -> Result<Vec<Row>, String> {
    let mut rng = Rng::new(0);
    for _ in 0..100 {
        if let Some(rows) = run_alone(gateways, &mut rng, text.to_owned()).await.value {
            return Ok(rows);
        }
        gateways.clock.sleep(Duration::from_millis(200)).await;
    }
    Err(format!("the cluster did not recover: `{text}` was never answered"))
}

/// Runs statements one after the other on the first gateway; all must succeed.
pub async fn setup(gateways: Gateways, statements: Vec<String>) -> Result<(), String> {
    for text in statements {
        if run_alone(&gateways, &mut Rng::new(0), text.clone()).await.value.is_none() {
            return Err(format!("set-up statement failed: {text}"));
        }
    }
    Ok(())
}
