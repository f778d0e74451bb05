//! What the whole page shares: where one is, the session, and what floats above the page.

use std::{collections::BTreeMap, time::Duration};

use leptos::{prelude::*, task::spawn_local};

use crate::{
    browser::{
        self,
        pg::{Credentials, Link},
    },
    parts::dialog::Action,
    route::Route,
    rows::Failure,
    statement::with_text,
};

/// Under this name the tab keeps who is signed in.
const KEPT: &str = "locus.session";
const APPLICATION: &str = "locus page";

/// Whether there is a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Nobody is there; where it was tried, why not.
    SignedOut(Option<Failure>),
    /// The page was loaded again and goes on with the session that its tab had.
    Connecting,
    On,
    /// The connection broke, and the page tries to get it back.
    Lost(String),
    /// Something is not to be had without signing in again. The session may still be there.
    Expired(Failure),
}

#[derive(Clone, Copy)]
pub struct App {
    pub route: RwSignal<Route>,
    pub link: RwSignal<Option<Link>>,
    pub phase: RwSignal<Phase>,
    /// What further sessions are opened with.
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
        let (credentials, role) = recalled();
        let app = App {
            route: RwSignal::new(current_route()),
            link: RwSignal::new(None),
            phase: RwSignal::new(Phase::SignedOut(None)),
            credentials: RwSignal::new(credentials),
            role: RwSignal::new(role),
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
                browser::sleep(Duration::ZERO).await;
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
            browser::sleep(Duration::from_secs(6)).await;
            if self.toast.try_with_untracked(|shown| *shown == text) == Some(true) {
                self.toast.set(String::new());
            }
        });
    }

    /// Signs in with what was typed. Until that has worked the phase stays as it is, and with it the form, which shows what
    /// went wrong.
    pub async fn sign_in(self, typed: Credentials) -> Result<(), Failure> {
        let (link, role) = self.connect(&typed).await?;
        let former = self.credentials.get_untracked();
        let lasting = lasting(&link, typed).await;
        self.keep(lasting, &role);
        take_back(&link, &former).await;
        self.publish(link, role);
        Ok(())
    }

    /// A session for the panels, and the role that it acts as.
    async fn connect(self, credentials: &Credentials) -> Result<(Link, String), Failure> {
        let ended = move |reason| {
            // One that was replaced or left on purpose ends without anybody's notice.
            if self.link.with_untracked(|link| link.as_ref().is_some_and(Link::is_closed)) {
                self.lost(reason);
            }
        };
        let link = Link::open(credentials, APPLICATION, |_| {}, ended).await?;
        // A panel that waits for ever helps nobody; the editor has a session of its own without this limit.
        link.query("SET statement_timeout = '20s'").await?;
        let rows = link.query("SELECT current_user AS role").await?;
        let role = rows.first().map(|row| row.text("role")).unwrap_or_default();
        Ok((link, role))
    }

    /// From now on the panels work with this session.
    fn publish(self, link: Link, role: String) {
        let ended_already = link.is_closed();
        self.role.set(role);
        self.link.set(Some(link));
        self.phase.set(Phase::On);
        if ended_already {
            self.lost("the server ended the session".to_owned());
        }
    }

    fn lost(self, reason: String) {
        self.link.set(None);
        if *self.phase.read_untracked() == Phase::On {
            self.phase.set(Phase::Lost(reason));
            spawn_local(self.reconnect());
        }
    }

    async fn reconnect(self) {
        let mut pause = Duration::from_millis(500);
        let is_lost = || matches!(*self.phase.read_untracked(), Phase::Lost(_));
        while is_lost() {
            browser::sleep(pause).await;
            let credentials = self.credentials.get_untracked();
            let outcome = self.connect(&credentials).await;
            // Somebody may have signed out meanwhile.
            if !is_lost() {
                return;
            }
            match outcome {
                Ok((link, role)) => return self.publish(link, role),
                Err(failure) if failure.is_refusal() => return self.expire(failure),
                Err(failure) => self.phase.set(Phase::Lost(failure.message)),
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Another session of the same person, for what must not hold up the panels. Where it is refused, the page asks to sign in
    /// again.
    pub async fn open(self, application: &str, hear: impl Fn(String) + 'static) -> Result<Link, Failure> {
        let credentials = self.credentials.get_untracked();
        let opened = Link::open(&credentials, application, hear, |_| ()).await;
        if let Some(failure) = opened.as_ref().err().filter(|failure| failure.is_refusal()) {
            self.expire(failure.clone());
        }
        opened
    }

    /// Asks to sign in again, over the page, which stays as it is.
    fn expire(self, failure: Failure) {
        if matches!(*self.phase.read_untracked(), Phase::On | Phase::Lost(_)) {
            self.phase.set(Phase::Expired(failure));
        }
    }

    /// Whether this session can make tickets. One that was begun by a ticket cannot: then the person is asked to sign in.
    pub fn can_make_tickets(self) -> bool {
        let by_ticket = self.link.with_untracked(|link| link.as_ref().is_some_and(Link::is_by_ticket));
        if by_ticket {
            let text = "Tickets, and what a role signs in with, are changed after signing in with more than a ticket.";
            self.expire(Failure::local(text));
        }
        !by_ticket
    }

    /// After a change of what the role signs in with, which ends its tickets: a new one for the page.
    pub async fn renew_ticket(self) {
        let former = self.credentials.get_untracked();
        let Some(link) = self.link.get_untracked().filter(|_| former.is_ticket()) else { return };
        match new_ticket(&link, &former.database).await {
            Ok(renewed) => {
                self.keep(renewed, &self.role.get_untracked());
                take_back(&link, &former).await;
            }
            Err(failure) => self.expire(failure),
        }
    }

    /// At the start: goes on with the session that this tab had, if there is one.
    pub fn resume(self) {
        let credentials = self.credentials.get_untracked();
        if credentials.user.is_empty() {
            return;
        }
        self.phase.set(Phase::Connecting);
        spawn_local(async move {
            match self.connect(&credentials).await {
                Ok((link, role)) => self.publish(link, role),
                Err(failure) => {
                    if failure.is_refusal() {
                        self.forget();
                    }
                    self.phase.set(Phase::SignedOut(Some(failure)));
                }
            }
        });
    }

    /// Ends the session and takes back the page's ticket.
    pub fn sign_out(self) {
        let former = self.credentials.get_untracked();
        let link = self.link.get_untracked();
        self.forget();
        self.link.set(None);
        self.phase.set(Phase::SignedOut(None));
        self.action.set(None);
        self.palette.set(false);
        self.series.update(BTreeMap::clear);
        if let Some(link) = link {
            spawn_local(async move { take_back(&link, &former).await });
        }
    }

    /// Notes what reloads and lost connections get in with. A password stays in memory.
    fn keep(self, credentials: Credentials, role: &str) {
        if credentials.is_ticket() || credentials.password.is_empty() {
            let Credentials { user, database, password, is_own, .. } = &credentials;
            let own = if *is_own { "own" } else { "" };
            let text = [user.as_str(), database.as_str(), password.as_str(), role, own]
                .map(|part| part.replace('\n', " "))
                .join("\n");
            browser::keep(browser::tab_storage(), KEPT, &text);
        } else {
            browser::forget(browser::tab_storage(), KEPT);
        }
        self.credentials.set(credentials);
    }

    /// Of who was here only the names are left, for the form.
    fn forget(self) {
        browser::forget(browser::tab_storage(), KEPT);
        let (user, database) = (self.role.get_untracked(), self.credentials.read_untracked().database.clone());
        self.credentials.set(Credentials { user, database, ..Credentials::default() });
    }
}

/// What lasts of what was typed. A code works once and a password is not to be kept, so a ticket takes their place, where the
/// server gives one.
async fn lasting(link: &Link, typed: Credentials) -> Credentials {
    if typed.is_ticket() || typed.password.is_empty() && typed.code.is_empty() {
        return typed;
    }
    match new_ticket(link, &typed.database).await {
        Ok(ticket) => ticket,
        Err(_) => Credentials { code: String::new(), ..typed },
    }
}

async fn new_ticket(link: &Link, database: &str) -> Result<Credentials, Failure> {
    let rows = link.query("CREATE TICKET").await?;
    let row = rows.first().ok_or_else(|| Failure::local("the server gave no ticket"))?;
    let (user, password) = (row.text("ticket"), row.text("secret"));
    Ok(Credentials { user, password, database: database.to_owned(), code: String::new(), is_own: true })
}

/// Ends a ticket that the page had made for itself. Where that fails it ends by itself, an hour after its last use.
async fn take_back(link: &Link, credentials: &Credentials) {
    if credentials.is_own {
        let _ = link.query(&with_text("DROP TICKET", &credentials.user)).await;
    }
}

fn current_route() -> Route {
    let location = window().location();
    Route::parse(&location.pathname().unwrap_or_default(), &location.search().unwrap_or_default())
}

/// What [`App::keep`] has kept: what to sign in with, and the role.
fn recalled() -> (Credentials, String) {
    let text = browser::recall(browser::tab_storage(), KEPT).unwrap_or_default();
    let mut parts = text.split('\n').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (user, database, password, role) = (next(), next(), next(), next());
    (Credentials { user, database, password, code: String::new(), is_own: next() == "own" }, role)
}
