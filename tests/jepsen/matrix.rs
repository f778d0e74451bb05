//! Workloads × nemeses on real processes: no anomaly at the level promised, no acknowledged write lost, and a recovery.

use jepsen::real::matrix::QUICK;
use serde_json::Value;

use super::{list, run, seconds};

fn pair(text: &str) {
    let (workload, nemesis) = text.split_once(':').expect("a pair");
    let (seconds, nemesis) = (seconds().to_string(), nemesis.replace('+', ","));
    let name = text.replace(':', "-");
    let arguments = ["--workload", workload, "--nemesis", &nemesis, "--time", &seconds];
    let Some((outcome, code)) = run(&name, &arguments) else { return };
    report(text, &outcome);
    let wrong = [list(&outcome, "anomalies"), list(&outcome, "problems")].concat();
    assert!(wrong.is_empty(), "{text}, files in {}:\n{}", outcome["out"], wrong.join("\n"));
    assert_eq!((outcome["judgement"].as_str(), code), (Some("valid"), 0), "{text}");
    let committed = outcome["verdict"]["committed"].as_u64().unwrap_or(0);
    assert!(committed >= 100, "{text}: {committed} transactions are too few to find anything in");
    assert!(!outcome["faults"].as_array().expect("faults").is_empty(), "{text}: nothing went wrong");
}

fn report(text: &str, outcome: &Value) {
    let recovery = &outcome["recovery"];
    println!(
        "{text}: {} committed, {} aborted, {} unknown, {} faults; after healing: first success {} ms, half rate {} ms; \
         longest pause {} ms",
        outcome["verdict"]["committed"],
        outcome["verdict"]["aborted"],
        outcome["verdict"]["unknown"],
        outcome["faults"].as_array().map_or(0, Vec::len),
        recovery["first_success_ms"],
        recovery["half_throughput_ms"],
        recovery["longest_gap_ms"],
    );
}

/// One test for each pair, so that each has a line of its own in the report.
macro_rules! pairs {
    ($($name:ident: $text:literal,)*) => {
        $(
            #[test]
            fn $name() {
                pair($text);
            }
        )*

        #[test]
        fn these_are_the_pairs_of_the_command() {
            assert_eq!([$($text),*], QUICK);
        }
    };
}

pairs! {
    append_kill_leader: "list-append:kill-leader",
    append_kill_oracle: "list-append:kill-oracle",
    append_kill_all_with_slow_disks: "list-append:kill-all+slow-disk",
    append_pause: "list-append:pause",
    append_halves: "list-append:halves",
    append_one_way: "list-append:one-way",
    append_transfers_and_splits: "list-append:transfer-leader+split",
    append_clock_strobe: "list-append:clock-strobe",
    append_reorder: "list-append:reorder",
    bank_kill_majority: "bank:kill-majority",
    bank_ring: "bank:ring",
    bank_flapping: "bank:flapping",
    bank_slow_disk: "bank:slow-disk",
    bank_rolling_restart: "bank:rolling-restart",
    register_isolate_leader: "register:isolate-leader",
    register_pause_and_transfers: "register:pause+transfer-leader",
    register_delay: "register:delay",
    register_bridge: "register:bridge",
    set_kill_majority: "set:kill-majority",
    past_isolate_node: "past:isolate-node",
}
