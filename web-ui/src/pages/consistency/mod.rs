//! Is this cluster consistent? The client workloads of `locus jepsen`, each client with a session of its own from this very
//! page, in a schema of their own; then the checkers of `locus jepsen` judge what the clients saw. Run it and kill a node
//! meanwhile.

mod cycle;
mod run;
mod verdict;
mod world;

use std::sync::Arc;

use consistency::{
    check::Verdict,
    history::Counts,
    workload::{ABOUT, Isolation, Shape, Workload},
};
use leptos::prelude::*;

use crate::{
    app::App,
    check::{
        Settings, sample,
        settings::{CLIENTS_MAX, SECONDS_MAX},
    },
    format,
    parts::{chart::sparkline, icon::status, panel::sql_text},
    rows::Failure,
};

/// Said where a run leaves something behind.
const CUTS: &str = " The tables are cut into ranges, which are never merged again: each run leaves some behind, empty.";

#[derive(Clone)]
enum Phase {
    Idle,
    Running,
    Checked(Arc<Finished>),
    Failed(Failure),
}

/// A run that was judged.
struct Finished {
    settings: Settings,
    workload: Arc<dyn Workload>,
    verdict: Verdict,
    /// It ended before its time because the page keeps no more operations.
    is_cut: bool,
    /// Why the schema could not be dropped.
    left: Option<Failure>,
}

/// What is seen of a run while it goes on.
#[derive(Clone, Default)]
struct Watch {
    counts: Counts,
    /// Committed operations per second, the newest last.
    rates: Vec<f64>,
    seconds_left: f64,
    /// The clients are done.
    is_judging: bool,
}

#[derive(Clone, Copy)]
struct Check {
    app: App,
    settings: Memo<Settings>,
    phase: RwSignal<Phase>,
    watch: RwSignal<Watch>,
    stop: RwSignal<bool>,
}

impl Check {
    fn is_running(self) -> bool {
        matches!(*self.phase.read(), Phase::Running)
    }
}

pub fn page(app: App) -> AnyView {
    let check = Check {
        app,
        settings: Memo::new(move |_| Settings::of(&app.route.read())),
        phase: RwSignal::new(Phase::Idle),
        watch: RwSignal::new(Watch::default()),
        stop: RwSignal::new(false),
    };
    on_cleanup(move || {
        let _ = check.stop.try_set(true);
    });
    let sql = Memo::new(move |_| {
        let settings = check.settings.get();
        sample::sql(settings.workload.name, &settings.parameters())
    });
    view! {
        <section class="panel padded" aria-label="Consistency check">
            <header class="panel-head"><h2>"Check this cluster"</h2></header>
            <p class="line">
                "The workloads of " <code>"locus jepsen"</code> ", run by clients of this page in the schema "
                <code>{run::SCHEMA}</code> "; then the checkers of " <code>"locus jepsen"</code>
                " judge what the clients saw. Kill a node meanwhile, if you like."
            </p>
            {settings_view(check)}
            <p class="line" id="workload-says">
                {move || check.settings.get().workload.says}
                {move || (check.settings.get().shape != Shape::OneRange).then_some(CUTS)}
            </p>
            {move || progress(check)}
        </section>
        {move || verdict::view(check)}
        <section class="panel padded" aria-label="SQL of the clients">
            <header class="panel-head"><h2>"What the clients do"</h2></header>
            {move || sql_text(app, &sql.get())}
        </section>
    }
    .into_any()
}

