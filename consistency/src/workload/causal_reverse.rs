//! "Comments": blind inserts all over a table, and reads of everything. Who sees an insert sees all that had been
//! acknowledged before it began.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters,
    client::Result,
    rows::{Rows, scatter},
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Level,
        causal_reverse::{self, Step},
    },
    history::History,
};

const KEYS: u64 = 1 << 20;

pub struct CausalReverse {
    rows: Rows,
    next: AtomicI64,
}

impl CausalReverse {
    pub fn new(parameters: &Parameters) -> CausalReverse {
        let rows = Rows::of_numbers("comments", KEYS, parameters);
        CausalReverse { rows, next: AtomicI64::new(1) }
    }
}

impl Scenario for CausalReverse {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.rows.create(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.rows.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        if client.is_reader() {
            return Step::Read { seen: None };
        }
        Step::Write { id: self.next.fetch_add(1, Ordering::Relaxed) }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match *step {
                Step::Write { id } => {
                    client.query(&self.rows.insert(scatter(id as u64, KEYS), &id.to_string())).await?;
                    Ok(step.clone())
                }
                Step::Read { .. } => {
                    let seen = client.query("SELECT value FROM comments").await?.numbers();
                    Ok(Step::Read { seen: Some(seen) })
                }
            }
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let seen = client.query_until_answered("SELECT value FROM comments").await?.numbers();
            history.add(begin, client.now(), Step::Read { seen: Some(seen) });
            Ok(Vec::new())
        })
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(80)
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        causal_reverse::check(history)
    }

    /// Single statements.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
