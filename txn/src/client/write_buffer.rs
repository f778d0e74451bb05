//! The writes of a transaction before its commit: an ordered map with an undo log for savepoints.

use std::{collections::BTreeMap, ops::Bound};

use base::Span;
use bytes::Bytes;

use crate::{client::Savepoint, command::Key};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffered {
    /// `None` deletes.
    pub value: Option<Bytes>,
    /// Depends on nothing that was there before.
    pub blind: bool,
}

#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    writes: BTreeMap<Key, Buffered>,
    /// What each write since the first savepoint replaced, oldest first.
    undo: Vec<(Key, Option<Buffered>)>,
    undo_wanted: bool,
    size_bytes: usize,
}

/// Rough cost of an entry besides its bytes.
const OVERHEAD_BYTES: usize = 96;

impl WriteBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Buffered> {
        if self.writes.is_empty() { None } else { self.writes.get(key) }
    }

    /// Buffers a write. False, and nothing happens, when that would need more than `size_bytes_max`.
    pub(crate) fn put(&mut self, key: Key, value: Option<Bytes>, blind: bool, size_bytes_max: usize) -> bool {
        let cost = cost(&key, value.as_ref());
        if self.size_bytes + cost > size_bytes_max {
            return false;
        }
        // A key that was written blindly and then once more with knowledge is no longer blind.
        let blind = blind && self.writes.get(&key).is_none_or(|earlier| earlier.blind);
        let replaced = self.writes.insert(key.clone(), Buffered { value, blind });
        self.size_bytes += cost;
        if self.undo_wanted {
            // The replaced value stays in memory, and stays counted.
            self.undo.push((key, replaced));
        } else if let Some(replaced) = replaced {
            self.size_bytes -= self::cost(&key, replaced.value.as_ref());
        }
        true
    }

    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.undo_wanted = true;
        Savepoint(u32::try_from(self.undo.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn rollback_to(&mut self, savepoint: Savepoint) {
        while self.undo.len() > savepoint.0 as usize
            && let Some((key, replaced)) = self.undo.pop()
        {
            let undone = match replaced {
                Some(replaced) => self.writes.insert(key.clone(), replaced),
                None => self.writes.remove(&key),
            };
            if let Some(undone) = undone {
                self.size_bytes -= cost(&key, undone.value.as_ref());
            }
        }
    }

    /// Writes within a span, in key order.
    pub(crate) fn range(&self, span: &Span) -> impl DoubleEndedIterator<Item = (&Key, &Buffered)> {
        // An inverted range would panic.
        let empty = self.writes.is_empty() || span.is_empty();
        let start: Bound<&[u8]> = Bound::Included(&span.start);
        let end: Bound<&[u8]> = if span.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&span.end) };
        (!empty).then(|| self.writes.range::<[u8], _>((start, end))).into_iter().flatten()
    }

    pub(crate) fn take(&mut self) -> BTreeMap<Key, Buffered> {
        self.undo.clear();
        self.size_bytes = 0;
        std::mem::take(&mut self.writes)
    }
}

fn cost(key: &Key, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len) + OVERHEAD_BYTES
}

#[cfg(test)]
#[path = "write_buffer_test.rs"]
mod tests;
