//! Counters that only grow: whoever looks later sees no less.

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
        monotonic::{self, Recency, Step},
    },
    history::History,
};

const KEYS: u64 = 6;

pub struct Monotonic {
    counters: Rows,
}

impl Monotonic {
    pub fn new(parameters: &Parameters) -> Monotonic {
        let counters = Rows::of_numbers("growing", KEYS, parameters);
        Monotonic { counters }
    }
}

impl Scenario for Monotonic {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.counters.create_zeros(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.counters.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        let is_increment = !client.is_reader() && client.rng.chance(2, 3);
        Step { key: client.rng.below(KEYS) as i64, is_increment, seen: None, timestamp: None }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            let key = step.key;
            let text = match step.is_increment {
                true => format!("UPDATE growing SET value = value + 1 WHERE key = {key} RETURNING value"),
                false => self.counters.select(key as u64),
            };
            let seen = client.query(&text).await?.number();
            Ok(Step { seen, ..step.clone() })
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            for (key, value) in client.query_until_answered(&self.counters.select_all()).await?.pairs() {
                let step = Step { key, is_increment: false, seen: Some(value), timestamp: None };
                history.add(begin, client.now(), step);
            }
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        monotonic::check(history, Recency::RealTime)
    }

    /// Single statements on single rows.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
