//! EXPLAIN: a plan as an indented tree, one line a node and one for each of its conditions.

mod expression;
mod labels;

use self::{
    expression::Scope,
    labels::{Labels, sources},
};
use super::{
    Access, AggregateCall, ApplyKind, Bound, Change, ConflictAction, Join, JoinKind, LookupJoin, Plan, Scan, SetOp,
    SortKey, Statement, WindowCall, WindowFunction,
    figures::{Figures, NodeKey},
    table_of,
};
use crate::{
    catalog::{IndexColumn, Relation},
    expr::function,
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
    output.labels.is_qualified = match statement {
        Statement::Query(plan) => sources(plan) > 1,
        Statement::Change(change) => sources(change.source()) > 1,
        Statement::Explain { .. } => false,
    };
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
    labels: Labels,
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

    /// Shows something that stands over the columns which `input` yields.
    fn over<T>(&self, input: &Plan, show: impl FnOnce(Scope<'_>) -> T) -> T {
        let columns = self.labels.of(input);
        show(self.labels.scope(&columns))
    }

    /// Shows something that looks at no row but those of enclosing nodes.
    fn constant<T>(&self, show: impl FnOnce(Scope<'_>) -> T) -> T {
        show(self.labels.scope(&[]))
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
                let text = self.over(input, |scope| scope.show(predicate));
                self.note(depth, "Condition", text);
                self.plan(input, inner, "");
            }
            Plan::Project { input, expressions } => {
                self.node(depth, role, "Project");
                let text = self.over(input, |scope| scope.list(expressions));
                self.note(depth, "Output", text);
                self.plan(input, inner, "");
            }
            Plan::Limit { input, limit, offset } => {
                self.node(depth, role, "Limit");
                for (name, count) in [("Count", limit), ("Offset", offset)] {
                    if let Some(count) = count {
                        let text = self.constant(|scope| scope.show(count));
                        self.note(depth, name, text);
                    }
                }
                self.plan(input, inner, "");
            }
            Plan::Join(join) => self.join(join, depth, role),
            Plan::LookupJoin(join) => self.lookup_join(join, depth, role),
            Plan::Apply { input, subplan, kind } => self.apply(input, subplan, kind, depth, role),
            Plan::Aggregate { input, groups, aggregates } => {
                self.node(depth, role, if groups.is_empty() { "Aggregate" } else { "Hash Aggregate" });
                if !groups.is_empty() {
                    let text = self.over(input, |scope| scope.list(groups));
                    self.note(depth, "Group Key", text);
                }
                if !aggregates.is_empty() {
                    let calls: Vec<String> =
                        self.over(input, |scope| aggregates.iter().map(|call| aggregate(call, scope)).collect());
                    self.note(depth, "Aggregates", calls.join(", "));
                }
                self.plan(input, inner, "");
            }
            Plan::Distinct { input, on } => {
                self.node(depth, role, "Distinct");
                if let Some(on) = on {
                    let text = self.over(input, |scope| scope.list(on));
                    self.note(depth, "On", text);
                }
                self.plan(input, inner, "");
            }
            Plan::Sort { input, keys, limit } => {
                self.node(depth, role, if limit.is_some() { "Top-N Sort" } else { "Sort" });
                let text = self.over(input, |scope| sort_keys(keys, scope));
                self.note(depth, "Sort Key", text);
                if let Some(limit) = limit {
                    let text = self.constant(|scope| scope.show(limit));
                    self.note(depth, "Rows", text);
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
                let show = |scope: Scope<'_>| functions.iter().map(|function| scope.show(&function.call)).collect();
                let calls: Vec<String> = self.over(input, show);
                self.note(depth, "Functions", calls.join(", "));
                self.plan(input, inner, "");
            }
            Plan::Window { input, calls } => {
                self.node(depth, role, "Window");
                for call in calls {
                    let text = self.over(input, |scope| {
                        let (partition, order) = (scope.list(&call.partition_by), sort_keys(&call.order_by, scope));
                        format!("{} partition by ({partition}) order by ({order})", call_of_window(call, scope))
                    });
                    self.note(depth, "Call", text);
                }
                self.plan(input, inner, "");
            }
            Plan::Sequence { input, calls } => {
                self.node(depth, role, "Sequence");
                for call in calls {
                    let args = self.over(input, |scope| scope.list(&call.args));
                    self.note(depth, "Call", format!("{}({args})", call.function.name()));
                }
                self.plan(input, inner, "");
            }
            Plan::Lock { input, rows, limit } => {
                let locks: Vec<String> = rows.iter().map(|row| format!("{:?}, {:?}", row.mode, row.wait)).collect();
                self.node(depth, role, &format!("Lock Rows ({})", locks.join("; ")));
                if let Some(limit) = limit {
                    let text = self.constant(|scope| scope.show(limit));
                    self.note(depth, "Rows", text);
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
                let set: Vec<String> = self.over(&update.source, |scope| {
                    let set = update.assignments.iter();
                    set.map(|(slot, expr)| format!("{} = {}", columns[*slot].name, scope.show(expr))).collect()
                });
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
        let scope = self.labels.scope(&[]);
        let access = match &scan.access {
            Access::Points(keys) => {
                let keys: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let parts: Vec<String> = key
                            .iter()
                            .enumerate()
                            .map(|(i, expr)| format!("{} = {}", columns(i), scope.show(expr)))
                            .collect();
                        format!("({})", parts.join(", "))
                    })
                    .collect();
                ("Keys", keys.join(", "))
            }
            Access::PointArray(array) => ("Keys", format!("{} = ANY ({})", columns(0), scope.show(array))),
            Access::Range { prefix, lower, upper } => {
                let mut parts: Vec<String> = prefix
                    .iter()
                    .enumerate()
                    .map(|(i, expr)| format!("{} = {}", columns(i), scope.show(expr)))
                    .collect();
                let next = columns(prefix.len());
                let mut bound = |bound: &Option<Bound>, operator: &str| {
                    if let Some(bound) = bound {
                        let equal = if bound.inclusive { "=" } else { "" };
                        parts.push(format!("{next} {operator}{equal} {}", scope.show(&bound.value)));
                    }
                };
                bound(lower, ">");
                bound(upper, "<");
                ("Range", parts.join(" AND "))
            }
        };
        let filter = scan.filter.as_ref().map(|filter| self.over_table(&scan.relation, |scope| scope.show(filter)));
        let limit = scan.limit.as_ref().map(|limit| scope.show(limit));
        for (name, text) in [access, ("Filter", filter.unwrap_or_default()), ("Limit", limit.unwrap_or_default())] {
            if !text.is_empty() {
                self.note(depth, name, text);
            }
        }
    }

    /// Shows something that stands over all columns of a table, which are told by their names alone.
    fn over_table<T>(&self, relation: &Relation, show: impl FnOnce(Scope<'_>) -> T) -> T {
        let columns: Vec<String> = relation.columns().iter().map(|column| column.name.clone()).collect();
        show(self.labels.scope(&columns))
    }

    fn join(&mut self, join: &Join, depth: usize, role: &str) {
        let method = if join.keys.is_empty() { "Nested Loop" } else { "Hash Join" };
        self.node(depth, role, &format!("{method} ({})", join_name(join.kind)));
        if !join.keys.is_empty() {
            let (left, right) = (self.labels.of(&join.left), self.labels.of(&join.right));
            let (left, right) = (self.labels.scope(&left), self.labels.scope(&right));
            let keys: Vec<String> =
                join.keys.iter().map(|(a, b)| format!("({} = {})", left.show(a), right.show(b))).collect();
            self.note(depth, "Hash Cond", keys.join(" AND "));
        }
        if let Some(on) = &join.on {
            let mut columns = self.labels.of(&join.left);
            columns.extend(self.labels.of(&join.right));
            let text = self.labels.scope(&columns).show(on);
            self.note(depth, "Join Filter", text);
        }
        self.plan(&join.left, depth + 1, "");
        self.plan(&join.right, depth + 1, "");
    }

    fn lookup_join(&mut self, join: &LookupJoin, depth: usize, role: &str) {
        let index = &table_of(&join.relation).indexes[join.index];
        let name = named(&join.relation, join.alias.as_deref());
        self.node(depth, role, &format!("Lookup Join ({}) {name} using {}", join_name(join.kind), index.name));
        let keys = self.over(&join.input, |scope| scope.list(&join.keys));
        self.note(depth, "Keys", keys);
        if let Some(filter) = &join.filter {
            let text = self.over_table(&join.relation, |scope| scope.show(filter));
            self.note(depth, "Filter", text);
        }
        if let Some(on) = &join.on {
            let mut columns = self.labels.of(&join.input);
            columns.extend(self.labels.of_table(&join.relation, join.alias.as_deref(), &join.columns, join.with_key));
            let text = self.labels.scope(&columns).show(on);
            self.note(depth, "Join Filter", text);
        }
        self.plan(&join.input, depth + 1, "");
    }

    fn apply(&mut self, input: &Plan, subplan: &Plan, kind: &ApplyKind, depth: usize, role: &str) {
        self.node(depth, role, &format!("Apply ({})", apply_name(kind)));
        let columns = self.labels.of(input);
        self.labels.outer.push(columns.clone());
        let of_subplan = self.labels.of(subplan);
        self.labels.outer.pop();
        let both = [columns.clone(), of_subplan].concat();
        let condition = match kind {
            ApplyKind::Quantified { comparison, .. } => Some(("Comparison", comparison)),
            ApplyKind::Join { on: Some(on), .. } => Some(("Join Filter", on)),
            _ => None,
        };
        if let Some((name, condition)) = condition {
            let text = self.labels.scope(&both).show(condition);
            self.note(depth, name, text);
        }
        self.plan(input, depth + 1, "");
        self.labels.outer.push(columns);
        self.plan(subplan, depth + 1, "SubPlan ");
        self.labels.outer.pop();
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

fn sort_keys(keys: &[SortKey], scope: Scope<'_>) -> String {
    let shown: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut text = scope.show(&key.expr);
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

fn aggregate(call: &AggregateCall, scope: Scope<'_>) -> String {
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let args = if call.args.is_empty() { "*".to_owned() } else { scope.list(&call.args) };
    let filter = call.filter.as_ref().map(|filter| format!(" FILTER (WHERE {})", scope.show(filter)));
    format!("{}({distinct}{args}){}", function::get(call.function).name, filter.unwrap_or_default())
}

fn call_of_window(call: &WindowCall, scope: Scope<'_>) -> String {
    match &call.function {
        WindowFunction::Aggregate(call) => aggregate(call, scope),
        other => format!("{}({})", other.name(), scope.list(&call.args)),
    }
}
