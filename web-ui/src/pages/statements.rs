//! What the cluster is asked for: statements without their values, and what they cost.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        feed::Feed,
        link::link_to,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    route::{Page, Route},
    rows::Row,
};

const STATEMENTS: &str = "SELECT * FROM locus.statement_stats";

const COLUMNS: [Column; 14] = [
    column("query", "Statement", Show::Code),
    column("statement", "Statement", Show::Code),
    column("calls", "Calls", Show::Count),
    column("total_ms", "Total", Show::Millis),
    column("mean_ms", "Mean", Show::Millis),
    column("p99_ms", "99 %", Show::Millis),
    column("max_ms", "Longest", Show::Millis),
    column("rows", "Rows", Show::Count),
    column("rows_scanned", "Scanned", Show::Count),
    column("retries", "Retries", Show::Count),
    column("errors", "Errors", Show::Count),
    column("round_trips", "Round trips", Show::Count),
    column("last_error", "Last error", Show::Text),
    column("plan", "Plan", Show::With(explain)),
];

pub fn page(app: App) -> AnyView {
    let statements = Feed::new(app, 5, || STATEMENTS.to_owned());
    view! {
        <div class="toolbar">{filter(app, "Filter statements…")}</div>
        {panel("Statements", statements, Empty("No statement has been counted yet."), move |rows| {
            table(app, "Statements", &COLUMNS, &rows)
        })}
    }
    .into_any()
}

/// Takes the statement to the editor, which shows its plan.
fn explain(app: App, row: Row<'_>) -> AnyView {
    let text = row.get("query").or_else(|| row.get("statement")).unwrap_or_default();
    link_to(app, Route::to(Page::Sql).with("text", format!("EXPLAIN {text}")), "", "Plan")
}
