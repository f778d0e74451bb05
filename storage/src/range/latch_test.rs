use base::{Rng, Span};

use super::*;

fn point(key: &'static str, exclusive: bool) -> Access {
    Access { span: Span::point(key), exclusive }
}

fn wide(start: &'static str, end: &'static str, exclusive: bool) -> Access {
    Access { span: Span::new(start, end), exclusive }
}

#[test]
fn shared_together_exclusive_alone() {
    let mut latches = Latches::default();
    assert!(latches.acquire(1, vec![point("a", false)]));
    assert!(latches.acquire(2, vec![point("a", false)]));
    assert!(!latches.acquire(3, vec![point("a", true)]));
    assert!(!latches.acquire(4, vec![point("a", false)]), "does not overtake the waiting writer");
    assert!(latches.acquire(5, vec![point("b", true)]));
    assert_eq!(latches.release(1), vec![]);
    assert_eq!(latches.release(2), vec![3]);
    assert_eq!(latches.release(3), vec![4]);
}

#[test]
fn wide_spans_conflict_with_points() {
    let mut latches = Latches::default();
    assert!(latches.acquire(1, vec![point("b", true)]));
    assert!(!latches.acquire(2, vec![wide("a", "c", false)]));
    assert!(latches.acquire(3, vec![wide("c", "", true)]));
    assert!(!latches.acquire(4, vec![point("b", true)]));
    assert_eq!(latches.release(1), vec![2]);
    assert_eq!(latches.release(2), vec![4]);
}

#[test]
fn a_cancelled_waiter_does_not_let_others_pass() {
    let mut latches = Latches::default();
    assert!(latches.acquire(1, vec![point("a", true)]));
    assert!(!latches.acquire(2, vec![point("a", true)]));
    assert!(!latches.acquire(3, vec![point("a", true)]));
    assert_eq!(latches.release(2), vec![], "gives up its turn");
    assert_eq!(latches.release(1), vec![3]);
    assert_eq!(latches.release(3), vec![]);
    assert!(latches.is_empty());
}

/// Against the definition: holders never conflict, and everyone gets a turn.
#[test]
fn random_histories_are_isolated_and_live() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut latches = Latches::default();
        let mut all: BTreeMap<Token, Vec<Access>> = BTreeMap::new();
        let mut holding: BTreeSet<Token> = BTreeSet::new();
        for token in 0..60u64 {
            let accesses: Vec<_> = (0..rng.between(1, 3))
                .map(|_| {
                    let keys = ["a", "b", "c", "d", "e"];
                    let (i, exclusive) = (rng.below(4) as usize, rng.chance(1, 2));
                    if rng.chance(1, 4) { wide(keys[i], keys[i + 1], exclusive) } else { point(keys[i], exclusive) }
                })
                .collect();
            all.insert(token, accesses.clone());
            if latches.acquire(token, accesses) {
                holding.insert(token);
            }
            check(&all, &holding);
            let tokens: Vec<_> = all.keys().copied().collect();
            if let Some(gone) = rng.pick(&tokens).copied().filter(|_| rng.chance(1, 2)) {
                all.remove(&gone);
                holding.remove(&gone);
                holding.extend(latches.release(gone));
                check(&all, &holding);
            }
        }
        while let Some(token) = holding.pop_first() {
            all.remove(&token);
            holding.extend(latches.release(token));
            check(&all, &holding);
        }
        assert!(all.is_empty() && latches.is_empty(), "seed {seed}: {all:?} never got a turn");
    }
}

fn check(all: &BTreeMap<Token, Vec<Access>>, holding: &BTreeSet<Token>) {
    for a in holding {
        for b in holding.iter().filter(|b| *b != a) {
            for (x, y) in all[a].iter().flat_map(|x| all[b].iter().map(move |y| (x, y))) {
                assert!(
                    !(x.exclusive || y.exclusive) || !x.span.overlaps(&y.span),
                    "{a} and {b} both hold {x:?} {y:?}"
                );
            }
        }
    }
}
