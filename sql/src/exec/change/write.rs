//! The keys of rows: uniqueness, and the puts and deletes that store, change or remove a row.
//!
//! All keys that must be free are locked in one call (absent keys too: that is how uniqueness is checked). Entries of
//! non-unique indexes end in the primary key, so they depend on nothing but the row, which is locked: they are written
//! blindly. So are the deletions of a row's own entries of unique indexes: the row lock covers them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use txn::{LockMode, WaitPolicy};

use super::row::duplicate;
use crate::{
    encode::IndexLayout,
    error::Result,
    exec::Run,
    plan::Target,
    types::{Row, Value},
};

type Key = Bytes;

/// What is known of the keys that this statement must find free: the value under each.
#[derive(Default)]
pub(super) struct Claimed(BTreeMap<Key, Option<Bytes>>);

impl Claimed {
    /// Locks what is not locked yet. A key is taken when it is taken now, whatever the transaction sees; with `visible` one that
    /// it cannot see is a conflict (REPEATABLE READ).
    pub async fn claim(&mut self, keys: impl IntoIterator<Item = Key>, visible: bool, run: &mut Run<'_>) -> Result<()> {
        let wanted: BTreeSet<Key> = keys.into_iter().filter(|key| !self.0.contains_key(key)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Key> = wanted.into_iter().collect();
        let locked = if visible {
            run.txn.lock(&wanted, LockMode::Update, WaitPolicy::Wait).await?
        } else {
            run.txn.lock_latest(&wanted, LockMode::Update, WaitPolicy::Wait).await?
        };
        self.0.extend(wanted.into_iter().zip(locked.into_iter().map(|locked| locked.value)));
        Ok(())
    }

    pub fn value(&self, key: &Key) -> Option<&Bytes> {
        self.0.get(key).and_then(Option::as_ref)
    }

    pub fn set(&mut self, key: Key, value: Option<Bytes>) {
        self.0.insert(key, value);
    }

    /// A key that is given up; it may be claimed by another row of the statement.
    pub fn release(&mut self, key: &Key) {
        if let Some(value) = self.0.get_mut(key) {
            *value = None;
        }
    }
}

/// The keys of a row that must be free, by index.
pub(super) fn unique_keys(target: &Target, row: &Row) -> Result<Vec<(usize, Key)>> {
    let mut keys = Vec::new();
    for (position, layout) in target.layouts.iter().enumerate() {
        if must_be_free(target, position, row) {
            keys.push((position, layout.encode_key(row)?));
        }
    }
    Ok(keys)
}

/// A hidden row id is fresh and needs no check.
fn must_be_free(target: &Target, position: usize, row: &Row) -> bool {
    let layout = &target.layouts[position];
    layout.must_be_unique(row) && !(position == 0 && layout.hidden_slot().is_some())
}

/// The first of the row's unique keys that is taken.
pub(super) fn taken(claimed: &Claimed, keys: &[(usize, Key)]) -> Option<usize> {
    keys.iter().find(|(_, key)| claimed.value(key).is_some()).map(|(index, _)| *index)
}

/// Stores a row whose unique keys are claimed and free.
pub(super) fn store(target: &Target, row: &Row, claimed: &mut Claimed, run: &mut Run<'_>) -> Result<()> {
    for position in 0..target.layouts.len() {
        put_entry(target, position, row, claimed, run)?;
    }
    Ok(())
}

fn put_entry(target: &Target, position: usize, row: &Row, claimed: &mut Claimed, run: &mut Run<'_>) -> Result<()> {
    let (key, value) = target.layouts[position].encode(row)?;
    if must_be_free(target, position, row) {
        claimed.set(key.clone(), Some(value.clone()));
        run.txn.put(key, value)?;
    } else {
        run.txn.put_blind(key, value)?;
    }
    Ok(())
}

/// Removes a row that is locked, with its entries.
pub(super) fn remove(layouts: &[IndexLayout], row: &Row, key: &Key, run: &mut Run<'_>) -> Result<()> {
    for layout in layouts.iter().skip(1) {
        run.txn.delete(layout.encode_key(row)?, true)?;
    }
    run.txn.delete(key.clone(), false)?;
    Ok(())
}

/// A row that changes, locked under its old key. Storage rows: the hidden row id stands last.
pub(super) struct ChangedRow {
    pub old: Row,
    pub old_key: Key,
    pub new: Row,
    pub new_key: Key,
}

impl ChangedRow {
    pub fn new(target: &Target, old: Row, old_key: Key, new: Row) -> Result<ChangedRow> {
        let primary = &target.layouts[0];
        let moved = primary.columns().iter().any(|column| old[column.slot] != new[column.slot]);
        let new_key = if moved { primary.encode_key(&new)? } else { old_key.clone() };
        Ok(ChangedRow { old, old_key, new, new_key })
    }

    pub fn moved(&self) -> bool {
        self.old_key != self.new_key
    }

    /// The unique keys that the new row needs and the old one did not have.
    pub fn wanted(&self, target: &Target) -> Result<Vec<(usize, Key)>> {
        let mut wanted = Vec::new();
        if self.moved() {
            wanted.push((0, self.new_key.clone()));
        }
        for (position, layout) in target.layouts.iter().enumerate().skip(1) {
            if layout.must_be_unique(&self.new) {
                let key = layout.encode_key(&self.new)?;
                if key != layout.encode_key(&self.old)? {
                    wanted.push((position, key));
                }
            }
        }
        Ok(wanted)
    }

    /// Takes the old row's keys away where the new one has others.
    pub fn vacate(&self, target: &Target, claimed: &mut Claimed, run: &mut Run<'_>) -> Result<()> {
        for layout in target.layouts.iter().skip(1) {
            let old = layout.encode_key(&self.old)?;
            if old != layout.encode_key(&self.new)? {
                claimed.release(&old);
                run.txn.delete(old, true)?;
            }
        }
        if self.moved() {
            claimed.release(&self.old_key);
            run.txn.delete(self.old_key.clone(), false)?;
        }
        Ok(())
    }

    /// Writes the new row and those of its entries that differ. Its wanted keys are claimed; all rows have vacated.
    pub fn settle(&self, target: &Target, claimed: &mut Claimed, run: &mut Run<'_>) -> Result<()> {
        if target.layouts.len() > 1 || self.moved() {
            let wanted = self.wanted(target)?;
            if let Some(index) = taken(claimed, &wanted) {
                return Err(duplicate(target, index, &self.new, run.eval));
            }
        }
        let value = target.layouts[0].encode_value(&self.new)?;
        if self.moved() {
            claimed.set(self.new_key.clone(), Some(value.clone()));
        }
        run.txn.put(self.new_key.clone(), value)?;
        for (position, layout) in target.layouts.iter().enumerate().skip(1) {
            if layout.encode(&self.old)? != layout.encode(&self.new)? {
                // The entry itself may stay under its key with other INCLUDEd columns: then it was never claimed.
                let (key, value) = layout.encode(&self.new)?;
                if layout.encode_key(&self.old)? == key {
                    run.txn.put_blind(key, value)?;
                } else {
                    put_entry(target, position, &self.new, claimed, run)?;
                }
            }
        }
        Ok(())
    }
}

/// The values at these positions; `None` when one is NULL.
pub(super) fn values_at(row: &Row, slots: &[usize]) -> Option<Vec<Value>> {
    slots.iter().map(|&slot| if row[slot].is_null() { None } else { Some(row[slot].clone()) }).collect()
}
