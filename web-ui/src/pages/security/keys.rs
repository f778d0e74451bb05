//! Keys of TLS that are pinned to roles: who shows one needs no password.

use leptos::prelude::*;

use super::{field, text_area};
use crate::{
    app::App,
    parts::{
        dialog::Action,
        feed::Feed,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    rows::Row,
    statement::{quote_name, with_text},
};

const KEYS: &str = "SELECT f.role, k.key, f.role = current_user AS own
FROM locus.role_factors f, unnest(f.keys) AS k (key) ORDER BY 1, 2";

const COLUMNS: [Column; 3] = [
    column("role", "Role", Show::Text),
    column("actions", "Actions", Show::With(actions)),
    column("key", "Public key", Show::Code),
];

pub fn part(app: App) -> AnyView {
    let feed = Feed::new(app, 10, || KEYS.to_owned());
    let role = RwSignal::new(app.role.get_untracked());
    let key = RwSignal::new(String::new());
    let add = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let name = role.get_untracked();
        let text = format!("Whoever shows this key signs in as {name}, without a password.");
        let sql = with_text(&format!("ALTER ROLE {} ADD KEY", quote_name(&name)), key.read_untracked().trim());
        let action = Action::new("Add a key", text, sql).then(move |_| key.set(String::new()));
        action.of_own_factors(name == *app.role.read_untracked()).ask(app);
    };
    view! {
        <div class="toolbar">{filter(app, "Filter by role or key…")}</div>
        {panel("Keys", feed, Empty("No role has a key."), move |rows| table(app, "Keys", &COLUMNS, &rows))}
        <form class="panel padded" aria-label="Add a key" on:submit=add>
            <header class="panel-head"><h2>"Add a key"</h2></header>
            <p class="line">
                <code>"locus key gen NAME"</code>
                " makes a key and a certificate. Give the certificate, the public key in PEM, or its SHA256:…"
            </p>
            <div class="toolbar inside">
                {field("Role", role)}
                {text_area("Certificate or public key", "-----BEGIN CERTIFICATE-----", 4, key)}
                <button type="submit">"Add…"</button>
            </div>
        </form>
    }
    .into_any()
}

fn actions(app: App, row: Row<'_>) -> AnyView {
    let (role, key) = (row.text("role"), row.text("key"));
    let own = row.flag("own") == Some(true);
    let remove = move |_| {
        let text = format!("{role} can no longer sign in by this key.");
        let sql = with_text(&format!("ALTER ROLE {} DROP KEY", quote_name(&role)), &key);
        Action::new("Remove a key", text, sql).naming(&role).of_own_factors(own).ask(app);
    };
    view! { <button class="quiet" on:click=remove>"Remove…"</button> }.into_any()
}
