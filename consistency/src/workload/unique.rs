//! Things of which there is one: `sequence` draws numbers from sequences, `unique` races for names under a unique
//! constraint.

use std::sync::atomic::{AtomicI64, Ordering};

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters, Shape,
    client::Result,
    rows::scatter,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Kind, Level,
        unique::{self, Step},
    },
    history::History,
};

pub struct Sequence;

impl Scenario for Sequence {
    type Step = Step;

    fn setup(&self, _is_locus: bool) -> Vec<String> {
        vec!["CREATE SEQUENCE numbers CACHE 3".into()]
    }

    fn split(&self, _rng: &mut Rng) -> Option<String> {
        None
    }

    fn draw(&self, _client: &mut Client) -> Step {
        Step { value: None }
    }

    fn run<'a>(&'a self, client: &'a mut Client, _step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            let answer = client.query("SELECT nextval('numbers')").await?;
            Ok(Step { value: answer.number() })
        })
    }

    fn last<'a>(&'a self, _client: &'a mut Client, _history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        unique::check(history)
    }
}

const KEYS: u64 = 1 << 20;
/// How many clients try for a name.
const RIVALS: i64 = 3;

pub struct Unique {
    shape: Shape,
    next: AtomicI64,
}

impl Unique {
    pub fn new(parameters: &Parameters) -> Unique {
        Unique { shape: parameters.shape, next: AtomicI64::new(0) }
    }
}

impl Scenario for Unique {
    type Step = Step;

    /// The name is the primary key, or has an index of its own.
    fn setup(&self, is_locus: bool) -> Vec<String> {
        let columns = match self.shape {
            Shape::OneRange | Shape::ManyRanges => "id int8 NOT NULL, name int8 PRIMARY KEY",
            Shape::SecondaryIndex => "id int8 PRIMARY KEY, name int8 NOT NULL UNIQUE",
        };
        let mut statements = vec![format!("CREATE TABLE claims ({columns})")];
        if is_locus && self.shape != Shape::OneRange {
            let keys = [1, 2, 3].map(|part| format!("({})", KEYS / 4 * part));
            statements.push(format!("ALTER TABLE claims SPLIT AT VALUES {}", keys.join(", ")));
        }
        statements
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(format!("ALTER TABLE claims SPLIT AT VALUES ({})", rng.below(KEYS)))
    }

    fn draw(&self, _client: &mut Client) -> Step {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Step { value: Some(scatter((number / RIVALS) as u64, KEYS) as i64) }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            let name = step.value.unwrap_or_default();
            let id = client.rng.below(KEYS) * 1000 + u64::from(client.number);
            let insert = format!("INSERT INTO claims (id, name) VALUES ({id}, {name})");
            if client.rng.chance(1, 2) {
                client.query(&insert).await?;
            } else {
                // As applications do it: look first, insert then.
                let mut block = client.begin().await?;
                block.query(&format!("SELECT id FROM claims WHERE name = {name}")).await?;
                block.query(&insert).await?;
                block.commit().await?;
            }
            Ok(step.clone())
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let mut names = client.query_until_answered("SELECT name FROM claims").await?.numbers();
            names.sort_unstable();
            let mut anomalies = Vec::new();
            for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
                anomalies.push(Anomaly::new(Kind::NotUnique, format!("name {} is there twice", pair[0])));
            }
            for operation in history.lock().committed() {
                let name = operation.body.value.unwrap_or_default();
                if names.binary_search(&name).is_err() {
                    let text = format!("name {name} of operation {} is not there", operation.index);
                    anomalies.push(Anomaly::new(Kind::LostWrite, text));
                }
            }
            Ok(anomalies)
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        unique::check(history)
    }

    /// Constraints hold at every level.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
