//! Syntax of its own for ordinary functions, and subqueries as expressions.

use sqlparser::ast::{self, Expr as Syntax, Spanned};

use super::{
    build::{compare, text},
    collect,
    expr::ExprBinder,
    select::Bound,
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{Expr, function},
    plan::ApplyKind,
    types::{DataType, Value},
};

impl ExprBinder<'_> {
    /// A subquery of an expression, one level in.
    pub(super) fn subquery(&self, query: &ast::Query) -> Result<Bound> {
        self.binder.settled_query(query, Some(&self.names), &self.ctes)
    }

    pub(super) fn call_at(&self, name: &str, args: Vec<Expr>, position: Option<u32>) -> Result<Expr> {
        function::call(name, None, args).map_err(|error| error.at(position))
    }

    /// Syntax of its own for ordinary functions.
    pub(super) fn special(&mut self, syntax: &Syntax) -> Result<Expr> {
        let at = self.start(syntax);
        let (name, args): (&str, Vec<Expr>) = match syntax {
            Syntax::Extract { field, expr, .. } => {
                let field = field.to_string().trim_matches('\'').to_lowercase();
                ("extract", vec![text(&field), self.expr(expr)?])
            }
            Syntax::Ceil { expr, .. } => ("ceil", vec![self.expr(expr)?]),
            Syntax::Floor { expr, .. } => ("floor", vec![self.expr(expr)?]),
            Syntax::Position { expr, r#in } => {
                let needle = self.expr(expr)?;
                ("position", vec![self.expr(r#in)?, needle])
            }
            Syntax::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.expr(expr)?];
                match (substring_from, substring_for) {
                    (Some(from), _) => args.push(self.expr(from)?),
                    (None, Some(_)) => args.push(Expr::constant(Value::Int4(1), DataType::INT4)),
                    (None, None) => {}
                }
                if let Some(length) = substring_for {
                    args.push(self.expr(length)?);
                }
                ("substring", args)
            }
            Syntax::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.expr(expr)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(what)?);
                }
                for what in trim_characters.iter().flatten() {
                    args.push(self.expr(what)?);
                }
                (name, args)
            }
            Syntax::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args = vec![self.expr(expr)?, self.expr(overlay_what)?, self.expr(overlay_from)?];
                if let Some(length) = overlay_for {
                    args.push(self.expr(length)?);
                }
                ("overlay", args)
            }
            Syntax::Wildcard(_) | Syntax::QualifiedWildcard(..) => {
                return Err(SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"*\"").at(at));
            }
            _ => return Err(SqlError::unsupported("this expression").at(at)),
        };
        self.call_at(name, args, at)
    }

    pub(super) fn scalar(&mut self, query: &ast::Query) -> Result<Expr> {
        let (plan, columns) = self.subquery(query)?;
        let [column] = &columns[..] else { return Err(self.one_column(query)) };
        let ty = column.ty;
        let marker = self.collected.subquery(plan, ApplyKind::Scalar { ty });
        Ok(Expr::Column { slot: marker.slot(), ty })
    }

    /// `ARRAY(SELECT …)`.
    pub(super) fn array_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let (plan, columns) = self.subquery(query)?;
        let [column] = &columns[..] else { return Err(self.one_column(query)) };
        let ty = column.ty.array().ok_or_else(|| SqlError::unsupported(format!("an array of {}", column.ty)))?;
        let marker = self.collected.subquery(plan, ApplyKind::Array { element: column.ty });
        Ok(Expr::Column { slot: marker.slot(), ty })
    }

    fn one_column(&self, query: &ast::Query) -> SqlError {
        SqlError::new(SqlState::SYNTAX_ERROR, "subquery must return only one column")
            .at(self.binder.position(query.span().start).map(|position| position.saturating_sub(1).max(1)))
    }

    /// `left OP ANY (subquery)`.
    pub(super) fn quantified(&mut self, left: &Syntax, name: &str, query: &ast::Query, all: bool) -> Result<Expr> {
        let at = self.operator_position(left);
        let operand = self.expr(left)?;
        let (plan, columns) = self.subquery(query)?;
        let operands = match operand {
            Expr::Row(parts) => parts,
            other => vec![other],
        };
        if operands.len() != columns.len() {
            let many = if columns.len() > operands.len() { "many" } else { "few" };
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("subquery has too {many} columns")).at(at));
        }
        let right = columns
            .iter()
            .enumerate()
            .map(|(index, column)| Expr::Column { slot: collect::SUBPLAN_COLUMN + index, ty: column.ty });
        let (left, right) = match operands.len() {
            1 => (operands.into_iter().next(), right.into_iter().next()),
            _ => (Some(Expr::Row(operands)), Some(Expr::Row(right.collect()))),
        };
        let (Some(left), Some(right)) = (left, right) else {
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, "subquery has too few columns").at(at));
        };
        let comparison = compare(name, left, right).map_err(|error| error.at(at))?;
        if comparison.ty() != DataType::BOOL {
            let message = "operator of a quantified comparison must yield boolean";
            return Err(SqlError::new(SqlState::DATATYPE_MISMATCH, message).at(at));
        }
        let marker = self.collected.subquery(plan, ApplyKind::Quantified { comparison, all });
        Ok(Expr::Column { slot: marker.slot(), ty: DataType::BOOL })
    }
}
