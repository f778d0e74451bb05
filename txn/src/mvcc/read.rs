//! Reading single keys: the versions of a key, from the newest down.

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use storage::{ColumnFamily, Cursor, Reader, Result};

use super::{Record, Version, data_end, data_key, parse_data_key, put_after_versions, put_data_key};
use crate::command::{Blocker, Key};

/// A version without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub ts: Timestamp,
    pub writer: TxnId,
    pub batch: Option<u32>,
}

impl Found {
    /// Whether the transaction wrote it in bulk, before its commit: to itself that is neither a conflict nor a commit.
    pub fn is_bulk_of(&self, txn: TxnId) -> bool {
        self.writer == txn && self.batch.is_some()
    }
}

/// A cursor over the versions of single keys. One serves all keys of a command: making one costs as much as a seek.
pub struct Versions<'r> {
    cursor: Box<dyn Cursor + 'r>,
    probe: Vec<u8>,
}

impl<'r> Versions<'r> {
    /// A cursor that may look at the keys from `lowest` to `highest`.
    pub fn new(reader: &'r dyn Reader, lowest: &[u8], highest: &[u8]) -> Result<Versions<'r>> {
        let mut end = Vec::with_capacity(highest.len() + 9);
        put_after_versions(&mut end, highest);
        let cursor = reader.cursor(ColumnFamily::Data, &data_key(lowest, Timestamp::MAX), &end)?;
        Ok(Versions { cursor, probe: end })
    }

    /// A cursor for all of these keys, in whatever order.
    pub fn over<'k>(reader: &'r dyn Reader, keys: impl Iterator<Item = &'k Key> + Clone) -> Result<Versions<'r>> {
        let lowest = keys.clone().min().map_or(&[][..], |key| &key[..]);
        let highest = keys.max().map_or(&[][..], |key| &key[..]);
        Versions::new(reader, lowest, highest)
    }

    /// The newest version of `key` at or below `ts`.
    pub fn seek(&mut self, key: &[u8], ts: Timestamp) -> Result<Option<Found>> {
        put_data_key(&mut self.probe, key, ts);
        self.cursor.seek(&self.probe)?;
        self.found(key)
    }

    /// The next older version of the same key.
    pub fn older(&mut self, key: &[u8]) -> Result<Option<Found>> {
        self.cursor.next()?;
        self.found(key)
    }

    /// The value of the version just found; `None` of a tombstone.
    pub fn value(&self) -> Result<Option<Bytes>> {
        Ok(Version::decode(self.cursor.value())?.value.map(Bytes::copy_from_slice))
    }

    /// The newest value at or below `ts`, and its timestamp (of a tombstone too; zero when there is nothing).
    pub fn read(&mut self, key: &[u8], ts: Timestamp) -> Result<(Option<Bytes>, Timestamp)> {
        match self.seek(key, ts)? {
            Some(found) => Ok((self.value()?, found.ts)),
            None => Ok((None, Timestamp::ZERO)),
        }
    }

    /// When the transaction committed a write of this key, if it did. Looks at no version older than `not_before`.
    pub fn commit_of(&mut self, key: &[u8], txn: TxnId, not_before: Timestamp) -> Result<Option<Timestamp>> {
        let mut next = self.seek(key, Timestamp::MAX)?;
        while let Some(found) = next.filter(|found| found.ts >= not_before) {
            if found.writer == txn && found.batch.is_none() {
                return Ok(Some(found.ts));
            }
            next = self.older(key)?;
        }
        Ok(None)
    }

    fn found(&self, key: &[u8]) -> Result<Option<Found>> {
        let Some(raw) = self.cursor.key() else { return Ok(None) };
        let (found, ts) = parse_data_key(raw)?;
        if found != key {
            return Ok(None);
        }
        let version = Version::decode(self.cursor.value())?;
        Ok(Some(Found { ts, writer: version.writer, batch: version.batch }))
    }
}

/// The intents in a span at or below `ts` that are not `own`, at most `limit` of them.
pub fn intents_in(
    reader: &dyn Reader,
    span: &Span,
    own: Option<TxnId>,
    ts: Timestamp,
    limit: usize,
) -> Result<Vec<Blocker>> {
    let mut found = Vec::new();
    let mut cursor = reader.cursor(ColumnFamily::Intent, &span.start, &span.end)?;
    cursor.seek(&span.start)?;
    while let Some(key) = cursor.key().filter(|_| found.len() < limit) {
        if let Record::Intent(intent) = Record::decode(cursor.value())?
            && Some(intent.txn) != own
            && intent.write_ts <= ts
        {
            found.push(intent.blocker(&Bytes::copy_from_slice(key)));
        }
        cursor.next()?;
    }
    Ok(found)
}

/// A version of somebody else in a span within `(from, to]`: its key and writer.
pub fn changed_in(
    reader: &dyn Reader,
    span: &Span,
    txn: TxnId,
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<(Key, TxnId)>> {
    let mut cursor = reader.cursor(ColumnFamily::Data, &span.start, &data_end(&span.end))?;
    let mut probe = Vec::new();
    cursor.seek(&span.start)?;
    while let Some(raw) = cursor.key() {
        let (key, ts) = parse_data_key(raw)?;
        if !span.end.is_empty() && key >= &span.end[..] {
            break;
        }
        if ts <= from || key < &span.start[..] {
            put_after_versions(&mut probe, key);
            skip_to(&mut *cursor, &probe)?;
            continue;
        }
        let writer = Version::decode(cursor.value())?.writer;
        if ts <= to && writer != txn {
            return Ok(Some((Bytes::copy_from_slice(key), writer)));
        }
        cursor.next()?;
    }
    Ok(None)
}

/// Moves forward to the first key at or after `bound`, which most often is the next one.
pub fn skip_to(cursor: &mut dyn Cursor, bound: &[u8]) -> Result<()> {
    cursor.next()?;
    if cursor.key().is_some_and(|raw| raw < bound) {
        cursor.seek(bound)?;
    }
    Ok(())
}
