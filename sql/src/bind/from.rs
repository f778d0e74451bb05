//! The FROM clause: tables, views, subqueries, functions, and the joins between them.

use std::rc::Rc;

use auth::privilege::Privileges;
use sqlparser::ast::{self, Spanned, TableFactor};

use super::{
    Binder, VIEW_DEPTH_MAX,
    build::{common, compare, conjunction},
    collect::lower_outer,
    expr::{Clause, ExprBinder},
    scope::{Names, Scope, ScopeColumn, fold, qualified},
};
use crate::{
    catalog::{Relation, RelationKind, system},
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
    },
    parse,
    plan::{ApplyKind, Join, JoinKind, OutputColumn, Plan, Scan, SetFunction},
    types::DataType,
};

/// The common table expressions in sight, innermost first.
pub(super) type Ctes = Option<Rc<CteEnv>>;

pub(super) struct CteEnv {
    pub name: String,
    pub id: u32,
    pub columns: Vec<OutputColumn>,
    pub up: Ctes,
}

/// A plan and what its columns are called.
pub(super) struct Item {
    pub plan: Plan,
    pub scope: Scope,
}

/// What a FROM clause is bound with.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'n> {
    pub up: Option<&'n Names<'n>>,
    pub ctes: &'n Ctes,
    /// How rows will be locked. If they will, scans give their keys.
    pub locks: &'n [ast::LockClause],
}

