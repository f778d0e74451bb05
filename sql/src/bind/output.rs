//! Items of a select list: their expressions, names and types.

use sqlparser::ast::{self, SetExpr, Spanned};

use super::{
    collect::{Marker, renumber},
    expr::ExprBinder,
    scope::{fold, qualified},
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::Expr,
    plan::{OutputColumn, Plan},
};

/// An item of a select list or RETURNING.
pub(super) struct SelectItem {
    pub expr: Expr,
    pub column: OutputColumn,
}

impl ExprBinder<'_> {
    pub(super) fn select_items(&mut self, projection: &[ast::SelectItem]) -> Result<Vec<SelectItem>> {
        let mut items = Vec::with_capacity(projection.len());
        for item in projection {
            match item {
                ast::SelectItem::UnnamedExpr(syntax) => items.push(self.select_item(syntax, None)?),
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    items.push(self.select_item(expr, Some(fold(alias)))?);
                }
                ast::SelectItem::Wildcard(_) => {
                    if self.names.scope.tables.is_empty() {
                        let message = "SELECT * with no tables specified is not valid";
                        return Err(
                            SqlError::new(SqlState::SYNTAX_ERROR, message).at(self.binder.position(item.span().start))
                        );
                    }
                    let columns = self.names.scope.columns.iter().filter(|column| !column.hidden);
                    columns.clone().for_each(|column| self.binder.uses(column.origin));
                    items.extend(columns.map(SelectItem::of_column));
                }
                ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let (schema, table) = qualified(name)?;
                    let index = self.names.scope.find_table(schema.as_deref(), &table).ok_or_else(|| {
                        super::scope::missing_table(&table).at(self.binder.position(name.span().start))
                    })?;
                    let columns = self.names.scope.columns.iter().filter(|column| column.table == Some(index));
                    columns.clone().for_each(|column| self.binder.uses(column.origin));
                    items.extend(columns.map(SelectItem::of_column));
                }
                _ => return Err(SqlError::unsupported("this item of a select list")),
            }
        }
        Ok(items)
    }

    fn select_item(&mut self, syntax: &ast::Expr, alias: Option<String>) -> Result<SelectItem> {
        let (typmod, origin) = match syntax {
            ast::Expr::Identifier(ident) => {
                let found = self.names.column(&fold(ident)).unwrap_or(None);
                found.map_or((-1, None), |found| (found.typmod, found.origin))
            }
            ast::Expr::CompoundIdentifier(parts) => self.compound(parts).map(|found| (found.typmod, found.origin))?,
            _ => (-1, None),
        };
        let expr = self.expr(syntax)?;
        let typmod = if typmod == -1 { expr.typmod() } else { typmod };
        let name = alias.unwrap_or_else(|| figure_name(syntax).unwrap_or_else(|| "?column?".to_owned()));
        let column = OutputColumn { name, ty: expr.ty(), typmod, origin };
        Ok(SelectItem { expr, column })
    }

    /// Window functions, then set-returning functions, on top of the (grouped) plan.
    pub(super) fn put_aside(&mut self, mut plan: Plan, items: &mut [SelectItem]) -> Result<Plan> {
        let mut windows = std::mem::take(&mut self.collected.windows);
        if !windows.is_empty() {
            for call in &mut windows {
                let mut inner = std::mem::replace(&mut plan, Plan::one_row());
                call.for_each_expr_mut(&mut |expr| {
                    let input = std::mem::replace(&mut inner, Plan::one_row());
                    inner = self.collected.attach(input, &mut [expr]);
                });
                plan = inner;
            }
            let width = plan.width();
            plan = Plan::Window { input: Box::new(plan), calls: windows };
            let map = &mut |slot| match Marker::of(slot) {
                Some(Marker::Window(index)) => Some(width + index),
                _ => None,
            };
            items.iter_mut().for_each(|item| renumber(&mut item.expr, map));
            self.collected.sets.iter_mut().for_each(|set| renumber(&mut set.call, map));
            let sequences = self.collected.sequences.iter_mut();
            sequences.flat_map(|call| &mut call.args).for_each(|arg| renumber(arg, map));
        }
        let mut sets = std::mem::take(&mut self.collected.sets);
        if !sets.is_empty() {
            let nested = sets
                .iter()
                .any(|set| set.call.any(&mut |expr| is_marker(expr, |marker| matches!(marker, Marker::Set(_)))));
            if nested {
                return Err(SqlError::unsupported("a set-returning function as an argument of another"));
            }
            let mut calls: Vec<&mut Expr> = sets.iter_mut().map(|set| &mut set.call).collect();
            plan = self.collected.attach(plan, &mut calls);
            let width = plan.width();
            plan = Plan::ProjectSet { input: Box::new(plan), functions: sets, ordinality: false };
            for item in items.iter_mut() {
                renumber(&mut item.expr, &mut |slot| match Marker::of(slot) {
                    Some(Marker::Set(index)) => Some(width + index),
                    _ => None,
                });
            }
        }
        Ok(plan)
    }
}

