//! The pieces of the key space: where they lie, how large and how busy they are.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        chart,
        feed::Feed,
        icon::status,
        link::link_to,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    route::{Page, Route},
    rows::{Row, Rows},
};

const RANGES: &str = "SELECT * FROM locus.ranges ORDER BY start_key";

/// The last ten minutes.
const HEAT: &str = "SELECT range_id, table_name, start_key,
       floor(extract(epoch FROM clock_timestamp() - bucket_start) / 10)::int AS age,
       reads_per_second + writes_per_second AS requests
FROM locus.range_heat ORDER BY start_key, age";

/// Buckets of ten seconds that are drawn.
const HEAT_COLUMNS: usize = 60;

const REPLICAS: &str = "SELECT r.range_id, r.node_id, r.role, r.committed_index, r.applied_index,
       l.applied_index - r.applied_index AS behind, r.log_entries, r.log_bytes
FROM locus.replicas r LEFT JOIN locus.replicas l ON l.range_id = r.range_id AND l.role = 'leader'
ORDER BY r.range_id, r.node_id";

/// Ranges drawn at most: those with the most to show.
const HEAT_ROWS_MAX: usize = 40;

const COLUMNS: [Column; 10] = [
    column("range_id", "Range", Show::Text),
    column("table_name", "Table", Show::With(table_link)),
    column("index_name", "Index", Show::Text),
    column("start_key", "From key", Show::Code),
    column("leader", "Leader", Show::With(leader)),
    column("replicas", "Replicas", Show::With(replicas)),
    column("size_bytes", "Size", Show::Bytes),
    column("epoch", "Epoch", Show::Count),
    column("term", "Term", Show::Count),
    column("applied_index", "Applied", Show::Count),
];

const REPLICA_COLUMNS: [Column; 8] = [
    column("range_id", "Range", Show::Text),
    column("node_id", "Node", Show::Text),
    column("role", "Role", Show::Text),
    column("committed_index", "Committed", Show::Count),
    column("applied_index", "Applied", Show::Count),
    column("behind", "Behind the leader", Show::Count),
    column("log_entries", "Log entries", Show::Count),
    column("log_bytes", "Log", Show::Bytes),
];

pub fn page(app: App) -> AnyView {
    let ranges = Feed::new(app, 5, || RANGES.to_owned());
    let heat = Feed::new(app, 10, || HEAT.to_owned());
    let replicas = Feed::new(app, 10, || REPLICAS.to_owned());
    view! {
        <div class="toolbar">{filter(app, "Filter by table, key, node…")}</div>
        {panel("Ranges", ranges, Empty("No ranges."), move |rows| table(app, "Ranges", &COLUMNS, &rows))}
        {panel("Requests per second over the key space", heat, Empty("No load has been measured yet."), |rows| heat_map(&rows))}
        {panel("Replicas", replicas, Empty("No replicas."), move |rows| table(app, "Replicas", &REPLICA_COLUMNS, &rows))}
    }
    .into_any()
}

fn table_link(app: App, row: Row<'_>) -> AnyView {
    let Some(name) = row.get("table_name") else { return view! { <span class="null">"–"</span> }.into_any() };
    let (schema, table) = name.split_once('.').unwrap_or(("public", name));
    link_to(app, Route::of(Page::Schema, &[schema, table]), "", name.to_owned())
}

fn leader(_: App, row: Row<'_>) -> AnyView {
    match row.get("leader") {
        Some(node) => format!("node {node}").into_any(),
        None => status("warn", "None"),
    }
}

fn replicas(_: App, row: Row<'_>) -> AnyView {
    row.list("replicas").join(", ").into_any()
}

/// One row a range, in the order of the keys; one column a moment.
fn heat_map(rows: &Rows) -> AnyView {
    let mut cells: Vec<(String, Vec<f64>)> = Vec::new();
    for row in rows.iter() {
        let table = row.get("table_name").or_else(|| row.get("start_key")).unwrap_or("");
        let name = format!("{} {table}", row.text("range_id"));
        if cells.last().is_none_or(|(last, _)| *last != name) {
            cells.push((name, vec![0.0; HEAT_COLUMNS]));
        }
        let age = row.number("age").unwrap_or(0.0).max(0.0) as usize;
        if let Some((_, values)) = cells.last_mut()
            && age < HEAT_COLUMNS
        {
            values[HEAT_COLUMNS - 1 - age] += row.number("requests").unwrap_or(0.0);
        }
    }
    let total = |row: &(String, Vec<f64>)| row.1.iter().sum::<f64>();
    let mut totals: Vec<f64> = cells.iter().map(total).collect();
    totals.sort_by(|a, b| b.total_cmp(a));
    let least = totals.get(HEAT_ROWS_MAX - 1).copied().unwrap_or(0.0);
    cells.retain(|row| total(row) >= least);
    let (labels, cells): (Vec<String>, Vec<Vec<f64>>) = cells.into_iter().unzip();
    let times: Vec<String> = (0..HEAT_COLUMNS).rev().map(|age| format!("{} s ago", age * 10)).collect();
    chart::heat(&labels, &times, ("ten minutes ago", "now"), &cells)
}
