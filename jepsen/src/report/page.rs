//! The page of one run.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    Recovery, RunReport,
    charts::{Charts, quantile_of},
    drawing,
    html::{count, duration, facts, frame},
    lattice,
};
use crate::{
    check::{Anomaly, Decision, Kind, Verdict, level::list},
    history::Outcome,
};

/// Drawings on one page; what is found beyond is listed as text.
const DRAWINGS_MAX: usize = 12;

/// A whole page, as one self-contained file.
pub fn page(report: &RunReport) -> String {
    let title = format!("{}: {}", report.workload, decision(report.verdict.decision).0);
    let body = html! {
        h1 { "Consistency of " (report.workload) }
        p.faint { (report.database) @if !report.when.is_empty() { " · " (report.when) } }
        (verdict(&report.verdict))
        (summary(report))
        (over_time(report))
        (recovery(&report.recovery))
        (anomalies(&report.verdict.anomalies))
        @if !report.notes.is_empty() {
            h2 { "Notes" }
            @for note in &report.notes { p { (note) } }
        }
        h2 { "Run it again" }
        pre { (report.command) }
    };
    frame(&title, &body)
}

/// The word and the class of a decision.
pub fn decision(decision: Decision) -> (&'static str, &'static str) {
    match decision {
        Decision::Valid => ("valid", "valid"),
        Decision::Violated => ("violated", "violated"),
        Decision::Unknown => ("unknown", "unknown"),
    }
}

fn verdict(verdict: &Verdict) -> Markup {
    let (_, class) = decision(verdict.decision);
    let model = verdict.model.name();
    html! {
        div class=(format!("verdict {class}")) {
            @match verdict.decision {
                Decision::Valid => { "Valid: nothing in this history contradicts " (model) }
                Decision::Violated if verdict.always_wrong => { "Violated: something happened that no isolation level excuses" }
                Decision::Violated => { "Violated: " (model) " does not hold" }
                Decision::Unknown => { "Unknown: nothing was found, but a search was given up" }
            }
            small {
                "Weakest level violated: " (list(&verdict.weakest_violated))
                ". Strongest level that holds: " (list(&verdict.strongest_holding)) "."
            }
        }
        figure.scroll {
            (lattice::drawing(verdict))
            figcaption { "Every level implies those to its left that it is connected with. The bold one was promised." }
        }
    }
}

fn summary(report: &RunReport) -> Markup {
    let verdict = &report.verdict;
    let operations = format!(
        "{}: {} committed, {} aborted, {} of unknown outcome",
        count((verdict.committed + verdict.aborted + verdict.unknown) as u64),
        count(verdict.committed as u64),
        count(verdict.aborted as u64),
        count(verdict.unknown as u64)
    );
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    html! {
        h2 { "Summary" }
        (facts(&[
            ("Operations", operations),
            ("Promised", verdict.model.name().to_owned()),
            ("Seed", report.seed.map(|seed| seed.to_string()).unwrap_or_default()),
            ("Versions", versions.join(", ")),
        ]))
        (latencies(report))
    }
}

/// How long operations took, by outcome.
fn latencies(report: &RunReport) -> Markup {
    let rows = [(Outcome::Committed, "committed"), (Outcome::Aborted, "aborted")].map(|(outcome, name)| {
        let of_outcome = report.points.iter().filter(|point| point.outcome == outcome);
        let mut took: Vec<u64> = of_outcome.map(|point| point.end_ns.saturating_sub(point.begin_ns)).collect();
        took.sort_unstable();
        (name, took)
    });
    html! {
        @if rows.iter().any(|(_, took)| !took.is_empty()) {
            table {
                tr { th { "latency" } th.number { "operations" } th.number { "median" } th.number { "95 %" } th.number { "99 %" } th.number { "slowest" } }
                @for (name, took) in rows.iter().filter(|(_, took)| !took.is_empty()) {
                    tr {
                        td { (name) }
                        td.number { (count(took.len() as u64)) }
                        @for quantile in [0.5, 0.95, 0.99, 1.0] {
                            td.number { (duration(quantile_of(took, quantile).unwrap_or(0))) }
                        }
                    }
                }
            }
        }
    }
}

fn over_time(report: &RunReport) -> Markup {
    if report.points.is_empty() {
        return html! {};
    }
    let charts = Charts::new(&report.points, &report.faults);
    html! {
        h2 { "Over time" }
        figure {
            (charts.latency())
            figcaption {
                "Latency of committed operations:"
                (key("--p50", "median")) (key("--p95", "95 of 100")) (key("--max", "slowest"))
                @if !report.faults.is_empty() { (key("--fault", "fault")) }
            }
        }
        figure {
            (charts.throughput())
            figcaption {
                "Operations per second:" (key("--ok", "committed")) (key("--fail", "aborted")) (key("--info", "unknown"))
            }
        }
        @if !report.faults.is_empty() {
            details {
                summary { (report.faults.len()) " faults" }
                table {
                    tr { th { "fault" } th.number { "from" } th.number { "lasted" } }
                    @for fault in &report.faults {
                        tr {
                            td { (fault.name) }
                            td.number { (duration(fault.from_ns)) }
                            td.number { (duration(fault.to_ns.saturating_sub(fault.from_ns))) }
                        }
                    }
                }
            }
        }
    }
}

fn key(color: &str, name: &str) -> Markup {
    html! { span.key style=(format!("background: var({color}); margin-left: 12px")) {} (name) }
}

fn recovery(recovery: &[Recovery]) -> Markup {
    html! {
        @if !recovery.is_empty() {
            h2 { "Recovery" }
            p.faint { "From the end of the fault to the first operation that committed after it." }
            table {
                tr { th { "fault" } th.number { "recovered after" } }
                @for one in recovery {
                    tr {
                        td { (one.fault) }
                        @match one.after_ns {
                            Some(after) => { td.number { (duration(after)) } }
                            None => { td.number.violated { "never" } }
                        }
                    }
                }
            }
        }
    }
}

fn anomalies(anomalies: &[Anomaly]) -> Markup {
    let mut by_kind: BTreeMap<Kind, Vec<&Anomaly>> = BTreeMap::new();
    for anomaly in anomalies {
        by_kind.entry(anomaly.kind).or_default().push(anomaly);
    }
    let mut drawings = 0;
    html! {
        h2 { "Anomalies" }
        @if by_kind.is_empty() { p { "None." } }
        @for (kind, list) in by_kind {
            @let total = list.iter().map(|anomaly| 1 + anomaly.more).sum::<u64>();
            h3 { (kind.name()) " · " (count(total)) }
            @for anomaly in list {
                @if !anomaly.cycle.is_empty() && drawings < DRAWINGS_MAX {
                    ({ drawings += 1; "" })
                    figure.scroll { (drawing::cycle(anomaly)) }
                }
                pre { (anomaly.explanation) }
            }
        }
    }
}