impl Binder<'_> {
    pub(super) fn from(&self, tables: &[ast::TableWithJoins], around: Surroundings<'_>) -> Result<Item> {
        let mut left: Option<Item> = None;
        for table in tables {
            left = Some(self.comma_item(left, table, around)?);
        }
        Ok(left.unwrap_or_else(|| Item { plan: Plan::one_row(), scope: Scope::default() }))
    }

    fn comma_item(&self, left: Option<Item>, table: &ast::TableWithJoins, around: Surroundings<'_>) -> Result<Item> {
        // A lateral item among the joins may look at everything before: then the joins are built on top of that. They give the
        // same rows as long as none of them keeps unmatched rows of its right side.
        let laterals = table.joins.iter().any(|join| is_lateral(&join.relation));
        if laterals || left.is_none() || is_lateral(&table.relation) {
            let mut item = match left {
                Some(left) => self.join(left, &table.relation, JoinKind::Inner, &ast::JoinConstraint::None, around)?,
                None => self.plain_factor(&table.relation, around)?,
            };
            for join in &table.joins {
                let (kind, constraint) = join_kind(&join.join_operator)?;
                item = self.join(item, &join.relation, kind, constraint, around)?;
            }
            return Ok(item);
        }
        let mut right = self.plain_factor(&table.relation, around)?;
        for join in &table.joins {
            let (kind, constraint) = join_kind(&join.join_operator)?;
            right = self.join(right, &join.relation, kind, constraint, around)?;
        }
        match left {
            Some(left) => cross(left, right),
            None => Ok(right),
        }
    }

    /// An item that sees nothing of its siblings.
    fn plain_factor(&self, factor: &TableFactor, around: Surroundings<'_>) -> Result<Item> {
        self.factor(factor, &Scope::default(), around).map(|(item, _)| item)
    }

    /// An item of FROM. With `true` its plan refers to the row of `left` as `Outer { depth: 1 }`.
    fn factor(&self, factor: &TableFactor, left: &Scope, around: Surroundings<'_>) -> Result<(Item, bool)> {
        match factor {
            TableFactor::Table { name, alias, args: None, sample: None, .. } => {
                Ok((self.named_table(name, alias.as_ref(), around)?, false))
            }
            // `locus.verify_audit()`: a view that is written as a function because looking at it takes long.
            TableFactor::Table { name, alias, args: Some(args), .. }
                if args.args.is_empty() && is_view_function(name) =>
            {
                Ok((self.named_table(name, alias.as_ref(), around)?, false))
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                let call = function_syntax(name, &args.args);
                self.table_function(&[call], alias.as_ref(), *with_ordinality, left, around)
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                let call = function_syntax(name, args);
                self.table_function(&[call], alias.as_ref(), *with_ordinality, left, around)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let name = ast::ObjectName::from(ast::Ident::new("unnest"));
                let calls: Vec<ast::Function> = array_exprs
                    .iter()
                    .map(|expr| {
                        let arg = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr.clone()));
                        function_syntax(&name, &[arg])
                    })
                    .collect();
                self.table_function(&calls, alias.as_ref(), *with_ordinality, left, around)
            }
            TableFactor::Derived { lateral, subquery, alias, sample: None } => {
                self.derived(*lateral, subquery, alias.as_ref(), left, around)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let item = self.comma_item(None, table_with_joins, around)?;
                let item = match alias {
                    Some(alias) => aliased_join(item, alias)?,
                    None => item,
                };
                Ok((item, false))
            }
            _ => Err(SqlError::unsupported("this item of FROM").at(self.position(factor.span().start))),
        }
    }

    /// The columns of these names are read, on both sides of a join.
    fn uses_all(&self, scope: &Scope, names: &[String]) {
        scope.columns.iter().filter(|column| names.contains(&column.name)).for_each(|column| self.uses(column.origin));
    }

    fn named_table(
        &self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
        around: Surroundings<'_>,
    ) -> Result<Item> {
        let (schema, table) = qualified(name)?;
        let alias_name = alias.map(|alias| fold(&alias.name));
        if schema.is_none() {
            let mut cte = around.ctes.as_ref();
            while let Some(found) = cte {
                if found.name == table {
                    let scope = Scope::of_columns(alias_name.as_deref().unwrap_or(&table), &found.columns);
                    let types = found.columns.iter().map(|column| column.ty).collect();
                    let plan = Plan::CteScan { id: found.id, name: table, types };
                    return Ok(Item { plan, scope: aliased(scope, alias)? });
                }
                cte = found.up.as_ref();
            }
        }
        let relation = self.relation(name)?;
        self.need(&relation, Privileges::SELECT);
        if !around.locks.is_empty() {
            // Locking rows is a step to changing them.
            self.need(&relation, Privileges::UPDATE);
        }
        let mut item = self.relation_item(&relation, alias_name.as_deref(), !around.locks.is_empty())?;
        item.scope = aliased(item.scope, alias)?;
        Ok(item)
    }

    /// All columns of a relation.
    pub(super) fn relation_item(
        &self,
        relation: &std::sync::Arc<Relation>,
        alias: Option<&str>,
        with_key: bool,
    ) -> Result<Item> {
        match &relation.kind {
            RelationKind::Table(_) => {
                let mut scan = Scan::full(relation.clone(), alias.map(str::to_owned))?;
                scan.with_key = with_key;
                scan.mark = with_key.then(|| self.new_mark());
                let key = scan.mark.map(|mark| (scan.columns.len(), mark));
                let scope = Scope::of_relation(relation, alias, key);
                Ok(Item { plan: Plan::Scan(Box::new(scan)), scope })
            }
            RelationKind::System { columns } => {
                let types = columns.iter().map(|column| column.ty).collect();
                let plan = Plan::System { relation: relation.clone(), types };
                Ok(Item { plan, scope: Scope::of_relation(relation, alias, None) })
            }
            RelationKind::View(view) => {
                let depth = self.view_depth.get();
                if depth >= VIEW_DEPTH_MAX {
                    return Err(SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "views are nested too deeply"));
                }
                let parsed = parse::parse(&view.query)?;
                let [parse::Parsed { body: parse::Body::Sql(statement), .. }] = &parsed[..] else {
                    return Err(SqlError::internal(format!("view {} has no query", relation.name)));
                };
                let ast::Statement::Query(query) = &**statement else {
                    return Err(SqlError::internal(format!("view {} is not a query", relation.name)));
                };
                self.view_depth.set(depth + 1);
                let before = self.on_behalf.replace(Some(relation.owner.clone()));
                let bound = self.settled_query(query, None, &None);
                self.on_behalf.replace(before);
                self.view_depth.set(depth);
                let (plan, columns) = bound?;
                if columns.len() < view.columns.len() {
                    return Err(SqlError::internal(format!("view {} has lost columns", relation.name)));
                }
                Ok(Item { plan, scope: Scope::of_relation(relation, alias, None) })
            }
            RelationKind::Sequence(_) => {
                let message = format!("cannot read from sequence \"{}\"", relation.name);
                Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).hint("Use pg_catalog.pg_sequences."))
            }
        }
    }

    fn derived(
        &self,
        lateral: bool,
        query: &ast::Query,
        alias: Option<&ast::TableAlias>,
        left: &Scope,
        around: Surroundings<'_>,
    ) -> Result<(Item, bool)> {
        let name = alias.map(|alias| fold(&alias.name)).unwrap_or_default();
        let beside = Names { scope: left, up: around.up };
        let up = if lateral { Some(&beside) } else { around.up };
        let (mut plan, columns) = match locked_inside(query, &name, around.locks) {
            Some(query) => self.settled_query(&query, up, around.ctes)?,
            None => self.settled_query(query, up, around.ctes)?,
        };
        let scope = aliased(Scope::of_columns(&name, &columns), alias)?;
        let refers = lateral && plan.refers_to_outer(1);
        if lateral && !refers {
            lower_outer(&mut plan);
        }
        Ok((Item { plan, scope }, refers))
    }

    fn table_function(
        &self,
        calls: &[ast::Function],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        left: &Scope,
        around: Surroundings<'_>,
    ) -> Result<(Item, bool)> {
        let beside = Names { scope: left, up: around.up };
        let empty = Scope::default();
        let names = Names { scope: &empty, up: Some(&beside) };
        let mut expressions = ExprBinder::new(self, names, around.ctes.clone(), Clause::From);
        let mut functions = Vec::new();
        let mut columns = Vec::new();
        for call in calls {
            let sets = expressions.collected.sets.len();
            let expr = expressions.function(call)?;
            let function = match expressions.collected.sets.len() - sets {
                0 => SetFunction { types: vec![expr.ty()], call: expr },
                1 => expressions.collected.sets[sets].clone(),
                _ => return Err(SqlError::unsupported("a set-returning function as an argument")),
            };
            let (_, name) = qualified(&call.name)?;
            columns.push(OutputColumn { name, ty: function.types[0], typmod: -1, origin: None });
            functions.push(function);
        }
        let mut calls: Vec<&mut Expr> = functions.iter_mut().map(|function| &mut function.call).collect();
        let input = expressions.collected.attach(Plan::one_row(), &mut calls);
        let skip = input.width();
        if let (Some(alias), [column]) = (alias, &mut columns[..]) {
            // A function of one column lends its alias to it.
            column.name = fold(&alias.name);
        }
        if ordinality {
            columns.push(OutputColumn { name: "ordinality".into(), ty: DataType::INT8, typmod: -1, origin: None });
        }
        let mut plan = Plan::ProjectSet { input: Box::new(input), functions, ordinality };
        if skip > 0 {
            let kept = columns.iter().enumerate();
            let expressions = kept.map(|(index, column)| Expr::Column { slot: skip + index, ty: column.ty }).collect();
            plan = Plan::Project { input: Box::new(plan), expressions };
        }
        let name = alias.map_or_else(|| columns[0].name.clone(), |alias| fold(&alias.name));
        let scope = aliased(Scope::of_columns(&name, &columns), alias)?;
        let refers = plan.refers_to_outer(1);
        if !refers {
            lower_outer(&mut plan);
        }
        Ok((Item { plan, scope }, refers))
    }

    fn join(
        &self,
        left: Item,
        right: &TableFactor,
        kind: JoinKind,
        constraint: &ast::JoinConstraint,
        around: Surroundings<'_>,
    ) -> Result<Item> {
        let at = self.position(right.span().start);
        let (right, lateral) = self.factor(right, &left.scope, around)?;
        left.scope.check_aliases(&right.scope).map_err(|error| error.at(at))?;
        let shift = left.plan.width();
        let mut scope = left.scope.clone();
        let left_columns = scope.columns.len();
        let left_tables = scope.tables.len();
        scope.append(right.scope, shift);
        for (position, table) in scope.tables.iter_mut().enumerate() {
            table.nullable |= if position < left_tables { kind.keeps_right() } else { kind.keeps_left() };
        }
        let mut subqueries = None;
        let on = match constraint {
            ast::JoinConstraint::None => None,
            ast::JoinConstraint::On(syntax) => {
                let names = Names { scope: &scope, up: around.up };
                let mut expressions = ExprBinder::new(self, names, around.ctes.clone(), Clause::JoinOn);
                let condition = expressions.condition(syntax)?;
                subqueries = (!expressions.collected.is_empty()).then_some(expressions.collected);
                Some(condition)
            }
            ast::JoinConstraint::Using(columns) => {
                let names: Result<Vec<String>> =
                    columns.iter().map(|name| qualified(name).map(|(_, name)| name)).collect();
                let names = names?;
                self.uses_all(&scope, &names);
                merge(&mut scope, left_columns, &names, kind)?
            }
            ast::JoinConstraint::Natural => {
                let names = natural_names(&scope, left_columns);
                self.uses_all(&scope, &names);
                merge(&mut scope, left_columns, &names, kind)?
            }
        };
        if lateral {
            if kind.keeps_right() {
                let message = "invalid reference to FROM-clause entry: the combining JOIN type must be INNER or LEFT for a LATERAL reference";
                return Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(at));
            }
            if subqueries.is_some() {
                return Err(SqlError::unsupported("a subquery in the condition of a LATERAL join"));
            }
            let kind = ApplyKind::Join { left: kind == JoinKind::Left, on };
            let plan = Plan::Apply { input: Box::new(left.plan), subplan: Box::new(right.plan), kind };
            return Ok(Item { plan, scope });
        }
        let Some(mut collected) = subqueries else {
            let join = Join { kind, left: left.plan, right: right.plan, on, keys: Vec::new() };
            return Ok(Item { plan: Plan::Join(Box::new(join)), scope });
        };
        // Subqueries of an inner join's condition are evaluated on the joined row.
        let (JoinKind::Inner, Some(mut on)) = (kind, on) else {
            return Err(SqlError::unsupported("a subquery in the condition of an outer join").at(at));
        };
        let join = Join { kind, left: left.plan, right: right.plan, on: None, keys: Vec::new() };
        let types = join.left.types().into_iter().chain(join.right.types());
        let expressions = types.enumerate().map(|(slot, ty)| Expr::Column { slot, ty }).collect();
        let input = collected.attach(Plan::Join(Box::new(join)), &mut [&mut on]);
        let filtered = Plan::Filter { input: Box::new(input), predicate: on };
        Ok(Item { plan: Plan::Project { input: Box::new(filtered), expressions }, scope })
    }
}

