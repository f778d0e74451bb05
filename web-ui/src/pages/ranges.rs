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

/// The last hour.
const HEAT: &str = "SELECT * FROM locus.range_heat ORDER BY 1";

/// Ranges drawn at most: those with the most to show.
const HEAT_ROWS_MAX: usize = 40;

const COLUMNS: [Column; 10] = [
    column("range_id", "Range", Show::Count),
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

pub fn page(app: App) -> AnyView {
    let ranges = Feed::new(app, 5, || RANGES.to_owned());
    let heat = Feed::new(app, 10, || HEAT.to_owned());
    view! {
        <div class="toolbar">{filter(app, "Filter by table, key, node…")}</div>
        {panel("Ranges", ranges, Empty("No ranges."), move |rows| table(app, "Ranges", &COLUMNS, &rows))}
        {panel("Heat of the key space", heat, Empty("No load has been measured yet."), |rows| heat_map(&rows))}
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

/// One row a range, one column a moment; the amount is whatever the view calls it.
fn heat_map(rows: &Rows) -> AnyView {
    let amount = |row: Row<'_>| {
        let sum = |names: &[&str]| names.iter().filter_map(|name| row.number(name)).sum::<f64>();
        sum(&["reads", "writes", "requests", "reads_per_second", "writes_per_second", "requests_per_second"])
    };
    let time_of = |row: Row<'_>| {
        ["bucket", "at", "time", "minute"].iter().find_map(|name| row.get(name)).unwrap_or("now").to_owned()
    };
    let name_of = |row: Row<'_>| {
        let table = row.get("table_name").or_else(|| row.get("start_key")).unwrap_or("");
        format!("{} {table}", row.text("range_id"))
    };
    let times: BTreeSet<String> = rows.iter().map(time_of).collect();
    let times: Vec<String> = times.into_iter().collect();
    let mut cells: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in rows.iter() {
        let column = times.binary_search(&time_of(row)).unwrap_or(0);
        cells.entry(name_of(row)).or_insert_with(|| vec![0.0; times.len()])[column] += amount(row);
    }
    let mut ranked: Vec<(String, Vec<f64>)> = cells.into_iter().collect();
    ranked.sort_by(|a, b| b.1.iter().sum::<f64>().total_cmp(&a.1.iter().sum::<f64>()));
    ranked.truncate(HEAT_ROWS_MAX);
    let (labels, cells): (Vec<String>, Vec<Vec<f64>>) = ranked.into_iter().unzip();
    chart::heat(&labels, &times, &cells)
}
