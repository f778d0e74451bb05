//! Transfers between accounts in explicit transactions, and reads of all balances.

use std::sync::Arc;

use base::{BoxFuture, Rng};
use parking_lot::Mutex;
use sql::{Session, SqlError, Value};

use super::{Gateways, Workload, client};
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
    fn setup(&self) -> Vec<String> {
        let rows: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {INITIAL})")).collect();
        vec![
            "CREATE TABLE accounts (id int8 PRIMARY KEY, balance int8 NOT NULL CHECK (balance >= 0))".into(),
            format!("INSERT INTO accounts VALUES {}", rows.join(", ")),
        ]
    }

    fn splits(&self) -> Vec<String> {
        vec!["ALTER TABLE accounts SPLIT AT VALUES (2), (4)".into()]
    }

    fn split(&self, rng: &mut Rng) -> String {
        format!("ALTER TABLE accounts SPLIT AT VALUES ({})", rng.below(ACCOUNTS as u64))
    }

    fn operate(&self, gateways: Gateways, process: u32, mut rng: Rng) -> BoxFuture<'static, ()> {
        let history = self.history.clone();
        Box::pin(async move {
            let step = draw(&mut rng);
            let index = history.lock().begin(process, gateways.now(), step.clone());
            let work = step.clone();
            let attempt = gateways.run(&mut rng, move |session| Box::pin(transact(session, work))).await;
            history.lock().end(index, gateways.now(), attempt.outcome, attempt.value.unwrap_or(step));
        })
    }

    fn finish(&self, gateways: Gateways) -> BoxFuture<'static, Result<Vec<Anomaly>, String>> {
        let history = self.history.clone();
        Box::pin(async move {
            let mut rng = Rng::new(0);
            let rows = client::read_until_answered(&gateways, &mut rng, "SELECT id, balance FROM accounts").await?;
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

fn draw(rng: &mut Rng) -> Step {
    if rng.chance(1, 3) {
        return Step::ReadAll { balances: None };
    }
    let from = rng.below(ACCOUNTS as u64) as i64;
    let to = (from + 1 + rng.below(ACCOUNTS as u64 - 1) as i64) % ACCOUNTS;
    Step::Transfer { from, to, amount: rng.between(1, 20) as i64 }
}

async fn transact(mut session: Session, step: Step) -> Result<Step, SqlError> {
    match step {
        Step::ReadAll { .. } => {
            let (rows, _) = client::query(&mut session, "SELECT id, balance FROM accounts", vec![]).await?;
            Ok(Step::ReadAll { balances: Some(balances(&rows)) })
        }
        Step::Transfer { from, to, amount } => {
            client::query(&mut session, "BEGIN", vec![]).await?;
            for (account, change) in [(from, -amount), (to, amount)] {
                let text = format!("UPDATE accounts SET balance = balance + ({change}) WHERE id = {account}");
                client::query(&mut session, &text, vec![]).await?;
            }
            client::query(&mut session, "COMMIT", vec![]).await?;
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
