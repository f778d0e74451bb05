//! Hand-made histories: each anomaly is found and named, and good histories pass.

use super::*;
use crate::{
    check::{Class, Kind, Order},
    history::Outcome,
};

fn append(key: u64, value: u64) -> Step {
    Step::Append { key, value }
}

fn read(key: u64, seen: &[u64]) -> Step {
    Step::Read { key, seen: Some(seen.to_vec()) }
}

fn history(operations: &[(u64, u64, Outcome, &[Step])]) -> History<Vec<Step>> {
    let operations: Vec<_> = operations
        .iter()
        .enumerate()
        .map(|(index, (begin, end, outcome, body))| Operation {
            index,
            process: index as u32,
            begin: *begin,
            end: *end,
            outcome: *outcome,
            body: body.to_vec(),
        })
        .collect();
    History::from(operations)
}

fn kinds(history: &History<Vec<Step>>) -> Vec<Kind> {
    check(history).into_iter().map(|anomaly| anomaly.kind).collect()
}

use Outcome::{Aborted, Committed, Unknown};

#[test]
fn a_serial_history_is_clean() {
    let history = history(&[
        (0, 1, Committed, &[append(1, 1), append(2, 1)]),
        (2, 3, Committed, &[read(1, &[1]), append(1, 2)]),
        (4, 5, Committed, &[read(1, &[1, 2]), read(2, &[1])]),
    ]);
    assert_eq!(kinds(&history), []);
}

#[test]
fn write_skew_is_g2() {
    let history = history(&[
        (0, 10, Committed, &[read(1, &[]), append(2, 1)]),
        (0, 10, Committed, &[read(2, &[]), append(1, 1)]),
        (20, 21, Committed, &[read(1, &[1]), read(2, &[1])]),
    ]);
    assert_eq!(kinds(&history), [Kind::cycle(Class::G2, Order::Data)]);
}

#[test]
fn read_skew_is_g_single() {
    let history = history(&[
        (0, 10, Committed, &[append(1, 1), append(2, 1)]),
        (0, 10, Committed, &[read(1, &[]), read(2, &[1])]),
        (20, 21, Committed, &[read(1, &[1]), read(2, &[1])]),
    ]);
    assert_eq!(kinds(&history), [Kind::cycle(Class::GSingle, Order::Data)]);
}

#[test]
fn circular_information_flow_is_g1c() {
    let history = history(&[
        (0, 10, Committed, &[append(1, 1), read(2, &[1])]),
        (0, 10, Committed, &[append(2, 1), read(1, &[1])]),
    ]);
    assert_eq!(kinds(&history), [Kind::cycle(Class::G1c, Order::Data)]);
}

#[test]
fn interleaved_writes_are_g0() {
    let history = history(&[
        (0, 10, Committed, &[append(1, 1), append(2, 1)]),
        (0, 10, Committed, &[append(1, 2), append(2, 2)]),
        (20, 21, Committed, &[read(1, &[1, 2]), read(2, &[2, 1])]),
    ]);
    assert_eq!(kinds(&history), [Kind::cycle(Class::G0, Order::Data)]);
}

#[test]
fn a_stale_read_is_a_real_time_anomaly() {
    let history = history(&[
        (0, 1, Committed, &[append(1, 1)]),
        (5, 6, Committed, &[read(1, &[])]),
        (7, 8, Committed, &[read(1, &[1])]),
    ]);
    assert_eq!(kinds(&history), [Kind::cycle(Class::GSingle, Order::RealTime)]);
}

#[test]
fn dirty_reads_are_g1a_and_g1b() {
    let aborted = history(&[(0, 1, Aborted, &[append(1, 1)]), (0, 9, Committed, &[read(1, &[1])])]);
    assert_eq!(kinds(&aborted), [Kind::G1a]);
    let intermediate = history(&[
        (0, 9, Committed, &[append(1, 1), append(1, 2)]),
        (0, 9, Committed, &[read(1, &[1])]),
        (10, 11, Committed, &[read(1, &[1, 2])]),
    ]);
    assert!(kinds(&intermediate).contains(&Kind::G1b));
}

#[test]
fn disagreeing_reads_duplicates_and_lost_writes() {
    let order = history(&[
        (0, 9, Committed, &[append(1, 1)]),
        (0, 9, Committed, &[append(1, 2)]),
        (10, 11, Committed, &[read(1, &[1, 2])]),
        (10, 11, Committed, &[read(1, &[2])]),
    ]);
    assert_eq!(kinds(&order), [Kind::IncompatibleOrder]);
    let twice = history(&[(0, 9, Committed, &[append(1, 1)]), (10, 11, Committed, &[read(1, &[1, 1])])]);
    assert_eq!(kinds(&twice), [Kind::Duplicate]);
    let lost = history(&[(0, 9, Committed, &[append(1, 1)]), (10, 11, Committed, &[read(1, &[])])]);
    assert!(kinds(&lost).contains(&Kind::LostWrite));
}

#[test]
fn own_writes_must_be_seen() {
    let history = history(&[(0, 9, Committed, &[append(1, 1), read(1, &[])])]);
    assert!(kinds(&history).contains(&Kind::Internal));
}

#[test]
fn an_unknown_outcome_is_no_failure() {
    let seen = history(&[(0, u64::MAX, Unknown, &[append(1, 1)]), (5, 6, Committed, &[read(1, &[1])])]);
    assert_eq!(kinds(&seen), []);
    let unseen = history(&[(0, u64::MAX, Unknown, &[append(1, 1)]), (5, 6, Committed, &[read(1, &[])])]);
    assert_eq!(kinds(&unseen), []);
}
