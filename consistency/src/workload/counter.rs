//! Additions to a counter that is spread over several rows, and reads of their sum.

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
        counter::{self, Step},
    },
    history::History,
};

const PARTS: u64 = 6;

pub struct Counter {
    parts: Rows,
}

impl Counter {
    pub fn new(parameters: &Parameters) -> Counter {
        let parts = Rows::of_numbers("counters", PARTS, parameters);
        Counter { parts }
    }
}

const SUM: &str = "SELECT sum(value) FROM counters";

impl Scenario for Counter {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.parts.create_zeros(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.parts.split_at(rng.below(PARTS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        if client.is_reader() {
            return Step::Read { seen: None };
        }
        // The sign is as good as random to whoever applies something twice or not at all.
        Step::Add { amount: client.rng.between(0, 20) as i64 - 8 }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match *step {
                Step::Add { amount } => {
                    let part = client.rng.below(PARTS);
                    let text = format!("UPDATE counters SET value = value + ({amount}) WHERE key = {part}");
                    client.query(&text).await?;
                    Ok(step.clone())
                }
                Step::Read { .. } => Ok(Step::Read { seen: client.query(SUM).await?.number() }),
            }
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let seen = client.query_until_answered(SUM).await?.number();
            history.add(begin, client.now(), Step::Read { seen });
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        counter::check(history)
    }

    /// Single statements.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
