//! The list-append checker against random histories: what a serial execution shows passes, and an anomaly that is planted
//! into it is found and named.

use base::Rng;
use jepsen::{
    check::{Class, Kind, Level, Order, Verdict, list_append},
    generate::{self, Shape},
    history::{self, History, Operation, Outcome, Step},
};

type Lists = History<Vec<Step>>;

const SHAPE: Shape = Shape { operations: 300, clients: 8, keys: 4, appends_per_key: 16, unknown_per_mille: 30 };

fn judge(history: &Lists) -> Verdict {
    Verdict::new(Level::StrictSerializable, history.counts(), list_append::check(history))
}

fn kinds(history: &Lists) -> Vec<Kind> {
    judge(history).counts_by_kind().into_keys().collect()
}

#[test]
fn serial_executions_are_valid() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let shape = Shape {
            operations: rng.between(1, 400) as usize,
            clients: rng.between(1, 20) as u32,
            keys: rng.between(1, 8),
            appends_per_key: rng.between(1, 40),
            unknown_per_mille: rng.below(200),
        };
        let history = generate::list_append(&shape, seed);
        let verdict = judge(&history);
        assert!(verdict.is_valid(), "seed {seed}, {shape:?}: {verdict}\n{:#?}", verdict.anomalies);
    }
}

/// The verdict of a file is that of the history that was written to it.
#[test]
fn files_keep_the_verdict() {
    for seed in 0..20 {
        let mut history = generate::list_append(&SHAPE, seed);
        if seed % 2 == 1 {
            plant(&mut history, seed, shorten_a_read);
        }
        let text = history.to_edn();
        let again = history::read::<Vec<Step>>(text.as_bytes(), |_, _| {}).expect("a readable history").history;
        assert_eq!(kinds(&again), kinds(&history), "seed {seed}");
    }
}

/// Plants into a random place until the fault fits somewhere; what the planter returns must be found.
fn plant<T>(history: &mut Lists, seed: u64, planter: impl Fn(&mut Lists, &mut Rng) -> Option<T>) -> T {
    let mut rng = Rng::new(seed);
    for _ in 0..10_000 {
        if let Some(planted) = planter(history, &mut rng) {
            return planted;
        }
    }
    panic!("seed {seed}: the fault fits nowhere");
}

fn is_found(planter: impl Fn(&mut Lists, &mut Rng) -> Option<Kind>) {
    for seed in 0..100 {
        let mut history = generate::list_append(&SHAPE, seed);
        let expected = plant(&mut history, seed, &planter);
        let found = kinds(&history);
        assert!(found.contains(&expected), "seed {seed}: {expected} was planted, {found:?} found");
    }
}

/// A read of a committed operation that ends in the append of another one.
fn a_read<'h>(history: &'h mut Lists, rng: &mut Rng, least: usize) -> Option<(&'h mut Operation<Vec<Step>>, usize)> {
    let count = history.operations.len() as u64;
    let operation = &mut history.operations[rng.below(count) as usize];
    if operation.outcome != Outcome::Committed {
        return None;
    }
    let own = |step: &Step, of: u64| matches!(step, Step::Append { key, .. } if *key == of);
    let fits = |step: &Step| match step {
        Step::Read { key, seen: Some(seen) } => {
            seen.len() >= least && !operation.body.iter().any(|step| own(step, *key))
        }
        _ => false,
    };
    let at = operation.body.iter().position(fits)?;
    Some((operation, at))
}

/// Takes an acknowledged append away from a read that began after it: at least a stale read.
fn shorten_a_read(history: &mut Lists, rng: &mut Rng) -> Option<(u64, usize)> {
    let operations = history.operations.clone();
    let (operation, at) = a_read(history, rng, 1)?;
    let Step::Read { key, seen: Some(seen) } = &mut operation.body[at] else { return None };
    let writes = |other: &Operation<Vec<Step>>, value: u64| other.body.contains(&Step::Append { key: *key, value });
    let last = *seen.last()?;
    let writer = operations.iter().find(|other| writes(other, last))?;
    if writer.end >= operation.begin {
        return None;
    }
    seen.pop();
    Some((*key, operation.index))
}

