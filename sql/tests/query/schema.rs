//! The harness's own CREATE TABLE and CREATE INDEX, and the catalog they fill. (The real ones have tests of their own; these
//! keep the planner's tests apart from them.)

use std::{collections::BTreeMap, sync::Arc};

use base::{IndexId, TableId};
use sql::{
    DataType,
    bind::data_type,
    catalog::{
        CatalogView, CheckConstraint, Column, ColumnId, ForeignKey, ForeignKeyAction, Index, IndexColumn, IndexKind,
        Relation, RelationKind, Schema, Table, View,
    },
};
use sqlparser::ast;

#[derive(Clone, Default)]
pub struct Catalog {
    relations: BTreeMap<String, Arc<Relation>>,
    next: u32,
}

impl CatalogView for Catalog {
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<Arc<Relation>> {
        self.relations.get(name).filter(|_| schema.is_none_or(|schema| schema == "public")).cloned()
    }

    fn relation_by_id(&self, id: TableId) -> Option<Arc<Relation>> {
        self.relations.values().find(|relation| relation.id == id).cloned()
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        Vec::new()
    }

    fn relations(&self) -> Vec<Arc<Relation>> {
        self.relations.values().cloned().collect()
    }

    fn referencing(&self, table: TableId) -> Vec<Arc<Relation>> {
        let refers = |relation: &&Arc<Relation>| {
            relation.table().is_some_and(|found| found.foreign_keys.iter().any(|key| key.referenced_table == table))
        };
        self.relations.values().filter(refers).cloned().collect()
    }
}

impl Catalog {
    fn add(&mut self, name: String, kind: RelationKind) {
        self.next += 1;
        let relation = Relation {
            id: TableId(100 + self.next),
            schema_oid: 2200,
            schema: "public".into(),
            name: name.clone(),
            owner: "test".into(),
            version: 1,
            acl: None,
            column_acls: BTreeMap::new(),
            kind,
        };
        self.relations.insert(name, Arc::new(relation));
    }

    pub fn create_view(&mut self, view: &ast::CreateView) {
        let view_kind = RelationKind::View(View { columns: Vec::new(), query: view.query.to_string() });
        self.add(view.name.to_string(), view_kind);
    }

    pub fn create_index(&mut self, create: &ast::CreateIndex) {
        let name = create.table_name.to_string();
        let mut relation = (*self.relations[&name]).clone();
        let RelationKind::Table(table) = &mut relation.kind else { panic!("an index on no table") };
        let columns = create.columns.iter().map(|column| {
            let name = column.column.expr.to_string();
            let descending = matches!(column.column.options.sort, Some(ast::OrderBySort::Desc));
            let nulls_first = column.column.options.nulls_first.unwrap_or(descending);
            IndexColumn { column: id(table, &name), descending, nulls_first }
        });
        let columns = columns.collect();
        let include = create.include.iter().map(|name| id(table, &name.value)).collect();
        let index_name = create.name.as_ref().expect("a name").to_string();
        push_index(table, index_name, create.unique, false, columns);
        table.indexes.last_mut().expect("just pushed").include = include;
        self.relations.insert(name, Arc::new(relation));
    }

