//! Relations, columns, indexes, constraints: what `\d` is made of.

use super::{Output, SystemViews, array, flag, int2, int4, int8, letter, oid, text};
use crate::{
    catalog::{
        CatalogView, Column, ForeignKeyAction, Index, IndexKind, Relation, RelationKind, Table, descriptor::Identity,
    },
    types::{Array, DataType, Value, registry},
};

const BTREE_OID: u32 = 403;
const HEAP_OID: u32 = 2;
pub(super) const CLASS_OID: u32 = 1259;
const ATTRDEF_OID: u32 = 2604;
const REWRITE_OID: u32 = 2618;

/// `pg_class.relkind`.
fn relation_letter(relation: &Relation) -> char {
    match relation.kind {
        RelationKind::Table(_) => 'r',
        RelationKind::Sequence(_) => 'S',
        RelationKind::View(_) => 'v',
        RelationKind::System { .. } if super::is_table(relation) => 'r',
        RelationKind::System { .. } => 'v',
    }
}

/// Indexes that are shown: all but the one behind a hidden row id.
pub(super) fn shown_indexes(table: &Table) -> impl Iterator<Item = &Index> {
    table.indexes.iter().filter(|index| !index.hidden_row_id)
}

/// Key columns and INCLUDEd columns of an index, by attnum.
fn index_columns(index: &Index) -> Vec<u16> {
    index.columns.iter().map(|column| column.column.0).chain(index.include.iter().map(|id| id.0)).collect()
}

fn int2vector(values: impl Iterator<Item = i64>) -> Value {
    Value::Array(Box::new(Array { element: DataType::INT2, values: values.map(int2).collect() }))
}

fn oidvector(values: impl Iterator<Item = u32>) -> Value {
    Value::Array(Box::new(Array { element: DataType::OID, values: values.map(oid).collect() }))
}

/// The default collation for types that have one.
pub(super) fn collation(ty: DataType) -> u32 {
    match ty {
        DataType::NAME => 950,
        _ if registry::category(ty) == 'S' => 100,
        _ => 0,
    }
}

impl SystemViews {
    pub(super) fn pg_class(&self, output: &mut Output<'_>) {
        for relation in self.catalog.relations() {
            let table = relation.table();
            let am = if matches!(relation.kind, RelationKind::Table(_)) { HEAP_OID } else { 0 };
            let columns = relation.columns().len() as i64;
            let kind = relation_letter(&relation);
            let referenced = !self.catalog.referencing(relation.id).is_empty();
            let keys = table.is_some_and(|table| !table.foreign_keys.is_empty());
            let mut row = class_row(ClassRow {
                oid: relation.id.0,
                name: &relation.name,
                schema: relation.schema_oid,
                owner: self.catalog.snapshot.roles.oid(&relation.owner),
                am,
                kind,
                columns: if kind == 'S' { 3 } else { columns },
                checks: table.map_or(0, |table| table.checks.len() as i64),
                has_index: table.is_some_and(|table| shown_indexes(table).next().is_some()),
                has_rules: kind == 'v',
                has_triggers: referenced || keys,
            });
            row.push(("relacl", self.acl(relation.acl.as_ref())));
            output.row(row);
            for index in table.into_iter().flat_map(shown_indexes) {
                output.row(class_row(ClassRow {
                    oid: index.oid,
                    name: &index.name,
                    schema: relation.schema_oid,
                    owner: self.catalog.snapshot.roles.oid(&relation.owner),
                    am: BTREE_OID,
                    kind: 'i',
                    columns: index_columns(index).len() as i64,
                    checks: 0,
                    has_index: false,
                    has_rules: false,
                    has_triggers: false,
                }));
            }
        }
    }

