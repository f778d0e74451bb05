//! Transfers between accounts in two tables. An account that is emptied is deleted, and comes back by the next transfer to
//! it. The total never changes.

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters,
    client::{Block, Failed, Result},
    rows::Rows,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Level,
        bank::{self, Step},
    },
    history::History,
};

/// In each table.
const ACCOUNTS: u64 = 6;
const INITIAL: i64 = 20;
const TABLES: [&str; 2] = ["checking", "savings"];

pub struct Bank {
    tables: [Rows; 2],
    isolation: Isolation,
}

impl Bank {
    pub fn new(parameters: &Parameters) -> Bank {
        let shape = parameters.shape;
        let tables =
            TABLES.map(|table| Rows { table, value: "int8 NOT NULL CHECK (value > 0)", shape, keys: ACCOUNTS });
        Bank { tables, isolation: parameters.isolation }
    }

    /// Accounts of the second table are numbered after those of the first.
    fn place(&self, account: i64) -> (&Rows, u64) {
        let account = account as u64;
        (&self.tables[(account / ACCOUNTS) as usize], account % ACCOUNTS)
    }

    async fn transfer(&self, block: &mut Block<'_>, from: i64, to: i64, amount: i64) -> Result<()> {
        let (rows, key) = self.place(from);
        let table = rows.table;
        let less = format!("UPDATE {table} SET value = value - {amount} WHERE key = {key} AND value > {amount}");
        if block.query(&less).await?.affected == 0 {
            let empty = format!("DELETE FROM {table} WHERE key = {key} AND value = {amount}");
            if block.query(&empty).await?.affected == 0 {
                return Err(Failed::declined("the account does not hold so much"));
            }
        }
        let (rows, key) = self.place(to);
        let insert = rows.insert(key, &amount.to_string());
        let table = rows.table;
        block.query(&format!("{insert} ON CONFLICT (key) DO UPDATE SET value = {table}.value + {amount}")).await?;
        Ok(())
    }

    /// All accounts: by one statement, or where the level keeps one snapshot, by one for each table.
    async fn read(&self, client: &mut Client) -> Result<Vec<(i64, i64)>> {
        if self.isolation == Isolation::ReadCommitted || client.rng.chance(1, 2) {
            return Ok(client.query(&self.select_all()).await?.pairs());
        }
        let mut block = client.begin().await?;
        let mut balances = block.query(&self.tables[0].select_all()).await?.pairs();
        let second = block.query(&self.tables[1].select_all()).await?.pairs();
        block.commit().await?;
        balances.extend(second.into_iter().map(|(key, value)| (key + ACCOUNTS as i64, value)));
        Ok(balances)
    }

    fn select_all(&self) -> String {
        let [first, second] = TABLES;
        format!("SELECT key, value FROM {first} UNION ALL SELECT key + {ACCOUNTS}, value FROM {second}")
    }
}

impl Scenario for Bank {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        let mut statements = Vec::new();
        for rows in &self.tables {
            statements.extend(rows.create(is_locus));
            statements.extend((0..ACCOUNTS).map(|account| rows.insert(account, &INITIAL.to_string())));
        }
        statements
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(self.tables[rng.below(2) as usize].split_at(rng.below(ACCOUNTS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        if client.is_reader() {
            return Step::ReadAll { balances: None };
        }
        let accounts = 2 * ACCOUNTS;
        let rng = &mut client.rng;
        let from = rng.below(accounts);
        let to = (from + 1 + rng.below(accounts - 1)) % accounts;
        Step::Transfer { from: from as i64, to: to as i64, amount: rng.between(1, 10) as i64 }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match *step {
                Step::ReadAll { .. } => Ok(Step::ReadAll { balances: Some(self.read(client).await?) }),
                Step::Transfer { from, to, amount } => {
                    let mut block = client.begin().await?;
                    self.transfer(&mut block, from, to, amount).await?;
                    block.commit().await?;
                    Ok(step.clone())
                }
            }
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let balances = client.query_until_answered(&self.select_all()).await?.pairs();
            history.add(begin, client.now(), Step::ReadAll { balances: Some(balances) });
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        bank::check(history, 2 * ACCOUNTS as i64 * INITIAL)
    }

    /// Each reads one snapshot, and transfers change what they find: that is safe at every level.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
