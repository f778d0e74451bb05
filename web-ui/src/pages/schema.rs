//! Tables, views and sequences: what they consist of, how large they are, where they lie.

use leptos::prelude::*;

use crate::{
    app::App,
    ddl,
    parts::{
        dialog::Action,
        feed::Feed,
        link::link_to,
        panel::{Empty, panel, sql_text},
        table::{Column, Show, column, filter, table},
    },
    route::{Page, Route},
    rows::{Row, Rows},
    statement::{quote_name, quote_text},
};

const TABLES: &str = "SELECT n.nspname AS schema, c.relname AS name,
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'sequence' END AS kind,
       count(r.range_id) AS ranges, sum(r.size_bytes) AS size_bytes
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN locus.ranges r ON r.table_name = n.nspname || '.' || c.relname
WHERE c.relkind IN ('r', 'v', 'm', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'locus')
GROUP BY 1, 2, 3 ORDER BY 1, 2";

const TABLE_COLUMNS: [Column; 5] = [
    column("schema", "Schema", Show::Text),
    column("name", "Name", Show::With(name_link)),
    column("kind", "Kind", Show::Text),
    column("ranges", "Ranges that begin in it", Show::Count),
    column("size_bytes", "Size of those", Show::Bytes),
];

pub fn page(app: App) -> AnyView {
    let chosen = Memo::new(move |_| {
        let route = app.route.read();
        (route.part(0).to_owned(), route.part(1).to_owned())
    });
    view! {
        {move || {
            let (schema, name) = chosen.get();
            if name.is_empty() { listing(app) } else { detail(app, schema, name) }
        }}
    }
    .into_any()
}

fn listing(app: App) -> AnyView {
    let tables = Feed::new(app, 15, || TABLES.to_owned());
    view! {
        <div class="toolbar">{filter(app, "Filter by name…")}</div>
        {panel("Tables, views, sequences", tables, Empty("There are no tables yet. CREATE TABLE in the SQL page makes one."), move |rows| {
            table(app, "Tables, views, sequences", &TABLE_COLUMNS, &rows)
        })}
    }
    .into_any()
}

fn name_link(app: App, row: Row<'_>) -> AnyView {
    let (schema, name) = (row.text("schema"), row.text("name"));
    link_to(app, Route::of(Page::Schema, &[&schema, &name]), "", name)
}

fn columns_sql(table: &str) -> String {
    format!(
        "SELECT a.attnum AS position, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null, pg_get_expr(d.adbin, d.adrelid) AS default_value
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"
    )
}

fn indexes_sql(table: &str) -> String {
    format!(
        "SELECT c.relname AS name, i.indisunique AS is_unique, k.oid IS NOT NULL AS of_constraint,
       pg_get_indexdef(i.indexrelid) AS definition
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
WHERE i.indrelid = {table} ORDER BY 1"
    )
}

fn constraints_sql(table: &str) -> String {
    format!(
        "SELECT conname AS name, contype AS kind, pg_get_constraintdef(oid) AS definition
FROM pg_catalog.pg_constraint WHERE conrelid = {table} ORDER BY contype = 'p' DESC, 1"
    )
}

fn ranges_sql(schema: &str, name: &str) -> String {
    let full = quote_text(&format!("{schema}.{name}"));
    format!(
        "SELECT range_id, index_name, start_key, leader, replicas, size_bytes\nFROM locus.ranges WHERE table_name = {full} ORDER BY start_key"
    )
}

fn detail(app: App, schema: String, name: String) -> AnyView {
    let table_name = ddl::regclass(&schema, &name);
    let of = move |sql: fn(&str) -> String| {
        let table = table_name.clone();
        Feed::new(app, 0, move || sql(&table))
    };
    let (columns, indexes, constraints) = (of(columns_sql), of(indexes_sql), of(constraints_sql));
    let (range_schema, range_name) = (schema.clone(), name.clone());
    let ranges = Feed::new(app, 10, move || ranges_sql(&range_schema, &range_name));
    let full = format!("{}.{}", quote_name(&schema), quote_name(&name));
    let rows = Route::to(Page::Sql).with("text", format!("SELECT * FROM {full} LIMIT 100"));
    let (drop_name, dropped) = (full.clone(), name.clone());
    let drop_it = move |_| {
        let text = format!("Removes {drop_name} with all its rows. Nothing brings them back.");
        let back = move |_| app.go(Route::to(Page::Schema));
        Action::new("Drop a table", text, format!("DROP TABLE {drop_name}")).naming(&dropped).then(back).ask(app);
    };
    let create = move || {
        let (columns, constraints, indexes) = (columns.rows.get()?, constraints.rows.get()?, indexes.rows.get()?);
        (!columns.is_empty())
            .then(|| sql_text(app, &ddl::create_table(&schema, &name, &columns, &constraints, &indexes)))
    };
    view! {
        <p class="toolbar">
            {link_to(app, Route::to(Page::Schema), "", "All tables")}
            <b class="code">{full}</b>
            {link_to(app, rows, "button", "See its rows")}
            <span class="grow"></span>
            <button on:click=drop_it>"Drop…"</button>
        </p>
        {panel("Columns", columns, Empty("It has no columns."), move |rows| table(app, "Columns", &COLUMN_COLUMNS, &rows))}
        {panel("Indexes", indexes, Empty("No indexes."), move |rows| table(app, "Indexes", &INDEX_COLUMNS, &rows))}
        {panel("Constraints", constraints, Empty("No constraints."), move |rows| table(app, "Constraints", &CONSTRAINT_COLUMNS, &rows))}
        {panel("Ranges that begin in it", ranges, Empty("None: it lies in the range of its neighbour."), move |rows| ranges_of(app, &rows))}
        <section class="panel" aria-label="DDL">
            <header class="panel-head">
                <h2>"DDL"</h2>
            </header>
            {create}
        </section>
    }
    .into_any()
}

const COLUMN_COLUMNS: [Column; 4] = [
    column("name", "Column", Show::Text),
    column("type", "Type", Show::Text),
    column("not_null", "NULL", Show::With(nullable)),
    column("default_value", "Default", Show::Code),
];

const INDEX_COLUMNS: [Column; 2] =
    [column("name", "Index", Show::Text), column("definition", "Definition", Show::Code)];

const CONSTRAINT_COLUMNS: [Column; 2] =
    [column("name", "Constraint", Show::Text), column("definition", "Definition", Show::Code)];

fn nullable(_: App, row: Row<'_>) -> AnyView {
    if row.flag("not_null") == Some(true) { "no".into_any() } else { "yes".into_any() }
}

fn ranges_of(app: App, rows: &Rows) -> AnyView {
    const COLUMNS: [Column; 6] = [
        column("range_id", "Range", Show::Text),
        column("index_name", "Index", Show::Text),
        column("start_key", "From key", Show::Code),
        column("leader", "Leader", Show::Text),
        column("replicas", "Replicas", Show::Text),
        column("size_bytes", "Size", Show::Bytes),
    ];
    table(app, "Ranges", &COLUMNS, rows)
}
