//! Workers take jobs from a table by `FOR UPDATE SKIP LOCKED`: each job is done once, and none gets lost.

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
        queue::{self, Step},
    },
    history::History,
};

const KEYS: u64 = 1 << 20;

pub struct Queue {
    jobs: Rows,
    next: AtomicI64,
}

impl Queue {
    pub fn new(parameters: &Parameters) -> Queue {
        let jobs = Rows::of_numbers("jobs", KEYS, parameters);
        Queue { jobs, next: AtomicI64::new(1) }
    }

    async fn take(client: &mut Client) -> Result<Option<i64>> {
        let mut block = client.begin().await?;
        let answer = block.query("SELECT key, value FROM jobs ORDER BY key LIMIT 1 FOR UPDATE SKIP LOCKED").await?;
        let Some((key, value)) = answer.pairs().first().copied() else {
            block.commit().await?;
            return Ok(None);
        };
        block.query(&format!("DELETE FROM jobs WHERE key = {key}")).await?;
        block.commit().await?;
        Ok(Some(value))
    }
}

impl Scenario for Queue {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.jobs.create(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.jobs.split_at(rng.below(KEYS)))
    }

    /// As many take out as put in: the queue stays short, and takers meet at its head.
    fn draw(&self, client: &mut Client) -> Step {
        if client.rng.chance(1, 2) {
            return Step::Dequeue { value: None };
        }
        Step::Enqueue { value: self.next.fetch_add(1, Ordering::Relaxed) }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match *step {
                Step::Enqueue { value } => {
                    client.query(&self.jobs.insert(scatter(value as u64, KEYS), &value.to_string())).await?;
                    Ok(step.clone())
                }
                Step::Dequeue { .. } => Ok(Step::Dequeue { value: Self::take(client).await? }),
            }
        })
    }

    /// What is left counts as taken.
    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let left = client.query_until_answered("SELECT value FROM jobs").await?.numbers();
            for value in left {
                history.add(begin, client.now(), Step::Dequeue { value: Some(value) });
            }
            Ok(Vec::new())
        })
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(80)
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        queue::check(history, true)
    }

    /// Row locks, and the deletion of what is locked, hold at every level.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
