//! From syntax to plans: names are looked up, types inferred and coerced as PostgreSQL does. Synchronous: all it needs of
//! the catalog is in the [`CatalogView`].
//!
//! Reading order: `scope` (what names mean), `expr` (expressions), `call` (functions, aggregates, windows), `collect`
//! (what expressions need of the plan below them: subqueries, aggregates), `from` (tables and joins), `select`, `grouping`,
//! `change` (INSERT, UPDATE, DELETE), `target` (constraints).

mod build;
mod call;
mod change;
mod clauses;
mod collect;
mod columns;
mod expr;
mod from;
mod grouping;
mod output;
mod scope;
mod select;
mod special;
mod target;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::Arc,
};

use auth::privilege::Privileges;
use base::TableId;
use sqlparser::{ast, tokenizer::Location};

pub(crate) use self::{build::conjunction, scope::shift_columns};
use self::{
    expr::{Clause, ExprBinder},
    scope::{Names, Scope},
};
use crate::{
    access::Needs,
    catalog::{CatalogView, ColumnId, Relation, RelationKind},
    error::{Result, SqlError, SqlState},
    expr::{Expr, cast::CastContext},
    parse,
    plan::{self, ExplainOptions, Mark, OutputColumn, Plan, Statement},
    types::{DataType, parse_type_name},
};

/// What binding depends on besides the catalog.
pub struct BindOptions<'a> {
    /// The text that the syntax tree was parsed from, for positions in errors.
    pub source: &'a str,
    /// Types of the parameters where the client gave them (`DataType(0)` or missing: to be inferred).
    pub parameters: &'a [DataType],
}

/// A bound statement.
#[derive(Clone, Debug)]
pub struct Bound {
    pub statement: Statement,
    pub parameters: Vec<DataType>,
    /// `None` when it returns no rows.
    pub columns: Option<Vec<OutputColumn>>,
    /// Every stored relation whose descriptor the plan rests on (`Txn::depend_on`).
    pub relations: BTreeMap<TableId, Arc<Relation>>,
    /// What whoever runs it must be allowed.
    pub needs: Needs,
}

/// Whether [`bind_statement`] is for this statement: queries, changes of rows, EXPLAIN of them.
pub fn is_plannable(statement: &ast::Statement) -> bool {
    use ast::Statement as S;
    match statement {
        S::Query(_) | S::Insert(_) | S::Update(_) | S::Delete(_) => true,
        S::Explain { statement, .. } => is_plannable(statement),
        _ => false,
    }
}

/// Binds SELECT, VALUES, INSERT, UPDATE, DELETE or EXPLAIN of one of them.
pub fn bind_statement(
    statement: &ast::Statement,
    catalog: &dyn CatalogView,
    options: &BindOptions<'_>,
) -> Result<Bound> {
    bind_with(catalog, options, &|binder| binder.statement(statement))
}

/// Binds a query alone (views, CREATE TABLE AS, COPY (query)).
pub fn bind_query(query: &ast::Query, catalog: &dyn CatalogView, options: &BindOptions<'_>) -> Result<Bound> {
    bind_with(catalog, options, &|binder| binder.top_query(query))
}

/// Binds an expression given as text over the columns of a relation (CHECK; of none: DEFAULT), converted to `target`
/// (type and modifier) as an assignment does. No parameters, aggregates, subqueries or sequences.
pub fn bind_expression(
    text: &str,
    relation: Option<&Arc<Relation>>,
    target: Option<(DataType, i32)>,
    catalog: &dyn CatalogView,
) -> Result<Expr> {
    let syntax = parse::parse_expression(text)?;
    let binder = Binder::new(catalog, text, Vec::new());
    let scope = relation.map(|relation| Scope::of_relation(relation, None, None)).unwrap_or_default();
    let clause = if relation.is_some() { Clause::Check } else { Clause::Default };
    let mut expressions = ExprBinder::new(&binder, Names { scope: &scope, up: None }, None, clause);
    let expr = expressions.expr(&syntax)?;
    if !expressions.collected.is_empty() {
        return Err(SqlError::unsupported(format!("this kind of expression in {}", clause.name())));
    }
    match target {
        Some((ty, typmod)) => crate::expr::cast::coerce(expr, ty, typmod, CastContext::Assignment),
        None => binder.boolean(expr, clause.name()),
    }
}

/// An INSERT whose source is fed from outside (COPY): the source begins with `Plan::Values` without rows. The caller gives
/// rows of `columns` (positions; empty: all) to `exec::Inserter`.
pub fn bind_insert(
    relation: &Arc<Relation>,
    columns: &[usize],
    catalog: &dyn CatalogView,
) -> Result<(plan::Insert, Needs)> {
    let binder = Binder::new(catalog, "", Vec::new());
    let insert = binder.fed_insert(relation, columns)?;
    Ok((insert, binder.needs.into_inner()))
}

/// A type as written, with its modifier (-1: none).
pub fn data_type(ty: &ast::DataType) -> Result<(DataType, i32)> {
    let text = ty.to_string();
    let name = text.strip_prefix("pg_catalog.").unwrap_or(&text);
    parse_type_name(name)
}

