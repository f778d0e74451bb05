//! Who is connected and what they run; cancel and end.

use leptos::prelude::*;

use crate::{
    app::App,
    format,
    parts::{
        dialog::Action,
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    rows::Row,
};

const SESSIONS: &str = "SELECT s.*,
       1000 * extract(epoch FROM clock_timestamp() - query_start) AS query_ms,
       1000 * extract(epoch FROM clock_timestamp() - transaction_start) AS transaction_ms,
       s.pid = pg_backend_pid() AS own
FROM locus.sessions s ORDER BY backend_start";

const COLUMNS: [Column; 11] = [
    column("pid", "Session", Show::Text),
    column("actions", "Actions", Show::With(actions)),
    column("user_name", "Role", Show::Text),
    column("database", "Database", Show::Text),
    column("application_name", "Application", Show::Text),
    column("client_address", "From", Show::Text),
    column("state", "State", Show::With(state)),
    column("query_ms", "Statement for", Show::With(statement_age)),
    column("transaction_ms", "Transaction for", Show::Millis),
    column("query", "Statement", Show::Code),
    column("backend_start", "Since", Show::Text),
];

pub fn page(app: App) -> AnyView {
    let sessions = Feed::new(app, 2, || SESSIONS.to_owned());
    view! {
        <div class="toolbar">{filter(app, "Filter by role, statement…")}</div>
        {panel("Sessions", sessions, Empty("No sessions."), move |rows| table(app, "Sessions", &COLUMNS, &rows))}
    }
    .into_any()
}

fn state(_: App, row: Row<'_>) -> AnyView {
    let word = row.text("state");
    match word.as_str() {
        "active" => status("good", word),
        "idle in transaction" => status("warn", word),
        "idle in transaction (aborted)" => status("bad", word),
        _ => status("wait", word),
    }
}

/// A session that does nothing has its last statement's age, which says nothing.
fn statement_age(_: App, row: Row<'_>) -> AnyView {
    let runs = row.get("state") == Some("active");
    let age = row.number("query_ms").filter(|_| runs).map(format::millis);
    view! { <span class="figure">{age.unwrap_or_else(|| "–".to_owned())}</span> }.into_any()
}

fn actions(app: App, row: Row<'_>) -> AnyView {
    if row.flag("own") == Some(true) {
        return view! { <span class="note">"this page"</span> }.into_any();
    }
    let (pid, role) = (row.text("pid"), row.text("user_name"));
    let (pid_2, role_2) = (pid.clone(), role.clone());
    let cancel = move |_| {
        let text = format!("Stops the statement that session {pid} of {role} runs. The session stays.");
        Action::new("Cancel a statement", text, format!("SELECT pg_cancel_backend({pid})")).ask(app);
    };
    let end = move |_| {
        let text = format!("Ends session {pid_2} of {role_2}. Its open transaction is rolled back.");
        let sql = format!("SELECT pg_terminate_backend({pid_2})");
        Action::new("End a session", text, sql).naming(&pid_2).ask(app);
    };
    view! {
        <button class="quiet" on:click=cancel>"Cancel"</button>
        <button class="quiet" on:click=end>"End"</button>
    }
    .into_any()
}
