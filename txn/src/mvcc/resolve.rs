//! The fate of a transaction, as its keys tell it, and turning intents into versions or removing them.
//!
//! A transaction's fate is kept at its primary key:
//!
//! | at the primary | the transaction is |
//! |---|---|
//! | its committed version | committed |
//! | a marker against it | aborted |
//! | its intent with a list | *staged*: committed if every listed key has its intent at the same timestamp |
//! | its intent without a list | *pending*: undecided |
//! | nothing | unknown: not there yet, or long forgotten |

use base::{Timestamp, TxnId};
use storage::{ColumnFamily, Error, Reader, Result, WriteBatch};

use super::{Intent, Record, get_intent, is_marked, marker_key, read::Versions, write::put_version};
use crate::command::{Key, PreventReply};

/// What a key tells about a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Committed(Timestamp),
    Aborted,
    Unknown,
    /// Its intent is here.
    Open(Intent),
}

impl Fate {
    /// Looks at no version older than `not_before`.
    pub fn read(reader: &dyn Reader, txn: TxnId, key: &Key, not_before: Timestamp) -> Result<Fate> {
        if let Some(intent) = get_intent(reader, key)?.filter(|intent| intent.txn == txn) {
            return Ok(Fate::Open(intent));
        }
        if is_marked(reader, key, txn)? {
            return Ok(Fate::Aborted);
        }
        let committed = Versions::new(reader, key, key)?.commit_of(key, txn, not_before)?;
        Ok(committed.map_or(Fate::Unknown, Fate::Committed))
    }
}

/// A batch, and the keys whose intents it removes: who waits for them can go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    pub batch: WriteBatch,
    pub removed: Vec<Key>,
}

impl Resolved {
    fn remove(&mut self, key: &Key) {
        self.batch.delete(ColumnFamily::Intent, key.clone());
        self.removed.push(key.clone());
    }

    fn mark(&mut self, key: &Key, txn: TxnId, at: Timestamp) {
        self.batch.put(ColumnFamily::Intent, marker_key(key, txn), Record::Marker { at }.encode());
    }
}

/// Commits or removes the intents of a transaction. At the primary an abort leaves a marker: others will still ask there.
pub fn resolve(reader: &dyn Reader, txn: TxnId, keys: &[Key], commit_ts: Option<Timestamp>) -> Result<Resolved> {
    let mut resolved = Resolved::default();
    for key in keys {
        let Some(intent) = get_intent(reader, key)?.filter(|intent| intent.txn == txn) else { continue };
        match commit_ts {
            Some(ts) if ts == intent.write_ts => {
                put_version(&mut resolved.batch, key, ts, txn, None, intent.value.as_deref());
            }
            Some(ts) => {
                let written = intent.write_ts;
                return Err(Error::Refused(format!(
                    "transaction {txn} is to commit at {ts}, its intent is at {written}"
                )));
            }
            None if *key == intent.primary => resolved.mark(key, txn, intent.write_ts),
            None => {}
        }
        resolved.remove(key);
    }
    Ok(resolved)
}

/// Decides a transaction whose primary is neither committed nor staged: aborted. Returns its fate afterwards.
pub fn abort(reader: &dyn Reader, txn: TxnId, primary: &Key, at: Timestamp) -> Result<(Fate, Resolved)> {
    let mut resolved = Resolved::default();
    let fate = match Fate::read(reader, txn, primary, Timestamp::ZERO)? {
        Fate::Open(intent) if intent.staged.is_none() => {
            resolved.mark(primary, txn, intent.write_ts.max(at));
            resolved.remove(primary);
            Fate::Aborted
        }
        Fate::Unknown => {
            resolved.mark(primary, txn, at);
            Fate::Aborted
        }
        decided_or_staged => decided_or_staged,
    };
    Ok((fate, resolved))
}

/// Finds out whether the attempt at `write_ts` has arrived at all of these keys, and makes sure that where it has not, it
/// never will, nor any later attempt.
pub fn prevent(reader: &dyn Reader, txn: TxnId, write_ts: Timestamp, keys: &[Key]) -> Result<(PreventReply, Resolved)> {
    let mut resolved = Resolved::default();
    let mut reply = PreventReply::AllPresent;
    for key in keys {
        match Fate::read(reader, txn, key, write_ts)? {
            Fate::Committed(at) if at == write_ts => continue,
            Fate::Open(intent) if intent.write_ts == write_ts => continue,
            // The owner is beyond what the asker knows; its new attempt may even have succeeded, and be resolved here.
            Fate::Committed(_) => return Ok((PreventReply::Superseded, Resolved::default())),
            Fate::Open(intent) if intent.write_ts > write_ts => {
                return Ok((PreventReply::Superseded, Resolved::default()));
            }
            Fate::Open(_) => {
                resolved.mark(key, txn, write_ts);
                resolved.remove(key);
            }
            Fate::Unknown => resolved.mark(key, txn, write_ts),
            Fate::Aborted => {}
        }
        reply = PreventReply::Missing;
    }
    Ok((reply, resolved))
}
