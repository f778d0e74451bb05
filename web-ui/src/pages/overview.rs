//! How the cluster is, what needs attention, what it does at the moment, what happened.

use std::collections::BTreeMap;

use leptos::prelude::*;

use crate::{
    app::App,
    browser, format,
    health::{Health, health},
    parts::{
        chart,
        feed::Feed,
        icon::status,
        link::link_to,
        panel::{Empty, panel},
        table::{Column, Show, column, table},
    },
    route::{Page, Route},
    rows::{Row, Rows},
};

pub const NODES: &str = "SELECT n.*, m.requests, m.fsyncs, m.fsync_micros, m.log_bytes
FROM locus.nodes n
LEFT JOIN (
    SELECT node_id,
           max(value) FILTER (WHERE name = 'locus_node_requests') AS requests,
           max(value) FILTER (WHERE name = 'locus_node_fsyncs') AS fsyncs,
           max(value) FILTER (WHERE name = 'locus_node_fsync_micros') AS fsync_micros,
           max(value) FILTER (WHERE name = 'locus_node_log_bytes') AS log_bytes
    FROM locus.metrics GROUP BY node_id
) m ON m.node_id = n.node_id
ORDER BY n.node_id";

const RANGES: &str = "SELECT range_id, leader, replicas, size_bytes FROM locus.ranges";

const SESSIONS: &str = "SELECT count(*) AS sessions,
       count(*) FILTER (WHERE state = 'active') AS active
FROM pg_catalog.pg_stat_activity";

const EVENTS: &str = "SELECT to_char(at, 'YYYY-MM-DD HH24:MI:SS') AS at, severity, kind, node_id, range_id, peer_id
FROM locus.events e ORDER BY e.at DESC LIMIT 50";

const EVENT_COLUMNS: [Column; 6] = [
    column("at", "At", Show::Text),
    column("severity", "Severity", Show::With(severity)),
    column("kind", "What", Show::Text),
    column("node_id", "Seen by node", Show::Text),
    column("range_id", "Range", Show::Text),
    column("peer_id", "Other node", Show::Text),
];

const METRICS: &str = "SELECT sum(value) FILTER (WHERE name = 'locus_gateway_statements') AS statements,
       sum(value) FILTER (WHERE name = 'locus_gateway_statement_micros') AS micros,
       sum(value) FILTER (WHERE name = 'locus_gateway_statement_errors') AS errors,
       sum(value) FILTER (WHERE name = 'locus_gateway_statement_retries') AS retries
FROM locus.metrics";

pub fn page(app: App) -> AnyView {
    let nodes = Feed::new(app, 2, || NODES.to_owned());
    let ranges = Feed::new(app, 5, || RANGES.to_owned());
    let sessions = Feed::new(app, 5, || SESSIONS.to_owned());
    let metrics = Feed::new(app, 2, || METRICS.to_owned());
    let events = Feed::new(app, 10, || EVENTS.to_owned());
    watch(app, nodes, sessions, ranges);
    watch_statements(app, metrics);
    let judged = Memo::new(move |_| {
        let (nodes, ranges) = (nodes.rows.get()?, ranges.rows.get()?);
        Some(health(&nodes, &ranges))
    });
    view! {
        {move || judged.get().map(|health| state(app, &health))}
        {panel("Nodes", nodes, Empty("No node has registered yet."), move |rows| view! {
            {tiles(app)}
            {table(app, "Nodes", &super::nodes::COLUMNS, &rows)}
        }.into_any())}
        {panel("Statements of this gateway", metrics, Empty("Nothing is counted."), move |_| statement_tiles(app))}
        {panel("Ranges", ranges, Empty("No ranges: is the cluster being set up?"), move |rows| range_summary(app, &rows))}
        {panel("Sessions", sessions, Empty("No sessions."), move |rows| session_summary(app, &rows))}
        {panel("Events", events, Empty("Nothing has happened."), move |rows| table(app, "Events", &EVENT_COLUMNS, &rows))}
    }
    .into_any()
}

fn state(app: App, health: &Health) -> AnyView {
    let concerns = health.concerns.iter().map(|concern| {
        let place = Route::parse(&format!("/{}", concern.place), "");
        view! {
            <li>
                {status(concern.kind, concern.text.clone())}
                {link_to(app, place, "", concern.remedy)}
            </li>
        }
    });
    let concerns = concerns.collect_view();
    let calm = health.concerns.is_empty().then(|| view! { <p class="note">"Nothing needs attention."</p> });
    view! {
        <section class=format!("state {}", health.kind) aria-label="State of the cluster" role="status">
            <p class="sentence">{status(health.kind, health.word)} <span id="state">{health.sentence.clone()}</span></p>
            {calm}
            <ul class="concerns">{concerns}</ul>
        </section>
    }
    .into_any()
}

/// Counters of the nodes at one moment.
#[derive(Clone, Copy, Default)]
struct Sample {
    at: f64,
    requests: f64,
    fsyncs: f64,
    fsync_micros: f64,
    log_bytes: f64,
}

fn sample(rows: &Rows) -> Sample {
    let sum = |name: &str| rows.iter().filter_map(|node| node.number(name)).sum();
    Sample {
        at: browser::now(),
        requests: sum("requests"),
        fsyncs: sum("fsyncs"),
        fsync_micros: sum("fsync_micros"),
        log_bytes: sum("log_bytes"),
    }
}

