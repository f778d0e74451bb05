//! Transactions of reads and writes of registers; every written value is unique. Tells less than `list-append` of the
//! order of writes, but overwrites as applications do, without reading first.

use std::sync::atomic::{AtomicU64, Ordering};

use base::{BoxFuture, Rng};

use super::{
    Client, Parameters,
    client::{Block, Result},
    rows::Rows,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly,
        rw_register::{self, Assumptions, Step},
    },
    history::History,
};

const KEYS: u64 = 12;

pub struct RwRegister {
    registers: Rows,
    next_value: AtomicU64,
}

impl RwRegister {
    pub fn new(parameters: &Parameters) -> RwRegister {
        let registers = Rows::of_numbers("registers", KEYS, parameters);
        RwRegister { registers, next_value: AtomicU64::new(1) }
    }

    async fn step(&self, block: &mut Block<'_>, step: &Step) -> Result<Step> {
        match *step {
            Step::Write { key, value } => {
                block.query(&self.registers.upsert(key, &value.to_string())).await?;
                Ok(Step::Write { key, value })
            }
            Step::Read { key, .. } => {
                let answer = block.query(&self.registers.select(key)).await?;
                Ok(Step::Read { key, seen: answer.number().map(|value| value as u64) })
            }
        }
    }
}

impl Scenario for RwRegister {
    type Step = Vec<Step>;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.registers.create(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.registers.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Vec<Step> {
        let reads_only = client.is_reader();
        let rng = &mut client.rng;
        (0..rng.between(2, 5))
            .map(|_| {
                let key = rng.below(KEYS).min(rng.below(KEYS));
                if !reads_only && rng.chance(1, 2) {
                    Step::Write { key, value: self.next_value.fetch_add(1, Ordering::Relaxed) }
                } else {
                    Step::Read { key, seen: None }
                }
            })
            .collect()
    }

    fn run<'a>(&'a self, client: &'a mut Client, steps: &'a Vec<Step>) -> BoxFuture<'a, Result<Vec<Step>>> {
        Box::pin(async move {
            let mut block = client.begin().await?;
            let mut told = Vec::new();
            for step in steps {
                told.push(self.step(&mut block, step).await?);
            }
            block.commit().await?;
            Ok(told)
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Vec<Step>>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let values = client.query_until_answered(&self.registers.select_all()).await?.pairs();
            let seen = |key| values.iter().find(|(found, _)| *found as u64 == key).map(|(_, value)| *value as u64);
            history.add(begin, client.now(), (0..KEYS).map(|key| Step::Read { key, seen: seen(key) }).collect());
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Vec<Step>>) -> Vec<Anomaly> {
        rw_register::check(history, Assumptions { linearizable_keys: true })
    }
}
