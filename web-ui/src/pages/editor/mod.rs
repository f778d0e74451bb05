//! The SQL editor: tabs that survive a reload, run, cancel, results, plans, history. It has a session of its own, so that a
//! transaction that is begun here stays open from one run to the next and a long statement holds no panel up.

mod results;
mod text;

use std::sync::Arc;

use leptos::{prelude::*, task::spawn_local};

use self::text::Marker;
use crate::{
    app::App,
    browser::{
        self,
        pg::{Link, Outcome, ROWS_MAX},
    },
    drafts::{self, Draft},
    format,
    parts::icon::{icon, status},
    rows::Failure,
    statement::statements,
};

const DRAFTS: &str = "locus.drafts";
const HISTORY: &str = "locus.history";

/// What became of one statement.
#[derive(Clone)]
pub struct Ran {
    pub sql: String,
    pub outcome: Result<Arc<Outcome>, Failure>,
    pub millis: f64,
}

#[derive(Clone, Copy)]
pub struct Editor {
    pub app: App,
    pub drafts: RwSignal<Vec<Draft>>,
    pub current: RwSignal<usize>,
    /// Where the error is, in the text of the current tab.
    pub marker: RwSignal<Option<Marker>>,
    pub ran: RwSignal<Vec<Ran>>,
    /// When the running statement began.
    pub running: RwSignal<Option<f64>>,
    pub notices: RwSignal<Vec<String>>,
    /// Set to stop between two statements.
    stop: RwSignal<bool>,
    link: RwSignal<Option<Link>>,
    history: RwSignal<Vec<String>>,
}

pub fn page(app: App) -> AnyView {
    let kept = browser::recall(browser::storage(), DRAFTS).unwrap_or_default();
    let history = drafts::history(&browser::recall(browser::storage(), HISTORY).unwrap_or_default());
    let editor = Editor {
        app,
        drafts: RwSignal::new(drafts::read_drafts(&kept)),
        current: RwSignal::new(0),
        marker: RwSignal::new(None),
        ran: RwSignal::new(Vec::new()),
        running: RwSignal::new(None),
        notices: RwSignal::new(Vec::new()),
        stop: RwSignal::new(false),
        link: RwSignal::new(None),
        history: RwSignal::new(history),
    };
    editor.take_text_of_address();
    Effect::new(move |_| browser::keep(browser::storage(), DRAFTS, &drafts::write_drafts(&editor.drafts.read())));
    view! {
        {tabs(editor)}
        <section class="panel" aria-label="Statements">
            {text::editor(editor)}
            {toolbar(editor)}
        </section>
        {move || results::results(editor)}
        {move || history_list(editor)}
    }
    .into_any()
}

impl Editor {
    /// A statement that another place has sent here, in a tab of its own.
    fn take_text_of_address(self) {
        let text = self.app.route.read_untracked().value("text").to_owned();
        if text.is_empty() {
            return;
        }
        self.drafts.update(|drafts| match drafts.iter().position(|draft| draft.text == text) {
            Some(position) => self.current.set(position),
            None => {
                let name = drafts::new_name(drafts);
                drafts.push(Draft { name, text });
                self.current.set(drafts.len() - 1);
            }
        });
        self.app.note("text", "");
    }

    pub fn text(self) -> String {
        self.drafts.read().get(self.current.get()).map_or_else(String::new, |draft| draft.text.clone())
    }

    pub fn set_text(self, text: String) {
        self.marker.set(None);
        self.drafts.update(|drafts| {
            if let Some(draft) = drafts.get_mut(self.current.get_untracked()) {
                draft.text = text;
            }
        });
    }

    /// Runs what is selected, or all. `prefix` is set before each statement: EXPLAIN.
    pub fn run(self, prefix: &'static str) {
        if self.running.get_untracked().is_some() {
            return;
        }
        let text = self.text();
        let range = text::selection(&text).filter(|range| !range.is_empty()).unwrap_or(0..text.len());
        let found = statements(&text[range.clone()]);
        if found.is_empty() {
            return self.app.say("There is no statement to run");
        }
        self.ran.set(Vec::new());
        self.notices.set(Vec::new());
        self.marker.set(None);
        self.stop.set(false);
        self.running.set(Some(browser::now()));
        let wanted: Vec<(usize, String)> = found
            .into_iter()
            .map(|statement| {
                (
                    range.start + statement.start,
                    text[range.start + statement.start..range.start + statement.end].to_owned(),
                )
            })
            .collect();
        spawn_local(async move {
            self.run_all(wanted, prefix).await;
            self.running.try_set(None);
        });
    }

