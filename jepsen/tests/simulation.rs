//! The simulated world inside `./test`: some seeds of every workload are green, a seed replays exactly, and seeds that once
//! found something stay green. `cargo xtask sim --seeds 1000` runs more; planted bugs are in `planted.rs`.

use jepsen::sim::{NAMES, RunOptions, run};

const SEEDS: u64 = 4;

fn is_green(seed: u64, workload: &str) -> u64 {
    let report = run(&RunOptions::new(seed, workload));
    assert!(report.is_green(), "seed {seed} ({:?}): {:#?}", report.parameters, report.failures);
    report.operations.committed as u64
}

fn all_green(workload: &str) {
    let committed: u64 = (1..=SEEDS).map(|seed| is_green(seed, workload)).sum();
    assert!(committed > SEEDS * 50, "the workload hardly got anything done: {committed} commits");
}

/// A test for each workload.
macro_rules! green {
    ($($test:ident $workload:literal)*) => {
        $(
            #[test]
            fn $test() {
                all_green($workload);
            }
        )*

        #[test]
        fn no_workload_is_forgotten() {
            let mut tested = [$($workload),*];
            let mut names = NAMES;
            tested.sort_unstable();
            names.sort_unstable();
            assert_eq!(tested, names);
        }
    };
}

green! {
    ambiguous_commit_is_green "ambiguous-commit"
    bank_is_green "bank"
    causal_reverse_is_green "causal-reverse"
    counter_is_green "counter"
    ddl_is_green "ddl"
    foreign_key_is_green "foreign-key"
    kv_append_is_green "kv-append"
    list_append_is_green "list-append"
    long_fork_is_green "long-fork"
    monotonic_is_green "monotonic"
    mutex_is_green "mutex"
    past_is_green "past"
    predicate_is_green "predicate"
    queue_is_green "queue"
    register_is_green "register"
    rw_register_is_green "rw-register"
    savepoints_is_green "savepoints"
    sequence_is_green "sequence"
    sequential_is_green "sequential"
    set_is_green "set"
    set_by_index_is_green "set-by-index"
    unique_is_green "unique"
}

#[test]
fn a_seed_replays_exactly() {
    for (seed, name) in NAMES.iter().enumerate() {
        let options = RunOptions::new(1000 + seed as u64, name);
        assert_eq!(run(&options).trace_hash, run(&options).trace_hash, "{name}");
    }
}
