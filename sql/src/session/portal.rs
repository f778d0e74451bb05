//! Prepared statements and portals: what a statement is between parse and its last row.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};

use parking_lot::Mutex;
use txn::Stamp;

use super::environment::Environment;
use crate::{
    catalog::Snapshot,
    copy::{CopyIn, CopyOut},
    exec,
    expr::SessionView,
    parse::Parsed,
    plan::{self, OutputColumn},
    types::{DataType, Row, Value},
};

/// One parsed statement and its text.
#[derive(Clone, Debug)]
pub struct Statement {
    pub text: Arc<str>,
    pub(crate) parsed: Arc<Parsed>,
}

/// A statement that is bound: its parameter and column types are known. Bound again when the catalog has changed.
pub struct Prepared {
    pub parameters: Vec<DataType>,
    /// `None` when it returns no rows.
    pub columns: Option<Vec<OutputColumn>>,
    pub(crate) statement: Statement,
    /// The plan of the last execution, if the statement has one.
    pub(super) planned: Mutex<Option<Arc<Planned>>>,
}

impl Prepared {
    /// The plan of the last execution.
    pub(super) fn plan(&self) -> Option<Arc<plan::Statement>> {
        self.planned.lock().as_ref().map(|planned| Arc::clone(&planned.statement))
    }
}

/// A plan, and what it is true for.
pub(super) struct Planned {
    pub statement: Arc<plan::Statement>,
    /// OIDs of the descriptors it rests on.
    pub relations: Vec<u32>,
    pub snapshot: Arc<Snapshot>,
    pub view: Arc<SessionView>,
}

/// A prepared statement with its parameters, possibly half run.
pub struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) parameters: Arc<[Value]>,
    pub(super) run: Run,
}

pub(super) enum Run {
    Ready,
    Rows(Box<Running>),
    CopyIn(Box<CopyIn>),
    CopyOut(Box<CopyOut>),
    Done,
}

/// A plan that is being run.
pub(super) struct Running {
    /// The transaction that it belongs to.
    pub serial: u64,
    /// When its statement reads.
    pub stamp: Stamp,
    pub cursor: exec::Cursor,
    pub planned: Arc<Planned>,
    pub environment: Environment,
    /// Rows that came with a batch and were not asked for yet.
    pub pending: VecDeque<Row>,
}

impl Portal {
    pub(super) fn new(prepared: Arc<Prepared>, parameters: Arc<[Value]>) -> Portal {
        Portal { prepared, parameters, run: Run::Ready }
    }
}

/// A bounded cache that forgets, at the latest, what was not used while as many others were.
pub(super) struct TextCache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> TextCache<K, V> {
    pub(super) fn new(capacity: usize) -> TextCache<K, V> {
        TextCache { young: HashMap::new(), old: HashMap::new(), capacity }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = self.old.remove_entry(key)?;
        self.insert(key, value.clone());
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// A rough size of a row in memory.
pub(super) fn row_bytes(row: &Row) -> usize {
    let heap = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Bytea(bytes) => bytes.len(),
        Value::Array(array) => 32 * array.values.len(),
        Value::Record(values) => 32 * values.len(),
        _ => 0,
    };
    row.iter().map(|value| 32 + heap(value)).sum()
}
