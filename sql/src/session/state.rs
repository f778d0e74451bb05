//! Where a session stands between two calls, and what an open transaction carries along.

use std::{collections::BTreeMap, sync::Arc};

use txn::{Stamp, Txn};

use super::{Database, portal::Portal};
use crate::{
    catalog::{Snapshot, change::ChangeState, store},
    error::Result,
    settings::SettingsMark,
};

/// A role that changes what is legal is a type.
pub(super) enum State {
    Idle,
    /// The transaction of a single statement or a pipeline, ended by `Session::sync` at the latest.
    Implicit(Box<Transaction>),
    /// A transaction block.
    Open(Box<Transaction>),
    /// A statement of the block has failed: nothing but its end, or a return to a savepoint, is accepted.
    Failed(Failed),
}

pub(super) struct Failed {
    /// Kept while there is a savepoint to return to.
    pub transaction: Option<Box<Transaction>>,
    /// The settings as they were before the block.
    pub settings: SettingsMark,
}

/// One open transaction.
pub(super) struct Transaction {
    pub txn: Txn,
    /// Names it among the session's transactions: portals belong to one.
    pub serial: u64,
    /// The catalog as of the current timestamp, with the stamp at which it was found to be true.
    catalog: Option<(Stamp, Arc<Snapshot>)>,
    pub changes: ChangeState,
    pub savepoints: Vec<SavepointMark>,
    /// The settings as they were at the beginning.
    pub settings: SettingsMark,
    /// `now()`: microseconds since 2000-01-01 UTC.
    pub micros: i64,
    pub read_only: bool,
    /// The outcome of one of its statements has left: it cannot be repeated unnoticed.
    pub handed_out: bool,
    pub cursors: BTreeMap<String, NamedCursor>,
}

pub(super) struct NamedCursor {
    pub portal: Portal,
    /// The number of savepoints at its declaration.
    pub depth: usize,
}

pub(super) struct SavepointMark {
    pub name: String,
    pub mark: txn::Savepoint,
    pub settings: SettingsMark,
    pub changes: ChangeState,
}

impl Transaction {
    pub(super) fn new(txn: Txn, serial: u64, settings: SettingsMark, micros: i64, read_only: bool) -> Transaction {
        Transaction {
            txn,
            serial,
            catalog: None,
            changes: ChangeState::default(),
            savepoints: Vec::new(),
            settings,
            micros,
            read_only,
            handed_out: false,
            cursors: BTreeMap::new(),
        }
    }

    /// The catalog for the next statement.
    pub(super) async fn snapshot(&mut self, database: &Database) -> Result<Arc<Snapshot>> {
        let stamp = self.txn.stamp().await?;
        if let Some((seen, snapshot)) = &self.catalog
            && (*seen == stamp || (!stamp.fence_open && !seen.fence_open && seen.fence == stamp.fence))
        {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = if self.changes.begun() {
            // It sees its own changes.
            Arc::new(Box::pin(store::load(&mut self.txn)).await?)
        } else {
            Box::pin(database.catalog.snapshot(&mut self.txn)).await?
        };
        // Loading may have moved the transaction: the catalog is then true for the later stamp.
        self.catalog = Some((self.txn.stamp().await?, Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    /// The transaction has changed the catalog, or returned to before a change.
    pub(super) fn forget_catalog(&mut self) {
        self.catalog = None;
    }

    pub(super) fn set_savepoint(&mut self, name: &str, settings: SettingsMark) {
        self.changes.depth = self.savepoints.len() + 1;
        let mark = SavepointMark {
            name: name.to_owned(),
            mark: self.txn.savepoint(),
            settings,
            changes: self.changes.clone(),
        };
        self.savepoints.push(mark);
    }

    fn find_savepoint(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name)
    }

    /// RELEASE: forgets the savepoint and those after it. False when there is none of this name.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let Some(position) = self.find_savepoint(name) else { return false };
        self.savepoints.truncate(position);
        self.changes.release(position);
        true
    }

    /// ROLLBACK TO: undoes what came after; the savepoint stays. The settings to return to.
    pub(super) fn rollback_to(&mut self, name: &str) -> Option<SettingsMark> {
        let position = self.find_savepoint(name)?;
        self.savepoints.truncate(position + 1);
        let savepoint = &self.savepoints[position];
        self.txn.rollback_to(savepoint.mark);
        self.changes.return_to(&savepoint.changes);
        self.cursors.retain(|_, cursor| cursor.depth <= position);
        let settings = savepoint.settings.clone();
        self.forget_catalog();
        Some(settings)
    }
}
