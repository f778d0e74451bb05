//! The writes of a transaction before its commit: an ordered map with an undo log for savepoints.

use std::{collections::BTreeMap, ops::Bound};

use base::{Span, Timestamp};
use bytes::Bytes;

use crate::command::Key;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffered {
    /// `None` deletes.
    pub value: Option<Bytes>,
    /// Depends on nothing that was there before.
    pub blind: bool,
    /// As of when the key was read, where that is neither the timestamp of the commit nor under a lock.
    pub as_of: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    writes: BTreeMap<Key, Buffered>,
    /// What each write since the first savepoint replaced, oldest first. `None`: there is no savepoint.
    undo: Option<Vec<(Key, Option<Buffered>)>>,
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
    pub(crate) fn put(&mut self, key: Key, mut write: Buffered, size_bytes_max: usize) -> bool {
        let cost = cost(&key, write.value.as_ref());
        if self.size_bytes + cost > size_bytes_max {
            return false;
        }
        if let Some(earlier) = self.writes.get(&key) {
            // A key that was written blindly and then once more with knowledge is no longer blind.
            write.blind &= earlier.blind;
            write.as_of = earlier.as_of.or(write.as_of);
        }
        let replaced = self.writes.insert(key.clone(), write);
        self.size_bytes += cost;
        if let Some(undo) = &mut self.undo {
            // The replaced value stays in memory, and stays counted.
            undo.push((key, replaced));
        } else if let Some(replaced) = replaced {
            self.size_bytes -= self::cost(&key, replaced.value.as_ref());
        }
        true
    }

    /// From now on writes can be undone; how many of them there are.
    pub(crate) fn mark(&mut self) -> usize {
        self.undo.get_or_insert_default().len()
    }

    /// Undoes all writes but the first `mark`.
    pub(crate) fn rollback_to(&mut self, mark: usize) {
        let Some(undo) = &mut self.undo else { return };
        while undo.len() > mark
            && let Some((key, replaced)) = undo.pop()
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

    /// Nothing will be undone any more.
    pub(crate) fn forget_marks(&mut self) {
        for (key, replaced) in self.undo.take().into_iter().flatten() {
            self.size_bytes -= replaced.map_or(0, |replaced| cost(&key, replaced.value.as_ref()));
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
        self.undo = None;
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