#[test]
fn stale_reads_are_found() {
    for seed in 0..100 {
        let mut history = generate::list_append(&SHAPE, seed);
        plant(&mut history, seed, shorten_a_read);
        let verdict = judge(&history);
        let is_of_reads = |kind: &Kind| matches!(kind, Kind::Cycle { .. } | Kind::NonRepeatableRead | Kind::G1b);
        assert!(!verdict.is_valid() && verdict.counts_by_kind().keys().any(is_of_reads), "seed {seed}: {verdict}");
    }
}

#[test]
fn aborted_reads_are_found() {
    is_found(|history, rng| {
        let (operation, at) = a_read(history, rng, 1)?;
        let Step::Read { key, seen: Some(seen) } = &operation.body[at] else { return None };
        let append = Step::Append { key: *key, value: *seen.last()? };
        let writer = history.operations.iter_mut().find(|other| other.body.contains(&append))?;
        writer.outcome = Outcome::Aborted;
        Some(Kind::G1a)
    });
}

#[test]
fn values_from_nowhere_are_found() {
    is_found(|history, rng| {
        let (operation, at) = a_read(history, rng, 0)?;
        let Step::Read { seen: Some(seen), .. } = &mut operation.body[at] else { return None };
        seen.push(u64::from(u32::MAX));
        Some(Kind::UnwrittenRead)
    });
}

#[test]
fn doubled_values_are_found() {
    is_found(|history, rng| {
        let (operation, at) = a_read(history, rng, 1)?;
        let Step::Read { seen: Some(seen), .. } = &mut operation.body[at] else { return None };
        seen.extend(seen.clone());
        Some(Kind::Duplicate)
    });
}

#[test]
fn swapped_values_are_found() {
    is_found(|history, rng| {
        let (operation, at) = a_read(history, rng, 2)?;
        let Step::Read { key, seen: Some(seen) } = &mut operation.body[at] else { return None };
        let key = *key;
        seen.swap(0, 1);
        let (index, length) = (operation.index, seen.len());
        // Somebody else must tell the true order.
        let tells =
            |step: &Step| matches!(step, Step::Read { key: of, seen: Some(seen) } if *of == key && seen.len() >= 2);
        let mut others = history.committed().filter(|other| other.index != index);
        let is_told = length >= 2 && others.any(|other| other.body.iter().any(tells));
        is_told.then_some(Kind::IncompatibleOrder)
    });
}

#[test]
fn unseen_own_appends_are_found() {
    is_found(|history, rng| {
        let count = history.operations.len() as u64;
        let operation = &mut history.operations[rng.below(count) as usize];
        let committed = operation.outcome == Outcome::Committed;
        let key = operation.body.iter().find_map(|step| match step {
            Step::Append { key, .. } if committed => Some(*key),
            _ => None,
        })?;
        operation.body.push(Step::Read { key, seen: Some(Vec::new()) });
        Some(Kind::Internal)
    });
}

/// Two more transactions at the end, on keys of their own, with a known anomaly between them.
fn append_pair(history: &mut Lists, first: Vec<Step>, second: Vec<Step>) {
    let known = history.operations.iter().filter(|operation| operation.end != u64::MAX);
    let end = known.map(|operation| operation.end).max().unwrap_or(0);
    for (process, body) in [(900, first), (901, second)] {
        let index = history.begin(process, end + 10, body.clone());
        history.end(index, end + 20, Outcome::Committed, body);
    }
}

fn append(key: u64, value: u64) -> Step {
    Step::Append { key, value }
}

fn read(key: u64, seen: &[u64]) -> Step {
    Step::Read { key, seen: Some(seen.to_vec()) }
}

#[test]
fn cycles_are_found_and_named_among_everything_else() {
    let cases = [
        (vec![append(9001, 1), append(9002, 1)], vec![read(9001, &[]), read(9002, &[1])], Class::GSingle),
        (vec![read(9001, &[]), append(9002, 1)], vec![read(9002, &[]), append(9001, 1)], Class::G2),
        (vec![append(9001, 1), read(9002, &[1])], vec![append(9002, 1), read(9001, &[1])], Class::G1c),
    ];
    for seed in 0..20 {
        for (first, second, class) in &cases {
            let mut history = generate::list_append(&SHAPE, seed);
            append_pair(&mut history, first.clone(), second.clone());
            assert_eq!(kinds(&history), [Kind::cycle(*class, Order::Data)], "seed {seed}");
        }
    }
}
