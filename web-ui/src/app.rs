//! What the whole page shares: where one is, the session, and what floats above the page.

use std::collections::BTreeMap;

use leptos::{prelude::*, task::spawn_local};

use crate::{
    browser::{
        self,
        pg::{Credentials, Link},
    },
    parts::dialog::Action,
    route::Route,
    rows::Failure,
};

/// Under this name the tab keeps who is signed in.
const KEPT: &str = "locus.session";
const APPLICATION: &str = "locus page";

/// Whether there is a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    SignedOut,
    Connecting,
    On,
    /// The connection broke, and the page tries to get it back.
    Lost(String),
    /// It cannot be got back without signing in again.
    Expired(Failure),
}

#[derive(Clone, Copy)]
pub struct App {
    pub route: RwSignal<Route>,
    pub link: RwSignal<Option<Link>>,
    pub phase: RwSignal<Phase>,
    pub credentials: RwSignal<Credentials>,
    /// The role that the session acts as; a ticket's name says nothing of it.
    pub role: RwSignal<String>,
    /// What waits to be confirmed.
    pub action: RwSignal<Option<Action>>,
    /// Counts what was done from this page: after each, all that is shown is asked for again.
    pub changes: RwSignal<u32>,
    pub palette: RwSignal<bool>,
    /// Said to screen readers and shown for a while.
    pub toast: RwSignal<String>,
    /// What the charts remember: series by name, oldest value first.
    pub series: RwSignal<BTreeMap<String, Vec<f64>>>,
}

impl App {
    pub fn new() -> App {
        let app = App {
            route: RwSignal::new(current_route()),
            link: RwSignal::new(None),
            phase: RwSignal::new(Phase::SignedOut),
            credentials: RwSignal::new(recalled()),
            role: RwSignal::new(String::new()),
            action: RwSignal::new(None),
            changes: RwSignal::new(0),
            palette: RwSignal::new(false),
            toast: RwSignal::new(String::new()),
            series: RwSignal::new(BTreeMap::new()),
        };
        let pops = window_event_listener(leptos::ev::popstate, move |_| app.route.set(current_route()));
        on_cleanup(move || pops.remove());
        Effect::new(move |_| document().set_title(&format!("{} · Locus", app.route.read().page.title())));
        app
    }

    /// Goes to another place of the page.
    pub fn go(self, route: Route) {
        self.change_address(&route, true);
        let moved = self.route.read_untracked().page != route.page || self.route.read_untracked().rest != route.rest;
        self.route.set(route);
        if moved {
            window().scroll_to_with_x_and_y(0.0, 0.0);
            // So that a screen reader begins to read there.
            spawn_local(async {
                browser::sleep(0).await;
                browser::focus("title");
            });
        }
    }

    /// Notes a state of the same place in the address, without a step in the history.
    pub fn note(self, name: &str, value: impl Into<String>) {
        let route = self.route.get_untracked().with(name, value);
        self.change_address(&route, false);
        self.route.set(route);
    }

    fn change_address(self, route: &Route, step: bool) {
        let Ok(history) = window().history() else { return };
        let state = wasm_bindgen::JsValue::NULL;
        let address = route.address();
        // A browser that refuses, because there were too many, still shows the right page.
        let _ = if step {
            history.push_state_with_url(&state, "", Some(&address))
        } else {
            history.replace_state_with_url(&state, "", Some(&address))
        };
    }

    pub fn say(self, text: impl Into<String>) {
        let text = text.into();
        self.toast.set(text.clone());
        spawn_local(async move {
            browser::sleep(6000).await;
            if self.toast.try_with_untracked(|shown| *shown == text) == Some(true) {
                self.toast.set(String::new());
            }
        });
    }

    /// Signs in with what was typed.
    pub async fn sign_in(self, credentials: Credentials) -> Result<(), Failure> {
        if *self.phase.read_untracked() == Phase::SignedOut {
            self.phase.set(Phase::Connecting);
        }
        match self.connect(&credentials).await {
            Ok(()) => {
                // A code works once, so it is of no use to a reload; a password is not kept anywhere.
                self.credentials.set(credentials);
                self.keep_session().await;
                Ok(())
            }
            Err(failure) => {
                if *self.phase.read_untracked() == Phase::Connecting {
                    self.phase.set(Phase::SignedOut);
                }
                Err(failure)
            }
        }
    }

