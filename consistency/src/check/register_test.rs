use super::*;

fn history(operations: &[(u64, u64, Outcome, Action)]) -> History<Step> {
    let operations: Vec<_> = operations
        .iter()
        .enumerate()
        .map(|(index, (begin, end, outcome, action))| Operation {
            index,
            process: index as u32,
            begin: *begin,
            end: *end,
            outcome: *outcome,
            body: Step { key: 1, action: action.clone() },
        })
        .collect();
    History::from(operations)
}

use Action::{CompareAndSet, Read, Write};
use Outcome::{Committed, Unknown};

#[test]
fn overlapping_operations_may_take_either_order() {
    for seen in [None, Some(7)] {
        let history = history(&[(0, 10, Committed, Write { value: 7 }), (5, 6, Committed, Read { seen })]);
        assert_eq!(check(&history), []);
    }
}

#[test]
fn a_stale_read_is_found() {
    let history = history(&[(0, 1, Committed, Write { value: 7 }), (5, 6, Committed, Read { seen: None })]);
    assert_eq!(check(&history)[0].kind, Kind::NotLinearizable);
}

#[test]
fn two_successful_swaps_of_one_value_are_found() {
    let swap = |new| CompareAndSet { expected: 1, new, applied: true };
    let history =
        history(&[(0, 1, Committed, Write { value: 1 }), (2, 9, Committed, swap(2)), (2, 9, Committed, swap(3))]);
    assert_eq!(check(&history).len(), 1);
}

#[test]
fn an_unknown_write_may_happen_late_or_never() {
    let write = (0, u64::MAX, Unknown, Write { value: 7 });
    for seen in [None, Some(7)] {
        let history = history(&[write.clone(), (50, 60, Committed, Read { seen })]);
        assert_eq!(check(&history), []);
    }
    let back = history(&[write, (50, 60, Committed, Read { seen: Some(7) }), (70, 80, Committed, Read { seen: None })]);
    assert_eq!(check(&back).len(), 1);
}
