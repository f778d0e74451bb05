//! EXPLAIN: a plan as an indented tree, one line a node and one for each of its conditions.

use std::fmt::Write;

use super::{
    Access, AggregateCall, ApplyKind, Bound, Change, ConflictAction, JoinKind, Plan, Scan, SetOp, SortKey, Statement,
    WindowFunction,
    figures::{Figures, NodeKey},
    table_of,
};
use crate::{
    catalog::{IndexColumn, Relation},
    expr::{Expr, function},
    types::{DataType, FormatOptions, Value, text::to_text},
};

/// The lines of a statement's plan.
pub fn explain(statement: &Statement) -> Vec<String> {
    show_statement(statement, Output::default())
}

/// The same, and what each node took.
pub fn explain_measured(statement: &Statement, figures: Figures) -> Vec<String> {
    show_statement(statement, Output { figures: Some(figures), ..Output::default() })
}

fn show_statement(statement: &Statement, mut output: Output) -> Vec<String> {
    match statement {
        Statement::Query(plan) => output.plan(plan, 0, ""),
        Statement::Change(change) => output.change(change, 0, ""),
        Statement::Explain { statement, .. } => return show_statement(statement, output),
    }
    output.lines
}

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    figures: Option<Figures>,
    /// The node that is written next.
    next: Option<NodeKey>,
}

impl Output {
    /// A node's own line.
    fn node(&mut self, depth: usize, role: &str, text: &str) {
        let indent = "  ".repeat(depth.saturating_sub(1) * 2 + usize::from(depth > 0));
        let arrow = if depth == 0 { "" } else { "->  " };
        let measured = self.figures.as_ref().zip(self.next.take());
        let summary = measured.map(|(figures, key)| figures.summary(key)).unwrap_or_default();
        let ranges = measured.map(|(figures, key)| figures.ranges(key)).unwrap_or_default();
        self.lines.push(format!("{indent}{arrow}{role}{text}{summary}"));
        for (range, work) in ranges {
            self.note(depth, &range, work);
        }
    }

    /// A property of the node above.
    fn note(&mut self, depth: usize, name: &str, text: impl AsRef<str>) {
        let indent = "  ".repeat(depth * 2 + 1);
        self.lines.push(format!("{indent}{name}: {}", text.as_ref()));
    }

