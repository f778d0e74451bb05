//! Queries: SELECT, VALUES, set operations, common table expressions, ORDER BY and LIMIT.

use std::rc::Rc;

use sqlparser::ast::{self, SetExpr, Spanned};
use txn::{LockMode, WaitPolicy};

use super::{
    Binder, Output,
    call::sort_key,
    collect::{Marker, renumber},
    expr::{Clause, ExprBinder, common, settle},
    from::{CteEnv, Ctes, Item, Surroundings},
    scope::{Names, Scope, fold, qualified},
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
    },
    plan::{OutputColumn, Plan, SetOp, SortKey, Statement},
    types::DataType,
};

/// A bound query: its columns are the first of the plan's; literals and parameters may still be of unknown type.
pub(super) type Bound = (Plan, Vec<OutputColumn>);

/// An item of a select list or RETURNING.
pub(super) struct SelectItem {
    pub expr: Expr,
    pub column: OutputColumn,
}

/// A SELECT before ORDER BY and LIMIT are applied: the plan may have columns beyond the visible ones, which sorting and
/// locking need.
struct Selected {
    plan: Plan,
    columns: Vec<OutputColumn>,
    keys: Vec<SortKey>,
    /// DISTINCT ON, over the plan's row.
    distinct_on: Option<Vec<Expr>>,
    locks: Vec<(Vec<usize>, LockMode, WaitPolicy)>,
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
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "each UNION query must have the same number of columns"));
            }
            let mut step = step;
            for (index, (column, wanted)) in step_columns.iter().zip(&columns).enumerate() {
                if column.ty != wanted.ty {
                    step = coerce_column(step, index, wanted.ty, -1, CastContext::Implicit)?;
                }
            }
            let distinct = *set_quantifier != ast::SetQuantifier::All;
            let entry = CteEnv { name: name.clone(), id, columns, up: ctes.clone() };
            let plan =
                Plan::Recursive { id, name, initial: Box::new(initial), step: Box::new(step), distinct };
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
        for (keys, mode, wait) in locks {
            plan = Plan::Lock { input: Box::new(plan), keys, mode, wait };
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
            Some(_) => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                .hint("Use separate LIMIT and OFFSET clauses.")),
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
                let slot = match ordinal(&key.expr, columns.len(), "ORDER BY").map_err(|error| self.locate(error, &key.expr))? {
                    Some(slot) => slot,
                    None => {
                        let found = match &key.expr {
                            ast::Expr::Identifier(ident) => scope.columns.iter().position(|column| column.name == fold(ident)),
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

    fn locate(&self, error: SqlError, syntax: &ast::Expr) -> SqlError {
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
                let Item { plan, scope } = self.relation_item(&relation, None, false)?;
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
        let around = Surroundings { up, ctes, with_keys: !locks.is_empty() };
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
        let locks = self.lock_items(locks, &scope, &mut items, grouped || select.distinct.is_some())?;
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
        let distinct_on = distinct_on
            .map(|slots| slots.into_iter().map(|slot| Expr::Column { slot, ty: types[slot] }).collect());
        Ok(Selected { plan, columns, keys, distinct_on, locks })
    }

    /// GROUP BY: `None` when there is no such clause.
    fn group_items(
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
                if part.any(&mut |expr| is_marker(expr, |marker| matches!(marker, Marker::Aggregate(_) | Marker::Window(_)))) {
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
    fn sort_item(
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

    /// FOR UPDATE and FOR SHARE: the keys of the tables become extra columns.
    fn lock_items(
        &self,
        locks: &[ast::LockClause],
        scope: &Scope,
        items: &mut Vec<SelectItem>,
        collapsed: bool,
    ) -> Result<Vec<(Vec<usize>, LockMode, WaitPolicy)>> {
        let mut result = Vec::new();
        for lock in locks {
            let (mode, name) = match lock.lock_type {
                ast::LockType::Update => (LockMode::Exclusive, "FOR UPDATE"),
                ast::LockType::Share => (LockMode::Shared, "FOR SHARE"),
            };
            if collapsed {
                let message = format!("{name} is not allowed with GROUP BY, DISTINCT or aggregate functions");
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            let wait = match lock.nonblock {
                None => WaitPolicy::Wait,
                Some(ast::NonBlock::Nowait) => WaitPolicy::NoWait,
                Some(ast::NonBlock::SkipLocked) => WaitPolicy::SkipLocked,
            };
            let only = match &lock.of {
                None => None,
                Some(of) => {
                    let (schema, table) = qualified(of)?;
                    Some(scope.find_table(schema.as_deref(), &table).ok_or_else(|| {
                        let message = format!("relation \"{table}\" in {name} clause not found in FROM clause");
                        SqlError::new(SqlState::UNDEFINED_TABLE, message).at(self.position(of.span().start))
                    })?)
                }
            };
            let mut keys = Vec::new();
            for (index, table) in scope.tables.iter().enumerate() {
                let Some(slot) = table.key_slot.filter(|_| only.is_none_or(|only| only == index)) else { continue };
                let expr = Expr::Column { slot, ty: DataType::BYTEA };
                let column = OutputColumn { name: String::new(), ty: DataType::BYTEA, typmod: -1, origin: None };
                keys.push(items.len());
                items.push(SelectItem { expr, column });
            }
            result.push((keys, mode, wait));
        }
        Ok(result)
    }
}

impl ExprBinder<'_> {
    /// A subquery of an expression, one level in.
    pub(super) fn subquery(&self, query: &ast::Query) -> Result<Bound> {
        self.binder.settled_query(query, Some(&self.names), &self.ctes)
    }

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
                        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message)
                            .at(self.binder.position(item.span().start)));
                    }
                    let columns = self.names.scope.columns.iter().filter(|column| !column.hidden);
                    items.extend(columns.map(SelectItem::of_column));
                }
                ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let (schema, table) = qualified(name)?;
                    let index = self.names.scope.find_table(schema.as_deref(), &table).ok_or_else(|| {
                        super::scope::missing_table(&table).at(self.binder.position(name.span().start))
                    })?;
                    let columns = self.names.scope.columns.iter().filter(|column| column.table == Some(index));
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
            ast::Expr::CompoundIdentifier(parts) => {
                self.compound(parts).map(|found| (found.typmod, found.origin))?
            }
            _ => (-1, None),
        };
        let expr = self.expr(syntax)?;
        let typmod = if typmod == -1 { expr.typmod() } else { typmod };
        let name = alias.unwrap_or_else(|| figure_name(syntax).unwrap_or_else(|| "?column?".to_owned()));
        let column = OutputColumn { name, ty: expr.ty(), typmod, origin };
        Ok(SelectItem { expr, column })
    }

    /// Window functions, then set-returning functions, on top of the (grouped) plan.
    fn put_aside(&mut self, mut plan: Plan, items: &mut [SelectItem]) -> Result<Plan> {
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
            let nested = sets.iter().any(|set| {
                set.call.any(&mut |expr| is_marker(expr, |marker| matches!(marker, Marker::Set(_))))
            });
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

fn is_marker(expr: &Expr, test: impl Fn(Marker) -> bool) -> bool {
    matches!(expr, Expr::Column { slot, .. } if Marker::of(*slot).is_some_and(test))
}

/// Rows of expressions; where some need subqueries or sequences below them, each row is a query of its own.
pub(super) fn values_plan(expressions: &mut ExprBinder<'_>, rows: Vec<Vec<Expr>>, types: Vec<DataType>) -> Plan {
    if expressions.collected.is_empty() {
        return Plan::Values { rows, types };
    }
    let mut result: Option<Plan> = None;
    for mut row in rows {
        let mut exprs: Vec<&mut Expr> = row.iter_mut().collect();
        let input = expressions.collected.attach(Plan::one_row(), &mut exprs);
        let plan = Plan::Project { input: Box::new(input), expressions: row };
        result = Some(match result {
            None => plan,
            Some(left) => {
                Plan::SetOperation { op: SetOp::Union, all: true, left: Box::new(left), right: Box::new(plan) }
            }
        });
    }
    result.unwrap_or(Plan::Values { rows: Vec::new(), types })
}

fn set_operation(op: SetOp, all: bool, left: Bound, right: Bound) -> Result<Bound> {
    let name = match op {
        SetOp::Union => "UNION",
        SetOp::Intersect => "INTERSECT",
        SetOp::Except => "EXCEPT",
    };
    let (mut left, mut columns) = left;
    let (mut right, right_columns) = right;
    if columns.len() != right_columns.len() {
        let message = format!("each {name} query must have the same number of columns");
        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
    }
    for (index, (column, other)) in columns.iter_mut().zip(&right_columns).enumerate() {
        let ty = common(name, &[column.ty, other.ty])?;
        if column.ty != ty {
            left = coerce_column(left, index, ty, -1, CastContext::Implicit)?;
        }
        if other.ty != ty {
            right = coerce_column(right, index, ty, -1, CastContext::Implicit)?;
        }
        column.typmod = if column.typmod == other.typmod && column.ty == ty { column.typmod } else { -1 };
        column.ty = ty;
        column.origin = None;
    }
    Ok((Plan::SetOperation { op, all, left: Box::new(left), right: Box::new(right) }, columns))
}

/// Converts one output column. Where the column is an expression at hand it is converted in place, so that literals and
/// parameters of unknown type take the target's.
pub(super) fn coerce_column(
    plan: Plan,
    index: usize,
    ty: DataType,
    typmod: i32,
    context: CastContext,
) -> Result<Plan> {
    match plan {
        Plan::Project { input, mut expressions } if index < expressions.len() => {
            if let Expr::Column { slot, ty: DataType::UNKNOWN } = expressions[index] {
                let input = coerce_column(*input, slot, ty, typmod, context)?;
                expressions[index] = Expr::Column { slot, ty };
                return Ok(Plan::Project { input: Box::new(input), expressions });
            }
            coerce_in_place(&mut expressions[index], ty, typmod, context)?;
            Ok(Plan::Project { input, expressions })
        }
        Plan::Values { mut rows, mut types } => {
            for row in &mut rows {
                coerce_in_place(&mut row[index], ty, typmod, context)?;
            }
            types[index] = ty;
            Ok(Plan::Values { rows, types })
        }
        Plan::Limit { input, limit, offset } => {
            let input = Box::new(coerce_column(*input, index, ty, typmod, context)?);
            Ok(Plan::Limit { input, limit, offset })
        }
        Plan::SetOperation { op, all: true, left, right } => {
            let left = Box::new(coerce_column(*left, index, ty, typmod, context)?);
            let right = Box::new(coerce_column(*right, index, ty, typmod, context)?);
            Ok(Plan::SetOperation { op, all: true, left, right })
        }
        Plan::Sort { input, mut keys, limit } if plan_is_unknown(&input, index) => {
            let input = Box::new(coerce_column(*input, index, ty, typmod, context)?);
            for key in &mut keys {
                if let Expr::Column { slot, ty: key_type } = &mut key.expr
                    && *slot == index
                {
                    *key_type = ty;
                }
            }
            Ok(Plan::Sort { input, keys, limit })
        }
        Plan::Cte { id, name, definition, input } => {
            let input = Box::new(coerce_column(*input, index, ty, typmod, context)?);
            Ok(Plan::Cte { id, name, definition, input })
        }
        other => {
            let types = other.types().into_iter().enumerate();
            let mut expressions: Vec<Expr> = types.map(|(slot, ty)| Expr::Column { slot, ty }).collect();
            coerce_in_place(&mut expressions[index], ty, typmod, context)?;
            Ok(Plan::Project { input: Box::new(other), expressions })
        }
    }
}

fn plan_is_unknown(plan: &Plan, index: usize) -> bool {
    plan.types().get(index) == Some(&DataType::UNKNOWN)
}

pub(super) fn coerce_in_place(expr: &mut Expr, ty: DataType, typmod: i32, context: CastContext) -> Result<()> {
    let taken = std::mem::replace(expr, Expr::boolean(false));
    *expr = cast::coerce(taken, ty, typmod, context)?;
    Ok(())
}

/// A bare integer stands for an output column.
fn ordinal(syntax: &ast::Expr, count: usize, clause: &str) -> Result<Option<usize>> {
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

/// The name PostgreSQL gives an unnamed column (`FigureColname`); `None`: it has none of its own.
pub(super) fn figure_name(syntax: &ast::Expr) -> Option<String> {
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
