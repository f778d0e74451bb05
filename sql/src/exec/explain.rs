//! EXPLAIN, and EXPLAIN ANALYZE with what each node took and what the transaction counted.

use super::{Run, basic::some, change, measure::Measuring};
use crate::{
    error::Result,
    plan::{ExplainOptions, Statement, display, figures::NodeKey},
    types::{Row, Value},
};

#[derive(Default)]
pub(crate) struct Running {
    done: bool,
}

impl Running {
    pub async fn next(
        &mut self,
        statement: &Statement,
        options: ExplainOptions,
        run: &mut Run<'_>,
    ) -> Result<Option<Vec<Row>>> {
        if self.done {
            return Ok(None);
        }
        self.done = true;
        let lines = if options.analyze { analyze(statement, options, run).await? } else { display::explain(statement) };
        Ok(some(lines.into_iter().map(|line| vec![Value::text(line)]).collect()))
    }
}

/// Runs the statement and tells what it took. Its changes are made, as in PostgreSQL.
async fn analyze(statement: &Statement, options: ExplainOptions, run: &mut Run<'_>) -> Result<Vec<String>> {
    let before = run.txn.stats();
    let started = run.eval.runtime.as_ref().map(|runtime| runtime.now());
    run.state.measuring = Some(Measuring::new(run.eval.runtime.clone(), options.timing));
    run.txn.set_trace(true);
    let outcome = execute(statement, run).await;
    run.txn.set_trace(false);
    let figures = run.state.measuring.take().map(Measuring::finish).unwrap_or_default();
    let rows = outcome?;
    let after = run.txn.stats();
    let mut lines = display::explain_measured(statement, figures);
    lines.extend([
        format!("Rows: {rows}"),
        format!("Rows Scanned: {}", run.state.scanned),
        format!("Round Trips: {}", after.round_trips - before.round_trips),
        format!("Range Requests: {}", after.range_requests - before.range_requests),
        format!("Oracle Requests: {}", after.stamps - before.stamps),
    ]);
    for (name, count) in [
        ("Consensus Rounds", after.consensus_rounds - before.consensus_rounds),
        ("Refreshes", after.refreshes - before.refreshes),
        ("Lock Waits", after.lock_waits - before.lock_waits),
    ] {
        if count > 0 {
            lines.push(format!("{name}: {count}"));
        }
    }
    if let (true, Some(started), Some(runtime)) = (options.summary, started, run.eval.runtime.as_ref()) {
        let elapsed = runtime.now().since(started);
        lines.push(format!("Execution Time: {:.3} ms", elapsed.as_secs_f64() * 1000.0));
    }
    Ok(lines)
}

/// The rows that it brought or changed.
async fn execute(statement: &Statement, run: &mut Run<'_>) -> Result<u64> {
    match statement {
        Statement::Query(plan) => {
            let (mut operator, mut rows) = (run.build(plan), 0);
            while let Some(batch) = operator.next(plan, run).await? {
                run.check()?;
                rows += batch.len() as u64;
            }
            Ok(rows)
        }
        Statement::Change(change) => {
            let mut running = change::Running::new(change);
            let (mut more, mut first) = (true, true);
            while more {
                let stage = run.enter(NodeKey::from(&**change));
                let batch = running.next(change, run).await;
                let returned = batch.as_ref().ok().and_then(Option::as_ref).map_or(0, Vec::len);
                run.leave(stage, returned as u64, first);
                (more, first) = (batch?.is_some(), false);
            }
            Ok(running.affected())
        }
        Statement::Explain { .. } => Ok(0),
    }
}
