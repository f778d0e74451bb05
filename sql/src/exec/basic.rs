//! Operators that look at one row at a time.

use async_trait::async_trait;

use super::{BATCH_ROWS, Run, mismatch, operator::Operator};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{EvalContext, Expr},
    plan::Plan,
    types::{Row, Value},
};

#[derive(Default)]
pub(crate) struct Values {
    next: usize,
}

#[async_trait]
impl Operator for Values {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Values { rows, .. } = plan else { return Err(mismatch()) };
        let end = rows.len().min(self.next + BATCH_ROWS);
        let batch: Result<Vec<Row>> = rows[self.next..end].iter().map(|exprs| eval_all(exprs, &[], run.eval)).collect();
        self.next = end;
        Ok(some(batch?))
    }
}

#[derive(Default)]
pub(crate) struct System {
    rows: Option<std::vec::IntoIter<Row>>,
}

#[async_trait]
impl Operator for System {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::System { relation, .. } = plan else { return Err(mismatch()) };
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => {
                let rows = run.system.rows(relation, run.txn, run.eval).await?;
                self.rows.insert(rows.into_iter())
            }
        };
        Ok(some(rows.by_ref().take(BATCH_ROWS).collect()))
    }
}

pub(crate) struct Filter {
    pub input: Box<dyn Operator>,
}

#[async_trait]
impl Operator for Filter {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Filter { input, predicate } = plan else { return Err(mismatch()) };
        while let Some(mut batch) = self.input.next(input, run).await? {
            run.check()?;
            retain(&mut batch, predicate, run.eval)?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// Keeps the rows for which the predicate is true.
pub(crate) fn retain(rows: &mut Vec<Row>, predicate: &Expr, eval: &EvalContext) -> Result<()> {
    let mut failure = None;
    rows.retain(|row| {
        failure.is_none()
            && predicate.eval_filter(row, eval).unwrap_or_else(|error| {
                failure = Some(error);
                false
            })
    });
    failure.map_or(Ok(()), Err)
}

pub(crate) struct Project {
    pub input: Box<dyn Operator>,
}

#[async_trait]
impl Operator for Project {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Project { input, expressions } = plan else { return Err(mismatch()) };
        let Some(batch) = self.input.next(input, run).await? else { return Ok(None) };
        run.check()?;
        let rows: Result<Vec<Row>> = batch.iter().map(|row| eval_all(expressions, row, run.eval)).collect();
        rows.map(Some)
    }
}

pub(crate) fn eval_all(exprs: &[Expr], row: &[Value], eval: &EvalContext) -> Result<Row> {
    exprs.iter().map(|expr| expr.eval(row, eval)).collect()
}

pub(crate) struct Limit {
    input: Box<dyn Operator>,
    /// Rows to skip and rows to give (`None`: all), once known.
    left: Option<(u64, Option<u64>)>,
}

impl Limit {
    pub fn new(input: Box<dyn Operator>) -> Limit {
        Limit { input, left: None }
    }
}

#[async_trait]
impl Operator for Limit {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Limit { input, limit, offset } = plan else { return Err(mismatch()) };
        let (mut skip, mut give) = match self.left {
            Some(left) => left,
            None => {
                let skip = row_count(offset.as_ref(), "OFFSET", run.eval)?.unwrap_or(0);
                (skip, row_count(limit.as_ref(), "LIMIT", run.eval)?)
            }
        };
        let mut result = None;
        while give != Some(0) {
            let Some(mut batch) = self.input.next(input, run).await? else { break };
            let skipped = skip.min(batch.len() as u64);
            skip -= skipped;
            batch.drain(..skipped as usize);
            if let Some(give) = &mut give {
                batch.truncate(usize::try_from(*give).unwrap_or(usize::MAX));
                *give -= batch.len() as u64;
            }
            if !batch.is_empty() {
                result = Some(batch);
                break;
            }
        }
        self.left = Some((skip, if result.is_none() { Some(0) } else { give }));
        Ok(result)
    }
}

/// The value of LIMIT or OFFSET; `None`: NULL or absent.
pub(crate) fn row_count(expr: Option<&Expr>, clause: &str, eval: &EvalContext) -> Result<Option<u64>> {
    let Some(expr) = expr else { return Ok(None) };
    match expr.eval(&[], eval)? {
        Value::Int8(count) => u64::try_from(count).map(Some).map_err(|_| {
            let state = if clause == "LIMIT" { SqlState("2201W") } else { SqlState("2201X") };
            SqlError::new(state, format!("{clause} must not be negative"))
        }),
        _ => Ok(None),
    }
}

pub(crate) struct ProjectSet {
    pub input: Box<dyn Operator>,
}

#[async_trait]
impl Operator for ProjectSet {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::ProjectSet { input, functions, ordinality } = plan else { return Err(mismatch()) };
        while let Some(batch) = self.input.next(input, run).await? {
            let mut output = Vec::new();
            for row in batch {
                run.check()?;
                let mut columns = Vec::with_capacity(functions.len());
                for function in functions {
                    let values = match function.call.is_set_returning() {
                        true => function.call.eval_set(&row, run.eval)?,
                        false => vec![function.call.eval(&row, run.eval)?],
                    };
                    columns.push(values.into_iter());
                }
                let longest = columns.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
                for number in 1..=longest {
                    let mut extended = row.clone();
                    for (values, function) in columns.iter_mut().zip(functions) {
                        match (values.next().unwrap_or(Value::Null), function.types.len()) {
                            (value, 1) => extended.push(value),
                            (Value::Record(fields), _) => extended.extend(fields),
                            (_, width) => extended.extend(std::iter::repeat_n(Value::Null, width)),
                        }
                    }
                    if *ordinality {
                        extended.push(Value::Int8(number as i64));
                    }
                    output.push(extended);
                }
            }
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }
}

/// A batch, or the end when there is nothing in it.
pub(crate) fn some(batch: Vec<Row>) -> Option<Vec<Row>> {
    (!batch.is_empty()).then_some(batch)
}
