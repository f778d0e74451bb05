//! The dialog in which something is confirmed before it is done. It shows the SQL that will run; what destroys asks for the
//! name of what it destroys, and a secret is typed here and nowhere else, so that no statement is shown with it.

use std::sync::Arc;

use leptos::{html, prelude::*, task::spawn_local};

use super::panel::failure_text;
use crate::{
    app::App,
    rows::{Failure, Rows},
    statement::{with_text, with_text_hidden},
};

/// Something to be confirmed before it is done, with its SQL in sight.
#[derive(Clone)]
pub struct Action {
    title: &'static str,
    text: String,
    sql: String,
    asks: Asks,
    /// It changes what the role of this page signs in with, which ends the page's ticket.
    of_own_factors: bool,
    done: Arc<dyn Fn(Arc<Rows>) + Send + Sync>,
}

/// What has to be typed.
#[derive(Clone, PartialEq)]
enum Asks {
    Nothing,
    /// This name, to show that it is meant.
    Name(String),
    /// The text at the end of the statement.
    Secret(Secret),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Secret {
    /// A new one.
    Password,
    /// Of an authenticator.
    Code,
}

impl Action {
    pub fn new(title: &'static str, text: impl Into<String>, sql: impl Into<String>) -> Action {
        let (text, sql) = (text.into(), sql.into());
        Action { title, text, sql, asks: Asks::Nothing, of_own_factors: false, done: Arc::new(|_| ()) }
    }

    pub fn naming(self, name: &str) -> Action {
        Action { asks: Asks::Name(name.to_owned()), ..self }
    }

    /// The statement goes on with a text that is typed in the dialog.
    pub fn with_secret(self, secret: Secret) -> Action {
        Action { asks: Asks::Secret(secret), ..self }
    }

    /// Whether it changes what the role of this page signs in with: that ends the page's ticket, so it gets another one.
    pub fn of_own_factors(self, of_own_factors: bool) -> Action {
        Action { of_own_factors, ..self }
    }

    /// What is made of its rows.
    pub fn then(self, done: impl Fn(Arc<Rows>) + Send + Sync + 'static) -> Action {
        Action { done: Arc::new(done), ..self }
    }

    pub fn ask(self, app: App) {
        if !self.of_own_factors || app.can_make_tickets() {
            app.action.set(Some(self));
        }
    }

    fn shown_sql(&self) -> String {
        match self.asks {
            Asks::Secret(_) => with_text_hidden(&self.sql),
            _ => self.sql.clone(),
        }
    }

    /// The statement to run; `None` as long as what has to be typed is missing.
    fn statement(&self, typed: &str) -> Option<String> {
        match &self.asks {
            Asks::Nothing => Some(self.sql.clone()),
            Asks::Name(name) => (name == typed).then(|| self.sql.clone()),
            Asks::Secret(_) => (!typed.is_empty()).then(|| with_text(&self.sql, typed)),
        }
    }
}

/// Shows whatever is to be confirmed. One for the whole page.
pub fn confirmations(app: App) -> AnyView {
    view! { {move || app.action.get().map(|action| confirmation(app, action))} }.into_any()
}

fn confirmation(app: App, action: Action) -> AnyView {
    let typed = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let (waiting, running) = (action.clone(), action.clone());
    let ready = move || !busy.get() && waiting.statement(&typed.read()).is_some();
    let run = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let statement = running.statement(&typed.read_untracked());
        let (Some(link), Some(statement)) = (app.link.get_untracked(), statement) else { return };
        let (done, of_own_factors) = (running.done.clone(), running.of_own_factors);
        busy.set(true);
        spawn_local(async move {
            match link.query(&statement).await {
                Ok(rows) => {
                    app.action.set(None);
                    app.changes.update(|count| *count += 1);
                    app.say("Done");
                    done(Arc::new(rows));
                    if of_own_factors {
                        app.renew_ticket().await;
                    }
                }
                Err(error) => {
                    busy.try_set(false);
                    failure.try_set(Some(error));
                }
            }
        });
    };
    let destroys = matches!(action.asks, Asks::Name(_));
    let body = view! {
        <form method="dialog" on:submit=run>
            <p>{action.text.clone()}</p>
            <pre tabindex="0">{action.shown_sql()}</pre>
            {typed_field(&action.asks, typed)}
            {move || failure.get().map(|failure| view! { <div role="alert">{failure_text(&failure)}</div> })}
            <div class="row end">
                <button type="button" on:click=move |_| app.action.set(None)>"Leave it"</button>
                <button type="submit" class:danger=destroys class="primary" disabled=move || !ready()>
                    {move || if busy.get() { "Running…" } else { "Run this SQL" }}
                </button>
            </div>
        </form>
    };
    modal(action.title, move || app.action.set(None), body.into_any())
}

fn typed_field(asks: &Asks, typed: RwSignal<String>) -> Option<AnyView> {
    let (label, kind, fill, mode) = match asks {
        Asks::Nothing => return None,
        Asks::Name(name) => {
            (view! { <span>"Type " <b>{name.clone()}</b> " to go on"</span> }.into_any(), "text", "off", "text")
        }
        Asks::Secret(Secret::Password) => {
            let label = "New password, of 12 characters or more";
            (view! { <span>{label}</span> }.into_any(), "password", "new-password", "text")
        }
        Asks::Secret(Secret::Code) => {
            let label = "Code that the program shows now";
            (view! { <span>{label}</span> }.into_any(), "text", "one-time-code", "numeric")
        }
    };
    Some(
        view! {
            <label class="field">
                {label}
                <input
                    autofocus
                    type=kind
                    inputmode=mode
                    autocomplete=fill
                    autocapitalize="none"
                    spellcheck="false"
                    prop:value=typed
                    on:input:target=move |event| typed.set(event.target().value())
                />
            </label>
        }
        .into_any(),
    )
}

/// A dialog over the page, closed by Escape.
pub fn modal(title: &'static str, close: impl Fn() + Copy + Send + Sync + 'static, body: AnyView) -> AnyView {
    let node = NodeRef::<html::Dialog>::new();
    let show = move || {
        if let Some(dialog) = node.get_untracked()
            && !dialog.open()
        {
            // It fails only for one that is shown already, or no longer there.
            let _ = dialog.show_modal();
        }
    };
    Effect::new(move |_| {
        node.track();
        show();
    });
    view! {
        <dialog
            node_ref=node
            aria-label=title
            on:cancel=move |event: web_sys::Event| {
                event.prevent_default();
                close();
            }
            // A browser closes it at the second Escape, whatever the first one's event was told.
            on:close=move |_| {
                close();
                show();
            }
        >
            <h2>{title}</h2>
            {body}
        </dialog>
    }
    .into_any()
}