    pub fn create_table(&mut self, create: &ast::CreateTable) {
        let name = create.name.to_string();
        let mut table = Table {
            columns: Vec::new(),
            next_column_id: create.columns.len() as u16 + 1,
            indexes: vec![Index {
                id: IndexId(1),
                oid: 0,
                name: format!("{name}_pkey"),
                kind: IndexKind::Primary,
                unique: true,
                constraint: true,
                columns: Vec::new(),
                include: Vec::new(),
                hidden_row_id: true,
            }],
            next_index_id: 2,
            checks: Vec::new(),
            foreign_keys: Vec::new(),
        };
        let mut later = Vec::new();
        for (position, definition) in create.columns.iter().enumerate() {
            let (ty, typmod) = data_type(&definition.data_type).expect("a type");
            let mut column = Column {
                id: ColumnId(position as u16 + 1),
                name: definition.name.value.clone(),
                ty,
                typmod,
                not_null: false,
                default: None,
                owned_sequence: None,
                missing: None,
                identity: None,
            };
            for option in &definition.options {
                match &option.option {
                    ast::ColumnOption::NotNull => column.not_null = true,
                    ast::ColumnOption::Default(default) => column.default = Some(default.to_string()),
                    other => later.push((column.name.clone(), other.clone())),
                }
            }
            table.columns.push(column);
        }
        for (column, option) in later {
            let columns = vec![column.clone()];
            match option {
                ast::ColumnOption::PrimaryKey(_) => primary(&mut table, &columns),
                ast::ColumnOption::Unique(_) => unique(&mut table, format!("{name}_{column}_key"), &columns),
                ast::ColumnOption::Check(check) => {
                    table.checks.push(CheckConstraint {
                        oid: 0,
                        name: format!("{name}_{column}_check"),
                        expression: check.expr.to_string(),
                    });
                }
                ast::ColumnOption::ForeignKey(key) => self.foreign(&mut table, &name, &columns, &key),
                other => panic!("{other}"),
            }
        }
        for constraint in &create.constraints {
            match constraint {
                ast::TableConstraint::PrimaryKey(key) => primary(&mut table, &index_columns(&key.columns)),
                ast::TableConstraint::Unique(key) => {
                    let columns = index_columns(&key.columns);
                    unique(&mut table, format!("{name}_{}_key", columns.join("_")), &columns);
                }
                ast::TableConstraint::Check(check) => {
                    let expression = check.expr.to_string();
                    table.checks.push(CheckConstraint { oid: 0, name: format!("{name}_check"), expression });
                }
                ast::TableConstraint::ForeignKey(key) => {
                    let columns: Vec<String> = key.columns.iter().map(|column| column.value.clone()).collect();
                    self.foreign(&mut table, &name, &columns, key);
                }
                other => panic!("{other}"),
            }
        }
        self.add(name, RelationKind::Table(table));
    }

    fn foreign(&self, table: &mut Table, name: &str, columns: &[String], key: &ast::ForeignKeyConstraint) {
        let parent_name = key.foreign_table.to_string();
        // A table that refers to itself is not there yet; it gets the next id.
        let (parent_id, parent_table) = match self.relations.get(&parent_name) {
            Some(parent) => (parent.id, parent.table().expect("a table").clone()),
            None => (TableId(100 + self.next + 1), table.clone()),
        };
        let referenced_columns = match key.referred_columns.is_empty() {
            true => parent_table.primary().columns.iter().map(|column| column.column).collect(),
            false => key.referred_columns.iter().map(|column| id(&parent_table, &column.value)).collect(),
        };
        let action = |action: &Option<ast::ReferentialAction>| match action {
            None | Some(ast::ReferentialAction::NoAction) => ForeignKeyAction::NoAction,
            Some(ast::ReferentialAction::Restrict) => ForeignKeyAction::Restrict,
            Some(ast::ReferentialAction::Cascade) => ForeignKeyAction::Cascade,
            Some(ast::ReferentialAction::SetNull) => ForeignKeyAction::SetNull,
            Some(ast::ReferentialAction::SetDefault) => ForeignKeyAction::SetDefault,
        };
        table.foreign_keys.push(ForeignKey {
            oid: 0,
            name: format!("{name}_{}_fkey", columns.join("_")),
            columns: columns.iter().map(|column| id(table, column)).collect(),
            referenced_table: parent_id,
            referenced_columns,
            referenced_index: 0,
            on_delete: action(&key.on_delete),
            on_update: action(&key.on_update),
        });
    }
}

fn index_columns(columns: &[ast::IndexColumn]) -> Vec<String> {
    columns.iter().map(|column| column.column.expr.to_string()).collect()
}

fn id(table: &Table, name: &str) -> ColumnId {
    table.columns.iter().find(|column| column.name == name).unwrap_or_else(|| panic!("no column {name}")).id
}

fn plain(table: &Table, columns: &[String]) -> Vec<IndexColumn> {
    let columns = columns.iter().map(|name| id(table, name));
    columns.map(|column| IndexColumn { column, descending: false, nulls_first: false }).collect()
}

fn primary(table: &mut Table, columns: &[String]) {
    table.indexes[0].columns = plain(table, columns);
    table.indexes[0].hidden_row_id = false;
    for column in &mut table.columns {
        column.not_null |= columns.contains(&column.name);
    }
}

fn unique(table: &mut Table, name: String, columns: &[String]) {
    let columns = plain(table, columns);
    push_index(table, name, true, true, columns);
}

fn push_index(table: &mut Table, name: String, unique: bool, constraint: bool, columns: Vec<IndexColumn>) {
    let id = IndexId(table.next_index_id);
    table.next_index_id += 1;
    let include = Vec::new();
    let kind = IndexKind::Secondary;
    table.indexes.push(Index { id, oid: 0, name, kind, unique, constraint, columns, include, hidden_row_id: false });
}

/// The name of a type, for output.
pub fn type_name(ty: DataType) -> String {
    ty.to_string()
}