/// What a statement brings back, before parameters are settled.
pub(crate) struct Output {
    pub statement: Statement,
    pub columns: Option<Vec<OutputColumn>>,
}

/// Binds, and a second time where a parameter's type became known only after it was first met.
fn bind_with(
    catalog: &dyn CatalogView,
    options: &BindOptions<'_>,
    bind: &dyn Fn(&Binder<'_>) -> Result<Output>,
) -> Result<Bound> {
    let mut known: Vec<DataType> =
        options.parameters.iter().map(|ty| if ty.0 == 0 { DataType::UNKNOWN } else { *ty }).collect();
    for round in 0..2 {
        let binder = Binder::new(catalog, options.source, known.clone());
        let mut output = bind(&binder)?;
        let count = binder.parameters.borrow().len();
        let mut found = vec![DataType::UNKNOWN; count];
        let mut conflict = None;
        statement_exprs(&mut output.statement, &mut |expr| {
            expr.walk(&mut |part| {
                if let Expr::Parameter { index, ty } = part {
                    match found[*index] {
                        DataType::UNKNOWN => found[*index] = *ty,
                        seen if seen != *ty => conflict = Some((*index, seen, *ty)),
                        _ => {}
                    }
                }
            });
        });
        if let Some((index, seen, other)) = conflict {
            if round == 1 {
                let message = format!("inconsistent types deduced for parameter ${}", index + 1);
                return Err(SqlError::new(SqlState("42P08"), message).detail(format!("{seen} versus {other}")));
            }
            known = found;
            continue;
        }
        for (index, ty) in found.iter_mut().enumerate() {
            if *ty == DataType::UNKNOWN {
                *ty = known.get(index).copied().unwrap_or(DataType::UNKNOWN);
            }
            if *ty == DataType::UNKNOWN {
                let message = format!("could not determine data type of parameter ${}", index + 1);
                return Err(SqlError::new(SqlState::INDETERMINATE_DATATYPE, message));
            }
        }
        return Ok(Bound {
            statement: output.statement,
            parameters: found,
            columns: output.columns,
            relations: binder.relations.into_inner(),
            needs: binder.needs.into_inner(),
        });
    }
    Err(SqlError::internal("binding did not settle"))
}

fn statement_exprs(statement: &mut Statement, visit: &mut dyn FnMut(&mut Expr)) {
    match statement {
        Statement::Query(plan) => plan.for_each_expr_mut(0, &mut |expr, _| visit(expr)),
        Statement::Change(change) => {
            // The change itself is a node too: wrap it for the walk.
            let taken = std::mem::replace(&mut **change, plan::Change::placeholder());
            let mut plan = Plan::Change(Box::new(taken));
            plan.for_each_expr_mut(0, &mut |expr, _| visit(expr));
            if let Plan::Change(taken) = plan {
                *change = taken;
            }
        }
        Statement::Explain { statement, .. } => statement_exprs(statement, visit),
    }
}

/// What is shared by all levels of one statement.
pub(crate) struct Binder<'a> {
    catalog: &'a dyn CatalogView,
    source: &'a str,
    /// Known types; grows with the parameters met.
    parameters: RefCell<Vec<DataType>>,
    relations: RefCell<BTreeMap<TableId, Arc<Relation>>>,
    next_cte: Cell<u32>,
    next_mark: Cell<Mark>,
    /// Views within views.
    view_depth: Cell<u32>,
    needs: RefCell<Needs>,
    /// The owner of the view that is being bound, with whose rights it reads.
    on_behalf: RefCell<Option<String>>,
    /// What is bound now is the table's own (defaults, checks): it needs nothing.
    unchecked: Cell<bool>,
}

const VIEW_DEPTH_MAX: u32 = 32;