    /// One after the other, each a transaction of its own unless BEGIN was one of them; an error ends it.
    async fn run_all(self, wanted: Vec<(usize, String)>, prefix: &'static str) {
        for (start, statement) in wanted {
            if self.stop.try_get_untracked() != Some(false) {
                return;
            }
            let sql = format!("{prefix}{statement}");
            let begun = browser::now();
            let outcome = match self.session().await {
                Ok(link) => {
                    link.run(&sql, ROWS_MAX).await.map(|mut all| Arc::new(all.pop().unwrap_or(Outcome::Done(0))))
                }
                Err(failure) => Err(failure),
            };
            let failure = outcome.as_ref().err().cloned();
            let ran = Ran { sql: statement.clone(), outcome, millis: browser::now() - begun };
            // The person may have gone to another place; the statement has run all the same.
            self.ran.try_update(|all| all.push(ran));
            self.remember(&statement);
            if let Some(failure) = failure {
                let offset =
                    failure.position.map(|position| (position as usize).saturating_sub(1 + prefix.chars().count()));
                self.marker.try_set(offset.map(|offset| Marker::at(&statement, start, offset)));
                return;
            }
        }
    }

    /// The session of this editor; a new one if there is none any more.
    async fn session(self) -> Result<Link, Failure> {
        if let Some(link) = self.link.try_get_untracked().flatten().filter(|link| !link.is_closed()) {
            return Ok(link);
        }
        let hear = move |notice: String| {
            let _ = self.notices.try_update(|notices| notices.push(notice));
        };
        let link = self.app.open("locus page, SQL", hear).await?;
        self.link.try_set(Some(link.clone()));
        Ok(link)
    }

    fn cancel(self) {
        self.stop.set(true);
        if let Some(link) = self.link.get_untracked() {
            link.cancel();
        }
    }

    fn remember(self, statement: &str) {
        let kept = drafts::remember(&browser::recall(browser::storage(), HISTORY).unwrap_or_default(), statement);
        browser::keep(browser::storage(), HISTORY, &kept);
        self.history.try_set(drafts::history(&kept));
    }
}

fn tabs(editor: Editor) -> AnyView {
    let list = move || {
        let drafts = editor.drafts.read();
        let single = drafts.len() == 1;
        let tabs = drafts.iter().enumerate().map(|(position, draft)| {
            let name = draft.name.clone();
            let close = move |_| {
                editor.drafts.update(|drafts| drop(drafts.remove(position)));
                editor.current.set(position.saturating_sub(1));
            };
            view! {
                <span class="tab" class:current=move || editor.current.get() == position>
                    <button
                        class="quiet"
                        aria-pressed=move || (editor.current.get() == position).to_string()
                        on:click=move |_| {
                            editor.marker.set(None);
                            editor.current.set(position);
                        }
                    >
                        {name.clone()}
                    </button>
                    {(!single).then(|| view! { <button class="quiet" aria-label=format!("Close {name}") on:click=close>{icon("close")}</button> })}
                </span>
            }
        });
        tabs.collect_view()
    };
    let add = move |_| {
        editor.drafts.update(|drafts| {
            let name = drafts::new_name(drafts);
            drafts.push(Draft { name, text: String::new() });
        });
        editor.marker.set(None);
        editor.current.set(editor.drafts.read_untracked().len() - 1);
    };
    view! {
        <div class="tabs" role="group" aria-label="Tabs">
            {list}
            <button class="quiet" aria-label="New tab" on:click=add>{icon("plus")}</button>
        </div>
    }
    .into_any()
}

fn toolbar(editor: Editor) -> AnyView {
    let idle = move || editor.running.get().is_none();
    view! {
        <div class="toolbar inside">
            <button id="run" class="primary" disabled=move || !idle() on:click=move |_| editor.run("")>
                {icon("play")}
                "Run"
            </button>
            <button id="cancel" disabled=idle on:click=move |_| editor.cancel()>{icon("stop")} "Cancel"</button>
            <button disabled=move || !idle() on:click=move |_| editor.run("EXPLAIN ")>"Explain"</button>
            <button disabled=move || !idle() on:click=move |_| editor.run("EXPLAIN ANALYZE ")>"Explain and run"</button>
            <span class="note">"Ctrl Enter runs the selection or all, Ctrl Space completes"</span>
            <span class="grow"></span>
            {move || editor.running.get().map(|_| status("wait", "Running…"))}
        </div>
    }
    .into_any()
}

fn history_list(editor: Editor) -> Option<AnyView> {
    let history = editor.history.get();
    if history.is_empty() {
        return None;
    }
    let entries = history.into_iter().map(|statement| {
        let shown = format::one_line(&statement, 140);
        view! {
            <li>
                <button class="quiet code" on:click=move |_| editor.set_text(statement.clone())>
                    {shown}
                </button>
            </li>
        }
    });
    let entries = entries.collect_view();
    Some(
        view! {
            <details class="panel">
                <summary>"History"</summary>
                <ul class="history">{entries}</ul>
            </details>
        }
        .into_any(),
    )
}
