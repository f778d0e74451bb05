//! SET, RESET and SHOW.

use sqlparser::ast::{self, ContextModifier, Set};

use super::{Session, state::State};
use crate::{
    error::{Result, SqlError, SqlState},
    settings,
    types::{Row, Value},
};

impl Session {
    pub(super) fn set_variable(&mut self, set: &Set) -> Result<()> {
        match set {
            Set::SingleAssignment { scope, variable, values, .. } => {
                let name = variable_name(variable);
                let value = values.iter().map(value_text).collect::<Result<Vec<_>>>()?.join(", ");
                let default = matches!(&values[..], [ast::Expr::Identifier(word)]
                    if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"));
                self.assign(&name, (!default).then_some(&value), is_local(scope.as_ref()))
            }
            Set::MultipleAssignments { assignments } => assignments.iter().try_for_each(|assignment| {
                let value = value_text(&assignment.value)?;
                self.assign(&variable_name(&assignment.name), Some(&value), is_local(assignment.scope.as_ref()))
            }),
            Set::SetTimeZone { local, value } => {
                let value = value_text(value)?;
                self.assign("TimeZone", Some(&value), *local)
            }
            Set::SetNames { charset_name, .. } => self.assign("client_encoding", Some(&charset_name.value), false),
            Set::SetNamesDefault {} => self.assign("client_encoding", None, false),
            // What the parser of our own leaves to it.
            Set::SetTransaction { .. } => Err(SqlError::unsupported("SET TRANSACTION SNAPSHOT")),
            // Before it comes here (`identity`).
            Set::SetRole { .. } | Set::SetSessionAuthorization(_) => Err(SqlError::internal("not a variable")),
            Set::ParenthesizedAssignments { .. } | Set::SetSessionParam(_) => {
                Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error in \"{set}\"")))
            }
        }
    }

    /// Assigns one setting, those of the transaction included.
    fn assign(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        let in_block = matches!(self.state, State::Open(_));
        if local && !in_block {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.notice("WARNING", SqlState::NO_ACTIVE_SQL_TRANSACTION, message);
            return Ok(());
        }
        if self.set_characteristic(&name.to_ascii_lowercase(), value)? {
            return Ok(());
        }
        self.settings.set(name, value, local)
    }

    pub(super) fn reset_variable(&mut self, reset: &ast::ResetStatement) -> Result<()> {
        match &reset.reset {
            ast::Reset::ALL => {
                self.settings.reset_all();
                Ok(())
            }
            ast::Reset::ConfigurationParameter(name) => self.assign(&variable_name(name), None, false),
            ast::Reset::SessionAuthorization => Ok(()),
        }
    }

    pub(super) fn show_variable(&mut self, variable: &[ast::Ident]) -> Result<Vec<Row>> {
        let name = shown_name(variable);
        if name.eq_ignore_ascii_case("all") {
            return Ok(self.show_all());
        }
        self.mirror_characteristics();
        let value = self.settings.show(&name);
        let value = value.ok_or_else(|| settings::unknown(&name))?;
        Ok(vec![vec![Value::text(value)]])
    }

    pub(super) fn show_all(&mut self) -> Vec<Row> {
        self.mirror_characteristics();
        let row = |(name, value, description): (String, String, &str)| {
            vec![Value::text(name), Value::text(value), Value::text(description)]
        };
        self.settings.all().into_iter().map(row).collect()
    }
}

fn is_local(scope: Option<&ContextModifier>) -> bool {
    matches!(scope, Some(ContextModifier::Local))
}

fn variable_name(name: &ast::ObjectName) -> String {
    let parts: Vec<String> = name
        .0
        .iter()
        .map(|part| match part {
            ast::ObjectNamePart::Identifier(ident) => ident.value.clone(),
            ast::ObjectNamePart::Function(function) => function.to_string(),
        })
        .collect();
    parts.join(".")
}

/// The setting that SHOW names, with its two-word forms; also the name of its column.
pub(super) fn shown_name(variable: &[ast::Ident]) -> String {
    let words: Vec<&str> = variable.iter().map(|ident| ident.value.as_str()).collect();
    match words.join(" ").to_ascii_lowercase().as_str() {
        "time zone" => "TimeZone".to_owned(),
        "session authorization" => "session_authorization".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        _ => {
            let name = words.join(".");
            settings::definition(&name).map_or(name.to_ascii_lowercase(), |known| known.name.to_owned())
        }
    }
}

/// A value on the right side of SET: a word, a string or a number.
fn value_text(value: &ast::Expr) -> Result<String> {
    match value {
        ast::Expr::Identifier(ident) => Ok(ident.value.clone()),
        ast::Expr::CompoundIdentifier(parts) => {
            Ok(parts.iter().map(|ident| ident.value.as_str()).collect::<Vec<_>>().join("."))
        }
        ast::Expr::Value(value) => Ok(match &value.value {
            ast::Value::SingleQuotedString(text)
            | ast::Value::DoubleQuotedString(text)
            | ast::Value::EscapedStringLiteral(text) => text.clone(),
            ast::Value::DollarQuotedString(text) => text.value.clone(),
            other => other.to_string(),
        }),
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => Ok(format!("-{}", value_text(expr)?)),
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Plus, expr } => value_text(expr),
        ast::Expr::Interval(interval) => value_text(&interval.value),
        other => {
            let message = format!("syntax error at or near \"{other}\"");
            Err(SqlError::new(SqlState::SYNTAX_ERROR, message))
        }
    }
}
