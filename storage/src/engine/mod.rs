//! The local ordered store under the state machines of all replicas of a node. Two implementations pass the same scripts
//! (`tests/scripts/engine`): `memory` (simulator, tests; `crash()` loses what was not flushed) and `rocks`.
//!
//! There is no write-ahead log here: a write is durable only after [`Engine::flush`]. What is lost in between is replayed
//! from the Raft log, whose applied index lies in the same batch as the data ([`ColumnFamily::Meta`]).

pub mod memory;
pub mod rocks;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The column families of DESIGN section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ColumnFamily {
    /// Key + inverted timestamp → version.
    Data,
    /// Key → provisional write; also the markers that prevent late ones.
    Intent,
    /// Applied indexes, descriptors, the cluster's map.
    Meta,
}

impl ColumnFamily {
    pub const ALL: [ColumnFamily; 3] = [ColumnFamily::Data, ColumnFamily::Intent, ColumnFamily::Meta];

    pub fn name(self) -> &'static str {
        match self {
            ColumnFamily::Data => "data",
            ColumnFamily::Intent => "intent",
            ColumnFamily::Meta => "meta",
        }
    }
}

/// One change to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriteOp {
    Put {
        cf: ColumnFamily,
        key: Bytes,
        value: Bytes,
    },
    Delete {
        cf: ColumnFamily,
        key: Bytes,
    },
    /// Deletes `start <= key < end`; an empty `end` means to the end.
    DeleteRange {
        cf: ColumnFamily,
        start: Bytes,
        end: Bytes,
    },
}

/// Changes that happen together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBatch {
    pub ops: Vec<WriteOp>,
}

impl WriteBatch {
    pub fn put(&mut self, cf: ColumnFamily, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.ops.push(WriteOp::Put { cf, key: key.into(), value: value.into() });
    }

    pub fn delete(&mut self, cf: ColumnFamily, key: impl Into<Bytes>) {
        self.ops.push(WriteOp::Delete { cf, key: key.into() });
    }

    pub fn delete_range(&mut self, cf: ColumnFamily, start: impl Into<Bytes>, end: impl Into<Bytes>) {
        self.ops.push(WriteOp::DeleteRange { cf, start: start.into(), end: end.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// A view of the store that does not change while it is borrowed.
pub trait Reader: Send + Sync {
    fn get(&self, cf: ColumnFamily, key: &[u8]) -> Result<Option<Bytes>>;

    /// A cursor over `start <= key < end` (empty `end`: no bound), not yet positioned.
    fn cursor<'a>(&'a self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>>;
}

/// A position in the order of keys. After any move, [`Cursor::key`] is `None` when there is no such key within the bounds.
/// Every move reports an I/O error or a bad checksum as an error, never as an absent key.
pub trait Cursor {
    /// Moves to the first key `>= key`.
    fn seek(&mut self, key: &[u8]) -> Result<()>;
    /// Moves to the last key `< key` (empty `key`: to the last key of all).
    fn seek_before(&mut self, key: &[u8]) -> Result<()>;
    fn next(&mut self) -> Result<()>;
    fn prev(&mut self) -> Result<()>;
    fn key(&self) -> Option<&[u8]>;
    /// The value at the position; empty when there is none.
    fn value(&self) -> &[u8];
}

/// The store of one node.
pub trait Engine: Reader + 'static {
    /// Applies the batch atomically. Not durable until [`Engine::flush`].
    fn write(&self, batch: &WriteBatch) -> Result<()>;

    /// Makes durable, atomically over all column families, everything written before the call. May take long; may be
    /// called from another thread while writes go on.
    fn flush(&self) -> Result<()>;

    /// A consistent view that stays as it is while writes go on.
    fn snapshot(&self) -> Box<dyn Reader>;

    /// A rough number of bytes of `start <= key < end`, cheap to compute.
    fn approximate_bytes(&self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<u64>;

    /// How large it is on disk and in memory, in bytes by name, for system views.
    fn sizes(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
