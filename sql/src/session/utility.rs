//! What kind of statement something is, and the small ones that need no transaction.

use sqlparser::ast::{self, Statement as Ast};

use super::{Session, state::State};
use crate::{
    error::{Result, SqlError, SqlState},
    parse::{Body, OwnStatement},
    plan::OutputColumn,
    types::{DataType, Row},
};

/// How a statement is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Begins or ends transactions, or says what they are like.
    Control,
    /// Changes or shows the session only.
    Session,
    /// Reads or writes the database.
    Transactional,
}

pub(super) fn classify(body: &Body) -> Class {
    let syntax = match body {
        Body::Sql(syntax) => &**syntax,
        Body::Own(own) => {
            return match &**own {
                OwnStatement::Transaction(_) => Class::Control,
                OwnStatement::Maintenance { .. }
                | OwnStatement::AlterSequence(_)
                | OwnStatement::TransferLeader { .. }
                | OwnStatement::Role(_) => Class::Transactional,
            };
        }
        Body::SplitAt { .. } | Body::Empty => return Class::Transactional,
    };
    match syntax {
        Ast::Commit { .. } | Ast::Rollback { .. } | Ast::Savepoint { .. } | Ast::ReleaseSavepoint { .. } => {
            Class::Control
        }
        Ast::Set(_)
        | Ast::Reset(_)
        | Ast::ShowVariable { .. }
        | Ast::ShowVariables { .. }
        | Ast::ShowStatus { .. }
        | Ast::Discard { .. }
        | Ast::Deallocate { .. }
        | Ast::Close { .. }
        | Ast::LISTEN { .. }
        | Ast::UNLISTEN { .. }
        | Ast::NOTIFY { .. } => Class::Session,
        _ => Class::Transactional,
    }
}

/// Whether a failed block accepts the statement.
pub(super) fn ends_failed_block(syntax: &Ast) -> bool {
    matches!(syntax, Ast::Commit { .. } | Ast::Rollback { .. })
}

impl Session {
    /// The columns of a statement that is not planned; `None`: no rows.
    pub(super) fn utility_columns(&mut self, syntax: &Ast) -> Result<Option<Vec<OutputColumn>>> {
        Ok(match syntax {
            Ast::ShowVariable { variable } => match &variable[..] {
                [all] if all.value.eq_ignore_ascii_case("all") => {
                    Some(["name", "setting", "description"].map(text_column).to_vec())
                }
                _ => Some(vec![text_column(&super::variables::shown_name(variable))]),
            },
            Ast::ShowVariables { .. } | Ast::ShowStatus { .. } => {
                Some(["name", "setting", "description"].map(text_column).to_vec())
            }
            Ast::Execute { name: Some(name), .. } => self.named_statement(name)?.columns.clone(),
            Ast::Fetch { name, .. } => self.named_cursor_columns(&name.value)?,
            _ => None,
        })
    }

    /// Runs a statement of [`Class::Session`].
    pub(super) fn session_statement(&mut self, syntax: &Ast) -> Result<(Vec<Row>, String)> {
        let tag = match syntax {
            Ast::Set(set) => {
                self.set_variable(set)?;
                "SET"
            }
            Ast::Reset(reset) => {
                self.reset_variable(reset)?;
                "RESET"
            }
            Ast::ShowVariable { variable } => return Ok((self.show_variable(variable)?, "SHOW".to_owned())),
            Ast::ShowVariables { .. } | Ast::ShowStatus { .. } => return Ok((self.show_all(), "SHOW".to_owned())),
            Ast::Discard { object_type } => return Ok((Vec::new(), self.discard(*object_type)?)),
            Ast::Deallocate { name, .. } => return Ok((Vec::new(), self.deallocate(name)?)),
            Ast::Close { cursor } => return Ok((Vec::new(), self.close_cursor(cursor)?)),
            Ast::LISTEN { .. } => return Err(SqlError::unsupported("LISTEN")),
            Ast::NOTIFY { .. } => return Err(SqlError::unsupported("NOTIFY")),
            // Nothing is ever listened to.
            Ast::UNLISTEN { .. } => "UNLISTEN",
            _ => return Err(SqlError::internal("not a statement of the session")),
        };
        Ok((Vec::new(), tag.to_owned()))
    }

    fn discard(&mut self, what: ast::DiscardObject) -> Result<String> {
        self.indelible += 1;
        match what {
            ast::DiscardObject::ALL => {
                if matches!(self.state, State::Open(_)) {
                    let message = "DISCARD ALL cannot run inside a transaction block";
                    return Err(SqlError::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
                }
                self.reset_identity()?;
                self.settings.reset_all();
                self.named.clear();
                self.prepared.clear();
                self.sequences.lock().clear();
                Ok("DISCARD ALL".to_owned())
            }
            ast::DiscardObject::PLANS => {
                self.prepared.clear();
                Ok("DISCARD PLANS".to_owned())
            }
            ast::DiscardObject::SEQUENCES => {
                self.sequences.lock().clear();
                Ok("DISCARD SEQUENCES".to_owned())
            }
            // There are no temporary tables.
            ast::DiscardObject::TEMP => Ok("DISCARD TEMP".to_owned()),
        }
    }
}

pub(super) fn text_column(name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), ty: DataType::TEXT, typmod: -1, origin: None }
}

/// An identifier as it counts: folded to lower case unless quoted.
pub(crate) fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// `[schema.]name`.
pub(crate) fn object_name(name: &ast::ObjectName) -> Result<(Option<String>, String)> {
    let mut parts = Vec::new();
    for part in &name.0 {
        match part {
            ast::ObjectNamePart::Identifier(ident) => parts.push(fold(ident)),
            ast::ObjectNamePart::Function(_) => {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("improper name: {name}")));
            }
        }
    }
    match <[String; 3]>::try_from(parts) {
        Ok([database, schema, name]) => {
            if super::DATABASE_NAMES.contains(&&*database) {
                Ok((Some(schema), name))
            } else {
                let message = format!("cross-database references are not implemented: \"{database}.{schema}.{name}\"");
                Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message))
            }
        }
        Err(mut parts) => match (parts.pop(), parts.pop(), parts.pop()) {
            (Some(name), schema, None) => Ok((schema, name)),
            _ => {
                let message = format!("improper qualified name (too many dotted names): {name}");
                Err(SqlError::new(SqlState::SYNTAX_ERROR, message))
            }
        },
    }
}
