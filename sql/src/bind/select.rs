//! Queries: SELECT, VALUES, set operations, common table expressions, ORDER BY and LIMIT.

use std::rc::Rc;

use auth::privilege::Privileges;
use sqlparser::ast::{self, SetExpr, Spanned};

use super::{
    Binder, Output,
    build::{common, settle},
    call::sort_key,
    clauses::ordinal,
    columns::{coerce_column, coerce_in_place, set_operation, values_plan},
    expr::{Clause, ExprBinder},
    from::{CteEnv, Ctes, Item, Surroundings},
    scope::{Names, Scope, fold},
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
    },
    plan::{OutputColumn, Plan, RowLock, SetOp, SortKey, Statement},
    types::DataType,
};

/// A bound query: its columns are the first of the plan's; literals and parameters may still be of unknown type.
pub(super) type Bound = (Plan, Vec<OutputColumn>);

/// A SELECT before ORDER BY and LIMIT are applied: the plan may have columns beyond the visible ones, which sorting and
/// locking need.
struct Selected {
    plan: Plan,
    columns: Vec<OutputColumn>,
    keys: Vec<SortKey>,
    /// DISTINCT ON, over the plan's row.
    distinct_on: Option<Vec<Expr>>,
    locks: Vec<RowLock>,
}

impl Binder<'_> {
    pub(super) fn top_query(&self, query: &ast::Query) -> Result<Output> {
        let (plan, columns) = self.settled_query(query, None, &None)?;
        Ok(Output { statement: Statement::Query(plan), columns: Some(columns) })
    }

    /// A query whose columns all have types: what is unknown becomes text.
    pub(super) fn settled_query(&self, query: &ast::Query, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<Bound> {
        let (mut plan, mut columns) = self.query(query, up, ctes)?;
        for (index, column) in columns.iter_mut().enumerate() {
            if column.ty == DataType::UNKNOWN {
                plan = coerce_column(plan, index, DataType::TEXT, -1, CastContext::Implicit)?;
                column.ty = DataType::TEXT;
            }
        }
        Ok((plan, columns))
    }

    pub(super) fn query(&self, query: &ast::Query, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<Bound> {
        let mut ctes = ctes.clone();
        let mut definitions = Vec::new();
        if let Some(with) = &query.with {
            for (position, cte) in with.cte_tables.iter().enumerate() {
                let name = &cte.alias.name;
                if with.cte_tables[..position].iter().any(|other| fold(&other.alias.name) == fold(name)) {
                    let message = format!("WITH query name \"{}\" specified more than once", fold(name));
                    return Err(SqlError::new(SqlState("42712"), message).at(self.position(name.span.start)));
                }
                let (entry, definition) = self.cte(cte, with.recursive, up, &ctes)?;
                definitions.push((entry.id, entry.name.clone(), definition));
                ctes = Some(Rc::new(entry));
            }
        }
        let (mut plan, columns) = self.ordered(query, up, &ctes)?;
        for (id, name, definition) in definitions.into_iter().rev() {
            plan = Plan::Cte { id, name, definition: Box::new(definition), input: Box::new(plan) };
        }
        Ok((plan, columns))
    }

    fn cte(&self, cte: &ast::Cte, recursive: bool, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<(CteEnv, Plan)> {
        let name = fold(&cte.alias.name);
        let id = self.new_cte();
        let rename = |mut columns: Vec<OutputColumn>| -> Result<Vec<OutputColumn>> {
            if cte.alias.columns.len() > columns.len() {
                let message = format!(
                    "WITH query \"{name}\" has {} columns available but {} columns specified",
                    columns.len(),
                    cte.alias.columns.len()
                );
                return Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
            for (column, alias) in columns.iter_mut().zip(&cte.alias.columns) {
                column.name = fold(&alias.name);
            }
            Ok(columns)
        };
        if recursive
            && let SetExpr::SetOperation { op: ast::SetOperator::Union, set_quantifier, left, right } = &*cte.query.body
        {
            let (initial, columns) = self.settle_bound(self.set_expr(left, up, ctes)?)?;
            let columns = rename(columns)?;
            let entry = CteEnv { name: name.clone(), id, columns: columns.clone(), up: ctes.clone() };
            let inner: Ctes = Some(Rc::new(entry));
            let (step, step_columns) = self.set_expr(right, up, &inner)?;
            if step_columns.len() != columns.len() {
                return Err(SqlError::new(
                    SqlState::SYNTAX_ERROR,
                    "each UNION query must have the same number of columns",
                ));
            }
            let mut step = step;
            for (index, (column, wanted)) in step_columns.iter().zip(&columns).enumerate() {
                if column.ty != wanted.ty {
                    step = coerce_column(step, index, wanted.ty, -1, CastContext::Implicit)?;
                }
            }
            let distinct = *set_quantifier != ast::SetQuantifier::All;
            let entry = CteEnv { name: name.clone(), id, columns, up: ctes.clone() };
            let plan = Plan::Recursive { id, name, initial: Box::new(initial), step: Box::new(step), distinct };
            return Ok((entry, plan));
        }
        let (plan, columns) = match &*cte.query.body {
            SetExpr::Insert(ast::Statement::Insert(insert)) => self.change_cte(self.insert(insert, ctes.clone())?)?,
            SetExpr::Update(ast::Statement::Update(update)) => self.change_cte(self.update(update, ctes.clone())?)?,
            SetExpr::Delete(ast::Statement::Delete(delete)) => self.change_cte(self.delete(delete, ctes.clone())?)?,
            _ => self.settled_query(&cte.query, up, ctes)?,
        };
        Ok((CteEnv { name: name.clone(), id, columns: rename(columns)?, up: ctes.clone() }, plan))
    }

    fn change_cte(&self, output: Output) -> Result<Bound> {
        match output.statement {
            Statement::Change(change) => Ok((Plan::Change(change), output.columns.unwrap_or_default())),
            _ => Err(SqlError::internal("a changing WITH query that changes nothing")),
        }
    }

    /// The query without its WITH clause.
    fn ordered(&self, query: &ast::Query, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<Bound> {
        let order: &[ast::OrderByExpr] = match &query.order_by {
            None => &[],
            Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) => keys,
            Some(_) => return Err(SqlError::unsupported("ORDER BY ALL")),
        };
        let Selected { mut plan, columns, keys, distinct_on, locks } = match &*query.body {
            SetExpr::Select(select) => self.select(select, order, &query.locks, up, ctes)?,
            body => {
                if !query.locks.is_empty() {
                    let message = "FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT";
                    return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                let (plan, columns) = self.set_expr(body, up, ctes)?;
                let keys = self.output_order(order, &columns)?;
                Selected { plan, columns, keys, distinct_on: None, locks: Vec::new() }
            }
        };
        if !keys.is_empty() {
            plan = Plan::Sort { input: Box::new(plan), keys, limit: None };
        }
        if distinct_on.is_some() {
            plan = Plan::Distinct { input: Box::new(plan), on: distinct_on };
        }
        if !locks.is_empty() {
            plan = Plan::Lock { input: Box::new(plan), rows: locks, limit: None };
        }
        plan = self.limited(plan, query, up, ctes)?;
        // The extra columns go again.
        let types = plan.types();
        if types.len() > columns.len() {
            let kept = types.into_iter().take(columns.len()).enumerate();
            let expressions = kept.map(|(slot, ty)| Expr::Column { slot, ty }).collect();
            plan = Plan::Project { input: Box::new(plan), expressions };
        }
        Ok((plan, columns))
    }

    fn limited(&self, plan: Plan, query: &ast::Query, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<Plan> {
        let scope = Scope::default();
        let bind = |syntax: &ast::Expr, what: &str| -> Result<Option<Expr>> {
            if matches!(syntax, ast::Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case("all")) {
                return Ok(None);
            }
            let mut expressions = ExprBinder::new(self, Names { scope: &scope, up }, ctes.clone(), Clause::Limit);
            let expr = expressions.expr(syntax)?;
            if !expressions.collected.is_empty() {
                return Err(SqlError::unsupported(format!("a subquery in {what}")));
            }
            if !cast::can_cast(expr.ty(), DataType::INT8, CastContext::Assignment) && expr.ty() != DataType::UNKNOWN {
                let message = format!("argument of {what} must be type bigint, not type {}", expr.ty());
                return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message));
            }
            Ok(Some(cast::coerce(expr, DataType::INT8, -1, CastContext::Assignment)?))
        };
        let (mut limit, mut offset) = (None, None);
        match &query.limit_clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit: count, offset: skip, limit_by }) if limit_by.is_empty() => {
                if let Some(count) = count {
                    limit = bind(count, "LIMIT")?;
                }
                if let Some(skip) = skip {
                    offset = bind(&skip.value, "OFFSET")?;
                }
            }
            Some(_) => {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                    .hint("Use separate LIMIT and OFFSET clauses."));
            }
        }
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties || fetch.percent {
                return Err(SqlError::unsupported("FETCH … WITH TIES"));
            }
            limit = match &fetch.quantity {
                Some(quantity) => bind(quantity, "LIMIT")?,
                None => Some(Expr::constant(crate::types::Value::Int8(1), DataType::INT8)),
            };
        }
        if limit.is_none() && offset.is_none() {
            return Ok(plan);
        }
        Ok(Plan::Limit { input: Box::new(plan), limit, offset })
    }

    /// ORDER BY of a set operation or VALUES: output columns only.
    fn output_order(&self, order: &[ast::OrderByExpr], columns: &[OutputColumn]) -> Result<Vec<SortKey>> {
        let scope = Scope::of_columns("", columns);
        order
            .iter()
            .map(|key| {
                let slot = match ordinal(&key.expr, columns.len(), "ORDER BY")
                    .map_err(|error| self.locate(error, &key.expr))?
                {
                    Some(slot) => slot,
                    None => {
                        let found = match &key.expr {
                            ast::Expr::Identifier(ident) => {
                                scope.columns.iter().position(|column| column.name == fold(ident))
                            }
                            _ => None,
                        };
                        found.ok_or_else(|| {
                            let message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause";
                            self.locate(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message), &key.expr)
                                .detail("Only result column names can be used, not expressions or functions.")
                        })?
                    }
                };
                sort_key(Expr::Column { slot, ty: columns[slot].ty }, &key.options)
            })
            .collect()
    }

    pub(super) fn locate(&self, error: SqlError, syntax: &ast::Expr) -> SqlError {
        error.at(self.position(syntax.span().start))
    }

    fn settle_bound(&self, bound: Bound) -> Result<Bound> {
        let (mut plan, mut columns) = bound;
        for (index, column) in columns.iter_mut().enumerate() {
            if column.ty == DataType::UNKNOWN {
                plan = coerce_column(plan, index, DataType::TEXT, -1, CastContext::Implicit)?;
                column.ty = DataType::TEXT;
            }
        }
        Ok((plan, columns))
    }

    fn set_expr(&self, body: &SetExpr, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<Bound> {
        match body {
            SetExpr::Select(select) => {
                let selected = self.select(select, &[], &[], up, ctes)?;
                let mut plan = selected.plan;
                if selected.distinct_on.is_some() {
                    plan = Plan::Distinct { input: Box::new(plan), on: selected.distinct_on };
                }
                let types = plan.types();
                if types.len() > selected.columns.len() {
                    let kept = types.into_iter().take(selected.columns.len()).enumerate();
                    let expressions = kept.map(|(slot, ty)| Expr::Column { slot, ty }).collect();
                    plan = Plan::Project { input: Box::new(plan), expressions };
                }
                Ok((plan, selected.columns))
            }
            SetExpr::Query(query) => self.query(query, up, ctes),
            SetExpr::Values(values) => self.values(values, up, ctes),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let op = match op {
                    ast::SetOperator::Union => SetOp::Union,
                    ast::SetOperator::Intersect => SetOp::Intersect,
                    ast::SetOperator::Except => SetOp::Except,
                    ast::SetOperator::Minus => return Err(SqlError::unsupported("MINUS")),
                };
                let all = match set_quantifier {
                    ast::SetQuantifier::All => true,
                    ast::SetQuantifier::Distinct | ast::SetQuantifier::None => false,
                    _ => return Err(SqlError::unsupported("BY NAME")),
                };
                let left = self.set_expr(left, up, ctes)?;
                let right = self.set_expr(right, up, ctes)?;
                set_operation(op, all, left, right)
            }
            SetExpr::Table(table) => {
                let name = table.table_name.clone().unwrap_or_default();
                let mut parts: Vec<ast::Ident> = table.schema_name.iter().map(ast::Ident::new).collect();
                parts.push(ast::Ident::new(name));
                let relation = self.relation(&ast::ObjectName::from(parts))?;
                self.need(&relation, Privileges::SELECT);
                let Item { plan, scope } = self.relation_item(&relation, None, false)?;
                scope.columns.iter().for_each(|column| self.uses(column.origin));
                let columns = scope.columns.into_iter();
                let columns = columns
                    .map(|column| OutputColumn {
                        ty: column.expr.ty(),
                        name: column.name,
                        typmod: column.typmod,
                        origin: column.origin,
                    })
                    .collect();
                Ok((plan, columns))
            }
            _ => Err(SqlError::unsupported("a data-modifying statement here")),
        }
    }

    fn values(&self, values: &ast::Values, up: Option<&Names<'_>>, ctes: &Ctes) -> Result<Bound> {
        let scope = Scope::default();
        let mut expressions = ExprBinder::new(self, Names { scope: &scope, up }, ctes.clone(), Clause::Values);
        let mut rows: Vec<Vec<Expr>> = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            rows.push(expressions.exprs(&row.content)?);
        }
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length"));
        }
        let mut columns = Vec::with_capacity(width);
        for index in 0..width {
            let types: Vec<DataType> = rows.iter().map(|row| row[index].ty()).collect();
            let all_unknown = types.iter().all(|ty| *ty == DataType::UNKNOWN);
            let ty = if all_unknown { DataType::UNKNOWN } else { common("VALUES", &types)? };
            if !all_unknown {
                for row in &mut rows {
                    coerce_in_place(&mut row[index], ty, -1, CastContext::Implicit)?;
                }
            }
            columns.push(OutputColumn { name: format!("column{}", index + 1), ty, typmod: -1, origin: None });
        }
        let types = columns.iter().map(|column| column.ty).collect();
        Ok((values_plan(&mut expressions, rows, types), columns))
    }

    /// One SELECT. `order` is bound here because it may look at input columns and aggregates.
    fn select(
        &self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        locks: &[ast::LockClause],
        up: Option<&Names<'_>>,
        ctes: &Ctes,
    ) -> Result<Selected> {
        reject_select_syntax(select)?;
        let around = Surroundings { up, ctes, locks };
        let Item { mut plan, scope } = self.from(&select.from, around)?;
        let names = Names { scope: &scope, up };
        let mut expressions = ExprBinder::new(self, names, ctes.clone(), Clause::Where);
        expressions.windows = &select.named_window;
        if let Some(selection) = &select.selection {
            let mut condition = expressions.condition(selection)?;
            plan = expressions.collected.attach(plan, &mut [&mut condition]);
            plan = Plan::Filter { input: Box::new(plan), predicate: condition };
        }
        let mut items = expressions.within(Clause::Select, |this| this.select_items(&select.projection))?;
        let groups = self.group_items(&mut expressions, &select.group_by, &items)?;
        let mut having = match &select.having {
            Some(having) => Some(expressions.within(Clause::Having, |this| this.condition(having))?),
            None => None,
        };
        // ORDER BY and DISTINCT ON: existing output columns by position, others as extra columns.
        let visible = items.len();
        let mut keys = Vec::new();
        for key in order {
            let slot = self.sort_item(&mut expressions, key, &mut items, visible, "ORDER BY")?;
            keys.push(sort_key(Expr::Column { slot, ty: items[slot].expr.ty() }, &key.options)?);
        }
        let mut distinct_on = None;
        if let Some(ast::Distinct::On(on)) = &select.distinct {
            let mut slots = Vec::new();
            for syntax in on {
                let key = ast::OrderByExpr {
                    expr: syntax.clone(),
                    options: ast::OrderByOptions { sort: None, nulls_first: None },
                    with_fill: None,
                };
                slots.push(self.sort_item(&mut expressions, &key, &mut items, visible, "DISTINCT ON")?);
            }
            check_distinct_on(&slots, &keys)?;
            distinct_on = Some(slots);
        }
        let (has_groups, has_having) = (groups.is_some(), having.is_some());
        let grouped = groups.is_some() || having.is_some() || !expressions.collected.aggregates.is_empty();
        if grouped {
            let mut after: Vec<&mut Expr> = items.iter_mut().map(|item| &mut item.expr).chain(&mut having).collect();
            plan = expressions.group(plan, groups.unwrap_or_default(), &mut after)?;
        }
        if let Some(mut condition) = having {
            plan = expressions.collected.attach(plan, &mut [&mut condition]);
            plan = Plan::Filter { input: Box::new(plan), predicate: condition };
        }
        plan = expressions.put_aside(plan, &mut items)?;
        let distinct = matches!(select.distinct, Some(ast::Distinct::Distinct));
        let obstacle = if select.distinct.is_some() {
            Some("DISTINCT clause")
        } else if has_groups {
            Some("GROUP BY clause")
        } else if has_having {
            Some("HAVING clause")
        } else {
            grouped.then_some("aggregate functions")
        };
        let locks = self.lock_items(locks, &scope, &mut items, obstacle)?;
        let mut outputs: Vec<&mut Expr> = items.iter_mut().map(|item| &mut item.expr).collect();
        plan = expressions.collected.attach(plan, &mut outputs);
        if distinct {
            if items.len() > visible {
                let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                return Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
            for item in &mut items {
                let taken = std::mem::replace(&mut item.expr, Expr::boolean(false));
                item.expr = settle(taken)?;
                item.column.ty = item.expr.ty();
            }
        }
        let types: Vec<DataType> = items.iter().map(|item| item.expr.ty()).collect();
        let (expressions, mut columns): (Vec<Expr>, Vec<OutputColumn>) =
            items.into_iter().map(|item| (item.expr, item.column)).unzip();
        columns.truncate(visible);
        plan = Plan::Project { input: Box::new(plan), expressions };
        if distinct {
            plan = Plan::Distinct { input: Box::new(plan), on: None };
        }
        let distinct_on =
            distinct_on.map(|slots| slots.into_iter().map(|slot| Expr::Column { slot, ty: types[slot] }).collect());
        Ok(Selected { plan, columns, keys, distinct_on, locks })
    }
}

fn check_distinct_on(on: &[usize], keys: &[SortKey]) -> Result<()> {
    let leading = keys.iter().take(on.len());
    let matches = leading.clone().all(|key| matches!(key.expr, Expr::Column { slot, .. } if on.contains(&slot)));
    if matches {
        return Ok(());
    }
    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
    Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message))
}

fn reject_select_syntax(select: &ast::Select) -> Result<()> {
    let what = if select.into.is_some() {
        "SELECT INTO"
    } else if select.qualify.is_some() {
        "QUALIFY"
    } else if select.top.is_some() {
        "TOP"
    } else if !select.lateral_views.is_empty() || !select.connect_by.is_empty() || select.prewhere.is_some() {
        "this clause of SELECT"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(what))
}
