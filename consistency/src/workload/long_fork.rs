//! Long fork: writes of single keys, each written once, and reads of whole groups of keys. Two reads that each saw a write
//! which the other one missed cannot have been of one database.

use std::sync::atomic::{AtomicU64, Ordering};

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters,
    client::Result,
    rows::Rows,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{Anomaly, Level, long_fork, rw_register::Step},
    history::History,
};

/// Keys in a group.
const GROUP: u64 = 3;
/// The members of a group lie so far apart, each in another range.
const STRIDE: u64 = 100_000;

pub struct LongFork {
    rows: Rows,
    isolation: Isolation,
    next: AtomicU64,
}

impl LongFork {
    pub fn new(parameters: &Parameters) -> LongFork {
        let rows = Rows::of_numbers("forks", GROUP * STRIDE, parameters);
        LongFork { rows, isolation: parameters.isolation, next: AtomicU64::new(0) }
    }

    /// By one statement, or where the level keeps one snapshot, by one for each key.
    async fn read(&self, client: &mut Client, keys: &[u64]) -> Result<Vec<Step>> {
        let mut found = Vec::new();
        if self.isolation == Isolation::ReadCommitted || client.rng.chance(1, 2) {
            let list: Vec<String> = keys.iter().map(u64::to_string).collect();
            let text = format!("SELECT key, value FROM forks WHERE key IN ({})", list.join(", "));
            found = client.query(&text).await?.pairs();
        } else {
            let mut block = client.begin().await?;
            for key in keys {
                found.extend(block.query(&self.rows.select(*key)).await?.number().map(|value| (*key as i64, value)));
            }
            block.commit().await?;
        }
        let seen = |key: u64| found.iter().find(|(there, _)| *there as u64 == key).map(|(_, value)| *value as u64);
        Ok(keys.iter().map(|key| Step::Read { key: *key, seen: seen(*key) }).collect())
    }
}

fn member(number: u64) -> u64 {
    (number % GROUP) * STRIDE + number / GROUP
}

impl Scenario for LongFork {
    type Step = Vec<Step>;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.rows.create(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.rows.split_at(rng.below(GROUP * STRIDE)))
    }

    fn draw(&self, client: &mut Client) -> Vec<Step> {
        if client.is_reader() || client.rng.chance(1, 2) {
            let newest = self.next.load(Ordering::Relaxed) / GROUP;
            let group = newest.saturating_sub(client.rng.below(2));
            return (0..GROUP).map(|at| Step::Read { key: member(group * GROUP + at), seen: None }).collect();
        }
        vec![Step::Write { key: member(self.next.fetch_add(1, Ordering::Relaxed)), value: 1 }]
    }

    fn run<'a>(&'a self, client: &'a mut Client, steps: &'a Vec<Step>) -> BoxFuture<'a, Result<Vec<Step>>> {
        Box::pin(async move {
            if let [Step::Write { key, .. }] = steps[..] {
                client.query(&self.rows.insert(key, "1")).await?;
                return Ok(steps.clone());
            }
            let key = |step: &Step| match step {
                Step::Read { key, .. } | Step::Write { key, .. } => *key,
            };
            let mut keys: Vec<u64> = steps.iter().map(key).collect();
            client.rng.shuffle(&mut keys);
            self.read(client, &keys).await
        })
    }

    fn last<'a>(&'a self, _client: &'a mut Client, _history: &'a Recorder<Vec<Step>>) -> BoxFuture<'a, Last> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn check(&self, history: &History<Vec<Step>>) -> Vec<Anomaly> {
        long_fork::check(history)
    }

    /// Every read is of one snapshot.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
