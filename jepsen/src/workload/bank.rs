//! Transfers between accounts in explicit transactions, and reads of all balances.

use std::sync::Arc;

use base::{BoxFuture, Rng};
use parking_lot::Mutex;
use sql::{Session, SqlError, Value};

use super::{Gateways, Workload, client, statement};
use crate::{
    check::{
        Anomaly,
        bank::{self, Step},
    },
    history::History,
};

const ACCOUNTS: i64 = 6;
const INITIAL: i64 = 100;

#[derive(Default)]
pub struct Bank {
    history: Arc<Mutex<History<Step>>>,
}

impl Workload for Bank {
    fn setup(&self, gateways: Gateways) -> BoxFuture<'static, Result<(), String>> {
        let mut statements =
            vec!["CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL CHECK (balance >= 0))".to_owned()];
        let rows: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {INITIAL})")).collect();
        statements.push(format!("INSERT INTO accounts VALUES {}", rows.join(", ")));
        statements.push("ALTER TABLE accounts SPLIT AT VALUES (2), (4)".to_owned());
        Box::pin(statement::setup(gateways, statements))
    }

    fn split(&self, gateways: Gateways, mut rng: Rng) -> BoxFuture<'static, ()> {
        let text = format!("ALTER TABLE accounts SPLIT AT VALUES ({})", rng.below(ACCOUNTS as u64));
        Box::pin(async move {
            statement::run_alone(&gateways, &mut rng, text).await;
        })
    }

    fn operate(&self, gateways: Gateways, process: u32, mut rng: Rng) -> BoxFuture<'static, ()> {
        let history = self.history.clone();
        Box::pin(async move {
            let step = draw(process, &mut rng);
            let index = history.lock().begin(process, gateways.now(), step.clone());
            let work = step.clone();
            let attempt =
                statement::in_session(&gateways, process, &mut rng, move |session| Box::pin(transact(session, work)))
                    .await;
            history.lock().end(index, gateways.now(), attempt.outcome, attempt.value.unwrap_or(step));
        })
    }

    fn finish(&self, gateways: Gateways) -> BoxFuture<'static, Result<Vec<Anomaly>, String>> {
        let history = self.history.clone();
        Box::pin(async move {
            let rows = statement::read_until_answered(&gateways, "SELECT id, balance FROM accounts").await?;
            let now = gateways.now();
            let mut history = history.lock();
            let index = history.begin(u32::MAX, now, Step::ReadAll { balances: None });
            let last = Step::ReadAll { balances: Some(balances(&rows)) };
            history.end(index, now, crate::history::Outcome::Committed, last);
            Ok(bank::check(&history, ACCOUNTS * INITIAL))
        })
    }

    fn counts(&self) -> (u64, u64, u64) {
        client::counts(&self.history.lock())
    }
}

fn draw(process: u32, rng: &mut Rng) -> Step {
    if Gateways::is_reader(process) {
        return Step::ReadAll { balances: None };
    }
    let from = rng.below(ACCOUNTS as u64) as i64;
    let to = (from + 1 + rng.below(ACCOUNTS as u64 - 1) as i64) % ACCOUNTS;
    Step::Transfer { from, to, amount: rng.between(1, 20) as i64 }
}

async fn transact(mut session: Session, step: Step) -> Result<Step, SqlError> {
    match step {
        Step::ReadAll { .. } => {
            let (rows, _) = statement::query(&mut session, "SELECT id, balance FROM accounts").await?;
            Ok(Step::ReadAll { balances: Some(balances(&rows)) })
        }
        Step::Transfer { from, to, amount } => {
            statement::query(&mut session, "BEGIN").await?;
            for (account, change) in [(from, -amount), (to, amount)] {
                let text = format!("UPDATE accounts SET balance = balance + ({change}) WHERE id = {account}");
                statement::query(&mut session, &text).await?;
            }
            statement::query(&mut session, "COMMIT").await?;
            Ok(step)
        }
    }
}

fn balances(rows: &[sql::Row]) -> Vec<(i64, i64)> {
    rows.iter()
        .filter_map(|row| match &row[..] {
            [Value::Int8(id), Value::Int8(balance)] => Some((*id, *balance)),
            _ => None,
        })
        .collect()
}
