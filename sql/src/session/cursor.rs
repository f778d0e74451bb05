//! Named statements (PREPARE, EXECUTE, DEALLOCATE) and cursors (DECLARE, FETCH, CLOSE).

use std::sync::Arc;

use sqlparser::ast::{self, FetchDirection, Statement as Ast};

use super::{
    Portal, Prepared, Session, Statement, Step,
    portal::Run,
    prepare::failed_block,
    run::Advance,
    state::{NamedCursor, State},
    utility::{fold, object_name},
};
use crate::{
    bind,
    error::{Result, SqlError, SqlState},
    parse::{Body, Parsed},
    plan::OutputColumn,
    types::{DataType, Row, Value, parse_type_name},
};

impl Session {
    /// PREPARE: binds the statement within the current transaction.
    pub(super) async fn prepare_named(
        &mut self,
        name: &ast::Ident,
        types: &[ast::DataType],
        statement: &Ast,
    ) -> Result<Advance> {
        let name = fold(name);
        if self.named.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        if !bind::is_plannable(statement) {
            return Err(SqlError::unsupported("PREPARE of this kind of statement"));
        }
        let types = types
            .iter()
            .map(|ty| parse_type_name(&ty.to_string()).map(|(ty, _)| ty))
            .collect::<Result<Vec<DataType>>>()?;
        let statement = synthetic(statement);
        let prepared = self.prepare_statement(&statement, &types).await?;
        self.indelible += 1;
        self.named.insert(name, prepared);
        Ok(Advance::Finished(Vec::new(), "PREPARE".to_owned()))
    }

    pub(super) fn named_statement(&self, name: &ast::ObjectName) -> Result<Arc<Prepared>> {
        let (_, name) = object_name(name)?;
        self.named.get(&name).cloned().ok_or_else(|| no_statement(&name))
    }

