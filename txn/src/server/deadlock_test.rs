use base::Timestamp;

use super::*;

fn node(n: u128) -> WaitNode {
    WaitNode { txn: TxnId(n), begin_ts: Timestamp(n as u64) }
}

fn detector() -> Detector {
    Detector::new(Duration::from_millis(1500))
}

const NOW: Monotonic = Monotonic(1_000_000_000);

#[test]
fn the_reporter_dies_when_it_is_the_youngest() {
    let mut detector = detector();
    assert_eq!(detector.report(node(1), vec![TxnId(2)], NOW), WaitReply::Wait);
    assert_eq!(detector.report(node(2), vec![TxnId(3)], NOW), WaitReply::Wait);
    let cycle = vec![TxnId(3), TxnId(1), TxnId(2)];
    assert_eq!(detector.report(node(3), vec![TxnId(1)], NOW), WaitReply::Deadlock(cycle));
}

#[test]
fn another_victim_is_told_when_it_reports_again() {
    let mut detector = detector();
    assert_eq!(detector.report(node(2), vec![TxnId(1)], NOW), WaitReply::Wait);
    assert_eq!(detector.report(node(1), vec![TxnId(2)], NOW), WaitReply::Wait);
    assert_eq!(detector.report(node(2), vec![TxnId(1)], NOW), WaitReply::Deadlock(vec![TxnId(2), TxnId(1)]));
    assert_eq!(detector.report(node(1), vec![TxnId(2)], NOW), WaitReply::Wait);
}

#[test]
fn a_victim_that_got_through_in_the_meantime_lives() {
    let mut detector = detector();
    detector.report(node(2), vec![TxnId(1)], NOW);
    detector.report(node(1), vec![TxnId(2)], NOW);
    assert_eq!(detector.report(node(2), vec![TxnId(7)], NOW), WaitReply::Wait);
}

#[test]
fn edges_expire() {
    let mut detector = detector();
    detector.report(node(1), vec![TxnId(2)], NOW);
    let later = NOW + Duration::from_secs(2);
    assert_eq!(detector.report(node(2), vec![TxnId(1)], later), WaitReply::Wait);
}

#[test]
fn one_death_is_enough_for_two_cycles() {
    // 5 waits for 1 and 7, each of which waits for 5.
    let mut detector = detector();
    detector.report(node(1), vec![TxnId(5)], NOW);
    detector.report(node(7), vec![TxnId(5)], NOW);
    let cycle = vec![TxnId(5), TxnId(1)];
    assert_eq!(detector.report(node(5), vec![TxnId(1), TxnId(7)], NOW), WaitReply::Deadlock(cycle));
    assert_eq!(detector.report(node(7), vec![TxnId(5)], NOW), WaitReply::Wait);
}
