//! The scenarios, in which everything must hold.

use std::time::Instant;

use stateright::{Checker, Model, Property};

use crate::{
    mistakes::story,
    properties::sometimes,
    scenario::{Faults, Layout, Program, Scenario, Step},
    world::World,
};

/// Explores everything that can happen and prints how much that was.
#[allow(clippy::disallowed_methods, reason = "the rate is printed, nothing else rests on it")]
fn explore(scenario: Scenario, sometimes: Vec<Property<World>>) {
    let name = scenario.name;
    let started = Instant::now();
    let checker = World::new(scenario, sometimes).checker().spawn_bfs().join();
    let seconds = started.elapsed().as_secs_f64();
    let (clients, cells, evaluations) = checker.model().sizes();
    println!(
        "model: {name}: {} states, {} steps, depth {}, {seconds:.1} s; of the code {clients} situations of clients, {cells} of \
         keys, {evaluations} evaluations",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
    );
    for (property, path) in checker.discoveries() {
        if checker.model().property(property).expectation.discovery_is_failure() {
            println!("counterexample to {property:?}:\n  {}", story(checker.model(), path).join("\n  "));
        }
    }
    checker.assert_properties();
}

/// What may go wrong on one path: crashes, losses, copies, changes of leader. The environment may ask for more.
fn faults(usual: [u8; 4]) -> Faults {
    let asked = std::env::var("LOCUS_MODEL_SCOPE").ok();
    let asked =
        asked.map(|scope| scope.split(',').map(|count| count.parse().expect("four numbers")).collect::<Vec<u8>>());
    let [crashes, losses, copies, leaders] =
        asked.map_or(usual, |counts| counts.try_into().expect("LOCUS_MODEL_SCOPE is four numbers: 1,1,1,1"));
    Faults { crashes, losses, copies, leaders, split: false }
}

/// Writes these keys, which depend on nothing. The primary is the last of them.
pub fn blind(name: &'static str, keys: &[u8]) -> Program {
    Program::new(name, keys.iter().map(|key| Step::PutBlind(*key)))
}

/// Reads these keys and writes them again.
pub fn rewrite(name: &'static str, keys: &[u8]) -> Program {
    let puts = keys.iter().map(|key| Step::Put(*key));
    Program::new(name, [Step::Get(keys.to_vec())].into_iter().chain(puts))
}

pub fn two_ranges() -> Layout {
    Layout::new(&[b"a", b"b"], None)
}

pub fn three_ranges() -> Layout {
    Layout::new(&[b"a", b"b", b"c"], None)
}

fn parallel(name: &'static str, owner: Program, faults: Faults) -> Scenario {
    let programs = vec![owner, Program::reader("reader", b"ab")];
    Scenario { name, layout: two_ranges(), programs, faults, timestamps_max: 5, mistake: None }
}

fn seen_in_parallel_commits() -> Vec<Property<World>> {
    vec![
        sometimes::acknowledged(),
        sometimes::refused(),
        sometimes::committed_after_push(),
        sometimes::recovered_committed(),
        sometimes::recovered_aborted(),
        sometimes::superseded(),
        sometimes::stopped_by_marker(),
        sometimes::settled_own(),
    ]
}

/// `prewrite` everywhere at once, and one who comes by: one fault of each kind.
#[test]
fn parallel_commit() {
    let scenario = parallel("parallel commit", blind("owner", b"ab"), faults([1, 1, 1, 1]));
    explore(scenario, seen_in_parallel_commits());
}

/// Also the question about the outcome is not answered.
#[test]
fn parallel_commit_without_answers() {
    let scenario = parallel("parallel commit without answers", blind("owner", b"ab"), faults([1, 2, 1, 0]));
    explore(scenario, seen_in_parallel_commits().into_iter().chain([sometimes::ambiguous()]).collect());
}

/// Two who come by and recover at the same time.
#[test]
fn two_recoveries_at_once() {
    explore(
        Scenario {
            name: "two recoveries at once",
            layout: two_ranges(),
            programs: vec![blind("owner", b"ab"), Program::reader("reader", b"ab"), Program::reader("other", b"ab")],
            faults: faults([1, 0, 0, 0]),
            timestamps_max: 5,
            mistake: None,
        },
        vec![
            sometimes::acknowledged(),
            sometimes::refused(),
            sometimes::committed_after_push(),
            sometimes::recovered_committed(),
            sometimes::recovered_aborted(),
            sometimes::superseded(),
            sometimes::stopped_by_marker(),
        ],
    );
}