    /// EXECUTE: the portal becomes one of the named statement.
    pub(super) async fn execute_named(
        &mut self,
        portal: &mut Portal,
        syntax: &Ast,
        max_rows: usize,
    ) -> Result<Advance> {
        let Ast::Execute { name: Some(name), parameters, .. } = syntax else {
            return Err(SqlError::unsupported("EXECUTE without a name"));
        };
        let prepared = self.named_statement(name)?;
        if parameters.len() != prepared.parameters.len() {
            let (_, name) = object_name(name)?;
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", prepared.parameters.len(), parameters.len());
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message).detail(detail));
        }
        let snapshot = self.snapshot().await?;
        let (_, catalog) = self.view(&snapshot);
        let context = self.environment().await?.eval;
        let values = parameters
            .iter()
            .zip(&prepared.parameters)
            .map(|(expr, ty)| {
                let bound = bind::bind_expression(&expr.to_string(), None, Some((*ty, -1)), &catalog)?;
                bound.eval(&[], &context)
            })
            .collect::<Result<Vec<Value>>>()?;
        self.start_plan(portal, &prepared, values.into()).await?;
        self.advance(portal, max_rows).await
    }

    pub(super) fn deallocate(&mut self, name: &ast::Ident) -> Result<String> {
        let folded = fold(name);
        self.indelible += 1;
        if name.quote_style.is_none() && folded == "all" {
            self.named.clear();
            return Ok("DEALLOCATE ALL".to_owned());
        }
        match self.named.remove(&folded) {
            Some(_) => Ok("DEALLOCATE".to_owned()),
            None => Err(no_statement(&folded)),
        }
    }

    /// DECLARE and FETCH.
    pub(super) async fn cursor_statement(&mut self, portal: &mut Portal, syntax: &Ast) -> Result<Advance> {
        portal.run = Run::Done;
        match syntax {
            Ast::Declare { stmts } => {
                for declare in stmts {
                    self.declare(declare).await?;
                }
                Ok(Advance::Finished(Vec::new(), "DECLARE CURSOR".to_owned()))
            }
            Ast::Fetch { name, direction, .. } => {
                let rows = self.fetch(&fold(name), fetch_count(direction)?).await?;
                let tag = format!("FETCH {}", rows.len());
                Ok(Advance::Finished(rows, tag))
            }
            _ => Err(SqlError::internal("not a statement of cursors")),
        }
    }

    async fn declare(&mut self, declare: &ast::Declare) -> Result<()> {
        let (Some(query), [name]) = (&declare.for_query, &declare.names[..]) else {
            return Err(SqlError::unsupported("DECLARE without a query"));
        };
        if !matches!(self.state, State::Open(_)) {
            let message = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(SqlError::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        }
        if declare.hold == Some(true) {
            return Err(SqlError::unsupported("DECLARE CURSOR … WITH HOLD"));
        }
        if declare.scroll == Some(true) {
            return Err(SqlError::unsupported("DECLARE SCROLL CURSOR"));
        }
        let name = fold(name);
        if self.transaction().is_some_and(|transaction| transaction.cursors.contains_key(&name)) {
            return Err(SqlError::new(SqlState("42P03"), format!("cursor \"{name}\" already exists")));
        }
        let statement = synthetic(&Ast::Query(query.clone()));
        let prepared = self.prepare_statement(&statement, &[]).await?;
        let mut portal = Portal::new(Arc::clone(&prepared), Arc::from([]));
        self.start_plan(&mut portal, &prepared, Arc::from([])).await?;
        if let Some(transaction) = self.transaction() {
            let depth = transaction.savepoints.len();
            transaction.cursors.insert(name, NamedCursor { portal, depth });
        }
        Ok(())
    }

    async fn fetch(&mut self, name: &str, count: usize) -> Result<Vec<Row>> {
        let transaction = self.transaction().ok_or_else(failed_block)?;
        let mut cursor = transaction.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
        let mut rows = Vec::new();
        while rows.len() < count && !matches!(cursor.portal.run, Run::Done) {
            match self.advance(&mut cursor.portal, count - rows.len()).await? {
                Advance::Finished(last, _) => rows.extend(last),
                Advance::Step(Step::Rows(some) | Step::Suspended(some)) => rows.extend(some),
                Advance::Step(_) => return Err(SqlError::internal("a cursor gave something else than rows")),
            }
        }
        if let Some(transaction) = self.transaction() {
            transaction.cursors.insert(name.to_owned(), cursor);
        }
        Ok(rows)
    }

    pub(super) fn named_cursor_columns(&mut self, name: &str) -> Result<Option<Vec<OutputColumn>>> {
        let name = name.to_lowercase();
        let transaction = self.transaction().ok_or_else(|| no_cursor(&name))?;
        let cursor = transaction.cursors.get(&name).ok_or_else(|| no_cursor(&name))?;
        Ok(cursor.portal.prepared.columns.clone())
    }

    pub(super) fn close_cursor(&mut self, cursor: &ast::CloseCursor) -> Result<String> {
        match cursor {
            ast::CloseCursor::All => {
                if let Some(transaction) = self.transaction() {
                    transaction.cursors.clear();
                }
                Ok("CLOSE CURSOR ALL".to_owned())
            }
            ast::CloseCursor::Specific { name } => {
                let name = fold(name);
                let closed = self.transaction().and_then(|transaction| transaction.cursors.remove(&name));
                closed.map(|_| "CLOSE CURSOR".to_owned()).ok_or_else(|| no_cursor(&name))
            }
        }
    }
}

/// A statement made from syntax alone: its text is printed from the tree.
fn synthetic(syntax: &Ast) -> Statement {
    let text: Arc<str> = syntax.to_string().into();
    let parsed = Parsed {
        body: Body::Sql(Box::new(syntax.clone())),
        text: Arc::clone(&text),
        source: Arc::clone(&text),
        as_of: None,
    };
    Statement { text, parsed: Arc::new(parsed) }
}

fn fetch_count(direction: &FetchDirection) -> Result<usize> {
    let number = |limit: &ast::ValueWithSpan| -> Result<usize> {
        let text = limit.value.to_string();
        text.parse().map_err(|_| SqlError::unsupported(format!("FETCH {text}")))
    };
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(1),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => number(limit),
        FetchDirection::All | FetchDirection::ForwardAll => Ok(usize::MAX),
        FetchDirection::Relative { limit } if number(limit)? == 1 => Ok(1),
        _ => Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
            .hint("Declare it with SCROLL option to enable backward scan.")),
    }
}

fn no_statement(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_SQL_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"))
}

fn no_cursor(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