    fn plan(&mut self, plan: &Plan, depth: usize, role: &str) {
        let inner = depth + 1;
        self.next = Some(NodeKey::from(plan));
        match plan {
            Plan::Values { rows, types } if rows.len() == 1 && types.is_empty() => self.node(depth, role, "Result"),
            Plan::Values { rows, .. } => self.node(depth, role, &format!("Values ({} rows)", rows.len())),
            Plan::Scan(scan) => self.scan(scan, depth, role),
            Plan::System { relation, .. } => {
                self.node(depth, role, &format!("System View {}.{}", relation.schema, relation.name));
            }
            Plan::Filter { input, predicate } => {
                self.node(depth, role, "Filter");
                self.note(depth, "Condition", show(predicate));
                self.plan(input, inner, "");
            }
            Plan::Project { input, expressions } => {
                self.node(depth, role, "Project");
                self.note(depth, "Output", list(expressions));
                self.plan(input, inner, "");
            }
            Plan::Limit { input, limit, offset } => {
                self.node(depth, role, "Limit");
                if let Some(limit) = limit {
                    self.note(depth, "Count", show(limit));
                }
                if let Some(offset) = offset {
                    self.note(depth, "Offset", show(offset));
                }
                self.plan(input, inner, "");
            }
            Plan::Join(join) => {
                let method = if join.keys.is_empty() { "Nested Loop" } else { "Hash Join" };
                self.node(depth, role, &format!("{method} ({})", join_name(join.kind)));
                if !join.keys.is_empty() {
                    let keys: Vec<String> =
                        join.keys.iter().map(|(a, b)| format!("{} = right {}", show(a), show(b))).collect();
                    self.note(depth, "Keys", keys.join(", "));
                }
                if let Some(on) = &join.on {
                    self.note(depth, "Condition", show(on));
                }
                self.plan(&join.left, inner, "");
                self.plan(&join.right, inner, "");
            }
            Plan::LookupJoin(join) => {
                let index = &table_of(&join.relation).indexes[join.index].name;
                let name = named(&join.relation, join.alias.as_deref());
                self.node(depth, role, &format!("Lookup Join ({}) {name} using {index}", join_name(join.kind)));
                self.note(depth, "Keys", list(&join.keys));
                if let Some(filter) = &join.filter {
                    self.note(depth, "Filter", show(filter));
                }
                if let Some(on) = &join.on {
                    self.note(depth, "Condition", show(on));
                }
                self.plan(&join.input, inner, "");
            }
            Plan::Apply { input, subplan, kind } => {
                self.node(depth, role, &format!("Apply ({})", apply_name(kind)));
                if let ApplyKind::Quantified { comparison, .. } = kind {
                    self.note(depth, "Comparison", show(comparison));
                }
                self.plan(input, inner, "");
                self.plan(subplan, inner, "SubPlan ");
            }
            Plan::Aggregate { input, groups, aggregates } => {
                self.node(depth, role, if groups.is_empty() { "Aggregate" } else { "Hash Aggregate" });
                if !groups.is_empty() {
                    self.note(depth, "Group Key", list(groups));
                }
                if !aggregates.is_empty() {
                    let calls: Vec<String> = aggregates.iter().map(show_aggregate).collect();
                    self.note(depth, "Aggregates", calls.join(", "));
                }
                self.plan(input, inner, "");
            }
            Plan::Distinct { input, on } => {
                self.node(depth, role, "Distinct");
                if let Some(on) = on {
                    self.note(depth, "On", list(on));
                }
                self.plan(input, inner, "");
            }
            Plan::Sort { input, keys, limit } => {
                self.node(depth, role, if limit.is_some() { "Top-N Sort" } else { "Sort" });
                self.note(depth, "Sort Key", sort_keys(keys));
                if let Some(limit) = limit {
                    self.note(depth, "Rows", show(limit));
                }
                self.plan(input, inner, "");
            }
            other => self.rest(other, depth, role),
        }
    }

    fn rest(&mut self, plan: &Plan, depth: usize, role: &str) {
        let inner = depth + 1;
        match plan {
            Plan::SetOperation { op, all, left, right } => {
                let name = match op {
                    SetOp::Union => "Union",
                    SetOp::Intersect => "Intersect",
                    SetOp::Except => "Except",
                };
                self.node(depth, role, &format!("{name}{}", if *all { " All" } else { "" }));
                self.plan(left, inner, "");
                self.plan(right, inner, "");
            }
            Plan::ProjectSet { input, functions, .. } => {
                self.node(depth, role, "ProjectSet");
                let calls: Vec<String> = functions.iter().map(|function| show(&function.call)).collect();
                self.note(depth, "Functions", calls.join(", "));
                self.plan(input, inner, "");
            }
            Plan::Window { input, calls } => {
                self.node(depth, role, "Window");
                for call in calls {
                    let function = match &call.function {
                        WindowFunction::Aggregate(aggregate) => show_aggregate(aggregate),
                        other => format!("{other:?}({})", list(&call.args)),
                    };
                    let text = format!(
                        "{function} partition by ({}) order by ({})",
                        list(&call.partition_by),
                        sort_keys(&call.order_by)
                    );
                    self.note(depth, "Call", text);
                }
                self.plan(input, inner, "");
            }
            Plan::Sequence { input, calls } => {
                self.node(depth, role, "Sequence");
                for call in calls {
                    self.note(depth, "Call", format!("{:?}({})", call.function, list(&call.args)));
                }
                self.plan(input, inner, "");
            }
            Plan::Lock { input, rows, limit } => {
                let locks: Vec<String> = rows.iter().map(|row| format!("{:?}, {:?}", row.mode, row.wait)).collect();
                self.node(depth, role, &format!("Lock Rows ({})", locks.join("; ")));
                if let Some(limit) = limit {
                    self.note(depth, "Rows", show(limit));
                }
                self.plan(input, inner, "");
            }
            Plan::Cte { name, definition, input, .. } => {
                self.plan(input, depth, role);
                self.plan(definition, inner, &format!("CTE {name} "));
            }
            Plan::CteScan { name, .. } => self.node(depth, role, &format!("CTE Scan on {name}")),
            Plan::Recursive { name, initial, step, .. } => {
                self.node(depth, role, &format!("Recursive Union {name}"));
                self.plan(initial, inner, "");
                self.plan(step, inner, "");
            }
            Plan::Change(change) => self.change(change, depth, role),
            _ => {}
        }
    }

