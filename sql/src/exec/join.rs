//! Joins of two inputs. The right side is read into memory first, hashed by the keys where there are any; then the left side
//! streams past it. Without keys every pair is looked at.

use std::collections::HashMap;

use async_trait::async_trait;

use super::{BATCH_ROWS, Run, drain, mismatch, operator::Operator};
use crate::{
    error::Result,
    expr::{EvalContext, Expr},
    plan::{self, JoinKind, Plan},
    types::{Row, Value},
};

pub(crate) struct HashJoin {
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    built: Option<Built>,
    /// Rows made and not handed out yet.
    ready: Vec<Row>,
    left_done: bool,
    finished: bool,
}

/// The right side.
struct Built {
    rows: Vec<Row>,
    /// Key to positions in `rows`; `None`: no keys, all rows are candidates.
    table: Option<HashMap<Vec<Value>, Vec<u32>>>,
    matched: Vec<bool>,
    left_width: usize,
    right_width: usize,
}

impl HashJoin {
    pub fn new(left: Box<dyn Operator>, right: Box<dyn Operator>) -> HashJoin {
        HashJoin { left, right, built: None, ready: Vec::new(), left_done: false, finished: false }
    }

    async fn build(&mut self, join: &plan::Join, run: &mut Run<'_>) -> Result<Built> {
        let rows = drain(&mut *self.right, &join.right, run).await?;
        let table = match join.keys.is_empty() {
            true => None,
            false => {
                let mut table: HashMap<Vec<Value>, Vec<u32>> = HashMap::with_capacity(rows.len());
                for (position, row) in rows.iter().enumerate() {
                    // NULL equals nothing: such rows can only come out unmatched.
                    if let Some(key) = key(join.keys.iter().map(|(_, right)| right), row, run.eval)? {
                        table.entry(key).or_default().push(position as u32);
                    }
                }
                Some(table)
            }
        };
        let matched = if join.kind.keeps_right() { vec![false; rows.len()] } else { Vec::new() };
        Ok(Built { rows, table, matched, left_width: join.left.width(), right_width: join.right.width() })
    }
}

#[async_trait]
impl Operator for HashJoin {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Join(join) = plan else { return Err(mismatch()) };
        if self.built.is_none() {
            self.built = Some(self.build(join, run).await?);
        }
        let Some(built) = &mut self.built else { return Err(mismatch()) };
        while self.ready.len() < BATCH_ROWS && !self.left_done {
            // With nothing on the right an inner join is over.
            if built.rows.is_empty() && matches!(join.kind, JoinKind::Inner | JoinKind::Semi | JoinKind::Right) {
                self.left_done = true;
                break;
            }
            match self.left.next(&join.left, run).await? {
                None => self.left_done = true,
                Some(batch) => {
                    for row in batch {
                        run.check()?;
                        built.probe(join, row, run.eval, &mut self.ready)?;
                    }
                }
            }
        }
        if self.left_done && !self.finished {
            self.finished = true;
            if join.kind.keeps_right() {
                built.unmatched(&mut self.ready);
            }
        }
        if self.ready.is_empty() {
            return Ok(None);
        }
        let rest = self.ready.split_off(self.ready.len().min(BATCH_ROWS));
        Ok(Some(std::mem::replace(&mut self.ready, rest)))
    }
}

impl Built {
    fn probe(&mut self, join: &plan::Join, left: Row, eval: &EvalContext, output: &mut Vec<Row>) -> Result<()> {
        let mut found = false;
        let candidates: Candidates<'_> = match &self.table {
            None => Candidates::All(0..self.rows.len()),
            Some(table) => {
                let key = key(join.keys.iter().map(|(left, _)| left), &left, eval)?;
                let positions = key.and_then(|key| table.get(&key)).map_or(&[][..], Vec::as_slice);
                Candidates::Some(positions.iter())
            }
        };
        for position in candidates {
            let right = &self.rows[position];
            let mut pair = Vec::with_capacity(self.left_width + self.right_width);
            pair.extend_from_slice(&left);
            pair.extend_from_slice(right);
            if let Some(on) = &join.on
                && !on.eval_filter(&pair, eval)?
            {
                continue;
            }
            found = true;
            match join.kind {
                JoinKind::Semi | JoinKind::Anti => break,
                JoinKind::Right | JoinKind::Full => self.matched[position] = true,
                JoinKind::Inner | JoinKind::Left => {}
            }
            output.push(pair);
        }
        match join.kind {
            JoinKind::Semi if found => output.push(left),
            JoinKind::Anti if !found => output.push(left),
            JoinKind::Left | JoinKind::Full if !found => {
                let mut row = left;
                row.resize(self.left_width + self.right_width, Value::Null);
                output.push(row);
            }
            _ => {}
        }
        Ok(())
    }

    fn unmatched(&self, output: &mut Vec<Row>) {
        for (row, _) in self.rows.iter().zip(&self.matched).filter(|(_, matched)| !**matched) {
            let mut padded = vec![Value::Null; self.left_width];
            padded.extend_from_slice(row);
            output.push(padded);
        }
    }
}

enum Candidates<'a> {
    All(std::ops::Range<usize>),
    Some(std::slice::Iter<'a, u32>),
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Candidates::All(range) => range.next(),
            Candidates::Some(positions) => positions.next().map(|position| *position as usize),
        }
    }
}

/// The values of the key expressions; `None` when one is NULL.
pub(crate) fn key<'e>(
    exprs: impl Iterator<Item = &'e Expr>,
    row: &[Value],
    eval: &EvalContext,
) -> Result<Option<Vec<Value>>> {
    let mut values = Vec::new();
    for expr in exprs {
        match expr.eval(row, eval)? {
            Value::Null => return Ok(None),
            value => values.push(value),
        }
    }
    Ok(Some(values))
}
