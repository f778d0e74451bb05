//! Where a session stands between two calls, and what an open transaction carries along.

use std::{collections::BTreeMap, sync::Arc};

use txn::{Stamp, Txn};

use super::{Database, portal::Portal};
use crate::{
    catalog::{Snapshot, change::ChangeState, store},
    error::Result,
    settings::{Characteristics, SettingsMark},
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
    pub characteristics: Characteristics,
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
    pub characteristics: Characteristics,
    /// It has looked at the database (or is about to): from then on it cannot be another kind of transaction.
    pub used: bool,
    /// `AS OF SYSTEM TIME`: the catalog of the present, with whose rights the past is read.
    pub past: Option<Arc<Snapshot>>,
    /// What one of its statements has brought has left: it cannot be repeated unnoticed.
    pub handed_out: bool,
    pub phase: Phase,
    pub cursors: BTreeMap<String, NamedCursor>,
}

/// Where a transaction stands between two statements: at READ COMMITTED each statement reads at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Between,
    /// A statement was prepared, within the same message or pipeline as its execution: both see the same.
    Prepared,
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
    pub characteristics: Characteristics,
}

impl Transaction {
    pub(super) fn new(
        txn: Txn,
        serial: u64,
        settings: SettingsMark,
        micros: i64,
        characteristics: Characteristics,
    ) -> Transaction {
        Transaction {
            txn,
            serial,
            catalog: None,
            changes: ChangeState::default(),
            savepoints: Vec::new(),
            settings,
            micros,
            characteristics,
            used: false,
            past: None,
            handed_out: false,
            phase: Phase::Between,
            cursors: BTreeMap::new(),
        }
    }

    /// A statement begins, or is `preparing`.
    pub(super) fn begin_statement(&mut self, preparing: bool) {
        self.used = true;
        if self.phase == Phase::Between {
            self.txn.begin_statement();
        }
        self.phase = if preparing { Phase::Prepared } else { Phase::Between };
    }

    /// Puts a transaction in the place of one that has failed before anybody has seen anything of it. What was said about it, its
    /// savepoints included, stays.
    pub(super) fn restart(&mut self, txn: Txn, serial: u64) -> Txn {
        self.serial = serial;
        self.catalog = None;
        self.changes = ChangeState::default();
        self.phase = Phase::Between;
        self.cursors.clear();
        let failed = std::mem::replace(&mut self.txn, txn);
        for savepoint in &mut self.savepoints {
            // Nothing was written before any of them.
            savepoint.mark = self.txn.savepoint();
            savepoint.changes = ChangeState::default();
        }
        failed
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
        let snapshot = match &self.past {
            Some(present) if !Arc::ptr_eq(present, &snapshot) => Arc::new(snapshot.with_rights_of(present)),
            _ => snapshot,
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
            characteristics: self.characteristics,
        };
        self.savepoints.push(mark);
    }

    fn find_savepoint(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name)
    }

    /// RELEASE: forgets the savepoint and those after it. False when there is none of this name.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let Some(position) = self.find_savepoint(name) else { return false };
        self.txn.release(self.savepoints[position].mark);
        self.savepoints.truncate(position);
        self.changes.release(position);
        true
    }

    /// ROLLBACK TO: undoes what came after; the savepoint stays. The settings to return to. `keep_writes` is a planted fault.
    pub(super) fn rollback_to(&mut self, name: &str, keep_writes: bool) -> Option<SettingsMark> {
        let position = self.find_savepoint(name)?;
        self.savepoints.truncate(position + 1);
        let savepoint = &self.savepoints[position];
        if !keep_writes {
            self.txn.rollback_to(savepoint.mark);
        }
        self.characteristics = savepoint.characteristics;
        self.changes.return_to(&savepoint.changes);
        self.cursors.retain(|_, cursor| cursor.depth <= position);
        let settings = savepoint.settings.clone();
        self.forget_catalog();
        Some(settings)
    }
}
