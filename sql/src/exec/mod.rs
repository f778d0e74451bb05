//! Runs plans. An operator is a state machine that gives batches of rows; it owns neither plan nor transaction: both come
//! with each call, so that a portal can be left half run and a plan can be shared by many executions.
//!
//! Reading order: `operator` (the trait, from plan to operators), `scan` and `lookup` (rows from the cluster), `rows` (what
//! is known of a table's keys and values), `recheck` (locked rows that are newer), `basic`, `join`, `apply`, `aggregate`, `sort`, `set`, `window`, then `change`; `explain`
//! and `measure` tell about the others.

mod aggregate;
mod apply;
mod basic;
pub mod change;
mod explain;
mod join;
mod lock;
mod lookup;
mod measure;
mod memory;
mod operator;
mod recheck;
mod rows;
mod scan;
mod sequence;
mod set;
mod sort;
mod window;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use base::TableId;
use txn::Txn;

pub use self::change::Inserter;
use self::{memory::Memory, operator::Operator};
use crate::{
    catalog::Relation,
    error::{Result, SqlError, SqlState},
    expr::EvalContext,
    plan::{Plan, Statement},
    types::Row,
};

/// Rows handed on at a time.
const BATCH_ROWS: usize = 1024;

/// What a running statement works with.
pub struct Context<'a> {
    pub txn: &'a mut Txn,
    /// Parameters, clock and session as expressions see them.
    pub eval: EvalContext,
    /// Set from outside to stop the statement (57014).
    pub cancel: &'a AtomicBool,
    pub system: &'a dyn SystemRows,
    pub sequences: &'a dyn Sequences,
    /// Limit for what one statement holds in memory (53200).
    pub memory_bytes_max: usize,
}

/// Rows of the system views.
#[async_trait]
pub trait SystemRows: Send + Sync {
    /// All rows of a system view, one value a column of `relation`.
    async fn rows(&self, relation: &Relation, txn: &mut Txn, eval: &EvalContext) -> Result<Vec<Row>>;
}

/// What the executor needs of sequences; they live outside the transaction of the statement.
#[async_trait]
pub trait Sequences: Send + Sync {
    async fn next_value(&self, sequence: TableId, txn: &mut Txn) -> Result<i64>;
    async fn current_value(&self, sequence: TableId) -> Result<i64>;
    async fn set_value(&self, sequence: TableId, value: i64, is_called: bool, txn: &mut Txn) -> Result<i64>;
    async fn last_value(&self) -> Result<i64>;
    /// The first of `count` consecutive numbers that nobody else in the cluster ever gets: hidden row ids.
    async fn row_ids(&self, count: u64) -> Result<i64>;
}

/// A statement that runs. Owns its state and shares the plan; keeps nothing of the context between calls.
pub struct Cursor {
    statement: Arc<Statement>,
    state: StatementState,
    body: Body,
    affected: u64,
}

enum Body {
    Query(Box<dyn Operator>),
    Change(change::Running),
    Explain(explain::Running),
}

/// What the operators of one execution share.
#[derive(Default)]
pub(crate) struct StatementState {
    ctes: BTreeMap<u32, Arc<Vec<Row>>>,
    memory: Memory,
    /// See [`recheck`].
    pins: recheck::Pins,
    /// Rows that the leaders looked at, for EXPLAIN ANALYZE.
    scanned: u64,
    /// What each node takes, for EXPLAIN ANALYZE.
    measuring: Option<measure::Measuring>,
}

/// The context of one call, as operators see it.
pub(crate) struct Run<'a> {
    pub txn: &'a mut Txn,
    pub eval: &'a mut EvalContext,
    pub cancel: &'a AtomicBool,
    pub system: &'a dyn SystemRows,
    pub sequences: &'a dyn Sequences,
    pub state: &'a mut StatementState,
}

/// Starts a statement. The plan is shared with the cache; nothing is touched before the first `next_batch`.
pub fn start(statement: Arc<Statement>) -> Cursor {
    let body = match &*statement {
        Statement::Query(plan) => Body::Query(operator::build(plan, false)),
        Statement::Change(change) => Body::Change(change::Running::new(change)),
        Statement::Explain { .. } => Body::Explain(explain::Running::default()),
    };
    Cursor { statement, state: StatementState::default(), body, affected: 0 }
}

impl Cursor {
    /// The next rows, at most about a thousand at a time; `None` at the end. Changes are complete (buffered in the
    /// transaction, constraints checked) before their first row comes.
    pub async fn next_batch(&mut self, context: &mut Context<'_>) -> Result<Option<Vec<Row>>> {
        self.state.memory.limit(context.memory_bytes_max);
        let mut run = Run {
            txn: &mut *context.txn,
            eval: &mut context.eval,
            cancel: context.cancel,
            system: context.system,
            sequences: context.sequences,
            state: &mut self.state,
        };
        run.check()?;
        match (&mut self.body, &*self.statement) {
            (Body::Query(operator), Statement::Query(plan)) => {
                let batch = operator.next(plan, &mut run).await?;
                self.affected += batch.as_ref().map_or(0, |rows| rows.len() as u64);
                Ok(batch)
            }
            (Body::Change(running), Statement::Change(change)) => {
                let batch = running.next(change, &mut run).await?;
                self.affected = running.affected();
                Ok(batch)
            }
            (Body::Explain(running), Statement::Explain { options, statement }) => {
                running.next(statement, *options, &mut run).await
            }
            _ => Err(mismatch()),
        }
    }

    /// Rows returned or changed so far: the number in the command tag.
    pub fn affected(&self) -> u64 {
        self.affected
    }
}

impl Run<'_> {
    /// Called at least once a batch: ends a cancelled statement.
    pub fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Acquire) {
            let message = "canceling statement due to user request";
            return Err(SqlError::new(SqlState::QUERY_CANCELED, message));
        }
        Ok(())
    }
}

/// All rows of an operator.
pub(crate) async fn drain(operator: &mut dyn Operator, plan: &Plan, run: &mut Run<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    while let Some(batch) = operator.next(plan, run).await? {
        run.check()?;
        run.state.memory.add(&batch)?;
        if rows.is_empty() {
            rows = batch;
        } else {
            rows.extend(batch);
        }
    }
    Ok(rows)
}

/// An operator met another node than the one it was made for: a defect.
pub(crate) fn mismatch() -> SqlError {
    SqlError::internal("an operator does not fit its plan")
}
