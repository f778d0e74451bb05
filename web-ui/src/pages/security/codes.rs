//! One-time codes. Enrolment: the server makes a secret, the person's program reads it from the QR code, a first code confirms
//! it, and the recovery codes are shown, once.

use leptos::prelude::*;

use super::{shown_once, yes_no};
use crate::{
    app::App,
    format::plural,
    parts::{
        dialog::{Action, Secret},
        feed::Feed,
        icon::status,
        panel::{Empty, panel},
        table::{Column, Show, column, table},
    },
    qr,
    rows::{Row, Rows},
    statement::quote_name,
};

const OWN: &str = "SELECT role, otp, otp_required, recovery_codes, true AS own
FROM locus.role_factors WHERE role = current_user";

const ALL: &str = "SELECT role, otp, otp_required, recovery_codes, role = current_user AS own
FROM locus.role_factors ORDER BY role";

const COLUMNS: [Column; 5] = [
    column("role", "Role", Show::Text),
    column("actions", "Actions", Show::With(actions)),
    column("otp", "Codes", Show::With(|_, row| state(row))),
    column("otp_required", "Must have", Show::With(|_, row| yes_no(row, "otp_required"))),
    column("recovery_codes", "Recovery codes left", Show::Count),
];

/// What the server has said once and will not say again.
#[derive(Clone, Copy)]
struct Enrolment {
    app: App,
    /// Of the secret that waits for its first code.
    uri: RwSignal<String>,
    recovery_codes: RwSignal<Vec<String>>,
}

pub fn part(app: App) -> AnyView {
    let enrolment = Enrolment { app, uri: RwSignal::new(String::new()), recovery_codes: RwSignal::new(Vec::new()) };
    let own = Feed::new(app, 10, || OWN.to_owned());
    let all = Feed::new(app, 10, || ALL.to_owned());
    view! {
        {panel("Your one-time codes", own, Empty("Your role is not known here."), move |rows| enrolment.state(&rows))}
        {move || enrolment.secret()}
        {move || enrolment.recovery_codes()}
        {panel("One-time codes by role", all, Empty("No roles."), move |rows| table(app, "One-time codes by role", &COLUMNS, &rows))}
    }
    .into_any()
}

fn state(row: Row<'_>) -> AnyView {
    match row.get("otp") {
        Some("enabled") => status("good", "On"),
        Some("pending") => status("warn", "Not confirmed"),
        _ => status("info", "Off"),
    }
}

impl Enrolment {
    fn state(self, rows: &Rows) -> AnyView {
        let Some(row) = rows.first() else { return ().into_any() };
        let is_on = row.get("otp") == Some("enabled");
        let buttons = if is_on { self.buttons_when_on(row) } else { self.button_to_enable(row.text("role")) };
        let left = row.number("recovery_codes").unwrap_or(0.0) as usize;
        let left = is_on.then(|| view! { <span class="note">{plural(left, "recovery code")} " left"</span> });
        view! {
            <p class="line">"A program on your phone shows a new code every 30 seconds. Each code lets you in once."</p>
            <div class="toolbar inside">
                <span id="otp-state">{state(row)}</span>
                {left}
                <span class="grow"></span>
                {buttons}
            </div>
        }
        .into_any()
    }

    fn button_to_enable(self, role: String) -> AnyView {
        let enable = move |_| {
            let text = "Makes a new secret for your role. It counts from the moment when a code confirms it.";
            let sql = format!("ALTER ROLE {} ENABLE OTP", quote_name(&role));
            // Not yet, but its confirmation does.
            let action = Action::new("Set up one-time codes", text, sql).of_own_factors(true);
            action.then(move |rows| self.uri.set(rows.first_column().next().unwrap_or_default())).ask(self.app);
        };
        view! { <button id="enable-otp" class="primary" on:click=enable>"Set up…"</button> }.into_any()
    }

    fn buttons_when_on(self, row: Row<'_>) -> AnyView {
        let renewed = quote_name(row.get("role").unwrap_or_default());
        let renew = move |_| {
            let text = "Makes ten new recovery codes. The old ones are void.";
            let sql = format!("ALTER ROLE {renewed} RENEW RECOVERY CODES");
            self.shows_recovery_codes(Action::new("New recovery codes", text, sql)).ask(self.app);
        };
        view! {
            <button on:click=renew>"New recovery codes…"</button>
            {remove_button(self.app, row, "")}
        }
        .into_any()
    }

