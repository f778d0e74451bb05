//! Function calls: ordinary ones, aggregates, window functions, set-returning and sequence functions.

use sqlparser::ast::{self, Spanned};

use super::{
    build::{marked, settle, unify},
    collect::Marker,
    expr::{Clause, ExprBinder},
    scope::{fold, missing_table, qualified},
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{
        Expr, aggregate,
        cast::{self, CastContext},
        function,
    },
    plan::{
        Frame, FrameBound, FrameUnit, SequenceCall, SequenceFunction, SetFunction, SortKey, WindowCall, WindowFunction,
    },
    types::DataType,
};

/// Functions that SQL writes without parentheses and the parser takes for columns.
pub(super) fn is_bare_function(name: &str) -> bool {
    matches!(
        name,
        "current_schema"
            | "current_catalog"
            | "current_role"
            | "current_user"
            | "session_user"
            | "user"
            | "current_date"
            | "current_time"
            | "current_timestamp"
            | "localtime"
            | "localtimestamp"
    )
}

impl ExprBinder<'_> {
    pub(super) fn function(&mut self, call: &ast::Function) -> Result<Expr> {
        let at = self.binder.position(call.name.span().start);
        self.function_call(call).map_err(|error| error.at(at))
    }

    fn function_call(&mut self, call: &ast::Function) -> Result<Expr> {
        let (schema, name) = qualified(&call.name)?;
        let schema = schema.as_deref();
        if let ast::FunctionArguments::Subquery(query) = &call.args {
            return match name.as_str() {
                "array" => self.array_subquery(query),
                _ => Err(SqlError::unsupported("a subquery as the arguments of a function")),
            };
        }
        if let Some(over) = &call.over {
            return self.window_call(call, schema, &name, over);
        }
        if !call.within_group.is_empty() {
            return Err(SqlError::unsupported("WITHIN GROUP"));
        }
        if aggregate::is_aggregate(&name) {
            return self.aggregate_call(call, schema, &name);
        }
        if WindowFunction::by_name(&name).is_some() {
            let message = format!("window function {name} requires an OVER clause");
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        reject_aggregate_syntax(call, &name)?;
        let args = plain_args(call)?;
        if let Some(function) = SequenceFunction::by_name(&name)
            && matches!(schema, None | Some("pg_catalog"))
        {
            return self.sequence_call(function, &args);
        }
        match name.as_str() {
            "coalesce" => {
                let bound = self.exprs_of(&args)?;
                let (args, ty) = unify("COALESCE", bound).map_err(|error| self.at_literal(error, &args, None))?;
                return Ok(Expr::Coalesce { args, ty });
            }
            "nullif" if args.len() == 2 => {
                let (left, right) = (self.expr(args[0])?, self.expr(args[1])?);
                let test = function::operator("=", Some(left.clone()), right)?;
                let left = settle(left)?;
                let ty = left.ty();
                return Ok(Expr::Case { branches: vec![(test, Expr::null(ty))], otherwise: Some(Box::new(left)), ty });
            }
            "greatest" | "least" => {
                let (args, _) = self.exprs_of(&args).and_then(|args| unify(&name.to_uppercase(), args))?;
                return function::call(&name, None, args);
            }
            "row" => {
                let args: Result<Vec<Expr>> = args.iter().map(|arg| self.known(arg)).collect();
                return Ok(Expr::Row(args?));
            }
            _ => {}
        }
        let args = self.exprs_of(&args)?;
        let expr = function::call(&name, schema, args)?;
        self.set_returning(expr)
    }

    fn exprs_of(&mut self, args: &[&ast::Expr]) -> Result<Vec<Expr>> {
        args.iter().map(|arg| self.expr(arg)).collect()
    }

    /// A call of a set-returning function is put aside; everything else stays what it is.
    fn set_returning(&mut self, expr: Expr) -> Result<Expr> {
        let Expr::Call { function: id, ty, .. } = &expr else { return Ok(expr) };
        if !function::get(*id).returns_set {
            return Ok(expr);
        }
        if !self.clause.allows_sets() {
            let message = format!("set-returning functions are not allowed in {}", self.clause.name());
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let ty = *ty;
        self.collected.sets.push(SetFunction { call: expr, types: vec![ty] });
        Ok(marked(Marker::Set(self.collected.sets.len() - 1), ty))
    }

    fn sequence_call(&mut self, function: SequenceFunction, args: &[&ast::Expr]) -> Result<Expr> {
        let types: &[DataType] = match function {
            SequenceFunction::LastValue => &[],
            SequenceFunction::Sleep => &[DataType::FLOAT8],
            SequenceFunction::SetValue if args.len() == 3 => &[DataType::REGCLASS, DataType::INT8, DataType::BOOL],
            SequenceFunction::SetValue => &[DataType::REGCLASS, DataType::INT8],
            SequenceFunction::NextValue | SequenceFunction::CurrentValue => &[DataType::REGCLASS],
        };
        let args = self.exprs_of(args)?;
        if args.len() != types.len() {
            // Let the registry make the error.
            return function::call(function.name(), None, args);
        }
        let args: Result<Vec<Expr>> =
            args.into_iter().zip(types).map(|(arg, ty)| cast::coerce(arg, *ty, -1, CastContext::Implicit)).collect();
        self.collected.sequences.push(SequenceCall { function, args: args? });
        Ok(marked(Marker::Sequence(self.collected.sequences.len() - 1), function.returns()))
    }

    fn aggregate_call(&mut self, call: &ast::Function, schema: Option<&str>, name: &str) -> Result<Expr> {
        if !self.clause.allows_aggregates() {
            let message = match self.clause {
                Clause::Aggregate => "aggregate function calls cannot be nested".to_owned(),
                other => format!("aggregate functions are not allowed in {}", other.name()),
            };
            return Err(SqlError::new(SqlState::GROUPING_ERROR, message));
        }
        let bound = self.bind_aggregate(call, schema, name, Clause::Aggregate)?;
        let ty = bound.ty;
        // The same call twice is computed once.
        let existing = self.collected.aggregates.iter().position(|other| *other == bound);
        let index = existing.unwrap_or_else(|| {
            self.collected.aggregates.push(bound);
            self.collected.aggregates.len() - 1
        });
        Ok(marked(Marker::Aggregate(index), ty))
    }

    fn bind_aggregate(
        &mut self,
        call: &ast::Function,
        schema: Option<&str>,
        name: &str,
        clause: Clause,
    ) -> Result<aggregate::AggregateCall> {
        let list = argument_list(call)?;
        self.within(clause, |this| {
            let star = is_star(call);
            let args = match (star, whole_row(call)) {
                (true, _) => Vec::new(),
                (false, Some(table)) => {
                    let (_, table) = qualified(table)?;
                    vec![this.whole_row(&table).ok_or_else(|| missing_table(&table))?]
                }
                (false, None) => this.exprs_of(&plain_args(call)?)?,
            };
            if args.is_empty() && !star && name == "count" {
                let message = "count(*) must be used to call a parameterless aggregate function";
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            let mut bound = aggregate::resolve(name, schema, args)?;
            if let Some(list) = list {
                bound.distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
                for clause in &list.clauses {
                    match clause {
                        ast::FunctionArgumentClause::OrderBy(keys) => bound.order_by = this.sort_keys(keys)?,
                        _ => return Err(SqlError::unsupported("this clause of an aggregate")),
                    }
                }
            }
            if let Some(filter) = &call.filter {
                let expr = this.expr(filter)?;
                bound.filter = Some(this.binder.boolean(expr, "FILTER")?);
            }
            Ok(bound)
        })
    }

    /// ORDER BY inside an aggregate or a window: expressions only.
    pub(super) fn sort_keys(&mut self, keys: &[ast::OrderByExpr]) -> Result<Vec<SortKey>> {
        keys.iter().map(|key| sort_key(self.known(&key.expr)?, &key.options)).collect()
    }

    fn window_call(
        &mut self,
        call: &ast::Function,
        schema: Option<&str>,
        name: &str,
        over: &ast::WindowType,
    ) -> Result<Expr> {
        if !self.clause.allows_windows() {
            let message = match self.clause {
                Clause::Window => "window function calls cannot be nested".to_owned(),
                Clause::Aggregate => "aggregate function calls cannot contain window function calls".to_owned(),
                other => format!("window functions are not allowed in {}", other.name()),
            };
            return Err(SqlError::new(SqlState("42P20"), message));
        }
        let spec = self.window_spec(over)?;
        let bound = self.within(Clause::Window, |this| this.bind_window(call, schema, name, &spec))?;
        let ty = bound.ty;
        self.collected.windows.push(bound);
        Ok(marked(Marker::Window(self.collected.windows.len() - 1), ty))
    }

    /// The definition behind OVER, with a named window it builds on merged in.
    fn window_spec(&self, over: &ast::WindowType) -> Result<ast::WindowSpec> {
        let named = |name: &ast::Ident| {
            let wanted = fold(name);
            let found = self.windows.iter().find(|definition| fold(&definition.0) == wanted);
            found.ok_or_else(|| {
                SqlError::new(SqlState::UNDEFINED_OBJECT, format!("window \"{wanted}\" does not exist"))
                    .at(self.binder.position(name.span.start))
            })
        };
        let mut spec = match over {
            ast::WindowType::WindowSpec(spec) => spec.clone(),
            ast::WindowType::NamedWindow(name) => match &named(name)?.1 {
                ast::NamedWindowExpr::WindowSpec(spec) => spec.clone(),
                ast::NamedWindowExpr::NamedWindow(_) => return Err(SqlError::unsupported("a chain of named windows")),
            },
        };
        if let Some(name) = spec.window_name.take() {
            let ast::NamedWindowExpr::WindowSpec(base) = &named(&name)?.1 else {
                return Err(SqlError::unsupported("a chain of named windows"));
            };
            spec.partition_by = base.partition_by.clone();
            if spec.order_by.is_empty() {
                spec.order_by = base.order_by.clone();
            }
        }
        Ok(spec)
    }

    fn bind_window(
        &mut self,
        call: &ast::Function,
        schema: Option<&str>,
        name: &str,
        spec: &ast::WindowSpec,
    ) -> Result<WindowCall> {
        let partition_by = self.known_list(&spec.partition_by)?;
        let order_by = self.sort_keys(&spec.order_by)?;
        let frame = self.frame(spec)?;
        let filter = None;
        if aggregate::is_aggregate(name) {
            // Other aggregates may stand in its arguments: those are computed before.
            let bound = self.bind_aggregate(call, schema, name, Clause::Window)?;
            let ty = bound.ty;
            let function = WindowFunction::Aggregate(Box::new(bound));
            return Ok(WindowCall { function, args: Vec::new(), filter, partition_by, order_by, frame, ty });
        }
        let Some(function) = WindowFunction::by_name(name) else {
            let message = format!("OVER specified, but {name} is not a window function nor an aggregate function");
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        };
        let mut args: Vec<Expr> = plain_args(call)?.into_iter().map(|arg| self.known(arg)).collect::<Result<_>>()?;
        use WindowFunction as W;
        let integer = |arg: &mut Expr| -> Result<()> {
            let taken = std::mem::replace(arg, Expr::boolean(false));
            *arg = cast::coerce(taken, DataType::INT4, -1, CastContext::Implicit)?;
            Ok(())
        };
        let ty = match (&function, args.len()) {
            (W::RowNumber | W::Rank | W::DenseRank, 0) => DataType::INT8,
            (W::PercentRank | W::CumeDist, 0) => DataType::FLOAT8,
            (W::Ntile, 1) => {
                integer(&mut args[0])?;
                DataType::INT4
            }
            (W::FirstValue | W::LastValue, 1) | (W::Lag | W::Lead, 1) => args[0].ty(),
            (W::NthValue, 2) | (W::Lag | W::Lead, 2) => {
                integer(&mut args[1])?;
                args[0].ty()
            }
            (W::Lag | W::Lead, 3) => {
                integer(&mut args[1])?;
                let ty = args[0].ty();
                let default = args.pop().unwrap_or(Expr::null(ty));
                args.push(cast::coerce(default, ty, -1, CastContext::Implicit)?);
                ty
            }
            _ => return function::call(name, schema, args).and(Err(SqlError::internal("window function"))),
        };
        Ok(WindowCall { function, args, filter, partition_by, order_by, frame, ty })
    }

    fn frame(&mut self, spec: &ast::WindowSpec) -> Result<Frame> {
        let Some(frame) = &spec.window_frame else {
            return Ok(Frame {
                unit: FrameUnit::Range,
                start: FrameBound::UnboundedPreceding,
                end: FrameBound::CurrentRow,
            });
        };
        let unit = match frame.units {
            ast::WindowFrameUnits::Rows => FrameUnit::Rows,
            ast::WindowFrameUnits::Range => FrameUnit::Range,
            ast::WindowFrameUnits::Groups => FrameUnit::Groups,
        };
        let start = self.frame_bound(&frame.start_bound, unit)?;
        let end = match &frame.end_bound {
            Some(bound) => self.frame_bound(bound, unit)?,
            None => FrameBound::CurrentRow,
        };
        Ok(Frame { unit, start, end })
    }

    fn frame_bound(&mut self, bound: &ast::WindowFrameBound, unit: FrameUnit) -> Result<FrameBound> {
        let mut offset = |syntax: &ast::Expr| {
            if unit == FrameUnit::Range {
                return Err(SqlError::unsupported("RANGE with an offset"));
            }
            let expr = self.expr(syntax)?;
            cast::coerce(expr, DataType::INT8, -1, CastContext::Implicit)
        };
        Ok(match bound {
            ast::WindowFrameBound::CurrentRow => FrameBound::CurrentRow,
            ast::WindowFrameBound::Preceding(None) => FrameBound::UnboundedPreceding,
            ast::WindowFrameBound::Following(None) => FrameBound::UnboundedFollowing,
            ast::WindowFrameBound::Preceding(Some(syntax)) => FrameBound::Preceding(offset(syntax)?),
            ast::WindowFrameBound::Following(Some(syntax)) => FrameBound::Following(offset(syntax)?),
        })
    }
}

/// Direction and NULLs: PostgreSQL puts NULLs last when ascending, first when descending.
pub(super) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> Result<SortKey> {
    let descending = match &options.sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(ast::OrderBySort::Using(operator)) => match operator.to_string().as_str() {
            "<" => false,
            ">" => true,
            _ => return Err(SqlError::unsupported("ORDER BY USING this operator")),
        },
    };
    Ok(SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) })
}

