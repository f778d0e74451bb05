//! Mistakes in the protocol, planted one at a time: the model must find each.

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::{
    protocol::{blind, two_ranges},
    scenario::{Faults, Layout, Mistake, Program, Scenario, Step},
    world::{Action, State, World},
};

/// A path, one line a step.
pub fn story(world: &World, path: Path<State, Action>) -> Vec<String> {
    let steps = path.into_vec().into_iter();
    steps.filter_map(|(state, action)| world.format_step(&state, action?)).collect()
}

/// Explores with the mistake until something does not hold, which must be one of `expected`; and without it as far, to see that it
/// is the mistake.
fn find(mistake: Mistake, programs: Vec<Program>, faults: Faults, expected: &[&str]) {
    find_in(two_ranges(), mistake, programs, faults, expected);
}

fn find_in(layout: Layout, mistake: Mistake, programs: Vec<Program>, faults: Faults, expected: &[&str]) {
    let scenario = Scenario { name: "mistake", layout, programs, faults, timestamps_max: 6, mistake: Some(mistake) };
    let checker =
        World::new(scenario.clone(), Vec::new()).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let mut broken = checker.discoveries();
    assert!(!broken.is_empty(), "{mistake:?} was not found in {states} states");
    let named = expected.iter().find_map(|property| broken.remove(property).map(|path| (*property, path)));
    let Some((property, path)) = named else {
        panic!("{mistake:?} breaks something else: {:?}", broken.into_keys().collect::<Vec<_>>());
    };
    let steps = story(checker.model(), path);
    println!(
        "model: {mistake:?} breaks {property:?} after {} steps ({states} states):\n  {}",
        steps.len(),
        steps.join("\n  ")
    );
    let right = World::new(Scenario { mistake: None, ..scenario }, Vec::new())
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_max_depth(steps.len() + 1)
        .spawn_bfs()
        .join();
    assert!(right.discoveries().is_empty(), "it is not the mistake that breaks {property:?}");
}

fn owner_and_reader() -> Vec<Program> {
    vec![blind("owner", b"ab"), Program::reader("reader", b"ab")]
}

const NOTHING: Faults = Faults { crashes: 0, losses: 0, copies: 0, leaders: 0, split: false };

const NEVER_BOTH: &str = "committed or aborted, never both";
const ACKNOWLEDGED: &str = "what was acknowledged stays committed";
const REFUSED: &str = "what was refused is never committed";
const ALL_OR_NOTHING: &str = "all or nothing";
const READS: &str = "what was read stays true";
const PRIMARY_LAST: &str = "the primary is resolved last";
const GETS_THROUGH: &str = "whoever comes gets through";
const AGREES: &str = "recovery decides what the owner was told";

#[test]
fn prevent_leaves_no_marker() {
    find(Mistake::PreventLeavesNoMarker, owner_and_reader(), NOTHING, &[ACKNOWLEDGED, ALL_OR_NOTHING, AGREES]);
}

#[test]
fn marker_stops_one_attempt() {
    find(Mistake::MarkerStopsOneAttempt, owner_and_reader(), NOTHING, &[NEVER_BOTH, ACKNOWLEDGED]);
}

#[test]
fn superseded_is_missing() {
    find(Mistake::SupersededIsMissing, owner_and_reader(), NOTHING, &[ACKNOWLEDGED, ALL_OR_NOTHING]);
}

#[test]
fn earlier_intent_replaces_later() {
    let faults = Faults { copies: 1, ..NOTHING };
    find(Mistake::EarlierIntentReplacesLater, owner_and_reader(), faults, &[ACKNOWLEDGED, ALL_OR_NOTHING, AGREES]);
}

#[test]
fn acknowledge_before_prewrites() {
    find(Mistake::AcknowledgeBeforePrewrites, owner_and_reader(), NOTHING, &[ACKNOWLEDGED]);
}

#[test]
fn primary_not_first() {
    find(Mistake::PrimaryNotFirst, owner_and_reader(), NOTHING, &[GETS_THROUGH, ACKNOWLEDGED]);
}

#[test]
fn primary_not_resolved_last() {
    find(Mistake::PrimaryNotResolvedLast, owner_and_reader(), NOTHING, &[PRIMARY_LAST]);
}

#[test]
fn new_leader_forgets_reads() {
    let faults = Faults { leaders: 1, ..NOTHING };
    find(Mistake::NewLeaderForgetsReads, owner_and_reader(), faults, &[READS]);
}

#[test]
fn owner_does_not_settle() {
    let faults = Faults { losses: 1, ..NOTHING };
    find(Mistake::OwnerDoesNotSettle, owner_and_reader(), faults, &[REFUSED]);
}

/// The world itself: two keys of one range that are split apart keep what was read of each.
#[test]
fn skew_is_found_when_leaders_forget() {
    let crossed = |name, read: u8, written: u8| Program::new(name, [Step::Get(vec![read]), Step::PutBlind(written)]);
    let faults = Faults { leaders: 1, ..NOTHING };
    let programs = vec![crossed("first", b'a', b'b'), crossed("second", b'b', b'a')];
    find_in(two_ranges(), Mistake::NewLeaderForgetsReads, programs, faults, &[READS]);
}
