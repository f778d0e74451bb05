//! COPY within a session.

use std::{pin::pin, sync::Arc};

use sqlparser::ast::{self, CopySource, CopyTarget, Statement as Ast};

use super::{
    Ending, Portal, Session, Step,
    portal::Run,
    prepare::failed_block,
    run::{Advance, read_only},
    state::State,
    utility::{fold, object_name},
};
use crate::{
    bind::{self, BindOptions},
    catalog::{CatalogView, Relation, RelationKind, cache, change::backfill, store::FIRST_USER_OID},
    copy::{CopyIn, CopyOut, options::Options},
    error::{Result, SqlError, SqlState},
    exec, optimize,
};

impl Session {
    pub(super) async fn begin_copy(&mut self, portal: &mut Portal, syntax: &Ast) -> Result<Advance> {
        let Ast::Copy { source, to, target, options, legacy_options, .. } = syntax else {
            return Err(SqlError::internal("not COPY"));
        };
        if matches!(target, CopyTarget::File { .. } | CopyTarget::Program { .. }) {
            return Err(SqlError::unsupported("COPY to or from a file of the server")
                .hint("Use psql's \\copy, or COPY … STDIN and STDOUT."));
        }
        let options = Options::new(options, legacy_options)?;
        match (source, to) {
            (CopySource::Table { table_name, columns }, false) => {
                self.begin_copy_in(portal, table_name, columns, options).await
            }
            (CopySource::Query(_), false) => {
                Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"FROM\""))
            }
            (source, true) => self.begin_copy_out(portal, source, options).await,
        }
    }

    async fn begin_copy_in(
        &mut self,
        portal: &mut Portal,
        name: &ast::ObjectName,
        columns: &[ast::Ident],
        options: Options,
    ) -> Result<Advance> {
        // The data comes once only.
        self.indelible += 1;
        let snapshot = self.snapshot().await?;
        let (view, catalog) = self.view(&snapshot);
        let relation = find_table(&catalog, name)?;
        let columns = positions(&relation, columns)?;
        let (insert, needs) = bind::bind_insert(&relation, &columns, &catalog)?;
        needs.check(&snapshot, &view.user)?;
        let environment = self.environment().await?;
        let database = Arc::clone(&self.database);
        let Some(transaction) = self.transaction() else { return Err(failed_block()) };
        if transaction.characteristics.read_only {
            return Err(read_only("COPY FROM"));
        }
        let relied_on = insert.targets.0.keys().map(|id| id.0).chain([relation.id.0]);
        cache::depend_on(&mut transaction.txn, relied_on.filter(|oid| *oid >= FIRST_USER_OID));
        let table = relation.table().ok_or_else(|| SqlError::internal("COPY into something else than a table"))?;
        let bulk = transaction.changes.takes_bulk(table);
        if bulk {
            let spaces: Vec<_> = table.indexes.iter().map(|index| index.id).collect();
            backfill::prepare_bulk(&database, &mut transaction.txn, &mut transaction.changes, relation.id, spaces)
                .await?;
        }
        let count = columns.len();
        let copy = CopyIn::new(transaction.serial, relation, &columns, options, insert, bulk, environment);
        portal.run = Run::CopyIn(Box::new(copy));
        Ok(Advance::Step(Step::CopyIn { columns: count, binary: false }))
    }

    async fn begin_copy_out(&mut self, portal: &mut Portal, source: &CopySource, options: Options) -> Result<Advance> {
        let snapshot = self.snapshot().await?;
        let (view, catalog) = self.view(&snapshot);
        let text = match source {
            CopySource::Query(query) => query.to_string(),
            CopySource::Table { table_name, columns } => {
                let relation = find_table(&catalog, table_name)?;
                let columns = positions(&relation, columns)?;
                select_text(&relation, &columns)
            }
        };
        let parsed = crate::parse::parse(&text)?;
        let Some(crate::parse::Body::Sql(syntax)) = parsed.into_iter().next().map(|parsed| parsed.body) else {
            return Err(SqlError::internal("COPY of no statement"));
        };
        let bind_options = BindOptions { source: &text, parameters: &[] };
        let bound = bind::bind_statement(&syntax, &catalog, &bind_options)?;
        bound.needs.check(&snapshot, &view.user)?;
        let Some(columns) = bound.columns else {
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY query must have a RETURNING clause"));
        };
        let relations: Vec<u32> = bound.relations.keys().map(|id| id.0).filter(|oid| *oid >= FIRST_USER_OID).collect();
        let cursor = exec::start(Arc::new(optimize::optimize(bound.statement)?));
        let environment = self.environment().await?;
        let Some(transaction) = self.transaction() else { return Err(failed_block()) };
        cache::depend_on(&mut transaction.txn, relations);
        let count = columns.len();
        let copy = CopyOut::new(transaction.serial, cursor, columns, options, environment);
        portal.run = Run::CopyOut(Box::new(copy));
        Ok(Advance::Step(Step::CopyOut { columns: count, binary: false }))
    }

    pub(super) async fn advance_copy_out(&mut self, portal: &mut Portal) -> Result<Advance> {
        let Run::CopyOut(copy) = &mut portal.run else { return Err(SqlError::internal("not COPY TO")) };
        let canceller = self.activity.canceller.clone();
        let runtime = Arc::clone(&self.database.client.runtime);
        let timeout = self.statement_timeout();
        let serial = copy.serial;
        let Some(transaction) = self.transaction().filter(|transaction| transaction.serial == serial) else {
            return Err(failed_block());
        };
        let lines = canceller.guard(&*runtime, timeout, pin!(copy.next(&mut transaction.txn, &canceller))).await?;
        match lines {
            Some(lines) => Ok(Advance::Step(Step::CopyData(lines))),
            None => {
                let tag = format!("COPY {}", copy.rows());
                portal.run = Run::Done;
                Ok(Advance::Finished(Vec::new(), tag))
            }
        }
    }

    pub(super) async fn take_copy_data(&mut self, portal: &mut Portal, data: bytes::Bytes) -> Result<()> {
        let Run::CopyIn(copy) = &mut portal.run else { return Err(not_copying()) };
        let canceller = self.activity.canceller.clone();
        let runtime = Arc::clone(&self.database.client.runtime);
        let serial = copy.serial;
        let Some(transaction) = self.transaction().filter(|transaction| transaction.serial == serial) else {
            return Err(failed_block());
        };
        canceller.guard(&*runtime, None, pin!(copy.data(&data, &mut transaction.txn, &canceller))).await
    }

    pub(super) async fn finish_copy(&mut self, portal: &mut Portal, ending: Ending) -> Result<String> {
        let Run::CopyIn(copy) = std::mem::replace(&mut portal.run, Run::Done) else { return Err(not_copying()) };
        let canceller = self.activity.canceller.clone();
        let runtime = Arc::clone(&self.database.client.runtime);
        let serial = copy.serial;
        let Some(transaction) = self.transaction().filter(|transaction| transaction.serial == serial) else {
            return Err(failed_block());
        };
        let rows = canceller.guard(&*runtime, None, pin!(copy.finish(&mut transaction.txn, &canceller))).await?;
        if ending == Ending::Commit && matches!(self.state, State::Implicit(_)) {
            self.commit_implicit().await?;
        }
        Ok(format!("COPY {rows}"))
    }
}

