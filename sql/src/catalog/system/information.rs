//! `information_schema`.

use std::sync::Arc;

use super::{Output, SystemViews, int4, objects::shown_indexes, text, yes_no};
use crate::{
    catalog::{
        CatalogView, Column, ForeignKeyAction, IndexKind, Relation, RelationKind, Table, descriptor::Identity,
        functions::shown_default,
    },
    session::DATABASE_NAMES,
    types::{DataType, Value, format_type, registry},
};

fn catalog() -> Value {
    text(DATABASE_NAMES[0])
}

fn number(value: i64) -> Value {
    text(value.to_string())
}

impl SystemViews {
    pub(super) fn information_schema(&self, name: &str, output: &mut Output<'_>) {
        match name {
            "information_schema_catalog_name" => output.row([("catalog_name", catalog())]),
            "schemata" => {
                for schema in self.catalog.schemas() {
                    output.row([
                        ("catalog_name", catalog()),
                        ("schema_name", text(schema.name.as_str())),
                        ("schema_owner", text(schema.owner.as_str())),
                    ]);
                }
            }
            "tables" => self.information_tables(output),
            "columns" => self.information_columns(output),
            "views" => self.information_views(output),
            "sequences" => self.information_sequences(output),
            "table_constraints" => self.table_constraints(output),
            "key_column_usage" => self.key_column_usage(output),
            "constraint_column_usage" => self.constraint_column_usage(output),
            "referential_constraints" => self.referential_constraints(output),
            "check_constraints" => self.check_constraints(output),
            _ => {}
        }
    }

    fn information_tables(&self, output: &mut Output<'_>) {
        for relation in self.catalog.relations() {
            let kind = match relation.kind {
                RelationKind::Table(_) => "BASE TABLE",
                RelationKind::System { .. } if relation.id.0 < 12000 => "BASE TABLE",
                RelationKind::View(_) | RelationKind::System { .. } => "VIEW",
                RelationKind::Sequence(_) => continue,
            };
            output.row([
                ("table_catalog", catalog()),
                ("table_schema", text(relation.schema.as_str())),
                ("table_name", text(relation.name.as_str())),
                ("table_type", text(kind)),
                ("is_insertable_into", yes_no(relation.table().is_some())),
                ("is_typed", yes_no(false)),
            ]);
        }
    }

    fn information_columns(&self, output: &mut Output<'_>) {
        for relation in self.catalog.relations() {
            for (position, column) in relation.columns().iter().enumerate() {
                output.row(column_row(&self.catalog, &relation, position, column));
            }
        }
    }

