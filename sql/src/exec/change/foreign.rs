//! Foreign keys. While a statement writes, it only notes which values must have a parent and which values have lost theirs;
//! when all is written, both are looked up (own writes included), and the actions run, which may note more.
//!
//! Both are about what is there now, at every isolation level, and must still be true at the commit (`Txn::lock_latest`,
//! `Txn::scan_latest`). A parent is locked so that its key stays (KEY SHARE): who wants to remove it waits, who changes other
//! columns of it does not.

use std::collections::{BTreeMap, BTreeSet};

use base::{BoxFuture, TableId};
use txn::{LockMode, LockedRow, WaitPolicy};

use super::{
    row::key_text,
    update::apply,
    write::{ChangedRow, remove, values_at},
};
use crate::{
    catalog::{ForeignKeyAction, Relation},
    error::{Result, SqlError, SqlState},
    exec::{Run, rows, scan},
    expr::{
        Expr,
        cast::{self, CastContext},
    },
    plan::{IncomingKey, OutgoingKey, Target, Targets},
    types::{Row, Value},
};

/// (table, number of the foreign key among its outgoing or incoming ones).
type Which = (TableId, usize);

#[derive(Default)]
pub(super) struct Pending {
    /// Values that must be found in the referenced table.
    needed: BTreeMap<Which, BTreeSet<Vec<Value>>>,
    /// Referenced values that are gone, and what has replaced them (UPDATE).
    gone: Vec<(Which, Vec<Value>, Option<Vec<Value>>)>,
}

impl Pending {
    /// A row was inserted (`old` is `None`) or changed.
    pub fn written(&mut self, target: &Target, old: Option<&Row>, new: &Row) {
        let table = target.relation.id;
        for (number, outgoing) in target.outgoing.iter().enumerate() {
            // A NULL among the values: nothing to find (MATCH SIMPLE).
            let Some(values) = values_at(new, &outgoing.slots) else { continue };
            if old.is_none_or(|old| values_at(old, &outgoing.slots).as_ref() != Some(&values)) {
                self.needed.entry((table, number)).or_default().insert(values);
            }
        }
        let Some(old) = old else { return };
        for (number, incoming) in target.incoming.iter().enumerate() {
            let Some(values) = values_at(old, &incoming.referenced_slots) else { continue };
            let replaced = incoming.referenced_slots.iter().map(|&slot| new[slot].clone()).collect();
            if values != replaced {
                self.gone.push(((table, number), values, Some(replaced)));
            }
        }
    }

    pub fn removed(&mut self, target: &Target, old: &Row) {
        for (number, incoming) in target.incoming.iter().enumerate() {
            if let Some(values) = values_at(old, &incoming.referenced_slots) {
                self.gone.push(((target.relation.id, number), values, None));
            }
        }
    }

    pub async fn check(&mut self, targets: &Targets, run: &mut Run<'_>) -> Result<()> {
        if self.needed.is_empty() && self.gone.is_empty() {
            return Ok(());
        }
        // Actions first: they may write what has to be checked then.
        while !self.gone.is_empty() {
            for (which, values, replaced) in std::mem::take(&mut self.gone) {
                run.check()?;
                self.act(which, values, replaced, targets, run).await?;
            }
        }
        for ((table, number), values) in std::mem::take(&mut self.needed) {
            let target = find(targets, table)?;
            check_parents(&target.relation, &target.outgoing[number], values, run).await?;
        }
        Ok(())
    }

    /// Deals with the rows that refer to values which are gone. Boxed: actions lead to further ones.
    fn act<'a>(
        &'a mut self,
        (table, number): Which,
        values: Vec<Value>,
        replaced: Option<Vec<Value>>,
        targets: &'a Targets,
        run: &'a mut Run<'_>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let parent = find(targets, table)?;
            let incoming = &parent.incoming[number];
            let found = referencing(incoming, &values, run).await?;
            if found.is_empty() {
                return Ok(());
            }
            let action = if replaced.is_some() { incoming.key.on_update } else { incoming.key.on_delete };
            if matches!(action, ForeignKeyAction::NoAction | ForeignKeyAction::Restrict) {
                // Another row may have taken the values over.
                if action == ForeignKeyAction::NoAction && parent_exists(parent, incoming, &values, run).await? {
                    return Ok(());
                }
                return Err(still_referenced(&parent.relation, incoming, &values, run));
            }
            let child = find(targets, incoming.referencing.id)?;
            if action == ForeignKeyAction::Cascade && replaced.is_none() {
                for (row, key) in found {
                    remove(&child.layouts, &row, &key, run)?;
                    self.removed(child, &row);
                }
                return Ok(());
            }
            let mut changes = Vec::with_capacity(found.len());
            for (old, key) in found {
                let mut new = old.clone();
                for (position, &slot) in incoming.slots.iter().enumerate() {
                    new[slot] = match (action, &replaced) {
                        (ForeignKeyAction::Cascade, Some(replaced)) => replaced[position].clone(),
                        (ForeignKeyAction::SetDefault, _) => match &child.defaults[slot] {
                            Some(default) => default.eval(&[], run.eval)?,
                            None => Value::Null,
                        },
                        _ => Value::Null,
                    };
                }
                super::row::validate(child, &new, run.eval)?;
                changes.push(ChangedRow::new(child, old, key, new)?);
            }
            apply(child, &changes, self, run).await
        })
    }
}

fn find(targets: &Targets, table: TableId) -> Result<&Target> {
    let target = targets.0.get(&table);
    target.map(|target| &**target).ok_or_else(|| SqlError::internal("a foreign key reaches a table that was not bound"))
}

