//! Is this cluster consistent? Clients, each with a session of its own from this very page, append to lists and read them in
//! transactions; then `check` looks for what no order of these transactions explains. Run it and kill a node meanwhile.

use std::{cell::Cell, rc::Rc};

use leptos::{prelude::*, task::spawn_local};

use crate::{
    app::App,
    browser::{self, pg::Link},
    check::{Anomaly, Operation, Outcome, Transaction, anomalies},
    format,
    parts::{icon::status, panel::sql_text},
    rows::Failure,
};

const SCHEMA: &str = "locus_consistency";
const KEYS: u32 = 5;
/// Transactions kept: what the check can look at without holding the page up.
const HISTORY_MAX: usize = 1500;

const LEVELS: [&str; 3] = ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"];

#[derive(Clone, PartialEq)]
enum State {
    Idle,
    Running,
    Checked(Vec<Anomaly>),
    Failed(Failure),
}

#[derive(Clone, Copy)]
struct Run {
    app: App,
    state: RwSignal<State>,
    history: RwSignal<Vec<Transaction>>,
    level: RwSignal<&'static str>,
    clients: RwSignal<u32>,
    seconds: RwSignal<u32>,
    stop: RwSignal<bool>,
}

pub fn page(app: App) -> AnyView {
    let run = Run {
        app,
        state: RwSignal::new(State::Idle),
        history: RwSignal::new(Vec::new()),
        level: RwSignal::new(LEVELS[0]),
        clients: RwSignal::new(4),
        seconds: RwSignal::new(5),
        stop: RwSignal::new(false),
    };
    on_cleanup(move || {
        let _ = run.stop.try_set(true);
    });
    view! {
        <section class="panel padded" aria-label="Consistency check">
            <header class="panel-head"><h2>"Check this cluster"</h2></header>
            <p class="line">
                "Clients of this page append to lists and read them, in transactions, in the schema " <code>{SCHEMA}</code>
                ". Then the page looks for what no order of these transactions explains. Kill a node meanwhile, if you like."
            </p>
            {settings(run)}
            {move || progress(run)}
        </section>
        {move || verdict(run)}
        <section class="panel padded" aria-label="SQL of the clients">
            <header class="panel-head"><h2>"What each client does"</h2></header>
            {move || sql_text(app, &example(run.level.get()))}
        </section>
    }
    .into_any()
}

fn settings(run: Run) -> AnyView {
    let running = move || *run.state.read() == State::Running;
    let levels = LEVELS.map(|level| view! { <option value=level>{level}</option> }).collect_view();
    let choose =
        move |name: String| run.level.set(LEVELS.into_iter().find(|level| *level == name).unwrap_or(LEVELS[0]));
    let number = |label: &'static str, value: RwSignal<u32>, most: u32| {
        view! {
            <label class="field narrow">
                <span>{label}</span>
                <input type="number" min="1" max=most prop:value=move || value.get().to_string()
                    on:input:target=move |event| value.set(event.target().value().parse().unwrap_or(1).clamp(1, most)) />
            </label>
        }
    };
    view! {
        <div class="toolbar inside">
            <label class="field narrow">
                <span>"Isolation"</span>
                <select on:change:target=move |event| choose(event.target().value())>{levels}</select>
            </label>
            {number("Clients", run.clients, 16)}
            {number("Seconds", run.seconds, 60)}
            <button id="run-check" class="primary" disabled=running on:click=move |_| start(run)>"Run"</button>
            <button disabled=move || !running() on:click=move |_| run.stop.set(true)>"Stop"</button>
        </div>
    }
    .into_any()
}

fn start(run: Run) {
    run.state.set(State::Running);
    run.history.set(Vec::new());
    run.stop.set(false);
    spawn_local(async move {
        let outcome = drive(run).await;
        let next = match outcome {
            Ok(()) => run.history.try_with_untracked(|history| State::Checked(anomalies(history))),
            Err(failure) => Some(State::Failed(failure)),
        };
        if let Some(next) = next {
            run.state.try_set(next);
        }
    });
}

