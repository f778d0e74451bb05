//! Where the catalog is stored: ordinary keys of the same transactional store, in the key space of a system table.
//!
//! | index | key | value |
//! |---|---|---|
//! | 1 | OID | [`Stored`]: a relation, a schema, a role, privileges |
//! | 2 | counter number | next free number (OIDs and key spaces, row ids) |
//! | 3 | `0` version, `1` epoch | a number; see below |
//! | 4 | OID of a sequence | [`SequenceState`] |
//! | 5 | table, index | [`Garbage`]: a key space to be cleared |
//! | 6–11 | | what `security` keeps of factors, tickets, failures, rules, and the audit log |
//!
//! **Schema changes are serialised** by the *version* key: each locks it before it reads descriptors and writes it with its
//! commit. So the uniqueness of names and all other rules are checked against a catalog that nobody else changes; should the
//! lock be lost with its leader, the second of two concurrent changes fails at commit because its version key has moved.
//!
//! **The epoch** is what lets somebody else close the fence of a schema change whose gateway died: every change *reads* the
//! epoch right after it has opened its fence, and whoever closes old fences first writes the epoch and the version
//! (`cache::close_dead_fences`). A change that was only slow then finds its read or its version changed and cannot commit.

use base::{IndexId, Span, TableId, keycode};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use txn::{LockMode, ScanRequest, Txn, WaitPolicy};

use super::{
    Relation, Schema, Snapshot,
    role::{DatabaseAccess, DefaultAcl, Role},
};
use crate::error::{Result, SqlError};

/// The system table. OIDs of users begin at [`FIRST_USER_OID`].
pub const CATALOG_TABLE: TableId = TableId(1);
pub const FIRST_USER_OID: u32 = 16384;

pub const DESCRIPTORS: IndexId = IndexId(1);
const COUNTERS: IndexId = IndexId(2);
const STATE: IndexId = IndexId(3);
const SEQUENCES: IndexId = IndexId(4);
const GARBAGE: IndexId = IndexId(5);

/// The OID under which the privileges on the database are stored.
const DATABASE_OID: u32 = 1;

/// What stands under the key of a descriptor. New forms are appended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Stored {
    Relation(Relation),
    Schema(Schema),
    Role(Role),
    Database(DatabaseAccess),
    DefaultAcl(DefaultAcl),
}

/// The state of a sequence, apart from its descriptor because it changes without a schema change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceState {
    pub last: i64,
    /// Whether `last` has been handed out.
    pub called: bool,
    /// Grows with every change that makes numbers reserved before invalid (`setval`, ALTER SEQUENCE).
    pub generation: u64,
}

/// A key space that nobody names any more, or never did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Garbage {
    /// An index is being built here. Its schema change removes the record when it commits; while it is at work it holds the
    /// record's lock.
    Building { since_millis: u64 },
    /// Dropped at about this time. Cleared when no transaction can read the time before any more.
    Dropped { since_millis: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// OIDs and ids of key spaces (indexes): never reused, even when the transaction that drew one rolls back.
    Oid,
    /// Hidden row ids.
    Row,
}

pub fn descriptor_key(oid: u32) -> Bytes {
    key(DESCRIPTORS, oid)
}

pub fn descriptor_span() -> Span {
    Span::prefix(&prefix(DESCRIPTORS))
}

pub fn counter_key(counter: Counter) -> Bytes {
    key(COUNTERS, counter as u32)
}

pub fn version_key() -> Bytes {
    key(STATE, 0)
}

pub fn epoch_key() -> Bytes {
    key(STATE, 1)
}

pub fn sequence_key(sequence: TableId) -> Bytes {
    key(SEQUENCES, sequence.0)
}

pub fn garbage_key(table: TableId, index: IndexId) -> Bytes {
    let mut key = prefix(GARBAGE);
    keycode::put_u32(&mut key, table.0);
    keycode::put_u32(&mut key, index.0);
    key.into()
}

pub fn garbage_span() -> Span {
    Span::prefix(&prefix(GARBAGE))
}

/// The key space that a garbage record names.
pub fn garbage_subject(key: &[u8]) -> Option<(TableId, IndexId)> {
    let mut rest = key.strip_prefix(&prefix(GARBAGE)[..])?;
    let table = keycode::take_u32(&mut rest).ok()?;
    let index = keycode::take_u32(&mut rest).ok()?;
    Some((TableId(table), IndexId(index)))
}

