//! A titled box around a feed, with its four states beside the content: loading, empty, failed, stale. Shows its SQL on
//! request.

use std::sync::Arc;

use leptos::prelude::*;

use super::{
    feed::Feed,
    icon::{icon, status},
    link::link_to,
};
use crate::{
    app::App,
    browser, format,
    route::{Page, Route},
    rows::{Failure, Rows},
};

/// What a panel says when its statement brings no row.
#[derive(Clone, Copy)]
pub struct Empty(pub &'static str);

pub fn panel(
    title: &'static str,
    feed: Feed,
    empty: Empty,
    body: impl Fn(Arc<Rows>) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    let shows_sql = RwSignal::new(false);
    let content = move || match (feed.rows.get(), feed.failure.get()) {
        (Some(rows), _) if rows.is_empty() => view! { <p class="empty">{empty.0}</p> }.into_any(),
        (Some(rows), _) => body(rows),
        (None, Some(failure)) => failed(feed, &failure),
        (None, None) => view! { <p class="loading" role="status">"Loading…"</p> }.into_any(),
    };
    view! {
        <section class="panel" aria-label=title>
            <header class="panel-head">
                <h2>{title}</h2>
                {move || stale(feed)}
                <span class="grow"></span>
                <button
                    class="quiet"
                    aria-expanded=move || shows_sql.get().to_string()
                    aria-label=format!("SQL of {title}")
                    on:click=move |_| shows_sql.update(|shown| *shown = !*shown)
                >
                    "SQL"
                </button>
                <button class="quiet" aria-label=format!("Refresh {title}") on:click=move |_| feed.refresh()>
                    {icon("refresh")}
                </button>
            </header>
            {move || shows_sql.get().then(|| sql_text(feed.app, &feed.sql.get()))}
            {content}
        </section>
    }
    .into_any()
}

/// A statement to be read, copied, or taken to the editor.
pub fn sql_text(app: App, sql: &str) -> AnyView {
    let copied = sql.to_owned();
    let copy = move |_| {
        browser::copy(&copied);
        app.say("Copied");
    };
    view! {
        <div class="sql-text">
            <pre tabindex="0">{sql.to_owned()}</pre>
            <div class="row">
                <button class="quiet" on:click=copy>"Copy"</button>
                {link_to(app, Route::to(Page::Sql).with("text", sql), "quiet", "Open in the editor")}
            </div>
        </div>
    }
    .into_any()
}

fn failed(feed: Feed, failure: &Failure) -> AnyView {
    let missing = failure.is_missing();
    view! {
        <div class="failed" role="alert">
            {failure_text(failure)}
            {missing.then(|| view! { <p class="note">"This server does not have what this panel shows."</p> })}
            <button on:click=move |_| feed.refresh()>"Try again"</button>
        </div>
    }
    .into_any()
}

/// SQLSTATE, message, detail and hint, as psql tells them.
pub fn failure_text(failure: &Failure) -> AnyView {
    let Failure { sqlstate, message, detail, hint, .. } = failure.clone();
    view! {
        <p class="failure">
            {status("bad", "Error")}
            {(!sqlstate.is_empty()).then(|| view! { <code>{sqlstate}</code> })}
            <span>{message}</span>
        </p>
        {detail.map(|detail| view! { <p class="note">"Detail: " {detail}</p> })}
        {hint.map(|hint| view! { <p class="note">"Hint: " {hint}</p> })}
    }
    .into_any()
}

/// Shown when what is seen is older than it should be.
fn stale(feed: Feed) -> Option<AnyView> {
    feed.rows.get()?;
    let why = match feed.failure.get() {
        Some(Failure { sqlstate, message, .. }) => format!("{sqlstate} {message}"),
        None if feed.app.link.read().is_none() => "There is no connection".to_owned(),
        None => return None,
    };
    let age = format::millis(browser::now() - feed.came.get());
    Some(view! { <span title=why>{status("warn", format!("Stale, {age} old"))}</span> }.into_any())
}
