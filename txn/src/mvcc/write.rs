//! Writing: what stands against a prewrite in the stored state, and the batches that carry it out.
//!
//! For each written key, in this order (the order matters: what is final goes before what may change, and traces of an
//! earlier copy of the same request go before everything):
//!
//! | found | answer | final? |
//! |---|---|---|
//! | a committed version by this transaction | `Committed` at its timestamp | yes |
//! | a marker against this transaction, or the transaction began before the retention | `Aborted` | yes |
//! | own intent at exactly this timestamp | this key is done | |
//! | own intent at a later timestamp | this request is a stale copy: `Pushed` | yes |
//! | a version newer than what was seen | `Conflict` | yes |
//! | somebody else's intent | wait, then `Blocked` | no |
//! | somebody else's lock (`server::lock`) | wait, then `Blocked` | no |
//! | a version, or a read by others (`server::cache`), at or above this timestamp | `Pushed` | yes, at this timestamp |
//!
//! *Final* means that no later copy of the request can be answered better: the client may take the answer as the fate of
//! this attempt. That is why a new version is never put below a read or another version.

use base::{Timestamp, TxnId};
use bytes::Bytes;
use storage::{ColumnFamily, Reader, Result, WriteBatch};

use super::{
    Intent, Record, Version, data_key, get_intent, is_marked,
    read::{Found, Versions},
};
use crate::command::{Blocker, Check, Key, Prewrite};

/// What stands against a prewrite in the stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Committed(Timestamp),
    Aborted,
    /// All intents are there already, at exactly this timestamp.
    Present,
    /// A later attempt has left an intent, at this timestamp.
    Stale(Timestamp),
    Conflict {
        key: Key,
        other: TxnId,
        version_ts: Timestamp,
    },
    Intents(Vec<Blocker>),
    Clear(Clear),
}

/// Nothing stands against it but, perhaps, the timestamp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clear {
    /// The greatest timestamp of a version of the keys that are not yet done.
    pub newest: Timestamp,
    /// For each write: whether its intent is there already, at exactly this timestamp.
    pub present: Vec<bool>,
    /// Keys with an intent of this transaction.
    pub own_intents: Vec<Key>,
}

impl Clear {
    /// An earlier attempt has left intents at this very timestamp.
    pub fn all_present(prewrite: &Prewrite) -> Clear {
        Clear {
            newest: Timestamp::ZERO,
            present: vec![true; prewrite.writes.len()],
            own_intents: prewrite.writes.iter().map(|write| write.key.clone()).collect(),
        }
    }
}

/// Examines the stored state. Transactions that began before `horizon` are over.
pub fn examine(reader: &dyn Reader, prewrite: &Prewrite, horizon: Timestamp) -> Result<Finding> {
    let keys = prewrite.writes.iter().map(|write| &write.key);
    let mut versions = Versions::over(reader, keys.chain(prewrite.checks.iter().map(|check| &check.key)))?;
    let mut states = Vec::with_capacity(prewrite.writes.len());
    for write in &prewrite.writes {
        let state = KeyState::read(reader, &mut versions, &write.key, prewrite)?;
        if let Some(ts) = state.committed {
            return Ok(Finding::Committed(ts));
        }
        states.push(state);
    }
    if prewrite.begin_ts < horizon || states.iter().any(|state| state.marked) {
        return Ok(Finding::Aborted);
    }
    if let Some(later) = states.iter().filter_map(|state| state.own_intent).filter(|ts| *ts > prewrite.write_ts).max() {
        return Ok(Finding::Stale(later));
    }
    if !states.is_empty() && states.iter().all(|state| state.own_intent == Some(prewrite.write_ts)) {
        return Ok(Finding::Present);
    }
    let mut blockers = Vec::new();
    let mut clear = Clear::default();
    for (write, state) in prewrite.writes.iter().zip(states) {
        let present = state.own_intent == Some(prewrite.write_ts);
        clear.present.push(present);
        if state.own_intent.is_some() {
            clear.own_intents.push(write.key.clone());
        }
        if let Some(newest) = state.newest.filter(|_| !present) {
            if newest.ts > write.seen {
                return Ok(conflict(&write.key, newest));
            }
            clear.newest = clear.newest.max(newest.ts);
        }
        blockers.extend(state.foreign_intent.map(|intent| intent.blocker(&write.key)));
    }
    for check in &prewrite.checks {
        match examine_check(reader, &mut versions, check, prewrite)? {
            Some(Finding::Intents(more)) => blockers.extend(more),
            Some(finding) => return Ok(finding),
            None => {}
        }
    }
    Ok(if blockers.is_empty() { Finding::Clear(clear) } else { Finding::Intents(blockers) })
}