fn prefix(index: IndexId) -> Vec<u8> {
    crate::encode::index_prefix(CATALOG_TABLE, index)
}

fn key(index: IndexId, id: u32) -> Bytes {
    let mut key = prefix(index);
    keycode::put_u32(&mut key, id);
    key.into()
}

/// Encodes a stored value.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    postcard::to_stdvec(value).map(Bytes::from).map_err(|error| SqlError::internal(format!("catalog record: {error}")))
}

/// Decodes a stored value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| SqlError::internal(format!("damaged catalog record: {error}")))
}

/// Reads the whole catalog at the transaction's timestamp, its own changes included.
pub async fn load(txn: &mut Txn) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (_, value) in scan(txn, descriptor_span()).await? {
        match decode::<Stored>(&value)? {
            Stored::Relation(relation) => snapshot.insert(relation),
            Stored::Schema(schema) => snapshot.insert_schema(schema),
            Stored::Role(role) => snapshot.roles.insert(role),
            Stored::Database(database) => snapshot.set_database(database),
            Stored::DefaultAcl(default) => snapshot.insert_default_acl(default),
        }
    }
    Ok(snapshot)
}

/// All rows of a (small) span.
pub async fn scan(txn: &mut Txn, span: Span) -> Result<Vec<(Bytes, Bytes)>> {
    let mut request = ScanRequest { span, ..ScanRequest::default() };
    let mut rows = Vec::new();
    loop {
        let page = txn.scan(&request).await?;
        rows.extend(page.rows);
        match page.resume {
            Some(rest) => request.span = rest,
            None => return Ok(rows),
        }
    }
}

/// Prepares a transaction for schema changes; called before each of them (see the module's documentation).
pub async fn begin_change(txn: &mut Txn, first: bool) -> Result<()> {
    if first {
        txn.open_fence().await?;
        txn.get(&[epoch_key()]).await?;
    }
    let version = locked_number(txn, version_key(), WaitPolicy::Wait).await?;
    txn.put(version_key(), encode(&(version + 1))?)?;
    Ok(())
}

/// Locks a number and reads it; absent counts as 0.
pub async fn locked_number(txn: &mut Txn, key: Bytes, wait: WaitPolicy) -> Result<u64> {
    let rows = txn.lock(&[key], LockMode::Update, wait).await?;
    match rows.first().and_then(|row| row.value.as_ref()) {
        Some(value) => decode(value),
        None => Ok(0),
    }
}

pub fn put_relation(txn: &mut Txn, relation: &Relation) -> Result<()> {
    let value = encode(&Stored::Relation(relation.clone()))?;
    Ok(txn.put(descriptor_key(relation.id.0), value)?)
}

pub fn put_schema(txn: &mut Txn, schema: &Schema) -> Result<()> {
    let value = encode(&Stored::Schema(schema.clone()))?;
    Ok(txn.put(descriptor_key(schema.oid), value)?)
}

pub fn put_role(txn: &mut Txn, role: &Role) -> Result<()> {
    Ok(txn.put(descriptor_key(role.oid), encode(&Stored::Role(role.clone()))?)?)
}

pub fn put_database(txn: &mut Txn, database: &DatabaseAccess) -> Result<()> {
    Ok(txn.put(descriptor_key(DATABASE_OID), encode(&Stored::Database(database.clone()))?)?)
}

pub fn put_default_acl(txn: &mut Txn, default: &DefaultAcl) -> Result<()> {
    Ok(txn.put(descriptor_key(default.oid), encode(&Stored::DefaultAcl(default.clone()))?)?)
}

pub fn delete_descriptor(txn: &mut Txn, oid: u32) -> Result<()> {
    Ok(txn.delete(descriptor_key(oid), false)?)
}

/// Hands a key space over to the background job, with the commit of this transaction.
pub fn put_garbage(txn: &mut Txn, table: TableId, index: IndexId, record: Garbage) -> Result<()> {
    // The key names a space that exists once for ever: nobody else writes this record.
    Ok(txn.put_blind(garbage_key(table, index), encode(&record)?)?)
}