    pub(super) fn pg_attribute(&self, output: &mut Output<'_>) {
        for relation in self.catalog.relations() {
            for column in relation.columns() {
                let mut row = attribute(relation.id.0, column, column.id.0);
                row.push(("attacl", self.acl(relation.column_acls.get(&column.id))));
                output.row(row);
            }
            for index in relation.table().into_iter().flat_map(shown_indexes) {
                for (position, id) in index_columns(index).into_iter().enumerate() {
                    if let Some(column) = relation.columns().iter().find(|column| column.id.0 == id) {
                        let plain = Column { not_null: false, default: None, identity: None, ..column.clone() };
                        output.row(attribute(index.oid, &plain, position as u16 + 1));
                    }
                }
            }
        }
    }

    pub(super) fn pg_attrdef(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            for column in relation.columns().iter().filter(|column| column.identity.is_none()) {
                if let Some(default) = &column.default {
                    output.row([
                        ("oid", oid(default_oid(relation, column))),
                        ("adrelid", oid(relation.id.0)),
                        ("adnum", int2(i64::from(column.id.0))),
                        ("adbin", text(default.as_str())),
                    ]);
                }
            }
        }
    }

    pub(super) fn pg_index(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            for index in relation.table().into_iter().flat_map(shown_indexes) {
                let columns = index_columns(index);
                let types: Vec<DataType> = columns
                    .iter()
                    .filter_map(|id| relation.columns().iter().find(|column| column.id.0 == *id))
                    .map(|column| column.ty)
                    .collect();
                let options = index
                    .columns
                    .iter()
                    .map(|column| i64::from(u8::from(column.descending) | (u8::from(column.nulls_first) << 1)));
                output.row([
                    ("indexrelid", oid(index.oid)),
                    ("indrelid", oid(relation.id.0)),
                    ("indnatts", int2(columns.len() as i64)),
                    ("indnkeyatts", int2(index.columns.len() as i64)),
                    ("indisunique", flag(index.unique)),
                    ("indnullsnotdistinct", flag(false)),
                    ("indisprimary", flag(index.kind == IndexKind::Primary)),
                    ("indisexclusion", flag(false)),
                    ("indimmediate", flag(true)),
                    ("indisclustered", flag(false)),
                    ("indisvalid", flag(true)),
                    ("indcheckxmin", flag(false)),
                    ("indisready", flag(true)),
                    ("indislive", flag(true)),
                    ("indisreplident", flag(false)),
                    ("indkey", int2vector(columns.iter().map(|id| i64::from(*id)))),
                    ("indcollation", oidvector(types.iter().map(|ty| collation(*ty)))),
                    ("indclass", oidvector(types.iter().map(|_| 0))),
                    ("indoption", int2vector(options)),
                ]);
            }
        }
    }

    pub(super) fn pg_constraint(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            let Some(table) = relation.table() else { continue };
            for index in shown_indexes(table).filter(|index| index.constraint) {
                let kind = if index.kind == IndexKind::Primary { 'p' } else { 'u' };
                // The OID of the index serves as that of its constraint, in a table of its own.
                let mut row = constraint_row(relation, index.oid, &index.name, kind);
                row.push(("conindid", oid(index.oid)));
                row.push(("conkey", attnums(index.columns.iter().map(|column| column.column.0))));
                output.row(row);
            }
            for check in &table.checks {
                let mut row = constraint_row(relation, check.oid, &check.name, 'c');
                row.push(("conbin", text(check.expression.as_str())));
                output.row(row);
            }
            for key in &table.foreign_keys {
                let mut row = constraint_row(relation, key.oid, &key.name, 'f');
                row.retain(|(name, _)| !matches!(*name, "confrelid" | "confupdtype" | "confdeltype" | "confmatchtype"));
                row.push(("conindid", oid(key.referenced_index)));
                row.push(("confrelid", oid(key.referenced_table.0)));
                row.push(("confupdtype", letter(action_letter(key.on_update))));
                row.push(("confdeltype", letter(action_letter(key.on_delete))));
                row.push(("confmatchtype", letter('s')));
                row.push(("conkey", attnums(key.columns.iter().map(|id| id.0))));
                row.push(("confkey", attnums(key.referenced_columns.iter().map(|id| id.0))));
                output.row(row);
            }
        }
    }

    pub(super) fn pg_namespace(&self, output: &mut Output<'_>) {
        for schema in self.catalog.schemas() {
            output.row([
                ("oid", oid(schema.oid)),
                ("nspname", text(schema.name.as_str())),
                ("nspowner", self.role_oid(&schema.owner)),
                ("nspacl", self.acl(schema.acl.as_ref())),
            ]);
        }
    }

    pub(super) fn pg_sequence(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            let RelationKind::Sequence(sequence) = &relation.kind else { continue };
            output.row([
                ("seqrelid", oid(relation.id.0)),
                ("seqtypid", oid(sequence.ty.0)),
                ("seqstart", int8(sequence.start)),
                ("seqincrement", int8(sequence.increment)),
                ("seqmax", int8(sequence.max)),
                ("seqmin", int8(sequence.min)),
                ("seqcache", int8(sequence.cache)),
                ("seqcycle", flag(sequence.cycle)),
            ]);
        }
    }

    /// Sequences that belong to columns, and the defaults that draw from them.
    pub(super) fn pg_depend(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            for column in relation.columns() {
                let Some(sequence) = column.owned_sequence else { continue };
                let kind = if column.identity.is_some() { 'i' } else { 'a' };
                output.row(depend((CLASS_OID, sequence.0, 0), (CLASS_OID, relation.id.0, column.id.0), kind));
                if column.identity.is_none() {
                    let default = default_oid(relation, column);
                    output.row(depend((ATTRDEF_OID, default, 0), (CLASS_OID, sequence.0, 0), 'n'));
                }
            }
        }
    }

    pub(super) fn pg_rewrite(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            if matches!(relation.kind, RelationKind::View(_)) {
                output.row([
                    ("oid", oid(relation.id.0 ^ REWRITE_OID)),
                    ("rulename", text("_RETURN")),
                    ("ev_class", oid(relation.id.0)),
                    ("ev_type", letter('1')),
                    ("ev_enabled", letter('O')),
                    ("is_instead", flag(true)),
                ]);
            }
        }
    }
}

