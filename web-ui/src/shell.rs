//! The frame around every place: menu, title, what floats above. And the sign-in that comes before it.

use leptos::{prelude::*, task::spawn_local};

use crate::{
    app::{App, Phase},
    browser::pg::Credentials,
    pages, palette,
    parts::{
        dialog::{confirmations, modal},
        icon::{icon, status},
        link::link_to,
        panel::failure_text,
    },
    route::{Page, Route},
    rows::Failure,
};

pub fn root() -> AnyView {
    let app = App::new();
    app.resume();
    let signed_in = Memo::new(move |_| !matches!(*app.phase.read(), Phase::SignedOut(_) | Phase::Connecting));
    view! {
        {move || if signed_in.get() { frame(app) } else { entrance(app) }}
        <p class="toast" role="status" class:shown=move || !app.toast.read().is_empty()>{move || app.toast.get()}</p>
    }
    .into_any()
}

/// The whole window, when nobody is signed in.
fn entrance(app: App) -> AnyView {
    view! {
        <main class="entrance">
            <h1>{icon("consistency")} "Locus"</h1>
            {move || match app.phase.get() {
                Phase::SignedOut(failure) => sign_in_form(app, failure),
                _ => view! { <p role="status">"Signing in…"</p> }.into_any(),
            }}
        </main>
    }
    .into_any()
}

/// The fields of the form. They outlive its messages.
#[derive(Clone, Copy)]
struct Fields {
    user: RwSignal<String>,
    database: RwSignal<String>,
    password: RwSignal<String>,
    code: RwSignal<String>,
    way: RwSignal<&'static str>,
}

/// By password, with a code or a recovery code where the role has one, or by ticket.
fn sign_in_form(app: App, refused: Option<Failure>) -> AnyView {
    let known = app.credentials.get_untracked();
    let or = |value: String| if value.is_empty() { "locus".to_owned() } else { value };
    let user = or(if known.is_ticket() { app.role.get_untracked() } else { known.user });
    let fields = Fields {
        user: RwSignal::new(user),
        database: RwSignal::new(or(known.database)),
        password: RwSignal::new(String::new()),
        code: RwSignal::new(String::new()),
        way: RwSignal::new("password"),
    };
    let failure = RwSignal::new(refused);
    let busy = RwSignal::new(false);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        let credentials = Credentials {
            user: fields.user.get_untracked(),
            database: fields.database.get_untracked(),
            password: fields.password.get_untracked(),
            code: if fields.way.get_untracked() == "ticket" { String::new() } else { fields.code.get_untracked() },
            is_own: false,
        };
        spawn_local(async move {
            let outcome = app.sign_in(credentials).await;
            busy.try_set(false);
            if let Err(error) = outcome {
                failure.try_set(Some(error));
            }
        });
    };
    view! {
        <form class="sign-in" on:submit=submit>
            <fieldset class="choices">
                <legend class="hidden">"Sign in with"</legend>
                {["password", "ticket"].map(|way| choice(fields.way, way)).collect_view()}
            </fieldset>
            {move || secret_fields(fields)}
            <label class="field">
                <span>"Database"</span>
                <input id="database" required autocomplete="off" prop:value=fields.database on:input:target=move |event| fields.database.set(event.target().value()) />
            </label>
            {move || failure.get().map(|failure| view! { <div role="alert">{failure_text(&failure)}</div> })}
            <button id="sign-in" type="submit" class="primary wide" disabled=move || busy.get()>
                {move || if busy.get() { "Signing in…" } else { "Sign in" }}
            </button>
        </form>
    }
    .into_any()
}

fn choice(way: RwSignal<&'static str>, name: &'static str) -> AnyView {
    let label = if name == "ticket" { "Ticket" } else { "Password" };
    view! {
        <label>
            <input type="radio" name="way" prop:checked=move || way.get() == name on:change=move |_| way.set(name) />
            {label}
        </label>
    }
    .into_any()
}

fn secret_fields(fields: Fields) -> AnyView {
    if fields.way.get() == "ticket" {
        return view! {
            {field("Ticket (tok_…)", "user", "text", "off", fields.user)}
            {field("Secret", "password", "password", "off", fields.password)}
        }
        .into_any();
    }
    view! {
        {field("Role", "user", "text", "username", fields.user)}
        {field("Password", "password", "password", "current-password", fields.password)}
        {field("One-time or recovery code, if set up", "code", "text", "one-time-code", fields.code)}
    }
    .into_any()
}

