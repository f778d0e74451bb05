//! The processes that keep data, and what they do.

use std::collections::BTreeSet;

use leptos::prelude::*;

use super::overview::NODES;
use crate::{
    app::App,
    format,
    parts::{
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, table},
    },
    rows::{Row, Rows},
};

pub const COLUMNS: [Column; 11] = [
    column("node_id", "Node", Show::Text),
    column("is_live", "State", Show::With(state)),
    column("address", "Address", Show::Text),
    column("ranges", "Replicas", Show::Count),
    column("leaders", "Leaders", Show::Count),
    column("requests", "Requests", Show::Count),
    column("fsyncs", "Log syncs", Show::Count),
    column("log_bytes", "Log written", Show::Bytes),
    column("cpu_percent", "CPU %", Show::Count),
    column("memory_bytes", "Memory", Show::Bytes),
    column("network_sent_bytes", "Sent", Show::Bytes),
];

const STORES: &str = "SELECT * FROM locus.stores ORDER BY node_id";

const STORE_COLUMNS: [Column; 8] = [
    column("node_id", "Node", Show::Text),
    column("used_bytes", "Used", Show::Bytes),
    column("engine_files_bytes", "Tables", Show::Bytes),
    column("engine_live_bytes", "Live in them", Show::Bytes),
    column("engine_memtables_bytes", "In memory", Show::Bytes),
    column("log_bytes", "Log", Show::Bytes),
    column("available_bytes", "Free on the disk", Show::Bytes),
    column("capacity_bytes", "Disk", Show::Bytes),
];

const LATENCIES: &str = "SELECT node_id, peer_id, is_live, round_trip_ms FROM locus.latencies ORDER BY 1, 2";

const COUNTERS: &str = "SELECT replace(name, 'locus_node_', '') AS counter, max(value) AS greatest, sum(value) AS sum
FROM locus.metrics WHERE kind = 'counter' AND node_id IS NOT NULL
GROUP BY name ORDER BY name";

pub fn page(app: App) -> AnyView {
    let nodes = Feed::new(app, 2, || NODES.to_owned());
    let stores = Feed::new(app, 10, || STORES.to_owned());
    let latencies = Feed::new(app, 5, || LATENCIES.to_owned());
    let counters = Feed::new(app, 5, || COUNTERS.to_owned());
    let counter_columns = [
        column("counter", "Counter", Show::Text),
        column("greatest", "Most on one node", Show::Count),
        column("sum", "All nodes", Show::Count),
    ];
    view! {
        {panel("Nodes", nodes, Empty("No node has registered yet."), move |rows| table(app, "Nodes", &COLUMNS, &rows))}
        {panel("Stores", stores, Empty("No store has reported yet."), move |rows| table(app, "Stores", &STORE_COLUMNS, &rows))}
        {panel("Round trips between nodes", latencies, Empty("No node has heard of another."), |rows| matrix(&rows))}
        {panel("Counters since the processes started", counters, Empty("No counters."), move |rows| {
            table(app, "Counters", &counter_columns, &rows)
        })}
    }
    .into_any()
}

/// From the node of the row to that of the column.
fn matrix(rows: &Rows) -> AnyView {
    let nodes: BTreeSet<u64> = rows
        .iter()
        .flat_map(|row| [row.number("node_id"), row.number("peer_id")])
        .flatten()
        .map(|id| id as u64)
        .collect();
    let head = nodes.iter().map(|node| view! { <th scope="col" class="number">{format!("node {node}")}</th> });
    let head = head.collect_view();
    let body = nodes.iter().map(|from| {
        let cells = nodes.iter().map(|to| {
            let ends = |row: &Row<'_>| {
                row.number("node_id") == Some(*from as f64) && row.number("peer_id") == Some(*to as f64)
            };
            match rows.iter().find(ends) {
                Some(row) if row.flag("is_live") == Some(false) => {
                    view! { <td class="number">{status("bad", "down")}</td> }.into_any()
                }
                Some(row) => {
                    let time = row.number("round_trip_ms").map_or("–".to_owned(), format::millis);
                    view! { <td class="number">{time}</td> }.into_any()
                }
                None => view! { <td class="number null">"–"</td> }.into_any(),
            }
        });
        view! {
            <tr>
                <th scope="row">{format!("node {from}")}</th>
                {cells.collect_view()}
            </tr>
        }
    });
    let body = body.collect_view();
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Round trips between nodes">
            <table class="plain">
                <thead>
                    <tr>
                        <td></td>
                        {head}
                    </tr>
                </thead>
                <tbody>{body}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn state(_: App, row: Row<'_>) -> AnyView {
    match row.flag("is_live") {
        Some(true) => status("good", "Live"),
        Some(false) => status("bad", "Down"),
        None => status("info", "Unknown"),
    }
}
