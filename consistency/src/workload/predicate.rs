//! Predicate write skew (G2): "insert if there is nothing under this key", where nothing is found by a range read of two
//! tables. Of those who try for one key, at most one may succeed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base::{BoxFuture, Rng};

use super::{
    Client, Parameters, Shape,
    client::{Failed, Result},
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Kind,
        predicate::{self, Step},
    },
    history::History,
};

/// How many clients try for a key.
const RIVALS: u64 = 3;
/// Rows under a key are numbered from this multiple of it.
const ROOM: i64 = 1000;

pub struct Predicate {
    shape: Shape,
    next: AtomicU64,
}

impl Predicate {
    pub fn new(parameters: &Parameters) -> Predicate {
        Predicate { shape: parameters.shape, next: AtomicU64::new(0) }
    }

    /// The rows under a key that the predicate finds: a range of the primary key, or of the index.
    fn find(&self, table: &str, key: i64) -> String {
        let range = match self.shape {
            Shape::OneRange | Shape::ManyRanges => {
                format!("id >= {} AND id < {}", key * ROOM, (key + 1) * ROOM)
            }
            Shape::SecondaryIndex => format!("key >= {key} AND key < {}", key + 1),
        };
        format!("SELECT id FROM {table} WHERE {range} AND value % 3 = 0")
    }

    fn table(is_second: bool) -> &'static str {
        if is_second { "right_side" } else { "left_side" }
    }
}

impl Scenario for Predicate {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        let mut statements = Vec::new();
        for table in [false, true].map(Self::table) {
            statements
                .push(format!("CREATE TABLE {table} (id int8 PRIMARY KEY, key int8 NOT NULL, value int8 NOT NULL)"));
            if self.shape == Shape::SecondaryIndex {
                statements.push(format!("CREATE INDEX {table}_key ON {table} (key)"));
            }
            if is_locus && self.shape != Shape::OneRange {
                let keys = [5, 20, 60].map(|key| format!("({})", key * ROOM + ROOM / 2));
                statements.push(format!("ALTER TABLE {table} SPLIT AT VALUES {}", keys.join(", ")));
            }
        }
        statements
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        let key = self.next.load(Ordering::Relaxed) / RIVALS;
        let at = key as i64 * ROOM + rng.below(ROOM as u64) as i64;
        Some(format!("ALTER TABLE {} SPLIT AT VALUES ({at})", Self::table(rng.chance(1, 2))))
    }

    fn draw(&self, client: &mut Client) -> Step {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let key = (number / RIVALS) as i64;
        let id = key * ROOM + client.rng.below(300) as i64 * 3 + (number % RIVALS) as i64;
        Step { key, id, is_second: client.rng.chance(1, 2) }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            let Step { key, id, is_second } = *step;
            let mut block = client.begin().await?;
            for table in [false, true].map(Self::table) {
                if !block.query(&self.find(table, key)).await?.rows.is_empty() {
                    return Err(Failed::declined("somebody was first"));
                }
            }
            let insert = format!("INSERT INTO {} (id, key, value) VALUES ({id}, {key}, 30)", Self::table(is_second));
            block.query(&insert).await?;
            block.commit().await?;
            Ok(step.clone())
        })
    }

    /// What was acknowledged must be there.
    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let [left, right] = [false, true].map(Self::table);
            let all = format!("SELECT id FROM {left} UNION ALL SELECT id FROM {right}");
            let mut there = client.query_until_answered(&all).await?.numbers();
            there.sort_unstable();
            let history = history.lock();
            let lost = history.committed().filter(|operation| there.binary_search(&operation.body.id).is_err());
            Ok(lost
                .map(|operation| {
                    let id = operation.body.id;
                    Anomaly::new(Kind::LostWrite, format!("row {id} of operation {} is not there", operation.index))
                })
                .collect())
        })
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(80)
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        predicate::check(history)
    }
}
