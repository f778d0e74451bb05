//! Primary keys, UNIQUE and CHECK constraints.

use std::sync::Arc;

use sqlparser::ast::{self, TableConstraint};

use super::{Change, names, qualified, table_mut, table_of};
use crate::{
    bind,
    catalog::{CheckConstraint, ColumnId, Index, IndexColumn, IndexKind, Relation, Table, deparse},
    error::{Result, SqlError, SqlState},
    session::fold,
    types::DataType,
};

/// A constraint as asked for, of a column or of the table.
pub enum Constraint {
    Key(KeySpec),
    Check {
        name: Option<String>,
        text: String,
        /// The column that it was written behind.
        column: Option<String>,
    },
    Foreign(ForeignSpec),
}

pub struct KeySpec {
    pub name: Option<String>,
    pub columns: Vec<String>,
    pub include: Vec<String>,
    pub primary: bool,
}

pub struct ForeignSpec {
    pub name: Option<String>,
    pub columns: Vec<String>,
    pub table: ast::ObjectName,
    pub referenced: Vec<String>,
    pub on_delete: Option<ast::ReferentialAction>,
    pub on_update: Option<ast::ReferentialAction>,
}

impl KeySpec {
    pub fn new(name: Option<String>, columns: Vec<String>, primary: bool) -> KeySpec {
        KeySpec { name, columns, include: Vec::new(), primary }
    }
}

impl ForeignSpec {
    pub fn new(key: &ast::ForeignKeyConstraint) -> Result<ForeignSpec> {
        if matches!(
            key.match_kind,
            Some(ast::ConstraintReferenceMatchKind::Full | ast::ConstraintReferenceMatchKind::Partial)
        ) {
            return Err(SqlError::unsupported("MATCH FULL and MATCH PARTIAL"));
        }
        refuse_deferred(key.characteristics.as_ref())?;
        Ok(ForeignSpec {
            name: key.name.as_ref().map(fold),
            columns: key.columns.iter().map(fold).collect(),
            table: key.foreign_table.clone(),
            referenced: key.referred_columns.iter().map(fold).collect(),
            on_delete: key.on_delete,
            on_update: key.on_update,
        })
    }
}

fn refuse_deferred(characteristics: Option<&ast::ConstraintCharacteristics>) -> Result<()> {
    match characteristics {
        Some(given) if given.deferrable == Some(true) => Err(SqlError::unsupported("a deferrable constraint")),
        _ => Ok(()),
    }
}

impl Constraint {
    pub fn of_table(constraint: &TableConstraint) -> Result<Constraint> {
        Ok(match constraint {
            TableConstraint::PrimaryKey(key) => {
                refuse_deferred(key.characteristics.as_ref())?;
                Constraint::Key(KeySpec::new(key.name.as_ref().map(fold), key_columns(&key.columns)?, true))
            }
            TableConstraint::Unique(key) => {
                refuse_deferred(key.characteristics.as_ref())?;
                if key.nulls_distinct == ast::NullsDistinctOption::NotDistinct {
                    return Err(SqlError::unsupported("UNIQUE NULLS NOT DISTINCT"));
                }
                Constraint::Key(KeySpec::new(key.name.as_ref().map(fold), key_columns(&key.columns)?, false))
            }
            TableConstraint::Check(check) => Constraint::Check {
                name: check.name.as_ref().map(fold),
                text: deparse::expression(&check.expr),
                column: None,
            },
            TableConstraint::ForeignKey(key) => Constraint::Foreign(ForeignSpec::new(key)?),
            other => return Err(SqlError::unsupported(format!("the constraint {other}"))),
        })
    }
}

fn key_columns(columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    let name = |column: &ast::IndexColumn| match &column.column.expr {
        ast::Expr::Identifier(ident) => Ok(fold(ident)),
        other => Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{other}\""))),
    };
    columns.iter().map(name).collect()
}

