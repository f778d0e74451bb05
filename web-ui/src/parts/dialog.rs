//! The dialog in which something is confirmed before it is done. It shows the SQL that will run; what destroys asks for the
//! name of what it destroys.

use std::sync::Arc;

use leptos::{html, prelude::*, task::spawn_local};

use super::panel::failure_text;
use crate::{
    app::{Action, App},
    rows::{Failure, Rows},
};

/// An action without a name to be typed.
pub fn ask(app: App, title: impl Into<String>, text: impl Into<String>, sql: impl Into<String>) {
    ask_with(app, title, text, sql, None, |_| ());
}

pub fn ask_with(
    app: App,
    title: impl Into<String>,
    text: impl Into<String>,
    sql: impl Into<String>,
    name: Option<String>,
    done: impl Fn(Arc<Rows>) + Send + Sync + 'static,
) {
    let (title, text, sql) = (title.into(), text.into(), sql.into());
    app.action.set(Some(Action { title, text, sql, name, done: Arc::new(done) }));
}

/// Shows whatever is to be confirmed. One for the whole page.
pub fn confirmations(app: App) -> AnyView {
    view! { {move || app.action.get().map(|action| confirmation(app, action))} }.into_any()
}

fn confirmation(app: App, action: Action) -> AnyView {
    let typed = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let Action { title, text, sql, name, done } = action;
    let wanted = name.clone();
    let ready = move || !busy.get() && wanted.as_ref().is_none_or(|name| *name == typed.get());
    let statement = sql.clone();
    let run = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(link) = app.link.get_untracked() else { return };
        let (done, statement) = (done.clone(), statement.clone());
        busy.set(true);
        spawn_local(async move {
            match link.query(&statement).await {
                Ok(rows) => {
                    app.action.set(None);
                    app.say("Done");
                    done(Arc::new(rows));
                }
                Err(error) => {
                    busy.set(false);
                    failure.set(Some(error));
                }
            }
        });
    };
    let destroys = name.is_some();
    let body = view! {
        <form method="dialog" on:submit=run>
            <p>{text}</p>
            <pre tabindex="0">{sql}</pre>
            {name
                .map(|name| {
                    view! {
                        <label class="field">
                            <span>"Type " <b>{name}</b> " to go on"</span>
                            <input autocomplete="off" prop:value=typed on:input:target=move |event| typed.set(event.target().value()) />
                        </label>
                    }
                })}
            {move || failure.get().map(|failure| view! { <div role="alert">{failure_text(&failure)}</div> })}
            <div class="row end">
                <button type="button" on:click=move |_| app.action.set(None)>"Leave it"</button>
                <button type="submit" class:danger=destroys class="primary" disabled=move || !ready()>
                    {move || if busy.get() { "Running…" } else { "Run this SQL" }}
                </button>
            </div>
        </form>
    };
    modal(title, move || app.action.set(None), body.into_any())
}

/// A dialog over the page, closed by Escape.
pub fn modal(title: String, close: impl Fn() + Copy + Send + Sync + 'static, body: AnyView) -> AnyView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = node.get()
            && !dialog.open()
        {
            // It fails only for one that is shown already.
            let _ = dialog.show_modal();
        }
    });
    let label = title.clone();
    view! {
        <dialog
            node_ref=node
            aria-label=label
            on:cancel=move |event: web_sys::Event| {
                event.prevent_default();
                close();
            }
        >
            <h2>{title}</h2>
            {body}
        </dialog>
    }
    .into_any()
}
