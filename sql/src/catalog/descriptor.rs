//! Descriptors: what is stored about a relation. A descriptor is never changed in place; each change has a new version.
//! OIDs of relations are their `TableId`s (indexes have OIDs of their own).

use std::{collections::BTreeMap, sync::Arc};

use auth::privilege::{Acl, Object};
use base::{IndexId, TableId};
use serde::{Deserialize, Serialize};

use crate::types::DataType;

/// Identifies a column within its table for ever; also its `attnum`. Dropped ids are not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnId(pub u16);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schema {
    pub oid: u32,
    pub name: String,
    pub owner: String,
    /// Who may do what; `None`: what holds by itself.
    pub acl: Option<Acl>,
}

/// Anything that has a name in a schema and columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relation {
    pub id: TableId,
    pub schema_oid: u32,
    pub schema: String,
    pub name: String,
    pub owner: String,
    /// Grows with every change.
    pub version: u64,
    /// Who may do what with the whole; `None`: what holds by itself.
    pub acl: Option<Acl>,
    /// Who may do what with single columns besides.
    pub column_acls: BTreeMap<ColumnId, Acl>,
    pub kind: RelationKind,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum RelationKind {
    Table(Table),
    Sequence(Sequence),
    View(View),
    /// A system view computed by the gateway (`pg_catalog`, `information_schema`, `locus`): its columns, and rows from
    /// `catalog::system` by name.
    System {
        columns: Vec<Column>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// Visible columns in order; the hidden row id of a table without a primary key is not among them.
    pub columns: Vec<Column>,
    pub next_column_id: u16,
    /// The primary index comes first: it holds the rows. Its key is the primary key, or a hidden unique row id (see
    /// [`Index::hidden_row_id`]).
    pub indexes: Vec<Index>,
    pub next_index_id: u32,
    pub checks: Vec<CheckConstraint>,
    pub foreign_keys: Vec<ForeignKey>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    pub id: ColumnId,
    pub name: String,
    pub ty: DataType,
    /// PostgreSQL's type modifier; -1 for none.
    pub typmod: i32,
    pub not_null: bool,
    /// SQL text of the default; bound anew with the table.
    pub default: Option<String>,
    /// A sequence owned by this column (`SERIAL`), dropped with it.
    pub owned_sequence: Option<TableId>,
    /// The value of rows written before the column was added: evaluated once by ADD COLUMN.
    pub missing: Option<crate::types::Value>,
    pub identity: Option<Identity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Always,
    ByDefault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexKind {
    /// Holds the rows.
    Primary,
    /// Holds primary keys (and INCLUDEd columns).
    Secondary,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Index {
    /// The key space; a new one at TRUNCATE or rebuild.
    pub id: IndexId,
    /// The OID that `pg_class` shows.
    pub oid: u32,
    pub name: String,
    pub kind: IndexKind,
    pub unique: bool,
    /// Whether it backs a constraint: `PRIMARY KEY` or `UNIQUE` (then the index name is the constraint's).
    pub constraint: bool,
    pub columns: Vec<IndexColumn>,
    pub include: Vec<ColumnId>,
    /// The primary index of a table without a primary key: keyed by a hidden unique 64-bit row id (and not shown).
    pub hidden_row_id: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct IndexColumn {
    pub column: ColumnId,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckConstraint {
    pub oid: u32,
    pub name: String,
    /// SQL text, as `pg_get_constraintdef` prints it within `CHECK (...)`.
    pub expression: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignKeyAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignKey {
    pub oid: u32,
    pub name: String,
    pub columns: Vec<ColumnId>,
    pub referenced_table: TableId,
    pub referenced_columns: Vec<ColumnId>,
    /// The unique index of the referenced table that is looked up.
    pub referenced_index: u32,
    pub on_delete: ForeignKeyAction,
    pub on_update: ForeignKeyAction,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sequence {
    pub ty: DataType,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    pub cache: i64,
    pub owned_by: Option<(TableId, ColumnId)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    pub columns: Vec<Column>,
    /// The defining query's text.
    pub query: String,
}

impl Relation {
    pub fn table(&self) -> Option<&Table> {
        match &self.kind {
            RelationKind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// What its privileges are about.
    pub fn privilege_object(&self) -> Object {
        match self.kind {
            RelationKind::Sequence(_) => Object::Sequence,
            _ => Object::Table,
        }
    }

    /// Columns as `SELECT *` shows them.
    pub fn columns(&self) -> &[Column] {
        match &self.kind {
            RelationKind::Table(table) => &table.columns,
            RelationKind::View(view) => &view.columns,
            RelationKind::System { columns } => columns,
            RelationKind::Sequence(_) => &[],
        }
    }
}

impl Table {
    pub fn primary(&self) -> &Index {
        &self.indexes[0]
    }

    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// Position of a column among the visible ones.
    pub fn slot(&self, id: ColumnId) -> Option<usize> {
        self.columns.iter().position(|column| column.id == id)
    }
}

/// A shared relation.
pub type RelationRef = Arc<Relation>;