impl Change<'_> {
    /// Adds a key or a check to a table without rows.
    pub(super) async fn add_plain_constraint(&mut self, relation: &mut Relation, constraint: Constraint) -> Result<()> {
        match constraint {
            Constraint::Key(spec) => {
                let index = self.key_index(relation, &spec).await?;
                install_key(table_mut(relation)?, index);
                Ok(())
            }
            Constraint::Check { name, text, column } => self.add_check(relation, name, text, column.as_deref()).await,
            Constraint::Foreign(_) => Err(SqlError::internal("foreign keys come last")),
        }
    }

    /// The index of a new key, in a new key space. For a primary key, makes its columns NOT NULL.
    pub(super) async fn key_index(&mut self, relation: &mut Relation, spec: &KeySpec) -> Result<Index> {
        let (schema, table_name) = (relation.schema.clone(), relation.name.clone());
        if spec.primary && !table_of(relation)?.primary().hidden_row_id {
            let message = format!("multiple primary keys for table \"{table_name}\" are not allowed");
            return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        let mut columns = Vec::new();
        for name in &spec.columns {
            let table = table_of(relation)?;
            let Some(column) = table.columns.iter().find(|column| column.name == *name) else {
                let message = format!("column \"{name}\" named in key does not exist");
                return Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message));
            };
            if columns.iter().any(|other: &IndexColumn| other.column == column.id) {
                let which = if spec.primary { "primary key" } else { "unique" };
                let message = format!("column \"{name}\" appears twice in {which} constraint");
                return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message));
            }
            refuse_unordered(column.ty)?;
            columns.push(IndexColumn { column: column.id, descending: false, nulls_first: false });
        }
        let include = include_columns(table_of(relation)?, &spec.include)?;
        if spec.primary {
            let table = table_mut(relation)?;
            for column in &mut table.columns {
                column.not_null |= columns.iter().any(|key| key.column == column.id);
            }
        }
        let table = table_of(relation)?;
        let mut taken: Vec<String> = table.indexes.iter().map(|index| index.name.clone()).collect();
        taken.push(table_name.clone());
        let name = match &spec.name {
            Some(name) => {
                if self.catalog.snapshot.named(&schema, name).is_some() || taken.contains(name) {
                    let message = format!("relation \"{name}\" already exists");
                    return Err(SqlError::new(SqlState::DUPLICATE_TABLE, message));
                }
                name.clone()
            }
            None if spec.primary => self.free_name(&schema, &table_name, None, "pkey", &taken),
            None => self.free_name(&schema, &table_name, Some(&spec.columns.join("_")), "key", &taken),
        };
        let id = self.key_space().await?;
        Ok(Index {
            id,
            oid: id.0,
            name,
            kind: if spec.primary { IndexKind::Primary } else { IndexKind::Secondary },
            unique: true,
            constraint: true,
            columns,
            include,
            hidden_row_id: false,
        })
    }

    /// Adds a check constraint to the descriptor, after binding it once. Rows are not looked at.
    pub(super) async fn add_check(
        &mut self,
        relation: &mut Relation,
        name: Option<String>,
        text: String,
        column: Option<&str>,
    ) -> Result<()> {
        let bound = bind::bind_expression(&text, Some(&Arc::new(relation.clone())), None, &self.catalog)?;
        let table = table_of(relation)?;
        let taken = constraint_names(table);
        let name = match name {
            Some(name) if taken.contains(&name) => {
                let message = format!("constraint \"{name}\" for relation \"{}\" already exists", relation.name);
                return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
            }
            Some(name) => name,
            None => {
                // Named after the column when there is only one in it.
                let slots = bound.columns();
                let only = match &slots[..] {
                    [slot] => table.columns.get(*slot).map(|column| column.name.clone()),
                    _ => column.map(str::to_owned),
                };
                names::free_among(&relation.name, only.as_deref(), "check", &taken)
            }
        };
        let oid = self.oid().await?;
        table_mut(relation)?.checks.push(CheckConstraint { oid, name, expression: text });
        Ok(())
    }

    /// Fails when a row violates the check.
    pub(super) async fn verify_check(&mut self, relation: &Relation, check: &CheckConstraint) -> Result<()> {
        let text = format!("SELECT 1 FROM {} WHERE NOT ({}) LIMIT 1", qualified(relation), check.expression);
        let (rows, _) = self.query(&text).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let message =
            format!("check constraint \"{}\" of relation \"{}\" is violated by some row", check.name, relation.name);
        Err(SqlError::new(SqlState::CHECK_VIOLATION, message)
            .table(&relation.schema, &relation.name)
            .constraint(&check.name))
    }

    /// Fails when a row has NULL in the column.
    pub(super) async fn verify_not_null(&mut self, relation: &Relation, column: &str) -> Result<()> {
        let text =
            format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", qualified(relation), super::quote_ident(column));
        let (rows, _) = self.query(&text).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let message = format!("column \"{column}\" of relation \"{}\" contains null values", relation.name);
        Err(SqlError::new(SqlState::NOT_NULL_VIOLATION, message).table(&relation.schema, &relation.name).column(column))
    }
}

/// Puts the index of a key where it belongs; the hidden primary index that it replaces.
pub fn install_key(table: &mut Table, index: Index) -> Option<Index> {
    if index.kind == IndexKind::Primary {
        return Some(std::mem::replace(&mut table.indexes[0], index));
    }
    table.indexes.push(index);
    None
}

pub fn include_columns(table: &Table, names: &[String]) -> Result<Vec<ColumnId>> {
    let find = |name: &String| match table.columns.iter().find(|column| column.name == *name) {
        Some(column) => Ok(column.id),
        None => Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))),
    };
    names.iter().map(find).collect()
}

pub fn refuse_unordered(ty: DataType) -> Result<()> {
    if ty != DataType::JSON {
        return Ok(());
    }
    let message = "data type json has no default operator class for access method \"btree\"";
    Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message)
        .hint("You must specify an operator class for the index or define a default operator class for the data type."))
}

/// The names of all constraints of a table.
pub fn constraint_names(table: &Table) -> Vec<String> {
    let keys = table.indexes.iter().filter(|index| index.constraint).map(|index| index.name.clone());
    let checks = table.checks.iter().map(|check| check.name.clone());
    keys.chain(checks).chain(table.foreign_keys.iter().map(|key| key.name.clone())).collect()
}
