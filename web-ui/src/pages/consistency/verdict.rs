//! What came of a run: the verdict, and every kind of anomaly with examples.

use std::sync::Arc;

use consistency::{
    check::{Anomaly, Decision, Kind, level},
    workload::is_forbidden,
};
use leptos::prelude::*;

use super::{Check, Finished, Phase, cycle, run};
use crate::{
    browser,
    check::words,
    format,
    parts::{dialog::Action, icon::status, panel::failure_text},
    rows::Failure,
};

/// Anomalies shown of each kind; the rest is counted.
const SHOWN_MAX: usize = 2;

/// Characters shown of one step: lists and sets grow long.
const STEP_MAX: usize = 240;

pub fn view(check: Check) -> AnyView {
    match check.phase.get() {
        Phase::Idle | Phase::Running => ().into_any(),
        Phase::Failed(failure) => failed(check, &failure),
        Phase::Checked(finished) => checked(&finished),
    }
}

fn failed(check: Check, failure: &Failure) -> AnyView {
    // The schema is there already.
    let in_the_way = (failure.sqlstate == "42P06").then(|| {
        let clear = move |_| {
            let text = "Another page may be running a check in it: then that one fails.";
            Action::new("Drop the schema", text, run::drop_sql()).naming(run::SCHEMA).ask(check.app);
        };
        view! {
            <p class="note">"A check is under way from another page, or one was broken off and left its schema behind."</p>
            <button on:click=clear>"Drop the schema"</button>
        }
    });
    view! {
        <section class="panel failed" role="alert">{failure_text(failure)} {in_the_way}</section>
    }
    .into_any()
}

fn checked(finished: &Arc<Finished>) -> AnyView {
    let verdict = &finished.verdict;
    let kinds =
        verdict.counts_by_kind().into_iter().map(|(kind, count)| kind_view(finished, kind, count)).collect_view();
    let cut = finished
        .is_cut
        .then(|| view! { <p class="line note">"It ended early: the page keeps no more operations."</p> });
    let left = finished.left.as_ref().map(|failure| {
        view! { <div class="line">{failure_text(failure)} <p class="note">{format!("The schema {} is still there.", run::SCHEMA)}</p></div> }
    });
    view! {
        <section class="panel padded" id="verdict" aria-label="Verdict">
            <header class="panel-head"><h2>"Verdict"</h2></header>
            <p class="line" role="status">{headline(finished)}</p>
            {cut}
            <dl class="figures">
                <dt>"Weakest level violated"</dt>
                <dd>{level::list(&verdict.weakest_violated)}</dd>
                <dt>"Strongest level that holds"</dt>
                <dd>{level::list(&verdict.strongest_holding)}</dd>
            </dl>
            {kinds}
            {file(finished)}
            {left}
        </section>
    }
    .into_any()
}

/// The verdict in a word and a sentence.
fn headline(finished: &Finished) -> AnyView {
    let (verdict, settings) = (&finished.verdict, &finished.settings);
    let (isolation, model) = (settings.isolation.to_string().to_uppercase(), verdict.model);
    let operations = format::plural(verdict.committed + verdict.unknown, "operation");
    let count: u64 = verdict.counts_by_kind().values().sum();
    let count = if count == 1 { "an anomaly".to_owned() } else { format!("{count} anomalies") };
    let promised = format!("is promised to this workload at {isolation}");
    let (kind, word, sentence) = match verdict.decision {
        Decision::Valid if verdict.anomalies.is_empty() => {
            ("good", "Consistent", format!("Nothing in {operations} contradicts {model}, which {promised}."))
        }
        Decision::Valid => (
            "good",
            "Consistent",
            format!("Nothing in {operations} contradicts {model}, which {promised}. It allows {count}."),
        ),
        Decision::Violated if verdict.always_wrong => {
            ("bad", "Not consistent", format!("In {operations} there is what no isolation level excuses: {count}."))
        }
        Decision::Violated => {
            ("bad", "Not consistent", format!("{count} in {operations} contradict {model}, which {promised}."))
        }
        Decision::Unknown => {
            ("warn", "Too hard to tell", format!("Nothing was found in {operations}, but a search was given up."))
        }
    };
    view! { {status(kind, word)} " " <b>{settings.workload.name}</b> ": " {sentence} }.into_any()
}

fn kind_view(finished: &Arc<Finished>, kind: Kind, count: u64) -> AnyView {
    let verdict = &finished.verdict;
    let badge = match kind {
        Kind::Undecided => status("warn", "undecided"),
        kind if is_forbidden(kind, verdict.model) => status("bad", "forbidden"),
        _ => status("info", "allowed at this level"),
    };
    let of_kind = verdict.anomalies.iter().filter(|anomaly| anomaly.kind == kind);
    let shown = of_kind.take(SHOWN_MAX).map(|anomaly| anomaly_view(finished, anomaly)).collect_view();
    let more = (count > SHOWN_MAX as u64).then(|| {
        view! { <p class="line note">{format!("And {} more of this kind.", count - SHOWN_MAX as u64)}</p> }
    });
    view! {
        <section class="anomaly" aria-label=kind.name()>
            <h3>{kind.name()} " " {badge}</h3>
            <p class="line note">{words::meaning(kind)}</p>
            {shown}
            {more}
        </section>
    }
    .into_any()
}

fn anomaly_view(finished: &Arc<Finished>, anomaly: &Anomaly) -> AnyView {
    if !anomaly.cycle.is_empty() {
        return cycle::view(finished, anomaly);
    }
    let cards = anomaly.operations.iter().map(|index| operation(finished, *index, None));
    let cards = cards.collect_view();
    view! {
        <p class="line code">{format::one_line(&anomaly.explanation, STEP_MAX)}</p>
        <div class="operations">{cards}</div>
    }
    .into_any()
}

/// One operation, in a graph by its name: who did it and when, and its steps.
pub fn operation(finished: &Finished, index: usize, name: Option<String>) -> AnyView {
    let Some(told) = finished.workload.told(index) else { return ().into_any() };
    let settings = &finished.settings;
    let steps = words::steps(settings.workload.judged_as, &told);
    let steps = steps.iter().map(|step| view! { <li>{format::ends(step, STEP_MAX)}</li> }).collect_view();
    view! {
        <div class="operation">
            <p>{name.map(|name| view! { <b>{name}</b> " " })} <span class="note">{words::circumstances(&told, settings.clients)}</span></p>
            <ul class="code">{steps}</ul>
        </div>
    }
    .into_any()
}

/// The history, for the command line.
fn file(finished: &Arc<Finished>) -> AnyView {
    let (name, model) = (finished.settings.file(), finished.verdict.model);
    let judged_as = finished.settings.workload.judged_as;
    let command = format!("locus jepsen check {name} --workload {judged_as} --model {model}");
    let finished = finished.clone();
    let download = move |_| browser::download(&name, "application/edn", &finished.workload.edn());
    view! {
        <div class="toolbar inside">
            <button id="download-history" on:click=download>"Download the history"</button>
            <span>"The same verdict, by " <code>{command}</code></span>
        </div>
    }
    .into_any()
}
