//! Expressions against PostgreSQL 15: `scripts/expr/*.golden` holds what it answered (type and value, or SQLSTATE and
//! message), made by `scripts/expr/generate.sh`. Lines of `scripts/expr/known.txt` are known to differ: each must still
//! differ, so that the list cannot rot.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use base::TableId;
use sql::{
    DataType, Result, Row, SqlError, Value,
    bind::{self, BindOptions},
    catalog::{CatalogView, Relation, Schema},
    expr::{EvalContext, SessionView, aggregate::State},
    parse,
    plan::{Plan, Statement},
    types::{format_type, to_text},
};

struct NoCatalog;

impl CatalogView for NoCatalog {
    fn relation(&self, _schema: Option<&str>, _name: &str) -> Option<Arc<Relation>> {
        None
    }
    fn relation_by_id(&self, _id: TableId) -> Option<Arc<Relation>> {
        None
    }
    fn schemas(&self) -> Vec<Arc<Schema>> {
        Vec::new()
    }
    fn relations(&self) -> Vec<Arc<Relation>> {
        Vec::new()
    }
    fn referencing(&self, _table: TableId) -> Vec<Arc<Relation>> {
        Vec::new()
    }
}

fn session() -> SessionView {
    SessionView {
        user: "postgres".into(),
        session_user: "postgres".into(),
        database: "postgres".into(),
        search_path: vec!["public".into()],
        time_zone: "America/New_York".into(),
        ..SessionView::default()
    }
}

/// The little of the executor that needs no tables.
fn run(plan: &Plan, context: &EvalContext) -> Result<Vec<Row>> {
    let eval_all = |exprs: &[sql::expr::Expr], row: &Row| -> Result<Row> {
        exprs.iter().map(|expr| expr.eval(row, context)).collect()
    };
    match plan {
        Plan::Values { rows, .. } => rows.iter().map(|row| eval_all(row, &Row::new())).collect(),
        Plan::Project { input, expressions } => {
            run(input, context)?.iter().map(|row| eval_all(expressions, row)).collect()
        }
        Plan::Filter { input, predicate } => {
            let mut kept = Vec::new();
            for row in run(input, context)? {
                if predicate.eval_filter(&row, context)? {
                    kept.push(row);
                }
            }
            Ok(kept)
        }
        Plan::Aggregate { input, groups, aggregates } if groups.is_empty() => {
            let rows = run(input, context)?;
            let mut out = Row::new();
            for call in aggregates {
                let mut rows = rows.clone();
                rows.sort_by(|a, b| {
                    call.order_by.iter().fold(std::cmp::Ordering::Equal, |order, key| {
                        let value = |row: &Row| key.expr.eval(row, context).unwrap_or_default();
                        order.then_with(|| value(a).cmp_sort(&value(b), key.descending, key.nulls_first))
                    })
                });
                if call.distinct {
                    let mut seen = BTreeSet::new();
                    rows.retain(|row| seen.insert(eval_all(&call.args, row).unwrap_or_default()));
                }
                // In two halves, so that partial states are exercised where they exist.
                let (first, second) = rows.split_at(rows.len() / 2);
                let fill = |rows: &[Row]| -> Result<State> {
                    let mut state = call.start()?;
                    for row in rows {
                        call.update(&mut state, row, context)?;
                    }
                    Ok(state)
                };
                let state = if call.is_splittable() {
                    let mut merged = fill(first)?;
                    merged.merge(fill(second)?)?;
                    merged
                } else {
                    fill(&rows)?
                };
                out.push(state.finish()?);
            }
            Ok(vec![out])
        }
        other => Err(SqlError::unsupported(format!("this plan in the test: {other:?}"))),
    }
}

fn evaluate(text: &str) -> Result<String> {
    let source = format!("SELECT {text}");
    let parsed = parse::parse(&source)?;
    let parse::Body::Sql(syntax) = &parsed[0].body else { return Err(SqlError::unsupported("not a query")) };
    let session = session();
    let options = BindOptions { source: &source, parameters: &[] };
    let bound = bind::bind_statement(syntax, &NoCatalog, &options)?;
    let ty = bound.columns.as_ref().map_or(DataType::UNKNOWN, |columns| columns[0].ty);
    let Statement::Query(plan) = bound.statement else { return Err(SqlError::unsupported("not a query")) };
    let context = EvalContext { transaction_micros: 776_000_000_000_000, ..EvalContext::new(Arc::new(session)) };
    let rows = run(&plan, &context)?;
    let value = rows.first().and_then(|row| row.first()).cloned().unwrap_or_default();
    let shown = match value {
        Value::Null => "NULL".to_owned(),
        value => to_text(&value, ty, context.format()).replace('\n', "\\n"),
    };
    Ok(format!("{} | {shown}", format_type(ty, -1)))
}

#[test]
fn expressions_agree_with_postgresql() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/expr");
    let known = fs::read_to_string(folder.join("known.txt")).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().filter(|line| !line.starts_with('#')).collect();
    let (mut failures, mut healed, mut count) = (Vec::new(), Vec::new(), 0);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "golden")) {
        let golden = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = golden.lines().collect();
        for pair in lines.chunks(2) {
            let (expression, expected) = (pair[0], pair.get(1).map_or("", |line| line.trim_start()));
            let actual = match evaluate(expression) {
                Ok(value) => value,
                Err(error) => format!("! {} {}", error.state().0, error.fields().message),
            };
            count += 1;
            let same = actual.trim_end() == expected.trim_end();
            match (same, known.contains(expression)) {
                (false, false) => {
                    failures.push(format!("{expression}\n    expected {expected}\n    actual   {actual}"))
                }
                (true, true) => healed.push(expression.to_owned()),
                _ => {}
            }
        }
    }
    assert!(count > 700, "only {count} expressions were found");
    assert!(healed.is_empty(), "these agree now; take them out of known.txt:\n{}", healed.join("\n"));
    assert!(failures.is_empty(), "{} of {count} differ:\n{}", failures.len(), failures.join("\n"));
}