    async fn connect(self, credentials: &Credentials) -> Result<(), Failure> {
        let ended = move |reason| {
            // One that was left on purpose ends without anybody's notice.
            if matches!(*self.phase.read_untracked(), Phase::On) {
                self.link.set(None);
                self.phase.set(Phase::Lost(reason));
                spawn_local(self.reconnect());
            }
        };
        let link = Link::open(credentials, APPLICATION, |_| {}, ended).await?;
        // A panel that waits for ever helps nobody; the editor has a session of its own without this limit.
        link.query("SET statement_timeout = '20s'").await?;
        let role = link.query("SELECT current_user AS role").await?;
        self.role.set(role.first().map(|row| row.text("role")).unwrap_or_default());
        self.link.set(Some(link));
        self.phase.set(Phase::On);
        Ok(())
    }

    async fn reconnect(self) {
        let mut pause = 500;
        while matches!(*self.phase.read_untracked(), Phase::Lost(_)) {
            browser::sleep(pause).await;
            let credentials = self.credentials.get_untracked();
            match self.connect(&credentials).await {
                Ok(()) => return,
                Err(failure) if failure.is_refusal() => return self.phase.set(Phase::Expired(failure)),
                Err(failure) => {
                    if matches!(*self.phase.read_untracked(), Phase::Lost(_)) {
                        self.phase.set(Phase::Lost(failure.message));
                    }
                }
            }
            pause = (pause * 2).min(5000);
        }
    }

    /// At the start: goes on with the session that this tab had, if there is one.
    pub fn resume(self) {
        let credentials = self.credentials.get_untracked();
        if credentials.user.is_empty() || browser::recall(browser::tab_storage(), KEPT).is_none() {
            return;
        }
        self.phase.set(Phase::Connecting);
        spawn_local(async move {
            if self.connect(&credentials).await.is_err() {
                self.phase.set(Phase::SignedOut);
            }
        });
    }

    pub fn sign_out(self) {
        browser::forget(browser::tab_storage(), KEPT);
        self.phase.set(Phase::SignedOut);
        self.link.set(None);
        self.credentials.update(|credentials| {
            credentials.password.clear();
            credentials.code.clear();
        });
    }

    /// Notes how a reload gets in again, and drops what was typed.
    async fn keep_session(self) {
        let Credentials { user, database, password, code } = self.credentials.get_untracked();
        let mut kept = Credentials { user: user.clone(), database, ..Credentials::default() };
        if !password.is_empty() || !code.is_empty() {
            let ticket = self.ticket().await;
            match ticket {
                Some((name, secret)) => (kept.user, kept.password) = (name, secret),
                // Without tickets the password stays in memory, for reconnecting, and a reload asks for it.
                None => {
                    self.credentials.update(|credentials| credentials.code.clear());
                    return;
                }
            }
        }
        let text = [&kept.user, &kept.database, &kept.password].map(|part| part.replace('\n', " ")).join("\n");
        browser::keep(browser::tab_storage(), KEPT, &text);
        self.credentials.set(kept);
    }

    /// A ticket for this session's role: user name and secret.
    async fn ticket(self) -> Option<(String, String)> {
        let link = self.link.get_untracked()?;
        let rows = link.query("CREATE TICKET").await.ok()?;
        let first = rows.first()?;
        Some((first.get("ticket")?.to_owned(), first.get("secret")?.to_owned()))
    }
}

fn current_route() -> Route {
    let location = window().location();
    Route::parse(&location.pathname().unwrap_or_default(), &location.search().unwrap_or_default())
}

fn recalled() -> Credentials {
    let text = browser::recall(browser::tab_storage(), KEPT).unwrap_or_default();
    let mut parts = text.split('\n').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    Credentials { user: next(), database: next(), password: next(), code: String::new() }
}
