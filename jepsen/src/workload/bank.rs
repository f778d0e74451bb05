//! Transfers between accounts in explicit transactions, and reads of all balances.

use base::{BoxFuture, Rng};

use super::{
    Client, Parameters, Workload,
    client::Result,
    record::{Body, Recorder},
    rows::Rows,
};
use crate::check::{
    Anomaly,
    bank::{self, Step},
};

const ACCOUNTS: u64 = 6;
const INITIAL: i64 = 100;

pub struct Bank {
    accounts: Rows,
    history: Recorder<Step>,
}

impl Bank {
    pub fn new(parameters: &Parameters) -> Bank {
        let accounts = Rows {
            table: "accounts",
            value: "int8 NOT NULL CHECK (value >= 0)",
            shape: parameters.shape,
            keys: ACCOUNTS,
        };
        Bank { accounts, history: Recorder::default() }
    }

    async fn transact(&self, client: &mut Client, step: &Step) -> Result<Step> {
        match *step {
            Step::ReadAll { .. } => {
                let answer = client.query(&self.accounts.select_all()).await?;
                Ok(Step::ReadAll { balances: Some(answer.pairs()) })
            }
            Step::Transfer { from, to, amount } => {
                let mut block = client.begin().await?;
                for (account, change) in [(from, -amount), (to, amount)] {
                    let text = format!("UPDATE accounts SET value = value + ({change}) WHERE key = {account}");
                    block.query(&text).await?;
                }
                block.commit().await?;
                Ok(step.clone())
            }
        }
    }
}

impl Workload for Bank {
    fn setup<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<(), String>> {
        let mut statements = self.accounts.create(client.world.is_locus());
        statements.extend((0..ACCOUNTS).map(|account| self.accounts.insert(account, &INITIAL.to_string())));
        Box::pin(async move { client.run_all(&statements).await })
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
        Some(self.accounts.split_at(rng.below(ACCOUNTS)))
    }

    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, std::result::Result<Vec<Anomaly>, String>> {
        Box::pin(async move {
            let begin = client.now();
            let answer = client.query_until_answered(&self.accounts.select_all()).await?;
            self.history.add(begin, client.now(), Step::ReadAll { balances: Some(answer.pairs()) });
            Ok(bank::check(&self.history.lock(), ACCOUNTS as i64 * INITIAL))
        })
    }

    fn counts(&self) -> (u64, u64, u64) {
        self.history.counts()
    }

    fn edn(&self) -> String {
        self.history.edn()
    }
}

impl Body for Step {
    fn f(&self) -> &'static str {
        match self {
            Step::Transfer { .. } => "transfer",
            Step::ReadAll { .. } => "read",
        }
    }

    fn value(&self, asked: bool) -> String {
        match self {
            Step::Transfer { from, to, amount } => format!("{{:from {from} :to {to} :amount {amount}}}"),
            Step::ReadAll { balances: Some(balances) } if !asked => {
                let balances: Vec<String> = balances.iter().map(|(id, balance)| format!("{id} {balance}")).collect();
                format!("{{{}}}", balances.join(", "))
            }
            Step::ReadAll { .. } => "nil".into(),
        }
    }
}

fn draw(client: &mut Client) -> Step {
    if client.is_reader() {
        return Step::ReadAll { balances: None };
    }
    let rng = &mut client.rng;
    let from = rng.below(ACCOUNTS) as i64;
    let to = (from + 1 + rng.below(ACCOUNTS - 1) as i64) % ACCOUNTS as i64;
    Step::Transfer { from, to, amount: rng.between(1, 20) as i64 }
}
