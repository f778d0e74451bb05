//! Roles: who there is, what they may do, and what lets them in.

use leptos::prelude::*;

use super::{field, yes_no};
use crate::{
    app::App,
    parts::{
        dialog::{Action, Secret},
        feed::Feed,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, table},
    },
    rows::Row,
    statement::quote_name,
};

const ROLES: &str = "SELECT r.rolname AS role, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb,
       (SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname)
        FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
        WHERE m.member = r.oid) AS member_of,
       f.password, f.otp, r.rolname = current_user AS own
FROM pg_catalog.pg_roles r LEFT JOIN locus.role_factors f ON f.role = r.rolname
ORDER BY r.rolname";

const COLUMNS: [Column; 7] = [
    column("role", "Role", Show::Text),
    column("actions", "Actions", Show::With(actions)),
    column("rolcanlogin", "Signs in", Show::With(|_, row| yes_no(row, "rolcanlogin"))),
    column("rights", "May besides", Show::With(rights)),
    column("member_of", "Member of", Show::Text),
    column("password", "Password", Show::Text),
    column("otp", "One-time code", Show::Text),
];

/// Kinds of new roles: what is chosen, and what it is in SQL.
const KINDS: [(&str, &str); 3] = [
    ("signs in by password", "LOGIN PASSWORD"),
    ("signs in by key", "LOGIN"),
    ("does not sign in: a group", "NOLOGIN"),
];

pub fn part(app: App) -> AnyView {
    let feed = Feed::new(app, 10, || ROLES.to_owned());
    let name = RwSignal::new(String::new());
    let kind = RwSignal::new(KINDS[0].0.to_owned());
    let create = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let (said, options) = KINDS.into_iter().find(|(said, _)| *said == *kind.read_untracked()).unwrap_or(KINDS[0]);
        let role = quote_name(&name.read_untracked());
        let text = format!("Makes the role {role}. It {said}.");
        let action = Action::new("Create a role", text, format!("CREATE ROLE {role} {options}"));
        let action = if options.ends_with("PASSWORD") { action.with_secret(Secret::Password) } else { action };
        action.then(move |_| name.set(String::new())).ask(app);
    };
    let kinds = KINDS.map(|(said, _)| view! { <option value=said>{said}</option> }).collect_view();
    view! {
        <form class="toolbar" on:submit=create>
            {filter(app, "Filter by name…")}
            <span class="grow"></span>
            {field("New role", name)}
            <select aria-label="Kind of the new role" prop:value=kind on:change:target=move |event| kind.set(event.target().value())>
                {kinds}
            </select>
            <button type="submit">"Create…"</button>
        </form>
        {panel("Roles", feed, Empty("No roles."), move |rows| table(app, "Roles", &COLUMNS, &rows))}
    }
    .into_any()
}

fn rights(_: App, row: Row<'_>) -> AnyView {
    if row.flag("rolsuper") == Some(true) {
        return "everything".into_any();
    }
    let all = [("rolcreaterole", "make roles"), ("rolcreatedb", "make databases")];
    let held: Vec<&str> =
        all.into_iter().filter(|(column, _)| row.flag(column) == Some(true)).map(|(_, said)| said).collect();
    if held.is_empty() { view! { <span class="null">"–"</span> }.into_any() } else { held.join(", ").into_any() }
}

fn actions(app: App, row: Row<'_>) -> AnyView {
    let role = row.text("role");
    let quoted = quote_name(&role);
    let own = row.flag("own") == Some(true);
    let sql = format!("ALTER ROLE {quoted} PASSWORD");
    let of_whom = if own { "your role".to_owned() } else { quoted.clone() };
    let password = move |_| {
        let text = format!("Sets a new password for {of_whom} and ends the tickets made with the old one.");
        let action = Action::new("Change a password", text, sql.clone()).with_secret(Secret::Password);
        action.of_own_factors(own).ask(app);
    };
    let others = (!own).then(|| {
        let (verb, option, said) = match row.flag("rolcanlogin") {
            Some(true) => ("Lock…", "NOLOGIN", "can no longer sign in. Its sessions go on"),
            _ => ("Unlock…", "LOGIN", "can sign in with what it has"),
        };
        let switched = quoted.clone();
        let switch = move |_| {
            let (text, sql) = (format!("{switched} {said}."), format!("ALTER ROLE {switched} {option}"));
            Action::new("Who may sign in", text, sql).ask(app);
        };
        let drop_it = move |_| {
            let text = format!("Removes the role {quoted} and all that it signs in with.");
            Action::new("Drop a role", text, format!("DROP ROLE {quoted}")).naming(&role).ask(app);
        };
        view! {
            <button class="quiet" on:click=switch>{verb}</button>
            <button class="quiet" on:click=drop_it>"Drop…"</button>
        }
    });
    view! {
        <button class="quiet" on:click=password>"Password…"</button>
        {others}
    }
    .into_any()
}
