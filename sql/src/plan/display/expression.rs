//! Expressions in text, columns by the names that their node's input gives them.

use std::fmt::Write;

use crate::{
    expr::{Expr, function},
    types::{DataType, FormatOptions, Value, text::to_text},
};

/// What columns are called where an expression stands.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub columns: &'a [String],
    /// Of the rows of enclosing `Apply` nodes, the nearest last.
    pub outer: &'a [Vec<String>],
}

impl Scope<'_> {
    /// A column that has no name has its number.
    fn column(self, slot: usize) -> String {
        self.columns.get(slot).cloned().unwrap_or_else(|| format!("#{slot}"))
    }

    /// `depth`: 1 is the nearest.
    fn outer(self, depth: usize, slot: usize) -> String {
        let row = self.outer.len().checked_sub(depth).and_then(|at| self.outer.get(at));
        row.and_then(|row| row.get(slot)).cloned().unwrap_or_else(|| format!("outer{depth}#{slot}"))
    }

    pub fn show(self, expr: &Expr) -> String {
        let mut text = String::new();
        write_expr(expr, self, &mut text);
        text
    }

    pub fn list(self, exprs: &[Expr]) -> String {
        exprs.iter().map(|expr| self.show(expr)).collect::<Vec<_>>().join(", ")
    }
}

fn write_expr(expr: &Expr, scope: Scope<'_>, output: &mut String) {
    let joined = |exprs: &[Expr], separator: &str, output: &mut String| {
        for (index, expr) in exprs.iter().enumerate() {
            if index > 0 {
                output.push_str(separator);
            }
            write_expr(expr, scope, output);
        }
    };
    let mut wrapped = |before: &str, exprs: &[Expr], separator: &str| {
        output.push_str(before);
        output.push('(');
        joined(exprs, separator, output);
        output.push(')');
    };
    match expr {
        Expr::Const { value, ty } => output.push_str(&show_value(value, *ty)),
        Expr::Column { slot, .. } => output.push_str(&scope.column(*slot)),
        Expr::Outer { depth, slot, .. } => output.push_str(&scope.outer(*depth, *slot)),
        Expr::Parameter { index, .. } => {
            let _ = write!(output, "${}", index + 1);
        }
        Expr::Call { function, args, .. } => {
            let function = function::get(*function);
            match &args[..] {
                [_, _] if function.operator => wrapped("", args, &format!(" {} ", function.name)),
                _ => wrapped(function.name, args, ", "),
            }
        }
        Expr::And(parts) => wrapped("", parts, " AND "),
        Expr::Or(parts) => wrapped("", parts, " OR "),
        Expr::Not(inner) => wrapped("NOT ", std::slice::from_ref(&**inner), ""),
        Expr::IsNull(inner) => {
            wrapped("", std::slice::from_ref(&**inner), "");
            output.push_str(" IS NULL");
        }
        Expr::IsBool { expr, value } => {
            wrapped("", std::slice::from_ref(&**expr), "");
            output.push_str(if *value { " IS TRUE" } else { " IS FALSE" });
        }
        Expr::Case { branches, otherwise, .. } => {
            output.push_str("CASE");
            for (test, result) in branches {
                output.push_str(" WHEN ");
                write_expr(test, scope, output);
                output.push_str(" THEN ");
                write_expr(result, scope, output);
            }
            if let Some(otherwise) = otherwise {
                output.push_str(" ELSE ");
                write_expr(otherwise, scope, output);
            }
            output.push_str(" END");
        }
        Expr::Coalesce { args, .. } => wrapped("COALESCE", args, ", "),
        Expr::Cast { expr, to, .. } => {
            write_expr(expr, scope, output);
            let _ = write!(output, "::{to}");
        }
        Expr::ArrayCompare { function, left, array, all } => {
            write_expr(left, scope, output);
            let quantifier = if *all { "ALL" } else { "ANY" };
            let _ = write!(output, " {} {quantifier} (", function::get(*function).name);
            write_expr(array, scope, output);
            output.push(')');
        }
        Expr::InList { left, list, .. } => {
            write_expr(left, scope, output);
            output.push_str(" IN (");
            joined(list, ", ", output);
            output.push(')');
        }
        Expr::Array { elements, .. } => {
            output.push_str("ARRAY[");
            joined(elements, ", ", output);
            output.push(']');
        }
        Expr::Row(fields) => wrapped("ROW", fields, ", "),
    }
}

fn show_value(value: &Value, ty: DataType) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int2(value) => value.to_string(),
        Value::Int4(value) => value.to_string(),
        Value::Int8(value) => value.to_string(),
        other => format!("'{}'", to_text(other, ty, &FormatOptions::default())),
    }
}
