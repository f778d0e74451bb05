//! Runs statements: parse, bind, optimise, execute, commit, on the transaction layer's world in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use base::TableId;
use sql::{
    DataType, Row, SqlError, Value,
    bind::{BindOptions, bind_statement},
    exec,
    expr::{EvalContext, SessionView},
    optimize::optimize,
    parse::{Body, parse, parse_expression},
    plan::{Statement, display},
    pushdown::Compiler,
    types::{FormatOptions, text::to_text},
};
use sqlparser::ast;
use txn::{Txn, TxnClient};

use crate::schema::{Catalog, type_name};

pub struct World {
    inner: txn::testing::World,
    client: TxnClient,
    catalog: Catalog,
    sequences: Arc<Sequences>,
}

/// Sequences of the harness: any relation number is one.
#[derive(Default)]
struct Sequences {
    values: Mutex<BTreeMap<u32, i64>>,
    row_ids: AtomicI64,
}

#[async_trait]
impl exec::Sequences for Sequences {
    async fn next_value(&self, sequence: TableId, _txn: &mut Txn) -> sql::Result<i64> {
        let mut values = self.values.lock().expect("lock");
        let value = values.entry(sequence.0).or_insert(0);
        *value += 1;
        Ok(*value)
    }

    async fn current_value(&self, sequence: TableId) -> sql::Result<i64> {
        Ok(self.values.lock().expect("lock").get(&sequence.0).copied().unwrap_or(0))
    }

    async fn set_value(&self, sequence: TableId, value: i64, _is_called: bool, _txn: &mut Txn) -> sql::Result<i64> {
        self.values.lock().expect("lock").insert(sequence.0, value);
        Ok(value)
    }

    async fn last_value(&self) -> sql::Result<i64> {
        Ok(0)
    }

    async fn row_ids(&self, count: u64) -> sql::Result<i64> {
        Ok(self.row_ids.fetch_add(count as i64, Ordering::Relaxed))
    }
}

struct NoViews;

#[async_trait]
impl exec::SystemRows for NoViews {
    async fn rows(&self, _: &sql::catalog::Relation, _: &mut Txn, _: &EvalContext) -> sql::Result<Vec<Row>> {
        Ok(Vec::new())
    }
}

impl World {
    pub fn new() -> World {
        let factory = txn::server::evaluate_factory(Arc::new(Compiler), txn::server::Options::default());
        let mut inner = txn::testing::World::new(1, factory);
        let (_, client) = inner.gateway(txn::Options::default());
        World { inner, client, catalog: Catalog::default(), sequences: Arc::default() }
    }

    pub fn run(&mut self, text: &str, tags: &BTreeSet<String>, output: &mut String) -> sql::Result<()> {
        let (text, parameters) = parameters(text);
        for parsed in parse(&text)? {
            match &parsed.body {
                Body::Sql(statement) => match &**statement {
                    ast::Statement::CreateTable(create) => self.catalog.create_table(create),
                    ast::Statement::CreateIndex(create) => self.catalog.create_index(create),
                    ast::Statement::CreateView(create) => self.catalog.create_view(create),
                    statement => self.statement(statement, &parsed.source, &parameters, tags, output)?,
                },
                _ => return Err(SqlError::unsupported("this")),
            }
        }
        Ok(())
    }