fn field(
    label: &'static str,
    id: &'static str,
    kind: &'static str,
    fill: &'static str,
    value: RwSignal<String>,
) -> AnyView {
    view! {
        <label class="field">
            <span>{label}</span>
            <input id=id type=kind autofocus=id == "password" autocomplete=fill autocapitalize="none" spellcheck="false" prop:value=value on:input:target=move |event| value.set(event.target().value()) />
        </label>
    }
    .into_any()
}

/// Menu and place.
fn frame(app: App) -> AnyView {
    let menu = RwSignal::new(false);
    // Another place: the menu of small windows has done its work.
    Effect::new(move |_| {
        app.route.track();
        menu.set(false);
    });
    let keys = window_event_listener(leptos::ev::keydown, move |event| {
        if (event.ctrl_key() || event.meta_key()) && event.key() == "k" {
            event.prevent_default();
            app.palette.update(|open| *open = !*open);
        }
    });
    on_cleanup(move || keys.remove());
    let page = Memo::new(move |_| app.route.read().page);
    view! {
        <a class="skip" href="#main">"Skip the menu"</a>
        <div class="frame">
            <nav class="menu" class:open=menu aria-label="Places">
                <p class="brand">{icon("consistency")} "Locus"</p>
                <ul>{Page::ALL.map(|entry| menu_entry(app, page, entry)).collect_view()}</ul>
                <div class="who">
                    <button class="quiet wide" on:click=move |_| app.palette.set(true)>
                        {icon("search")}
                        "Go to… "
                        <kbd>"Ctrl K"</kbd>
                    </button>
                    <p>{move || app.role.get()} <span class="note">" at " {move || app.credentials.read().database.clone()}</span></p>
                    <button class="quiet wide" id="sign-out" on:click=move |_| app.sign_out()>"Sign out"</button>
                </div>
            </nav>
            <main id="main">
                <header class="title">
                    <button class="quiet menu-button" aria-label="Menu" aria-expanded=move || menu.get().to_string() on:click=move |_| menu.update(|open| *open = !*open)>
                        {icon("menu")}
                    </button>
                    <h1 id="title" tabindex="-1">{move || page.get().title()}</h1>
                    <span class="grow"></span>
                    {move || connection(app)}
                </header>
                {move || pages::page(app, page.get())}
            </main>
        </div>
        {confirmations(app)}
        {move || app.palette.get().then(|| palette::palette(app))}
        {move || expired(app)}
    }
    .into_any()
}

fn menu_entry(app: App, current: Memo<Page>, page: Page) -> AnyView {
    let name: &'static str = match page {
        Page::Overview => "overview",
        Page::Nodes => "nodes",
        Page::Ranges => "ranges",
        Page::Statements => "statements",
        Page::Sessions => "sessions",
        Page::Locks => "locks",
        Page::Schema => "schema",
        Page::Sql => "sql",
        Page::Security => "security",
        Page::Consistency => "consistency",
    };
    view! {
        <li aria-current=move || (current.get() == page).then_some("page")>
            {link_to(app, Route::to(page), "entry", view! { {icon(name)} {page.title()} })}
        </li>
    }
    .into_any()
}

fn connection(app: App) -> Option<AnyView> {
    match app.phase.get() {
        Phase::Lost(reason) => Some(
            view! { <span role="alert" title=reason>{status("bad", "Connection lost, trying again…")}</span> }
                .into_any(),
        ),
        Phase::Expired(_) if app.link.read().is_none() => Some(status("bad", "Signed out")),
        _ => None,
    }
}

/// Over the page, which keeps all that was typed.
fn expired(app: App) -> Option<AnyView> {
    let Phase::Expired(failure) = app.phase.get() else { return None };
    let has_session = move || app.link.read().is_some();
    // What needs the sign-in can be left; a session that has ended cannot be gone on with.
    let leave_it = move || {
        if app.link.read_untracked().is_some() {
            app.phase.set(Phase::On);
        }
    };
    let way_out = move || {
        if has_session() {
            view! { <button class="quiet wide" on:click=move |_| leave_it()>"Leave it"</button> }.into_any()
        } else {
            view! { <button class="quiet wide" on:click=move |_| app.sign_out()>"Leave the page"</button> }.into_any()
        }
    };
    // Not everything that asks for it is an error.
    let (said, refused) = match failure.sqlstate.is_empty() {
        true => (failure.message, None),
        false => ("The page stays as it is.".to_owned(), Some(failure)),
    };
    let form = view! {
        <p class="note">{said}</p>
        {sign_in_form(app, refused)}
        {way_out}
    };
    Some(modal("Sign in again", leave_it, form.into_any()))
}
