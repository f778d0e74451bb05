//! DISTINCT, set operations and common table expressions.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;

use super::{
    BATCH_ROWS, Run,
    basic::{eval_all, some},
    drain, mismatch,
    operator::Operator,
};
use crate::{
    error::Result,
    plan::{Plan, SetOp},
    types::{Row, Value},
};

pub(crate) struct Distinct {
    input: Box<dyn Operator>,
    seen: HashSet<Vec<Value>>,
}

impl Distinct {
    pub fn new(input: Box<dyn Operator>) -> Distinct {
        Distinct { input, seen: HashSet::new() }
    }
}

#[async_trait]
impl Operator for Distinct {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Distinct { input, on } = plan else { return Err(mismatch()) };
        while let Some(batch) = self.input.next(input, run).await? {
            run.check()?;
            let mut output = Vec::new();
            for row in batch {
                let key = match on {
                    Some(on) => eval_all(on, &row, run.eval)?,
                    None => row.clone(),
                };
                if !self.seen.contains(&key) {
                    run.state.memory.add(std::slice::from_ref(&key))?;
                    self.seen.insert(key);
                    output.push(row);
                }
            }
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }
}

pub(crate) struct SetOperation {
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    left_done: bool,
    seen: HashSet<Row>,
    /// INTERSECT and EXCEPT: how often each row of the right side is there.
    counts: Option<HashMap<Row, usize>>,
}

impl SetOperation {
    pub fn new(left: Box<dyn Operator>, right: Box<dyn Operator>) -> SetOperation {
        SetOperation { left, right, left_done: false, seen: HashSet::new(), counts: None }
    }

    async fn union(&mut self, left: &Plan, right: &Plan, all: bool, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        loop {
            run.check()?;
            let batch = if self.left_done {
                self.right.next(right, run).await?
            } else {
                match self.left.next(left, run).await? {
                    Some(batch) => Some(batch),
                    None => {
                        self.left_done = true;
                        continue;
                    }
                }
            };
            let Some(mut batch) = batch else { return Ok(None) };
            if !all {
                batch.retain(|row| !self.seen.contains(row) && self.seen.insert(row.clone()));
                run.state.memory.add(&batch)?;
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }
}

#[async_trait]
impl Operator for SetOperation {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::SetOperation { op, all, left, right } = plan else { return Err(mismatch()) };
        if *op == SetOp::Union {
            return self.union(left, right, *all, run).await;
        }
        if self.counts.is_none() {
            let mut counts = HashMap::new();
            for row in drain(&mut *self.right, right, run).await? {
                *counts.entry(row).or_insert(0) += 1;
            }
            self.counts = Some(counts);
        }
        let Some(counts) = &mut self.counts else { return Err(mismatch()) };
        while let Some(mut batch) = self.left.next(left, run).await? {
            run.check()?;
            batch.retain(|row| {
                let count = counts.get_mut(row);
                let there = match (count, *all) {
                    // ALL: each row of the right side meets one of the left.
                    (Some(count), true) if *count > 0 => {
                        *count -= 1;
                        true
                    }
                    (Some(_), true) | (None, _) => false,
                    (Some(_), false) => true,
                };
                there == (*op == SetOp::Intersect)
            });
            if !all {
                batch.retain(|row| !self.seen.contains(row) && self.seen.insert(row.clone()));
                run.state.memory.add(&batch)?;
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// Evaluates the definition once, before anything reads it.
pub(crate) struct Cte {
    pub input: Box<dyn Operator>,
    pub ready: bool,
}

#[async_trait]
impl Operator for Cte {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Cte { id, definition, input, .. } = plan else { return Err(mismatch()) };
        if !self.ready {
            self.ready = true;
            let mut operator = run.build(definition);
            let rows = drain(&mut *operator, definition, run).await?;
            run.state.ctes.insert(*id, Arc::new(rows));
        }
        self.input.next(input, run).await
    }
}

#[derive(Default)]
pub(crate) struct CteScan {
    rows: Option<Arc<Vec<Row>>>,
    next: usize,
}

#[async_trait]
impl Operator for CteScan {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::CteScan { id, .. } = plan else { return Err(mismatch()) };
        let rows = match &self.rows {
            Some(rows) => rows.clone(),
            None => {
                let rows = run.state.ctes.get(id).cloned().ok_or_else(mismatch)?;
                self.rows.insert(rows).clone()
            }
        };
        let end = rows.len().min(self.next + BATCH_ROWS);
        let batch = rows[self.next..end].to_vec();
        self.next = end;
        Ok(some(batch))
    }
}

#[derive(Default)]
pub(crate) struct Recursive {
    started: bool,
    /// The rows of the round before.
    working: Vec<Row>,
    seen: HashSet<Row>,
}

impl Recursive {
    /// Rows that are new, of a round.
    fn fresh(&mut self, mut rows: Vec<Row>, distinct: bool) -> Vec<Row> {
        if distinct {
            rows.retain(|row| !self.seen.contains(row) && self.seen.insert(row.clone()));
        }
        rows
    }
}

#[async_trait]
impl Operator for Recursive {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Recursive { id, initial, step, distinct, .. } = plan else { return Err(mismatch()) };
        run.check()?;
        let rows = if self.started {
            if self.working.is_empty() {
                return Ok(None);
            }
            let working = std::mem::take(&mut self.working);
            run.state.ctes.insert(*id, Arc::new(working));
            let mut operator = run.build(step);
            drain(&mut *operator, step, run).await?
        } else {
            self.started = true;
            let mut operator = run.build(initial);
            drain(&mut *operator, initial, run).await?
        };
        let fresh = self.fresh(rows, *distinct);
        self.working = fresh.clone();
        Ok(some(fresh))
    }
}