/// The rows of the referencing table with these values, with their keys, locked for the change that may follow.
async fn referencing(incoming: &IncomingKey, values: &[Value], run: &mut Run<'_>) -> Result<Vec<(Row, bytes::Bytes)>> {
    let (index, prefix) = match &incoming.index {
        Some((index, which)) => (*index, which.iter().map(|&position| values[position].clone()).collect()),
        None => (0, Vec::new()),
    };
    let refers = |row: &Row| incoming.slots.iter().zip(values).all(|(&slot, value)| row[slot] == *value);
    let mut found = scan::rows_with_prefix(&incoming.layouts, index, &prefix, true, run).await?;
    found.retain(|(row, _)| refers(row));
    let acts = |action| !matches!(action, ForeignKeyAction::NoAction | ForeignKeyAction::Restrict);
    if found.is_empty() || !(acts(incoming.key.on_delete) || acts(incoming.key.on_update)) {
        return Ok(found);
    }
    let keys: Vec<bytes::Bytes> = found.into_iter().map(|(_, key)| key).collect();
    let locked = run.txn.lock_latest(&keys, LockMode::Update, WaitPolicy::Wait).await?;
    let mut newest = Vec::with_capacity(keys.len());
    for (key, locked) in keys.into_iter().zip(locked) {
        if let Some(value) = locked.value {
            let row = rows::storage_row(&incoming.layouts, &key, &value)?;
            if refers(&row) {
                newest.push((row, key));
            }
        }
    }
    Ok(newest)
}

/// Whether a row with these values is there (again).
async fn parent_exists(parent: &Target, incoming: &IncomingKey, values: &[Value], run: &mut Run<'_>) -> Result<bool> {
    let (index, order) = &incoming.referenced_index;
    let ordered: Vec<Value> = order.iter().map(|&position| values[position].clone()).collect();
    let key = parent.layouts[*index].prefix_key(&ordered)?.into();
    Ok(run.txn.get_latest(&[key]).await?.iter().any(Option::is_some))
}

async fn check_parents(
    relation: &Relation,
    outgoing: &OutgoingKey,
    values: BTreeSet<Vec<Value>>,
    run: &mut Run<'_>,
) -> Result<()> {
    let values: Vec<Vec<Value>> = values.into_iter().collect();
    let keys: Result<Vec<bytes::Bytes>> =
        values.iter().map(|values| parent_key(relation, outgoing, values, run)).collect();
    let found = lock_parents(outgoing, keys?, run).await?;
    let missing = values.iter().zip(found).find(|(_, found)| !found);
    let Some((values, _)) = missing else { return Ok(()) };
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        relation.name, outgoing.key.name
    );
    Err(SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .detail(format!(
            "{} is not present in table \"{}\".",
            key_text(relation, &outgoing.slots, values, run.eval).unwrap_or_else(|| "Key".to_owned()),
            outgoing.referenced.name
        ))
        .table(&relation.schema, &relation.name)
        .constraint(&outgoing.key.name))
}

/// Whether there is a row under each of these keys of the referenced index; it is locked so that it keeps its key.
async fn lock_parents(outgoing: &OutgoingKey, keys: Vec<bytes::Bytes>, run: &mut Run<'_>) -> Result<Vec<bool>> {
    let (layouts, index) = (&outgoing.layouts, outgoing.index);
    if index == 0 {
        let locked = run.txn.lock_latest(&keys, LockMode::KeyShare, WaitPolicy::Wait).await?;
        return Ok(locked.into_iter().map(|locked| locked.value.is_some()).collect());
    }
    // An entry leads to the row, which is what is locked.
    let entries = run.txn.get_latest(&keys).await?;
    let mut parents = Vec::new();
    for (key, entry) in keys.iter().zip(&entries) {
        if let Some(entry) = entry {
            parents.push(rows::primary_key(layouts, index, key, entry)?);
        }
    }
    let mut locked = run.txn.lock_latest(&parents, LockMode::KeyShare, WaitPolicy::Wait).await?.into_iter();
    let mut parents = parents.iter();
    let mut found = Vec::with_capacity(keys.len());
    for (key, entry) in keys.iter().zip(&entries) {
        let parent = if entry.is_some() { parents.next().zip(locked.next()) } else { None };
        found.push(match parent {
            Some((parent, LockedRow { value: Some(value), .. })) => {
                layouts[index].encode_key(&rows::storage_row(layouts, parent, &value)?)? == *key
            }
            _ => false,
        });
    }
    Ok(found)
}

/// The key of the parent; the referencing columns may be of other types (int4 for int8).
fn parent_key(relation: &Relation, outgoing: &OutgoingKey, values: &[Value], run: &Run<'_>) -> Result<bytes::Bytes> {
    let mut converted = Vec::with_capacity(values.len());
    for ((value, &slot), column) in values.iter().zip(&outgoing.slots).zip(outgoing.layouts[outgoing.index].columns()) {
        let from = relation.columns()[slot].ty;
        converted.push(match from == column.ty {
            true => value.clone(),
            false => {
                let value = Expr::constant(value.clone(), from);
                cast::coerce(value, column.ty, -1, CastContext::Implicit)?.eval(&[], run.eval)?
            }
        });
    }
    Ok(outgoing.layouts[outgoing.index].prefix_key(&converted)?.into())
}

fn still_referenced(parent: &Relation, incoming: &IncomingKey, values: &[Value], run: &Run<'_>) -> SqlError {
    let child = &incoming.referencing;
    let message = format!(
        "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
        parent.name, incoming.key.name, child.name
    );
    SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, message)
        .detail(format!(
            "{} is still referenced from table \"{}\".",
            key_text(parent, &incoming.referenced_slots, values, run.eval).unwrap_or_else(|| "Key".to_owned()),
            child.name
        ))
        .table(&child.schema, &child.name)
        .constraint(&incoming.key.name)
}
