//! INSERT, UPDATE and DELETE. A change runs to its end at the first call: its source is read whole before anything is
//! written (it must not see its own writes), constraints are checked, then the rows of RETURNING are handed out.
//!
//! | file | decides |
//! |---|---|
//! | `row` | whether a row may be stored: NOT NULL, CHECK, and the words for it when not |
//! | `write` | which keys a row has, uniqueness, the puts and deletes |
//! | `insert`, `update` | one statement; DELETE is in `update` |
//! | `foreign` | foreign keys, when all rows are written |

mod foreign;
mod insert;
mod row;
mod update;
mod write;

use async_trait::async_trait;

pub use self::insert::Inserter;
use super::{BATCH_ROWS, Run, basic::some, mismatch, operator::Operator};
use crate::{
    error::Result,
    plan::{Change, Plan},
    types::Row,
};

/// A change that runs or has run.
pub(crate) struct Running {
    affected: u64,
    output: Option<std::vec::IntoIter<Row>>,
}

/// What a change brought.
#[derive(Default)]
pub(crate) struct Outcome {
    pub affected: u64,
    pub returned: Vec<Row>,
}

impl Running {
    pub fn new(_change: &Change) -> Running {
        Running { affected: 0, output: None }
    }

    pub fn affected(&self) -> u64 {
        self.affected
    }

    pub async fn next(&mut self, change: &Change, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let output = match &mut self.output {
            Some(output) => output,
            None => {
                let outcome = match change {
                    Change::Insert(insert) => insert::run(insert, run).await?,
                    Change::Update(update) => update::update(update, run).await?,
                    Change::Delete(delete) => update::delete(delete, run).await?,
                };
                self.affected = outcome.affected;
                self.output.insert(outcome.returned.into_iter())
            }
        };
        Ok(some(output.take(BATCH_ROWS).collect()))
    }
}

/// A change within a query (`WITH x AS (INSERT … RETURNING …)`).
pub(crate) struct ChangeOperator(pub Running);

#[async_trait]
impl Operator for ChangeOperator {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Change(change) = plan else { return Err(mismatch()) };
        self.0.next(change, run).await
    }
}
