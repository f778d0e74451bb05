//! What a transaction is like: isolation level, read-only, deferrable; where that may be changed and what SHOW says of it.
//!
//! A transaction begins with the defaults of the session (`default_transaction_…`), or what BEGIN says. Until it has looked at
//! the database, `SET TRANSACTION` may change everything; then only to read-only.

use super::{Session, State, state::Transaction};
use crate::{
    error::{Result, SqlError, SqlState},
    parse::{Level, Mode},
    settings::{self, Characteristics},
};

impl Session {
    /// What a transaction that begins now is like.
    pub(super) fn default_characteristics(&self) -> Characteristics {
        Characteristics {
            level: Level::parse(self.settings.get("default_transaction_isolation")).unwrap_or(Level::Serializable),
            read_only: self.settings.is_on("default_transaction_read_only"),
            deferrable: self.settings.is_on("default_transaction_deferrable"),
        }
    }

    /// What the current transaction is like, or the next one; from now on SHOW and its kin say so too.
    pub(super) fn mirror_characteristics(&mut self) -> Characteristics {
        let current = match self.transaction() {
            Some(transaction) => transaction.characteristics,
            None => self.default_characteristics(),
        };
        self.settings.mirror(current);
        current
    }

    /// `SET TRANSACTION`.
    pub(super) async fn set_transaction(&mut self, modes: &[Mode]) -> Result<()> {
        if !matches!(self.state, State::Open(_)) {
            let message = "SET TRANSACTION can only be used in transaction blocks";
            self.notice("WARNING", SqlState::NO_ACTIVE_SQL_TRANSACTION, message);
            return Ok(());
        }
        self.apply_modes(modes).await
    }

    /// The modes of BEGIN and SET TRANSACTION, for the current transaction.
    pub(super) async fn apply_modes(&mut self, modes: &[Mode]) -> Result<()> {
        for mode in modes {
            match mode {
                Mode::AsOf(time) => Box::pin(self.move_to_the_past(time)).await?,
                Mode::Isolation(level) => self.change(|transaction| transaction.set_level(*level))?,
                Mode::ReadOnly(on) => self.change(|transaction| transaction.set_read_only(*on))?,
                Mode::Deferrable(on) => self.change(|transaction| transaction.set_deferrable(*on))?,
            }
        }
        Ok(())
    }

    fn change(&mut self, change: impl FnOnce(&mut Transaction) -> Result<()>) -> Result<()> {
        if let Some(transaction) = self.transaction() {
            change(transaction)?;
        }
        self.mirror_characteristics();
        Ok(())
    }

    /// `SET SESSION CHARACTERISTICS`.
    pub(super) fn set_default_modes(&mut self, modes: &[Mode]) -> Result<()> {
        let switch = |on: bool| if on { "on" } else { "off" };
        for mode in modes {
            let (name, value) = match mode {
                Mode::Isolation(level) => ("default_transaction_isolation", level.name()),
                Mode::ReadOnly(on) => ("default_transaction_read_only", switch(*on)),
                Mode::Deferrable(on) => ("default_transaction_deferrable", switch(*on)),
                Mode::AsOf(_) => {
                    let message = "AS OF SYSTEM TIME is no characteristic of a session";
                    return Err(SqlError::new(SqlState::SYNTAX_ERROR, message)
                        .hint("Use it with BEGIN, SET TRANSACTION or SELECT."));
                }
            };
            self.settings.set(name, Some(value), false)?;
        }
        Ok(())
    }

    /// `SET transaction_… TO value`; false when it is another setting. `None` returns to the session's default.
    pub(super) fn set_characteristic(&mut self, name: &str, value: Option<&str>) -> Result<bool> {
        let default = self.default_characteristics();
        let switch = |default: bool| match value {
            None => Ok(default),
            Some(value) => settings::parse_bool(value).ok_or_else(|| settings::not_boolean(name)),
        };
        match name {
            "transaction_isolation" => {
                let level = match value {
                    None => default.level,
                    Some(value) => Level::parse(value).ok_or_else(|| settings::invalid(name, value))?,
                };
                self.change(|transaction| transaction.set_level(level))?;
            }
            "transaction_read_only" => {
                let on = switch(default.read_only)?;
                self.change(|transaction| transaction.set_read_only(on))?;
            }
            "transaction_deferrable" => {
                let on = switch(default.deferrable)?;
                self.change(|transaction| transaction.set_deferrable(on))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Transaction {
    fn set_level(&mut self, level: Level) -> Result<()> {
        if self.characteristics.level == level {
            return Ok(());
        }
        if self.used {
            return Err(active("SET TRANSACTION ISOLATION LEVEL must be called before any query"));
        }
        if !self.savepoints.is_empty() {
            return Err(active("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction"));
        }
        self.characteristics.level = level;
        self.txn.set_isolation(level.isolation());
        Ok(())
    }

    fn set_read_only(&mut self, on: bool) -> Result<()> {
        if self.characteristics.read_only && !on {
            if !self.savepoints.is_empty() {
                return Err(active("cannot set transaction read-write mode inside a read-only transaction"));
            }
            if self.past.is_some() {
                return Err(active("a transaction AS OF SYSTEM TIME is read-only"));
            }
            if self.used {
                return Err(active("transaction read-write mode must be set before any query"));
            }
        }
        self.characteristics.read_only = on;
        Ok(())
    }

    fn set_deferrable(&mut self, on: bool) -> Result<()> {
        if !self.savepoints.is_empty() {
            return Err(active("SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction"));
        }
        if self.used {
            return Err(active("SET TRANSACTION [NOT] DEFERRABLE must be called before any query"));
        }
        // A read-only transaction cannot fail here, so there is nothing that it would have to wait for.
        self.characteristics.deferrable = on;
        Ok(())
    }
}

fn active(message: &str) -> SqlError {
    SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, message)
}
