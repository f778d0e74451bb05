//! Subqueries that could not be turned into joins: the subplan runs for each row. One that looks at nothing of the row runs
//! once.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Run, drain, mismatch, operator::Operator};
use crate::{
    error::{Result, SqlError, SqlState},
    plan::{ApplyKind, Plan},
    types::{Array, Row, Value},
};

pub(crate) struct Apply {
    pub input: Box<dyn Operator>,
    /// The rows of a subplan that is the same for every row; whether it is, once known.
    pub constant: Option<Arc<Vec<Row>>>,
    pub correlated: Option<bool>,
}

impl Apply {
    pub fn new(input: Box<dyn Operator>) -> Apply {
        Apply { input, constant: None, correlated: None }
    }

    async fn subrows(
        &mut self,
        row: &Row,
        subplan: &Plan,
        kind: &ApplyKind,
        run: &mut Run<'_>,
    ) -> Result<Arc<Vec<Row>>> {
        if let Some(rows) = &self.constant {
            return Ok(rows.clone());
        }
        // An expression that looks at nothing outside is evaluated once, as in PostgreSQL also when it is volatile or locks.
        let joins = matches!(kind, ApplyKind::Join { .. });
        let correlated =
            *self.correlated.get_or_insert_with(|| subplan.refers_to_outer(1) || (joins && subplan.is_volatile()));
        run.eval.outer.insert(0, Arc::from(row.as_slice()));
        let mut operator = run.build(subplan);
        let rows = drain(&mut *operator, subplan, run).await;
        run.eval.outer.remove(0);
        let rows = Arc::new(rows?);
        if correlated {
            // Gone before the next row's are read.
            run.state.memory.free_bytes(rows.iter().map(super::memory::row_bytes).sum());
        } else {
            self.constant = Some(rows.clone());
        }
        Ok(rows)
    }
}

#[async_trait]
impl Operator for Apply {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Apply { input, subplan, kind } = plan else { return Err(mismatch()) };
        while let Some(batch) = self.input.next(input, run).await? {
            let mut output = Vec::with_capacity(batch.len());
            for mut row in batch {
                run.check()?;
                let rows = self.subrows(&row, subplan, kind, run).await?;
                match kind {
                    ApplyKind::Join { left, on } => {
                        let before = output.len();
                        for other in rows.iter() {
                            let mut pair = row.clone();
                            pair.extend_from_slice(other);
                            if on.as_ref().map_or(Ok(true), |on| on.eval_filter(&pair, run.eval))? {
                                output.push(pair);
                            }
                        }
                        if *left && output.len() == before {
                            row.resize(row.len() + subplan.width(), Value::Null);
                            output.push(row);
                        }
                    }
                    _ => {
                        let value = value(kind, &row, &rows, run)?;
                        row.push(value);
                        output.push(row);
                    }
                }
            }
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }
}

/// What a subquery is worth as an expression.
fn value(kind: &ApplyKind, row: &Row, rows: &[Row], run: &Run<'_>) -> Result<Value> {
    match kind {
        ApplyKind::Scalar { .. } => match rows {
            [] => Ok(Value::Null),
            [one] => Ok(one.first().cloned().unwrap_or_default()),
            _ => {
                let message = "more than one row returned by a subquery used as an expression";
                Err(SqlError::new(SqlState::CARDINALITY_VIOLATION, message))
            }
        },
        ApplyKind::Exists => Ok(Value::Bool(!rows.is_empty())),
        ApplyKind::Array { element } => {
            let values = rows.iter().map(|row| row.first().cloned().unwrap_or_default()).collect();
            Ok(Value::Array(Box::new(Array { element: *element, values })))
        }
        ApplyKind::Quantified { comparison, all } => {
            // Three-valued: ANY is true if one is, else unknown if one is; ALL the other way round.
            let mut unknown = false;
            for other in rows {
                let mut pair = row.clone();
                pair.extend_from_slice(other);
                match comparison.eval(&pair, run.eval)? {
                    Value::Bool(truth) if truth != *all => return Ok(Value::Bool(truth)),
                    Value::Bool(_) => {}
                    _ => unknown = true,
                }
            }
            Ok(if unknown { Value::Null } else { Value::Bool(*all) })
        }
        ApplyKind::Join { .. } => Err(mismatch()),
    }
}
