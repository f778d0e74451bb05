//! The page of many runs: workloads × nemeses.

use maud::{Markup, html};

use super::{
    Cell, CellOutcome, MatrixReport,
    html::{duration, facts, frame},
};

/// A whole page, as one file; cells lead to the pages of their runs.
pub fn matrix(report: &MatrixReport) -> String {
    let mut nemeses: Vec<&str> = Vec::new();
    let mut workloads: Vec<&str> = Vec::new();
    for cell in &report.cells {
        if !nemeses.contains(&cell.nemesis.as_str()) {
            nemeses.push(&cell.nemesis);
        }
        if !workloads.contains(&cell.workload.as_str()) {
            workloads.push(&cell.workload);
        }
    }
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let find = |workload: &str, nemesis: &str| -> Vec<&Cell> {
        report.cells.iter().filter(|cell| cell.workload == workload && cell.nemesis == nemesis).collect()
    };
    let body = html! {
        h1 { (report.title) }
        p.faint { (report.when) }
        (banner(&report.cells))
        (facts(&[("Versions", versions.join(", "))]))
        h2 { "Workloads and nemeses" }
        div.scroll {
            table {
                tr { th {} @for workload in &workloads { th { (workload) } } }
                @for nemesis in &nemeses {
                    tr {
                        th { (nemesis) }
                        @for workload in &workloads {
                            td { @for cell in find(workload, nemesis) { (of_cell(cell)) } }
                        }
                    }
                }
            }
        }
        (recovery(&report.cells, &nemeses))
        h2 { "Run it again" }
        pre { (report.command) }
    };
    frame(&report.title, &body)
}

fn banner(cells: &[Cell]) -> Markup {
    let count = |matches: fn(&CellOutcome) -> bool| cells.iter().filter(|cell| matches(&cell.outcome)).count();
    let valid = count(|outcome| *outcome == CellOutcome::Valid);
    let violated = count(|outcome| matches!(outcome, CellOutcome::Violated(_)));
    let unknown = count(|outcome| matches!(outcome, CellOutcome::Unknown(_)));
    let skipped = count(|outcome| matches!(outcome, CellOutcome::Skipped(_)));
    let class = match (violated, unknown) {
        (0, 0) => "valid",
        (0, _) => "unknown",
        _ => "violated",
    };
    html! {
        div class=(format!("verdict {class}")) {
            (valid) " of " (cells.len()) " runs valid, " (violated) " violated"
            small { (unknown) " unknown, " (skipped) " not run" }
        }
    }
}

fn of_cell(cell: &Cell) -> Markup {
    let (class, word, why) = match &cell.outcome {
        CellOutcome::Valid => ("valid", "valid", ""),
        CellOutcome::Violated(kinds) => ("violated", "violated", kinds.as_str()),
        CellOutcome::Unknown(why) => ("unknown", "unknown", why.as_str()),
        CellOutcome::Skipped(why) => ("skipped", "not run", why.as_str()),
    };
    let seed = cell.seed.map(|seed| format!("seed {seed}")).unwrap_or_default();
    html! {
        div {
            @match &cell.page {
                Some(page) => { a class=(format!("cell {class}")) href=(page) title=(seed) { (word) } }
                None => { span class=(format!("cell {class}")) title=(seed) { (word) } }
            }
            @if !why.is_empty() { div.faint { (why) } }
            @if cell.rate > 0.0 { div.faint { (format!("{:.0}/s", cell.rate)) } }
        }
    }
}

/// The recovery of all workloads under each nemesis.
fn recovery(cells: &[Cell], nemeses: &[&str]) -> Markup {
    let times = |nemesis: &str| {
        let mut times: Vec<u64> =
            cells.iter().filter(|cell| cell.nemesis == nemesis).filter_map(|cell| cell.recovery_ns).collect();
        times.sort_unstable();
        times
    };
    let rows: Vec<(&str, Vec<u64>)> = nemeses.iter().map(|nemesis| (*nemesis, times(nemesis))).collect();
    html! {
        @if rows.iter().any(|(_, times)| !times.is_empty()) {
            h2 { "Recovery" }
            p.faint { "From the end of a fault to the first operation that committed after it." }
            table {
                tr { th { "nemesis" } th.number { "runs" } th.number { "median" } th.number { "longest" } }
                @for (nemesis, times) in rows.iter().filter(|(_, times)| !times.is_empty()) {
                    tr {
                        td { (nemesis) }
                        td.number { (times.len()) }
                        td.number { (duration(times[times.len() / 2])) }
                        td.number { (duration(times[times.len() - 1])) }
                    }
                }
            }
        }
    }
}
