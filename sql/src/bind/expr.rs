//! Expressions.

use std::collections::BTreeMap;

use sqlparser::ast::{self, BinaryOperator, Expr as Syntax, Spanned, UnaryOperator};

use super::{
    Binder,
    build::{compare, conjunction, negate, number, settle, unify, unknown_text},
    call,
    collect::Collected,
    data_type,
    from::Ctes,
    scope::{Found, Names, fold, name_parts},
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{
        Expr,
        cast::{self, CastContext},
        function,
    },
    plan::ApplyKind,
    types::DataType,
};

/// Where an expression stands: decides what it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clause {
    Select,
    Where,
    JoinOn,
    GroupBy,
    Having,
    OrderBy,
    Limit,
    Values,
    Set,
    Returning,
    From,
    Default,
    Check,
    /// Arguments of an aggregate; the flag is not needed: aggregates do not nest, windows neither.
    Aggregate,
    Window,
}

impl Clause {
    pub fn name(self) -> &'static str {
        match self {
            Clause::Select => "SELECT",
            Clause::Where => "WHERE",
            Clause::JoinOn => "JOIN conditions",
            Clause::GroupBy => "GROUP BY",
            Clause::Having => "HAVING",
            Clause::OrderBy => "ORDER BY",
            Clause::Limit => "LIMIT",
            Clause::Values => "VALUES",
            Clause::Set => "UPDATE",
            Clause::Returning => "RETURNING",
            Clause::From => "functions in FROM",
            Clause::Default => "DEFAULT expressions",
            Clause::Check => "check constraints",
            Clause::Aggregate => "aggregate function calls",
            Clause::Window => "window definitions",
        }
    }

    pub fn allows_aggregates(self) -> bool {
        matches!(self, Clause::Select | Clause::Having | Clause::OrderBy | Clause::Window)
    }

    pub fn allows_windows(self) -> bool {
        matches!(self, Clause::Select | Clause::OrderBy)
    }

    pub fn allows_sets(self) -> bool {
        matches!(self, Clause::Select | Clause::OrderBy | Clause::From)
    }
}

/// Binds the expressions of one query level.
pub(super) struct ExprBinder<'b> {
    pub binder: &'b Binder<'b>,
    pub names: Names<'b>,
    pub ctes: Ctes,
    pub clause: Clause,
    pub collected: Collected,
    /// Names of windows defined in the WINDOW clause.
    pub windows: &'b [ast::NamedWindowDefinition],
    /// Where each slot of the input row was first named, for errors found later.
    pub mentions: BTreeMap<usize, (String, Option<u32>)>,
}

impl<'b> ExprBinder<'b> {
    pub fn new(binder: &'b Binder<'b>, names: Names<'b>, ctes: Ctes, clause: Clause) -> ExprBinder<'b> {
        ExprBinder {
            binder,
            names,
            ctes,
            clause,
            collected: Collected::default(),
            windows: &[],
            mentions: BTreeMap::new(),
        }
    }

    /// Binds in another clause.
    pub fn within<T>(&mut self, clause: Clause, bind: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.clause, clause);
        let result = bind(self);
        self.clause = outer;
        result
    }

    /// A condition.
    pub fn condition(&mut self, syntax: &Syntax) -> Result<Expr> {
        let expr = self.expr(syntax)?;
        let clause = match self.clause {
            Clause::JoinOn => "JOIN/ON",
            other => other.name(),
        };
        self.binder.boolean(expr, clause).map_err(|error| error.at(self.start(syntax)))
    }

    pub fn exprs(&mut self, list: &[Syntax]) -> Result<Vec<Expr>> {
        list.iter().map(|syntax| self.expr(syntax)).collect()
    }

    pub fn start(&self, syntax: &Syntax) -> Option<u32> {
        self.binder.position(syntax.span().start)
    }

