//! Runs one portal: implicit transactions with their retries, batches of rows, the end.

use std::{pin::pin, sync::Arc, time::Duration};

use sqlparser::ast;

use super::{
    Ending, Environment, Portal, Prepared, Session, Statement, Step,
    portal::{Run, Running, row_bytes},
    prepare::failed_block,
    state::{State, Transaction},
    utility::{self, Class},
};
use crate::{
    catalog::{functions::SessionFunctions, sequence::StatementSequences, system::SystemViews},
    error::{Result, SqlError, SqlState},
    exec,
    expr::EvalContext,
    parse::Body,
    settings::Characteristics,
    types::{Row, Value},
};

/// 2000-01-01 UTC in microseconds since 1970: where SQL's timestamps count from.
pub(crate) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Rows gathered before a step is handed out. A statement that ends within these bounds can be repeated unnoticed.
const STEP_ROWS: usize = 5000;
const STEP_BYTES: usize = 2 << 20;

/// How far a statement has come.
pub(super) enum Advance {
    Finished(Vec<Row>, String),
    /// Rows, or the beginning of COPY: something leaves and the portal goes on.
    Step(Step),
}

impl Session {
    pub(super) async fn execute_portal(
        &mut self,
        portal: &mut Portal,
        max_rows: usize,
        ending: Ending,
    ) -> Result<Step> {
        match &portal.run {
            Run::Ready => {}
            Run::Rows(running) => {
                let serial = running.serial;
                if self.transaction().is_none_or(|transaction| transaction.serial != serial) {
                    return Err(SqlError::new(SqlState::INVALID_CURSOR_NAME, "portal does not exist"));
                }
                let advance = self.advance(portal, max_rows).await?;
                return self.conclude(advance, ending).await;
            }
            Run::CopyOut(_) => {
                let advance = Box::pin(self.advance_copy_out(portal)).await?;
                return self.conclude(advance, ending).await;
            }
            Run::CopyIn(_) => return Err(SqlError::internal("COPY FROM STDIN waits for data")),
            Run::Done => {
                let message = "portal cannot be run";
                return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
        }
        let parsed = Arc::clone(&portal.prepared.statement.parsed);
        if let Body::Empty = &parsed.body {
            portal.run = Run::Done;
            return Ok(Step::Empty);
        }
        match (utility::classify(&parsed.body), &parsed.body) {
            (Class::Control, body) => {
                portal.run = Run::Done;
                let tag = self.control(body).await?;
                Ok(Step::Complete(Vec::new(), tag))
            }
            _ if matches!(self.state, State::Failed(_)) => Err(failed_block()),
            (Class::Session, Body::Sql(syntax)) => {
                portal.run = Run::Done;
                if let Some(tag) = Box::pin(self.identity_statement(syntax)).await? {
                    return self.conclude(Advance::Finished(Vec::new(), tag.to_owned()), ending).await;
                }
                let (rows, tag) = self.session_statement(syntax)?;
                Ok(Step::Complete(rows, tag))
            }
            _ => self.run_transactional(portal, max_rows, ending).await,
        }
    }

    /// Runs a statement within the open transaction, or within an implicit one that is begun for it. Where the cluster asks
    /// for it, and as long as nobody has seen anything of the transaction, it is begun anew and the statement repeated; with
    /// [`Ending::Commit`] also when the commit asks for it.
    async fn run_transactional(&mut self, portal: &mut Portal, max_rows: usize, ending: Ending) -> Result<Step> {
        let seen = self.transaction().is_some_and(|transaction| transaction.handed_out);
        let repeatable = !seen || self.database.options.faults.retry_after_handed_out;
        let mut attempt = 0;
        loop {
            self.ensure_transaction_for(&portal.prepared.statement).await?;
            let outcome = match self.begin_portal(portal, max_rows).await {
                Ok(advance) => self.conclude(advance, ending).await,
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(step) => return Ok(step),
                Err(error) => error,
            };
            attempt += 1;
            if !repeatable || !error.fields().retryable {
                return Err(error);
            }
            if attempt >= self.database.options.attempts_max {
                return Err(error.final_answer());
            }
            self.retries += 1;
            Box::pin(self.restart_transaction()).await;
            portal.run = Run::Ready;
            self.back_off(attempt).await?;
        }
    }

    /// Puts a new transaction in the place of one that has failed: an implicit one is begun with the next statement.
    async fn restart_transaction(&mut self) {
        if !matches!(self.state, State::Open(_)) {
            return self.fail().await;
        }
        self.serial += 1;
        let serial = self.serial;
        let client = self.database.client.clone();
        let activity = Arc::clone(&self.activity);
        if let Some(transaction) = self.transaction() {
            let txn = client.begin_with(transaction.characteristics.level.isolation());
            activity.now.lock().transaction = Some(txn.id());
            transaction.restart(txn, serial).rollback().await;
        }
    }

    /// Waits a random while, longer after each attempt.
    pub(super) async fn back_off(&mut self, attempt: u32) -> Result<()> {
        let runtime = Arc::clone(&self.database.client.runtime);
        let limit = 1u64 << attempt.min(8);
        let sleep = runtime.sleep(Duration::from_millis(runtime.random_u64() % limit));
        let canceller = self.activity.canceller.clone();
        canceller
            .guard(
                &*runtime,
                None,
                pin!(async {
                    sleep.await;
                    Ok(())
                }),
            )
            .await
    }

    /// What follows from an advance: the implicit transaction ends, or it is noted that something has left.
    async fn conclude(&mut self, advance: Advance, ending: Ending) -> Result<Step> {
        let step = match advance {
            Advance::Finished(rows, tag) => {
                if ending == Ending::Commit && matches!(self.state, State::Implicit(_)) {
                    self.commit_implicit().await?;
                }
                Step::Complete(rows, tag)
            }
            Advance::Step(step) => step,
        };
        if let Some(transaction) = self.transaction() {
            transaction.handed_out = true;
        }
        Ok(step)
    }

    /// Commits the implicit transaction. Not cancelled half way: its outcome would be unknown.
    pub(super) async fn commit_implicit(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Implicit(transaction) => self.commit(*transaction).await,
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    pub(super) async fn commit(&mut self, transaction: Transaction) -> Result<()> {
        let Transaction { txn, changes, settings, .. } = transaction;
        let wrote = !txn.is_read_only();
        match txn.commit().await {
            Ok(commit) => {
                if wrote {
                    self.activity.now.lock().last_commit = Some(commit);
                }
                self.indelible += 1;
                self.settings.end_local();
                changes.after_commit(&self.database).await;
                Ok(())
            }
            Err(error) => {
                self.settings.return_to(settings);
                Err(error.into())
            }
        }
    }

    /// Begins the implicit transaction of a statement where none is open: in the past, if the statement says so.
    pub(super) async fn ensure_transaction_for(&mut self, statement: &Statement) -> Result<()> {
        if let Some(time) = &statement.parsed.as_of {
            return Box::pin(self.begin_in_the_past(time)).await;
        }
        self.ensure_transaction();
        Ok(())
    }

    /// Begins the implicit transaction where none is open.
    pub(super) fn ensure_transaction(&mut self) {
        if matches!(self.state, State::Idle) {
            let transaction = self.new_transaction();
            self.state = State::Implicit(transaction);
        }
    }

    pub(super) fn new_transaction(&mut self) -> Box<Transaction> {
        let characteristics = self.default_characteristics();
        self.transaction_like(characteristics)
    }

    pub(super) fn transaction_like(&mut self, characteristics: Characteristics) -> Box<Transaction> {
        self.serial += 1;
        let txn = self.database.client.begin_with(characteristics.level.isolation());
        self.activity.now.lock().transaction = Some(txn.id());
        self.settings.mirror(characteristics);
        let mark = self.settings.mark();
        Box::new(Transaction::new(txn, self.serial, mark, self.now_micros(), characteristics))
    }

    pub(super) fn now_micros(&self) -> i64 {
        self.database.client.runtime.wall_micros() - POSTGRES_EPOCH_MICROS
    }

    /// What `statement_timeout` leaves for the statement that runs.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        let timeout = self.timeout_of("statement_timeout")?;
        let now = self.database.client.runtime.now();
        let used = self.statement_start.map_or(Duration::ZERO, |start| now.since(start));
        Some(timeout.saturating_sub(used))
    }

    /// A setting in milliseconds; 0 means that there is none.
    pub(super) fn timeout_of(&self, name: &'static str) -> Option<Duration> {
        let millis = self.settings.number(name).unsigned_abs();
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// A statement that reads or writes the database begins, or is `preparing`: at READ COMMITTED at a time of its own.
    pub(super) fn begin_statement(&mut self, preparing: bool) -> Result<()> {
        let lock_timeout = self.timeout_of("lock_timeout");
        let transaction = self.transaction().ok_or_else(failed_block)?;
        transaction.begin_statement(preparing);
        transaction.txn.set_lock_timeout(lock_timeout);
        Ok(())
    }

    /// Starts a statement that needs a transaction, and runs it as far as one step goes. What is rare is boxed, so that it does
    /// not make the future of every statement large.
    async fn begin_portal(&mut self, portal: &mut Portal, max_rows: usize) -> Result<Advance> {
        let parsed = Arc::clone(&portal.prepared.statement.parsed);
        // A cursor goes on reading at the time of its declaration.
        if !matches!(&parsed.body, Body::Sql(syntax) if matches!(**syntax, ast::Statement::Fetch { .. })) {
            self.begin_statement(false)?;
        }
        let syntax = match &parsed.body {
            Body::Sql(syntax) => &**syntax,
            Body::SplitAt { .. } | Body::Own(_) | Body::Empty => return Box::pin(self.change_schema(portal)).await,
        };
        match syntax {
            ast::Statement::Copy { .. } => Box::pin(self.begin_copy(portal, syntax)).await,
            ast::Statement::Prepare { name, data_types, statement } => {
                Box::pin(self.prepare_named(name, data_types, statement)).await
            }
            ast::Statement::Execute { .. } => Box::pin(self.execute_named(portal, syntax, max_rows)).await,
            ast::Statement::Declare { .. } | ast::Statement::Fetch { .. } => {
                Box::pin(self.cursor_statement(portal, syntax)).await
            }
            syntax if crate::bind::is_plannable(syntax) => {
                let prepared = Arc::clone(&portal.prepared);
                let parameters = Arc::clone(&portal.parameters);
                self.start_plan(portal, &prepared, parameters).await?;
                self.advance(portal, max_rows).await
            }
            _ => Box::pin(self.change_schema(portal)).await,
        }
    }

    /// Makes the portal run the plan of a prepared statement.
    pub(super) async fn start_plan(
        &mut self,
        portal: &mut Portal,
        prepared: &Prepared,
        parameters: Arc<[Value]>,
    ) -> Result<()> {
        let planned = self.planned(prepared).await?;
        let mut environment = self.environment().await?;
        environment.parameters(parameters);
        let Some(transaction) = self.transaction() else { return Err(failed_block()) };
        if transaction.characteristics.read_only
            && let Some(command) = planned.statement.writes()
        {
            return Err(read_only(command));
        }
        let running = Running {
            serial: transaction.serial,
            stamp: transaction.txn.stamp().await?,
            cursor: exec::start(Arc::clone(&planned.statement)),
            planned,
            environment,
            pending: Default::default(),
        };
        portal.run = Run::Rows(Box::new(running));
        Ok(())
    }

    /// What expressions and operators of the next statement see besides the transaction.
    pub(super) async fn environment(&mut self) -> Result<Environment> {
        let snapshot = self.snapshot().await?;
        let (view, catalog) = self.view(&snapshot);
        let now = self.now_micros();
        let (transaction_micros, own) = match self.transaction() {
            Some(transaction) => (transaction.micros, transaction.changes.own_sequences().clone()),
            None => return Err(failed_block()),
        };
        let functions =
            SessionFunctions::new(Arc::clone(&self.database), catalog.clone(), Arc::clone(&self.pending_settings));
        Ok(Environment {
            eval: EvalContext {
                transaction_micros,
                statement_micros: now,
                runtime: Some(Arc::clone(&self.database.client.runtime)),
                catalog: Some(Arc::new(functions)),
                ..EvalContext::new(Arc::clone(&view))
            },
            system: SystemViews::new(Arc::clone(&self.database), catalog.clone(), &self.settings),
            sequences: StatementSequences {
                cache: Arc::clone(&self.database.sequences),
                memory: Arc::clone(&self.sequences),
                catalog,
                own,
                user: view.user.clone(),
            },
            memory_bytes_max: self.database.options.statement_memory_bytes_max,
        })
    }

    /// Runs a plan on: to its end, to `max_rows` rows (0: any number), or until a step is full.
    pub(super) async fn advance(&mut self, portal: &mut Portal, max_rows: usize) -> Result<Advance> {
        let Run::Rows(running) = &mut portal.run else {
            return Err(SqlError::internal("a portal without a plan was advanced"));
        };
        let canceller = self.activity.canceller.clone();
        let runtime = Arc::clone(&self.database.client.runtime);
        let timeout = self.statement_timeout();
        let Some(transaction) = self.transaction() else { return Err(failed_block()) };
        let limit = if max_rows == 0 { usize::MAX } else { max_rows };
        // At READ COMMITTED a cursor goes on reading at the time of its own statement.
        let current = transaction.txn.resume_statement(running.stamp);
        let gather = gather(running, transaction, &canceller, limit);
        let gathered = canceller.guard(&*runtime, timeout, pin!(gather)).await;
        if let (Some(current), Some(transaction)) = (current, self.transaction()) {
            transaction.txn.resume_statement(current);
        }
        let (rows, ended) = gathered?;
        let tag = ended.then(|| running.planned.statement.tag(running.cursor.affected()));
        self.apply_pending_settings()?;
        match tag {
            Some(tag) => {
                portal.run = Run::Done;
                Ok(Advance::Finished(rows, tag))
            }
            None if rows.len() >= limit => Ok(Advance::Step(Step::Suspended(rows))),
            None => Ok(Advance::Step(Step::Rows(rows))),
        }
    }

    /// Applies what `set_config` asked for.
    fn apply_pending_settings(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut *self.pending_settings.lock());
        for setting in pending {
            self.settings.set(&setting.name, Some(&setting.value), setting.local)?;
        }
        Ok(())
    }
}

/// Gathers rows up to `limit` or a full step; true when the plan has ended.
async fn gather(
    running: &mut Running,
    transaction: &mut Transaction,
    canceller: &super::Canceller,
    limit: usize,
) -> Result<(Vec<Row>, bool)> {
    let mut rows: Vec<Row> = Vec::new();
    let mut bytes = 0;
    loop {
        let room = limit.min(STEP_ROWS) - rows.len();
        let take = running.pending.len().min(room);
        bytes += running.pending.iter().take(take).map(row_bytes).sum::<usize>();
        rows.extend(running.pending.drain(..take));
        if rows.len() >= limit || rows.len() >= STEP_ROWS || bytes >= STEP_BYTES {
            return Ok((rows, false));
        }
        let mut context = running.environment.context(&mut transaction.txn, canceller.flag());
        match running.cursor.next_batch(&mut context).await? {
            Some(batch) => running.pending.extend(batch),
            None => return Ok((rows, true)),
        }
    }
}

/// The refusal of a read-only transaction.
pub(super) fn read_only(command: &str) -> SqlError {
    let message = format!("cannot execute {command} in a read-only transaction");
    SqlError::new(SqlState::READ_ONLY_SQL_TRANSACTION, message)
}
