//! From a parsed statement to a prepared one, and to a plan that is true for a transaction.

use std::sync::Arc;

use parking_lot::Mutex;
use sqlparser::ast;

use super::{CACHED_TEXT_BYTES, Prepared, Session, Statement, portal::Planned, state::State, utility};
use crate::{
    bind::{self, BindOptions},
    catalog::{cache, store::FIRST_USER_OID},
    error::{Result, SqlError, SqlState},
    optimize,
    parse::Body,
    types::DataType,
};

impl Session {
    pub(super) async fn prepare_statement(
        &mut self,
        statement: &Statement,
        types: &[DataType],
    ) -> Result<Arc<Prepared>> {
        if statement.parsed.as_of.is_some() {
            self.ensure_transaction_for(statement).await?;
        }
        let syntax = match &statement.parsed.body {
            Body::Empty => return Ok(Prepared::without_rows(statement)),
            Body::SplitAt { .. } | Body::Own(_) => None,
            Body::Sql(syntax) => Some(&**syntax),
        };
        if matches!(self.state, State::Failed(_)) && !syntax.is_some_and(utility::ends_failed_block) {
            return Err(failed_block());
        }
        match syntax {
            Some(syntax) if bind::is_plannable(syntax) => self.prepare_plan(statement, syntax, types).await,
            Some(syntax) => {
                let columns = self.utility_columns(syntax)?;
                Ok(Arc::new(Prepared { columns, ..Prepared::bare(statement) }))
            }
            None => {
                let columns = statement.parsed.body.own_columns();
                let columns = columns.map(|names| names.iter().map(|name| utility::text_column(name)).collect());
                Ok(Arc::new(Prepared { columns, ..Prepared::bare(statement) }))
            }
        }
    }

    async fn prepare_plan(
        &mut self,
        statement: &Statement,
        syntax: &ast::Statement,
        types: &[DataType],
    ) -> Result<Arc<Prepared>> {
        self.ensure_transaction();
        self.begin_statement(true)?;
        let key = (Arc::clone(&statement.parsed.source), types.to_vec());
        // A text of several statements has no plan of its own under this key.
        let cacheable = statement.parsed.source.len() <= CACHED_TEXT_BYTES
            && statement.parsed.source.trim_end_matches([';', ' ', '\n']).trim_start() == &*statement.text;
        if cacheable && let Some(prepared) = self.prepared.get(&key) {
            // What was described must still be right: then the execution will find the plan right as well.
            let columns = prepared.columns.clone();
            match self.planned(&prepared).await {
                Ok(_) => return Ok(prepared),
                Err(error) if error.state() != SqlState::FEATURE_NOT_SUPPORTED || columns.is_none() => {
                    return Err(error);
                }
                // Another result type than before: prepare it anew.
                Err(_) => {}
            }
        }
        let (planned, parameters, columns) = self.bind_plan(statement, syntax, types).await?;
        let prepared = Arc::new(Prepared {
            parameters,
            columns,
            statement: statement.clone(),
            planned: Mutex::new(Some(Arc::new(planned))),
        });
        if cacheable {
            self.prepared.insert(key, Arc::clone(&prepared));
        }
        Ok(prepared)
    }

    /// The plan of a prepared statement, true for the current transaction, which from now on depends on its descriptors.
    pub(super) async fn planned(&mut self, prepared: &Prepared) -> Result<Arc<Planned>> {
        let kept = prepared.planned.lock().clone();
        let snapshot = self.snapshot().await?;
        let (view, _) = self.view(&snapshot);
        let planned = match kept {
            Some(kept) if Arc::ptr_eq(&kept.snapshot, &snapshot) && Arc::ptr_eq(&kept.view, &view) => kept,
            _ => {
                let Body::Sql(syntax) = &prepared.statement.parsed.body else {
                    return Err(SqlError::internal("a plan for a statement without one"));
                };
                let (planned, parameters, columns) =
                    self.bind_plan(&prepared.statement, syntax, &prepared.parameters).await?;
                if !prepared.matches(&parameters, columns.as_deref()) {
                    let message = "cached plan must not change result type";
                    return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                let planned = Arc::new(planned);
                *prepared.planned.lock() = Some(Arc::clone(&planned));
                planned
            }
        };
        if let Some(transaction) = self.transaction() {
            cache::depend_on(&mut transaction.txn, planned.relations.iter().copied());
        }
        Ok(planned)
    }

    async fn bind_plan(
        &mut self,
        statement: &Statement,
        syntax: &ast::Statement,
        types: &[DataType],
    ) -> Result<(Planned, Vec<DataType>, Option<Vec<crate::plan::OutputColumn>>)> {
        let snapshot = self.snapshot().await?;
        let (view, catalog) = self.view(&snapshot);
        let options = BindOptions { source: &statement.parsed.source, parameters: types };
        let bound = bind::bind_statement(syntax, &catalog, &options)?;
        bound.needs.check(&snapshot, &view.user)?;
        let relations = bound.relations.keys().map(|id| id.0).filter(|oid| *oid >= FIRST_USER_OID).collect();
        let plan = Arc::new(optimize::optimize(bound.statement)?);
        Ok((Planned { statement: plan, relations, snapshot, view }, bound.parameters, bound.columns))
    }

    /// The catalog for the next statement; begins the implicit transaction where none is open.
    pub(super) async fn snapshot(&mut self) -> Result<Arc<crate::catalog::Snapshot>> {
        self.ensure_transaction();
        let database = Arc::clone(&self.database);
        match self.transaction() {
            Some(transaction) => transaction.snapshot(&database).await,
            None => Err(failed_block()),
        }
    }
}

impl Prepared {
    pub(super) fn bare(statement: &Statement) -> Prepared {
        Prepared { parameters: Vec::new(), columns: None, statement: statement.clone(), planned: Mutex::new(None) }
    }

    fn without_rows(statement: &Statement) -> Arc<Prepared> {
        Arc::new(Prepared::bare(statement))
    }

    fn matches(&self, parameters: &[DataType], columns: Option<&[crate::plan::OutputColumn]>) -> bool {
        let types = |columns: &[crate::plan::OutputColumn]| -> Vec<(String, DataType)> {
            columns.iter().map(|column| (column.name.clone(), column.ty)).collect()
        };
        self.parameters == parameters && self.columns.as_deref().map(types) == columns.map(types)
    }
}

/// The answer to everything within a failed block.
pub(super) fn failed_block() -> SqlError {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    SqlError::new(SqlState::IN_FAILED_SQL_TRANSACTION, message)
}