/// A subquery of FROM with the locking clauses that reach it: they lock its tables.
fn locked_inside(query: &ast::Query, alias: &str, locks: &[ast::LockClause]) -> Option<ast::Query> {
    let mut locked: Option<ast::Query> = None;
    for lock in locks {
        let (weak, of) = parse::strength(lock.of.as_ref());
        let named = |of: &ast::ObjectName| qualified(of).is_ok_and(|(schema, name)| schema.is_none() && name == alias);
        if of.as_ref().is_none_or(named) {
            let inner = ast::LockClause { of: parse::strength_marker(weak), ..lock.clone() };
            locked.get_or_insert_with(|| query.clone()).locks.push(inner);
        }
    }
    locked
}

fn cross(left: Item, right: Item) -> Result<Item> {
    left.scope.check_aliases(&right.scope)?;
    let shift = left.plan.width();
    let mut scope = left.scope;
    scope.append(right.scope, shift);
    let join = Join { kind: JoinKind::Inner, left: left.plan, right: right.plan, on: None, keys: Vec::new() };
    Ok(Item { plan: Plan::Join(Box::new(join)), scope })
}

/// Whether an item may look at its siblings.
fn is_lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral,
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } => true,
        _ => false,
    }
}

fn join_kind(operator: &ast::JoinOperator) -> Result<(JoinKind, &ast::JoinConstraint)> {
    use ast::JoinOperator as J;
    Ok(match operator {
        J::Join(constraint) | J::Inner(constraint) => {
            if matches!(constraint, ast::JoinConstraint::None) {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "a JOIN needs ON or USING"));
            }
            (JoinKind::Inner, constraint)
        }
        J::CrossJoin(constraint) => (JoinKind::Inner, constraint),
        J::Left(constraint) | J::LeftOuter(constraint) => (JoinKind::Left, constraint),
        J::Right(constraint) | J::RightOuter(constraint) => (JoinKind::Right, constraint),
        J::FullOuter(constraint) => (JoinKind::Full, constraint),
        _ => return Err(SqlError::unsupported("this kind of join")),
    })
}