    fn information_views(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            if let RelationKind::View(view) = &relation.kind {
                output.row([
                    ("table_catalog", catalog()),
                    ("table_schema", text(relation.schema.as_str())),
                    ("table_name", text(relation.name.as_str())),
                    ("view_definition", text(format!(" {};", view.query))),
                    ("check_option", text("NONE")),
                    ("is_updatable", yes_no(false)),
                    ("is_insertable_into", yes_no(false)),
                ]);
            }
        }
    }

    fn information_sequences(&self, output: &mut Output<'_>) {
        for relation in self.catalog.snapshot.relations() {
            let RelationKind::Sequence(sequence) = &relation.kind else { continue };
            let bits = match sequence.ty {
                DataType::INT2 => 16,
                DataType::INT4 => 32,
                _ => 64,
            };
            output.row([
                ("sequence_catalog", catalog()),
                ("sequence_schema", text(relation.schema.as_str())),
                ("sequence_name", text(relation.name.as_str())),
                ("data_type", text(format_type(sequence.ty, -1))),
                ("numeric_precision", int4(bits)),
                ("numeric_precision_radix", int4(2)),
                ("numeric_scale", int4(0)),
                ("start_value", number(sequence.start)),
                ("minimum_value", number(sequence.min)),
                ("maximum_value", number(sequence.max)),
                ("increment", number(sequence.increment)),
                ("cycle_option", yes_no(sequence.cycle)),
            ]);
        }
    }

    fn each_table(&self) -> impl Iterator<Item = (&Arc<Relation>, &Table)> {
        self.catalog.snapshot.relations().filter_map(|relation| Some((relation, relation.table()?)))
    }

    fn table_constraints(&self, output: &mut Output<'_>) {
        for (relation, table) in self.each_table() {
            let keys = shown_indexes(table).filter(|index| index.constraint).map(|index| {
                let kind = if index.kind == IndexKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
                (index.name.as_str(), kind)
            });
            let checks = table.checks.iter().map(|check| (check.name.as_str(), "CHECK"));
            let foreign = table.foreign_keys.iter().map(|key| (key.name.as_str(), "FOREIGN KEY"));
            for (name, kind) in keys.chain(checks).chain(foreign) {
                output.row([
                    ("constraint_catalog", catalog()),
                    ("constraint_schema", text(relation.schema.as_str())),
                    ("constraint_name", text(name)),
                    ("table_catalog", catalog()),
                    ("table_schema", text(relation.schema.as_str())),
                    ("table_name", text(relation.name.as_str())),
                    ("constraint_type", text(kind)),
                    ("is_deferrable", yes_no(false)),
                    ("initially_deferred", yes_no(false)),
                    ("enforced", yes_no(true)),
                ]);
            }
        }
    }

    fn key_column_usage(&self, output: &mut Output<'_>) {
        for (relation, table) in self.each_table() {
            let mut usage = |name: &str, position: usize, column: &Column, referenced: Option<usize>| {
                output.row([
                    ("constraint_catalog", catalog()),
                    ("constraint_schema", text(relation.schema.as_str())),
                    ("constraint_name", text(name)),
                    ("table_catalog", catalog()),
                    ("table_schema", text(relation.schema.as_str())),
                    ("table_name", text(relation.name.as_str())),
                    ("column_name", text(column.name.as_str())),
                    ("ordinal_position", int4(position as i64 + 1)),
                    ("position_in_unique_constraint", referenced.map_or(Value::Null, |at| int4(at as i64 + 1))),
                ]);
            };
            for index in shown_indexes(table).filter(|index| index.constraint) {
                for (position, key) in index.columns.iter().enumerate() {
                    if let Some(column) = table.column(key.column) {
                        usage(&index.name, position, column, None);
                    }
                }
            }
            for key in &table.foreign_keys {
                for (position, id) in key.columns.iter().enumerate() {
                    if let Some(column) = table.column(*id) {
                        usage(&key.name, position, column, Some(position));
                    }
                }
            }
        }
    }

    fn constraint_column_usage(&self, output: &mut Output<'_>) {
        for (relation, table) in self.each_table() {
            let mut usage = |owner: &Relation, column: &Column, name: &str| {
                output.row([
                    ("table_catalog", catalog()),
                    ("table_schema", text(owner.schema.as_str())),
                    ("table_name", text(owner.name.as_str())),
                    ("column_name", text(column.name.as_str())),
                    ("constraint_catalog", catalog()),
                    ("constraint_schema", text(relation.schema.as_str())),
                    ("constraint_name", text(name)),
                ]);
            };
            for index in shown_indexes(table).filter(|index| index.constraint) {
                for column in index.columns.iter().filter_map(|key| table.column(key.column)) {
                    usage(relation, column, &index.name);
                }
            }
            for key in &table.foreign_keys {
                let Some(parent) = self.catalog.snapshot.get(key.referenced_table) else { continue };
                let columns = key.referenced_columns.iter().filter_map(|id| parent.table()?.column(*id));
                for column in columns {
                    usage(parent, column, &key.name);
                }
            }
        }
    }

    fn referential_constraints(&self, output: &mut Output<'_>) {
        for (relation, table) in self.each_table() {
            for key in &table.foreign_keys {
                let unique = self.catalog.snapshot.index_by_oid(key.referenced_index);
                let (schema, name) = unique.map_or((Value::Null, Value::Null), |(parent, index)| {
                    (text(parent.schema.as_str()), text(index.name.as_str()))
                });
                output.row([
                    ("constraint_catalog", catalog()),
                    ("constraint_schema", text(relation.schema.as_str())),
                    ("constraint_name", text(key.name.as_str())),
                    ("unique_constraint_catalog", catalog()),
                    ("unique_constraint_schema", schema),
                    ("unique_constraint_name", name),
                    ("match_option", text("NONE")),
                    ("update_rule", text(action_rule(key.on_update))),
                    ("delete_rule", text(action_rule(key.on_delete))),
                ]);
            }
        }
    }

    fn check_constraints(&self, output: &mut Output<'_>) {
        for (relation, table) in self.each_table() {
            for check in &table.checks {
                output.row([
                    ("constraint_catalog", catalog()),
                    ("constraint_schema", text(relation.schema.as_str())),
                    ("constraint_name", text(check.name.as_str())),
                    ("check_clause", text(check.expression.as_str())),
                ]);
            }
        }
    }
}

