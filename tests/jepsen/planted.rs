//! Bugs that real processes are started with must be found within 60 s.

use super::{list, run, seconds};

fn is_found(fault: &str, workload: &str, nemesis: &str) {
    let seconds = seconds().to_string();
    let name = format!("planted-{fault}");
    let arguments =
        ["--workload", workload, "--nemesis", nemesis, "--time", &seconds, "--think", "0", "--planted-fault", fault];
    let Some((outcome, code)) = run(&name, &arguments) else { return };
    let wrong = [list(&outcome, "anomalies"), list(&outcome, "problems")].concat();
    assert_eq!(code, 1, "{fault} was not found by {workload} under {nemesis}: {outcome}");
    println!("{fault}, found by {workload} under {nemesis}: {}", wrong.first().map_or("", String::as_str));
}

#[test]
fn skip_refresh() {
    is_found("skip-refresh", "list-append", "none");
}

/// kill -9 takes nothing from the page cache; but what a slow disk holds up has not come that far.
#[test]
fn acknowledge_before_fsync() {
    is_found("ack-before-fsync", "list-append", "kill-all,slow-disk");
}
