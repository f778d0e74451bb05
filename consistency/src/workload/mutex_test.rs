use super::*;
use crate::history::{Operation, Outcome};

fn history(held: &[(i64, u64, u64)]) -> History<Step> {
    let operation = |(index, &(key, from, to)): (usize, &(i64, u64, u64))| Operation {
        index,
        process: index as u32,
        begin: from,
        end: to + 1,
        outcome: Outcome::Committed,
        body: Step { key, held: Some((from, to)) },
    };
    held.iter().enumerate().map(operation).collect::<Vec<_>>().into()
}

#[test]
fn one_after_the_other_is_right() {
    assert_eq!(check(&history(&[(0, 10, 20), (1, 15, 25), (0, 20, 30)])), []);
}

#[test]
fn two_holders_at_once_are_found() {
    let anomalies = check(&history(&[(0, 10, 20), (0, 19, 30)]));
    assert_eq!(anomalies.iter().map(|anomaly| anomaly.kind).collect::<Vec<_>>(), [Kind::NotUnique]);
}
