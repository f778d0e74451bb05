//! System views: `pg_catalog`, `information_schema` and `locus`. Their columns are those of PostgreSQL 15 (`columns.txt`, one
//! line a view); views that have nothing to show here are empty. Rows are computed by the gateway from the catalog, the
//! session and the cluster's own reports.

mod cluster;
mod information;
mod listings;
mod objects;
mod observe;
pub mod roles;
mod security;
mod types;

pub(super) use types::function_oid;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use base::TableId;
use txn::Txn;

use super::{Column, ColumnId, Relation, RelationKind, Schema, SessionCatalog};
use crate::{
    error::Result,
    exec::SystemRows,
    expr::EvalContext,
    session::{BOOTSTRAP_ROLE, Database},
    settings::Settings,
    types::{Array, DataType, Row, Value, registry},
};

pub const PG_CATALOG: &str = "pg_catalog";
pub const INFORMATION_SCHEMA: &str = "information_schema";
pub const LOCUS: &str = "locus";
pub const PG_CATALOG_OID: u32 = 11;
pub const PUBLIC_OID: u32 = 2200;
const INFORMATION_SCHEMA_OID: u32 = 13207;
const LOCUS_OID: u32 = 13600;

/// `name oid kind: column type, …`
const COLUMNS: &str = include_str!("system/columns.txt");

struct Registry {
    by_id: BTreeMap<TableId, Arc<Relation>>,
    by_name: BTreeMap<(String, String), TableId>,
    schemas: Vec<Arc<Schema>>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let schema =
        |oid, name: &str| Arc::new(Schema { oid, name: name.to_owned(), owner: BOOTSTRAP_ROLE.to_owned(), acl: None });
    let mut registry = Registry {
        by_id: BTreeMap::new(),
        by_name: BTreeMap::new(),
        schemas: vec![
            schema(PG_CATALOG_OID, PG_CATALOG),
            schema(INFORMATION_SCHEMA_OID, INFORMATION_SCHEMA),
            schema(LOCUS_OID, LOCUS),
        ],
    };
    for line in COLUMNS.lines() {
        let relation = parse_line(line, &registry.schemas).unwrap_or_else(|| panic!("malformed line: {line}"));
        registry.by_name.insert((relation.schema.clone(), relation.name.clone()), relation.id);
        registry.by_id.insert(relation.id, Arc::new(relation));
    }
    registry
});

fn parse_line(line: &str, schemas: &[Arc<Schema>]) -> Option<Relation> {
    let (head, columns) = line.split_once(": ")?;
    let mut words = head.split(' ');
    let (schema, name) = words.next()?.split_once('.')?;
    let oid = words.next()?.parse().ok()?;
    let schema = schemas.iter().find(|known| known.name == schema)?;
    let mut parsed = Vec::new();
    for (position, column) in columns.split(", ").enumerate() {
        let (name, ty) = column.split_once(' ')?;
        parsed.push(Column {
            id: ColumnId(position as u16 + 1),
            name: name.to_owned(),
            ty: column_type(ty),
            typmod: -1,
            not_null: false,
            default: None,
            owned_sequence: None,
            missing: None,
            identity: None,
        });
    }
    Some(Relation {
        id: TableId(oid),
        schema_oid: schema.oid,
        schema: schema.name.clone(),
        name: name.to_owned(),
        owner: schema.owner.clone(),
        version: 1,
        acl: None,
        column_acls: BTreeMap::new(),
        kind: RelationKind::System { columns: parsed },
    })
}

/// Types that we do not have are shown by the nearest that we have.
fn column_type(name: &str) -> DataType {
    match registry::by_name(name) {
        Some(info) if info.kind == 'b' => info.oid,
        _ if name == "xid" => DataType::OID,
        _ if name.starts_with('_') => DataType::TEXT_ARRAY,
        _ => DataType::TEXT,
    }
}

/// Whether a system view is for superusers only.
pub fn is_restricted(relation: &Relation) -> bool {
    let name = relation.name.as_str();
    match relation.schema.as_str() {
        LOCUS => matches!(name, "audit" | "verify_audit" | "hba" | "certificates"),
        PG_CATALOG => matches!(name, "pg_authid" | "pg_shadow"),
        _ => false,
    }
}

/// The system's tables are tables, and its views are views: their OIDs tell.
pub fn is_table(relation: &Relation) -> bool {
    relation.id.0 < 12000
}

pub fn is_system_schema(name: &str) -> bool {
    matches!(name, PG_CATALOG | INFORMATION_SCHEMA | LOCUS)
}

pub fn relation(schema: &str, name: &str) -> Option<Arc<Relation>> {
    let id = REGISTRY.by_name.get(&(schema.to_owned(), name.to_owned()))?;
    relation_by_id(*id)
}

pub fn relation_by_id(id: TableId) -> Option<Arc<Relation>> {
    REGISTRY.by_id.get(&id).cloned()
}

pub fn schemas() -> &'static [Arc<Schema>] {
    &REGISTRY.schemas
}

pub fn relations() -> impl Iterator<Item = &'static Arc<Relation>> {
    REGISTRY.by_id.values()
}

/// What the views of one statement are computed from.
pub struct SystemViews {
    pub(crate) database: Arc<Database>,
    pub(crate) catalog: SessionCatalog,
    settings: Settings,
}

impl SystemViews {
    pub fn new(database: Arc<Database>, catalog: SessionCatalog, settings: &Settings) -> SystemViews {
        SystemViews { database, catalog, settings: settings.clone() }
    }
}