/// Prepares the schema, runs the clients until the time is over, clears up.
async fn drive(run: Run) -> Result<(), Failure> {
    let link = run.app.link.get_untracked().ok_or_else(|| Failure::local("there is no session"))?;
    link.query(&format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}")).await?;
    link.query(&format!("DROP TABLE IF EXISTS {SCHEMA}.lists")).await?;
    link.query(&format!("CREATE TABLE {SCHEMA}.lists (key int PRIMARY KEY, list text NOT NULL)")).await?;
    let deadline = browser::now() + f64::from(run.seconds.get_untracked()) * 1000.0;
    let next = Rc::new(Cell::new(0));
    let clients = (0..run.clients.get_untracked()).map(|number| client(run, number, deadline, next.clone()));
    for outcome in futures_util::future::join_all(clients).await {
        outcome?;
    }
    // Read at the end, so that every append is looked for.
    let last = transaction(
        &reader(run, u32::MAX).await?,
        u32::MAX,
        "SERIALIZABLE",
        (0..KEYS).map(|key| (key, None)).collect(),
    )
    .await;
    run.history.try_update(|history| history.push(last));
    link.query(&format!("DROP SCHEMA {SCHEMA} CASCADE")).await?;
    Ok(())
}

async fn reader(run: Run, number: u32) -> Result<Link, Failure> {
    run.app.open(&format!("locus page, consistency {number}"), |_| ()).await
}

async fn client(run: Run, number: u32, deadline: f64, next: Rc<Cell<u32>>) -> Result<(), Failure> {
    let mut link = reader(run, number).await?;
    while browser::now() < deadline && run.stop.try_get_untracked() == Some(false) {
        if run.history.try_with_untracked(Vec::len).unwrap_or(HISTORY_MAX) >= HISTORY_MAX {
            return Ok(());
        }
        if link.is_closed() {
            // The gateway or the relay went away; a run in which everything fails shows nothing.
            match reader(run, number).await {
                Ok(again) => link = again,
                Err(_) => {
                    browser::sleep(200).await;
                    continue;
                }
            }
        }
        let count = 1 + random(4);
        let wanted = (0..count).map(|_| {
            let appends = random(2) == 0;
            let value = appends.then(|| {
                next.set(next.get() + 1);
                next.get()
            });
            (random(KEYS), value)
        });
        let done = transaction(&link, number, run.level.get_untracked(), wanted.collect()).await;
        run.history.try_update(|history| history.push(done));
    }
    Ok(())
}

fn random(below: u32) -> u32 {
    (js_sys::Math::random() * f64::from(below)) as u32
}

/// One transaction: appends of the values given, reads where there is none.
async fn transaction(link: &Link, client: u32, level: &str, wanted: Vec<(u32, Option<u32>)>) -> Transaction {
    let began = browser::now();
    let mut operations = Vec::new();
    let outcome = match body(link, level, &wanted, &mut operations).await {
        Err(failure) => {
            // Whatever the server had said of it, nothing of this transaction was committed.
            let _ = link.query("ROLLBACK").await;
            let _: Failure = failure;
            Outcome::Aborted
        }
        Ok(()) => match link.query("COMMIT").await {
            Ok(_) => Outcome::Committed,
            Err(failure) if failure.sqlstate.starts_with("40") && failure.sqlstate != "40003" => Outcome::Aborted,
            Err(_) => Outcome::Unknown,
        },
    };
    Transaction { client, operations, outcome, began, ended: browser::now() }
}

async fn body(
    link: &Link,
    level: &str,
    wanted: &[(u32, Option<u32>)],
    operations: &mut Vec<Operation>,
) -> Result<(), Failure> {
    link.query(&format!("BEGIN ISOLATION LEVEL {level}")).await?;
    for (key, value) in wanted {
        match value {
            Some(value) => {
                operations.push(Operation::Append { key: *key, value: *value });
                link.query(&append_sql(*key, *value)).await?;
            }
            None => {
                let rows = link.query(&read_sql(*key)).await?;
                let text = rows.first().map(|row| row.text("list")).unwrap_or_default();
                let list = text.split(',').filter_map(|value| value.parse().ok()).collect();
                operations.push(Operation::Read { key: *key, list });
            }
        }
    }
    Ok(())
}

fn append_sql(key: u32, value: u32) -> String {
    format!(
        "INSERT INTO {SCHEMA}.lists VALUES ({key}, '{value}') ON CONFLICT (key) DO UPDATE SET list = lists.list || ',{value}'"
    )
}

