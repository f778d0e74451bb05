//! SELECT … FOR UPDATE and its weaker kin.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use txn::{LockMode, LockedRow, WaitPolicy};

use super::{
    Run,
    basic::{row_count, some},
    mismatch,
    operator::Operator,
    recheck::{self, Pins},
};
use crate::{
    error::Result,
    plan::{Plan, RowLock},
    types::{Row, Value},
};

/// Locks the rows of its input. What is gone or, with SKIP LOCKED, held by somebody else is left out.
pub(crate) struct Lock {
    input: Box<dyn Operator>,
    pending: VecDeque<Row>,
    /// Rows still wanted (`None`: all), once known.
    left: Option<Option<u64>>,
}

impl Lock {
    pub fn new(input: Box<dyn Operator>) -> Lock {
        Lock { input, pending: VecDeque::new(), left: None }
    }
}

#[async_trait]
impl Operator for Lock {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Lock { input, rows, limit } = plan else { return Err(mismatch()) };
        let mut left = match self.left {
            Some(left) => left,
            None => row_count(limit.as_ref(), "LIMIT", run.eval)?,
        };
        let mut output = Vec::new();
        while output.is_empty() && left != Some(0) {
            run.check()?;
            if self.pending.is_empty() {
                let Some(batch) = self.input.next(input, run).await? else { break };
                self.pending = batch.into();
            }
            let take = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
            let chunk: Vec<Row> = self.pending.drain(..take.min(self.pending.len())).collect();
            output = lock(input, rows, chunk, run).await?;
            if let Some(left) = &mut left {
                *left = left.saturating_sub(output.len() as u64);
            }
        }
        self.left = Some(left);
        Ok(some(output))
    }
}

/// Locks some rows; what is left of them, each at its newest.
async fn lock(input: &Plan, locks: &[RowLock], batch: Vec<Row>, run: &mut Run<'_>) -> Result<Vec<Row>> {
    let mut locked: BTreeMap<Bytes, LockedRow> = BTreeMap::new();
    for (mode, wait, slots) in kinds(locks) {
        let keys: BTreeSet<Bytes> =
            batch.iter().flat_map(|row| slots.iter().filter_map(|&slot| key_at(row, slot))).collect();
        let keys: Vec<Bytes> = keys.into_iter().collect();
        let rows = run.txn.lock(&keys, mode, wait).await?;
        locked.extend(keys.into_iter().zip(rows));
    }
    let mut output = Vec::with_capacity(batch.len());
    let mut rechecked = BTreeSet::new();
    for row in batch {
        let keys: Vec<Option<Bytes>> = locks.iter().map(|lock| key_at(&row, lock.slot)).collect();
        let mut states = keys.iter().flatten().filter_map(|key| locked.get(key));
        if states.clone().any(|state| !state.granted || state.value.is_none()) {
            continue;
        }
        if !states.any(|state| state.newer) {
            output.push(row);
        } else if rechecked.insert(keys.clone()) {
            let mut pins = Pins::new();
            for (lock, key) in locks.iter().zip(&keys) {
                let value = key.as_ref().and_then(|key| Some((key, locked.get(key)?.value.as_ref()?)));
                let pin = match value {
                    Some((key, value)) => recheck::pin(&lock.layouts, key, value)?,
                    None => None,
                };
                pins.insert(lock.mark, pin);
            }
            output.extend(recheck::run_again(input, pins, run).await?);
        }
    }
    Ok(output)
}

/// The tables by how they are locked: one request for each kind.
fn kinds(locks: &[RowLock]) -> Vec<(LockMode, WaitPolicy, Vec<usize>)> {
    let mut kinds: Vec<(LockMode, WaitPolicy, Vec<usize>)> = Vec::new();
    for lock in locks {
        match kinds.iter_mut().find(|(mode, wait, _)| *mode == lock.mode && *wait == lock.wait) {
            Some((_, _, slots)) => slots.push(lock.slot),
            None => kinds.push((lock.mode, lock.wait, vec![lock.slot])),
        }
    }
    kinds
}

fn key_at(row: &Row, slot: usize) -> Option<Bytes> {
    match &row[slot] {
        Value::Bytea(key) => Some(key.clone()),
        _ => None,
    }
}