fn action_rule(action: ForeignKeyAction) -> &'static str {
    match action {
        ForeignKeyAction::NoAction => "NO ACTION",
        ForeignKeyAction::Restrict => "RESTRICT",
        ForeignKeyAction::Cascade => "CASCADE",
        ForeignKeyAction::SetNull => "SET NULL",
        ForeignKeyAction::SetDefault => "SET DEFAULT",
    }
}

fn column_row(
    view: &crate::catalog::SessionCatalog,
    relation: &Relation,
    position: usize,
    column: &Column,
) -> Vec<(&'static str, Value)> {
    let precision = match column.ty {
        DataType::INT2 => Some((16, 2, Some(0))),
        DataType::INT4 => Some((32, 2, Some(0))),
        DataType::INT8 => Some((64, 2, Some(0))),
        DataType::FLOAT4 => Some((24, 2, None)),
        DataType::FLOAT8 => Some((53, 2, None)),
        DataType::NUMERIC if column.typmod >= 4 => {
            let packed = i64::from(column.typmod - 4);
            Some((packed >> 16, 10, Some(packed & 0x7ff)))
        }
        _ => None,
    };
    let text_length = matches!(column.ty, DataType::VARCHAR | DataType::BPCHAR) && column.typmod >= 4;
    let is_time = matches!(
        column.ty,
        DataType::TIMESTAMP | DataType::TIMESTAMPTZ | DataType::TIME | DataType::INTERVAL | DataType::DATE
    );
    let optional = |value: Option<i64>| value.map_or(Value::Null, int4);
    let data_type = if column.ty.is_array() { "ARRAY".to_owned() } else { format_type(column.ty, -1) };
    let time_precision = match column.ty {
        DataType::DATE => 0,
        _ if column.typmod >= 0 => i64::from(column.typmod),
        _ => 6,
    };
    vec![
        ("table_catalog", catalog()),
        ("table_schema", text(relation.schema.as_str())),
        ("table_name", text(relation.name.as_str())),
        ("column_name", text(column.name.as_str())),
        ("ordinal_position", int4(position as i64 + 1)),
        ("column_default", shown_default(&view.snapshot, &view.search_path, column).map_or(Value::Null, text)),
        ("is_nullable", yes_no(!column.not_null)),
        ("data_type", text(data_type)),
        ("character_maximum_length", optional(text_length.then(|| i64::from(column.typmod - 4)))),
        ("numeric_precision", optional(precision.map(|(digits, _, _)| digits))),
        ("numeric_precision_radix", optional(precision.map(|(_, radix, _)| radix))),
        ("numeric_scale", optional(precision.and_then(|(_, _, scale)| scale))),
        ("datetime_precision", optional(is_time.then_some(time_precision))),
        ("udt_catalog", catalog()),
        ("udt_schema", text("pg_catalog")),
        ("udt_name", registry::get(column.ty).map_or(Value::Null, |info| text(info.name))),
        ("dtd_identifier", number(i64::from(column.id.0))),
        ("is_self_referencing", yes_no(false)),
        ("is_identity", yes_no(column.identity.is_some())),
        (
            "identity_generation",
            match column.identity {
                None => Value::Null,
                Some(Identity::Always) => text("ALWAYS"),
                Some(Identity::ByDefault) => text("BY DEFAULT"),
            },
        ),
        ("is_generated", text("NEVER")),
        ("is_updatable", yes_no(relation.table().is_some())),
    ]
}
