//! The audit log: what was done, and whether anybody has tampered with the record of it.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    rows::{Row, Rows},
};

const AUDIT: &str =
    "SELECT number, to_char(at, 'YYYY-MM-DD HH24:MI:SS') AS at, event, role, address, object, succeeded, detail
FROM locus.audit ORDER BY number DESC LIMIT 200";

const VERIFY: &str = "SELECT rows, is_whole, broken_at, newest_hash FROM locus.verify_audit()";

const COLUMNS: [Column; 8] = [
    column("number", "Row", Show::Text),
    column("at", "At", Show::Text),
    column("event", "What", Show::Text),
    column("succeeded", "Result", Show::With(result)),
    column("role", "Role", Show::Text),
    column("object", "On", Show::Text),
    column("address", "From", Show::Text),
    column("detail", "Detail", Show::Text),
];

pub fn part(app: App) -> AnyView {
    let chain = Feed::new(app, 0, || VERIFY.to_owned());
    let rows = Feed::new(app, 10, || AUDIT.to_owned());
    view! {
        {panel("Is the log whole?", chain, Empty("No answer."), |rows| verdict(&rows))}
        <div class="toolbar">{filter(app, "Filter by role, event…")}</div>
        {panel("The newest 200 rows", rows, Empty("Nothing was written down yet."), move |rows| table(app, "Audit log", &COLUMNS, &rows))}
    }
    .into_any()
}

fn result(_: App, row: Row<'_>) -> AnyView {
    if row.flag("succeeded") == Some(true) { status("good", "Done") } else { status("bad", "Refused") }
}

/// What following the chain of hashes has shown.
fn verdict(rows: &Rows) -> AnyView {
    let Some(row) = rows.first() else { return ().into_any() };
    let verdict = match (row.flag("is_whole"), row.get("broken_at")) {
        (Some(true), _) => status("good", format!("Whole: {} rows, each bound to the one before", row.text("rows"))),
        (_, Some(number)) => {
            status("bad", format!("Broken at row {number}: it was changed, or one before it is missing"))
        }
        _ => status("bad", "Broken"),
    };
    view! {
        <p id="chain" class="line">{verdict}</p>
        <p class="line">
            <span class="note">"Newest hash; write it down elsewhere to notice a log that was cut: "</span>
            <code class="breaks">{row.text("newest_hash")}</code>
        </p>
    }
    .into_any()
}
