//! Names: what a column or table name means at some place of a query.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::{
    catalog::Relation,
    error::{Result, SqlError, SqlState},
    expr::Expr,
    plan::{Mark, OutputColumn},
    types::{DataType, Value},
};

/// The tables and columns that the FROM clause of one query level brings in. The columns' expressions are over the row of
/// the plan that goes with the scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub tables: Vec<ScopeTable>,
    pub columns: Vec<ScopeColumn>,
}

#[derive(Clone, Debug)]
pub(super) struct ScopeTable {
    pub alias: String,
    /// Set where the table goes by its own name: then `schema.table.column` works too.
    pub schema: Option<String>,
    pub relation: Option<Arc<Relation>>,
    /// Where the key of the row stands, and the mark of its scan, for locking.
    pub key: Option<(usize, Mark)>,
    /// An outer join may put NULLs in the place of its rows.
    pub nullable: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    pub name: String,
    pub expr: Expr,
    pub typmod: i32,
    pub origin: Option<(u32, u16)>,
    /// `None`: merged by USING or NATURAL.
    pub table: Option<usize>,
    /// Merged into another column: reachable by table name only, left out by `*`.
    pub hidden: bool,
}

/// A scope and those of the enclosing query levels. Each step up is one `Plan::Apply`.
#[derive(Clone, Copy)]
pub(super) struct Names<'n> {
    pub scope: &'n Scope,
    pub up: Option<&'n Names<'n>>,
}

/// A column as an expression sees it.
pub(super) struct Found {
    pub expr: Expr,
    pub typmod: i32,
    pub origin: Option<(u32, u16)>,
    pub table: Option<String>,
}

/// An identifier as PostgreSQL reads it: lower case unless quoted.
pub(super) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The parts of a dotted name.
pub(super) fn name_parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(fold(ident)),
            ObjectNamePart::Function(_) => Err(SqlError::unsupported("this form of name")),
        })
        .collect()
}

/// `table` or `schema.table`; a leading database name is dropped.
pub(super) fn qualified(name: &ObjectName) -> Result<(Option<String>, String)> {
    let mut parts = name_parts(name)?;
    if parts.len() > 3 {
        let message = format!("improper relation name (too many dotted names): {}", parts.join("."));
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
    }
    let last = parts.pop().ok_or_else(|| SqlError::new(SqlState::SYNTAX_ERROR, "missing name"))?;
    Ok((parts.pop(), last))
}

impl Scope {
    /// The scope of one table whose columns are the output of a plan, in order.
    pub fn of_columns(alias: &str, columns: &[OutputColumn]) -> Scope {
        Scope {
            tables: vec![ScopeTable {
                alias: alias.to_owned(),
                schema: None,
                relation: None,
                key: None,
                nullable: false,
            }],
            columns: columns
                .iter()
                .enumerate()
                .map(|(slot, column)| ScopeColumn {
                    name: column.name.clone(),
                    expr: Expr::Column { slot, ty: column.ty },
                    typmod: column.typmod,
                    origin: column.origin,
                    table: Some(0),
                    hidden: false,
                })
                .collect(),
        }
    }

    /// The scope of a relation scanned with all its columns.
    pub fn of_relation(relation: &Arc<Relation>, alias: Option<&str>, key: Option<(usize, Mark)>) -> Scope {
        let mut scope = Scope::of_columns(alias.unwrap_or(&relation.name), &[]);
        let table = &mut scope.tables[0];
        table.schema = alias.is_none().then(|| relation.schema.clone());
        table.relation = Some(relation.clone());
        table.key = key;
        scope.columns = relation
            .columns()
            .iter()
            .enumerate()
            .map(|(slot, column)| ScopeColumn {
                name: column.name.clone(),
                expr: Expr::Column { slot, ty: column.ty },
                typmod: column.typmod,
                origin: Some((relation.id.0, column.id.0)),
                table: Some(0),
                hidden: false,
            })
            .collect();
        scope
    }

    /// Appends the scope of a plan whose row stands `shift` slots further right.
    pub fn append(&mut self, mut other: Scope, shift: usize) {
        let tables = self.tables.len();
        for column in &mut other.columns {
            column.table = column.table.map(|table| table + tables);
            shift_columns(&mut column.expr, shift);
        }
        for table in &mut other.tables {
            table.key = table.key.map(|(slot, mark)| (slot + shift, mark));
        }
        self.columns.append(&mut other.columns);
        self.tables.append(&mut other.tables);
    }

    /// A table name used twice in FROM is an error (42712), as in PostgreSQL.
    pub fn check_aliases(&self, other: &Scope) -> Result<()> {
        for table in &other.tables {
            let clash = self.tables.iter().any(|seen| {
                seen.alias == table.alias
                    && (seen.schema.is_none() || table.schema.is_none() || seen.schema == table.schema)
            });
            if clash && !table.alias.is_empty() {
                let message = format!("table name \"{}\" specified more than once", table.alias);
                return Err(SqlError::new(SqlState("42712"), message));
            }
        }
        Ok(())
    }

