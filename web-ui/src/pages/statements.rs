//! What the cluster is asked for: statements without their values, and what they cost.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        feed::Feed,
        icon::status,
        link::link_to,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    route::{Page, Route},
    rows::Row,
};

const STATEMENTS: &str = "SELECT * FROM locus.statement_stats ORDER BY total_exec_time DESC";

const COLUMNS: [Column; 9] = [
    column("query", "Statement", Show::Code),
    column("calls", "Calls", Show::Count),
    column("total_exec_time", "Total", Show::Millis),
    column("mean_exec_time", "Mean", Show::Millis),
    column("max_exec_time", "Longest", Show::Millis),
    column("rows", "Rows", Show::Count),
    column("retries", "Retries", Show::Count),
    column("errors", "Errors", Show::With(errors)),
    column("plan", "Plan", Show::With(plan)),
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

/// How many, and which as a tooltip.
fn errors(_: App, row: Row<'_>) -> AnyView {
    let which = row.text("errors_by_sqlstate");
    match row.text("errors") {
        none if none == "0" => view! { <span class="figure null">"0"</span> }.into_any(),
        some => view! { <span class="figure" title=which>{status("warn", some)}</span> }.into_any(),
    }
}

/// The plan that ran last, and the statement in the editor.
fn plan(app: App, row: Row<'_>) -> AnyView {
    let edit = link_to(app, Route::to(Page::Sql).with("text", row.text("query")), "quiet", "Editor");
    let Some(plan) = row.get("plan") else { return edit };
    view! {
        <details class="in-cell">
            <summary>"Plan"</summary>
            <pre>{plan.to_owned()}</pre>
            {edit}
        </details>
    }
    .into_any()
}
