//! `AS OF SYSTEM TIME`: transactions that read the database as it was. They take no locks, write nothing, and see the catalog
//! of their time too, but with the rights of the present: what was taken from a role is not to be had by asking for yesterday.

use std::sync::Arc;

use base::Timestamp;
use jiff::tz::TimeZone;
use sqlparser::ast;
use txn::Txn;

use super::{Session, State, prepare::failed_block, run::POSTGRES_EPOCH_MICROS};
use crate::{
    bind,
    catalog::Snapshot,
    error::{Result, SqlError, SqlState},
    expr::EvalContext,
    types::{DataType, Value, interval},
};

/// How far behind the present `follower_read_timestamp()` stands: any replica is expected to know all of that time.
pub(crate) const FOLLOWER_LAG_MICROS: i64 = 4_800_000;

impl Session {
    /// Begins the implicit transaction of a query of the past.
    pub(super) async fn begin_in_the_past(&mut self, time: &ast::Expr) -> Result<()> {
        match &self.state {
            State::Idle => {
                self.ensure_transaction();
                self.move_to_the_past(time).await
            }
            // The pipeline's earlier steps (its Parse, at least) have moved it there.
            State::Implicit(transaction) if transaction.past.is_some() => Ok(()),
            State::Failed(_) => Err(failed_block()),
            State::Implicit(_) | State::Open(_) => {
                let message = "AS OF SYSTEM TIME cannot be used by a single statement of a transaction";
                Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, message)
                    .hint("Use BEGIN AS OF SYSTEM TIME or SET TRANSACTION AS OF SYSTEM TIME."))
            }
        }
    }

    /// Makes the current transaction, which has not looked at anything yet, one of the past.
    pub(super) async fn move_to_the_past(&mut self, time: &ast::Expr) -> Result<()> {
        let unused =
            self.transaction().is_some_and(|transaction| !transaction.used && transaction.savepoints.is_empty());
        if !unused {
            let message = "AS OF SYSTEM TIME must be set before any query";
            return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        // The present as the oracle tells it: clocks of gateways order nothing.
        let mut present = self.database.client.begin();
        let now = present.stamp().await?.timestamp;
        let found = self.past_timestamp(&mut present, time, now).await;
        present.rollback().await;
        let (at, rights) = found?;
        let txn = self.database.client.begin_at(at);
        if let Some(transaction) = self.transaction() {
            transaction.txn = txn;
            transaction.past = Some(rights);
            transaction.characteristics.read_only = true;
        }
        self.mirror_characteristics();
        Ok(())
    }

    /// The last timestamp of the time meant, and the catalog of now.
    async fn past_timestamp(
        &mut self,
        present: &mut Txn,
        time: &ast::Expr,
        now: Timestamp,
    ) -> Result<(Timestamp, Arc<Snapshot>)> {
        let snapshot = self.database.catalog.snapshot(present).await?;
        let (view, catalog) = self.view(&snapshot);
        let now_micros = now.millis() as i64 * 1000 - POSTGRES_EPOCH_MICROS;
        let context = EvalContext {
            transaction_micros: now_micros,
            statement_micros: now_micros,
            runtime: Some(self.database.client.runtime.clone()),
            ..EvalContext::new(Arc::clone(&view))
        };
        let text = time.to_string();
        let evaluate = |ty: DataType| bind::bind_expression(&text, None, Some((ty, -1)), &catalog)?.eval(&[], &context);
        // A text may be either; an interval is the likelier one, and few texts are both.
        let value = evaluate(DataType::INTERVAL).or_else(|_| evaluate(DataType::TIMESTAMPTZ))?;
        let micros = match value {
            Value::Interval(interval) => interval::add_to_timestamptz(now_micros, interval, &TimeZone::UTC)?,
            Value::TimestampTz(micros) => micros,
            _ => return Err(invalid("it is NULL")),
        };
        let millis = micros.checked_add(POSTGRES_EPOCH_MICROS).and_then(|micros| u64::try_from(micros / 1000).ok());
        let Some(millis) = millis else { return Err(invalid("it is out of range")) };
        if millis >= now.millis() {
            return Err(invalid("it is not in the past"));
        }
        let retention = self.database.options.retention.as_millis() as u64;
        if millis < now.millis().saturating_sub(retention) {
            return Err(too_old().detail(format!("Old versions of rows are kept for {} seconds.", retention / 1000)));
        }
        Ok((Timestamp::from_millis(millis + 1).prev(), snapshot))
    }
}

/// Versions of that time may be gone.
fn too_old() -> SqlError {
    SqlError::new(SqlState::SNAPSHOT_TOO_OLD, "AS OF SYSTEM TIME is too far in the past")
}

fn invalid(why: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid AS OF SYSTEM TIME: {why}"))
}
