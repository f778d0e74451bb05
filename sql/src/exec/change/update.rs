//! UPDATE and DELETE.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use txn::{LockMode, WaitPolicy};

use super::{
    Outcome,
    foreign::Pending,
    row::validate,
    write::{ChangedRow, Claimed, remove},
};
use crate::{
    error::Result,
    exec::{Run, basic::eval_all, drain, mismatch, operator, rows},
    plan::{Delete, Plan, Returning, Target, Update},
    types::{Row, Value},
};

pub(super) async fn update(update: &Update, run: &mut Run<'_>) -> Result<Outcome> {
    let found = matched(&update.source, &update.target, update.locked, run).await?;
    let width = update.target.relation.columns().len();
    let mut outcome = Outcome::default();
    let mut changes = Vec::with_capacity(found.len());
    let mut sources = Vec::new();
    for (row, key) in found {
        let old = rows::with_row_id(&update.target.layouts, &row[..width], &key)?;
        let mut new = old.clone();
        for (slot, expr) in &update.assignments {
            new[*slot] = expr.eval(&row, run.eval)?;
        }
        validate(&update.target, &new, run.eval)?;
        outcome.affected += 1;
        changes.push(ChangedRow::new(&update.target, old, key, new)?);
        if update.returning.is_some() {
            sources.push(row);
        }
    }
    let mut pending = Pending::default();
    apply(&update.target, &changes, &mut pending, run).await?;
    pending.check(&update.targets, run).await?;
    if let Some(returning) = &update.returning {
        for (mut source, change) in sources.into_iter().zip(changes) {
            source.splice(..width, change.new.into_iter().take(width));
            outcome.returned.push(returned(returning, &source, run)?);
        }
    }
    Ok(outcome)
}

/// Writes changed rows: all give up their old keys before any takes a new one.
pub(super) async fn apply(
    target: &Target,
    changes: &[ChangedRow],
    pending: &mut Pending,
    run: &mut Run<'_>,
) -> Result<()> {
    let mut claimed = Claimed::default();
    let mut wanted = Vec::new();
    for change in changes {
        wanted.extend(change.wanted(target)?.into_iter().map(|(_, key)| key));
    }
    claimed.claim(wanted, run).await?;
    for change in changes {
        change.vacate(target, &mut claimed, run)?;
    }
    for change in changes {
        run.check()?;
        change.settle(target, &mut claimed, run)?;
        pending.written(target, Some(&change.old), &change.new);
    }
    Ok(())
}

pub(super) async fn delete(delete: &Delete, run: &mut Run<'_>) -> Result<Outcome> {
    let found = matched(&delete.source, &delete.target, delete.locked, run).await?;
    let width = delete.target.relation.columns().len();
    let mut outcome = Outcome::default();
    let mut pending = Pending::default();
    for (row, key) in found {
        run.check()?;
        let old = rows::with_row_id(&delete.target.layouts, &row[..width], &key)?;
        remove(&delete.target.layouts, &old, &key, run)?;
        pending.removed(&delete.target, &old);
        outcome.affected += 1;
        if let Some(returning) = &delete.returning {
            outcome.returned.push(returned(returning, &row, run)?);
        }
    }
    pending.check(&delete.targets, run).await?;
    Ok(outcome)
}

fn returned(returning: &Returning, row: &Row, run: &mut Run<'_>) -> Result<Row> {
    let row = eval_all(&returning.expressions, row, run.eval)?;
    run.state.memory.add(std::slice::from_ref(&row))?;
    Ok(row)
}

/// The rows to change with their keys, locked, each once however often a join brings it.
async fn matched(source: &Plan, target: &Arc<Target>, locked: bool, run: &mut Run<'_>) -> Result<Vec<(Row, Bytes)>> {
    let mut operator = operator::build(source);
    let rows = drain(&mut *operator, source, run).await?;
    let key_slot = target.relation.columns().len();
    let mut seen = BTreeSet::new();
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(Value::Bytea(key)) = row.get(key_slot).cloned() else { return Err(mismatch()) };
        if seen.insert(key.clone()) {
            found.push((row, key));
        }
    }
    if locked || found.is_empty() {
        return Ok(found);
    }
    // The lock gives the newest version; where that is not the one that was read, the transaction has moved forward and its
    // reads were found unchanged, or it starts again. So what was read still holds.
    let keys: Vec<Bytes> = found.iter().map(|(_, key)| key.clone()).collect();
    let values = run.txn.lock(&keys, LockMode::Update, WaitPolicy::Wait).await?;
    let mut values = values.into_iter();
    found.retain(|_| values.next().is_some_and(|locked| locked.value.is_some()));
    Ok(found)
}
