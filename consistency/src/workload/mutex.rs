//! Mutual exclusion by row locks: while one client holds a row `FOR UPDATE` in a transaction that commits, no other one
//! does. Nothing else in the database rests on locks (a transaction whose lock was lost cannot commit a wrong write), so
//! this is where it shows when they get lost. A crash may lose them; a leader that moves, or a split, may not.

use std::{fmt::Write, time::Duration};

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters,
    client::Result,
    rows::Rows,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{Anomaly, Findings, Kind, Level},
    edn::{Cursor, Error, Value},
    history::{Body, History, Names},
    nemesis::Fault,
};

const KEYS: u64 = 3;

/// Holding a lock for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: i64,
    /// From when the lock was granted until before COMMIT was sent; `None` while not known.
    pub held: Option<(u64, u64)>,
}

pub struct Mutex {
    rows: Rows,
}

impl Mutex {
    pub fn new(parameters: &Parameters) -> Mutex {
        Mutex { rows: Rows::of_numbers("mutexes", KEYS, parameters) }
    }
}

impl Scenario for Mutex {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.rows.create_zeros(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.rows.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        Step { key: client.rng.below(KEYS) as i64, held: None }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            let mut block = client.begin().await?;
            block.query(&format!("{} FOR UPDATE", self.rows.select(step.key as u64))).await?;
            let granted = block.now();
            let micros = block.rng().between(0, 30_000);
            block.sleep(Duration::from_micros(micros)).await;
            let held = Some((granted, block.now()));
            block.commit().await?;
            Ok(Step { key: step.key, held })
        })
    }

    fn last<'a>(&'a self, _client: &'a mut Client, _history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        check(history)
    }

    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }

    fn bears(&self, fault: Fault) -> bool {
        matches!(fault, Fault::Split | Fault::TransferLeader | Fault::SlowDisk | Fault::ClockJump)
    }
}

/// Times in which one row was held by two.
pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut held: Vec<_> = history
        .committed()
        .filter_map(|operation| operation.body.held.map(|(from, to)| (operation.body.key, from, to, operation.index)))
        .collect();
    held.sort_unstable();
    for pair in held.windows(2) {
        let ((key, _, to, first), (other, from, _, second)) = (pair[0], pair[1]);
        if key == other && from < to {
            findings.add(Kind::NotUnique, &[first, second], || {
                format!("operations {first} and {second} held the lock of row {key} at the same time, at {from} ns")
            });
        }
    }
    findings.finish()
}

/// In files: `:f :hold :value [key from to]`.
impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> std::result::Result<Option<Step>, Error> {
        if f != "hold" {
            return Ok(None);
        }
        let at = cursor.clone();
        let value = cursor.value()?;
        let items = value.items().unwrap_or_default();
        let number = |at: usize| items.get(at).and_then(Value::integer);
        let Some(key) = number(0) else { return Err(at.error("expected [key from to]")) };
        let held = number(1).zip(number(2)).map(|(from, to)| (from as u64, to as u64));
        Ok(Some(Step { key, held }))
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        let _ = match self.held.filter(|_| answered) {
            Some((from, to)) => write!(out, "[{} {from} {to}]", self.key),
            None => write!(out, "[{} nil nil]", self.key),
        };
        "hold"
    }
}

#[cfg(test)]
#[path = "mutex_test.rs"]
mod tests;
