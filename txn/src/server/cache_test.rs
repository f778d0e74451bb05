use proptest::prelude::*;

use super::*;

fn key(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[b'k', n])
}

fn cache(entries_max: usize) -> TimestampCache {
    TimestampCache::new(Timestamp(5), entries_max, Duration::from_secs(10), Monotonic(0))
}

/// What the cache has been told, kept for ever.
#[derive(Default)]
struct Naive(Vec<(Span, LastRead)>);

impl Naive {
    fn last_read(&self, key: &[u8]) -> LastRead {
        let start = LastRead { ts: Timestamp(5), reader: None };
        self.0.iter().filter(|(span, _)| span.contains(key)).fold(start, |level, (_, read)| level.max(*read))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Read { from: u8, to: u8, ts: u64, txn: u128 },
    Tick,
    Split(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u8..20, 0u8..22, 0u64..40, 1u128..4).prop_map(|(from, to, ts, txn)| Step::Read { from, to, ts, txn }),
        1 => Just(Step::Tick),
        1 => (0u8..20).prop_map(Step::Split),
    ]
}

/// `to` beyond the keys means "to the end", below `from` means a point.
fn span(from: u8, to: u8) -> Span {
    match to {
        21.. => Span::new(key(from), Bytes::new()),
        to if to <= from => Span::point(key(from)),
        to => Span::new(key(from), key(to)),
    }
}

proptest! {
    /// With room for everything the cache is exact; with little room or after a while it may only be too careful.
    #[test]
    fn never_forgets(steps in prop::collection::vec(step(), 0..60), entries_max in prop_oneof![Just(3usize), Just(1000)]) {
        let mut parts = vec![(key(0), cache(entries_max))];
        let mut naive = Naive::default();
        let mut now = Monotonic(0);
        let mut ticked = false;
        for step in steps {
            match step {
                Step::Read { from, to, ts, txn } => {
                    let span = span(from, to);
                    let read = LastRead { ts: Timestamp(ts), reader: Some(TxnId(txn)) };
                    for at in 0..parts.len() {
                        let end = parts.get(at + 1).map_or(Bytes::new(), |(start, _)| start.clone());
                        if let Some(part) = span.intersect(&Span::new(parts[at].0.clone(), end)) {
                            parts[at].1.record(&part, read.ts, TxnId(txn));
                        }
                    }
                    naive.0.push((span, read));
                }
                Step::Tick => {
                    now = now + Duration::from_secs(7);
                    ticked = true;
                    parts.iter_mut().for_each(|(_, part)| part.tick(now));
                }
                Step::Split(at) => {
                    let part = parts.iter().rposition(|(start, _)| *start <= key(at)).unwrap();
                    if parts[part].0 != key(at) {
                        let right = parts[part].1.split(&key(at));
                        parts.insert(part + 1, (key(at), right));
                    }
                }
            }
        }
        for n in 0..22 {
            let part = parts.iter().rposition(|(start, _)| *start <= key(n)).unwrap();
            let (found, expected) = (parts[part].1.last_read(&key(n)), naive.last_read(&key(n)));
            prop_assert!(found.ts >= expected.ts, "key {n}: {found:?} < {expected:?}");
            if found.ts == expected.ts {
                prop_assert!(found.reader.is_none() || found.reader == expected.reader, "key {n}: {found:?}, {expected:?}");
            }
            if entries_max == 1000 && !ticked {
                prop_assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn own_reads_do_not_stand_in_the_way() {
    let mut cache = cache(100);
    let (me, other) = (TxnId(1), TxnId(2));
    cache.record(&Span::new(key(0), key(9)), Timestamp(10), me);
    assert!(!cache.last_read(&key(3)).forbids(me, Timestamp(10)));
    assert!(cache.last_read(&key(3)).forbids(other, Timestamp(10)));
    assert!(!cache.last_read(&key(3)).forbids(other, Timestamp(11)));
    cache.record_key(&key(3), Timestamp(10), other);
    assert!(cache.last_read(&key(3)).forbids(me, Timestamp(10)));
}

#[test]
fn neighbours_of_the_same_level_are_one_step() {
    let mut cache = cache(100);
    for n in 0..20 {
        cache.record(&Span::new(key(n), key(n + 1)), Timestamp(10), TxnId(1));
    }
    assert_eq!(cache.young.steps.len(), 2);
}