fn read_sql(key: u32) -> String {
    format!("SELECT list FROM {SCHEMA}.lists WHERE key = {key}")
}

fn example(level: &str) -> String {
    format!("BEGIN ISOLATION LEVEL {level};\n{};\n{};\nCOMMIT;", append_sql(3, 17), read_sql(1))
}

fn progress(run: Run) -> AnyView {
    let history = run.history.read();
    if history.is_empty() {
        return ().into_any();
    }
    let count = |wanted: Outcome| history.iter().filter(|transaction| transaction.outcome == wanted).count() as f64;
    let (committed, aborted, unknown) = (count(Outcome::Committed), count(Outcome::Aborted), count(Outcome::Unknown));
    let running = (run.state.get() == State::Running).then(|| status("wait", "Running…"));
    view! {
        <dl class="figures" id="check-counts">
            <dt>"Committed"</dt>
            <dd>{format::count(committed)}</dd>
            <dt>"Aborted"</dt>
            <dd>{format::count(aborted)}</dd>
            <dt>"Outcome unknown"</dt>
            <dd>{format::count(unknown)}</dd>
        </dl>
        {running}
    }
    .into_any()
}

fn verdict(run: Run) -> AnyView {
    match run.state.get() {
        State::Idle | State::Running => ().into_any(),
        State::Failed(failure) => view! {
            <section class="panel failed" role="alert">{crate::parts::panel::failure_text(&failure)}</section>
        }
        .into_any(),
        State::Checked(found) if found.is_empty() => {
            let committed = run.history.read_untracked().iter().filter(|one| one.outcome == Outcome::Committed).count();
            view! {
                <section class="panel padded" id="verdict" role="status" aria-label="Verdict">
                    <p class="line">
                        {status("good", "Consistent")} " "
                        {format!("Nothing in {} contradicts strict serializability.", format::plural(committed, "committed transaction"))}
                    </p>
                </section>
            }
            .into_any()
        }
        State::Checked(found) => {
            let shown = found.iter().take(20).map(|anomaly| anomaly_view(run, anomaly)).collect_view();
            let count = format::plural(found.len(), "contradiction");
            view! {
                <section class="panel padded" id="verdict" role="status" aria-label="Verdict">
                    <p class="line">{status("bad", "Not strictly serializable")} " " {count} " at " {run.level.get_untracked()}</p>
                    {shown}
                </section>
            }
            .into_any()
        }
    }
}

fn anomaly_view(run: Run, anomaly: &Anomaly) -> AnyView {
    let said = match anomaly {
        Anomaly::AbortedRead { key, value }
        | Anomaly::Corrupt { key, value }
        | Anomaly::LostAppend { key, value }
        | Anomaly::Forgotten { key, value } => {
            format!("list {key}, value {value}")
        }
        Anomaly::Disagreement { key } => format!("list {key}"),
        Anomaly::Circle(edges) => format::plural(edges.len(), "transaction"),
    };
    let drawn = match anomaly {
        Anomaly::Circle(edges) => Some(circle(run, edges)),
        _ => None,
    };
    view! {
        <div class="anomaly">
            <p class="line"><b>{anomaly.name()}</b> ": " {said}</p>
            {drawn}
        </div>
    }
    .into_any()
}

/// The transactions of a circle, in words, each with what binds it to the next.
fn circle(run: Run, edges: &[(usize, crate::check::Edge)]) -> AnyView {
    let history = run.history.read_untracked();
    let items = edges.iter().enumerate().map(|(position, (at, edge))| {
        let next = edges[(position + 1) % edges.len()].0;
        let operations = history[*at].operations.iter().map(|operation| match operation {
            Operation::Append { key, value } => format!("append {value} to list {key}"),
            Operation::Read { key, list } => format!("read list {key}: {list:?}"),
        });
        let operations = operations.collect::<Vec<_>>().join("; ");
        view! {
            <li>
                <b>{format!("T{at}")}</b> " " <span class="code">{operations}</span>
                <br />
                <span class="note">{format!("comes before T{next} ({})", edge.word())}</span>
            </li>
        }
    });
    let items = items.collect_view();
    view! { <ol class="circle">{items}</ol> }.into_any()
}
