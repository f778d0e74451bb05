//! Schema changes. Each runs inside the statement's transaction, under the lock of schema changes and with its fence open (see
//! `store`), on a catalog that it has read itself; later statements of the transaction see what it did, and a rollback undoes
//! it, as it does everything else.
//!
//! Key spaces (indexes) are filled by bulk writes, which a rollback does not undo: every new one gets a number that is never
//! used again, and a garbage record that outlives a failed change (see `garbage`).

mod alter;
pub mod backfill;
mod column;
mod constraint;
mod create;
mod drop;
mod foreign;
mod grant;
mod index;
mod names;
mod owner;
mod role;
mod schema;
mod sequences;
mod sign_in;
mod split;
mod truncate;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use auth::privilege::Object;
use base::{IndexId, TableId};
use sqlparser::ast::{self, Statement as Ast};
use txn::Txn;

pub(crate) use drop::kind_word;

use super::{CatalogView, Relation, RelationKind, Schema, SessionCatalog, Snapshot, Table, store, system};
use crate::{
    bind::{self, BindOptions},
    error::{Result, SqlError, SqlState},
    exec, optimize,
    parse::{Body, OwnStatement},
    session::{Canceller, Database, Environment, Notice},
    types::Row,
};

/// What a transaction has changed so far. Saved with each savepoint.
#[derive(Clone, Debug, Default)]
pub struct ChangeState {
    begun: bool,
    /// The number of savepoints that are open.
    pub depth: usize,
    /// Key spaces made by this transaction, with the number of savepoints open at that time.
    fresh: BTreeMap<IndexId, usize>,
    /// Key spaces that bulk writes may go to (`backfill::prepare_bulk`).
    prepared: BTreeSet<IndexId>,
    /// Sequences whose state this transaction has written.
    own_sequences: BTreeSet<TableId>,
}

impl ChangeState {
    /// Whether the catalog must be read by the transaction itself.
    pub fn begun(&self) -> bool {
        self.begun
    }

    pub fn own_sequences(&self) -> &BTreeSet<TableId> {
        &self.own_sequences
    }

    /// Whether rows may be written in bulk into all key spaces of the table: nobody else sees them, and no savepoint has
    /// been set since that could be returned to without undoing them altogether.
    pub fn takes_bulk(&self, table: &Table) -> bool {
        table.indexes.iter().all(|index| self.fresh.get(&index.id) == Some(&self.depth))
    }

    /// Savepoints from `position` on are forgotten; what was done after them belongs to what came before.
    pub fn release(&mut self, position: usize) {
        self.depth = position;
        for depth in self.fresh.values_mut() {
            *depth = (*depth).min(position);
        }
    }

    pub fn return_to(&mut self, mark: &ChangeState) {
        // The fence stays open, and the catalog must still be read anew.
        let begun = self.begun;
        *self = ChangeState { begun, ..mark.clone() };
    }

    /// What follows once the transaction has committed.
    pub async fn after_commit(&self, database: &Database) {
        for sequence in &self.own_sequences {
            database.sequences.forget(*sequence).await;
        }
    }

    /// Makes the transaction one that changes the catalog; before each change.
    pub async fn begin(&mut self, txn: &mut Txn) -> Result<()> {
        let first = !self.begun;
        self.begun = true;
        store::begin_change(txn, first).await
    }
}

/// A schema change at work.
pub struct Change<'a> {
    pub database: &'a Arc<Database>,
    pub txn: &'a mut Txn,
    pub state: &'a mut ChangeState,
    /// As changed so far.
    pub catalog: SessionCatalog,
    pub(crate) environment: &'a mut Environment,
    pub notices: &'a mut Vec<Notice>,
    pub canceller: &'a Canceller,
    /// The text that positions count in.
    pub source: &'a str,
    /// What the statement returns, if it returns rows.
    pub rows: Vec<Row>,
}

/// Whether the statement changes the catalog (the others of the same class are accepted and do nothing, or are refused).
pub fn changes_catalog(body: &Body) -> bool {
    match body {
        Body::Sql(syntax) => !matches!(**syntax, Ast::Vacuum(_) | Ast::Analyze(_) | Ast::Lock(_) | Ast::Comment { .. }),
        Body::Own(own) => matches!(**own, OwnStatement::AlterSequence(_) | OwnStatement::Role(_)),
        Body::SplitAt { .. } | Body::Empty => false,
    }
}

