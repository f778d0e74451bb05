//! The engine of the simulator and of tests: ordered maps in memory, and beside them the state that a crash would leave.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{ColumnFamily, Cursor, Engine, Reader, WriteBatch, WriteOp};
use crate::error::Result;

type Map = BTreeMap<Bytes, Bytes>;
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// One map per column family, shared with snapshots and cursors; the first write after a snapshot copies the map it touches.
#[derive(Clone, Default)]
struct View {
    maps: [Arc<Map>; ColumnFamily::ALL.len()],
}

/// An [`Engine`] in memory. Give an `Arc` of it to a node; after [`MemoryEngine::crash`] the same `Arc` is what the node finds
/// on its disk when it starts again.
#[derive(Default)]
pub struct MemoryEngine {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    current: View,
    /// What a crash leaves.
    flushed: View,
    /// What happened since: replayed onto `flushed` by a flush, so that a flush costs only what has changed.
    unflushed: Vec<WriteOp>,
}

impl MemoryEngine {
    pub fn new() -> MemoryEngine {
        MemoryEngine::default()
    }

    /// Loses everything that was not flushed, as the death of the process does. Snapshots keep what they show.
    pub fn crash(&self) {
        let mut state = self.state.write();
        // Copies, so that the two never share maps: else each of them would copy on its next write anyway.
        state.current = View { maps: state.flushed.maps.each_ref().map(|map| Arc::new(Map::clone(map))) };
        state.unflushed.clear();
    }

    fn view(&self) -> View {
        self.state.read().current.clone()
    }
}

impl Reader for MemoryEngine {
    fn get(&self, cf: ColumnFamily, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.state.read().current.get(cf, key))
    }

    fn cursor<'a>(&'a self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        Ok(Box::new(MapCursor::new(self.state.read().current.maps[cf as usize].clone(), start, end)))
    }
}

impl Engine for MemoryEngine {
    fn write(&self, batch: &WriteBatch) -> Result<()> {
        let mut state = self.state.write();
        for op in &batch.ops {
            state.current.apply(op);
        }
        state.unflushed.extend(batch.ops.iter().cloned());
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        let mut state = self.state.write();
        for op in std::mem::take(&mut state.unflushed) {
            state.flushed.apply(&op);
        }
        Ok(())
    }

    fn snapshot(&self) -> Box<dyn Reader> {
        Box::new(self.view())
    }

    fn approximate_bytes(&self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<u64> {
        let Some(bounds) = bounds(start, end) else { return Ok(0) };
        let view = self.view();
        Ok(view.maps[cf as usize].range::<[u8], _>(bounds).map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }
}

impl View {
    fn get(&self, cf: ColumnFamily, key: &[u8]) -> Option<Bytes> {
        self.maps[cf as usize].get(key).cloned()
    }

    fn apply(&mut self, op: &WriteOp) {
        match op {
            WriteOp::Put { cf, key, value } => {
                Arc::make_mut(&mut self.maps[*cf as usize]).insert(key.clone(), value.clone());
            }
            WriteOp::Delete { cf, key } => {
                Arc::make_mut(&mut self.maps[*cf as usize]).remove(key);
            }
            WriteOp::DeleteRange { cf, start, end } => {
                let Some(bounds) = bounds(start, end) else { return };
                let map = Arc::make_mut(&mut self.maps[*cf as usize]);
                let doomed: Vec<Bytes> = map.range::<[u8], _>(bounds).map(|(key, _)| key.clone()).collect();
                for key in doomed {
                    map.remove(&key);
                }
            }
        }
    }
}

impl Reader for View {
    fn get(&self, cf: ColumnFamily, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(View::get(self, cf, key))
    }

    fn cursor<'a>(&'a self, cf: ColumnFamily, start: &[u8], end: &[u8]) -> Result<Box<dyn Cursor + 'a>> {
        Ok(Box::new(MapCursor::new(self.maps[cf as usize].clone(), start, end)))
    }
}

/// Holds the map, so that writes go on beside it (they copy); finds each next key by search.
struct MapCursor {
    map: Arc<Map>,
    start: Bytes,
    end: Bytes,
    at: Option<(Bytes, Bytes)>,
}

impl MapCursor {
    fn new(map: Arc<Map>, start: &[u8], end: &[u8]) -> MapCursor {
        MapCursor { map, start: Bytes::copy_from_slice(start), end: Bytes::copy_from_slice(end), at: None }
    }

    /// The first key within the bounds from `from` on.
    fn first_from(&self, from: Bound<&[u8]>) -> Option<(Bytes, Bytes)> {
        let (key, value) = self.map.range::<[u8], _>((from, Bound::Unbounded)).next()?;
        (self.end.is_empty() || key < &self.end).then(|| (key.clone(), value.clone()))
    }

    /// The last key within the bounds and below `below` (empty: no bound).
    fn last_below(&self, below: &[u8]) -> Option<(Bytes, Bytes)> {
        let to = match (below.is_empty(), self.end.is_empty()) {
            (true, true) => Bound::Unbounded,
            (true, false) => Bound::Excluded(&self.end[..]),
            (false, true) => Bound::Excluded(below),
            (false, false) => Bound::Excluded(below.min(&self.end[..])),
        };
        let (key, value) = self.map.range::<[u8], _>((Bound::Unbounded, to)).next_back()?;
        (key >= &self.start).then(|| (key.clone(), value.clone()))
    }
}

impl Cursor for MapCursor {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.at = self.first_from(Bound::Included(key.max(&self.start[..])));
        Ok(())
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.at = self.last_below(key);
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        if let Some((key, _)) = self.at.take() {
            self.at = self.first_from(Bound::Excluded(&key[..]));
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        if let Some((key, _)) = self.at.take() {
            // Nothing sorts before the empty key, and an empty bound would mean "no bound".
            self.at = if key.is_empty() { None } else { self.last_below(&key) };
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.at.as_ref().map(|(key, _)| &key[..])
    }

    fn value(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(_, value)| &value[..])
    }
}

/// The bounds of a half-open span as `BTreeMap::range` takes them; `None` for an empty span, for which it would panic.
fn bounds<'a>(start: &'a [u8], end: &'a [u8]) -> Option<Bounds<'a>> {
    match end.is_empty() {
        true => Some((Bound::Included(start), Bound::Unbounded)),
        false => (start < end).then_some((Bound::Included(start), Bound::Excluded(end))),
    }
}