    fn change(&mut self, change: &Change, depth: usize, role: &str) {
        let table = &change.target().relation.name;
        self.next = Some(NodeKey::from(change));
        match change {
            Change::Insert(insert) => {
                self.node(depth, role, &format!("Insert on {table}"));
                if let Some(conflict) = &insert.on_conflict {
                    let action = match conflict.action {
                        ConflictAction::Nothing => "NOTHING",
                        ConflictAction::Update { .. } => "UPDATE",
                    };
                    self.note(depth, "Conflict Resolution", action);
                }
            }
            Change::Update(update) => {
                let how = if update.locked { " (rows locked by the scan)" } else { "" };
                self.node(depth, role, &format!("Update on {table}{how}"));
                let columns = &table_of(&update.target.relation).columns;
                let set: Vec<String> = update
                    .assignments
                    .iter()
                    .map(|(slot, expr)| format!("{} = {}", columns[*slot].name, show(expr)))
                    .collect();
                self.note(depth, "Set", set.join(", "));
            }
            Change::Delete(delete) => {
                let how = if delete.locked { " (rows locked by the scan)" } else { "" };
                self.node(depth, role, &format!("Delete on {table}{how}"));
            }
        }
        self.plan(change.source(), depth + 1, "");
    }

    fn scan(&mut self, scan: &Scan, depth: usize, role: &str) {
        let table = scan.table();
        let index = &table.indexes[scan.index];
        let name = named(&scan.relation, scan.alias.as_deref());
        let covering = scan.index == 0 || scan.is_covered();
        let method = match &scan.access {
            Access::Points(_) | Access::PointArray(_) if scan.lock.is_some() => "Point Lock",
            Access::Points(_) | Access::PointArray(_) => "Point Get",
            Access::Range { prefix, lower: None, upper: None } if prefix.is_empty() && scan.index == 0 => "Scan",
            Access::Range { .. } if covering => "Range Scan",
            Access::Range { .. } => "Index Scan",
        };
        let method = if scan.index > 0 && covering { format!("Index Only {method}") } else { method.to_owned() };
        let by = if method == "Scan" { String::new() } else { format!(" using {}", index.name) };
        let reverse = if scan.reverse { " Backward" } else { "" };
        self.node(depth, role, &format!("{method}{reverse} on {name}{by}"));
        let columns = |position: usize| -> String {
            let column: Option<&IndexColumn> = index.columns.get(position);
            let name = column.and_then(|column| table.column(column.column)).map(|column| column.name.clone());
            name.unwrap_or_else(|| "?".to_owned())
        };
        match &scan.access {
            Access::Points(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let parts: Vec<String> = key
                            .iter()
                            .enumerate()
                            .map(|(i, expr)| format!("{} = {}", columns(i), show(expr)))
                            .collect();
                        format!("({})", parts.join(", "))
                    })
                    .collect();
                self.note(depth, "Keys", keys.join(", "));
            }
            Access::PointArray(array) => self.note(depth, "Keys", format!("{} = ANY ({})", columns(0), show(array))),
            Access::Range { prefix, lower, upper } => {
                let mut parts: Vec<String> =
                    prefix.iter().enumerate().map(|(i, expr)| format!("{} = {}", columns(i), show(expr))).collect();
                let next = columns(prefix.len());
                let mut bound = |bound: &Option<Bound>, operator: &str| {
                    if let Some(bound) = bound {
                        let equal = if bound.inclusive { "=" } else { "" };
                        parts.push(format!("{next} {operator}{equal} {}", show(&bound.value)));
                    }
                };
                bound(lower, ">");
                bound(upper, "<");
                if !parts.is_empty() {
                    self.note(depth, "Range", parts.join(" AND "));
                }
            }
        }
        if let Some(filter) = &scan.filter {
            self.note(depth, "Filter", show_named(filter, &scan.relation));
        }
        if let Some(limit) = &scan.limit {
            self.note(depth, "Limit", show(limit));
        }
    }
}