struct ClassRow<'a> {
    oid: u32,
    name: &'a str,
    schema: u32,
    owner: u32,
    am: u32,
    kind: char,
    columns: i64,
    checks: i64,
    has_index: bool,
    has_rules: bool,
    has_triggers: bool,
}

fn class_row(row: ClassRow<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("oid", oid(row.oid)),
        ("relname", text(row.name)),
        ("relnamespace", oid(row.schema)),
        ("reltype", oid(0)),
        ("reloftype", oid(0)),
        ("relowner", oid(row.owner)),
        ("relam", oid(row.am)),
        ("relfilenode", oid(row.oid)),
        ("reltablespace", oid(0)),
        ("relpages", int4(0)),
        ("reltuples", Value::Float4(-1.0)),
        ("relallvisible", int4(0)),
        ("reltoastrelid", oid(0)),
        ("relhasindex", flag(row.has_index)),
        ("relisshared", flag(false)),
        ("relpersistence", letter('p')),
        ("relkind", letter(row.kind)),
        ("relnatts", int2(row.columns)),
        ("relchecks", int2(row.checks)),
        ("relhasrules", flag(row.has_rules)),
        ("relhastriggers", flag(row.has_triggers)),
        ("relhassubclass", flag(false)),
        ("relrowsecurity", flag(false)),
        ("relforcerowsecurity", flag(false)),
        ("relispopulated", flag(true)),
        ("relreplident", letter(if row.kind == 'r' { 'd' } else { 'n' })),
        ("relispartition", flag(false)),
        ("relrewrite", oid(0)),
        ("relfrozenxid", oid(0)),
        ("relminmxid", oid(0)),
    ]
}

