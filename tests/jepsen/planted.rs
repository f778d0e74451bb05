//! Bugs that real processes are started with must be found within 60 s. (All twelve: `jepsen/tests`, in the simulated world.)

use super::{list, run, seconds};

fn is_found(fault: &str, workload: &str, nemesis: &str) {
    // Each takes a second or two, but on a busy machine nobody knows.
    let seconds = seconds().min(30).to_string();
    let name = format!("planted-{fault}");
    let arguments =
        ["--workload", workload, "--nemesis", nemesis, "--time", &seconds, "--think", "0", "--planted-fault", fault];
    let Some((outcome, code)) = run(&name, &arguments) else { return };
    let wrong = [list(&outcome, "anomalies"), list(&outcome, "problems")].concat();
    assert_eq!(code, 1, "{fault} was not found by {workload} under {nemesis}: {outcome}");
    let first: String = wrong.first().map_or(String::new(), |text| text.chars().take(120).collect());
    println!("{fault}, found by {workload} under {nemesis}: {first}");
}

#[test]
fn skip_refresh() {
    is_found("skip-refresh", "list-append", "none");
}

#[test]
fn ignore_timestamp_cache() {
    is_found("ignore-timestamp-cache", "list-append", "none");
}