/// The command tag of a schema change, also as it stands in refusals.
pub fn tag(body: &Body) -> &'static str {
    let syntax = match body {
        Body::Sql(syntax) => syntax,
        Body::Own(own) => return own.tag(),
        Body::SplitAt { .. } | Body::Empty => return "ALTER TABLE",
    };
    match &**syntax {
        Ast::CreateTable(create) if create.query.is_some() => "CREATE TABLE AS",
        Ast::CreateTable(_) => "CREATE TABLE",
        Ast::CreateIndex(_) => "CREATE INDEX",
        Ast::CreateView(_) => "CREATE VIEW",
        Ast::CreateSchema { .. } => "CREATE SCHEMA",
        Ast::CreateSequence { .. } => "CREATE SEQUENCE",
        Ast::AlterTable(_) => "ALTER TABLE",
        Ast::AlterIndex { .. } => "ALTER INDEX",
        Ast::Truncate(_) => "TRUNCATE TABLE",
        Ast::Comment { .. } => "COMMENT",
        Ast::Vacuum(_) => "VACUUM",
        Ast::Analyze(_) => "ANALYZE",
        Ast::Lock(_) => "LOCK TABLE",
        Ast::Drop { object_type, .. } => match object_type {
            ast::ObjectType::Table => "DROP TABLE",
            ast::ObjectType::View => "DROP VIEW",
            ast::ObjectType::Index => "DROP INDEX",
            ast::ObjectType::Schema => "DROP SCHEMA",
            ast::ObjectType::Sequence => "DROP SEQUENCE",
            _ => "DROP",
        },
        _ => "command",
    }
}

