//! EXPLAIN, and EXPLAIN ANALYZE with what the transaction counted.

use super::{Run, basic::some, change, operator};
use crate::{
    error::Result,
    plan::{Statement, display},
    types::{Row, Value},
};

#[derive(Default)]
pub(crate) struct Running {
    done: bool,
}

impl Running {
    pub async fn next(&mut self, statement: &Statement, analyze: bool, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let mut lines = display::explain(statement);
        if analyze {
            lines.extend(measure(statement, run).await?);
        }
        Ok(some(lines.into_iter().map(|line| vec![Value::text(line)]).collect()))
    }
}

/// Runs the statement and tells what it took. Its changes are made, as in PostgreSQL.
async fn measure(statement: &Statement, run: &mut Run<'_>) -> Result<Vec<String>> {
    let before = run.txn.stats();
    let started = run.eval.runtime.as_ref().map(|runtime| runtime.now());
    let mut rows = 0;
    match statement {
        Statement::Query(plan) => {
            let mut operator = operator::build(plan);
            while let Some(batch) = operator.next(plan, run).await? {
                run.check()?;
                rows += batch.len() as u64;
            }
        }
        Statement::Change(change) => {
            let mut running = change::Running::new(change);
            while running.next(change, run).await?.is_some() {}
            rows = running.affected();
        }
        Statement::Explain { .. } => {}
    }
    let after = run.txn.stats();
    let mut lines = vec![
        format!("Rows: {rows}"),
        format!("Rows Scanned: {}", run.state.scanned),
        format!("Round Trips: {}", after.round_trips - before.round_trips),
        format!("Range Requests: {}", after.range_requests - before.range_requests),
        format!("Oracle Requests: {}", after.stamps - before.stamps),
    ];
    for (name, count) in [
        ("Consensus Rounds", after.consensus_rounds - before.consensus_rounds),
        ("Refreshes", after.refreshes - before.refreshes),
        ("Lock Waits", after.lock_waits - before.lock_waits),
    ] {
        if count > 0 {
            lines.push(format!("{name}: {count}"));
        }
    }
    if let (Some(started), Some(runtime)) = (started, run.eval.runtime.as_ref()) {
        let elapsed = runtime.now().since(started);
        lines.push(format!("Execution Time: {:.3} ms", elapsed.as_secs_f64() * 1000.0));
    }
    Ok(lines)
}
