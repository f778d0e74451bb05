//! Transactions of appends to and reads of lists, one row a list (as text: `1,5,9`).

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use base::{BoxFuture, Rng};

use super::{
    Answer, Client, Isolation, Parameters, Workload,
    client::{Block, Result},
    level_permits,
    record::{Body, Recorder},
    rows::Rows,
};
use crate::{
    check::{self, Anomaly, Kind},
    history::Step,
};

pub const KEYS: u64 = 18;

pub struct ListAppend {
    lists: Rows,
    isolation: Isolation,
    history: Recorder<Vec<Step>>,
    next_value: AtomicU64,
}

impl ListAppend {
    pub fn new(parameters: &Parameters) -> ListAppend {
        let lists = Rows { table: "lists", value: "text NOT NULL", shape: parameters.shape, keys: KEYS };
        ListAppend {
            lists,
            isolation: parameters.isolation,
            history: Recorder::default(),
            next_value: AtomicU64::new(1),
        }
    }

    /// Runs the steps in one transaction; with a single step, as an implicit one.
    async fn transact(&self, client: &mut Client, steps: &[Step]) -> Result<Vec<Step>> {
        if let [step] = steps {
            let answer = client.query(&self.statement(step)).await?;
            return Ok(vec![answered(step, &answer)]);
        }
        let mut block = client.begin().await?;
        let told = self.run(&mut block, steps).await?;
        block.commit().await?;
        Ok(told)
    }

    async fn run(&self, block: &mut Block<'_>, steps: &[Step]) -> Result<Vec<Step>> {
        let mut told = Vec::new();
        for step in steps {
            let answer = block.query(&self.statement(step)).await?;
            told.push(answered(step, &answer));
        }
        Ok(told)
    }

    fn statement(&self, step: &Step) -> String {
        match step {
            Step::Append { key, value } => {
                let insert = self.lists.insert(*key, &format!("'{value}'"));
                format!("{insert} ON CONFLICT (key) DO UPDATE SET value = lists.value || ',{value}'")
            }
            Step::Read { key, .. } => self.lists.select(*key),
            Step::Scan { from, to, .. } => {
                format!("{} WHERE key >= {from} AND key < {to}", self.lists.select_all())
            }
        }
    }
}

impl Workload for ListAppend {
    fn setup<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<(), String>> {
        Box::pin(async move { client.run_all(&self.lists.create(client.world.is_locus())).await })
    }

    fn operate<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let steps = draw(&self.next_value, client);
            let index = self.history.begin(client, &steps);
            let answered = self.transact(client, &steps).await;
            self.history.end(client, index, steps, answered);
        })
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.lists.split_at(rng.below(KEYS)))
    }

    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<Vec<Anomaly>, String>> {
        Box::pin(async move {
            let begin = client.now();
            let answer = client.query_until_answered(&self.lists.select_all()).await?;
            let mut found: BTreeMap<u64, Vec<u64>> = (0..KEYS).map(|key| (key, Vec::new())).collect();
            found.extend(lists(&answer));
            let mut history = self.history.lock();
            history.read_at_the_end(begin, client.now(), found);
            Ok(check::list_append::check(&history))
        })
    }

    fn permits(&self, kind: Kind) -> bool {
        level_permits(self.isolation, kind)
    }

    fn counts(&self) -> (u64, u64, u64) {
        self.history.counts()
    }

    fn edn(&self) -> String {
        self.history.edn()
    }
}

impl Body for Vec<Step> {
    fn f(&self) -> &'static str {
        "txn"
    }

    fn value(&self, asked: bool) -> String {
        let steps: Vec<String> = self
            .iter()
            .map(|step| match step {
                Step::Read { key, .. } if asked => Step::Read { key: *key, seen: None }.to_string(),
                step => step.to_string(),
            })
            .collect();
        format!("[{}]", steps.join(" "))
    }
}

/// One to four steps; values are unique in the history. Some keys are hot, some are hardly touched.
pub fn draw(next_value: &AtomicU64, client: &mut Client) -> Vec<Step> {
    let reads_only = client.is_reader();
    let rng = &mut client.rng;
    (0..rng.between(1, 4))
        .map(|_| {
            let key = rng.below(KEYS).min(rng.below(KEYS));
            if !reads_only && rng.chance(1, 2) {
                Step::Append { key, value: next_value.fetch_add(1, Ordering::Relaxed) }
            } else {
                Step::Read { key, seen: None }
            }
        })
        .collect()
}

fn answered(step: &Step, answer: &Answer) -> Step {
    match step {
        Step::Append { key, value } => Step::Append { key: *key, value: *value },
        Step::Read { key, .. } => Step::Read { key: *key, seen: Some(answer.first().map(parse).unwrap_or_default()) },
        Step::Scan { from, to, .. } => Step::Scan { from: *from, to: *to, seen: Some(lists(answer)) },
    }
}

/// Keys and their lists.
fn lists(answer: &Answer) -> Vec<(u64, Vec<u64>)> {
    let row = |row: &Vec<Option<String>>| match &row[..] {
        [Some(key), Some(list)] => Some((key.parse().ok()?, parse(list))),
        _ => None,
    };
    answer.rows.iter().filter_map(row).collect()
}

pub fn parse(list: &str) -> Vec<u64> {
    list.split(',').filter_map(|value| value.parse().ok()).collect()
}
