use base::Timestamp;

use super::*;
use crate::command::{Key, LockMode};

fn node(n: u128) -> WaitNode {
    WaitNode { txn: TxnId(n), begin_ts: Timestamp(n as u64), mode: Some(LockMode::Update) }
}

/// Everybody waits at a key named after who is in the way.
fn key_of(n: u128) -> Key {
    Key::from(n.to_be_bytes().to_vec())
}

fn holders(ids: &[u128]) -> Vec<WaitFor> {
    ids.iter().map(|n| WaitFor { txn: TxnId(*n), key: key_of(*n) }).collect()
}

fn cycle(ids: &[u128]) -> Vec<WaitEdge> {
    let next = ids.iter().cycle().skip(1);
    let edge = |(waiter, holder): (&u128, &u128)| WaitEdge {
        waiter: TxnId(*waiter),
        holder: TxnId(*holder),
        key: key_of(*holder),
        mode: Some(LockMode::Update),
    };
    ids.iter().zip(next).map(edge).collect()
}

fn detector() -> Detector {
    Detector::new(Duration::from_millis(1500))
}

const NOW: Monotonic = Monotonic(1_000_000_000);

#[test]
fn the_reporter_dies_when_it_is_the_youngest() {
    let mut detector = detector();
    assert_eq!(detector.report(node(1), holders(&[2]), NOW), WaitReply::Wait);
    assert_eq!(detector.report(node(2), holders(&[3]), NOW), WaitReply::Wait);
    let dead = cycle(&[3, 1, 2]);
    assert_eq!(detector.report(node(3), holders(&[1]), NOW), WaitReply::Deadlock(dead));
}

#[test]
fn another_victim_is_told_when_it_reports_again() {
    let mut detector = detector();
    assert_eq!(detector.report(node(2), holders(&[1]), NOW), WaitReply::Wait);
    assert_eq!(detector.report(node(1), holders(&[2]), NOW), WaitReply::Wait);
    assert_eq!(detector.report(node(2), holders(&[1]), NOW), WaitReply::Deadlock(cycle(&[2, 1])));
    assert_eq!(detector.report(node(1), holders(&[2]), NOW), WaitReply::Wait);
}

#[test]
fn a_victim_that_got_through_in_the_meantime_lives() {
    let mut detector = detector();
    detector.report(node(2), holders(&[1]), NOW);
    detector.report(node(1), holders(&[2]), NOW);
    assert_eq!(detector.report(node(2), holders(&[7]), NOW), WaitReply::Wait);
}

#[test]
fn edges_expire() {
    let mut detector = detector();
    detector.report(node(1), holders(&[2]), NOW);
    let later = NOW + Duration::from_secs(2);
    assert_eq!(detector.report(node(2), holders(&[1]), later), WaitReply::Wait);
}

#[test]
fn one_death_is_enough_for_two_cycles() {
    // 5 waits for 1 and 7, each of which waits for 5.
    let mut detector = detector();
    detector.report(node(1), holders(&[5]), NOW);
    detector.report(node(7), holders(&[5]), NOW);
    let dead = cycle(&[5, 1]);
    assert_eq!(detector.report(node(5), holders(&[1, 7]), NOW), WaitReply::Deadlock(dead));
    assert_eq!(detector.report(node(7), holders(&[5]), NOW), WaitReply::Wait);
}