impl SelectItem {
    fn of_column(column: &super::scope::ScopeColumn) -> SelectItem {
        SelectItem {
            expr: column.expr.clone(),
            column: OutputColumn {
                name: column.name.clone(),
                ty: column.expr.ty(),
                typmod: column.typmod,
                origin: column.origin,
            },
        }
    }
}

pub(super) fn is_marker(expr: &Expr, test: impl Fn(Marker) -> bool) -> bool {
    matches!(expr, Expr::Column { slot, .. } if Marker::of(*slot).is_some_and(test))
}

/// The name PostgreSQL gives an unnamed column (`FigureColname`); `None`: it has none of its own.
fn figure_name(syntax: &ast::Expr) -> Option<String> {
    use ast::Expr as E;
    Some(match syntax {
        E::Identifier(ident) => fold(ident),
        E::CompoundIdentifier(parts) => fold(parts.last()?),
        E::Nested(inner) | E::Collate { expr: inner, .. } => return figure_name(inner),
        E::CompoundFieldAccess { root, .. } => return figure_name(root),
        E::Function(function) => qualified(&function.name).ok()?.1,
        E::Cast { expr, data_type, .. } => {
            return figure_name(expr).or_else(|| type_name(data_type));
        }
        E::TypedString(typed) => return type_name(&typed.data_type),
        E::Interval(_) => "interval".to_owned(),
        E::Case { else_result, .. } => {
            let named = else_result.as_deref().and_then(figure_name);
            named.unwrap_or_else(|| "case".to_owned())
        }
        E::Exists { negated: false, .. } => "exists".to_owned(),
        E::Array(_) => "array".to_owned(),
        E::Tuple(_) => "row".to_owned(),
        E::Subquery(query) => {
            let SetExpr::Select(select) = &*query.body else { return None };
            return match select.projection.first()? {
                ast::SelectItem::UnnamedExpr(inner) => figure_name(inner),
                ast::SelectItem::ExprWithAlias { alias, .. } => Some(fold(alias)),
                _ => None,
            };
        }
        E::Extract { .. } => "extract".to_owned(),
        E::Ceil { .. } => "ceil".to_owned(),
        E::Floor { .. } => "floor".to_owned(),
        E::Position { .. } => "position".to_owned(),
        E::Substring { .. } => "substring".to_owned(),
        E::Overlay { .. } => "overlay".to_owned(),
        E::AtTimeZone { .. } => "timezone".to_owned(),
        E::Trim { trim_where, .. } => match trim_where {
            Some(ast::TrimWhereField::Leading) => "ltrim".to_owned(),
            Some(ast::TrimWhereField::Trailing) => "rtrim".to_owned(),
            _ => "btrim".to_owned(),
        },
        E::Value(ast::ValueWithSpan { value: ast::Value::Boolean(_), .. }) => "bool".to_owned(),
        _ => return None,
    })
}

fn type_name(ty: &ast::DataType) -> Option<String> {
    let (ty, _) = super::data_type(ty).ok()?;
    crate::types::registry::get(ty).map(|info| info.name.to_owned())
}
