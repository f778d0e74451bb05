//! Transaction blocks: BEGIN, COMMIT, ROLLBACK and savepoints.

use sqlparser::ast::Statement as Ast;

use super::{
    Session,
    prepare::failed_block,
    state::{Failed, State},
    utility::fold,
};
use crate::{
    error::{Result, SqlError, SqlState},
    parse::{Body, Mode, OwnStatement, TransactionStatement},
};

impl Session {
    async fn transaction_statement(&mut self, statement: &TransactionStatement) -> Result<String> {
        if let TransactionStatement::Begin { start, modes } = statement {
            return self.begin_block(*start, modes).await;
        }
        if matches!(self.state, State::Failed(_)) {
            return Err(failed_block());
        }
        match statement {
            TransactionStatement::Set(modes) => self.set_transaction(modes).await?,
            TransactionStatement::SetDefaults(modes) => self.set_default_modes(modes)?,
            TransactionStatement::Begin { .. } => {}
        }
        Ok("SET".to_owned())
    }

    /// BEGIN; the tag.
    async fn begin_block(&mut self, start: bool, modes: &[Mode]) -> Result<String> {
        let mut begun = false;
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {
                self.state = State::Open(self.new_transaction());
                begun = true;
            }
            // What the pipeline has done so far becomes part of the block.
            State::Implicit(transaction) => self.state = State::Open(transaction),
            State::Open(transaction) => {
                self.state = State::Open(transaction);
                let message = "there is already a transaction in progress";
                self.notice("WARNING", SqlState::ACTIVE_SQL_TRANSACTION, message);
            }
            State::Failed(failed) => {
                self.state = State::Failed(failed);
                return Err(failed_block());
            }
        }
        if let Err(error) = self.apply_modes(modes).await {
            if begun {
                self.state = State::Idle;
            }
            return Err(error);
        }
        Ok(if start { "START TRANSACTION" } else { "BEGIN" }.to_owned())
    }

    /// Runs a statement of `Class::Control`; the tag.
    pub(super) async fn control(&mut self, body: &Body) -> Result<String> {
        let syntax = match body {
            Body::Sql(syntax) => &**syntax,
            Body::Own(own) => {
                let OwnStatement::Transaction(statement) = &**own else {
                    return Err(SqlError::internal("not a statement of transaction control"));
                };
                return self.transaction_statement(statement).await;
            }
            Body::SplitAt { .. } | Body::Empty => {
                return Err(SqlError::internal("not a statement of transaction control"));
            }
        };
        match syntax {
            Ast::Commit { chain, .. } => self.end_block(true, *chain).await,
            Ast::Rollback { chain, savepoint: None } => self.end_block(false, *chain).await,
            Ast::Rollback { savepoint: Some(name), .. } => {
                self.rollback_to(&fold(name))?;
                Ok("ROLLBACK".to_owned())
            }
            Ast::Savepoint { name } => {
                let settings = self.settings.mark();
                match &mut self.state {
                    State::Open(transaction) => {
                        transaction.set_savepoint(&fold(name), settings);
                        Ok("SAVEPOINT".to_owned())
                    }
                    State::Failed(_) => Err(failed_block()),
                    _ => Err(outside_block("SAVEPOINT")),
                }
            }
            Ast::ReleaseSavepoint { name } => match &mut self.state {
                State::Open(transaction) => {
                    if transaction.release(&fold(name)) {
                        Ok("RELEASE".to_owned())
                    } else {
                        Err(no_savepoint(&fold(name)))
                    }
                }
                State::Failed(_) => Err(failed_block()),
                _ => Err(outside_block("RELEASE SAVEPOINT")),
            },
            _ => Err(SqlError::internal("not a statement of transaction control")),
        }
    }

    /// COMMIT or ROLLBACK of whatever is open. With `chain` the next block begins at once, and is like this one.
    async fn end_block(&mut self, commit: bool, chain: bool) -> Result<String> {
        if chain && matches!(self.state, State::Idle | State::Implicit(_)) {
            return Err(outside_block(if commit { "COMMIT AND CHAIN" } else { "ROLLBACK AND CHAIN" }));
        }
        let (tag, characteristics) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {
                self.notice("WARNING", SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                return Ok(if commit { "COMMIT" } else { "ROLLBACK" }.to_owned());
            }
            State::Implicit(transaction) => {
                self.notice("WARNING", SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                return self.end(*transaction, commit).await;
            }
            State::Open(transaction) => {
                let characteristics = transaction.characteristics;
                (self.end(*transaction, commit).await?, characteristics)
            }
            State::Failed(Failed { transaction, settings, characteristics }) => {
                self.settings.return_to(settings);
                if let Some(transaction) = transaction {
                    transaction.txn.rollback().await;
                }
                ("ROLLBACK".to_owned(), characteristics)
            }
        };
        if chain {
            self.state = State::Open(self.transaction_like(characteristics));
        }
        Ok(tag)
    }

    async fn end(&mut self, transaction: super::Transaction, commit: bool) -> Result<String> {
        if commit {
            self.commit(transaction).await?;
            return Ok("COMMIT".to_owned());
        }
        self.settings.return_to(transaction.settings);
        transaction.txn.rollback().await;
        Ok("ROLLBACK".to_owned())
    }

    fn rollback_to(&mut self, name: &str) -> Result<()> {
        let keep_writes = self.database.options.faults.drop_savepoint_undo;
        let settings = match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(mut transaction) => {
                let settings = transaction.rollback_to(name, keep_writes);
                self.state = State::Open(transaction);
                settings
            }
            State::Failed(Failed { transaction: Some(mut transaction), settings: before, characteristics }) => {
                let settings = transaction.rollback_to(name, keep_writes);
                // Only a return that succeeds ends the failure.
                self.state = match settings {
                    Some(_) => State::Open(transaction),
                    None => State::Failed(Failed { transaction: Some(transaction), settings: before, characteristics }),
                };
                settings
            }
            State::Failed(failed) => {
                self.state = State::Failed(failed);
                None
            }
            other => {
                self.state = other;
                return Err(outside_block("ROLLBACK TO SAVEPOINT"));
            }
        };
        let settings = settings.ok_or_else(|| no_savepoint(name))?;
        self.settings.return_to(settings);
        self.mirror_characteristics();
        Ok(())
    }
}

fn outside_block(command: &str) -> SqlError {
    let message = format!("{command} can only be used in transaction blocks");
    SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message)
}

fn no_savepoint(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist"))
}