    pub fn table_matches(&self, index: usize, schema: Option<&str>, alias: &str) -> bool {
        let table = &self.tables[index];
        table.alias == alias && schema.is_none_or(|schema| table.schema.as_deref() == Some(schema))
    }

    pub fn find_table(&self, schema: Option<&str>, alias: &str) -> Option<usize> {
        (0..self.tables.len()).find(|&index| self.table_matches(index, schema, alias))
    }

    /// The one unqualified column of this name.
    pub fn find_column(&self, name: &str) -> Result<Option<&ScopeColumn>> {
        let mut found = self.columns.iter().filter(|column| !column.hidden && column.name == name);
        let first = found.next();
        if found.next().is_some() {
            let message = format!("column reference \"{name}\" is ambiguous");
            return Err(SqlError::new(SqlState::AMBIGUOUS_COLUMN, message));
        }
        Ok(first)
    }

    fn found(&self, column: &ScopeColumn) -> Found {
        Found {
            expr: column.expr.clone(),
            typmod: column.typmod,
            origin: column.origin,
            table: column.table.map(|table| self.tables[table].alias.clone()),
        }
    }
}

impl<'n> Names<'n> {
    /// An unqualified column; `Ok(None)` when no level has it.
    pub fn column(&self, name: &str) -> Result<Option<Found>> {
        let mut level = Some(self);
        let mut depth = 0;
        while let Some(names) = level {
            if let Some(column) = names.scope.find_column(name)? {
                return Ok(Some(outward(names.scope.found(column), depth)));
            }
            level = names.up;
            depth += 1;
        }
        Ok(None)
    }

    /// `table.column`. Errors when the table or its column does not exist.
    pub fn qualified_column(&self, schema: Option<&str>, table: &str, name: &str) -> Result<Found> {
        let mut level = Some(self);
        let mut depth = 0;
        while let Some(names) = level {
            if let Some(index) = names.scope.find_table(schema, table) {
                let column =
                    names.scope.columns.iter().find(|column| column.table == Some(index) && column.name == name);
                return match (column, &names.scope.tables[index].relation) {
                    (Some(column), _) => Ok(outward(names.scope.found(column), depth)),
                    (None, Some(relation)) if name == "tableoid" => Ok(table_oid(relation)),
                    (None, _) => {
                        let message = format!("column {table}.{name} does not exist");
                        Err(SqlError::new(SqlState::UNDEFINED_COLUMN, message))
                    }
                };
            }
            level = names.up;
            depth += 1;
        }
        Err(missing_table(table))
    }

    /// Where the columns of a table come from.
    pub fn origins(&self, table: &str) -> Vec<Option<(u32, u16)>> {
        let mut level = Some(self);
        while let Some(names) = level {
            if let Some(index) = names.scope.find_table(None, table) {
                let columns = names.scope.columns.iter().filter(|column| column.table == Some(index));
                return columns.map(|column| column.origin).collect();
            }
            level = names.up;
        }
        Vec::new()
    }

    /// The columns of a table as one record value (`SELECT t FROM t`); `None` when there is no such table.
    pub fn whole_row(&self, table: &str) -> Option<Expr> {
        let mut level = Some(self);
        let mut depth = 0;
        while let Some(names) = level {
            if let Some(index) = names.scope.find_table(None, table) {
                let columns = names.scope.columns.iter().filter(|column| column.table == Some(index));
                let fields = columns.map(|column| outward(names.scope.found(column), depth).expr).collect();
                return Some(Expr::Row(fields));
            }
            level = names.up;
            depth += 1;
        }
        None
    }
}

pub(super) fn missing_table(table: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_TABLE, format!("missing FROM-clause entry for table \"{table}\""))
}

fn table_oid(relation: &Relation) -> Found {
    let expr = Expr::constant(Value::Oid(relation.id.0), DataType::OID);
    Found { expr, typmod: -1, origin: None, table: None }
}

fn outward(mut found: Found, depth: usize) -> Found {
    if depth > 0 {
        found.expr = found.expr.transform(&mut |expr| match expr {
            Expr::Column { slot, ty } => Expr::Outer { depth, slot, ty },
            Expr::Outer { depth: inner, slot, ty } => Expr::Outer { depth: inner + depth, slot, ty },
            other => other,
        });
    }
    found
}

/// Moves all references to the input row by `shift` slots to the right.
pub(crate) fn shift_columns(expr: &mut Expr, shift: usize) {
    if shift == 0 {
        return;
    }
    if let Expr::Column { slot, .. } = expr {
        *slot += shift;
    }
    expr.for_each_child_mut(&mut |child| shift_columns(child, shift));
}
