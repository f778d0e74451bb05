//! A client writes the parts of a key one after the other, each in a transaction of its own and in another range; readers
//! look for them from the last to the first.

use std::sync::atomic::{AtomicI64, Ordering};

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters,
    client::Result,
    rows::Rows,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Level,
        sequential::{self, Step},
    },
    history::History,
};

const PARTS: u32 = 4;
/// Parts of a key lie so far apart.
const STRIDE: u64 = 100_000;

pub struct Sequential {
    rows: Rows,
    next: AtomicI64,
}

impl Sequential {
    pub fn new(parameters: &Parameters) -> Sequential {
        let keys = u64::from(PARTS) * STRIDE;
        let rows = Rows::of_numbers("parts", keys, parameters);
        Sequential { rows, next: AtomicI64::new(0) }
    }
}

fn place(key: i64, part: u32) -> u64 {
    u64::from(part) * STRIDE + key as u64
}

impl Scenario for Sequential {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.rows.create(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.rows.split_at(rng.below(u64::from(PARTS) * STRIDE)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        if client.is_reader() || client.rng.chance(1, 2) {
            let newest = self.next.load(Ordering::Relaxed) - 1;
            let key = (newest - client.rng.below(4) as i64).max(0);
            return Step::Read { key, seen: None };
        }
        Step::Write { key: self.next.fetch_add(1, Ordering::Relaxed), parts: PARTS }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match *step {
                Step::Write { key, parts } => {
                    for part in 0..parts {
                        client.query(&self.rows.insert(place(key, part), "1")).await?;
                    }
                    Ok(step.clone())
                }
                Step::Read { key, .. } => {
                    let mut seen = vec![false; PARTS as usize];
                    for part in (0..PARTS).rev() {
                        let answer = client.query(&self.rows.select(place(key, part))).await?;
                        seen[part as usize] = !answer.rows.is_empty();
                    }
                    Ok(Step::Read { key, seen: Some(seen) })
                }
            }
        })
    }

    fn last<'a>(&'a self, _client: &'a mut Client, _history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        sequential::check(history)
    }

    /// Single statements.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
