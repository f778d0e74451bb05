//! Registers with read, write and compare-and-set, each an implicit transaction of one statement.

use base::{BoxFuture, Rng};

use super::{
    Client, Parameters, Workload,
    client::Result,
    record::{Body, Recorder},
    rows::Rows,
};
use crate::check::{
    Anomaly,
    register::{self, Action, Step},
};

const KEYS: u64 = 6;

pub struct Register {
    registers: Rows,
    history: Recorder<Step>,
}

impl Register {
    pub fn new(parameters: &Parameters) -> Register {
        let registers = Rows { table: "registers", value: "int8 NOT NULL", shape: parameters.shape, keys: KEYS };
        Register { registers, history: Recorder::default() }
    }

    async fn transact(&self, client: &mut Client, step: &Step) -> Result<Step> {
        let key = step.key;
        let action = match step.action {
            Action::Read { .. } => {
                let answer = client.query(&self.registers.select(key)).await?;
                Action::Read { seen: answer.first().and_then(|value| value.parse().ok()) }
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
    }
}

impl Workload for Register {
    fn setup<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<(), String>> {
        Box::pin(async move { client.run_all(&self.registers.create(client.world.is_locus())).await })
    }

    fn operate<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let step = draw(client);
            let index = self.history.begin(client, &step);
            let answered = self.transact(client, &step).await;
            self.history.end(client, index, step, answered);
        })
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.registers.split_at(rng.below(KEYS)))
    }

    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<Vec<Anomaly>, String>> {
        Box::pin(async move {
            let begin = client.now();
            let values = client.query_until_answered(&self.registers.select_all()).await?.pairs();
            for key in 0..KEYS {
                let seen = values.iter().find(|(found, _)| *found as u64 == key).map(|(_, value)| *value);
                self.history.add(begin, client.now(), Step { key, action: Action::Read { seen } });
            }
            Ok(register::check(&self.history.lock()))
        })
    }

    fn counts(&self) -> (u64, u64, u64) {
        self.history.counts()
    }

    fn edn(&self) -> String {
        self.history.edn()
    }
}

/// Values are pairs of a key and what is read or written there, as Jepsen's `independent` has them.
impl Body for Step {
    fn f(&self) -> &'static str {
        match self.action {
            Action::Read { .. } => "read",
            Action::Write { .. } => "write",
            Action::CompareAndSet { .. } => "cas",
        }
    }

    fn value(&self, asked: bool) -> String {
        let key = self.key;
        match self.action {
            Action::Read { seen: Some(seen) } if !asked => format!("[{key} {seen}]"),
            Action::Read { .. } => format!("[{key} nil]"),
            Action::Write { value } => format!("[{key} {value}]"),
            Action::CompareAndSet { expected, new, .. } => format!("[{key} [{expected} {new}]]"),
        }
    }

    fn did_nothing(&self) -> bool {
        matches!(self.action, Action::CompareAndSet { applied: false, .. })
    }
}

fn draw(client: &mut Client) -> Step {
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
