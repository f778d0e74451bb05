//! Multi-version storage of keys: how versions, intents and markers lie in the engine, and pure functions over a
//! [`storage::Reader`] that read them and compute batches. Nothing here waits, remembers or writes.
//!
//! # What lies where
//!
//! | column family | key | value |
//! |---|---|---|
//! | data | user key, then 8 bytes: inverted timestamp, big-endian | *version*: what a committed transaction wrote |
//! | intent | user key | *intent*: what a transaction wants to write |
//! | intent | user key, `0x01`, 16 bytes of transaction id | *marker*: this transaction must not write this key any more |
//!
//! Inverting the timestamp makes the newest version of a key come first, so "the newest at or below `ts`" is one seek:
//!
//! ```text
//!  key  ts         data column family, in its order
//!  a    @30  →     a ^@30   tombstone, by t3
//!  a    @10  →     a ^@10   "x",       by t1        get a @20: seek a^@20, found a^@10
//!  b    @20  →     b ^@20   "y",       by t2
//! ```
//!
//! ```text
//!  version  ┌───────┬───────────────────┬──────────────────┬───────────┐
//!           │ flags │ writer's TxnId    │ batch, if BULK   │ value     │
//!           │ 1     │ 16                │ 4                │ the rest  │
//!           └───────┴───────────────────┴──────────────────┴───────────┘
//!  flags: high four bits = format (1); TOMBSTONE = 1 (no value); BULK = 2 (direct bulk write, not a commit)
//!
//!  intent   ┌───┬─────────────────────────────────────────────────────────────────────────────────────────┐
//!           │ 1 │ postcard of Intent: txn, begin_ts, write_ts, primary, value or none, staged list or none│
//!           └───┴─────────────────────────────────────────────────────────────────────────────────────────┘
//!  marker   ┌───┬────────────────────────────┐
//!           │ 2 │ timestamp, 8 bytes         │   not before the begin of the transaction that it stops
//!           └───┴────────────────────────────┘
//! ```
//!
//! The writer's id makes every command idempotent: a repeated commit finds its own version.
//!
//! **Prefix-freeness.** No complete user key is a proper prefix of another (`base::keycode`); so the versions of a key lie
//! together, and a marker's key is nobody's user key. Bounds of spans are not complete keys: they may be prefixes, or
//! `key 0x00` ([`base::Span::point`] and the `resume` of pages). Versions of `key` sort *after* `key 0x00`, hence
//! [`data_end`] and the check of the user key in every walk. Ranges are cut at prefixes or complete keys only
//! ([`split_key`]), so a key, its intent, versions and markers are always in one range.

pub mod gc;
pub mod read;
pub mod resolve;
pub mod scan;
pub mod write;

use base::{Timestamp, TxnId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use storage::{ColumnFamily, Error, Reader, Result};

use crate::command::{Blocker, Key};

const TIMESTAMP_BYTES: usize = 8;

const FORMAT: u8 = 0x10;
const TOMBSTONE: u8 = 0x01;
const BULK: u8 = 0x02;

const TAG_INTENT: u8 = 1;
const TAG_MARKER: u8 = 2;

/// Separates a user key from the transaction id in a marker's key.
const MARKER: u8 = 0x01;

/// The engine key of a version.
pub fn data_key(key: &[u8], ts: Timestamp) -> Vec<u8> {
    let mut raw = Vec::with_capacity(key.len() + TIMESTAMP_BYTES + 1);
    put_data_key(&mut raw, key, ts);
    raw
}

/// As [`data_key`], into a buffer that is used again.
fn put_data_key(raw: &mut Vec<u8>, key: &[u8], ts: Timestamp) {
    raw.clear();
    raw.extend_from_slice(key);
    raw.extend_from_slice(&(!ts.0).to_be_bytes());
}

/// The least engine key after every version of `key`.
fn put_after_versions(raw: &mut Vec<u8>, key: &[u8]) {
    put_data_key(raw, key, Timestamp::ZERO);
    raw.push(0);
}

/// Takes the engine key of a version apart.
pub fn parse_data_key(raw: &[u8]) -> Result<(&[u8], Timestamp)> {
    let (key, ts) = raw.split_last_chunk::<TIMESTAMP_BYTES>().ok_or_else(|| corrupt("data key", raw))?;
    Ok((key, Timestamp(!u64::from_be_bytes(*ts))))
}

/// Where a range may be cut near an engine key of the data family: before all versions of that key.
pub fn split_key(raw: &[u8]) -> Bytes {
    Bytes::copy_from_slice(parse_data_key(raw).map_or(raw, |(key, _)| key))
}

/// The bound in the data family that comes after all versions of every user key below `end`. A walk up to it may meet other
/// keys, at or above `end`; it must check.
pub fn data_end(end: &[u8]) -> Vec<u8> {
    match end.split_last() {
        Some((0, key)) => {
            let mut raw = Vec::with_capacity(key.len() + TIMESTAMP_BYTES + 1);
            put_after_versions(&mut raw, key);
            raw
        }
        _ => end.to_vec(),
    }
}

/// A stored version, borrowed from the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    pub writer: TxnId,
    /// The batch of a direct bulk write; `None` for a commit.
    pub batch: Option<u32>,
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
}

