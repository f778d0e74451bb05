//! Column definitions, as in CREATE TABLE and ADD COLUMN.

use sqlparser::ast::{self, ColumnOption, GeneratedAs, SequenceOptions};

use super::{
    Change,
    constraint::{Constraint, ForeignSpec, KeySpec},
};
use crate::{
    catalog::{Column, ColumnId, deparse, descriptor::Identity},
    error::{Result, SqlError, SqlState},
    session::fold,
    types::{DataType, parse_type_name, registry},
};

/// A column, and the sequence it wants.
pub struct ColumnSpec {
    pub column: Column,
    pub sequence: Option<WantedSequence>,
}

#[derive(Clone)]
pub struct WantedSequence {
    pub ty: DataType,
    pub options: Vec<SequenceOptions>,
}

impl Change<'_> {
    /// Reads a column definition; its constraints are appended to `constraints`.
    pub(super) fn column_spec(
        &self,
        table: &str,
        definition: &ast::ColumnDef,
        id: ColumnId,
        constraints: &mut Vec<Constraint>,
    ) -> Result<ColumnSpec> {
        let name = fold(&definition.name);
        let type_name = definition.data_type.to_string();
        let (ty, typmod, serial) = column_type(&name, &type_name)?;
        let mut spec = ColumnSpec {
            column: Column {
                id,
                name: name.clone(),
                ty,
                typmod,
                not_null: serial,
                default: None,
                owned_sequence: None,
                missing: None,
                identity: None,
            },
            sequence: serial.then(|| WantedSequence { ty, options: Vec::new() }),
        };
        let mut null = false;
        for option in &definition.options {
            match &option.option {
                ColumnOption::Null => null = true,
                _ => spec.option(table, option, constraints)?,
            }
        }
        if null && spec.column.not_null {
            let message = format!("conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{table}\"");
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
        }
        Ok(spec)
    }
}

impl ColumnSpec {
    fn option(&mut self, table: &str, option: &ast::ColumnOptionDef, constraints: &mut Vec<Constraint>) -> Result<()> {
        let given = option.name.as_ref().map(fold);
        let named = |inner: &Option<ast::Ident>| given.clone().or_else(|| inner.as_ref().map(fold));
        let name = self.column.name.clone();
        match &option.option {
            ColumnOption::NotNull => self.column.not_null = true,
            ColumnOption::Null => {}
            ColumnOption::Default(expr) => {
                if self.column.default.is_some() || self.sequence.is_some() {
                    let message =
                        format!("multiple default values specified for column \"{name}\" of table \"{table}\"");
                    return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
                }
                self.column.default = deparse::default_text(expr, self.column.ty);
            }
            ColumnOption::PrimaryKey(key) => {
                constraints.push(Constraint::Key(KeySpec::new(named(&key.name), vec![name], true)));
            }
            ColumnOption::Unique(key) => {
                constraints.push(Constraint::Key(KeySpec::new(named(&key.name), vec![name], false)));
            }
            ColumnOption::Check(check) => constraints.push(Constraint::Check {
                name: named(&check.name),
                text: deparse::expression(&check.expr),
                column: Some(name),
            }),
            ColumnOption::ForeignKey(key) => {
                let mut spec = ForeignSpec::new(key)?;
                spec.name = named(&key.name);
                spec.columns = vec![name];
                constraints.push(Constraint::Foreign(spec));
            }
            ColumnOption::Generated { generated_as, sequence_options, generation_expr: None, .. } => {
                self.column.identity = Some(match generated_as {
                    GeneratedAs::Always => Identity::Always,
                    _ => Identity::ByDefault,
                });
                self.identity(sequence_options.clone().unwrap_or_default())?;
            }
            ColumnOption::Generated { .. } => return Err(SqlError::unsupported("a generated column")),
            ColumnOption::Collation(collation) => {
                let name = collation.to_string().to_lowercase();
                let known = ["\"c\"", "\"posix\"", "\"default\"", "\"c.utf-8\"", "\"ucs_basic\""];
                if !known.iter().any(|known| name.ends_with(known)) {
                    let message = format!("collation {collation} for encoding \"UTF8\" does not exist");
                    return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
                }
            }
            ColumnOption::Comment(_) => {}
            other => return Err(SqlError::unsupported(format!("the column option {other}"))),
        }
        Ok(())
    }

    fn identity(&mut self, options: Vec<SequenceOptions>) -> Result<()> {
        if ![DataType::INT2, DataType::INT4, DataType::INT8].contains(&self.column.ty) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        self.column.not_null = true;
        self.sequence = Some(WantedSequence { ty: self.column.ty, options });
        Ok(())
    }
}

/// The type of a column; true for the SERIAL types, which bring a sequence.
pub fn column_type(column: &str, name: &str) -> Result<(DataType, i32, bool)> {
    let serial = match name.to_ascii_lowercase().as_str() {
        "serial" | "serial4" => Some(DataType::INT4),
        "bigserial" | "serial8" => Some(DataType::INT8),
        "smallserial" | "serial2" => Some(DataType::INT2),
        _ => None,
    };
    if let Some(ty) = serial {
        return Ok((ty, -1, true));
    }
    let (ty, typmod) = parse_type_name(name)?;
    if registry::get(ty).is_some_and(|info| info.kind == 'p') {
        let message = format!("column \"{column}\" has pseudo-type {name}");
        return Err(SqlError::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    Ok((ty, typmod, false))
}
