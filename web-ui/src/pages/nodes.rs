//! The processes that keep data, and what they do.

use leptos::prelude::*;

use super::overview::NODES;
use crate::{
    app::App,
    parts::{
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, plain, table},
    },
    rows::Row,
};

pub const COLUMNS: [Column; 12] = [
    column("node_id", "Node", Show::Count),
    column("is_live", "State", Show::With(state)),
    column("address", "Address", Show::Text),
    column("locality", "Locality", Show::Text),
    column("ranges", "Replicas", Show::Count),
    column("leaders", "Leaders", Show::Count),
    column("requests", "Requests", Show::Count),
    column("fsyncs", "Log syncs", Show::Count),
    column("log_bytes", "Log written", Show::Bytes),
    column("cpu_percent", "CPU %", Show::Count),
    column("memory_bytes", "Memory", Show::Bytes),
    column("disk_bytes", "Disk", Show::Bytes),
];

const STORES: &str = "SELECT * FROM locus.stores ORDER BY 1";

const COUNTERS: &str = "SELECT c.key AS counter, max(c.value::int8) AS greatest, sum(c.value::int8) AS sum
FROM locus.nodes n, json_each_text(n.counters) c
GROUP BY c.key ORDER BY c.key";

pub fn page(app: App) -> AnyView {
    let nodes = Feed::new(app, 2, || NODES.to_owned());
    let stores = Feed::new(app, 10, || STORES.to_owned());
    let counters = Feed::new(app, 5, || COUNTERS.to_owned());
    let counter_columns = [
        column("counter", "Counter", Show::Text),
        column("greatest", "Most on one node", Show::Count),
        column("sum", "All nodes", Show::Count),
    ];
    view! {
        {panel("Nodes", nodes, Empty("No node has registered yet."), move |rows| table(app, "Nodes", &COLUMNS, &rows))}
        {panel("Stores", stores, Empty("No store has reported yet."), move |rows| plain("Stores".to_owned(), &rows))}
        {panel("Counters since the processes started", counters, Empty("No counters."), move |rows| {
            table(app, "Counters", &counter_columns, &rows)
        })}
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
