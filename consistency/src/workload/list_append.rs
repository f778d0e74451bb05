//! Transactions of appends to and reads of lists, one row a list (as text: `1,5,9`). Of every read, the order of all
//! writes before it can be told; no other workload finds as much.
//!
//! Three temperaments of clients share it: `list-append` goes on undisturbed; `savepoints` undoes parts of its
//! transactions, by errors too; `ambiguous-commit` hangs up while it commits, and must nevertheless find all of a
//! transaction or nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base::{BoxFuture, Rng};

use super::{
    Answer, Client, Parameters,
    client::{Block, Result},
    rows::Rows,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{self, Anomaly},
    history::{History, Step},
};

pub const KEYS: u64 = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    Calm,
    /// Rolls back to savepoints, before and after errors.
    Undoing,
    /// Closes the connection when COMMIT takes more than a few milliseconds.
    Impatient,
}

pub struct ListAppend {
    lists: Rows,
    temper: Temper,
    next_value: AtomicU64,
}

impl ListAppend {
    pub fn new(parameters: &Parameters, temper: Temper) -> ListAppend {
        let lists = Rows { table: "lists", value: "text NOT NULL", shape: parameters.shape, keys: KEYS };
        ListAppend { lists, temper, next_value: AtomicU64::new(1) }
    }

    async fn steps(&self, block: &mut Block<'_>, steps: &[Step]) -> Result<Vec<Step>> {
        let mut told = Vec::new();
        for step in steps {
            if self.temper == Temper::Undoing && block.rng().chance(1, 2) {
                self.detour(block).await?;
            }
            told.push(self.answered(step, block.query(&self.statement(step)).await?));
        }
        Ok(told)
    }

    /// Does something and undoes it. Values appended here are in no history: whoever reads one has read what was never
    /// committed.
    async fn detour(&self, block: &mut Block<'_>) -> Result<()> {
        let nested = block.rng().chance(1, 3);
        block.query("SAVEPOINT outer_one").await?;
        self.undone_append(block).await?;
        if nested {
            block.query("SAVEPOINT inner_one").await?;
            self.undone_append(block).await?;
            block.query("RELEASE SAVEPOINT inner_one").await?;
        }
        if block.rng().chance(1, 2) {
            let error = match block.rng().below(3) {
                0 => "SELECT 1 / 0".to_owned(),
                1 => "INSERT INTO anchors VALUES (0)".to_owned(),
                _ => "SELECT nothing FROM lists".to_owned(),
            };
            // Only what the statement itself got wrong is expected here.
            match block.query(&error).await {
                Err(failed) if ["22012", "23505", "42703"].iter().any(|state| failed.is(state)) => {}
                Err(failed) => return Err(failed),
                Ok(_) => {}
            }
        }
        block.query("ROLLBACK TO SAVEPOINT outer_one").await?;
        if block.rng().chance(1, 2) {
            block.query("RELEASE SAVEPOINT outer_one").await?;
        }
        Ok(())
    }

    async fn undone_append(&self, block: &mut Block<'_>) -> Result<()> {
        let key = draw_key(block.rng());
        let value = UNDONE + self.next_value.fetch_add(1, Ordering::Relaxed);
        block.query(&self.statement(&Step::Append { key, value })).await?;
        Ok(())
    }

    fn statement(&self, step: &Step) -> String {
        match step {
            Step::Append { key, value } => {
                let insert = self.lists.insert(*key, &format!("'{value}'"));
                format!("{insert} ON CONFLICT (key) DO UPDATE SET value = lists.value || ',{value}'")
            }
            Step::Read { key, .. } => self.lists.select(*key),
            Step::Scan { from, to, .. } => {
                format!("SELECT key, value FROM lists WHERE key >= {from} AND key < {to} ORDER BY key")
            }
        }
    }

    fn answered(&self, step: &Step, answer: Answer) -> Step {
        match step {
            Step::Append { key, value } => Step::Append { key: *key, value: *value },
            Step::Read { key, .. } => {
                Step::Read { key: *key, seen: Some(answer.first().map(parse).unwrap_or_default()) }
            }
            Step::Scan { from, to, .. } => Step::Scan { from: *from, to: *to, seen: Some(lists_of(&answer)) },
        }
    }
}

/// Values that are rolled back begin here.
const UNDONE: u64 = 1_000_000_000;

impl Scenario for ListAppend {
    type Step = Vec<Step>;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        let mut statements = self.lists.create(is_locus);
        statements.push("CREATE TABLE anchors (id int8 PRIMARY KEY)".into());
        statements.push("INSERT INTO anchors VALUES (0)".into());
        statements
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.lists.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Vec<Step> {
        draw(&self.next_value, client)
    }

    /// In a block; or with a single step sometimes, as a transaction of its own.
    fn run<'a>(&'a self, client: &'a mut Client, steps: &'a Vec<Step>) -> BoxFuture<'a, Result<Vec<Step>>> {
        Box::pin(async move {
            if let ([step], Temper::Calm) = (&steps[..], self.temper) {
                let answer = client.query(&self.statement(step)).await?;
                return Ok(vec![self.answered(step, answer)]);
            }
            let mut block = client.begin().await?;
            let told = self.steps(&mut block, steps).await?;
            if self.temper == Temper::Impatient && block.rng().chance(1, 2) {
                let micros = block.rng().between(0, 8000);
                block.commit_within(Duration::from_micros(micros)).await?;
            } else {
                block.commit().await?;
            }
            Ok(told)
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Vec<Step>>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let lists = lists_of(&client.query_until_answered(&self.lists.select_all()).await?);
            history.add(begin, client.now(), all_read(&lists));
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Vec<Step>>) -> Vec<Anomaly> {
        check::list_append::check(history)
    }
}

/// One to four steps; values are unique in the history.
pub fn draw(next_value: &AtomicU64, client: &mut Client) -> Vec<Step> {
    let reads_only = client.is_reader();
    let rng = &mut client.rng;
    (0..rng.between(1, 4))
        .map(|_| {
            let key = draw_key(rng);
            if !reads_only && rng.chance(1, 2) {
                Step::Append { key, value: next_value.fetch_add(1, Ordering::Relaxed) }
            } else if rng.chance(1, 6) {
                Step::Scan { from: key, to: (key + rng.between(2, 5)).min(KEYS), seen: None }
            } else {
                Step::Read { key, seen: None }
            }
        })
        .collect()
}

/// Some keys are hot, some are hardly touched.
fn draw_key(rng: &mut Rng) -> u64 {
    rng.below(KEYS).min(rng.below(KEYS))
}

/// The reading of all lists at the end, as steps of one transaction.
pub fn all_read(lists: &[(u64, Vec<u64>)]) -> Vec<Step> {
    let list = |key| lists.iter().find(|(found, _)| *found == key).map(|(_, list)| list.clone());
    (0..KEYS).map(|key| Step::Read { key, seen: Some(list(key).unwrap_or_default()) }).collect()
}

fn lists_of(answer: &Answer) -> Vec<(u64, Vec<u64>)> {
    let list =
        |row: &Vec<Option<String>>| Some((row.first()?.as_deref()?.parse().ok()?, parse(row.get(1)?.as_deref()?)));
    answer.rows.iter().filter_map(list).collect()
}

pub fn parse(list: &str) -> Vec<u64> {
    list.split(',').filter_map(|value| value.parse().ok()).collect()
}
