//! Who waits for whom, as a graph and as a list.

use leptos::prelude::*;

use crate::{
    app::App,
    diagram::{Frame, arrow},
    parts::{
        diagram::{arrow_view, drawing},
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
/// How far the arrows of a circle are off the straight way: there and back must not lie on each other.
const CIRCLE_BEND: f64 = 12.0;

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
    let frame = |name: &str| {
        let (column, row) = graph.places.get(name).copied().unwrap_or_default();
        let (x, y) = (8.0 + column as f64 * COLUMN_WIDTH, 8.0 + row as f64 * ROW_HEIGHT);
        Frame { x, y, width: BOX_WIDTH, height: BOX_HEIGHT }
    };
    let arrows = graph.edges.iter().map(|(waiter, holder)| {
        let bend = if graph.circle.contains(waiter) && graph.circle.contains(holder) { CIRCLE_BEND } else { 0.0 };
        arrow_view(arrow(&frame(waiter), &frame(holder), bend), "", None)
    });
    let arrows = arrows.collect_view();
    let boxes = graph.places.keys().map(|name| {
        let Frame { x, y, .. } = frame(name);
        let class = if graph.circle.contains(name) { "vertex circle" } else { "vertex" };
        view! {
            <rect class=class x=x y=y width=BOX_WIDTH height=BOX_HEIGHT rx="4" />
            <text x=x + BOX_WIDTH / 2.0 y=y + 21.0 text-anchor="middle">{name.clone()}</text>
        }
    });
    let boxes = boxes.collect_view();
    let said: Vec<String> = graph.edges.iter().map(|(waiter, holder)| format!("{waiter} waits for {holder}")).collect();
    let size = (graph.columns() as f64 * COLUMN_WIDTH + 16.0, graph.rows() as f64 * ROW_HEIGHT + 16.0);
    let deadlock =
        (!graph.circle.is_empty()).then(|| status("bad", "Some wait for each other; the youngest will be ended"));
    view! {
        <p class="line">"Arrows go from those who wait to those whom they wait for. " {deadlock}</p>
        {drawing("Graph of waits".to_owned(), size, "img", said.join("; "), view! { {arrows} {boxes} }.into_any())}
    }
    .into_any()
}
