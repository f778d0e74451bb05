//! Additions to a counter: a read lies between what must have been added and what may have been.
//!
//! In files: `:f :add :value 2` and `:f :read :value 5`.

use std::fmt::Write;

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names, Outcome},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Add { amount: i64 },
    Read { seen: Option<i64> },
}

/// Additions that had been acknowledged before the read began count; those that began before it ended may count. A counter
/// that stays outside of these bounds in the last read, when nothing was going on any more, has lost updates (or applied one
/// twice).
pub fn check(history: &History<Step>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let sums = Sums::new(history);
    for operation in history.committed() {
        let Step::Read { seen: Some(seen) } = operation.body else { continue };
        let seen = i128::from(seen);
        let (low, high) = sums.bounds(operation.begin, operation.end);
        if seen < low || seen > high {
            let is_quiet = operation.begin > sums.last_end;
            let kind = match (seen < low, is_quiet) {
                (true, true) => Kind::LostUpdate,
                (true, false) => Kind::StaleRead,
                (false, _) => Kind::Duplicate,
            };
            findings.add(kind, &[operation.index], || {
                format!("operation {} read {seen}, which is not between {low} and {high}", operation.index)
            });
        }
    }
    findings.finish()
}

/// Sums of amounts over time, for the bounds of any read in O(log n).
struct Sums {
    /// (time, sum of the positive amounts up to it), by the time of acknowledgement or of beginning.
    certain_up: Vec<(u64, i128)>,
    certain_down: Vec<(u64, i128)>,
    possible_up: Vec<(u64, i128)>,
    possible_down: Vec<(u64, i128)>,
    last_end: u64,
}

impl Sums {
    fn new(history: &History<Step>) -> Sums {
        let adds: Vec<_> = history
            .operations
            .iter()
            .filter(|operation| operation.outcome != Outcome::Aborted)
            .filter_map(|operation| match operation.body {
                Step::Add { amount } => Some((operation.begin, operation.end, operation.outcome, amount)),
                Step::Read { .. } => None,
            })
            .collect();
        let sums = |certain: bool, up: bool| {
            let mut points: Vec<(u64, i128)> = adds
                .iter()
                .filter(|(_, _, outcome, amount)| (*amount > 0) == up && (!certain || *outcome == Outcome::Committed))
                .map(|(begin, end, _, amount)| (if certain { *end } else { *begin }, i128::from(*amount)))
                .collect();
            points.sort_unstable();
            let mut sum = 0;
            for point in &mut points {
                sum += point.1;
                point.1 = sum;
            }
            points
        };
        let acknowledged = adds.iter().filter(|(_, _, outcome, _)| *outcome == Outcome::Committed);
        Sums {
            certain_up: sums(true, true),
            certain_down: sums(true, false),
            possible_up: sums(false, true),
            possible_down: sums(false, false),
            last_end: acknowledged.map(|(_, end, _, _)| *end).max().unwrap_or(0),
        }
    }

    /// The least and the most that a read from `begin` to `end` may show.
    fn bounds(&self, begin: u64, end: u64) -> (i128, i128) {
        let before = |points: &[(u64, i128)], time: u64| sum_of(points, points.partition_point(|point| point.0 < time));
        let until = |points: &[(u64, i128)], time: u64| sum_of(points, points.partition_point(|point| point.0 <= time));
        let low = before(&self.certain_up, begin) + until(&self.possible_down, end);
        let high = until(&self.possible_up, end) + before(&self.certain_down, begin);
        (low, high)
    }
}

fn sum_of(points: &[(u64, i128)], count: usize) -> i128 {
    if count == 0 { 0 } else { points[count - 1].1 }
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        match (f, cursor.value()?) {
            ("add", Value::Integer(amount)) => Ok(Some(Step::Add { amount })),
            ("read", Value::Integer(seen)) => Ok(Some(Step::Read { seen: Some(seen) })),
            ("read", Value::Nil) => Ok(Some(Step::Read { seen: None })),
            ("add" | "read", _) => Err(at.error("a counter needs an integer")),
            _ => Ok(None),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        let (f, value) = match self {
            Step::Add { amount } => ("add", Some(*amount)),
            Step::Read { seen } => ("read", seen.filter(|_| answered)),
        };
        let _ = match value {
            Some(value) => write!(out, "{value}"),
            None => write!(out, "nil"),
        };
        f
    }
}
