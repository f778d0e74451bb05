//! Who waits for whom, as a graph and as a list.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::plain,
    },
    rows::{Row, Rows},
    waits::Graph,
};

const WAITS: &str =
    "SELECT w.*, s.user_name AS waiter, s.query AS waiting_statement, h.user_name AS holder, h.query AS last_of_holder
FROM locus.lock_waits w
LEFT JOIN locus.sessions s ON s.pid = w.waiter_pid
LEFT JOIN locus.sessions h ON h.pid = w.holder_pid";

const BOX_WIDTH: f64 = 150.0;
const BOX_HEIGHT: f64 = 32.0;
const COLUMN_WIDTH: f64 = 220.0;
const ROW_HEIGHT: f64 = 48.0;

pub fn page(app: App) -> AnyView {
    let waits = Feed::new(app, 1, || WAITS.to_owned());
    view! {
        {panel("Lock waits", waits, Empty("Nobody waits for a lock."), move |rows| view! {
            {graph(&rows)}
            {plain("Lock waits".to_owned(), &rows)}
        }.into_any())}
    }
    .into_any()
}

/// A session of this gateway by its number, another gateway's by its transaction.
fn name(row: Row<'_>, pid: &str, transaction: &str) -> Option<String> {
    let session = row.get(pid).map(|pid| format!("session {pid}"));
    session.or_else(|| Some(format!("transaction {}", row.get(transaction)?)))
}

fn waiter(row: Row<'_>) -> Option<String> {
    name(row, "waiter_pid", "waiter_transaction")
}

fn holder(row: Row<'_>) -> Option<String> {
    name(row, "holder_pid", "holder_transaction")
}

fn graph(rows: &Rows) -> AnyView {
    let graph = Graph::new(rows.iter().filter_map(|row| Some((waiter(row)?, holder(row)?))));
    if graph.edges.is_empty() {
        return ().into_any();
    }
    let place = |name: &str| {
        let (column, row) = graph.places.get(name).copied().unwrap_or_default();
        (8.0 + column as f64 * COLUMN_WIDTH, 8.0 + row as f64 * ROW_HEIGHT)
    };
    let arrows = graph.edges.iter().map(|(waiter, holder)| {
        let ((from_x, from_y), (to_x, to_y)) = (place(waiter), place(holder));
        let (from_y, to_y) = (from_y + BOX_HEIGHT / 2.0, to_y + BOX_HEIGHT / 2.0);
        let to_x = to_x + BOX_WIDTH;
        let bend = (from_x - to_x).abs().max(40.0) / 2.0;
        let path =
            format!("M{from_x} {from_y}C{} {from_y} {} {to_y} {} {to_y}", from_x - bend, to_x + bend, to_x + 6.0);
        view! { <path class="arrow" d=path marker-end="url(#arrow-head)" /> }
    });
    let arrows = arrows.collect_view();
    let boxes = graph.places.keys().map(|name| {
        let (x, y) = place(name);
        let class = if graph.circle.contains(name) { "vertex circle" } else { "vertex" };
        view! {
            <rect class=class x=x y=y width=BOX_WIDTH height=BOX_HEIGHT rx="4" />
            <text x=x + BOX_WIDTH / 2.0 y=y + 21.0 text-anchor="middle">{name.clone()}</text>
        }
    });
    let boxes = boxes.collect_view();
    let said: Vec<String> = graph.edges.iter().map(|(waiter, holder)| format!("{waiter} waits for {holder}")).collect();
    let (width, height) = (graph.columns() as f64 * COLUMN_WIDTH + 16.0, graph.rows() as f64 * ROW_HEIGHT + 16.0);
    let deadlock =
        (!graph.circle.is_empty()).then(|| status("bad", "Some wait for each other; the youngest will be ended"));
    view! {
        <p class="line">"Arrows go from those who wait to those whom they wait for. " {deadlock}</p>
        <div class="scroll" tabindex="0" role="region" aria-label="Graph of waits">
            <svg class="waits" width=width height=height role="img" aria-label=said.join("; ")>
                <defs>
                    <marker id="arrow-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
                        <path d="M0 0l8 4-8 4z" />
                    </marker>
                </defs>
                {arrows}
                {boxes}
            </svg>
        </div>
    }
    .into_any()
}
