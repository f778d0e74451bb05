//! CREATE TABLE, also AS a query and LIKE another table.

use std::{slice, sync::Arc};

use base::TableId;
use sqlparser::ast;

use super::{Change, column::ColumnSpec, constraint::Constraint, qualified, quote_ident, table_mut};
use crate::{
    bind::{self, BindOptions},
    catalog::{Column, ColumnId, Index, IndexKind, Relation, RelationKind, Schema, Table},
    error::{Result, SqlError, SqlState},
    parse::Body,
    session::object_name,
    types::DataType,
};

/// As many columns as PostgreSQL allows.
const COLUMNS_MAX: usize = 1600;

impl Change<'_> {
    pub(super) async fn create_table(&mut self, create: &ast::CreateTable) -> Result<()> {
        refuse_unsupported(create)?;
        let (schema, name) = object_name(&create.name)?;
        let schema = self.target_schema(schema.as_deref(), &name)?;
        if self.is_taken(&schema, &name, create.if_not_exists)? {
            return Ok(());
        }
        let mut constraints = Vec::new();
        let mut specs = Vec::new();
        if let Some(ast::CreateTableLikeKind::Plain(like) | ast::CreateTableLikeKind::Parenthesized(like)) =
            &create.like
        {
            let defaults = matches!(like.defaults, Some(ast::CreateTableLikeDefaults::Including));
            specs.extend(self.columns_like(&like.name, defaults)?);
        }
        for definition in &create.columns {
            let id = ColumnId(specs.len() as u16 + 1);
            specs.push(self.column_spec(&name, definition, id, &mut constraints)?);
        }
        for constraint in &create.constraints {
            constraints.push(Constraint::of_table(constraint)?);
        }
        let relation = self.new_table(&schema, &name, specs.iter().map(|spec| spec.column.clone()).collect()).await?;
        self.finish_table(relation, specs, constraints).await
    }

    /// Whether the name is in use: an error, or with `IF NOT EXISTS` a notice.
    pub(super) fn is_taken(&mut self, schema: &Schema, name: &str, if_not_exists: bool) -> Result<bool> {
        if self.catalog.snapshot.named(&schema.name, name).is_none() {
            return Ok(false);
        }
        if if_not_exists {
            self.notice(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists, skipping"));
            return Ok(true);
        }
        Err(SqlError::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")))
    }

    /// A table without constraints, keyed by a hidden row id. Not stored yet.
    async fn new_table(&mut self, schema: &Schema, name: &str, columns: Vec<Column>) -> Result<Relation> {
        if columns.len() > COLUMNS_MAX {
            let message = format!("tables can have at most {COLUMNS_MAX} columns");
            return Err(SqlError::new(SqlState("54011"), message));
        }
        for (position, column) in columns.iter().enumerate() {
            if columns[..position].iter().any(|other| other.name == column.name) {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
            }
        }
        let id = self.oid().await?;
        let table = Table {
            next_column_id: columns.len() as u16 + 1,
            columns,
            indexes: vec![self.hidden_primary().await?],
            next_index_id: 1,
            checks: Vec::new(),
            foreign_keys: Vec::new(),
        };
        Ok(self.relation(id, schema, name, RelationKind::Table(table)))
    }

    pub(super) async fn hidden_primary(&mut self) -> Result<Index> {
        let id = self.key_space().await?;
        Ok(Index {
            id,
            oid: id.0,
            name: String::new(),
            kind: IndexKind::Primary,
            unique: true,
            constraint: false,
            columns: Vec::new(),
            include: Vec::new(),
            hidden_row_id: true,
        })
    }

    /// Sequences, keys, checks, and at last foreign keys, which may point to the table itself.
    async fn finish_table(
        &mut self,
        mut relation: Relation,
        specs: Vec<ColumnSpec>,
        constraints: Vec<Constraint>,
    ) -> Result<()> {
        for spec in &specs {
            if let Some(wanted) = &spec.sequence {
                self.add_column_sequence(&mut relation, spec.column.id, wanted).await?;
            }
        }
        let (foreign, other): (Vec<_>, Vec<_>) =
            constraints.into_iter().partition(|constraint| matches!(constraint, Constraint::Foreign(_)));
        for constraint in other {
            self.add_plain_constraint(&mut relation, constraint).await?;
        }
        let id = relation.id;
        let relation = self.put(relation)?;
        self.check_defaults(&relation)?;
        for constraint in foreign {
            self.add_foreign_key(id, constraint, false).await?;
        }
        Ok(())
    }

    /// Binds every default of a stored table once, so that a bad one is refused now.
    pub(super) fn check_defaults(&self, relation: &Relation) -> Result<()> {
        if relation.columns().iter().all(|column| column.default.is_none()) {
            return Ok(());
        }
        let text = format!("INSERT INTO {} DEFAULT VALUES", qualified(relation));
        let options = BindOptions { source: &text, parameters: &[] };
        match crate::parse::parse(&text)?.into_iter().next().map(|parsed| parsed.body) {
            Some(Body::Sql(syntax)) => bind::bind_statement(&syntax, &self.catalog, &options).map(|_| ()),
            _ => Err(SqlError::internal("an internal statement is none")),
        }
    }

    fn columns_like(&self, name: &ast::ObjectName, defaults: bool) -> Result<Vec<ColumnSpec>> {
        let model = self.find(name)?;
        let spec = |(position, column): (usize, &Column)| ColumnSpec {
            column: Column {
                id: ColumnId(position as u16 + 1),
                default: column.default.clone().filter(|_| defaults),
                owned_sequence: None,
                missing: None,
                identity: None,
                ..column.clone()
            },
            sequence: None,
        };
        Ok(model.columns().iter().enumerate().map(spec).collect())
    }

    pub(super) async fn create_table_as(&mut self, create: &ast::CreateTable) -> Result<String> {
        refuse_unsupported(create)?;
        let Some(query) = &create.query else { return Err(SqlError::internal("CREATE TABLE AS without a query")) };
        let (schema, name) = object_name(&create.name)?;
        let schema = self.target_schema(schema.as_deref(), &name)?;
        if self.is_taken(&schema, &name, create.if_not_exists)? {
            return Ok("CREATE TABLE AS".to_owned());
        }
        let session = Arc::clone(&self.environment.eval.session);
        let options = BindOptions { source: self.source, parameters: &[] };
        let bound = bind::bind_query(query, &self.catalog, &options)?;
        bound.needs.check(&self.catalog.snapshot, &session.user)?;
        let mut columns = Vec::new();
        for (position, output) in bound.columns.unwrap_or_default().into_iter().enumerate() {
            let name = match create.columns.get(position) {
                Some(definition) => crate::session::fold(&definition.name),
                None => output.name,
            };
            // As PostgreSQL: what is still untyped becomes text.
            let ty = if output.ty == DataType::UNKNOWN { DataType::TEXT } else { output.ty };
            columns.push(Column {
                id: ColumnId(position as u16 + 1),
                name,
                ty,
                typmod: output.typmod,
                not_null: false,
                default: None,
                owned_sequence: None,
                missing: None,
                identity: None,
            });
        }
        if create.columns.len() > columns.len() {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "too many column names were specified"));
        }
        let relation = self.new_table(&schema, &name, columns).await?;
        let relation = self.put(relation)?;
        if matches!(&create.with_data, Some(with_data) if !with_data.data) {
            return Ok("CREATE TABLE AS".to_owned());
        }
        let text = format!("INSERT INTO {} {query}", qualified(&relation));
        let (_, count) = self.query(&text).await?;
        Ok(format!("SELECT {count}"))
    }

    /// `nextval('schema.name'::regclass)`.
    pub(super) fn nextval_text(schema: &str, name: &str) -> String {
        let plain = |name: &str| {
            let mut chars = name.chars();
            chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
                && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let quoted = |name: &str| if plain(name) { name.to_owned() } else { quote_ident(name) };
        let sequence = format!("{}.{}", quoted(schema), quoted(name)).replace('\'', "''");
        format!("nextval('{sequence}'::regclass)")
    }

    /// Creates the sequence behind a SERIAL or identity column.
    pub(super) async fn add_column_sequence(
        &mut self,
        relation: &mut Relation,
        column: ColumnId,
        wanted: &super::column::WantedSequence,
    ) -> Result<()> {
        let (schema, table_name, id) = (relation.schema.clone(), relation.name.clone(), relation.id);
        let schema_oid = relation.schema_oid;
        let table = table_mut(relation)?;
        let Some(column) = table.columns.iter_mut().find(|other| other.id == column) else {
            return Err(SqlError::internal("a sequence for a column that is not there"));
        };
        let name = self.free_name(&schema, &table_name, Some(&column.name), "seq", slice::from_ref(&table_name));
        let owner = Some((id, column.id));
        let sequence = self.sequence_of(&name, Some(wanted.ty), &wanted.options, owner)?;
        let sequence = self.store_sequence(schema_oid, &schema, &name, sequence).await?;
        column.owned_sequence = Some(TableId(sequence.0));
        // For an identity column too, though there it is not shown as a default.
        column.default = Some(Self::nextval_text(&schema, &name));
        Ok(())
    }
}

fn refuse_unsupported(create: &ast::CreateTable) -> Result<()> {
    let what = if create.temporary {
        "CREATE TEMPORARY TABLE"
    } else if create.inherits.is_some() {
        "table inheritance"
    } else if create.partition_by.is_some() || create.partition_of.is_some() {
        "table partitioning"
    } else if create.clone.is_some() || create.external {
        "this form of CREATE TABLE"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(what))
}
