//! CREATE INDEX and ALTER INDEX.

use sqlparser::ast;

use super::{Change, constraint, no_relation, table_mut, table_of};
use crate::{
    catalog::{Index, IndexColumn, IndexKind, Table, snapshot::Named},
    error::{Result, SqlError, SqlState},
    session::{fold, object_name},
};

impl Change<'_> {
    pub(super) async fn create_index(&mut self, create: &ast::CreateIndex) -> Result<()> {
        refuse_unsupported(create)?;
        let relation = self.find_table(&create.table_name)?;
        self.must_own_relation(&relation)?;
        let table = table_of(&relation)?;
        let columns = index_columns(table, &create.columns)?;
        let include: Vec<String> = create.include.iter().map(fold).collect();
        let include = constraint::include_columns(table, &include)?;
        let name = match &create.name {
            Some(name) => {
                let (_, name) = object_name(name)?;
                if self.catalog.snapshot.named(&relation.schema, &name).is_some() {
                    if create.if_not_exists {
                        let message = format!("relation \"{name}\" already exists, skipping");
                        self.notice(SqlState::DUPLICATE_TABLE, message);
                        return Ok(());
                    }
                    let message = format!("relation \"{name}\" already exists");
                    return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
                }
                name
            }
            None => {
                let names: Vec<&str> = columns
                    .iter()
                    .filter_map(|column| table.column(column.column))
                    .map(|column| column.name.as_str())
                    .collect();
                self.free_name(&relation.schema, &relation.name, Some(&names.join("_")), "idx", &[])
            }
        };
        let id = self.key_space().await?;
        let index = Index {
            id,
            oid: id.0,
            name,
            kind: IndexKind::Secondary,
            unique: create.unique,
            constraint: false,
            columns,
            include,
            hidden_row_id: false,
        };
        let mut changed = self.stored(relation.id)?;
        table_mut(&mut changed)?.indexes.push(index.clone());
        let changed = self.put(changed)?;
        self.fill_index(&changed, &index).await
    }

    pub(super) fn alter_index(&mut self, name: &ast::ObjectName, operation: &ast::AlterIndexOperation) -> Result<()> {
        let ast::AlterIndexOperation::RenameIndex { index_name } = operation;
        let (schema, name) = object_name(name)?;
        let (_, new_name) = object_name(index_name)?;
        match self.catalog.named(schema.as_deref(), &name) {
            Some(Named::Index { table, oid }) => self.rename_index(table, oid, &new_name),
            _ => Err(no_relation(schema.as_deref(), &name)),
        }
    }

    /// Gives an index, and the constraint it may back, another name.
    pub(super) fn rename_index(&mut self, table: base::TableId, oid: u32, new_name: &str) -> Result<()> {
        let mut relation = self.stored(table)?;
        let known = relation.table().and_then(|table| table.indexes.iter().find(|index| index.oid == oid));
        self.must_own(&relation.owner, "index", known.map_or("?", |index| &index.name))?;
        if self.catalog.snapshot.named(&relation.schema, new_name).is_some() {
            let message = format!("relation \"{new_name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
        }
        for index in &mut table_mut(&mut relation)?.indexes {
            if index.oid == oid {
                index.name = new_name.to_owned();
            }
        }
        self.put(relation).map(|_| ())
    }
}

fn index_columns(table: &Table, columns: &[ast::IndexColumn]) -> Result<Vec<IndexColumn>> {
    let one = |column: &ast::IndexColumn| {
        let ast::Expr::Identifier(ident) = &column.column.expr else {
            return Err(SqlError::unsupported("an index on an expression"));
        };
        let name = fold(ident);
        let Some(found) = table.columns.iter().find(|column| column.name == name) else {
            let message = format!("column \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        constraint::refuse_unordered(found.ty)?;
        let descending = matches!(column.column.options.sort, Some(ast::OrderBySort::Desc));
        let nulls_first = column.column.options.nulls_first.unwrap_or(descending);
        Ok(IndexColumn { column: found.id, descending, nulls_first })
    };
    columns.iter().map(one).collect()
}

fn refuse_unsupported(create: &ast::CreateIndex) -> Result<()> {
    match &create.using {
        None | Some(ast::IndexType::BTree) => {}
        Some(other) => {
            return Err(SqlError::unsupported(format!("access method \"{}\"", other.to_string().to_lowercase())));
        }
    }
    if create.predicate.is_some() {
        return Err(SqlError::unsupported("a partial index"));
    }
    if create.nulls_distinct == Some(false) {
        return Err(SqlError::unsupported("NULLS NOT DISTINCT"));
    }
    if create.columns.len() > 32 {
        let message = "cannot use more than 32 columns in an index";
        return Err(SqlError::new(SqlState("54011"), message));
    }
    Ok(())
}