    fn shows_recovery_codes(self, action: Action) -> Action {
        action.then(move |rows| {
            self.uri.set(String::new());
            self.recovery_codes.set(rows.first_column().collect());
        })
    }

    /// The secret that waits for its first code.
    fn secret(self) -> Option<AnyView> {
        let uri = self.uri.get();
        if uri.is_empty() {
            return None;
        }
        let confirm = move |_| {
            let text = "From now on your role is asked for a code at every sign-in.";
            let sql = format!("ALTER ROLE {} CONFIRM OTP", quote_name(&self.app.role.read_untracked()));
            let action = Action::new("Confirm the first code", text, sql).with_secret(Secret::Code);
            self.shows_recovery_codes(action).of_own_factors(true).ask(self.app);
        };
        Some(
            view! {
                <section class="panel padded" aria-label="The secret">
                    <header class="panel-head"><h2>"Let your program read this"</h2></header>
                    <figure class="qr">
                        {qr_code(&uri)}
                        <figcaption>
                            <p>"Or type the secret from this address:"</p>
                            <code id="otp-uri">{uri}</code>
                            <p class="note">"Then confirm with the code that the program shows. This is not shown again."</p>
                            <p><button id="confirm-otp" class="primary" on:click=confirm>"Confirm…"</button></p>
                        </figcaption>
                    </figure>
                </section>
            }
            .into_any(),
        )
    }

    fn recovery_codes(self) -> Option<AnyView> {
        let codes = self.recovery_codes.get();
        if codes.is_empty() {
            return None;
        }
        let items = codes.iter().map(|code| view! { <li><code>{code.clone()}</code></li> }).collect_view();
        let body = view! {
            <p class="line">"Keep them where you keep keys. Each replaces a code, once."</p>
            <ul id="recovery-codes" class="codes">{items}</ul>
        };
        let forget = move || self.recovery_codes.set(Vec::new());
        Some(shown_once(self.app, "Recovery codes", codes.join("\n"), forget, body.into_any()))
    }
}

fn qr_code(uri: &str) -> Option<AnyView> {
    let (size, path) = qr::path(uri)?;
    Some(
        view! {
            <svg viewBox=format!("0 0 {size} {size}") role="img" aria-label="QR code of the secret">
                <rect width=size height=size fill="#fff" />
                <path d=path fill="#000" />
            </svg>
        }
        .into_any(),
    )
}

fn remove_button(app: App, row: Row<'_>, class: &'static str) -> AnyView {
    let role = row.text("role");
    let own = row.flag("own") == Some(true);
    let then = match row.flag("otp_required") {
        Some(true) => "It must have codes, so it cannot sign in until it has new ones.",
        _ => "Its password alone lets it in again.",
    };
    let remove = move |_| {
        let text = format!("Removes the secret and the recovery codes of {role}. {then}");
        let sql = format!("ALTER ROLE {} DISABLE OTP", quote_name(&role));
        Action::new("Remove one-time codes", text, sql).naming(&role).of_own_factors(own).ask(app);
    };
    view! { <button class=class on:click=remove>"Remove…"</button> }.into_any()
}

fn actions(app: App, row: Row<'_>) -> AnyView {
    let role = row.text("role");
    if row.get("otp") != Some("enabled") {
        return view! { <span class="null">"–"</span> }.into_any();
    }
    let (no, verb, said) = match row.flag("otp_required") {
        Some(true) => ("NO ", "Leave it to the role…", "may remove its one-time codes"),
        _ => ("", "Require…", "can no longer remove its one-time codes itself"),
    };
    let sql = format!("ALTER ROLE {} {no}REQUIRE OTP", quote_name(&role));
    let text = format!("{role} {said}.");
    let own = row.flag("own") == Some(true);
    let require = move |_| Action::new("Who must have codes", text.clone(), sql.clone()).of_own_factors(own).ask(app);
    view! {
        <button class="quiet" on:click=require>{verb}</button>
        {remove_button(app, row, "quiet")}
    }
    .into_any()
}