fn settings_view(check: Check) -> AnyView {
    let workloads = ABOUT.iter().map(|about| (about.name.to_owned(), about.name.to_owned()));
    // The strongest first: it is what one gets without asking.
    let levels = Isolation::ALL.into_iter().rev().map(|level| (word(level), level.to_string().to_uppercase()));
    let shapes = Shape::ALL.into_iter().map(|shape| (shape.to_string(), shape.to_string().replace('-', " ")));
    view! {
        <fieldset class="toolbar inside" disabled=move || check.is_running()>
            {choice(check, "Workload", "workload", workloads.collect(), |settings| settings.workload.name.to_owned())}
            {choice(check, "Isolation", "isolation", levels.collect(), |settings| word(settings.isolation))}
            {choice(check, "Rows in", "rows", shapes.collect(), |settings| settings.shape.to_string())}
            {number(check, "Clients", "clients", CLIENTS_MAX, |settings| settings.clients)}
            {number(check, "Seconds", "seconds", SECONDS_MAX, |settings| settings.seconds)}
            <button id="run-check" class="primary" on:click=move |_| run::start(check)>"Run"</button>
        </fieldset>
    }
    .into_any()
}

/// A setting that is one of several, each with its word in the address and what is read.
fn choice(
    check: Check,
    label: &'static str,
    name: &'static str,
    choices: Vec<(String, String)>,
    value: fn(&Settings) -> String,
) -> AnyView {
    let options = choices.into_iter().map(|(word, text)| {
        let own = word.clone();
        view! { <option value=word prop:selected=move || value(&check.settings.get()) == own>{text}</option> }
    });
    view! {
        <label class="field narrow">
            <span>{label}</span>
            <select id=name aria-describedby="workload-says" on:change:target=move |event| check.app.note(name, event.target().value())>
                {options.collect_view()}
            </select>
        </label>
    }
    .into_any()
}

/// A level in an address.
fn word(level: Isolation) -> String {
    level.to_string().replace(' ', "-")
}

/// A number from 1 to `most`; another one is brought there.
fn number(check: Check, label: &'static str, name: &'static str, most: u32, value: fn(&Settings) -> u32) -> AnyView {
    let take = move |typed: String| typed.parse().unwrap_or(1).clamp(1, most).to_string();
    view! {
        <label class="field narrow">
            <span>{label}</span>
            <input id=name type="number" min="1" max=most
                prop:value=move || value(&check.settings.get()).to_string()
                on:change:target=move |event| {
                    let number = take(event.target().value());
                    event.target().set_value(&number);
                    check.app.note(name, number);
                } />
        </label>
    }
    .into_any()
}

/// The figures of the run, while it goes on and afterwards.
fn progress(check: Check) -> AnyView {
    if matches!(*check.phase.read(), Phase::Idle | Phase::Failed(_)) {
        return ().into_any();
    }
    let Watch { counts, rates, seconds_left, is_judging } = check.watch.get();
    let running = check.is_running().then(|| {
        let isolation = check.settings.get_untracked().isolation.to_string().to_uppercase();
        let said = if is_judging {
            format!("Reading everything once more, and judging {}", format::plural(counts.total(), "operation"))
        } else if rates.is_empty() {
            "Making the tables".to_owned()
        } else {
            format!("Running at {isolation}, {} left", format::plural(seconds_left.ceil() as usize, "second"))
        };
        view! {
            <div class="toolbar inside">
                {status("wait", said)}
                <button id="stop-check" disabled=is_judging on:click=move |_| check.stop.set(true)>"Stop"</button>
            </div>
        }
    });
    let most = rates.iter().copied().fold(0.0, f64::max);
    let now = rates.last().copied().unwrap_or(0.0);
    view! {
        {running}
        <div class="tiles">
            <div class="tile">
                <p class="tile-title">"Committed per second"</p>
                <p class="tile-value">{format::short(now.round())}</p>
                {sparkline(&rates, format!("Committed per second, every quarter of a second; the most was {}", format::short(most.round())))}
            </div>
        </div>
        <dl class="figures" id="check-counts">
            <dt>"Committed"</dt>
            <dd>{format::count(counts.committed as f64)}</dd>
            <dt>"Aborted"</dt>
            <dd>{format::count(counts.aborted as f64)}</dd>
            <dt>"Outcome unknown"</dt>
            <dd>{format::count(counts.unknown as f64)}</dd>
        </dl>
    }
    .into_any()
}
