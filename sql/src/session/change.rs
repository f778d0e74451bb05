//! Schema changes within a session.

use std::{pin::pin, sync::Arc};

use super::{
    Portal, Session,
    portal::Run,
    prepare::failed_block,
    run::{Advance, read_only},
};
use crate::{
    catalog::change::{self, Change},
    error::Result,
};

impl Session {
    pub(super) async fn change_schema(&mut self, portal: &mut Portal) -> Result<Advance> {
        portal.run = Run::Done;
        let parsed = Arc::clone(&portal.prepared.statement.parsed);
        let canceller = self.activity.canceller.clone();
        let runtime = Arc::clone(&self.database.client.runtime);
        let timeout = self.statement_timeout();
        let Some(transaction) = self.transaction() else { return Err(failed_block()) };
        if transaction.characteristics.read_only {
            return Err(read_only(change::tag(&parsed.body)));
        }
        if change::changes_catalog(&parsed.body) {
            transaction.forget_catalog();
            let begin = transaction.changes.begin(&mut transaction.txn);
            canceller.guard(&*runtime, timeout, pin!(begin)).await?;
        }
        let mut environment = self.environment().await?;
        let database = Arc::clone(&self.database);
        let mut notices = Vec::new();
        let Some(transaction) = self.transaction() else { return Err(failed_block()) };
        let mut change = Change {
            database: &database,
            txn: &mut transaction.txn,
            state: &mut transaction.changes,
            catalog: environment.sequences.catalog.clone(),
            environment: &mut environment,
            notices: &mut notices,
            canceller: &canceller,
            source: &parsed.source,
            rows: Vec::new(),
        };
        let tag = canceller.guard(&*runtime, timeout, pin!(change.run(&parsed.body))).await;
        let rows = std::mem::take(&mut change.rows);
        transaction.forget_catalog();
        self.notices.append(&mut notices);
        Ok(Advance::Finished(rows, tag?))
    }
}