/// Three ranges: two keys to prevent.
#[test]
fn three_keys() {
    explore(
        Scenario {
            name: "three keys",
            layout: three_ranges(),
            programs: vec![blind("owner", b"abc"), Program::reader("reader", b"abc")],
            faults: faults([1, 0, 1, 0]),
            timestamps_max: 4,
            mistake: None,
        },
        vec![
            sometimes::acknowledged(),
            sometimes::committed_after_push(),
            sometimes::recovered_committed(),
            sometimes::recovered_aborted(),
            sometimes::superseded(),
            sometimes::stopped_by_marker(),
        ],
    );
}

fn seen_in_pending_commits() -> Vec<Property<World>> {
    vec![
        sometimes::acknowledged(),
        sometimes::refused(),
        sometimes::committed_after_push(),
        sometimes::stopped_by_marker(),
        sometimes::settled_own(),
    ]
}

/// Too many keys for a list: the primary goes first and decides alone (`conclude`, `abort_primary`).
#[test]
fn pending_commit() {
    let scenario = parallel("pending commit", blind("owner", b"ab").pending(), faults([1, 1, 1, 1]));
    explore(scenario, seen_in_pending_commits());
}

#[test]
fn pending_commit_without_answers() {
    let scenario = parallel("pending commit without answers", blind("owner", b"ab").pending(), faults([1, 2, 1, 0]));
    explore(scenario, seen_in_pending_commits().into_iter().chain([sometimes::ambiguous()]).collect());
}

/// `commit_one_range`, while the range is split: what cannot be repeated in one piece goes on as prewrites.
#[test]
fn one_range_that_is_split() {
    explore(
        Scenario {
            name: "one range that is split",
            layout: Layout::new(&[b"ab"], Some(b'b')),
            programs: vec![blind("owner", b"ab"), Program::reader("reader", b"ab")],
            faults: Faults { split: true, ..faults([1, 2, 1, 0]) },
            timestamps_max: 5,
            mistake: None,
        },
        vec![
            sometimes::acknowledged(),
            sometimes::refused(),
            sometimes::committed_after_push(),
            sometimes::settled_own(),
            sometimes::found_own_version(),
            sometimes::prewritten_after_split(),
            sometimes::recovered_committed(),
            sometimes::recovered_aborted(),
        ],
    );
}

/// Two writers of the same keys, who read them first: each meets the other's intents and recovers it.
#[test]
fn two_writers_of_the_same_keys() {
    explore(
        Scenario {
            name: "two writers of the same keys",
            layout: two_ranges(),
            programs: vec![rewrite("first", b"ab"), rewrite("second", b"ab")],
            faults: faults([1, 0, 1, 0]),
            timestamps_max: 6,
            mistake: None,
        },
        vec![
            sometimes::acknowledged(),
            sometimes::refused(),
            sometimes::conflict(),
            sometimes::recovered_committed(),
            sometimes::recovered_aborted(),
        ],
    );
}

/// Each reads what the other writes, in one range: only one order is possible, and leaders may forget what was read.
#[test]
fn write_skew() {
    let crossed = |name, read: u8, written: &[u8]| {
        let puts = written.iter().map(|key| Step::PutBlind(*key));
        Program::new(name, [Step::Get(vec![read])].into_iter().chain(puts))
    };
    explore(
        Scenario {
            name: "write skew",
            layout: three_ranges(),
            programs: vec![crossed("first", b'a', b"b"), crossed("second", b'b', b"ac")],
            faults: faults([0, 1, 0, 1]),
            timestamps_max: 6,
            mistake: None,
        },
        vec![sometimes::acknowledged(), sometimes::refused(), sometimes::committed_after_push()],
    );
}

/// A key that is locked and not written (`Batch::check`), and somebody who writes it.
#[test]
fn locked_and_not_written() {
    let lock = |key: u8| Step::Lock(vec![key]);
    explore(
        Scenario {
            name: "locked and not written",
            layout: three_ranges(),
            programs: vec![
                Program::new("child", [lock(b'a'), Step::PutBlind(b'b'), Step::PutBlind(b'c')]),
                Program::new("parent", [lock(b'a'), Step::Put(b'a')]),
            ],
            faults: faults([1, 1, 1, 1]),
            timestamps_max: 6,
            mistake: None,
        },
        vec![sometimes::acknowledged(), sometimes::refused(), sometimes::conflict(), sometimes::committed_after_push()],
    );
}