/// A key that was locked and not written: as of the write timestamp it must be as it was seen, or at least be there.
fn examine_check(
    reader: &dyn Reader,
    versions: &mut Versions<'_>,
    Check { key, seen, presence }: &Check,
    prewrite: &Prewrite,
) -> Result<Option<Finding>> {
    let mut newest = versions.seek(key, prewrite.write_ts)?;
    while newest.is_some_and(|found| found.is_bulk_of(prewrite.txn)) {
        newest = versions.older(key)?;
    }
    let is_there = |value: Option<&Bytes>| *presence && value.is_some();
    if let Some(newest) = newest.filter(|newest| newest.ts > *seen)
        && !is_there(versions.value()?.as_ref())
    {
        return Ok(Some(conflict(key, newest)));
    }
    let intent = get_intent(reader, key)?;
    let foreign = intent.filter(|intent| intent.txn != prewrite.txn && intent.write_ts <= prewrite.write_ts);
    // Whether or not it becomes a version, the key is there.
    let foreign = foreign.filter(|intent| !is_there(intent.value.as_ref()));
    Ok(foreign.map(|intent| Finding::Intents(vec![intent.blocker(key)])))
}

fn conflict(key: &Key, newest: Found) -> Finding {
    Finding::Conflict { key: key.clone(), other: newest.writer, version_ts: newest.ts }
}

/// What is stored about one key, as one transaction sees it.
#[derive(Debug, Default)]
struct KeyState {
    committed: Option<Timestamp>,
    marked: bool,
    own_intent: Option<Timestamp>,
    foreign_intent: Option<Intent>,
    /// The newest version, own bulk writes left out.
    newest: Option<Found>,
}

impl KeyState {
    fn read(reader: &dyn Reader, versions: &mut Versions<'_>, key: &Key, prewrite: &Prewrite) -> Result<KeyState> {
        let mut state = KeyState::default();
        let mut next = versions.seek(key, Timestamp::MAX)?;
        // A commit of the transaction is not older than its begin: most often the first version ends the search.
        while let Some(found) = next {
            if found.writer != prewrite.txn {
                state.newest = state.newest.or(Some(found));
            } else if found.batch.is_none() {
                state.committed = Some(found.ts);
                return Ok(state);
            }
            if found.ts < prewrite.begin_ts && state.newest.is_some() {
                break;
            }
            next = versions.older(key)?;
        }
        state.marked = is_marked(reader, key, prewrite.txn)?;
        match get_intent(reader, key)? {
            Some(intent) if intent.txn == prewrite.txn => state.own_intent = Some(intent.write_ts),
            intent => state.foreign_intent = intent,
        }
        Ok(state)
    }
}

/// Intents for all writes. An earlier intent of the transaction is replaced.
pub fn put_intents(prewrite: &Prewrite) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for write in &prewrite.writes {
        let staged = prewrite.staged.clone().filter(|_| write.key == prewrite.primary);
        let intent = Intent {
            txn: prewrite.txn,
            begin_ts: prewrite.begin_ts,
            write_ts: prewrite.write_ts,
            primary: prewrite.primary.clone(),
            value: write.value.clone(),
            staged,
        };
        batch.put(ColumnFamily::Intent, write.key.clone(), Record::Intent(intent).encode());
    }
    batch
}

/// Committed versions for all writes, in place of the intents that an earlier attempt may have left.
pub fn put_versions(prewrite: &Prewrite, own_intents: &[Key]) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for write in &prewrite.writes {
        put_version(&mut batch, &write.key, prewrite.write_ts, prewrite.txn, None, write.value.as_deref());
    }
    for key in own_intents {
        batch.delete(ColumnFamily::Intent, key.clone());
    }
    batch
}

pub fn put_version(
    batch: &mut WriteBatch,
    key: &[u8],
    ts: Timestamp,
    writer: TxnId,
    bulk: Option<u32>,
    value: Option<&[u8]>,
) {
    batch.put(ColumnFamily::Data, data_key(key, ts), Version { writer, batch: bulk, value }.encode());
}

/// Whether a key was written by somebody else than this batch of this transaction, and is still there: a duplicate.
pub fn is_duplicate(versions: &mut Versions<'_>, key: &[u8], txn: TxnId, batch: u32) -> Result<bool> {
    let Some(newest) = versions.seek(key, Timestamp::MAX)? else { return Ok(false) };
    Ok((newest.writer, newest.batch) != (txn, Some(batch)) && versions.value()?.is_some())
}
