//! Transaction blocks: BEGIN, COMMIT, ROLLBACK and savepoints.

use sqlparser::ast::Statement as Ast;

use super::{
    Session,
    prepare::failed_block,
    state::{Failed, State},
    utility::fold,
};
use crate::error::{Result, SqlError, SqlState};

impl Session {
    /// Runs a statement of `Class::Control`; the tag.
    pub(super) async fn control(&mut self, syntax: &Ast) -> Result<String> {
        match syntax {
            Ast::StartTransaction { modes, begin, .. } => {
                match std::mem::replace(&mut self.state, State::Idle) {
                    State::Idle => self.state = State::Open(self.new_transaction()),
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
                self.transaction_modes(modes);
                Ok(if *begin { "BEGIN" } else { "START TRANSACTION" }.to_owned())
            }
            Ast::Commit { chain, .. } => {
                let tag = self.end_block(true).await?;
                self.chain(*chain, tag)
            }
            Ast::Rollback { chain, savepoint: None } => {
                let tag = self.end_block(false).await?;
                self.chain(*chain, tag)
            }
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

    /// COMMIT or ROLLBACK of whatever is open.
    async fn end_block(&mut self, commit: bool) -> Result<String> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {
                self.notice("WARNING", SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                Ok(if commit { "COMMIT" } else { "ROLLBACK" }.to_owned())
            }
            State::Implicit(transaction) => {
                self.notice("WARNING", SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                self.end(*transaction, commit).await
            }
            State::Open(transaction) => self.end(*transaction, commit).await,
            State::Failed(Failed { transaction, settings }) => {
                self.settings.return_to(settings);
                if let Some(transaction) = transaction {
                    transaction.txn.rollback().await;
                }
                Ok("ROLLBACK".to_owned())
            }
        }
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

    /// `AND CHAIN`: the next block begins at once.
    fn chain(&mut self, chain: bool, tag: String) -> Result<String> {
        if chain {
            self.state = State::Open(self.new_transaction());
        }
        Ok(tag)
    }

    fn rollback_to(&mut self, name: &str) -> Result<()> {
        let settings = match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(mut transaction) => {
                let settings = transaction.rollback_to(name);
                self.state = State::Open(transaction);
                settings
            }
            State::Failed(Failed { transaction: Some(mut transaction), settings: before }) => {
                let settings = transaction.rollback_to(name);
                // Only a return that succeeds ends the failure.
                self.state = match settings {
                    Some(_) => State::Open(transaction),
                    None => State::Failed(Failed { transaction: Some(transaction), settings: before }),
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
