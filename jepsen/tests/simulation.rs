//! The simulated world inside `./test`: some seeds of every workload are green, a seed replays exactly, and each planted
//! bug is found. `cargo xtask sim --seeds 1000` runs more.

use jepsen::{
    nemesis::Fault,
    sim::{NAMES, Planted, RunOptions, run},
};

const SEEDS: u64 = 10;

fn all_green(workload: &str) {
    let mut committed = 0;
    for seed in 1..=SEEDS {
        let report = run(&RunOptions::new(seed, workload));
        assert!(report.is_green(), "seed {seed}: {:#?}", report.failures);
        committed += report.committed;
    }
    assert!(committed > SEEDS * 50, "the workload hardly got anything done: {committed} commits");
}

#[test]
fn bank_is_green() {
    all_green("bank");
}

#[test]
fn kv_append_is_green() {
    all_green("kv-append");
}

#[test]
fn list_append_is_green() {
    all_green("list-append");
}

#[test]
fn register_is_green() {
    all_green("register");
}

#[test]
fn a_seed_replays_exactly() {
    for (seed, name) in NAMES.iter().enumerate() {
        let options = RunOptions::new(1000 + seed as u64, name);
        assert_eq!(run(&options).trace_hash, run(&options).trace_hash, "{name}");
    }
}

/// Runs seeds of the workload that is meant to find the bug, with the faults that bring it out, until one fails.
fn is_found(planted: Planted, workload: &str, faults: &[Fault]) {
    for seed in 1..=50 {
        let mut options = RunOptions::new(seed, workload);
        options.planted = Some(planted);
        options.faults = Some(faults.to_vec());
        let report = run(&options);
        if !report.is_green() {
            println!("{planted:?} found by {workload} with seed {seed}: {}", report.failures[0]);
            return;
        }
    }
    panic!("{planted:?} was not found by {workload} within 50 seeds");
}

#[test]
fn acknowledging_before_fsync_is_found() {
    is_found(Planted::AckBeforeFsync, "kv-append", &[Fault::CrashAll]);
}

#[test]
fn serving_reads_after_the_lease_is_found() {
    is_found(Planted::ServeAfterLease, "kv-append", &[Fault::IsolatePeers]);
}

#[test]
fn skipping_the_refresh_is_found() {
    is_found(Planted::SkipRefresh, "list-append", &[Fault::TransferLeader]);
}

#[test]
fn reusing_timestamps_after_failover_is_found() {
    is_found(Planted::ReuseTimestamps, "kv-append", &[Fault::Crash, Fault::ClockJump]);
}

#[test]
fn applying_an_entry_twice_is_found() {
    is_found(Planted::ApplyTwice, "kv-append", &[Fault::Crash, Fault::TransferLeader]);
}