fn not_copying() -> SqlError {
    SqlError::new(SqlState("08P01"), "unexpected COPY data")
}

fn find_table(catalog: &dyn CatalogView, name: &ast::ObjectName) -> Result<Arc<Relation>> {
    let (schema, plain) = object_name(name)?;
    let relation = catalog
        .relation(schema.as_deref(), &plain)
        .ok_or_else(|| SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist")))?;
    let what = match relation.kind {
        RelationKind::Table(_) => return Ok(relation),
        RelationKind::Sequence(_) => "sequence",
        RelationKind::View(_) | RelationKind::System { .. } => "view",
    };
    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot copy {what} \"{plain}\"")))
}

/// The positions of the columns that COPY names; of all, when it names none.
fn positions(relation: &Relation, columns: &[ast::Ident]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        return Ok((0..relation.columns().len()).collect());
    }
    let mut positions = Vec::new();
    for name in columns.iter().map(fold) {
        let Some(position) = relation.columns().iter().position(|column| column.name == name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        if positions.contains(&position) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
        positions.push(position);
    }
    Ok(positions)
}

fn select_text(relation: &Relation, columns: &[usize]) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let list: Vec<String> = columns.iter().map(|position| quote(&relation.columns()[*position].name)).collect();
    format!("SELECT {} FROM {}.{}", list.join(", "), quote(&relation.schema), quote(&relation.name))
}
