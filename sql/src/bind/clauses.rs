//! The clauses of a SELECT that refer to its output columns: GROUP BY, ORDER BY, DISTINCT ON, FOR UPDATE.

use std::collections::BTreeMap;

use sqlparser::ast::{self, Spanned};
use txn::{LockMode, WaitPolicy};

use super::{
    Binder,
    build::settle,
    collect::Marker,
    expr::{Clause, ExprBinder},
    output::{SelectItem, is_marker},
    scope::{Scope, fold, qualified},
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::Expr,
    parse,
    plan::{OutputColumn, RowLock, layouts},
    types::DataType,
};

impl Binder<'_> {
    /// GROUP BY: `None` when there is no such clause.
    pub(super) fn group_items(
        &self,
        expressions: &mut ExprBinder<'_>,
        group_by: &ast::GroupByExpr,
        items: &[SelectItem],
    ) -> Result<Option<Vec<Expr>>> {
        let list = match group_by {
            ast::GroupByExpr::Expressions(list, modifiers) if modifiers.is_empty() => list,
            _ => return Err(SqlError::unsupported("this form of GROUP BY")),
        };
        if list.is_empty() {
            return Ok(None);
        }
        let mut groups: Vec<Expr> = Vec::new();
        for syntax in list {
            if matches!(syntax, ast::Expr::GroupingSets(_) | ast::Expr::Cube(_) | ast::Expr::Rollup(_)) {
                return Err(SqlError::unsupported("GROUPING SETS, CUBE and ROLLUP"));
            }
            if matches!(syntax, ast::Expr::Tuple(parts) if parts.is_empty()) {
                continue;
            }
            let group = match self.group_alias(expressions, syntax, items)? {
                Some(expr) => expr,
                None => expressions.within(Clause::GroupBy, |this| this.known(syntax))?,
            };
            let parts = match group {
                Expr::Row(parts) => parts,
                other => vec![other],
            };
            for part in parts {
                if part.any(&mut |expr| {
                    is_marker(expr, |marker| matches!(marker, Marker::Aggregate(_) | Marker::Window(_)))
                }) {
                    let message = "aggregate functions are not allowed in GROUP BY";
                    return Err(self.locate(SqlError::new(SqlState::GROUPING_ERROR, message), syntax));
                }
                if !groups.contains(&part) {
                    groups.push(part);
                }
            }
        }
        Ok(Some(groups))
    }

    /// A GROUP BY item that stands for an item of the select list: by number, or by name where no input column has it.
    fn group_alias(
        &self,
        expressions: &ExprBinder<'_>,
        syntax: &ast::Expr,
        items: &[SelectItem],
    ) -> Result<Option<Expr>> {
        if let Some(slot) = ordinal(syntax, items.len(), "GROUP BY").map_err(|error| self.locate(error, syntax))? {
            return Ok(Some(settle(items[slot].expr.clone())?));
        }
        let ast::Expr::Identifier(ident) = syntax else { return Ok(None) };
        let name = fold(ident);
        if expressions.names.scope.columns.iter().any(|column| !column.hidden && column.name == name) {
            return Ok(None);
        }
        let mut found = items.iter().filter(|item| item.column.name == name);
        Ok(found.next().map(|item| item.expr.clone()))
    }

    /// Where an ORDER BY item stands among the output columns; appended when it is none of them.
    pub(super) fn sort_item(
        &self,
        expressions: &mut ExprBinder<'_>,
        key: &ast::OrderByExpr,
        items: &mut Vec<SelectItem>,
        visible: usize,
        clause: &str,
    ) -> Result<usize> {
        if let Some(slot) = ordinal(&key.expr, visible, clause).map_err(|error| self.locate(error, &key.expr))? {
            return Ok(slot);
        }
        if let ast::Expr::Identifier(ident) = &key.expr {
            let name = fold(ident);
            let mut found = (0..visible).filter(|&slot| items[slot].column.name == name);
            if let Some(first) = found.next() {
                if found.any(|other| items[other].expr != items[first].expr) {
                    let message = format!("{clause} \"{name}\" is ambiguous");
                    return Err(self.locate(SqlError::new(SqlState::AMBIGUOUS_COLUMN, message), &key.expr));
                }
                return Ok(first);
            }
        }
        let expr = expressions.within(Clause::OrderBy, |this| this.known(&key.expr))?;
        if let Some(slot) = items.iter().position(|item| item.expr == expr) {
            return Ok(slot);
        }
        let column = OutputColumn { name: String::new(), ty: expr.ty(), typmod: -1, origin: None };
        items.push(SelectItem { expr, column });
        Ok(items.len() - 1)
    }

    /// The locking clauses: the keys of the tables become extra columns. Of several clauses for one table the strongest lock
    /// counts, and the one that waits least. `obstacle` is what makes it impossible: rows that go back to no row of a table.
    pub(super) fn lock_items(
        &self,
        locks: &[ast::LockClause],
        scope: &Scope,
        items: &mut Vec<SelectItem>,
        obstacle: Option<&str>,
    ) -> Result<Vec<RowLock>> {
        let mut wanted: BTreeMap<usize, (LockMode, WaitPolicy)> = BTreeMap::new();
        for lock in locks {
            let (weak, of) = parse::strength(lock.of.as_ref());
            let (mode, name) = match (&lock.lock_type, weak) {
                (ast::LockType::Update, false) => (LockMode::Update, "FOR UPDATE"),
                (ast::LockType::Update, true) => (LockMode::NoKeyUpdate, "FOR NO KEY UPDATE"),
                (ast::LockType::Share, false) => (LockMode::Share, "FOR SHARE"),
                (ast::LockType::Share, true) => (LockMode::KeyShare, "FOR KEY SHARE"),
            };
            if let Some(obstacle) = obstacle {
                let message = format!("{name} is not allowed with {obstacle}");
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            let wait = match lock.nonblock {
                None => WaitPolicy::Wait,
                Some(ast::NonBlock::Nowait) => WaitPolicy::NoWait,
                Some(ast::NonBlock::SkipLocked) => WaitPolicy::SkipLocked,
            };
            let only = match &of {
                None => None,
                Some(of) => {
                    let (schema, table) = qualified(of)?;
                    if schema.is_some() {
                        let message = format!("{name} must specify unqualified relation names");
                        let position = self.position(of.span().start);
                        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message).at(position));
                    }
                    let found = scope.find_table(None, &table).ok_or_else(|| {
                        let message = format!("relation \"{table}\" in {name} clause not found in FROM clause");
                        SqlError::new(SqlState::UNDEFINED_TABLE, message).at(self.position(of.span().start))
                    })?;
                    Some(found)
                }
            };
            for table in (0..scope.tables.len()).filter(|table| only.is_none_or(|only| only == *table)) {
                if scope.tables[table].nullable && scope.tables[table].key.is_some() {
                    let message = format!("{name} cannot be applied to the nullable side of an outer join");
                    return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                let entry = wanted.entry(table).or_insert((mode, wait));
                entry.0 = entry.0.max(mode);
                if patience(wait) < patience(entry.1) {
                    entry.1 = wait;
                }
            }
        }
        let mut rows = Vec::new();
        for (table, (mode, wait)) in wanted {
            let (Some((slot, mark)), Some(relation)) = (scope.tables[table].key, &scope.tables[table].relation) else {
                continue;
            };
            let expr = Expr::Column { slot, ty: DataType::BYTEA };
            let column = OutputColumn { name: String::new(), ty: DataType::BYTEA, typmod: -1, origin: None };
            rows.push(RowLock { slot: items.len(), mark, layouts: layouts(relation)?, mode, wait });
            items.push(SelectItem { expr, column });
        }
        Ok(rows)
    }
}

/// How long one waits.
fn patience(wait: WaitPolicy) -> u8 {
    match wait {
        WaitPolicy::NoWait => 0,
        WaitPolicy::SkipLocked => 1,
        WaitPolicy::Wait => 2,
    }
}

/// A bare integer stands for an output column.
pub(super) fn ordinal(syntax: &ast::Expr, count: usize, clause: &str) -> Result<Option<usize>> {
    let ast::Expr::Value(ast::ValueWithSpan { value, .. }) = syntax else { return Ok(None) };
    match value {
        ast::Value::Number(digits, _) => match digits.to_string().parse::<usize>() {
            Ok(number) if (1..=count).contains(&number) => Ok(Some(number - 1)),
            Ok(number) => {
                let message = format!("{clause} position {number} is not in select list");
                Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message))
            }
            Err(_) => Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"))),
        },
        ast::Value::Placeholder(_) | ast::Value::Null => Ok(None),
        _ => Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"))),
    }
}
