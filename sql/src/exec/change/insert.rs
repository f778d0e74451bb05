//! INSERT and the rows of COPY.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use txn::WaitPolicy;

use super::{
    Outcome,
    foreign::Pending,
    row::{duplicate, validate},
    write::{ChangedRow, Claimed, store, taken, unique_keys},
};
use crate::{
    catalog::change::backfill::{BulkFailure, write_entries},
    error::{Result, SqlError, SqlState},
    exec::{Context, Run, StatementState, basic::eval_all, drain, rows, sequence},
    plan::{ConflictAction, Insert, OnConflict, Plan, Target},
    types::{Row, Value},
};

pub(super) async fn run(insert: &Insert, run: &mut Run<'_>) -> Result<Outcome> {
    let mut source = run.build(&insert.source);
    let rows = drain(&mut *source, &insert.source, run).await?;
    let mut inserting = Inserting::default();
    inserting.insert(insert, rows, run).await?;
    inserting.pending.check(&insert.targets, run).await?;
    Ok(inserting.outcome)
}

#[derive(Default)]
struct Inserting {
    outcome: Outcome,
    pending: Pending,
    /// Primary keys of rows that this statement has inserted or changed.
    touched: BTreeSet<Bytes>,
}

impl Inserting {
    /// Complete rows of the table.
    async fn insert(&mut self, insert: &Insert, rows: Vec<Row>, run: &mut Run<'_>) -> Result<()> {
        let target = &insert.target;
        for row in &rows {
            validate(target, row, run.eval)?;
        }
        let rows = with_row_ids(target, rows, run).await?;
        let mut claimed = Claimed::default();
        let keys: Result<Vec<_>> = rows.iter().map(|row| unique_keys(target, row)).collect();
        let keys = keys?;
        let visible = insert.on_conflict.is_some();
        claimed.claim(keys.iter().flatten().map(|(_, key)| key.clone()), visible, run).await?;
        for (row, keys) in rows.into_iter().zip(keys) {
            run.check()?;
            if let Some(index) = taken(&claimed, &keys) {
                self.conflict(insert, index, row, &keys, &mut claimed, run).await?;
                continue;
            }
            store(target, &row, &mut claimed, run)?;
            self.pending.written(target, None, &row);
            if insert.on_conflict.is_some() {
                self.touched.insert(target.layouts[0].encode_key(&row)?);
            }
            self.done(insert, row, run)?;
        }
        Ok(())
    }

    fn done(&mut self, insert: &Insert, row: Row, run: &mut Run<'_>) -> Result<()> {
        self.outcome.affected += 1;
        if let Some(returning) = &insert.returning {
            let returned = eval_all(&returning.expressions, &row, run.eval)?;
            run.state.memory.add(std::slice::from_ref(&returned))?;
            self.outcome.returned.push(returned);
        }
        Ok(())
    }

    /// One of the row's unique keys is taken.
    async fn conflict(
        &mut self,
        insert: &Insert,
        taken: usize,
        new: Row,
        keys: &[(usize, Bytes)],
        claimed: &mut Claimed,
        run: &mut Run<'_>,
    ) -> Result<()> {
        let target = &insert.target;
        let Some(OnConflict { index, action }) = &insert.on_conflict else {
            return Err(duplicate(target, taken, &new, run.eval));
        };
        // Only a conflict on the named constraint is excused.
        let arbiter = index.unwrap_or(taken);
        let Some((_, key)) = keys.iter().find(|(at, key)| *at == arbiter && claimed.value(key).is_some()) else {
            return Err(duplicate(target, taken, &new, run.eval));
        };
        let ConflictAction::Update { assignments, filter } = action else { return Ok(()) };
        let value = claimed.value(key).cloned().unwrap_or_default();
        let (old, old_key) = if arbiter == 0 {
            (rows::storage_row(&target.layouts, key, &value)?, key.clone())
        } else {
            let primary = rows::primary_key(&target.layouts, arbiter, key, &value)?;
            let mode = target.mode_for(assignments.iter().map(|(slot, _)| *slot));
            let locked = run.txn.lock(std::slice::from_ref(&primary), mode, WaitPolicy::Wait).await?;
            let stored = locked.into_iter().next().and_then(|locked| locked.value);
            // Between the two locks the row has gone, and its entry with it.
            let stored = stored.ok_or_else(|| SqlError::concurrent_change(primary.clone()))?;
            (rows::storage_row(&target.layouts, &primary, &stored)?, primary)
        };
        if self.touched.contains(&old_key) {
            let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
            return Err(SqlError::new(SqlState::CARDINALITY_VIOLATION, message).hint(
                "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
            ));
        }
        let width = target.relation.columns().len();
        let mut both = old[..width].to_vec();
        both.extend(new);
        if let Some(filter) = filter
            && !filter.eval_filter(&both, run.eval)?
        {
            return Ok(());
        }
        let mut updated = old.clone();
        for (slot, expr) in assignments {
            updated[*slot] = expr.eval(&both, run.eval)?;
        }
        validate(target, &updated, run.eval)?;
        let changed = ChangedRow::new(target, old, old_key, updated)?;
        let wanted = changed.wanted(target)?;
        claimed.claim(wanted.into_iter().map(|(_, key)| key), false, run).await?;
        changed.vacate(target, claimed, run)?;
        changed.settle(target, claimed, run)?;
        self.pending.written(target, Some(&changed.old), &changed.new);
        self.touched.insert(changed.new_key);
        self.done(insert, changed.new, run)
    }
}