    pub fn expr(&mut self, syntax: &Syntax) -> Result<Expr> {
        match syntax {
            Syntax::Identifier(ident) => self.identifier(ident),
            Syntax::CompoundIdentifier(parts) => self.compound(parts).map(|found| found.expr),
            Syntax::Value(value) => self.literal(value),
            Syntax::Nested(inner) => self.expr(inner),
            Syntax::BinaryOp { left, op, right } => self.binary(left, op, right),
            Syntax::UnaryOp { op, expr } => self.unary(*op, expr),
            Syntax::Cast { expr, data_type, kind, .. } => self.cast(expr, data_type, kind),
            Syntax::TypedString(typed) => {
                let text = typed.value.value.clone().into_string().unwrap_or_default();
                self.typed_literal(&text, &typed.data_type, self.start(syntax))
            }
            Syntax::Interval(interval) => self.interval(interval),
            Syntax::Function(function) => self.function(function),
            Syntax::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Syntax::IsNull(inner) => Ok(Expr::IsNull(Box::new(self.known(inner)?))),
            Syntax::IsNotNull(inner) => Ok(Expr::Not(Box::new(Expr::IsNull(Box::new(self.known(inner)?))))),
            Syntax::IsTrue(inner) => self.is_bool(inner, Some(true), false),
            Syntax::IsNotTrue(inner) => self.is_bool(inner, Some(true), true),
            Syntax::IsFalse(inner) => self.is_bool(inner, Some(false), false),
            Syntax::IsNotFalse(inner) => self.is_bool(inner, Some(false), true),
            Syntax::IsUnknown(inner) => self.is_bool(inner, None, false),
            Syntax::IsNotUnknown(inner) => self.is_bool(inner, None, true),
            Syntax::IsDistinctFrom(left, right) => function::distinct_from(self.expr(left)?, self.expr(right)?, false)
                .map_err(|error| error.at(self.operator_position(left))),
            Syntax::IsNotDistinctFrom(left, right) => {
                function::distinct_from(self.expr(left)?, self.expr(right)?, true)
                    .map_err(|error| error.at(self.operator_position(left)))
            }
            Syntax::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Syntax::InSubquery { expr, subquery, negated } => {
                self.quantified(expr, "=", subquery, false).map(|found| negate(found, *negated))
            }
            Syntax::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            Syntax::Like { negated, any, expr, pattern, escape_char } => {
                self.like(["~~", "!~~"], *negated, *any, expr, pattern, escape_char.as_deref())
            }
            Syntax::ILike { negated, any, expr, pattern, escape_char } => {
                self.like(["~~*", "!~~*"], *negated, *any, expr, pattern, escape_char.as_deref())
            }
            Syntax::SimilarTo { negated, expr, pattern, escape_char } => {
                let mut args = vec![self.expr(pattern)?];
                if let Some(escape) = escape_char {
                    args.push(self.expr(escape)?);
                }
                let left = self.expr(expr)?;
                let pattern = function::call("similar_to_escape", None, args)?;
                function::operator(if *negated { "!~" } else { "~" }, Some(left), pattern)
            }
            Syntax::AnyOp { left, compare_op, right, .. } => self.any_all(left, compare_op, right, false),
            Syntax::AllOp { left, compare_op, right } => self.any_all(left, compare_op, right, true),
            Syntax::Exists { subquery, negated } => {
                let (plan, _) = self.subquery(subquery)?;
                let marker = self.collected.subquery(plan, ApplyKind::Exists);
                Ok(negate(Expr::Column { slot: marker.slot(), ty: DataType::BOOL }, *negated))
            }
            Syntax::Subquery(query) => self.scalar(query),
            Syntax::Array(array) => self.array(&array.elem),
            Syntax::Tuple(parts) => Ok(Expr::Row(self.known_list(parts)?)),
            Syntax::Collate { expr, collation } => self.collate(expr, collation),
            Syntax::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Syntax::AtTimeZone { timestamp, time_zone } => {
                let args = vec![self.expr(time_zone)?, self.expr(timestamp)?];
                self.call_at("timezone", args, self.start(syntax))
            }
            _ => self.special(syntax),
        }
    }

