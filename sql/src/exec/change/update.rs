//! UPDATE and DELETE.

use std::collections::BTreeSet;

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
    exec::{
        Run,
        basic::eval_all,
        drain, mismatch,
        recheck::{self, Pins},
        rows,
    },
    plan::{Delete, Mark, Plan, Returning, Target, Update},
    types::{Row, Value},
};

pub(super) async fn update(update: &Update, run: &mut Run<'_>) -> Result<Outcome> {
    let found = if update.locked {
        matched(&update.source, &update.target, run).await?
    } else {
        locked(&update.source, &update.target, update.mark, update.mode(), run).await?
    };
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
    claimed.claim(wanted, false, run).await?;
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
    let found = if delete.locked {
        matched(&delete.source, &delete.target, run).await?
    } else {
        locked(&delete.source, &delete.target, delete.mark, LockMode::Update, run).await?
    };
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

/// The rows that the source gives with their keys, each once however often a join brings it.
async fn matched(source: &Plan, target: &Target, run: &mut Run<'_>) -> Result<Vec<(Row, Bytes)>> {
    let mut operator = run.build(source);
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
    Ok(found)
}

/// As [`matched`], locked and at their newest.
async fn locked(
    source: &Plan,
    target: &Target,
    mark: Mark,
    mode: LockMode,
    run: &mut Run<'_>,
) -> Result<Vec<(Row, Bytes)>> {
    let found = matched(source, target, run).await?;
    if found.is_empty() {
        return Ok(found);
    }
    let keys: Vec<Bytes> = found.iter().map(|(_, key)| key.clone()).collect();
    let values = run.txn.lock(&keys, mode, WaitPolicy::Wait).await?;
    let mut kept = Vec::with_capacity(found.len());
    for ((row, key), locked) in found.into_iter().zip(values) {
        run.check()?;
        let Some(value) = locked.value else { continue };
        if !locked.newer {
            // What was read is the newest; or the transaction has moved forward and found all of its reads unchanged.
            kept.push((row, key));
            continue;
        }
        let pins = Pins::from([(mark, recheck::pin(&target.layouts, &key, &value)?)]);
        let again = recheck::run_again(source, pins, run).await?;
        kept.extend(again.into_iter().next().map(|row| (row, key)));
    }
    Ok(kept)
}