/// Rows of a table without a primary key get fresh row ids.
async fn with_row_ids(target: &Target, mut rows: Vec<Row>, run: &mut Run<'_>) -> Result<Vec<Row>> {
    if target.layouts[0].hidden_slot().is_some() && !rows.is_empty() {
        let first = run.sequences.row_ids(rows.len() as u64).await?;
        for (row, id) in rows.iter_mut().zip(first..) {
            row.push(Value::Int8(id));
        }
    }
    Ok(rows)
}

/// Inserts rows that come from outside (COPY). The insert is one of `bind::bind_insert`.
pub struct Inserter {
    insert: Arc<Insert>,
    inserting: Inserting,
    state: StatementState,
}

impl Inserter {
    pub fn new(insert: Arc<Insert>) -> Inserter {
        Inserter { insert, inserting: Inserting::default(), state: StatementState::default() }
    }

    /// Checks and buffers rows of the columns that were given to `bind_insert`. One batch (a few hundred rows) per call.
    pub async fn insert(&mut self, rows: Vec<Row>, context: &mut Context<'_>) -> Result<()> {
        let mut run = Run {
            txn: &mut *context.txn,
            eval: &mut context.eval,
            cancel: context.cancel,
            system: context.system,
            sequences: context.sequences,
            state: &mut self.state,
        };
        run.check()?;
        let rows = feed(&self.insert.source, rows, &mut run).await?;
        self.inserting.insert(&self.insert, rows, &mut run).await
    }

    /// As [`Inserter::insert`], past the write buffer: for a table whose key spaces nobody else can see and that bulk writes
    /// were prepared for (`catalog::change::backfill`).
    pub async fn insert_bulk(&mut self, rows: Vec<Row>, context: &mut Context<'_>) -> Result<()> {
        let mut run = Run {
            txn: &mut *context.txn,
            eval: &mut context.eval,
            cancel: context.cancel,
            system: context.system,
            sequences: context.sequences,
            state: &mut self.state,
        };
        run.check()?;
        let target = &self.insert.target;
        let rows = feed(&self.insert.source, rows, &mut run).await?;
        for row in &rows {
            validate(target, row, run.eval)?;
        }
        let rows = with_row_ids(target, rows, &mut run).await?;
        for (position, layout) in target.layouts.iter().enumerate() {
            match write_entries(run.txn, layout, layout.is_unique(), &rows).await {
                Ok(()) => {}
                Err(BulkFailure::Duplicate(row)) => return Err(duplicate(target, position, &row, run.eval)),
                Err(BulkFailure::Other(error)) => return Err(error),
            }
        }
        for row in &rows {
            self.inserting.pending.written(target, None, row);
        }
        self.inserting.outcome.affected += rows.len() as u64;
        Ok(())
    }

    /// Checks the foreign keys of all rows; the number of rows inserted.
    pub async fn finish(mut self, context: &mut Context<'_>) -> Result<u64> {
        let mut run = Run {
            txn: &mut *context.txn,
            eval: &mut context.eval,
            cancel: context.cancel,
            system: context.system,
            sequences: context.sequences,
            state: &mut self.state,
        };
        self.inserting.pending.check(&self.insert.targets, &mut run).await?;
        Ok(self.inserting.outcome.affected)
    }
}

/// Sends rows through the plan that fills in defaults, in place of its `Values`.
async fn feed(plan: &Plan, rows: Vec<Row>, run: &mut Run<'_>) -> Result<Vec<Row>> {
    // From the root down to `Values`, then back up.
    let mut nodes = Vec::new();
    let mut node = plan;
    loop {
        nodes.push(node);
        node = match node {
            Plan::Project { input, .. } | Plan::Sequence { input, .. } => input,
            _ => break,
        };
    }
    let mut rows = rows;
    for node in nodes.into_iter().rev() {
        match node {
            Plan::Project { expressions, .. } => {
                let projected: Result<Vec<Row>> = rows.iter().map(|row| eval_all(expressions, row, run.eval)).collect();
                rows = projected?;
            }
            Plan::Sequence { calls, .. } => sequence::extend(&mut rows, calls, run).await?,
            Plan::Values { types, .. } => {
                if rows.iter().any(|row: &Vec<Value>| row.len() != types.len()) {
                    return Err(SqlError::internal("rows of another width than the INSERT was bound for"));
                }
            }
            _ => return Err(SqlError::internal("an INSERT that cannot be fed")),
        }
    }
    Ok(rows)
}