    fn identifier(&mut self, ident: &ast::Ident) -> Result<Expr> {
        let name = fold(ident);
        let at = self.binder.position(ident.span.start);
        if let Some(found) = self.names.column(&name).map_err(|error| error.at(at))? {
            self.binder.uses(found.origin);
            return Ok(self.mention(found, &name, at));
        }
        if let Some(row) = self.whole_row(&name) {
            return Ok(row);
        }
        if ident.quote_style.is_none() && call::is_bare_function(&name) {
            return self.call_at(&name, Vec::new(), at);
        }
        Err(SqlError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist")).at(at))
    }

    /// A table as one value: all of its columns are read.
    pub fn whole_row(&self, table: &str) -> Option<Expr> {
        let row = self.names.whole_row(table)?;
        self.names.origins(table).into_iter().for_each(|origin| self.binder.uses(origin));
        Some(row)
    }

    /// `table.column` or `schema.table.column`.
    pub fn compound(&mut self, parts: &[ast::Ident]) -> Result<Found> {
        let names: Vec<String> = parts.iter().map(fold).collect();
        let at = parts.first().and_then(|part| self.binder.position(part.span.start));
        let found = match &names[..] {
            [table, column] => self.names.qualified_column(None, table, column),
            [schema, table, column] | [_, schema, table, column] => {
                self.names.qualified_column(Some(schema), table, column)
            }
            _ => Err(SqlError::unsupported("this form of name")),
        };
        let found = found.map_err(|error| error.at(at))?;
        let name = names.last().cloned().unwrap_or_default();
        self.binder.uses(found.origin);
        self.mention_slot(&found, &name, at);
        Ok(found)
    }

    fn mention(&mut self, found: Found, name: &str, at: Option<u32>) -> Expr {
        self.mention_slot(&found, name, at);
        found.expr
    }

    fn mention_slot(&mut self, found: &Found, name: &str, at: Option<u32>) {
        if let Expr::Column { slot, .. } = found.expr {
            self.mentions.entry(slot).or_insert_with(|| {
                let shown = match &found.table {
                    Some(table) if !table.is_empty() => format!("{table}.{name}"),
                    _ => name.to_owned(),
                };
                (shown, at)
            });
        }
    }

    fn literal(&mut self, literal: &ast::ValueWithSpan) -> Result<Expr> {
        use ast::Value as V;
        let at = self.binder.position(literal.span.start);
        match &literal.value {
            V::Number(digits, _) => number(&digits.to_string()).map_err(|error| error.at(at)),
            V::SingleQuotedString(value)
            | V::EscapedStringLiteral(value)
            | V::UnicodeStringLiteral(value)
            | V::NationalStringLiteral(value) => unknown_text(value).map_err(|error| error.at(at)),
            V::DollarQuotedString(value) => unknown_text(&value.value).map_err(|error| error.at(at)),
            V::Boolean(value) => Ok(Expr::boolean(*value)),
            V::Null => Ok(Expr::null(DataType::UNKNOWN)),
            V::Placeholder(name) => self.binder.parameter(name).map_err(|error| error.at(at)),
            _ => Err(SqlError::unsupported("this kind of literal").at(at)),
        }
    }

    fn typed_literal(&mut self, value: &str, ty: &ast::DataType, at: Option<u32>) -> Result<Expr> {
        let (ty, typmod) = data_type(ty).map_err(|error| error.at(at))?;
        cast::coerce(unknown_text(value)?, ty, typmod, CastContext::Explicit).map_err(|error| error.at(at))
    }

    fn interval(&mut self, interval: &ast::Interval) -> Result<Expr> {
        let value = match &*interval.value {
            Syntax::Value(value) => value.value.clone().into_string().unwrap_or_default(),
            _ => return Err(SqlError::unsupported("an interval of an expression")),
        };
        let text = match &interval.leading_field {
            Some(field) if interval.last_field.is_none() => format!("{value} {}", field.to_string().to_lowercase()),
            Some(_) => return Err(SqlError::unsupported("an interval with several fields")),
            None => value,
        };
        let at = self.start(&interval.value);
        cast::coerce(unknown_text(&text)?, DataType::INTERVAL, -1, CastContext::Explicit).map_err(|error| error.at(at))
    }

    fn cast(&mut self, inner: &Syntax, ty: &ast::DataType, kind: &ast::CastKind) -> Result<Expr> {
        let at = self.start(inner);
        if matches!(kind, ast::CastKind::TryCast | ast::CastKind::SafeCast) {
            return Err(SqlError::unsupported("this form of cast").at(at));
        }
        let (to, typmod) = data_type(ty).map_err(|error| error.at(at))?;
        // ARRAY[]::int[] takes its type from the cast.
        let expr = match inner {
            Syntax::Array(array) if array.elem.is_empty() => match to.element() {
                Some(element) => Expr::Array { elements: Vec::new(), element },
                None => self.array(&array.elem)?,
            },
            _ => self.expr(inner)?,
        };
        cast::coerce(expr, to, typmod, CastContext::Explicit).map_err(|error| error.at(at))
    }

    fn binary(&mut self, left: &Syntax, op: &BinaryOperator, right: &Syntax) -> Result<Expr> {
        match op {
            BinaryOperator::And => {
                let parts = [self.logical(left, "AND")?, self.logical(right, "AND")?];
                return Ok(conjunction(parts.into_iter()));
            }
            BinaryOperator::Or => {
                let mut parts = Vec::new();
                for part in [self.logical(left, "OR")?, self.logical(right, "OR")?] {
                    match part {
                        Expr::Or(inner) => parts.extend(inner),
                        other => parts.push(other),
                    }
                }
                return Ok(Expr::Or(parts));
            }
            _ => {}
        }
        let name = operator_name(op);
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        compare(&name, a, b).map_err(|error| self.at_literal(error, &[left, right], self.operator_position(left)))
    }

    /// The place of an error: of the literal that could not be read as the type it had to have, else as given.
    pub fn at_literal(&self, error: SqlError, operands: &[&Syntax], otherwise: Option<u32>) -> SqlError {
        let unreadable = error.state().0.starts_with("22");
        let literal = operands.iter().find(|operand| {
            matches!(operand, Syntax::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(_), .. }))
        });
        match literal {
            Some(literal) if unreadable => error.at(self.start(literal)),
            _ => error.at(otherwise),
        }
    }

    /// The operator stands after its left side.
    pub fn operator_position(&self, left: &Syntax) -> Option<u32> {
        let after = self.binder.position(left.span().end)?;
        let rest = self.binder.source.chars().skip(after.saturating_sub(1) as usize);
        let skipped = rest.take_while(|character| character.is_whitespace() || *character == ')').count();
        Some(after + u32::try_from(skipped).ok()?)
    }

    fn logical(&mut self, syntax: &Syntax, operator: &str) -> Result<Expr> {
        let expr = self.expr(syntax)?;
        self.binder.boolean(expr, operator).map_err(|error| error.at(self.start(syntax)))
    }

    fn unary(&mut self, op: UnaryOperator, inner: &Syntax) -> Result<Expr> {
        let name = match op {
            UnaryOperator::Not => return Ok(Expr::Not(Box::new(self.logical(inner, "NOT")?))),
            UnaryOperator::Minus => match inner {
                // Part of the literal, so that the least integers can be written.
                Syntax::Value(ast::ValueWithSpan { value: ast::Value::Number(digits, _), .. }) => {
                    return number(&format!("-{digits}"));
                }
                // PostgreSQL binds unary minus tighter than ^.
                Syntax::BinaryOp { left, op: BinaryOperator::PGExp, right } => {
                    let left = function::operator("-", None, self.expr(left)?)?;
                    return function::operator("^", Some(left), self.expr(right)?);
                }
                _ => "-",
            },
            UnaryOperator::Plus => "+",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            _ => return Err(SqlError::unsupported("this operator").at(self.start(inner))),
        };
        let expr = self.expr(inner)?;
        function::operator(name, None, expr).map_err(|error| error.at(self.start(inner)))
    }

    fn is_bool(&mut self, inner: &Syntax, value: Option<bool>, negated: bool) -> Result<Expr> {
        let name = match value {
            Some(true) => "IS TRUE",
            Some(false) => "IS FALSE",
            None => "IS UNKNOWN",
        };
        let expr = Box::new(self.logical(inner, name)?);
        Ok(negate(
            match value {
                Some(value) => Expr::IsBool { expr, value },
                None => Expr::IsNull(expr),
            },
            negated,
        ))
    }

    /// With a type: literals and parameters of unknown type are text.
    pub fn known(&mut self, syntax: &Syntax) -> Result<Expr> {
        let expr = self.expr(syntax)?;
        settle(expr)
    }

    pub fn known_list(&mut self, list: &[Syntax]) -> Result<Vec<Expr>> {
        list.iter().map(|syntax| self.known(syntax)).collect()
    }

    fn case(
        &mut self,
        operand: Option<&Syntax>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&Syntax>,
    ) -> Result<Expr> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            let test = match &operand {
                Some(operand) => {
                    let value = self.expr(&when.condition)?;
                    function::operator("=", Some(operand.clone()), value)
                        .map_err(|error| error.at(self.start(&when.condition)))?
                }
                None => self.logical(&when.condition, "CASE/WHEN")?,
            };
            tests.push(test);
            results.push(self.expr(&when.result)?);
        }
        // PostgreSQL lets the ELSE branch decide first.
        let has_else = otherwise.is_some();
        results.push(match otherwise {
            Some(otherwise) => self.expr(otherwise)?,
            None => Expr::null(DataType::UNKNOWN),
        });
        let operands: Vec<&Syntax> = conditions.iter().map(|when| &when.result).chain(otherwise).collect();
        let (mut results, ty) = unify("CASE", results).map_err(|error| self.at_literal(error, &operands, None))?;
        let last = results.pop().filter(|_| has_else);
        Ok(Expr::Case { branches: tests.into_iter().zip(results).collect(), otherwise: last.map(Box::new), ty })
    }

    fn in_list(&mut self, left: &Syntax, list: &[Syntax], negated: bool) -> Result<Expr> {
        let at = self.operator_position(left);
        let operand = self.expr(left)?;
        let operands: Vec<&Syntax> = std::iter::once(left).chain(list).collect();
        let items = self.exprs(list)?;
        if matches!(operand, Expr::Row(_)) {
            let tests: Result<Vec<Expr>> = items.into_iter().map(|item| compare("=", operand.clone(), item)).collect();
            return Ok(negate(Expr::Or(tests.map_err(|error| error.at(at))?), negated));
        }
        function::in_list(operand, items, negated).map_err(|error| self.at_literal(error, &operands, at))
    }

    fn between(&mut self, inner: &Syntax, negated: bool, low: &Syntax, high: &Syntax) -> Result<Expr> {
        let at = self.operator_position(inner);
        let value = self.expr(inner)?;
        let (low, high) = (self.expr(low)?, self.expr(high)?);
        let tests = [compare(">=", value.clone(), low), compare("<=", value, high)];
        let tests: Result<Vec<Expr>> = tests.into_iter().collect();
        Ok(negate(Expr::And(tests.map_err(|error| error.at(at))?), negated))
    }

    fn like(
        &mut self,
        names: [&str; 2],
        negated: bool,
        any: bool,
        left: &Syntax,
        pattern: &Syntax,
        escape: Option<&Syntax>,
    ) -> Result<Expr> {
        let name = names[usize::from(negated)];
        let at = self.operator_position(left);
        let operand = self.expr(left)?;
        let mut right = self.expr(pattern)?;
        if any {
            return function::array_compare(name, operand, right, negated).map_err(|error| error.at(at));
        }
        if let Some(escape) = escape {
            right = function::call("like_escape", None, vec![right, self.expr(escape)?])?;
        }
        function::operator(name, Some(operand), right).map_err(|error| error.at(at))
    }

    fn any_all(&mut self, left: &Syntax, op: &BinaryOperator, right: &Syntax, all: bool) -> Result<Expr> {
        let name = operator_name(op);
        let mut inner = right;
        while let Syntax::Nested(nested) = inner {
            inner = nested;
        }
        if let Syntax::Subquery(query) = inner {
            return self.quantified(left, &name, query, all);
        }
        let at = self.operator_position(left);
        let operand = self.expr(left)?;
        let array = self.expr(right)?;
        function::array_compare(&name, operand, array, all).map_err(|error| error.at(at))
    }

    pub fn array(&mut self, elements: &[Syntax]) -> Result<Expr> {
        if elements.is_empty() {
            return Err(SqlError::new(SqlState::INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let operands: Vec<&Syntax> = elements.iter().collect();
        let elements = self.exprs(elements)?;
        let (elements, element) = unify("ARRAY", elements).map_err(|error| self.at_literal(error, &operands, None))?;
        if element.array().is_none() {
            return Err(SqlError::unsupported(format!("an array of {element}")));
        }
        Ok(Expr::Array { elements, element })
    }

    fn collate(&mut self, inner: &Syntax, collation: &ast::ObjectName) -> Result<Expr> {
        let parts = name_parts(collation)?;
        let name = parts.last().map_or("", String::as_str);
        // Text compares by bytes, which is what "C" asks for and the default is set to.
        let accepted = ["default", "c", "posix", "ucs_basic", "c.utf8", "c.utf-8", "en_us", "en_us.utf8", "und-x-icu"];
        if !accepted.contains(&name.to_lowercase().as_str()) {
            let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
            return Err(
                SqlError::new(SqlState::UNDEFINED_OBJECT, message).at(self.binder.position(collation.span().start))
            );
        }
        self.expr(inner)
    }

    fn access(&mut self, root: &Syntax, chain: &[ast::AccessExpr]) -> Result<Expr> {
        let mut expr = self.expr(root)?;
        for access in chain {
            expr = match access {
                ast::AccessExpr::Subscript(ast::Subscript::Index { index }) => {
                    let index = self.expr(index)?;
                    function::call("array_subscript", None, vec![expr, index])?
                }
                ast::AccessExpr::Subscript(ast::Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                    let mut bound = |bound: &Option<Syntax>| match bound {
                        Some(bound) => self.expr(bound),
                        None => Ok(Expr::null(DataType::INT4)),
                    };
                    let args = vec![expr, bound(lower_bound)?, bound(upper_bound)?];
                    function::call("array_slice", None, args)?
                }
                _ => return Err(SqlError::unsupported("access to a field of a value").at(self.start(root))),
            };
        }
        Ok(expr)
    }
}

/// The SQL text of a binary operator.
fn operator_name(op: &BinaryOperator) -> String {
    match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}
