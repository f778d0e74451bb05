//! Transactions of appends to and reads of lists, one row a list (as text: `1,5,9`).

use std::{collections::BTreeMap, sync::Arc};

use base::{BoxFuture, Rng};
use parking_lot::Mutex;
use sql::{Session, SqlError, Value};

use super::{Gateways, Workload, client, statement};
use crate::{
    check::{self, Anomaly},
    history::{History, Step},
};

pub const KEYS: u64 = 18;

#[derive(Default)]
pub struct ListAppend {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub struct State {
    pub history: History<Vec<Step>>,
    next_value: u64,
}

impl Workload for ListAppend {
    fn setup(&self, gateways: Gateways) -> BoxFuture<'static, Result<(), String>> {
        let statements = [
            "CREATE TABLE lists (key int8 PRIMARY KEY, list text NOT NULL)",
            "ALTER TABLE lists SPLIT AT VALUES (3), (9)",
        ];
        Box::pin(statement::setup(gateways, statements.map(str::to_owned).to_vec()))
    }

    fn split(&self, gateways: Gateways, mut rng: Rng) -> BoxFuture<'static, ()> {
        let text = format!("ALTER TABLE lists SPLIT AT VALUES ({})", rng.below(KEYS));
        Box::pin(async move {
            statement::run_alone(&gateways, &mut rng, text).await;
        })
    }

    fn operate(&self, gateways: Gateways, process: u32, mut rng: Rng) -> BoxFuture<'static, ()> {
        let state = self.state.clone();
        Box::pin(async move {
            let steps = draw(&mut state.lock(), process, &mut rng);
            let index = state.lock().history.begin(process, gateways.now(), steps.clone());
            let work = steps.clone();
            let attempt =
                statement::in_session(&gateways, process, &mut rng, move |session| Box::pin(transact(session, work)))
                    .await;
            let answered = attempt.value.unwrap_or(steps);
            state.lock().history.end(index, gateways.now(), attempt.outcome, answered);
        })
    }

    fn finish(&self, gateways: Gateways) -> BoxFuture<'static, Result<Vec<Anomaly>, String>> {
        let state = self.state.clone();
        Box::pin(async move {
            let rows = statement::read_until_answered(&gateways, "SELECT key, list FROM lists").await?;
            let mut lists: BTreeMap<u64, Vec<u64>> = (0..KEYS).map(|key| (key, Vec::new())).collect();
            for row in rows {
                if let [Value::Int8(key), Value::Text(list)] = &row[..] {
                    lists.insert(*key as u64, parse(list));
                }
            }
            Ok(check::list_append::check(&state.lock().history, &lists))
        })
    }

    fn counts(&self) -> (u64, u64, u64) {
        client::counts(&self.state.lock().history)
    }
}

impl ListAppend {
    /// The history so far, for writing to a file.
    pub fn history(&self) -> History<Vec<Step>> {
        self.state.lock().history.clone()
    }
}

/// One to four steps; values are unique in the history. Every third client only reads: a reader is not held up where writers
/// are, so that there is somebody to see a state that is out of date.
pub fn draw(state: &mut State, process: u32, rng: &mut Rng) -> Vec<Step> {
    let reads_only = Gateways::is_reader(process);
    (0..rng.between(1, 4))
        .map(|_| {
            // Some keys are hot, some are hardly touched.
            let key = rng.below(KEYS).min(rng.below(KEYS));
            if !reads_only && rng.chance(1, 2) {
                state.next_value += 1;
                Step::Append { key, value: state.next_value }
            } else {
                Step::Read { key, seen: None }
            }
        })
        .collect()
}

/// Runs the steps in one transaction; with a single step, as an implicit one.
async fn transact(mut session: Session, steps: Vec<Step>) -> Result<Vec<Step>, SqlError> {
    let explicit = steps.len() > 1;
    if explicit {
        statement::query(&mut session, "BEGIN").await?;
    }
    let mut answered = Vec::new();
    for step in steps {
        answered.push(run(&mut session, step).await?);
    }
    if explicit {
        statement::query(&mut session, "COMMIT").await?;
    }
    Ok(answered)
}

async fn run(session: &mut Session, step: Step) -> Result<Step, SqlError> {
    match step {
        Step::Append { key, value } => {
            let text = format!(
                "INSERT INTO lists VALUES ({key}, '{value}') \
                 ON CONFLICT (key) DO UPDATE SET list = lists.list || ',{value}'"
            );
            statement::query(session, &text).await?;
            Ok(Step::Append { key, value })
        }
        Step::Read { key, .. } => {
            let (rows, _) = statement::query(session, &format!("SELECT list FROM lists WHERE key = {key}")).await?;
            let seen = match rows.first().and_then(|row| row.first()) {
                Some(Value::Text(list)) => parse(list),
                _ => Vec::new(),
            };
            Ok(Step::Read { key, seen: Some(seen) })
        }
    }
}

pub fn parse(list: &str) -> Vec<u64> {
    list.split(',').filter_map(|value| value.parse().ok()).collect()
}
