//! INSERT, UPDATE and DELETE.

use std::sync::Arc;

use auth::privilege::Privileges;
use sqlparser::ast::{self, SetExpr, Spanned};

use super::{
    Binder, Output,
    columns::{coerce_column, values_plan},
    expr::{Clause, ExprBinder},
    from::{Ctes, Item, Surroundings},
    scope::{Names, Scope, ScopeTable, fold, name_parts},
    target::unique_index,
};
use crate::{
    catalog::{ColumnId, Identity, Relation},
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
    },
    plan::{
        Change, ConflictAction, Delete, Insert, Join, JoinKind, Mark, OnConflict, OutputColumn, Plan, Returning,
        Statement, Update, table_of,
    },
    types::DataType,
};

impl Binder<'_> {
    pub(super) fn insert(&self, insert: &ast::Insert, ctes: Ctes) -> Result<Output> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unsupported("this target of INSERT"));
        };
        if insert.or.is_some() || insert.replace_into || insert.overwrite {
            return Err(SqlError::unsupported("this form of INSERT"));
        }
        let relation = self.relation(name)?;
        self.writable(&relation, "insert into")?;
        let (target, targets) = self.targets(&relation)?;
        let columns = self.insert_columns(&relation, &insert.columns)?;
        self.need_columns(&relation, Privileges::INSERT, &columns);
        let explicit = !insert.columns.is_empty();
        let source = match &insert.source {
            None => self.completed(Plan::one_row(), &relation, &[])?,
            Some(query) => self.insert_source(query, &relation, columns, explicit, &ctes)?,
        };
        let alias = insert.table_alias.as_ref().map(|alias| fold(&alias.alias));
        let scope = Scope::of_relation(&relation, alias.as_deref(), None);
        let on_conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(conflict)) => Some(self.on_conflict(conflict, &relation, &scope)?),
            Some(_) => return Err(SqlError::unsupported("ON DUPLICATE KEY")),
        };
        let (returning, columns) = self.returning(insert.returning.as_deref(), &scope, &ctes)?;
        let change = Change::Insert(Insert { target, targets, source, on_conflict, returning });
        Ok(Output { statement: Statement::Change(Box::new(change)), columns })
    }

    fn need_columns(&self, relation: &Arc<Relation>, privilege: Privileges, positions: &[usize]) {
        self.need(relation, privilege);
        for position in positions {
            self.need_column(relation, privilege, table_of(relation).columns[*position].id);
        }
    }

    /// Positions of the columns listed; all without a list.
    fn insert_columns(&self, relation: &Arc<Relation>, names: &[ast::ObjectName]) -> Result<Vec<usize>> {
        let table = table_of(relation);
        if names.is_empty() {
            return Ok((0..table.columns.len()).collect());
        }
        let mut positions = Vec::with_capacity(names.len());
        for name in names {
            let position = self.target_column(relation, name)?;
            if positions.contains(&position) {
                let message = format!("column \"{}\" specified more than once", table.columns[position].name);
                return Err(SqlError::new(SqlState::DUPLICATE_COLUMN, message).at(self.position(name.span().start)));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    fn target_column(&self, relation: &Arc<Relation>, name: &ast::ObjectName) -> Result<usize> {
        let column = name_parts(name)?.pop().unwrap_or_default();
        table_of(relation).columns.iter().position(|candidate| candidate.name == column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
            SqlError::new(SqlState::UNDEFINED_COLUMN, message).at(self.position(name.span().start))
        })
    }

    fn insert_source(
        &self,
        query: &ast::Query,
        relation: &Arc<Relation>,
        mut columns: Vec<usize>,
        explicit: bool,
        ctes: &Ctes,
    ) -> Result<Plan> {
        let plain = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
        if let (SetExpr::Values(values), true) = (&*query.body, plain) {
            return self.insert_values(values, relation, columns, explicit, ctes);
        }
        let (mut plan, outputs) = self.query(query, None, ctes)?;
        self.check_count(outputs.len(), &mut columns, explicit, query.span().start)?;
        let table = table_of(relation);
        for (index, (output, position)) in outputs.iter().zip(&columns).enumerate() {
            let column = &table.columns[*position];
            if column.identity == Some(Identity::Always) {
                return Err(generated_always(&column.name));
            }
            if output.ty == column.ty && column.typmod == -1 {
                continue;
            }
            if output.ty != DataType::UNKNOWN && !cast::can_cast(output.ty, column.ty, CastContext::Assignment) {
                // For the message.
                cast::coerce_assignment(Expr::null(output.ty), &column.name, column.ty, column.typmod)?;
            }
            plan = coerce_column(plan, index, column.ty, column.typmod, CastContext::Assignment)?;
        }
        self.completed(plan, relation, &columns)
    }

    fn check_count(
        &self,
        count: usize,
        columns: &mut Vec<usize>,
        explicit: bool,
        at: sqlparser::tokenizer::Location,
    ) -> Result<()> {
        let message = if count > columns.len() {
            "INSERT has more expressions than target columns"
        } else if count < columns.len() && explicit {
            "INSERT has more target columns than expressions"
        } else {
            columns.truncate(count);
            return Ok(());
        };
        Err(SqlError::new(SqlState::SYNTAX_ERROR, message).at(self.position(at)))
    }

    fn insert_values(
        &self,
        values: &ast::Values,
        relation: &Arc<Relation>,
        mut columns: Vec<usize>,
        explicit: bool,
        ctes: &Ctes,
    ) -> Result<Plan> {
        let table = table_of(relation);
        let width = values.rows.first().map_or(0, |row| row.content.len());
        if values.rows.iter().any(|row| row.content.len() != width) {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length"));
        }
        let last = values.rows.first().and_then(|row| row.content.last());
        let start = last.map_or(sqlparser::tokenizer::Location::empty(), |expr| expr.span().start);
        self.check_count(width, &mut columns, explicit, start)?;
        // A column that is DEFAULT in every row is as good as not listed.
        let listed: Vec<usize> =
            (0..width).filter(|&index| !values.rows.iter().all(|row| is_default(&row.content[index]))).collect();
        let scope = Scope::default();
        let mut expressions = ExprBinder::new(self, Names { scope: &scope, up: None }, ctes.clone(), Clause::Values);
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            let mut exprs = Vec::with_capacity(listed.len());
            for &index in &listed {
                let column = &table.columns[columns[index]];
                let syntax = &row.content[index];
                if is_default(syntax) {
                    exprs.push(self.default(column, &mut expressions)?);
                    continue;
                }
                if column.identity == Some(Identity::Always) {
                    return Err(generated_always(&column.name));
                }
                let expr = expressions.expr(syntax)?;
                let expr = cast::coerce_assignment(expr, &column.name, column.ty, column.typmod)
                    .map_err(|error| error.at(expressions.start(syntax)))?;
                exprs.push(expr);
            }
            rows.push(exprs);
        }
        let columns: Vec<usize> = listed.into_iter().map(|index| columns[index]).collect();
        let types = columns.iter().map(|&position| table.columns[position].ty).collect();
        let plan = values_plan(&mut expressions, rows, types);
        self.completed(plan, relation, &columns)
    }

    /// Rows of `columns` become rows of the whole table: the others get their defaults.
    fn completed(&self, plan: Plan, relation: &Arc<Relation>, columns: &[usize]) -> Result<Plan> {
        let table = table_of(relation);
        if columns.iter().copied().eq(0..table.columns.len()) {
            return Ok(plan);
        }
        let mut expressions = self.detached();
        let mut row = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            row.push(match columns.iter().position(|listed| *listed == position) {
                Some(slot) => Expr::Column { slot, ty: column.ty },
                None => self.default(column, &mut expressions)?,
            });
        }
        // Constant rows stay constant rows.
        if let (Plan::Values { rows, .. }, true) = (&plan, expressions.collected.is_empty())
            && !rows.is_empty()
        {
            let rows = rows.iter().map(|values| row.iter().map(|expr| substitute(expr, values)).collect()).collect();
            return Ok(Plan::Values { rows, types: table.columns.iter().map(|column| column.ty).collect() });
        }
        let mut exprs: Vec<&mut Expr> = row.iter_mut().collect();
        let input = expressions.collected.attach(plan, &mut exprs);
        Ok(Plan::Project { input: Box::new(input), expressions: row })
    }

    pub(super) fn fed_insert(&self, relation: &Arc<Relation>, columns: &[usize]) -> Result<Insert> {
        self.writable(relation, "copy to")?;
        let (target, targets) = self.targets(relation)?;
        let table = table_of(relation);
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let columns = if columns.is_empty() { &all } else { columns };
        self.need_columns(relation, Privileges::INSERT, columns);
        let types = columns.iter().map(|&position| table.columns[position].ty).collect();
        let source = self.completed(Plan::Values { rows: Vec::new(), types }, relation, columns)?;
        Ok(Insert { target, targets, source, on_conflict: None, returning: None })
    }

    fn on_conflict(&self, conflict: &ast::OnConflict, relation: &Arc<Relation>, scope: &Scope) -> Result<OnConflict> {
        let table = table_of(relation);
        let index = match &conflict.conflict_target {
            None => None,
            Some(ast::ConflictTarget::Columns(names)) => {
                let mut ids: Vec<ColumnId> = Vec::new();
                for name in names {
                    let position = self.target_column(relation, &ast::ObjectName::from(name.clone()))?;
                    let id = table.columns[position].id;
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                Some(unique_index(table, &ids).ok_or_else(|| {
                    let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
                    SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message)
                })?)
            }
            Some(ast::ConflictTarget::OnConstraint(name)) => {
                let wanted = name_parts(name)?.pop().unwrap_or_default();
                let found = table.indexes.iter().position(|index| index.constraint && index.name == wanted);
                Some(found.ok_or_else(|| {
                    let message = format!("constraint \"{wanted}\" for table \"{}\" does not exist", relation.name);
                    SqlError::new(SqlState::UNDEFINED_OBJECT, message)
                })?)
            }
        };
        let ast::OnConflictAction::DoUpdate(update) = &conflict.action else {
            return Ok(OnConflict { index, action: ConflictAction::Nothing });
        };
        if index.is_none() {
            let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
        }
        // The existing row, then the one proposed under the name `excluded`.
        let mut both = scope.clone();
        let mut excluded = Scope::of_relation(relation, Some("excluded"), None);
        excluded.tables = vec![ScopeTable { relation: None, ..excluded.tables.remove(0) }];
        both.append(excluded, table.columns.len());
        // Unqualified names mean the existing row.
        for column in both.columns.iter_mut().skip(table.columns.len()) {
            column.hidden = true;
            // The proposed row is the client's own.
            column.origin = None;
        }
        let mut expressions = ExprBinder::new(self, Names { scope: &both, up: None }, None, Clause::Set);
        let assignments = self.assignments(&update.assignments, relation, &mut expressions)?;
        let filter = match &update.selection {
            Some(selection) => Some(expressions.within(Clause::Where, |this| this.condition(selection))?),
            None => None,
        };
        if !expressions.collected.is_empty() {
            return Err(SqlError::unsupported("a subquery or sequence in ON CONFLICT DO UPDATE"));
        }
        Ok(OnConflict { index, action: ConflictAction::Update { assignments, filter } })
    }

    fn assignments(
        &self,
        assignments: &[ast::Assignment],
        relation: &Arc<Relation>,
        expressions: &mut ExprBinder<'_>,
    ) -> Result<Vec<(usize, Expr)>> {
        let mut bound: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            match &assignment.target {
                ast::AssignmentTarget::ColumnName(name) => {
                    self.assign(&mut bound, relation, name, &assignment.value, expressions)?;
                }
                ast::AssignmentTarget::Tuple(names) => {
                    let mut value = &assignment.value;
                    while let ast::Expr::Nested(inner) = value {
                        value = inner;
                    }
                    let values = match value {
                        ast::Expr::Tuple(values) => values,
                        other if names.len() == 1 => std::slice::from_ref(other),
                        _ => return Err(SqlError::unsupported("a multiple-column assignment from a subquery")),
                    };
                    if values.len() != names.len() {
                        let message = "number of columns does not match number of values";
                        return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
                    }
                    for (name, value) in names.iter().zip(values) {
                        self.assign(&mut bound, relation, name, value, expressions)?;
                    }
                }
            }
        }
        Ok(bound)
    }

    fn assign(
        &self,
        bound: &mut Vec<(usize, Expr)>,
        relation: &Arc<Relation>,
        name: &ast::ObjectName,
        value: &ast::Expr,
        expressions: &mut ExprBinder<'_>,
    ) -> Result<()> {
        let position = self.target_column(relation, name)?;
        let column = &table_of(relation).columns[position];
        self.need_column(relation, Privileges::UPDATE, column.id);
        if bound.iter().any(|(assigned, _)| *assigned == position) {
            let message = format!("multiple assignments to same column \"{}\"", column.name);
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message).at(self.position(name.span().start)));
        }
        let expr = if is_default(value) {
            self.default(column, expressions)?
        } else if column.identity == Some(Identity::Always) {
            let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
            return Err(SqlError::new(SqlState("428C9"), message)
                .detail(format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name)));
        } else {
            let expr = expressions.expr(value)?;
            cast::coerce_assignment(expr, &column.name, column.ty, column.typmod)
                .map_err(|error| error.at(expressions.start(value)))?
        };
        bound.push((position, expr));
        Ok(())
    }

    pub(super) fn update(&self, update: &ast::Update, ctes: Ctes) -> Result<Output> {
        if !update.table.joins.is_empty() || update.limit.is_some() || !update.order_by.is_empty() {
            return Err(SqlError::unsupported("this form of UPDATE"));
        }
        let from: &[ast::TableWithJoins] = match &update.from {
            None => &[],
            Some(ast::UpdateTableFromKind::AfterSet(from) | ast::UpdateTableFromKind::BeforeSet(from)) => from,
        };
        let (relation, item) = self.changed(&update.table.relation, from, "update", &ctes)?;
        let (target, targets) = self.targets(&relation)?;
        let Item { mut plan, scope } = item;
        let mark = changed_mark(&scope)?;
        let mut expressions = ExprBinder::new(self, Names { scope: &scope, up: None }, ctes.clone(), Clause::Where);
        plan = self.restricted(plan, update.selection.as_ref(), &mut expressions)?;
        let mut assignments =
            expressions.within(Clause::Set, |this| self.assignments(&update.assignments, &relation, this))?;
        let mut values: Vec<&mut Expr> = assignments.iter_mut().map(|(_, expr)| expr).collect();
        plan = expressions.collected.attach(plan, &mut values);
        let (returning, columns) = self.returning(update.returning.as_deref(), &scope, &ctes)?;
        let update = Update { target, targets, source: plan, mark, locked: false, assignments, returning };
        Ok(Output { statement: Statement::Change(Box::new(Change::Update(update))), columns })
    }

    pub(super) fn delete(&self, delete: &ast::Delete, ctes: Ctes) -> Result<Output> {
        let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
        let [table] = &from[..] else { return Err(SqlError::unsupported("DELETE from several tables")) };
        if !table.joins.is_empty() || !delete.tables.is_empty() || delete.limit.is_some() || !delete.order_by.is_empty()
        {
            return Err(SqlError::unsupported("this form of DELETE"));
        }
        let using = delete.using.as_deref().unwrap_or(&[]);
        let (relation, item) = self.changed(&table.relation, using, "delete from", &ctes)?;
        let (target, targets) = self.targets(&relation)?;
        let Item { plan, scope } = item;
        let mark = changed_mark(&scope)?;
        let mut expressions = ExprBinder::new(self, Names { scope: &scope, up: None }, ctes.clone(), Clause::Where);
        let source = self.restricted(plan, delete.selection.as_ref(), &mut expressions)?;
        let (returning, columns) = self.returning(delete.returning.as_deref(), &scope, &ctes)?;
        let delete = Delete { target, targets, source, mark, locked: false, returning };
        Ok(Output { statement: Statement::Change(Box::new(Change::Delete(delete))), columns })
    }

    /// The table that UPDATE or DELETE changes, with its keys, joined with the other tables.
    fn changed(
        &self,
        table: &ast::TableFactor,
        others: &[ast::TableWithJoins],
        verb: &str,
        ctes: &Ctes,
    ) -> Result<(Arc<Relation>, Item)> {
        let ast::TableFactor::Table { name, alias, args: None, .. } = table else {
            return Err(SqlError::unsupported("this target"));
        };
        let relation = self.relation(name)?;
        self.writable(&relation, verb)?;
        self.need(&relation, if verb == "update" { Privileges::UPDATE } else { Privileges::DELETE });
        let alias = alias.as_ref().map(|alias| fold(&alias.name));
        let mut item = self.relation_item(&relation, alias.as_deref(), true)?;
        if !others.is_empty() {
            let right = self.from(others, Surroundings { up: None, ctes, locks: &[] })?;
            item.scope.check_aliases(&right.scope)?;
            let shift = item.plan.width();
            item.scope.append(right.scope, shift);
            let join = Join { kind: JoinKind::Inner, left: item.plan, right: right.plan, on: None, keys: Vec::new() };
            item.plan = Plan::Join(Box::new(join));
        }
        Ok((relation, item))
    }

    fn restricted(&self, plan: Plan, selection: Option<&ast::Expr>, expressions: &mut ExprBinder<'_>) -> Result<Plan> {
        let Some(selection) = selection else { return Ok(plan) };
        let mut predicate = expressions.condition(selection)?;
        let input = expressions.collected.attach(plan, &mut [&mut predicate]);
        Ok(Plan::Filter { input: Box::new(input), predicate })
    }

    fn returning(
        &self,
        items: Option<&[ast::SelectItem]>,
        scope: &Scope,
        ctes: &Ctes,
    ) -> Result<(Option<Returning>, Option<Vec<OutputColumn>>)> {
        let Some(items) = items else { return Ok((None, None)) };
        let names = Names { scope, up: None };
        let mut expressions = ExprBinder::new(self, names, ctes.clone(), Clause::Returning);
        let mut items = expressions.select_items(items)?;
        if !expressions.collected.is_empty() {
            return Err(SqlError::unsupported("a subquery or sequence in RETURNING"));
        }
        for item in &mut items {
            let taken = std::mem::replace(&mut item.expr, Expr::boolean(false));
            item.expr = super::build::settle(taken)?;
            item.column.ty = item.expr.ty();
        }
        let (expressions, columns) = items.into_iter().map(|item| (item.expr, item.column)).unzip();
        Ok((Some(Returning { expressions }), Some(columns)))
    }
}

/// The mark of the table that UPDATE or DELETE changes, the first of its scope.
fn changed_mark(scope: &Scope) -> Result<Mark> {
    let key = scope.tables.first().and_then(|table| table.key);
    key.map(|(_, mark)| mark).ok_or_else(|| SqlError::internal("a changed table without keys"))
}

fn is_default(syntax: &ast::Expr) -> bool {
    matches!(syntax, ast::Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

fn generated_always(column: &str) -> SqlError {
    SqlError::new(SqlState("428C9"), format!("cannot insert a non-DEFAULT value into column \"{column}\""))
        .detail(format!("Column \"{column}\" is an identity column defined as GENERATED ALWAYS."))
        .hint("Use OVERRIDING SYSTEM VALUE to override.")
}

/// The columns of an expression replaced by the expressions of a row.
fn substitute(expr: &Expr, row: &[Expr]) -> Expr {
    expr.clone().transform(&mut |part| match part {
        Expr::Column { slot, .. } => row[slot].clone(),
        other => other,
    })
}