fn argument_list(call: &ast::Function) -> Result<Option<&ast::FunctionArgumentList>> {
    match &call.args {
        ast::FunctionArguments::None => Ok(None),
        ast::FunctionArguments::List(list) => Ok(Some(list)),
        ast::FunctionArguments::Subquery(_) => Err(SqlError::unsupported("a subquery as arguments")),
    }
}

fn is_star(call: &ast::Function) -> bool {
    matches!(&call.args, ast::FunctionArguments::List(list)
        if matches!(&list.args[..], [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]))
}

/// The table of `f(table.*)`.
fn whole_row(call: &ast::Function) -> Option<&ast::ObjectName> {
    match &call.args {
        ast::FunctionArguments::List(list) => match &list.args[..] {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(name))] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// The arguments, all positional.
pub(super) fn plain_args(call: &ast::Function) -> Result<Vec<&ast::Expr>> {
    let Some(list) = argument_list(call)? else { return Ok(Vec::new()) };
    list.args.iter().map(plain_arg).collect()
}

pub(super) fn plain_arg(arg: &ast::FunctionArg) -> Result<&ast::Expr> {
    match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
        ast::FunctionArg::Unnamed(_) => Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\"")),
        _ => Err(SqlError::unsupported("named arguments")),
    }
}

fn reject_aggregate_syntax(call: &ast::Function, name: &str) -> Result<()> {
    let list = argument_list(call)?;
    let what = match list {
        Some(list) if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct) => "DISTINCT",
        Some(list) if list.clauses.iter().any(|clause| matches!(clause, ast::FunctionArgumentClause::OrderBy(_))) => {
            "ORDER BY"
        }
        _ if call.filter.is_some() => "FILTER",
        _ => return Ok(()),
    };
    let message = format!("{what} specified, but {name} is not an aggregate function");
    Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message))
}