/// A view being filled.
pub(super) struct Output<'a> {
    columns: &'a [Column],
    rows: Vec<Row>,
}

impl Output<'_> {
    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// Adds a row; columns that are not given are NULL.
    fn row(&mut self, values: impl IntoIterator<Item = (&'static str, Value)>) {
        let mut row = vec![Value::Null; self.columns.len()];
        for (name, value) in values {
            let position = self.columns.iter().position(|column| column.name == name);
            debug_assert!(position.is_some(), "no column {name}");
            if let Some(position) = position {
                row[position] = value;
            }
        }
        self.rows.push(row);
    }
}

#[async_trait]
impl SystemRows for SystemViews {
    async fn rows(&self, relation: &Relation, txn: &mut Txn, eval: &EvalContext) -> Result<Vec<Row>> {
        let mut output = Output { columns: relation.columns(), rows: Vec::new() };
        match (relation.schema.as_str(), relation.name.as_str()) {
            (LOCUS, "last_commits") => self.locus_last_commits(&mut output),
            (LOCUS, "nodes") => self.locus_nodes(&mut output).await?,
            (LOCUS, "ranges") => self.locus_ranges(&mut output).await?,
            (LOCUS, "sessions") => self.locus_sessions(&mut output),
            (LOCUS, "latencies") => self.locus_latencies(&mut output).await?,
            (LOCUS, "stores") => self.locus_stores(&mut output).await?,
            (LOCUS, "replicas") => self.locus_replicas(&mut output).await?,
            (LOCUS, "range_heat") => self.locus_range_heat(&mut output).await?,
            (LOCUS, "events") => self.locus_events(&mut output).await?,
            (LOCUS, "metrics") => self.locus_metrics(&mut output).await?,
            (LOCUS, "statement_stats") => self.locus_statement_stats(&mut output),
            (LOCUS, "lock_waits") => self.locus_lock_waits(&mut output),
            (LOCUS, "settings") => self.locus_settings(&mut output),
            (LOCUS, "role_factors") => self.locus_factors(&mut output, txn, eval).await?,
            (LOCUS, "tickets") => self.locus_tickets(&mut output, txn, eval).await?,
            (LOCUS, "certificates") => self.locus_certificates(&mut output)?,
            (LOCUS, "hba") => self.locus_hba(&mut output, txn).await?,
            (LOCUS, "audit") => self.locus_audit(&mut output, txn).await?,
            (LOCUS, "verify_audit") => self.verify_audit(&mut output, txn).await?,
            (PG_CATALOG, "pg_sequences") => self.pg_sequences(&mut output, txn).await?,
            (PG_CATALOG, name) => self.pg_catalog(name, &mut output),
            (INFORMATION_SCHEMA, name) => self.information_schema(name, &mut output),
            _ => {}
        }
        Ok(output.rows)
    }
}

impl SystemViews {
    fn pg_catalog(&self, name: &str, output: &mut Output<'_>) {
        match name {
            "pg_class" => self.pg_class(output),
            "pg_attribute" => self.pg_attribute(output),
            "pg_attrdef" => self.pg_attrdef(output),
            "pg_index" => self.pg_index(output),
            "pg_constraint" => self.pg_constraint(output),
            "pg_namespace" => self.pg_namespace(output),
            "pg_sequence" => self.pg_sequence(output),
            "pg_depend" => self.pg_depend(output),
            "pg_rewrite" => self.pg_rewrite(output),
            "pg_type" => self.pg_type(output),
            "pg_proc" => self.pg_proc(output),
            "pg_am" => self.pg_am(output),
            "pg_collation" => self.pg_collation(output),
            "pg_language" => self.pg_language(output),
            "pg_tables" => self.pg_tables(output),
            "pg_indexes" => self.pg_indexes(output),
            "pg_views" => self.pg_views(output),
            "pg_stat_user_tables" | "pg_stat_all_tables" => self.pg_stat_tables(output),
            "pg_database" => self.pg_database(output),
            "pg_roles" | "pg_authid" => self.pg_roles(output),
            "pg_user" | "pg_shadow" => self.pg_user(output),
            "pg_auth_members" => self.pg_auth_members(output),
            "pg_db_role_setting" => self.pg_db_role_setting(output),
            "pg_default_acl" => self.pg_default_acl(output),
            "pg_tablespace" => self.pg_tablespace(output),
            "pg_settings" => self.pg_settings(output),
            "pg_stat_activity" => self.pg_stat_activity(output),
            "pg_locks" => self.pg_locks(output),
            _ => {}
        }
    }
}

// Values, short enough to be written in rows.

fn oid(value: u32) -> Value {
    Value::Oid(value)
}

fn text(value: impl Into<Arc<str>>) -> Value {
    Value::Text(value.into())
}

fn flag(value: bool) -> Value {
    Value::Bool(value)
}

fn int2(value: i64) -> Value {
    Value::Int2(value as i16)
}

fn int4(value: i64) -> Value {
    Value::Int4(value as i32)
}

fn int8(value: i64) -> Value {
    Value::Int8(value)
}

fn letter(value: char) -> Value {
    Value::Char(value as u8)
}

fn array(element: DataType, values: Vec<Value>) -> Value {
    Value::Array(Box::new(Array { element, values }))
}

fn yes_no(value: bool) -> Value {
    text(if value { "YES" } else { "NO" })
}
