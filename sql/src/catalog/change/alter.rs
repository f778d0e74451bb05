//! ALTER TABLE. Each operation reads the table as the one before left it.

use std::sync::Arc;

use base::TableId;
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation as Op};

use super::{
    Change,
    backfill::Rebuild,
    column::{WantedSequence, column_type},
    constraint::{Constraint, constraint_names, install_key},
    drop::{Dependent, still_needed},
    no_relation, table_mut, table_of,
};
use crate::{
    bind,
    catalog::{CatalogView, Column, ColumnId, IndexKind, Relation, RelationKind, deparse, snapshot::Named},
    error::{Result, SqlError, SqlState},
    expr::Expr,
    parse::roles::RoleName,
    session::{fold, object_name},
    types::Value,
};

impl Change<'_> {
    pub(super) async fn alter_table(&mut self, alter: &ast::AlterTable) -> Result<()> {
        let (schema, name) = object_name(&alter.name)?;
        let Some(relation) = self.catalog.relation(schema.as_deref(), &name) else {
            // ALTER TABLE renames indexes too.
            if let (Some(Named::Index { table, oid }), [Op::RenameTable { table_name }]) =
                (self.catalog.named(schema.as_deref(), &name), &alter.operations[..])
            {
                return self.rename_index(table, oid, &new_table_name(table_name)?);
            }
            if alter.if_exists {
                self.notice(SqlState("00000"), format!("relation \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(no_relation(schema.as_deref(), &name));
        };
        let relation = self.find_parts(Some(&relation.schema), &relation.name)?;
        self.must_own_relation(&relation)?;
        for operation in &alter.operations {
            self.alter(relation.id, operation).await?;
        }
        Ok(())
    }

    async fn alter(&mut self, id: TableId, operation: &Op) -> Result<()> {
        let relation = self.stored(id)?;
        match operation {
            Op::RenameTable { table_name } => return self.rename_relation(relation, &new_table_name(table_name)?),
            Op::OwnerTo { .. } => return self.change_owner(relation, operation),
            _ => {}
        }
        if relation.table().is_none() {
            let message = format!("\"{}\" is not a table", relation.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        match operation {
            Op::AddColumn { column_def, if_not_exists, .. } => {
                self.add_column(relation, column_def, *if_not_exists).await
            }
            Op::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
                for name in column_names {
                    self.drop_column(id, &fold(name), *if_exists, cascade).await?;
                }
                Ok(())
            }
            Op::AlterColumn { column_name, op } => self.alter_column(relation, &fold(column_name), op).await,
            Op::AddConstraint { constraint, .. } => self.add_constraint(id, constraint).await,
            Op::DropConstraint { name, if_exists, drop_behavior } => {
                let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
                self.drop_constraint(relation, &fold(name), *if_exists, cascade).await
            }
            Op::RenameColumn { old_column_name, new_column_name } => {
                self.rename_column(relation, &fold(old_column_name), &fold(new_column_name))
            }
            Op::RenameConstraint { old_name, new_name } => {
                self.rename_constraint(relation, &fold(old_name), &fold(new_name))
            }
            // All constraints are valid, storage options mean nothing here, and every change is logged by key.
            Op::ValidateConstraint { .. } | Op::SetOptionsParens { .. } | Op::ReplicaIdentity { .. } => Ok(()),
            Op::SetLogged => Ok(()),
            other => Err(SqlError::unsupported(format!("ALTER TABLE … {other}"))),
        }
    }

    /// Adds a key, check or foreign key to a table that may have rows.
    async fn add_constraint(&mut self, id: TableId, constraint: &ast::TableConstraint) -> Result<()> {
        match Constraint::of_table(constraint)? {
            Constraint::Key(spec) => {
                let old = self.stored(id)?;
                let mut new = old.clone();
                let newly_required: Vec<String> = if spec.primary { spec.columns.clone() } else { Vec::new() };
                let index = self.key_index(&mut new, &spec).await?;
                for column in newly_required {
                    self.verify_not_null(&old, &column).await?;
                }
                install_key(table_mut(&mut new)?, index.clone());
                if index.kind == IndexKind::Primary {
                    // The rows move to a new key, and every other index points to them by it.
                    return self.rebuild(&old, new, Rebuild::default()).await;
                }
                let new = self.put(new)?;
                self.fill_index(&new, &index).await
            }
            Constraint::Check { name, text, column } => {
                let mut relation = self.stored(id)?;
                self.add_check(&mut relation, name, text, column.as_deref()).await?;
                if let Some(check) = table_of(&relation)?.checks.last().cloned() {
                    self.verify_check(&relation, &check).await?;
                }
                self.put(relation).map(|_| ())
            }
            foreign => self.add_foreign_key(id, foreign, true).await,
        }
    }

    async fn add_column(&mut self, old: Relation, definition: &ast::ColumnDef, if_not_exists: bool) -> Result<()> {
        let name = fold(&definition.name);
        let id = old.id;
        if old.columns().iter().any(|column| column.name == name) {
            let message = format!("column \"{name}\" of relation \"{}\" already exists", old.name);
            if if_not_exists {
                self.notice(SqlState::DUPLICATE_COLUMN, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let mut constraints = Vec::new();
        let column_id = ColumnId(table_of(&old)?.next_column_id);
        let mut spec = self.column_spec(&old.name, definition, column_id, &mut constraints)?;
        let mut new = old.clone();
        let table = table_mut(&mut new)?;
        table.next_column_id += 1;
        let not_null = std::mem::take(&mut spec.column.not_null);
        table.columns.push(spec.column.clone());
        if let Some(wanted) = &spec.sequence {
            self.add_column_sequence(&mut new, column_id, wanted).await?;
        }
        let filler = self.filler(&new, column_id)?;
        match filler {
            Some(Filler::Constant(value)) => {
                // Rows written before have this value without being touched.
                if let Some(column) = table_mut(&mut new)?.columns.last_mut() {
                    column.missing = Some(value).filter(|value| !value.is_null());
                }
                self.put(new)?;
            }
            Some(Filler::EachRow) => {
                let rebuild = Rebuild { fill_default: Some(column_id), ..Rebuild::default() };
                for index in &mut table_mut(&mut new)?.indexes {
                    index.id = self.key_space().await?;
                }
                self.rebuild(&old, new, rebuild).await?;
            }
            None => {
                self.put(new)?;
            }
        }
        if not_null {
            self.set_not_null(self.stored(id)?, &name).await?;
        }
        for constraint in constraints {
            match constraint {
                Constraint::Foreign(_) => self.add_foreign_key(id, constraint, true).await?,
                Constraint::Check { name, text, column } => {
                    let mut relation = self.stored(id)?;
                    self.add_check(&mut relation, name, text, column.as_deref()).await?;
                    if let Some(check) = table_of(&relation)?.checks.last().cloned() {
                        self.verify_check(&relation, &check).await?;
                    }
                    self.put(relation)?;
                }
                Constraint::Key(spec) => {
                    let old = self.stored(id)?;
                    let mut new = old.clone();
                    let index = self.key_index(&mut new, &spec).await?;
                    if spec.primary {
                        self.verify_not_null(&old, &spec.columns[0]).await?;
                    }
                    install_key(table_mut(&mut new)?, index.clone());
                    if index.kind == IndexKind::Primary {
                        self.rebuild(&old, new, Rebuild::default()).await?;
                    } else {
                        let new = self.put(new)?;
                        self.fill_index(&new, &index).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// How the rows that are there get a value for a new column; `None`: they have NULL.
    fn filler(&self, relation: &Relation, id: ColumnId) -> Result<Option<Filler>> {
        let column = relation.columns().iter().find(|column| column.id == id);
        let Some(Column { default: Some(default), ty, typmod, owned_sequence, .. }) = column else { return Ok(None) };
        if owned_sequence.is_some() {
            return Ok(Some(Filler::EachRow));
        }
        let bound = bind::bind_expression(default, None, Some((*ty, *typmod)), &self.catalog)?;
        if is_volatile(&bound) {
            return Ok(Some(Filler::EachRow));
        }
        Ok(Some(Filler::Constant(bound.eval(&[], &self.environment.eval)?)))
    }

    async fn drop_column(&mut self, id: TableId, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let relation = self.stored(id)?;
        let table = table_of(&relation)?;
        let Some(column) = table.columns.iter().find(|column| column.name == name).cloned() else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            if if_exists {
                self.notice(SqlState("00000"), format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        let what = format!("column {name} of table {}", relation.name);
        let touches = |index: &crate::catalog::Index| {
            index.columns.iter().any(|key| key.column == column.id) || index.include.contains(&column.id)
        };
        let mut dependents: Vec<Dependent> =
            self.dependent_views(&[id]).into_iter().map(|view| Dependent::View { view, on: what.clone() }).collect();
        if !dependents.is_empty() {
            // Which columns a view uses is not known: all that it could be refused for is refused.
            return Err(still_needed(&what, &dependents));
        }
        let affected: Vec<_> = table.indexes.iter().filter(|index| touches(index)).cloned().collect();
        for index in &affected {
            dependents.extend(self.users_of_index(id, index.oid, &what));
        }
        dependents.retain(|dependent| !matches!(dependent, Dependent::ForeignKey { table, .. } if table.id == id));
        if !cascade && !dependents.is_empty() {
            return Err(still_needed(&what, &dependents));
        }
        for dependent in dependents {
            if let Dependent::ForeignKey { table, name, .. } = dependent {
                self.remove_foreign_key(table.id, &name)?;
            }
        }
        let keys: Vec<String> = table
            .foreign_keys
            .iter()
            .filter(|key| {
                key.columns.contains(&column.id)
                    || (key.referenced_table == id && key.referenced_columns.contains(&column.id))
            })
            .map(|key| key.name.clone())
            .collect();
        for key in keys {
            self.remove_foreign_key(id, &key)?;
        }
        for index in affected.iter().filter(|index| index.kind == IndexKind::Secondary) {
            self.remove_index(id, index, &what, true).await?;
        }
        if affected.iter().any(|index| index.kind == IndexKind::Primary) {
            self.drop_primary_key(id).await?;
        }
        let mut relation = self.stored(id)?;
        let checks = self.checks_using(&relation, column.id)?;
        let table = table_mut(&mut relation)?;
        table.checks.retain(|check| !checks.contains(&check.oid));
        table.columns.retain(|other| other.id != column.id);
        self.put(relation)?;
        match column.owned_sequence {
            Some(sequence) => self.drop_sequence(sequence).await,
            None => Ok(()),
        }
    }

    /// The checks that mention a column.
    fn checks_using(&self, relation: &Relation, id: ColumnId) -> Result<Vec<u32>> {
        let table = table_of(relation)?;
        let slot = table.slot(id);
        let shared = Arc::new(relation.clone());
        let mut using = Vec::new();
        for check in &table.checks {
            let bound = bind::bind_expression(&check.expression, Some(&shared), None, &self.catalog)?;
            if slot.is_some_and(|slot| bound.columns().contains(&slot)) {
                using.push(check.oid);
            }
        }
        Ok(using)
    }

    /// The rows get a hidden row id for a key again.
    async fn drop_primary_key(&mut self, id: TableId) -> Result<()> {
        let old = self.stored(id)?;
        let mut new = old.clone();
        let hidden = self.hidden_primary().await?;
        table_mut(&mut new)?.indexes[0] = hidden;
        self.rebuild(&old, new, Rebuild::default()).await
    }

    async fn drop_constraint(&mut self, relation: Relation, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let id = relation.id;
        let table = table_of(&relation)?;
        if table.foreign_keys.iter().any(|key| key.name == name) {
            return self.remove_foreign_key(id, name);
        }
        if table.checks.iter().any(|check| check.name == name) {
            let mut relation = relation;
            table_mut(&mut relation)?.checks.retain(|check| check.name != name);
            return self.put(relation).map(|_| ());
        }
        let Some(index) = table.indexes.iter().find(|index| index.constraint && index.name == name).cloned() else {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", relation.name);
            if if_exists {
                self.notice(SqlState("00000"), format!("{message}, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        };
        let what = format!("constraint {name} on table {}", relation.name);
        if index.kind == IndexKind::Secondary {
            return self.remove_index(id, &index, &what, cascade).await;
        }
        let users = self.users_of_index(id, index.oid, &what);
        if let (false, Some(_)) = (cascade, users.first()) {
            return Err(still_needed(&what, &users));
        }
        for user in users {
            if let Dependent::ForeignKey { table, name, .. } = user {
                self.notice(SqlState("00000"), format!("drop cascades to constraint {name} on table {}", table.name));
                self.remove_foreign_key(table.id, &name)?;
            }
        }
        self.drop_primary_key(id).await
    }

    async fn alter_column(&mut self, relation: Relation, name: &str, operation: &AlterColumnOperation) -> Result<()> {
        let Some(position) = relation.columns().iter().position(|column| column.name == name) else {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        match operation {
            AlterColumnOperation::SetNotNull => self.set_not_null(relation, name).await,
            AlterColumnOperation::DropNotNull => {
                let mut relation = relation;
                let table = table_mut(&mut relation)?;
                let id = table.columns[position].id;
                if !table.indexes[0].hidden_row_id && table.indexes[0].columns.iter().any(|key| key.column == id) {
                    let message = format!("column \"{name}\" is in a primary key");
                    return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                table.columns[position].not_null = false;
                self.put(relation).map(|_| ())
            }
            AlterColumnOperation::SetDefault { value } => {
                let mut relation = relation;
                let column = &mut table_mut(&mut relation)?.columns[position];
                column.default = deparse::default_text(value, column.ty);
                let relation = self.put(relation)?;
                self.check_defaults(&relation)
            }
            AlterColumnOperation::DropDefault => {
                let mut relation = relation;
                table_mut(&mut relation)?.columns[position].default = None;
                self.put(relation).map(|_| ())
            }
            AlterColumnOperation::SetDataType { data_type, using, .. } => {
                self.change_type(relation, position, data_type, using.as_ref()).await
            }
            AlterColumnOperation::AddGenerated { generated_as, sequence_options } => {
                let mut relation = relation;
                let column = &mut table_mut(&mut relation)?.columns[position];
                if !column.not_null || column.default.is_some() {
                    let message = format!(
                        "column \"{name}\" must be NOT NULL and without a default before identity can be added"
                    );
                    return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
                }
                column.identity = Some(match generated_as {
                    Some(ast::GeneratedAs::Always) => crate::catalog::descriptor::Identity::Always,
                    _ => crate::catalog::descriptor::Identity::ByDefault,
                });
                let (id, ty) = (column.id, column.ty);
                let wanted = WantedSequence { ty, options: sequence_options.clone().unwrap_or_default() };
                self.add_column_sequence(&mut relation, id, &wanted).await?;
                self.put(relation).map(|_| ())
            }
        }
    }

    async fn set_not_null(&mut self, mut relation: Relation, name: &str) -> Result<()> {
        self.verify_not_null(&relation, name).await?;
        for column in &mut table_mut(&mut relation)?.columns {
            column.not_null |= column.name == name;
        }
        self.put(relation).map(|_| ())
    }

    async fn change_type(
        &mut self,
        old: Relation,
        position: usize,
        data_type: &ast::DataType,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let name = old.columns()[position].name.clone();
        let (ty, typmod, serial) = column_type(&name, &data_type.to_string())?;
        if serial {
            let message = format!("type \"{data_type}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        let view = self.dependent_views(&[old.id]).into_iter().next();
        if let Some(view) = view {
            let message = "cannot alter type of a column used by a view or rule";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .detail(format!("view {} depends on column \"{name}\"", view.name)));
        }
        let text = using.map_or_else(|| deparse::quote_identifier(&name), deparse::expression);
        let bound = bind::bind_expression(&text, Some(&Arc::new(old.clone())), Some((ty, typmod)), &self.catalog)
            .map_err(|error| match using {
                None if error.state() == SqlState::DATATYPE_MISMATCH => {
                    let shown = crate::types::format_type(ty, typmod);
                    let message = format!("column \"{name}\" cannot be cast automatically to type {shown}");
                    SqlError::new(SqlState::DATATYPE_MISMATCH, message)
                        .hint(format!("You might need to specify \"USING {name}::{shown}\"."))
                }
                _ => error,
            })?;
        let mut new = old.clone();
        let table = table_mut(&mut new)?;
        let column = &mut table.columns[position];
        column.ty = ty;
        column.typmod = typmod;
        column.missing = None;
        for index in &mut table.indexes {
            index.id = self.key_space().await?;
        }
        let rebuild = Rebuild { convert: Some((position, bound)), ..Rebuild::default() };
        self.rebuild(&old, new, rebuild).await?;
        self.check_defaults(&self.stored(old.id)?)
    }

    pub(super) fn rename_relation(&mut self, mut relation: Relation, new_name: &str) -> Result<()> {
        if self.catalog.snapshot.named(&relation.schema, new_name).is_some() {
            let message = format!("relation \"{new_name}\" already exists");
            return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.refuse_viewed(&relation, "rename")?;
        relation.name = new_name.to_owned();
        let relation = self.put(relation)?;
        // Columns that draw from a sequence name it in their default.
        if let RelationKind::Sequence(_) = relation.kind {
            let users: Vec<TableId> = self
                .catalog
                .snapshot
                .relations()
                .filter(|table| table.columns().iter().any(|column| column.owned_sequence == Some(relation.id)))
                .map(|table| table.id)
                .collect();
            for user in users {
                let mut table = self.stored(user)?;
                for column in &mut table_mut(&mut table)?.columns {
                    if column.owned_sequence == Some(relation.id) {
                        column.default = Some(Self::nextval_text(&relation.schema, &relation.name));
                    }
                }
                self.put(table)?;
            }
        }
        Ok(())
    }

    fn rename_column(&mut self, mut relation: Relation, old: &str, new: &str) -> Result<()> {
        if relation.columns().iter().any(|column| column.name == new) {
            let message = format!("column \"{new}\" of relation \"{}\" already exists", relation.name);
            return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let Some(id) = relation.columns().iter().find(|column| column.name == old).map(|column| column.id) else {
            let message = format!("column \"{old}\" does not exist");
            return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
        };
        self.refuse_viewed(&relation, "rename a column of")?;
        let checks = self.checks_using(&relation, id)?;
        let table = table_mut(&mut relation)?;
        for column in &mut table.columns {
            if column.id == id {
                column.name = new.to_owned();
            }
        }
        for check in table.checks.iter_mut().filter(|check| checks.contains(&check.oid)) {
            check.expression = renamed(&check.expression, old, new)?;
        }
        self.put(relation).map(|_| ())
    }

    /// Views name relations and columns in their text.
    fn refuse_viewed(&self, relation: &Relation, what: &str) -> Result<()> {
        match self.dependent_views(&[relation.id]).first() {
            Some(view) => {
                let message = format!("cannot {what} \"{}\": a view depends on it", relation.name);
                Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                    .detail(format!("view {} depends on it", view.name)))
            }
            None => Ok(()),
        }
    }

    fn rename_constraint(&mut self, mut relation: Relation, old: &str, new: &str) -> Result<()> {
        let table = table_of(&relation)?;
        let names = constraint_names(table);
        if !names.iter().any(|name| name == old) {
            let message = format!("constraint \"{old}\" for table \"{}\" does not exist", relation.name);
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        if names.iter().any(|name| name == new) {
            let message = format!("constraint \"{new}\" for relation \"{}\" already exists", relation.name);
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
        }
        if let Some(index) = table.indexes.iter().find(|index| index.constraint && index.name == old) {
            return self.rename_index(relation.id, index.oid, new);
        }
        let table = table_mut(&mut relation)?;
        for check in table.checks.iter_mut().filter(|check| check.name == old) {
            check.name = new.to_owned();
        }
        for key in table.foreign_keys.iter_mut().filter(|key| key.name == old) {
            key.name = new.to_owned();
        }
        self.put(relation).map(|_| ())
    }

    fn change_owner(&mut self, relation: Relation, operation: &Op) -> Result<()> {
        let Op::OwnerTo { new_owner } = operation else { return Ok(()) };
        let name = match new_owner {
            ast::Owner::Ident(owner) => RoleName::Named(fold(owner)),
            ast::Owner::CurrentRole | ast::Owner::CurrentUser => RoleName::CurrentRole,
            ast::Owner::SessionUser => RoleName::SessionUser,
        };
        self.give_relation(relation, &name)
    }
}

enum Filler {
    Constant(Value),
    EachRow,
}

fn is_volatile(expr: &Expr) -> bool {
    expr.any(&mut |part| match part {
        Expr::Call { function, .. } => {
            crate::expr::function::get(*function).volatility == crate::expr::function::Volatility::Volatile
        }
        _ => false,
    })
}

fn new_table_name(name: &ast::RenameTableNameKind) -> Result<String> {
    let (ast::RenameTableNameKind::As(name) | ast::RenameTableNameKind::To(name)) = name;
    Ok(object_name(name)?.1)
}

/// The text of an expression with a column renamed.
fn renamed(text: &str, old: &str, new: &str) -> Result<String> {
    let mut expr = crate::parse::parse_expression(text)?;
    let rename = |ident: &mut ast::Ident| {
        if fold(ident) == old {
            *ident = ast::Ident::with_quote('"', new);
        }
    };
    let _ = ast::visit_expressions_mut(&mut expr, |expr| {
        match expr {
            ast::Expr::Identifier(ident) => rename(ident),
            ast::Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(rename),
            _ => {}
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    Ok(deparse::expression(&expr))
}