/// Feeds the tiles' series.
fn watch(app: App, nodes: Feed, sessions: Feed, ranges: Feed) {
    Effect::new(move |before: Option<Option<Sample>>| {
        let rows = nodes.rows.get()?;
        let now = sample(&rows);
        if let Some(before) = before.flatten() {
            let seconds = (now.at - before.at) / 1000.0;
            let fsyncs = chart::rate(before.fsyncs, now.fsyncs, seconds);
            chart::remember(app, "requests", chart::rate(before.requests, now.requests, seconds));
            chart::remember(app, "fsyncs", fsyncs);
            chart::remember(app, "log", chart::rate(before.log_bytes, now.log_bytes, seconds));
            let micros = chart::rate(before.fsync_micros, now.fsync_micros, seconds);
            chart::remember(app, "fsync", if fsyncs > 0.0 { micros / fsyncs / 1000.0 } else { 0.0 });
        }
        Some(now)
    });
    Effect::new(move |_| {
        if let Some(row) = sessions.rows.get().as_deref().and_then(Rows::first) {
            chart::remember(app, "sessions", row.number("sessions").unwrap_or(0.0));
        }
    });
    Effect::new(move |_| {
        if let Some(rows) = ranges.rows.get() {
            chart::remember(app, "bytes", rows.iter().filter_map(|range| range.number("size_bytes")).sum());
        }
    });
}

fn watch_statements(app: App, metrics: Feed) {
    Effect::new(move |before: Option<Option<[f64; 5]>>| {
        let rows = metrics.rows.get()?;
        let row = rows.first()?;
        let count = |name: &str| row.number(name).unwrap_or(0.0);
        let now = [browser::now(), count("statements"), count("micros"), count("errors"), count("retries")];
        if let Some(before) = before.flatten() {
            let rate = |at: usize| chart::rate(before[at], now[at], (now[0] - before[0]) / 1000.0);
            let statements = rate(1);
            chart::remember(app, "statements", statements);
            chart::remember(app, "latency", if statements > 0.0 { rate(2) / statements / 1000.0 } else { 0.0 });
            chart::remember(app, "errors", rate(3));
            chart::remember(app, "retries", rate(4));
        }
        Some(now)
    });
}

fn severity(_: App, row: Row<'_>) -> AnyView {
    let word = row.text("severity");
    match word.to_ascii_lowercase().as_str() {
        "error" => status("bad", word),
        "warn" | "warning" => status("warn", word),
        _ => status("info", word),
    }
}

fn statement_tiles(app: App) -> AnyView {
    view! {
        <div class="tiles">
            {tile(app, "Statements per second", "statements", format::short)}
            {tile(app, "Mean time", "latency", format::millis)}
            {tile(app, "Errors per second", "errors", format::short)}
            {tile(app, "Retries per second", "retries", format::short)}
        </div>
    }
    .into_any()
}

fn tile(app: App, title: &'static str, series: &'static str, show: fn(f64) -> String) -> AnyView {
    view! {
        <div class="tile">
            <p class="tile-title">{title}</p>
            <p class="tile-value">
                {move || chart::remembered(app, series).last().map_or("…".to_owned(), |value| show(*value))}
            </p>
            {move || {
                let values = chart::remembered(app, series);
                let most = values.iter().copied().fold(0.0, f64::max);
                chart::sparkline(&values, format!("{title}, recent values; the most was {}", show(most)))
            }}
        </div>
    }
    .into_any()
}

fn tiles(app: App) -> AnyView {
    view! {
        <div class="tiles">
            {tile(app, "Requests per second", "requests", format::short)}
            {tile(app, "Log syncs per second", "fsyncs", format::short)}
            {tile(app, "Mean log sync", "fsync", format::millis)}
            {tile(app, "Log written per second", "log", format::bytes)}
            {tile(app, "Sessions", "sessions", format::short)}
            {tile(app, "Data, without copies", "bytes", format::bytes)}
        </div>
    }
    .into_any()
}

fn range_summary(app: App, rows: &Rows) -> AnyView {
    let mut leaders: BTreeMap<String, usize> = BTreeMap::new();
    for range in rows.iter() {
        *leaders.entry(range.get("leader").map_or("none".to_owned(), |node| format!("node {node}"))).or_default() += 1;
    }
    let leaders: Vec<String> = leaders.iter().map(|(node, count)| format!("{node}: {count}")).collect();
    view! {
        <p class="line">
            {format::plural(rows.len(), "range")}
            ". Leaders: "
            {leaders.join(", ")}
            ". "
            {link_to(app, Route::to(Page::Ranges), "", "See the ranges")}
        </p>
    }
    .into_any()
}

fn session_summary(app: App, rows: &Rows) -> AnyView {
    let count = |name: &str| rows.first().map_or_else(String::new, |row| row.text(name));
    view! {
        <p class="line">
            {count("sessions")}
            " on this gateway, "
            {count("active")}
            " running a statement. "
            {link_to(app, Route::to(Page::Sessions), "", "See the sessions")}
        </p>
    }
    .into_any()
}
