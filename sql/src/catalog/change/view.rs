//! CREATE VIEW.

use std::sync::Arc;

use sqlparser::ast;

use super::Change;
use crate::{
    bind::{self, BindOptions},
    catalog::{Column, ColumnId, RelationKind, View, snapshot::Named},
    error::{Result, SqlError, SqlState},
    session::{fold, object_name},
    types::DataType,
};

impl Change<'_> {
    pub(super) async fn create_view(&mut self, create: &ast::CreateView) -> Result<()> {
        if create.materialized {
            return Err(SqlError::unsupported("CREATE MATERIALIZED VIEW"));
        }
        if create.temporary {
            return Err(SqlError::unsupported("CREATE TEMPORARY VIEW"));
        }
        let (schema, name) = object_name(&create.name)?;
        let schema = self.target_schema(schema.as_deref(), &name)?;
        let names: Vec<String> = create.columns.iter().map(|column| fold(&column.name)).collect();
        let view = self.bind_view(&create.query, &names)?;
        let existing = match self.catalog.snapshot.named(&schema.name, &name) {
            None => None,
            Some(Named::Relation(id)) if create.or_replace => Some(self.stored(id)?),
            Some(_) => {
                let message = format!("relation \"{name}\" already exists");
                return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
            }
        };
        let relation = match existing {
            None => {
                let id = self.oid().await?;
                self.relation(id, &schema, &name, RelationKind::View(view))
            }
            Some(mut relation) => {
                let RelationKind::View(old) = &relation.kind else {
                    let message = format!("\"{name}\" is not a view");
                    return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
                };
                check_replacement(old, &view)?;
                self.must_own_relation(&relation)?;
                relation.kind = RelationKind::View(view);
                relation
            }
        };
        self.put(relation).map(|_| ())
    }

    fn bind_view(&self, query: &ast::Query, names: &[String]) -> Result<View> {
        let options = BindOptions { source: self.source, parameters: &[] };
        let bound = bind::bind_query(query, &self.catalog, &options)?;
        if !bound.parameters.is_empty() {
            return Err(SqlError::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
        }
        let outputs = bound.columns.unwrap_or_default();
        if names.len() > outputs.len() {
            let message = "CREATE VIEW specifies more column names than columns";
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
        }
        let mut columns: Vec<Column> = Vec::new();
        for (position, output) in outputs.into_iter().enumerate() {
            let name = names.get(position).cloned().unwrap_or(output.name);
            if columns.iter().any(|other| other.name == name) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
            }
            columns.push(Column {
                id: ColumnId(position as u16 + 1),
                name,
                ty: if output.ty == DataType::UNKNOWN { DataType::TEXT } else { output.ty },
                typmod: output.typmod,
                not_null: false,
                default: None,
                owned_sequence: None,
                missing: None,
                identity: None,
            });
        }
        Ok(View { columns, query: query.to_string() })
    }

    /// The views whose query rests on one of these relations.
    pub(super) fn dependent_views(&self, ids: &[base::TableId]) -> Vec<Arc<crate::catalog::Relation>> {
        let rests_on = |query: &str| {
            let Ok(parsed) = crate::parse::parse(query) else { return false };
            let Some(crate::parse::Body::Sql(syntax)) = parsed.into_iter().next().map(|parsed| parsed.body) else {
                return false;
            };
            let options = BindOptions { source: query, parameters: &[] };
            let bound = bind::bind_statement(&syntax, &self.catalog, &options);
            bound.is_ok_and(|bound| ids.iter().any(|id| bound.relations.contains_key(id)))
        };
        let views = self.catalog.snapshot.relations().filter(|relation| match &relation.kind {
            RelationKind::View(view) => !ids.contains(&relation.id) && rests_on(&view.query),
            _ => false,
        });
        views.cloned().collect()
    }
}

/// CREATE OR REPLACE may only add columns at the end.
fn check_replacement(old: &View, new: &View) -> Result<()> {
    if new.columns.len() < old.columns.len() {
        return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, "cannot drop columns from view"));
    }
    for (old, new) in old.columns.iter().zip(&new.columns) {
        if old.name != new.name {
            let message = format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name);
            return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if old.ty != new.ty {
            let message = format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                crate::types::format_type(old.ty, old.typmod),
                crate::types::format_type(new.ty, new.typmod)
            );
            return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
    }
    Ok(())
}