fn named(relation: &Relation, alias: Option<&str>) -> String {
    match alias {
        Some(alias) if alias != relation.name => format!("{} {alias}", relation.name),
        _ => relation.name.clone(),
    }
}

fn join_name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "inner",
        JoinKind::Left => "left",
        JoinKind::Right => "right",
        JoinKind::Full => "full",
        JoinKind::Semi => "semi",
        JoinKind::Anti => "anti",
    }
}

fn apply_name(kind: &ApplyKind) -> &'static str {
    match kind {
        ApplyKind::Scalar { .. } => "scalar",
        ApplyKind::Exists => "exists",
        ApplyKind::Quantified { all: false, .. } => "any",
        ApplyKind::Quantified { all: true, .. } => "all",
        ApplyKind::Array { .. } => "array",
        ApplyKind::Join { left: false, .. } => "lateral",
        ApplyKind::Join { left: true, .. } => "left lateral",
    }
}

fn sort_keys(keys: &[SortKey]) -> String {
    let shown: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut text = show(&key.expr);
            if key.descending {
                text.push_str(" DESC");
            }
            if key.nulls_first != key.descending {
                text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            text
        })
        .collect();
    shown.join(", ")
}

fn show_aggregate(call: &AggregateCall) -> String {
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let args = if call.args.is_empty() { "*".to_owned() } else { list(&call.args) };
    let filter = call.filter.as_ref().map(|filter| format!(" FILTER (WHERE {})", show(filter))).unwrap_or_default();
    format!("{}({distinct}{args}){filter}", function::get(call.function).name)
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// An expression, columns by slot: `#0`.
pub fn show(expr: &Expr) -> String {
    let mut text = String::new();
    write_expr(expr, &|slot| format!("#{slot}"), &mut text);
    text
}

/// An expression over the columns of a table, by their names.
fn show_named(expr: &Expr, relation: &Relation) -> String {
    let mut text = String::new();
    let name =
        |slot: usize| relation.columns().get(slot).map_or_else(|| format!("#{slot}"), |column| column.name.clone());
    write_expr(expr, &name, &mut text);
    text
}

fn write_expr(expr: &Expr, name: &dyn Fn(usize) -> String, output: &mut String) {
    let joined = |exprs: &[Expr], separator: &str, output: &mut String| {
        for (index, expr) in exprs.iter().enumerate() {
            if index > 0 {
                output.push_str(separator);
            }
            write_expr(expr, name, output);
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
        Expr::Column { slot, .. } => output.push_str(&name(*slot)),
        Expr::Outer { depth, slot, .. } => {
            let _ = write!(output, "outer{depth}#{slot}");
        }
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
                write_expr(test, name, output);
                output.push_str(" THEN ");
                write_expr(result, name, output);
            }
            if let Some(otherwise) = otherwise {
                output.push_str(" ELSE ");
                write_expr(otherwise, name, output);
            }
            output.push_str(" END");
        }
        Expr::Coalesce { args, .. } => wrapped("COALESCE", args, ", "),
        Expr::Cast { expr, to, .. } => {
            write_expr(expr, name, output);
            let _ = write!(output, "::{to}");
        }
        Expr::ArrayCompare { function, left, array, all } => {
            write_expr(left, name, output);
            let quantifier = if *all { "ALL" } else { "ANY" };
            let _ = write!(output, " {} {quantifier} (", function::get(*function).name);
            write_expr(array, name, output);
            output.push(')');
        }
        Expr::InList { left, list, .. } => {
            write_expr(left, name, output);
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