impl Change<'_> {
    /// Runs the statement; its command tag.
    pub async fn run(&mut self, body: &Body) -> Result<String> {
        let syntax = match body {
            Body::Sql(syntax) => &**syntax,
            Body::SplitAt { relation, is_index, rows } => {
                self.split_at(relation, *is_index, rows).await?;
                return Ok(tag(body).to_owned());
            }
            Body::Own(own) => {
                match &**own {
                    OwnStatement::Maintenance { relations, .. } => {
                        for name in relations {
                            self.find(name)?;
                        }
                    }
                    OwnStatement::AlterSequence(alter) => self.alter_sequence(alter).await?,
                    OwnStatement::TransferLeader { range, node } => self.transfer_leader(*range, *node).await?,
                    OwnStatement::Transaction(_) => return Err(SqlError::internal("not a schema change")),
                    OwnStatement::Role(statement) => self.rows = self.role_statement(statement).await?,
                }
                return Ok(tag(body).to_owned());
            }
            Body::Empty => return Ok(String::new()),
        };
        match syntax {
            Ast::CreateTable(create) if create.query.is_some() => return self.create_table_as(create).await,
            Ast::CreateTable(create) => self.create_table(create).await?,
            Ast::CreateIndex(create) => self.create_index(create).await?,
            Ast::CreateView(create) => self.create_view(create).await?,
            Ast::CreateSchema { schema_name, if_not_exists, .. } => {
                self.create_schema(schema_name, *if_not_exists).await?;
            }
            Ast::CreateSequence { .. } => self.create_sequence(syntax).await?,
            Ast::AlterTable(alter) => self.alter_table(alter).await?,
            Ast::AlterIndex { name, operation } => self.alter_index(name, operation)?,
            Ast::Truncate(truncate) => self.truncate(truncate).await?,
            Ast::Drop { .. } => self.drop_objects(syntax).await?,
            // Nothing is collected yet.
            Ast::Vacuum(_) | Ast::Analyze(_) | Ast::Comment { .. } => {}
            // Writers find each other by their rows; a lock on the whole table would keep out nobody else.
            Ast::Lock(_) => {}
            Ast::CreateDatabase { .. } => return Err(SqlError::unsupported("CREATE DATABASE")),
            Ast::CreateFunction(_) => return Err(SqlError::unsupported("CREATE FUNCTION")),
            Ast::CreateTrigger(_) => return Err(SqlError::unsupported("CREATE TRIGGER")),
            Ast::CreateType { .. } | Ast::CreateDomain(_) => return Err(SqlError::unsupported("CREATE TYPE")),
            Ast::CreateExtension(_) => return Err(SqlError::unsupported("CREATE EXTENSION")),
            _ => {
                let words: Vec<String> =
                    syntax.to_string().split_whitespace().take(2).map(str::to_ascii_uppercase).collect();
                return Err(SqlError::unsupported(words.join(" ")));
            }
        }
        Ok(tag(body).to_owned())
    }

    fn notice(&mut self, state: SqlState, message: impl Into<String>) {
        self.notices.push(Notice { severity: "NOTICE", error: SqlError::new(state, message) });
    }

    fn warning(&mut self, state: SqlState, message: impl Into<String>) {
        self.notices.push(Notice { severity: "WARNING", error: SqlError::new(state, message) });
    }

    fn snapshot_mut(&mut self) -> &mut Snapshot {
        Arc::make_mut(&mut self.catalog.snapshot)
    }

    async fn oid(&self) -> Result<u32> {
        self.database.sequences.oid().await
    }

    /// A number for a new key space of this transaction.
    async fn key_space(&mut self) -> Result<IndexId> {
        let id = IndexId(self.oid().await?);
        self.state.fresh.insert(id, self.state.depth);
        Ok(id)
    }

    /// Stores a new relation, or the next version of one.
    fn put(&mut self, mut relation: Relation) -> Result<Arc<Relation>> {
        relation.version += 1;
        store::put_relation(self.txn, &relation)?;
        let id = relation.id;
        self.snapshot_mut().insert(relation);
        self.catalog.snapshot.get(id).cloned().ok_or_else(|| SqlError::internal("a relation got lost"))
    }

    /// Makes a new relation of this kind in a schema.
    fn relation(&self, id: u32, schema: &Schema, name: &str, kind: RelationKind) -> Relation {
        let object = if matches!(kind, RelationKind::Sequence(_)) { Object::Sequence } else { Object::Table };
        Relation {
            id: TableId(id),
            schema_oid: schema.oid,
            schema: schema.name.clone(),
            name: name.to_owned(),
            owner: self.environment.eval.session.user.clone(),
            version: 0,
            acl: self.initial_acl(object, schema.oid),
            column_acls: BTreeMap::new(),
            kind,
        }
    }

    /// The schema in which an object of this name is to be created.
    fn target_schema(&self, schema: Option<&str>, name: &str) -> Result<Arc<Schema>> {
        match schema {
            Some(schema) if system::is_system_schema(schema) => {
                let message = format!("permission denied to create \"{schema}.{name}\"");
                Err(SqlError::new(SqlState("42501"), message)
                    .detail("System catalog modifications are currently disallowed."))
            }
            Some(schema) => {
                let found = self.catalog.snapshot.schema(schema).cloned().ok_or_else(|| no_schema(schema))?;
                self.may_create_in(&found)?;
                Ok(found)
            }
            None => {
                let found = self.catalog.creation_schema().cloned().ok_or_else(|| {
                    SqlError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
                })?;
                self.may_create_in(&found)?;
                Ok(found)
            }
        }
    }

    /// An existing relation of users, by name.
    fn find(&self, name: &ast::ObjectName) -> Result<Arc<Relation>> {
        let (schema, name) = crate::session::object_name(name)?;
        self.may_look_into(schema.as_deref())?;
        self.find_parts(schema.as_deref(), &name)
    }

    /// Whoever names a schema must be allowed to use it.
    fn may_look_into(&self, schema: Option<&str>) -> Result<()> {
        match schema.and_then(|name| self.catalog.snapshot.schema(name)) {
            Some(found) => crate::access::check_schema(&self.catalog.snapshot, self.acting(), found.oid),
            None => Ok(()),
        }
    }

    fn find_parts(&self, schema: Option<&str>, name: &str) -> Result<Arc<Relation>> {
        if let Some(schema) = schema
            && !system::is_system_schema(schema)
            && self.catalog.snapshot.schema(schema).is_none()
        {
            return Err(no_schema(schema));
        }
        let found = self.catalog.relation(schema, name).ok_or_else(|| no_relation(schema, name))?;
        if matches!(found.kind, RelationKind::System { .. }) {
            let message = format!("permission denied: \"{name}\" is a system catalog");
            return Err(SqlError::new(SqlState("42501"), message));
        }
        Ok(found)
    }

    /// An existing table.
    fn find_table(&self, name: &ast::ObjectName) -> Result<Arc<Relation>> {
        let found = self.find(name)?;
        if found.table().is_none() {
            let message = format!("\"{}\" is not a table", found.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        Ok(found)
    }

    /// Runs a query of our own on the catalog as changed so far, to its end.
    async fn query(&mut self, text: &str) -> Result<(Vec<Row>, u64)> {
        let parsed = crate::parse::parse(text)?;
        let Some(Body::Sql(syntax)) = parsed.into_iter().next().map(|parsed| parsed.body) else {
            return Err(SqlError::internal("an internal query is not a statement"));
        };
        self.run_statement(&syntax, text).await
    }

    async fn run_statement(&mut self, syntax: &Ast, source: &str) -> Result<(Vec<Row>, u64)> {
        let options = BindOptions { source, parameters: &[] };
        // Checks of the rows of a table that is being changed: nobody's rights are in question.
        let bound = bind::bind_statement(syntax, &self.catalog, &options)?;
        let mut cursor = exec::start(Arc::new(optimize::optimize(bound.statement)?));
        self.environment.sequences.catalog = self.catalog.clone();
        self.environment.sequences.own = self.state.own_sequences.clone();
        let mut rows = Vec::new();
        loop {
            let mut context = self.environment.context(self.txn, self.canceller.flag());
            match cursor.next_batch(&mut context).await? {
                Some(batch) => rows.extend(batch),
                None => return Ok((rows, cursor.affected())),
            }
        }
    }
}

/// The table of a relation that is known to be one.
fn table_of(relation: &Relation) -> Result<&Table> {
    relation.table().ok_or_else(|| SqlError::internal(format!("\"{}\" is not a table", relation.name)))
}

fn table_mut(relation: &mut Relation) -> Result<&mut Table> {
    match &mut relation.kind {
        RelationKind::Table(table) => Ok(table),
        _ => Err(SqlError::internal(format!("\"{}\" is not a table", relation.name))),
    }
}

/// `schema.table`, quoted where needed: for internal queries.
fn qualified(relation: &Relation) -> String {
    format!("{}.{}", quote_ident(&relation.schema), quote_ident(&relation.name))
}

/// An identifier, always quoted: internal queries need not know which words are reserved.
fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn no_schema(name: &str) -> SqlError {
    SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

fn no_relation(schema: Option<&str>, name: &str) -> SqlError {
    let shown = schema.map_or(name.to_owned(), |schema| format!("{schema}.{name}"));
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist"))
}
