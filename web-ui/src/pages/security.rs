//! Roles and what they sign in with, rules, certificates, the audit log.

use leptos::prelude::*;

use crate::{
    app::App,
    parts::{
        dialog,
        feed::Feed,
        icon::status,
        link::link_to,
        panel::{Empty, panel},
        table::{Column, Show, column, filter, plain, table},
    },
    qr,
    route::{Page, Route},
    rows::{Row, Rows},
    statement::{quote_name, quote_text},
};

/// Parts of this place: address, title.
const PARTS: [(&str, &str); 7] = [
    ("", "Roles"),
    ("codes", "One-time codes"),
    ("tickets", "Tickets"),
    ("keys", "Keys"),
    ("rules", "Rules"),
    ("certificates", "Certificates"),
    ("audit", "Audit"),
];

const ROLES: &str = "SELECT rolname, rolsuper, rolcanlogin, rolcreaterole, rolcreatedb, rolconnlimit,
       rolname = current_user AS own
FROM pg_catalog.pg_roles ORDER BY rolname";

const FACTORS: &str =
    "SELECT role, password, otp, otp_required, recovery_codes, keys FROM locus.role_factors ORDER BY role";

const ROLE_COLUMNS: [Column; 6] = [
    column("rolname", "Role", Show::Text),
    column("rolcanlogin", "Signs in", Show::With(|_, row| yes_no(row, "rolcanlogin"))),
    column("rolsuper", "Superuser", Show::With(|_, row| yes_no(row, "rolsuper"))),
    column("rolcreaterole", "Makes roles", Show::With(|_, row| yes_no(row, "rolcreaterole"))),
    column("rolcreatedb", "Makes databases", Show::With(|_, row| yes_no(row, "rolcreatedb"))),
    column("actions", "Actions", Show::With(role_actions)),
];

pub fn page(app: App) -> AnyView {
    let part = Memo::new(move |_| app.route.read().part(0).to_owned());
    let tabs = PARTS.map(|(address, title)| {
        let route = if address.is_empty() { Route::to(Page::Security) } else { Route::of(Page::Security, &[address]) };
        view! {
            <li aria-current=move || (part.get() == address).then_some("page")>{link_to(app, route, "", title)}</li>
        }
    });
    view! {
        <nav class="parts" aria-label="Parts of security">
            <ul>{tabs.collect_view()}</ul>
        </nav>
        {move || match part.get().as_str() {
            "codes" => codes(app),
            "tickets" => listing(app, "Tickets", "SELECT * FROM locus.tickets", "No tickets.", ticket_buttons),
            "keys" => listing(app, "Keys and other factors", FACTORS, "No role has any.", |_| ().into_any()),
            "rules" => rules(app),
            "certificates" => listing(app, "Certificates", "SELECT * FROM locus.certificates", "No certificates.", |_| ().into_any()),
            "audit" => listing(app, "Audit log, newest first", "SELECT * FROM locus.audit ORDER BY number DESC LIMIT 200", "Nothing was noted yet.", audit_check),
            _ => roles(app),
        }}
    }
    .into_any()
}

fn yes_no(row: Row<'_>, column: &str) -> AnyView {
    if row.flag(column) == Some(true) { "yes".into_any() } else { view! { <span class="null">"no"</span> }.into_any() }
}

fn listing(app: App, title: &'static str, sql: &'static str, empty: &'static str, head: fn(App) -> AnyView) -> AnyView {
    let feed = Feed::new(app, 10, move || sql.to_owned());
    view! {
        {head(app)}
        {panel(title, feed, Empty(empty), move |rows| plain(title.to_owned(), &rows))}
    }
    .into_any()
}

fn roles(app: App) -> AnyView {
    let feed = Feed::new(app, 10, || ROLES.to_owned());
    let name = RwSignal::new(String::new());
    let password = RwSignal::new(String::new());
    let create = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let role = quote_name(&name.get_untracked());
        let sql = match password.get_untracked() {
            given if given.is_empty() => format!("CREATE ROLE {role} LOGIN"),
            given => format!("CREATE ROLE {role} LOGIN PASSWORD {}", quote_text(&given)),
        };
        let text = format!("Makes the role {role}, which can sign in.");
        dialog::ask_with(app, "Create a role", text, sql, None, move |_| feed.refresh());
    };
    view! {
        <form class="toolbar" on:submit=create>
            {filter(app, "Filter by name…")}
            <span class="grow"></span>
            <input aria-label="Name of the new role" placeholder="New role" required autocomplete="off" prop:value=name on:input:target=move |event| name.set(event.target().value()) />
            <input aria-label="Password of the new role" placeholder="Password" type="password" autocomplete="new-password" prop:value=password on:input:target=move |event| password.set(event.target().value()) />
            <button type="submit">"Create…"</button>
        </form>
        {panel("Roles", feed, Empty("No roles."), move |rows| table(app, "Roles", &ROLE_COLUMNS, &rows))}
    }
    .into_any()
}

fn role_actions(app: App, row: Row<'_>) -> AnyView {
    let role = row.text("rolname");
    if row.flag("own") == Some(true) {
        return view! { <span class="note">"you"</span> }.into_any();
    }
    let quoted = quote_name(&role);
    let lock = quoted.clone();
    let no_login = move |_| {
        let text = format!("{lock} can no longer sign in. Its sessions go on.");
        dialog::ask(app, "Lock a role", text, format!("ALTER ROLE {lock} NOLOGIN"));
    };
    let drop_it = move |_| {
        let text = format!("Removes the role {quoted}.");
        dialog::ask_with(app, "Drop a role", text, format!("DROP ROLE {quoted}"), Some(role.clone()), |_| ());
    };
    view! {
        <button class="quiet" on:click=no_login>"Lock…"</button>
        <button class="quiet" on:click=drop_it>"Drop…"</button>
    }
    .into_any()
}

