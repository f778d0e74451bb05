//! Foreign keys.

use auth::privilege::Privileges;
use base::TableId;
use sqlparser::ast::ReferentialAction;

use super::{
    Change,
    constraint::{Constraint, ForeignSpec, constraint_names},
    names, qualified, quote_ident, table_mut, table_of,
};
use crate::{
    catalog::{ColumnId, ForeignKey, ForeignKeyAction, Relation, Table},
    error::{Result, SqlError, SqlState},
    types::{DataType, Value, registry},
};

impl Change<'_> {
    /// Adds a foreign key to a stored table; with `verify`, after looking at all of its rows.
    pub(super) async fn add_foreign_key(&mut self, id: TableId, constraint: Constraint, verify: bool) -> Result<()> {
        let Constraint::Foreign(spec) = constraint else {
            return Err(SqlError::internal("not a foreign key"));
        };
        let mut relation = self.stored(id)?;
        let referenced = self.find_table(&spec.table)?;
        self.may(&referenced, Privileges::REFERENCES)?;
        let key = self.foreign_key(&relation, &referenced, &spec).await?;
        table_mut(&mut relation)?.foreign_keys.push(key.clone());
        let relation = self.put(relation)?;
        if referenced.id != id {
            // Whoever deletes from the referenced table must learn of the key: its descriptor changes too.
            let touched = self.stored(referenced.id)?;
            self.put(touched)?;
        }
        if verify {
            self.verify_foreign_key(&relation, &referenced, &key).await?;
        }
        Ok(())
    }

    /// A copy of a stored relation, as changed so far.
    pub(super) fn stored(&self, id: TableId) -> Result<Relation> {
        let found = self.catalog.snapshot.get(id);
        found.map(|relation| Relation::clone(relation)).ok_or_else(|| SqlError::internal("a relation got lost"))
    }

    async fn foreign_key(&self, relation: &Relation, referenced: &Relation, spec: &ForeignSpec) -> Result<ForeignKey> {
        let table = table_of(relation)?;
        let parent = table_of(referenced)?;
        let columns = named_columns(table, &spec.columns)?;
        let referenced_columns = if spec.referenced.is_empty() {
            let primary = parent.primary();
            if primary.hidden_row_id {
                let message = format!("there is no primary key for referenced table \"{}\"", referenced.name);
                return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
            }
            primary.columns.iter().map(|column| column.column).collect()
        } else {
            named_columns(parent, &spec.referenced)?
        };
        if columns.len() != referenced_columns.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(SqlError::new(SqlState::INVALID_FOREIGN_KEY, message));
        }
        let same_columns = |index: &&crate::catalog::Index| {
            index.unique
                && !index.hidden_row_id
                && index.columns.len() == referenced_columns.len()
                && referenced_columns.iter().all(|id| index.columns.iter().any(|column| column.column == *id))
        };
        let Some(index) = parent.indexes.iter().find(same_columns) else {
            let message = format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                referenced.name
            );
            return Err(SqlError::new(SqlState::INVALID_FOREIGN_KEY, message));
        };
        let taken = constraint_names(table);
        let name = match &spec.name {
            Some(name) if taken.contains(name) => {
                let message = format!("constraint \"{name}\" for relation \"{}\" already exists", relation.name);
                return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
            }
            Some(name) => name.clone(),
            None => names::free_among(&relation.name, Some(&spec.columns.join("_")), "fkey", &taken),
        };
        check_types(table, &columns, parent, &referenced_columns, &name)?;
        Ok(ForeignKey {
            oid: self.oid().await?,
            name,
            columns,
            referenced_table: referenced.id,
            referenced_columns,
            referenced_index: index.oid,
            on_delete: action(spec.on_delete),
            on_update: action(spec.on_update),
        })
    }

    /// Fails when a row has no parent.
    async fn verify_foreign_key(&mut self, relation: &Relation, referenced: &Relation, key: &ForeignKey) -> Result<()> {
        let names = |table: &Table, ids: &[ColumnId]| -> Vec<String> {
            ids.iter().filter_map(|id| table.column(*id)).map(|column| column.name.clone()).collect()
        };
        let columns = names(table_of(relation)?, &key.columns);
        let parents = names(table_of(referenced)?, &key.referenced_columns);
        let join = |parts: Vec<String>, with: &str| parts.join(with);
        let selected = join(columns.iter().map(|name| format!("c.{}", quote_ident(name))).collect(), ", ");
        let present =
            join(columns.iter().map(|name| format!("c.{} IS NOT NULL", quote_ident(name))).collect(), " AND ");
        let pairs = columns.iter().zip(&parents);
        let equal = join(
            pairs.map(|(column, parent)| format!("p.{} = c.{}", quote_ident(parent), quote_ident(column))).collect(),
            " AND ",
        );
        let text = format!(
            "SELECT {selected} FROM {} c WHERE {present} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {equal}) LIMIT 1",
            qualified(relation),
            qualified(referenced)
        );
        let (rows, _) = self.query(&text).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let format = self.environment.eval.format();
        let values: Vec<String> = row
            .iter()
            .zip(&key.columns)
            .map(|(value, id)| {
                let ty =
                    relation.table().and_then(|table| table.column(*id)).map_or(DataType::TEXT, |column| column.ty);
                match value {
                    Value::Null => "null".to_owned(),
                    value => crate::types::to_text(value, ty, format),
                }
            })
            .collect();
        let message =
            format!("insert or update on table \"{}\" violates foreign key constraint \"{}\"", relation.name, key.name);
        let detail = format!(
            "Key ({})=({}) is not present in table \"{}\".",
            columns.join(", "),
            values.join(", "),
            referenced.name
        );
        Err(SqlError::new(SqlState::FOREIGN_KEY_VIOLATION, message)
            .detail(detail)
            .table(&relation.schema, &relation.name)
            .constraint(&key.name))
    }
}

fn named_columns(table: &Table, names: &[String]) -> Result<Vec<ColumnId>> {
    let find = |name: &String| match table.columns.iter().find(|column| column.name == *name) {
        Some(column) => Ok(column.id),
        None => {
            let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
            Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message))
        }
    };
    names.iter().map(find).collect()
}

fn check_types(table: &Table, columns: &[ColumnId], parent: &Table, referenced: &[ColumnId], name: &str) -> Result<()> {
    for (column, other) in columns.iter().zip(referenced) {
        let (Some(column), Some(other)) = (table.column(*column), parent.column(*other)) else { continue };
        // Types of one category compare through a common type; others have no equality.
        if column.ty != other.ty && registry::category(column.ty) != registry::category(other.ty) {
            let detail = format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                column.name,
                other.name,
                crate::types::format_type(column.ty, -1),
                crate::types::format_type(other.ty, -1)
            );
            let message = format!("foreign key constraint \"{name}\" cannot be implemented");
            return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message).detail(detail));
        }
    }
    Ok(())
}

fn action(action: Option<ReferentialAction>) -> ForeignKeyAction {
    match action {
        None | Some(ReferentialAction::NoAction) => ForeignKeyAction::NoAction,
        Some(ReferentialAction::Restrict) => ForeignKeyAction::Restrict,
        Some(ReferentialAction::Cascade) => ForeignKeyAction::Cascade,
        Some(ReferentialAction::SetNull) => ForeignKeyAction::SetNull,
        Some(ReferentialAction::SetDefault) => ForeignKeyAction::SetDefault,
    }
}
