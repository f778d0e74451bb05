//! Registers with read, write and compare-and-set, each an implicit transaction of one statement.

use std::sync::Arc;

use base::{BoxFuture, Rng};
use parking_lot::Mutex;
use sql::{Session, SqlError, Value};

use super::{Gateways, Workload, client, statement};
use crate::{
    check::{
        Anomaly,
        register::{self, Action, Step},
    },
    history::{History, Outcome},
};

const KEYS: u64 = 4;

#[derive(Default)]
pub struct Register {
    history: Arc<Mutex<History<Step>>>,
}

impl Workload for Register {
    fn setup(&self, gateways: Gateways) -> BoxFuture<'static, Result<(), String>> {
        let statements = [
            "CREATE TABLE registers (key int8 PRIMARY KEY, value int8 NOT NULL)",
            "ALTER TABLE registers SPLIT AT VALUES (1), (3)",
        ];
        Box::pin(statement::setup(gateways, statements.map(str::to_owned).to_vec()))
    }

    fn split(&self, gateways: Gateways, mut rng: Rng) -> BoxFuture<'static, ()> {
        let text = format!("ALTER TABLE registers SPLIT AT VALUES ({})", rng.below(KEYS));
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
            let begin = gateways.now();
            let rows = statement::read_until_answered(&gateways, "SELECT key, value FROM registers").await?;
            let mut history = history.lock();
            for key in 0..KEYS {
                let seen = rows.iter().find_map(|row| match &row[..] {
                    [Value::Int8(k), Value::Int8(value)] if *k as u64 == key => Some(*value),
                    _ => None,
                });
                let step = Step { key, action: Action::Read { seen } };
                let index = history.begin(u32::MAX, begin, step.clone());
                history.end(index, gateways.now(), Outcome::Committed, step);
            }
            Ok(register::check(&history))
        })
    }

    fn counts(&self) -> (u64, u64, u64) {
        client::counts(&self.history.lock())
    }
}

fn draw(process: u32, rng: &mut Rng) -> Step {
    let value = |rng: &mut Rng| rng.below(4) as i64;
    let action = match rng.below(3) {
        _ if Gateways::is_reader(process) => Action::Read { seen: None },
        0 => Action::Read { seen: None },
        1 => Action::Write { value: value(rng) },
        _ => Action::CompareAndSet { expected: value(rng), new: value(rng), applied: false },
    };
    Step { key: rng.below(KEYS), action }
}

async fn transact(mut session: Session, step: Step) -> Result<Step, SqlError> {
    let key = step.key;
    let action = match step.action {
        Action::Read { .. } => {
            let text = format!("SELECT value FROM registers WHERE key = {key}");
            let (rows, _) = statement::query(&mut session, &text).await?;
            let seen = match rows.first().and_then(|row| row.first()) {
                Some(Value::Int8(value)) => Some(*value),
                _ => None,
            };
            Action::Read { seen }
        }
        Action::Write { value } => {
            let text = format!(
                "INSERT INTO registers VALUES ({key}, {value}) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            );
            statement::query(&mut session, &text).await?;
            Action::Write { value }
        }
        Action::CompareAndSet { expected, new, .. } => {
            let text = format!("UPDATE registers SET value = {new} WHERE key = {key} AND value = {expected}");
            let (_, tag) = statement::query(&mut session, &text).await?;
            Action::CompareAndSet { expected, new, applied: tag == "UPDATE 1" }
        }
    };
    Ok(Step { key, action })
}
