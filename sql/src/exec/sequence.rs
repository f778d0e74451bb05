//! `nextval` and its kin, and `pg_sleep`: calls that wait for something.

use std::time::Duration;

use async_trait::async_trait;
use base::TableId;

use super::{Run, basic::eval_all, mismatch, operator::Operator};
use crate::{
    error::{Result, SqlError},
    plan::{Plan, SequenceCall, SequenceFunction},
    types::{Row, Value},
};

const LONGEST_SLEEP: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(crate) struct Sequence {
    pub input: Box<dyn Operator>,
}

#[async_trait]
impl Operator for Sequence {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        let Plan::Sequence { input, calls } = plan else { return Err(mismatch()) };
        let Some(mut batch) = self.input.next(input, run).await? else { return Ok(None) };
        extend(&mut batch, calls, run).await?;
        Ok(Some(batch))
    }
}

/// Appends one value a call to each row.
pub(crate) async fn extend(batch: &mut [Row], calls: &[SequenceCall], run: &mut Run<'_>) -> Result<()> {
    for row in batch {
        run.check()?;
        for call in calls {
            let args = eval_all(&call.args, row, run.eval)?;
            row.push(value(call.function, &args, run).await?);
        }
    }
    Ok(())
}

async fn value(function: SequenceFunction, args: &[Value], run: &mut Run<'_>) -> Result<Value> {
    if args.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let value = match (function, args) {
        (SequenceFunction::LastValue, []) => run.sequences.last_value().await?,
        (SequenceFunction::NextValue, [Value::Oid(oid)]) => run.sequences.next_value(TableId(*oid), run.txn).await?,
        (SequenceFunction::CurrentValue, [Value::Oid(oid)]) => run.sequences.current_value(TableId(*oid)).await?,
        (SequenceFunction::SetValue, [Value::Oid(oid), Value::Int8(value), rest @ ..]) => {
            let is_called = !matches!(rest, [Value::Bool(false)]);
            run.sequences.set_value(TableId(*oid), *value, is_called, run.txn).await?
        }
        (SequenceFunction::Sleep, [Value::Float8(seconds)]) => return sleep(*seconds, run).await,
        _ => return Err(SqlError::internal("a sequence function with arguments of other types")),
    };
    Ok(Value::Int8(value))
}

/// Whoever cancels the statement drops this wherever it is.
async fn sleep(seconds: f64, run: &mut Run<'_>) -> Result<Value> {
    // As in PostgreSQL: not at all for what is negative or not a number, for ever for what is too much.
    let pause = Duration::try_from_secs_f64(seconds.max(0.0).min(LONGEST_SLEEP.as_secs_f64())).unwrap_or_default();
    run.eval.runtime()?.sleep(pause).await;
    Ok(Value::text(""))
}