    fn statement(
        &mut self,
        syntax: &ast::Statement,
        source: &str,
        parameters: &[String],
        tags: &BTreeSet<String>,
        output: &mut String,
    ) -> sql::Result<()> {
        let session = SessionView { user: "test".into(), time_zone: "UTC".into(), ..SessionView::default() };
        let options = BindOptions { source, parameters: &[] };
        let bound = bind_statement(syntax, &self.catalog, &options)?;
        if tags.contains("types") {
            let columns = bound.columns.iter().flatten();
            let columns: Vec<String> =
                columns.map(|column| format!("{} {}", column.name, type_name(column.ty))).collect();
            let types: Vec<String> = bound.parameters.iter().map(|ty| type_name(*ty)).collect();
            output.push_str(&format!("({}) -> ({})\n", types.join(", "), columns.join(", ")));
        }
        if tags.contains("bound") {
            show_plan(&bound.statement, output);
        }
        let statement = optimize(bound.statement)?;
        if tags.contains("plan") {
            show_plan(&statement, output);
        }
        if tags.contains("only") {
            return Ok(());
        }
        let values: sql::Result<Vec<Value>> =
            parameters.iter().zip(&bound.parameters).map(|(text, ty)| self.value(text, *ty)).collect();
        let eval = EvalContext { parameters: values?.into(), ..EvalContext::new(Arc::new(session)) };
        let statement = Arc::new(statement);
        let client = self.client.clone();
        let sequences = self.sequences.clone();
        let rollback = tags.contains("rollback");
        let tag_of = statement.clone();
        let (rows, affected) = self.inner.block_on(async move {
            let mut txn = client.begin();
            let cancel = AtomicBool::new(false);
            let mut cursor = exec::start(statement);
            let mut rows = Vec::new();
            let mut context = exec::Context {
                txn: &mut txn,
                eval,
                cancel: &cancel,
                system: &NoViews,
                sequences: &*sequences,
                memory_bytes_max: 1 << 20,
            };
            loop {
                match cursor.next_batch(&mut context).await {
                    Ok(Some(batch)) => rows.extend(batch),
                    Ok(None) => break,
                    Err(error) => {
                        txn.rollback().await;
                        return Err(error);
                    }
                }
            }
            match rollback {
                true => txn.rollback().await,
                false => {
                    txn.commit().await?;
                }
            }
            Ok::<_, SqlError>((rows, cursor.affected()))
        })?;
        let types: Vec<DataType> = bound.columns.iter().flatten().map(|column| column.ty).collect();
        for row in rows {
            assert_eq!(row.len(), types.len(), "a row as wide as its description");
            let shown: Vec<String> = row.iter().zip(&types).map(|(value, ty)| show(value, *ty)).collect();
            output.push_str(&shown.join(" | "));
            output.push('\n');
        }
        output.push_str(&tag_of.tag(affected));
        output.push('\n');
        Ok(())
    }

    /// A parameter, written as a literal.
    fn value(&self, text: &str, ty: DataType) -> sql::Result<Value> {
        use sql::expr::cast::{CastContext, coerce};
        let literal = match parse_expression(text)? {
            ast::Expr::Value(value) => match value.value {
                ast::Value::Null => return Ok(Value::Null),
                other => other.into_string().unwrap_or_else(|| text.trim().to_owned()),
            },
            _ => text.trim().to_owned(),
        };
        let expr = sql::expr::Expr::constant(Value::text(literal), DataType::UNKNOWN);
        coerce(expr, ty, -1, CastContext::Explicit)?.eval(&[], &EvalContext::new(Arc::default()))
    }
}

/// The statement, and the literals in its trailing comment.
fn parameters(text: &str) -> (String, Vec<String>) {
    match text.split_once("--") {
        Some((statement, literals)) => {
            (statement.to_owned(), literals.split(',').map(|literal| literal.trim().to_owned()).collect())
        }
        None => (text.to_owned(), Vec::new()),
    }
}

fn show_plan(statement: &Statement, output: &mut String) {
    for line in display::explain(statement) {
        output.push_str(&line);
        output.push('\n');
    }
}

fn show(value: &Value, ty: DataType) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        value => to_text(value, ty, &FormatOptions::default()),
    }
}

pub fn show_error(error: &SqlError) -> String {
    let fields = error.fields();
    let mut text = format!("ERROR {}: {}", fields.state.0, fields.message);
    if let Some(position) = fields.position {
        text.push_str(&format!(" at {position}"));
    }
    for (name, value) in [
        ("DETAIL", &fields.detail),
        ("HINT", &fields.hint),
        ("COLUMN", &fields.column),
        ("CONSTRAINT", &fields.constraint),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("\n{name}: {value}"));
        }
    }
    text.push('\n');
    text
}
