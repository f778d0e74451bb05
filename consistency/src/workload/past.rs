//! Counters that only grow, read as they were: `AS OF SYSTEM TIME` at moments up to some seconds ago, which followers answer
//! where the moment is closed. Each increment notes its own commit timestamp, so that every read can be held against the
//! database's own order: it shows all that was committed at or below its timestamp, and nothing else.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base::{BoxFuture, Rng, Timestamp};

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
/// How far back reads go.
const BACK_MS: u64 = 9000;
/// A row that was not there yet.
const ABSENT: i64 = -1;

pub struct Past {
    counters: Rows,
    /// The oldest and the newest commit timestamp that a client has heard of. Before the oldest there may be a table of the same
    /// name, of another run.
    oldest: AtomicU64,
    newest: AtomicU64,
}

impl Past {
    pub fn new(parameters: &Parameters) -> Past {
        let counters = Rows::of_numbers("growing", KEYS, parameters);
        Past { counters, oldest: AtomicU64::new(u64::MAX), newest: AtomicU64::new(0) }
    }

    async fn increment(&self, client: &mut Client, key: i64) -> Result<Step> {
        let text = format!("UPDATE growing SET value = value + 1 WHERE key = {key} RETURNING value, pg_backend_pid()");
        let Some((seen, pid)) = client.query(&text).await?.pairs().first().copied() else {
            return Ok(Step { key, is_increment: true, seen: None, timestamp: None });
        };
        // It has been done; not to learn when is no failure. A client that was given another session learns nothing: that one's
        // last commit may be anybody's.
        let text =
            format!("SELECT commit_timestamp FROM locus.last_commits WHERE pid = pg_backend_pid() AND pid = {pid}");
        let asked = client.query(&text).await;
        let timestamp = asked.ok().and_then(|answer| u64::try_from(answer.number()?).ok());
        if let Some(timestamp) = timestamp {
            self.oldest.fetch_min(timestamp, Ordering::Relaxed);
            self.newest.fetch_max(timestamp, Ordering::Relaxed);
        }
        Ok(Step { key, is_increment: true, seen: Some(seen), timestamp })
    }

    async fn read(&self, client: &mut Client, key: i64, timestamp: u64) -> Result<Step> {
        let text = format!("{}{}", self.counters.select(key as u64), as_of(timestamp));
        let seen = client.query(&text).await?.number().unwrap_or(ABSENT);
        Ok(Step { key, is_increment: false, seen: Some(seen), timestamp: Some(timestamp) })
    }
}

/// The last timestamp of a millisecond, which is what SQL can name.
fn last_of(millis: u64) -> u64 {
    Timestamp::from_millis(millis + 1).prev().0
}

fn as_of(timestamp: u64) -> String {
    let millis = Timestamp(timestamp).millis();
    format!(" AS OF SYSTEM TIME 'epoch'::timestamptz + '{}.{:03} seconds'::interval", millis / 1000, millis % 1000)
}

impl Scenario for Past {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.counters.create_zeros(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.counters.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        let millis = |timestamp: &AtomicU64| Timestamp(timestamp.load(Ordering::Relaxed)).millis();
        let (oldest, newest) = (millis(&self.oldest), millis(&self.newest));
        let key = client.rng.below(KEYS) as i64;
        // Its own millisecond may not be over, by the oracle.
        let past_ms = newest.saturating_sub(oldest).min(BACK_MS);
        if past_ms == 0 || !client.is_reader() && client.rng.chance(1, 2) {
            return Step { key, is_increment: true, seen: None, timestamp: None };
        }
        let timestamp = last_of(newest - client.rng.between(1, past_ms));
        Step { key, is_increment: false, seen: None, timestamp: Some(timestamp) }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match step.timestamp {
                Some(timestamp) => self.read(client, step.key, timestamp).await,
                None => self.increment(client, step.key).await,
            }
        })
    }

    /// All keys as they were before the newest commit that somebody heard of, when that is old enough for followers.
    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let newest = Timestamp(self.newest.load(Ordering::Relaxed));
            let timestamp = last_of(newest.millis().saturating_sub(1));
            client.world.sleep(Duration::from_secs(6)).await;
            let begin = client.now();
            let text = format!("{}{}", self.counters.select_all(), as_of(timestamp));
            for (key, value) in client.query_until_answered(&text).await?.pairs() {
                let step = Step { key, is_increment: false, seen: Some(value), timestamp: Some(timestamp) };
                history.add(begin, client.now(), step);
            }
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        monotonic::check(history, Recency::Timestamps)
    }

    /// Single statements on single rows.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