fn function_syntax(name: &ast::ObjectName, args: &[ast::FunctionArg]) -> ast::Function {
    ast::Function {
        name: name.clone(),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.to_vec(),
            clauses: Vec::new(),
        }),
        within_group: Vec::new(),
        filter: None,
        null_treatment: None,
        over: None,
    }
}

/// Applies the column names of an alias.
pub(super) fn aliased(mut scope: Scope, alias: Option<&ast::TableAlias>) -> Result<Scope> {
    let Some(alias) = alias else { return Ok(scope) };
    if alias.columns.len() > scope.columns.len() {
        let message = format!(
            "table \"{}\" has {} columns available but {} columns specified",
            fold(&alias.name),
            scope.columns.len(),
            alias.columns.len()
        );
        return Err(SqlError::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    for (column, name) in scope.columns.iter_mut().zip(&alias.columns) {
        column.name = fold(&name.name);
    }
    Ok(scope)
}

/// A join with a name of its own: its visible columns become the columns of one table.
fn aliased_join(item: Item, alias: &ast::TableAlias) -> Result<Item> {
    let visible = item.scope.columns.into_iter().filter(|column| !column.hidden);
    let (mut columns, mut expressions) = (Vec::new(), Vec::new());
    for column in visible {
        let ty = column.expr.ty();
        columns.push(OutputColumn { name: column.name, ty, typmod: column.typmod, origin: column.origin });
        expressions.push(column.expr);
    }
    let scope = aliased(Scope::of_columns(&fold(&alias.name), &columns), Some(alias))?;
    Ok(Item { plan: Plan::Project { input: Box::new(item.plan), expressions }, scope })
}

fn natural_names(scope: &Scope, left_columns: usize) -> Vec<String> {
    let (left, right) = scope.columns.split_at(left_columns);
    left.iter()
        .filter(|column| !column.hidden && right.iter().any(|other| !other.hidden && other.name == column.name))
        .map(|column| column.name.clone())
        .collect()
}

fn is_view_function(name: &ast::ObjectName) -> bool {
    let known = |name: &str| system::relation(system::LOCUS, name).is_some();
    matches!(qualified(name), Ok((Some(schema), name)) if schema == system::LOCUS && known(&name))
}

/// USING: the condition, and one column in place of each pair, in front of all others.
fn merge(scope: &mut Scope, left_columns: usize, names: &[String], kind: JoinKind) -> Result<Option<Expr>> {
    let mut merged = Vec::new();
    let mut tests = Vec::new();
    for name in names {
        let left = one_column(&scope.columns[..left_columns], name, "left")?;
        let right = left_columns + one_column(&scope.columns[left_columns..], name, "right")?;
        let (a, b) = (scope.columns[left].clone(), scope.columns[right].clone());
        tests.push(compare("=", a.expr.clone(), b.expr.clone())?);
        let from = if kind == JoinKind::Right { &b } else { &a };
        let expr = match kind {
            JoinKind::Full => {
                let ty = common("JOIN/USING", &[a.expr.ty(), b.expr.ty()])?;
                let sides = [a.expr.clone(), b.expr.clone()];
                let args: Result<Vec<Expr>> =
                    sides.into_iter().map(|side| cast::coerce(side, ty, -1, CastContext::Implicit)).collect();
                Expr::Coalesce { args: args?, ty }
            }
            _ => from.expr.clone(),
        };
        let (typmod, origin) = (from.typmod, from.origin);
        merged.push(ScopeColumn { name: name.clone(), expr, typmod, origin, table: None, hidden: false });
        scope.columns[left].hidden = true;
        scope.columns[right].hidden = true;
    }
    merged.append(&mut scope.columns);
    scope.columns = merged;
    Ok((!tests.is_empty()).then(|| conjunction(tests.into_iter())))
}

fn one_column(columns: &[ScopeColumn], name: &str, side: &str) -> Result<usize> {
    let mut found = columns.iter().enumerate().filter(|(_, column)| !column.hidden && column.name == name);
    let first = found.next().map(|(index, _)| index).ok_or_else(|| {
        let message = format!("column \"{name}\" specified in USING clause does not exist in {side} table");
        SqlError::new(SqlState::UNDEFINED_COLUMN, message)
    })?;
    if found.next().is_some() {
        let message = format!("common column name \"{name}\" appears more than once in {side} table");
        return Err(SqlError::new(SqlState::AMBIGUOUS_COLUMN, message));
    }
    Ok(first)
}
