//! The pieces of the key space: where they lie, how large and how busy they are.

use std::collections::{BTreeMap, BTreeSet};

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
const HEAT: &str = "SELECT range_id, table_name, start_key, to_char(bucket_start, 'HH24:MI:SS') AS at,
       reads_per_second + writes_per_second AS requests
FROM locus.range_heat ORDER BY bucket_start, range_id";

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

/// One row a range, one column a moment.
fn heat_map(rows: &Rows) -> AnyView {
    let name_of = |row: Row<'_>| {
        let table = row.get("table_name").or_else(|| row.get("start_key")).unwrap_or("");
        format!("{} {table}", row.text("range_id"))
    };
    let times: BTreeSet<String> = rows.iter().map(|row| row.text("at")).collect();
    let times: Vec<String> = times.into_iter().collect();
    let mut cells: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter() {
        let column = times.binary_search(&row.text("at")).unwrap_or(0);
        cells.entry(name_of(row)).or_insert_with(|| vec![0.0; times.len()])[column] +=
            row.number("requests").unwrap_or(0.0);
    }
    let mut ranked: Vec<(String, Vec<f64>)> = cells.into_iter().collect();
    ranked.sort_by(|a, b| b.1.iter().sum::<f64>().total_cmp(&a.1.iter().sum::<f64>()));
    ranked.truncate(HEAT_ROWS_MAX);
    let (labels, cells): (Vec<String>, Vec<Vec<f64>>) = ranked.into_iter().unzip();
    chart::heat(&labels, &times, &cells)
}
