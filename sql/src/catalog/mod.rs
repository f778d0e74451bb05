//! The catalog: what exists. Descriptors are rows of a system table in the same transactional store; a statement
//! sees them through [`CatalogView`], a consistent snapshot at its transaction's timestamp.
//!
//! Reading order: `descriptor` (what is stored), `store` (where, and how changes are kept apart), `snapshot`, `cache` (when a
//! cached one is true), `change` (DDL), `sequence`, `system` (the views), `functions`, `garbage`.

pub mod cache;
pub mod change;
pub mod deparse;
pub mod descriptor;
pub mod functions;
pub mod garbage;
mod privileges;
pub mod role;
pub mod sequence;
pub mod snapshot;
pub mod store;
pub mod system;

use std::sync::Arc;

pub use descriptor::{
    CheckConstraint, Column, ColumnId, ForeignKey, ForeignKeyAction, Identity, Index, IndexColumn, IndexKind, Relation,
    RelationKind, Schema, Sequence, Table, View,
};
pub use role::{DatabaseAccess, DefaultAcl, Role, RoleSet};
pub use snapshot::{SessionCatalog, Snapshot};

use base::TableId;

/// A consistent snapshot of the catalog, loaded before binding (so that binding is synchronous).
pub trait CatalogView: Send + Sync {
    /// Finds a relation by name; without a schema, along the search path (`pg_catalog` first, implicitly).
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<Arc<Relation>>;
    fn relation_by_id(&self, id: TableId) -> Option<Arc<Relation>>;
    fn schemas(&self) -> Vec<Arc<Schema>>;
    /// All relations, system views included, in order of id.
    fn relations(&self) -> Vec<Arc<Relation>>;
    /// Tables with a foreign key to this one.
    fn referencing(&self, table: TableId) -> Vec<Arc<Relation>>;
}
