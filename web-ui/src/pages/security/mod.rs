//! Who may come in, how they prove who they are, and what was written down about it.

mod audit;
mod certificates;
mod codes;
mod keys;
mod roles;
mod rules;
mod tickets;

use leptos::prelude::*;

use crate::{
    app::App,
    browser,
    parts::{icon::status, link::link_to},
    route::{Page, Route},
    rows::Row,
};

/// Parts of this place: address, title.
const PARTS: [(&str, &str); 7] = [
    ("", "Roles"),
    ("codes", "One-time codes"),
    ("keys", "Keys"),
    ("tickets", "Tickets"),
    ("rules", "Rules"),
    ("certificates", "Certificates"),
    ("audit", "Audit"),
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
            "codes" => codes::part(app),
            "keys" => keys::part(app),
            "tickets" => tickets::part(app),
            "rules" => rules::part(app),
            "certificates" => certificates::part(app),
            "audit" => audit::part(app),
            _ => roles::part(app),
        }}
    }
    .into_any()
}

fn yes_no(row: Row<'_>, column: &str) -> AnyView {
    if row.flag(column) == Some(true) { "yes".into_any() } else { view! { <span class="null">"no"</span> }.into_any() }
}

/// A field of a toolbar, with its label beside it.
fn field(label: &'static str, value: RwSignal<String>) -> AnyView {
    view! {
        <label class="field beside">
            <span>{label}</span>
            <input
                required
                autocomplete="off"
                autocapitalize="none"
                spellcheck="false"
                prop:value=value
                on:input:target=move |event| value.set(event.target().value())
            />
        </label>
    }
    .into_any()
}

/// A field of several lines, for what other programs have written or will read.
fn text_area(label: &'static str, placeholder: &'static str, rows: u32, value: RwSignal<String>) -> AnyView {
    view! {
        <textarea
            class="code wide"
            aria-label=label
            placeholder=placeholder
            rows=rows
            required
            spellcheck="false"
            prop:value=value
            on:input:target=move |event| value.set(event.target().value())
        ></textarea>
    }
    .into_any()
}

/// A panel with what the server says once and will not say again, until `forget` is asked for.
fn shown_once(
    app: App,
    title: &'static str,
    copied: String,
    forget: impl Fn() + Send + Sync + 'static,
    body: AnyView,
) -> AnyView {
    let copy = move |_| {
        browser::copy(&copied);
        app.say("Copied");
    };
    view! {
        <section class="panel padded" role="status" aria-label=title>
            <header class="panel-head">
                <h2>{title}</h2>
                {status("warn", "Shown this once")}
                <span class="grow"></span>
                <button class="quiet" on:click=copy>"Copy"</button>
                <button class="quiet" on:click=move |_| forget()>"It is kept"</button>
            </header>
            {body}
        </section>
    }
    .into_any()
}
