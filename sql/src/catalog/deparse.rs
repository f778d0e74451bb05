//! Expressions of descriptors as text, in PostgreSQL's manner: operators parenthesised, so that what `\d` shows looks the
//! same. The text is parsed and bound again whenever the table is used.

use sqlparser::ast::{self, BinaryOperator, Expr, UnaryOperator, Value};

use crate::types::{DataType, format_type};

/// A DEFAULT; `None` for `DEFAULT NULL`, which is none.
pub fn default_text(expr: &Expr, ty: DataType) -> Option<String> {
    match strip(expr) {
        Expr::Value(value) => match &value.value {
            Value::Null => None,
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                Some(format!("{}::{}", quote(text), format_type(ty, -1)))
            }
            Value::DollarQuotedString(text) => Some(format!("{}::{}", quote(&text.value), format_type(ty, -1))),
            _ => Some(expression(expr)),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => match strip(inner) {
            Expr::Value(value) => match &value.value {
                Value::Number(number, _) if number.contains('.') => Some(format!("'-{number}'::numeric")),
                Value::Number(number, _) => Some(
                    format!("'-{number}'::integer")
                        .replace("integer", if number.parse::<i32>().is_ok() { "integer" } else { "bigint" }),
                ),
                _ => Some(expression(expr)),
            },
            _ => Some(expression(expr)),
        },
        other => Some(expression(other)),
    }
}

/// Any expression.
pub fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Nested(inner) => expression(inner),
        Expr::BinaryOp { left, op, right } => {
            let op = match op {
                BinaryOperator::NotEq => "<>".to_owned(),
                other => other.to_string(),
            };
            format!("({} {op} {})", expression(left), expression(right))
        }
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(NOT {})", expression(expr)),
        Expr::IsNull(inner) => format!("({} IS NULL)", expression(inner)),
        Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", expression(inner)),
        Expr::IsTrue(inner) => format!("({} IS TRUE)", expression(inner)),
        Expr::IsFalse(inner) => format!("({} IS FALSE)", expression(inner)),
        Expr::Between { expr, negated: false, low, high } => {
            let value = expression(expr);
            format!("(({value} >= {}) AND ({value} <= {}))", expression(low), expression(high))
        }
        Expr::Between { expr, negated: true, low, high } => {
            let value = expression(expr);
            format!("(({value} < {}) OR ({value} > {}))", expression(low), expression(high))
        }
        Expr::InList { expr, list, negated } => {
            let items: Vec<String> = list.iter().map(expression).collect();
            let not = if *negated { "NOT " } else { "" };
            format!("({} {not}IN ({}))", expression(expr), items.join(", "))
        }
        Expr::Identifier(ident) => identifier(ident),
        Expr::CompoundIdentifier(parts) => parts.iter().map(identifier).collect::<Vec<_>>().join("."),
        Expr::Value(value) => match &value.value {
            Value::Boolean(value) => value.to_string(),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => quote(text),
            Value::DollarQuotedString(text) => quote(&text.value),
            other => other.to_string(),
        },
        Expr::Cast { expr, data_type, kind: ast::CastKind::Cast | ast::CastKind::DoubleColon, .. } => {
            let name = data_type.to_string();
            let name = crate::types::parse_type_name(&name).map_or(name, |(ty, typmod)| format_type(ty, typmod));
            match strip(expr) {
                value @ Expr::Value(_) => format!("{}::{name}", expression(value)),
                other => format!("({})::{name}", expression(other)),
            }
        }
        Expr::Function(function) => function_call(function),
        other => other.to_string(),
    }
}

fn function_call(function: &ast::Function) -> String {
    let text = function.to_string();
    let name = function.name.to_string();
    // Names fold to lower case unless quoted; the rest is printed as parsed.
    match text.strip_prefix(&name) {
        Some(rest) if !name.contains('"') && rest.starts_with('(') => {
            let ast::FunctionArguments::List(list) = &function.args else {
                return format!("{}{rest}", name.to_lowercase());
            };
            let plain = list.duplicate_treatment.is_none() && list.clauses.is_empty();
            let args: Option<Vec<String>> = list
                .args
                .iter()
                .map(|arg| match arg {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expression(expr)),
                    _ => None,
                })
                .collect();
            match args {
                Some(args) if plain => format!("{}({})", name.to_lowercase(), args.join(", ")),
                _ => format!("{}{rest}", name.to_lowercase()),
            }
        }
        Some("") => name.to_uppercase(),
        _ => text,
    }
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => strip(inner),
        other => other,
    }
}

fn identifier(ident: &ast::Ident) -> String {
    let name = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
    quote_identifier(&name)
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An identifier as it must be written: quoted where its letters or its being a keyword ask for it.
pub fn quote_identifier(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$');
    if plain && !RESERVED.contains(&name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Words that cannot name a column without quotes.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization", "between", "bigint",
    "binary", "bit", "boolean", "both", "case", "cast", "char", "character", "check", "coalesce", "collate", "collation",
    "column", "concurrently", "constraint", "create", "cross", "current_catalog", "current_date", "current_role",
    "current_schema", "current_time", "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc",
    "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float", "for", "foreign", "freeze",
    "from", "full", "grant", "greatest", "group", "grouping", "having", "ilike", "in", "initially", "inner", "inout", "int",
    "integer", "intersect", "interval", "into", "is", "isnull", "join", "lateral", "leading", "least", "left", "like",
    "limit", "localtime", "localtimestamp", "national", "natural", "nchar", "none", "normalize", "not", "notnull", "null",
    "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "outer", "overlaps", "overlay", "placing", "position",
    "precision", "primary", "real", "references", "returning", "right", "row", "select", "session_user", "setof", "similar",
    "smallint", "some", "substring", "symmetric", "table", "tablesample", "then", "time", "timestamp", "to", "trailing",
    "treat", "trim", "true", "union", "unique", "user", "using", "values", "varchar", "variadic", "verbose", "when", "where",
    "window", "with", "xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse",
    "xmlpi", "xmlroot", "xmlserialize", "xmltable",
];