impl<'a> Binder<'a> {
    fn new(catalog: &'a dyn CatalogView, source: &'a str, parameters: Vec<DataType>) -> Binder<'a> {
        Binder {
            catalog,
            source,
            parameters: RefCell::new(parameters),
            relations: RefCell::default(),
            next_cte: Cell::new(1),
            next_mark: Cell::new(1),
            view_depth: Cell::new(0),
            needs: RefCell::default(),
            on_behalf: RefCell::default(),
            unchecked: Cell::new(false),
        }
    }

    fn statement(&self, statement: &ast::Statement) -> Result<Output> {
        match statement {
            ast::Statement::Query(query) => self.top_query(query),
            ast::Statement::Insert(insert) => self.insert(insert, None),
            ast::Statement::Update(update) => self.update(update, None),
            ast::Statement::Delete(delete) => self.delete(delete, None),
            ast::Statement::Explain { statement, analyze, options, .. } => {
                self.explain(statement, *analyze, options.as_deref().unwrap_or(&[]))
            }
            _ => Err(SqlError::unsupported("this statement")),
        }
    }

    fn explain(&self, statement: &ast::Statement, analyze: bool, options: &[ast::UtilityOption]) -> Result<Output> {
        let (mut analyze, mut timing, mut summary) = (analyze, None, None);
        for option in options {
            let on = option
                .arg
                .as_ref()
                .is_none_or(|arg| !matches!(arg.to_string().to_lowercase().trim_matches('\''), "false" | "off" | "0"));
            match option.name.value.to_lowercase().as_str() {
                "analyze" => analyze = on,
                "timing" => timing = Some(on),
                "summary" => summary = Some(on),
                // Accepted: what they would add is not measured.
                "verbose" | "costs" | "buffers" | "settings" | "wal" => {}
                "format" if option.arg.as_ref().is_some_and(|arg| arg.to_string().eq_ignore_ascii_case("text")) => {}
                "format" => return Err(SqlError::unsupported("this EXPLAIN format")),
                other => {
                    let message = format!("unrecognized EXPLAIN option \"{other}\"");
                    return Err(
                        SqlError::new(SqlState::SYNTAX_ERROR, message).at(self.position(option.name.span.start))
                    );
                }
            }
        }
        if timing == Some(true) && !analyze {
            let message = "EXPLAIN option TIMING requires ANALYZE";
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let options = ExplainOptions { analyze, timing: timing.unwrap_or(true), summary: summary.unwrap_or(analyze) };
        let inner = self.statement(statement)?;
        let column = OutputColumn { name: "QUERY PLAN".to_owned(), ty: DataType::TEXT, typmod: -1, origin: None };
        Ok(Output {
            statement: Statement::Explain { options, statement: Box::new(inner.statement) },
            columns: Some(vec![column]),
        })
    }

    /// Character position of a place in the source, for errors.
    fn position(&self, location: Location) -> Option<u32> {
        parse::position(self.source, location)
    }

    /// A relation by name, noted as one the plan rests on.
    fn relation(&self, name: &ast::ObjectName) -> Result<Arc<Relation>> {
        let (schema, table) = scope::qualified(name)?;
        let found = self.catalog.relation(schema.as_deref(), &table).ok_or_else(|| {
            let shown = match &schema {
                Some(schema) => format!("{schema}.{table}"),
                None => table.clone(),
            };
            let position = self.position(sqlparser::ast::Spanned::span(name).start);
            SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{shown}\" does not exist")).at(position)
        })?;
        self.note(&found);
        if schema.is_some() && self.on_behalf.borrow().is_none() {
            self.needs.borrow_mut().schema(found.schema_oid);
        }
        Ok(found)
    }

    /// Notes that whoever runs the statement must be allowed this.
    fn need(&self, relation: &Arc<Relation>, privilege: Privileges) {
        self.needs.borrow_mut().relation(self.on_behalf.borrow().as_deref(), relation, privilege);
    }

    /// The same for one column.
    fn need_column(&self, relation: &Arc<Relation>, privilege: Privileges, column: ColumnId) {
        self.needs.borrow_mut().column(self.on_behalf.borrow().as_deref(), relation, privilege, column);
    }

    /// A column of this origin is read.
    fn uses(&self, origin: Option<(u32, u16)>) {
        let Some((table, column)) = origin.filter(|_| !self.unchecked.get()) else { return };
        if let Some(relation) = self.catalog.relation_by_id(TableId(table)) {
            self.need_column(&relation, Privileges::SELECT, ColumnId(column));
        }
    }

    /// Binds what belongs to a table itself: nobody needs to be allowed to read it.
    fn without_needs<T>(&self, bind: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.unchecked.replace(true);
        let bound = bind();
        self.unchecked.set(before);
        bound
    }

    fn note(&self, relation: &Arc<Relation>) {
        if !matches!(relation.kind, RelationKind::System { .. }) {
            self.relations.borrow_mut().insert(relation.id, relation.clone());
        }
    }

    fn new_cte(&self) -> u32 {
        let id = self.next_cte.get();
        self.next_cte.set(id + 1);
        id
    }

    fn new_mark(&self) -> Mark {
        let mark = self.next_mark.get();
        self.next_mark.set(mark + 1);
        mark
    }

    /// A parameter by its name (`$1`), of the type known for it.
    fn parameter(&self, name: &str) -> Result<Expr> {
        let number: usize = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
            .filter(|number| (1..=65535).contains(number))
            .ok_or_else(|| SqlError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}")))?;
        let mut parameters = self.parameters.borrow_mut();
        if parameters.len() < number {
            parameters.resize(number, DataType::UNKNOWN);
        }
        Ok(Expr::Parameter { index: number - 1, ty: parameters[number - 1] })
    }

    /// A condition: boolean, or an error that names the clause.
    fn boolean(&self, expr: Expr, clause: &str) -> Result<Expr> {
        match expr.ty() {
            DataType::BOOL => Ok(expr),
            DataType::UNKNOWN => crate::expr::cast::coerce(expr, DataType::BOOL, -1, CastContext::Assignment),
            other => {
                let message = format!("argument of {clause} must be type boolean, not type {other}");
                Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }
}
