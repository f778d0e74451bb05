//! Sorting in memory; with a limit only the first rows are kept.

use std::cmp::Ordering;

use async_trait::async_trait;

use super::{
    BATCH_ROWS, Run,
    basic::{row_count, some},
    memory::row_bytes,
    mismatch,
    operator::Operator,
};
use crate::{
    error::Result,
    expr::EvalContext,
    plan::{Plan, SortKey},
    types::{Row, Value},
};

pub(crate) struct Sort {
    input: Box<dyn Operator>,
    sorted: Option<std::vec::IntoIter<Row>>,
}

impl Sort {
    pub fn new(input: Box<dyn Operator>) -> Sort {
        Sort { input, sorted: None }
    }

    async fn sort(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Vec<Row>> {
        let Plan::Sort { input, keys, limit } = plan else { return Err(mismatch()) };
        let most = row_count(limit.as_ref(), "LIMIT", run.eval)?.and_then(|count| usize::try_from(count).ok());
        let mut rows: Vec<(Vec<Value>, Row)> = Vec::new();
        while let Some(batch) = self.input.next(input, run).await? {
            run.check()?;
            run.state.memory.add(&batch)?;
            for row in batch {
                rows.push((sort_values(keys, &row, run.eval)?, row));
            }
            // Keep a top-N within twice its size.
            if let Some(most) = most
                && rows.len() > 2 * most.max(BATCH_ROWS)
            {
                rows.sort_by(|a, b| compare(keys, &a.0, &b.0));
                let dropped: usize = rows.drain(most..).map(|(_, row)| row_bytes(&row)).sum();
                run.state.memory.free_bytes(dropped);
            }
        }
        rows.sort_by(|a, b| compare(keys, &a.0, &b.0));
        rows.truncate(most.unwrap_or(usize::MAX));
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

#[async_trait]
impl Operator for Sort {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        if self.sorted.is_none() {
            self.sorted = Some(self.sort(plan, run).await?.into_iter());
        }
        let sorted = self.sorted.iter_mut().flatten();
        Ok(some(sorted.take(BATCH_ROWS).collect()))
    }
}

pub(crate) fn sort_values(keys: &[SortKey], row: &[Value], eval: &EvalContext) -> Result<Vec<Value>> {
    keys.iter().map(|key| key.expr.eval(row, eval)).collect()
}

pub(crate) fn compare(keys: &[SortKey], a: &[Value], b: &[Value]) -> Ordering {
    keys.iter()
        .zip(a.iter().zip(b))
        .map(|(key, (a, b))| a.cmp_sort(b, key.descending, key.nulls_first))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}
