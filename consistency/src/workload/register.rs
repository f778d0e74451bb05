//! Registers with read, write and compare-and-set, each an implicit transaction of one statement.

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
        register::{self, Action, Step},
    },
    history::History,
};

const KEYS: u64 = 6;

pub struct Register {
    registers: Rows,
}

impl Register {
    pub fn new(parameters: &Parameters) -> Register {
        let registers = Rows::of_numbers("registers", KEYS, parameters);
        Register { registers }
    }
}

impl Scenario for Register {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        self.registers.create(is_locus)
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.registers.split_at(rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        let reads_only = client.is_reader();
        let rng = &mut client.rng;
        let value = |rng: &mut Rng| rng.below(4) as i64;
        let action = match rng.below(3) {
            _ if reads_only => Action::Read { seen: None },
            0 => Action::Read { seen: None },
            1 => Action::Write { value: value(rng) },
            _ => Action::CompareAndSet { expected: value(rng), new: value(rng), applied: false },
        };
        Step { key: rng.below(KEYS), action }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            let key = step.key;
            let action = match step.action {
                Action::Read { .. } => {
                    let answer = client.query(&self.registers.select(key)).await?;
                    Action::Read { seen: answer.number() }
                }
                Action::Write { value } => {
                    client.query(&self.registers.upsert(key, &value.to_string())).await?;
                    Action::Write { value }
                }
                Action::CompareAndSet { expected, new, .. } => {
                    let text = format!("UPDATE registers SET value = {new} WHERE key = {key} AND value = {expected}");
                    let answer = client.query(&text).await?;
                    Action::CompareAndSet { expected, new, applied: answer.affected == 1 }
                }
            };
            Ok(Step { key, action })
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let values = client.query_until_answered(&self.registers.select_all()).await?.pairs();
            for key in 0..KEYS {
                let seen = values.iter().find(|(found, _)| *found as u64 == key).map(|(_, value)| *value);
                history.add(begin, client.now(), Step { key, action: Action::Read { seen } });
            }
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        register::check(history)
    }

    /// Single statements on single rows.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
