//! Garbage: versions that nobody can read any more, and markers that stop nobody any more.
//!
//! Of each key the newest version at or below the mark stays, for reads at the mark; everything older goes. If that newest
//! version is a tombstone it goes too, last of all: without it an older version would come back to life.
//!
//! ```text
//!  below = @30     a @40  a @30  a @20  a @10        b @20 tombstone  b @10
//!                  stays  stays  drop   drop         drop             drop
//! ```

use base::{Span, Timestamp};
use bytes::Bytes;
use storage::{ColumnFamily, Reader, Result, WriteBatch, WriteOp};

use super::{
    Record, Version, data_end, parse_data_key, put_data_key,
    read::{intents_in, skip_to},
};
use crate::command::CollectReply;

/// Versions looked at in one call.
const SCANNED_MAX: u64 = 50_000;

/// Old intents named in one call.
const INTENTS_MAX: usize = 64;

/// Computes what to drop in `span`, at most about `limit` entries.
pub fn collect(reader: &dyn Reader, span: &Span, below: Timestamp, limit: u32) -> Result<(CollectReply, WriteBatch)> {
    let mut batch = WriteBatch::default();
    let mut reply = CollectReply { dropped: 0, resume: None, intents: Vec::new() };
    if span.is_empty() {
        return Ok((reply, batch));
    }
    reply.intents = intents_in(reader, span, None, below.prev(), INTENTS_MAX)?;
    if limit > 0 {
        let stopped = drop_versions(reader, span, below, limit, &mut batch)?;
        let end = stopped.clone().unwrap_or_else(|| span.end.clone());
        drop_markers(reader, &Span::new(span.start.clone(), end), below, &mut batch)?;
        reply.resume = stopped.map(|key| Span::new(key, span.end.clone()));
    }
    reply.dropped = batch.ops.len() as u64;
    Ok((reply, batch))
}

/// Returns the key to go on with when the limit was reached.
fn drop_versions(
    reader: &dyn Reader,
    span: &Span,
    below: Timestamp,
    limit: u32,
    batch: &mut WriteBatch,
) -> Result<Option<Bytes>> {
    let mut cursor = reader.cursor(ColumnFamily::Data, &span.start, &data_end(&span.end))?;
    cursor.seek(&span.start)?;
    let mut key = Bytes::new();
    // What reads at the mark see of the current key has been met; if it is a tombstone, here it is.
    let mut survivor = false;
    let mut tombstone: Option<Bytes> = None;
    let mut scanned = 0;
    let mut probe = Vec::new();
    while let Some(raw) = cursor.key() {
        let (user_key, ts) = parse_data_key(raw)?;
        if !span.end.is_empty() && user_key >= &span.end[..] {
            break;
        }
        if user_key != &key[..] {
            batch.ops.extend(tombstone.take().map(|key| WriteOp::Delete { cf: ColumnFamily::Data, key }));
            survivor = false;
            key = Bytes::copy_from_slice(user_key);
        }
        if batch.ops.len() as u64 >= u64::from(limit) || scanned >= SCANNED_MAX {
            return Ok(Some(key));
        }
        scanned += 1;
        if ts > below {
            put_data_key(&mut probe, &key, below);
            skip_to(&mut *cursor, &probe)?;
            continue;
        }
        if key[..] >= span.start[..] {
            let raw = Bytes::copy_from_slice(raw);
            if survivor {
                batch.delete(ColumnFamily::Data, raw);
            } else {
                survivor = true;
                tombstone = Version::decode(cursor.value())?.value.is_none().then_some(raw);
            }
        }
        cursor.next()?;
    }
    batch.ops.extend(tombstone.map(|key| WriteOp::Delete { cf: ColumnFamily::Data, key }));
    Ok(None)
}

/// Drops the markers of transactions that began before the mark: the range refuses those by their age from now on.
fn drop_markers(reader: &dyn Reader, span: &Span, below: Timestamp, batch: &mut WriteBatch) -> Result<()> {
    let mut cursor = reader.cursor(ColumnFamily::Intent, &span.start, &span.end)?;
    cursor.seek(&span.start)?;
    while let Some(key) = cursor.key() {
        if let Record::Marker { at } = Record::decode(cursor.value())?
            && at < below
        {
            batch.delete(ColumnFamily::Intent, Bytes::copy_from_slice(key));
        }
        cursor.next()?;
    }
    Ok(())
}