fn attribute(relation: u32, column: &Column, number: u16) -> Vec<(&'static str, Value)> {
    let info = registry::get(column.ty);
    let identity = match column.identity {
        None => 0,
        Some(Identity::Always) => b'a',
        Some(Identity::ByDefault) => b'd',
    };
    let len = info.map_or(-1, |info| i64::from(info.len));
    vec![
        ("attrelid", oid(relation)),
        ("attname", text(column.name.as_str())),
        ("atttypid", oid(column.ty.0)),
        ("attstattarget", int4(-1)),
        ("attlen", int2(len)),
        ("attnum", int2(i64::from(number))),
        ("attndims", int4(i64::from(column.ty.is_array()))),
        ("attcacheoff", int4(-1)),
        ("atttypmod", int4(i64::from(column.typmod))),
        ("attbyval", flag((1..=8).contains(&len))),
        ("attalign", letter('i')),
        ("attstorage", letter(storage_letter(column.ty))),
        ("attcompression", Value::Char(0)),
        ("attnotnull", flag(column.not_null)),
        ("atthasdef", flag(column.default.is_some() && column.identity.is_none())),
        ("atthasmissing", flag(column.missing.is_some())),
        ("attidentity", Value::Char(identity)),
        ("attgenerated", Value::Char(0)),
        ("attisdropped", flag(false)),
        ("attislocal", flag(true)),
        ("attinhcount", int4(0)),
        ("attcollation", oid(collation(column.ty))),
    ]
}

/// `pg_attribute.attstorage`, as PostgreSQL chooses it by type.
fn storage_letter(ty: DataType) -> char {
    match ty {
        DataType::NUMERIC => 'm',
        _ if registry::get(ty).is_some_and(|info| info.len == -1) => 'x',
        _ => 'p',
    }
}

/// Defaults have no OIDs of their own: made from the table's and the column's.
fn default_oid(relation: &Relation, column: &Column) -> u32 {
    0x4000_0000 | (relation.id.0 << 8) ^ u32::from(column.id.0)
}

fn constraint_row(relation: &Relation, id: u32, name: &str, kind: char) -> Vec<(&'static str, Value)> {
    vec![
        ("oid", oid(id)),
        ("conname", text(name)),
        ("connamespace", oid(relation.schema_oid)),
        ("contype", letter(kind)),
        ("condeferrable", flag(false)),
        ("condeferred", flag(false)),
        ("convalidated", flag(true)),
        ("conrelid", oid(relation.id.0)),
        ("contypid", oid(0)),
        ("conindid", oid(0)),
        ("conparentid", oid(0)),
        ("confrelid", oid(0)),
        ("confupdtype", letter(' ')),
        ("confdeltype", letter(' ')),
        ("confmatchtype", letter(' ')),
        ("conislocal", flag(true)),
        ("coninhcount", int4(0)),
        ("connoinherit", flag(kind != 'c')),
    ]
}

fn attnums(ids: impl Iterator<Item = u16>) -> Value {
    array(DataType::INT2, ids.map(|id| int2(i64::from(id))).collect())
}

fn action_letter(action: ForeignKeyAction) -> char {
    match action {
        ForeignKeyAction::NoAction => 'a',
        ForeignKeyAction::Restrict => 'r',
        ForeignKeyAction::Cascade => 'c',
        ForeignKeyAction::SetNull => 'n',
        ForeignKeyAction::SetDefault => 'd',
    }
}

fn depend(object: (u32, u32, u16), on: (u32, u32, u16), kind: char) -> [(&'static str, Value); 7] {
    [
        ("classid", oid(object.0)),
        ("objid", oid(object.1)),
        ("objsubid", int4(i64::from(object.2))),
        ("refclassid", oid(on.0)),
        ("refobjid", oid(on.1)),
        ("refobjsubid", int4(i64::from(on.2))),
        ("deptype", letter(kind)),
    ]
}