impl<'a> Version<'a> {
    pub fn encode(&self) -> Bytes {
        let value = self.value.unwrap_or_default();
        let mut raw = Vec::with_capacity(1 + 16 + 4 + value.len());
        let tombstone = if self.value.is_none() { TOMBSTONE } else { 0 };
        raw.push(FORMAT | tombstone | if self.batch.is_some() { BULK } else { 0 });
        raw.extend_from_slice(&self.writer.0.to_be_bytes());
        if let Some(batch) = self.batch {
            raw.extend_from_slice(&batch.to_be_bytes());
        }
        raw.extend_from_slice(value);
        raw.into()
    }

    pub fn decode(raw: &'a [u8]) -> Result<Version<'a>> {
        let parse = || {
            let (flags, rest) = raw.split_first()?;
            let (writer, rest) = rest.split_first_chunk::<16>()?;
            let (batch, value) = match flags & BULK {
                0 => (None, rest),
                _ => rest.split_first_chunk::<4>().map(|(batch, value)| (Some(u32::from_be_bytes(*batch)), value))?,
            };
            let known = flags & !(TOMBSTONE | BULK) == FORMAT;
            let value = (flags & TOMBSTONE == 0).then_some(value);
            known.then(|| Version { writer: TxnId(u128::from_be_bytes(*writer)), batch, value })
        };
        parse().ok_or_else(|| corrupt("version", raw))
    }
}

/// A provisional write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub txn: TxnId,
    pub begin_ts: Timestamp,
    pub write_ts: Timestamp,
    pub primary: Key,
    /// `None` deletes.
    pub value: Option<Bytes>,
    /// With the primary of a parallel commit: every other key. The transaction is committed if all are there.
    pub staged: Option<Vec<Key>>,
}

impl Intent {
    pub fn blocker(&self, key: &Key) -> Blocker {
        Blocker { key: key.clone(), txn: self.txn, primary: Some(self.primary.clone()), write_ts: self.write_ts }
    }
}

/// What an entry of the intent family can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Intent(Intent),
    /// Not before the begin of the transaction that it stops.
    Marker {
        at: Timestamp,
    },
}

impl Record {
    pub fn encode(&self) -> Bytes {
        match self {
            Record::Intent(intent) => {
                postcard::to_extend(intent, vec![TAG_INTENT]).expect("plain data always encodes").into()
            }
            Record::Marker { at } => {
                let mut raw = vec![TAG_MARKER];
                raw.extend_from_slice(&at.0.to_be_bytes());
                raw.into()
            }
        }
    }

    pub fn decode(raw: &[u8]) -> Result<Record> {
        let record = match raw.split_first() {
            Some((&TAG_INTENT, rest)) => postcard::from_bytes(rest).ok().map(Record::Intent),
            Some((&TAG_MARKER, rest)) => {
                rest.try_into().ok().map(|at| Record::Marker { at: Timestamp(u64::from_be_bytes(at)) })
            }
            _ => None,
        };
        record.ok_or_else(|| corrupt("intent", raw))
    }
}

/// The engine key of a marker.
pub fn marker_key(key: &[u8], txn: TxnId) -> Bytes {
    let mut raw = Vec::with_capacity(key.len() + 1 + 16);
    raw.extend_from_slice(key);
    raw.push(MARKER);
    raw.extend_from_slice(&txn.0.to_be_bytes());
    raw.into()
}

/// The intent on a key, whosever it is.
pub fn get_intent(reader: &dyn Reader, key: &[u8]) -> Result<Option<Intent>> {
    match reader.get(ColumnFamily::Intent, key)?.map(|raw| Record::decode(&raw)).transpose()? {
        None => Ok(None),
        Some(Record::Intent(intent)) => Ok(Some(intent)),
        Some(Record::Marker { .. }) => Err(corrupt("intent (a marker in its place)", key)),
    }
}

/// Whether a transaction is barred from a key.
pub fn is_marked(reader: &dyn Reader, key: &[u8], txn: TxnId) -> Result<bool> {
    Ok(reader.get(ColumnFamily::Intent, &marker_key(key, txn))?.is_some())
}

fn corrupt(what: &str, raw: &[u8]) -> Error {
    Error::Corrupt(format!("malformed {what}: {}", raw.escape_ascii()))
}

#[cfg(test)]
#[path = "mod_test.rs"]
mod tests;