/// Enrolment: the server makes a secret, the person's program reads it from the QR code, a first code confirms it.
fn codes(app: App) -> AnyView {
    let uri = RwSignal::new(String::new());
    let code = RwSignal::new(String::new());
    let recovery = RwSignal::new(Vec::<String>::new());
    let role = move || quote_name(&app.role.get());
    let enable = move |_| {
        let text = "Makes a new secret for your role. It counts from the moment when a code confirms it.";
        dialog::ask_with(
            app,
            "Set up one-time codes",
            text,
            format!("ALTER ROLE {} ENABLE OTP", role()),
            None,
            move |rows| {
                uri.set(
                    rows.rows
                        .first()
                        .and_then(|row| row.iter().flatten().find(|value| value.starts_with("otpauth://")).cloned())
                        .unwrap_or_default(),
                );
            },
        );
    };
    let confirm = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let text = "From now on your role is asked for a code at every sign-in.";
        let sql = format!("ALTER ROLE {} CONFIRM OTP {}", role(), quote_text(code.get_untracked().trim()));
        dialog::ask_with(app, "Confirm the first code", text, sql, None, move |rows| {
            uri.set(String::new());
            recovery.set(rows.rows.iter().flatten().flatten().cloned().collect());
        });
    };
    view! {
        <section class="panel padded" aria-label="One-time codes">
            <header class="panel-head">
                <h2>"One-time codes"</h2>
            </header>
            <p class="line">"A program on your phone shows a new code every 30 seconds. Each code lets you in once."</p>
            <p class="line">
                <button id="enable-otp" on:click=enable>"Set up for "{move || role()}"…"</button>
            </p>
            {move || (!uri.read().is_empty()).then(|| qr_code(&uri.get()))}
            {move || (!uri.read().is_empty()).then(|| view! {
                <form class="toolbar inside" on:submit=confirm>
                    <input id="otp-code" aria-label="First code" placeholder="First code" inputmode="numeric" autocomplete="one-time-code" required prop:value=code on:input:target=move |event| code.set(event.target().value()) />
                    <button type="submit">"Confirm…"</button>
                </form>
            })}
            {move || (!recovery.read().is_empty()).then(|| recovery_codes(&recovery.get()))}
        </section>
    }
    .into_any()
}

fn qr_code(uri: &str) -> AnyView {
    let Some((size, path)) = qr::path(uri) else {
        return view! { <code id="otp-uri">{uri.to_owned()}</code> }.into_any();
    };
    view! {
        <figure class="qr">
            <svg viewBox=format!("0 0 {size} {size}") role="img" aria-label="QR code of the secret">
                <rect width=size height=size fill="#fff" />
                <path d=path fill="#000" />
            </svg>
            <figcaption>
                "Or type the secret from this address: "
                <code id="otp-uri">{uri.to_owned()}</code>
            </figcaption>
        </figure>
    }
    .into_any()
}

fn recovery_codes(codes: &[String]) -> AnyView {
    let items = codes.iter().map(|code| view! { <li><code>{code.clone()}</code></li> }).collect_view();
    view! {
        <div class="line" role="status">
            <p>{status("warn", "Recovery codes, shown this once")} " Keep them where you keep keys. Each one replaces a code, once."</p>
            <ul id="recovery-codes" class="codes">{items}</ul>
        </div>
    }
    .into_any()
}

fn ticket_buttons(app: App) -> AnyView {
    let create = move |_| {
        let text = "Makes a name and a secret for a program, valid for hours. The secret is shown once.";
        dialog::ask_with(app, "Create a ticket", text, "CREATE TICKET", None, move |rows| {
            let shown = rows.rows.iter().flatten().flatten().cloned().collect::<Vec<_>>().join("  ");
            app.say(shown);
        });
    };
    view! { <p class="toolbar"><button on:click=create>"Create…"</button></p> }.into_any()
}

/// The rules, and what they decide for somebody.
fn rules(app: App) -> AnyView {
    let rules = Feed::new(app, 10, || "SELECT * FROM locus.hba".to_owned());
    let role = RwSignal::new(String::new());
    let address = RwSignal::new("127.0.0.1".to_owned());
    let asked = RwSignal::new(String::new());
    let verdict = Feed::new(app, 0, move || asked.get());
    let ask = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let (role, address) = (quote_name(&role.get_untracked()), quote_text(&address.get_untracked()));
        asked.set(format!("EXPLAIN SIGN IN {role} FROM {address}"));
    };
    view! {
        {panel("Rules, the first that fits decides", rules, Empty("No rules."), |rows| plain("Rules".to_owned(), &rows))}
        <form class="toolbar" on:submit=ask>
            <input aria-label="Role" placeholder="Role" required prop:value=role on:input:target=move |event| role.set(event.target().value()) />
            <input aria-label="Address" placeholder="Address" required prop:value=address on:input:target=move |event| address.set(event.target().value()) />
            <button type="submit">"Which rule would decide?"</button>
        </form>
        {move || (!asked.read().is_empty()).then(|| panel("The rule that decides", verdict, Empty("No rule fits: refused."), |rows: std::sync::Arc<Rows>| plain("Rule".to_owned(), &rows)))}
    }
    .into_any()
}

fn audit_check(app: App) -> AnyView {
    let check = Feed::new(app, 0, || "SELECT * FROM locus.verify_audit()".to_owned());
    panel("Chain of the audit log", check, Empty("Unbroken."), |rows| plain("Chain".to_owned(), &rows))
}
