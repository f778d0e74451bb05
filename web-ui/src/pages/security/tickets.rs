//! Tickets: names and secrets for programs, valid for hours.

use std::sync::Arc;

use leptos::prelude::*;

use super::shown_once;
use crate::{
    app::App,
    parts::{
        dialog::Action,
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    rows::{Row, Rows},
    statement::with_text,
};

const TICKETS: &str = "SELECT ticket, role, factors, note,
       to_char(created_at, 'YYYY-MM-DD HH24:MI:SS') AS created_at,
       to_char(used_at, 'YYYY-MM-DD HH24:MI:SS') AS used_at,
       to_char(expires_at, 'YYYY-MM-DD HH24:MI:SS') AS expires_at, is_alive
FROM locus.tickets t ORDER BY t.created_at DESC";

const COLUMNS: [Column; 9] = [
    column("ticket", "Ticket", Show::Code),
    column("actions", "Actions", Show::With(actions)),
    column("role", "Role", Show::Text),
    column("is_alive", "Valid", Show::With(state)),
    column("factors", "Made after", Show::Text),
    column("note", "Made by", Show::Text),
    column("created_at", "Made at", Show::Text),
    column("used_at", "Last used", Show::Text),
    column("expires_at", "Ends", Show::Text),
];

pub fn part(app: App) -> AnyView {
    let feed = Feed::new(app, 10, || TICKETS.to_owned());
    let made = RwSignal::new(None::<Arc<Rows>>);
    let create = move |_| {
        if !app.can_make_tickets() {
            return;
        }
        let text = "Makes a name and a secret for a program: valid for eight hours, and for one hour after each use.";
        Action::new("Make a ticket", text, "CREATE TICKET").then(move |rows| made.set(Some(rows))).ask(app);
    };
    view! {
        <div class="toolbar">
            {filter(app, "Filter by role, ticket…")}
            <span class="grow"></span>
            <button id="create-ticket" on:click=create>"Make a ticket…"</button>
        </div>
        {move || made.get().map(|rows| new_ticket(app, made, &rows))}
        {panel("Tickets", feed, Empty("No tickets."), move |rows| table(app, "Tickets", &COLUMNS, &rows))}
    }
    .into_any()
}

/// What was made, while it can be seen.
fn new_ticket(app: App, made: RwSignal<Option<Arc<Rows>>>, rows: &Rows) -> Option<AnyView> {
    let row = rows.first()?;
    let (name, secret) = (row.text("ticket"), row.text("secret"));
    let copied = format!("{name}\n{secret}");
    let body = view! {
        <dl class="figures">
            <dt>"User"</dt>
            <dd>{name}</dd>
            <dt>"Password"</dt>
            <dd id="ticket-secret">{secret}</dd>
            <dt>"Ends at the latest"</dt>
            <dd>{row.text("expires_at")}</dd>
        </dl>
    };
    Some(shown_once(app, "The new ticket", copied, move || made.set(None), body.into_any()))
}

fn state(_: App, row: Row<'_>) -> AnyView {
    if row.flag("is_alive") == Some(true) { status("good", "Valid") } else { status("info", "Ended") }
}

fn actions(app: App, row: Row<'_>) -> AnyView {
    let (ticket, role) = (row.text("ticket"), row.text("role"));
    if app.credentials.read_untracked().user == ticket {
        return view! { <span class="note">"this page"</span> }.into_any();
    }
    let drop_it = move |_| {
        let text = format!("Nobody signs in as {role} by this ticket any more. Sessions that it began go on.");
        Action::new("Take back a ticket", text, with_text("DROP TICKET", &ticket)).naming(&role).ask(app);
    };
    view! { <button class="quiet" on:click=drop_it>"Take back…"</button> }.into_any()
}
