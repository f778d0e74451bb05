//! Reads against a model: versions and intents in a plain list, read in the most naive way.

use std::collections::BTreeMap;

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use proptest::prelude::*;
use storage::{ColumnFamily, Engine, WriteBatch, engine::memory::MemoryEngine};
use txn::mvcc::{
    Intent, Record, gc,
    read::{Versions, changed_in},
    scan::{Request, scan},
    write::put_version,
};

type Rows = Vec<(Bytes, Bytes)>;

fn key(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[b'k', n])
}

/// What is stored: of each key, its versions by timestamp (`None`: tombstone) and perhaps an intent of somebody else.
#[derive(Clone, Debug, Default)]
struct World {
    versions: BTreeMap<(u8, u64), Option<u8>>,
    intents: BTreeMap<u8, u64>,
}

fn world() -> impl Strategy<Value = World> {
    let versions = prop::collection::btree_map((0u8..8, 1u64..40), proptest::option::weighted(0.8, any::<u8>()), 0..60);
    let intents = prop::collection::btree_map(0u8..8, 1u64..60, 0..3);
    (versions, intents).prop_map(|(versions, intents)| World { versions, intents })
}

const WRITER: TxnId = TxnId(7);
const READER: TxnId = TxnId(8);

impl World {
    fn store(&self) -> MemoryEngine {
        let (engine, mut batch) = (MemoryEngine::new(), WriteBatch::default());
        for ((n, ts), value) in &self.versions {
            let value = value.map(|value| vec![value; 3]);
            put_version(&mut batch, &key(*n), Timestamp(*ts), WRITER, None, value.as_deref());
        }
        for (n, ts) in &self.intents {
            let intent = Intent {
                txn: WRITER,
                begin_ts: Timestamp(1),
                write_ts: Timestamp(*ts),
                primary: key(*n),
                value: None,
                staged: None,
            };
            batch.put(ColumnFamily::Intent, key(*n), Record::Intent(intent).encode());
            // A marker beside it must not confuse anybody.
            let marker = txn::mvcc::marker_key(&key(*n), TxnId(3));
            batch.put(ColumnFamily::Intent, marker, Record::Marker { at: Timestamp(1) }.encode());
        }
        engine.write(&batch).unwrap();
        engine
    }

    fn get(&self, n: u8, ts: u64) -> Option<Bytes> {
        let newest = self.versions.range((n, 0)..=(n, ts)).next_back()?;
        newest.1.map(|value| Bytes::from(vec![value; 3]))
    }

    /// The rows of a span at a timestamp up to the first intent in the way.
    fn scan(&self, span: &Span, ts: u64, reverse: bool) -> (Rows, Option<Bytes>) {
        let mut keys: Vec<u8> = (0..8).filter(|n| span.contains(&key(*n))).collect();
        if reverse {
            keys.reverse();
        }
        let mut rows = Vec::new();
        for n in keys {
            if self.intents.get(&n).is_some_and(|intent| *intent <= ts) {
                return (rows, Some(key(n)));
            }
            rows.extend(self.get(n, ts).map(|value| (key(n), value)));
        }
        (rows, None)
    }
}

/// All kinds of bounds, among them those that `Span::point` and the resume spans of pages make.
fn span() -> impl Strategy<Value = Span> {
    let bound = || prop_oneof![(0u8..9).prop_map(key), (0u8..9).prop_map(|n| Span::point(key(n)).end)];
    prop_oneof![
        (bound(), bound()).prop_map(|(a, b)| Span::new(a.clone().min(b.clone()), a.max(b))),
        bound().prop_map(|start| Span::new(start, Bytes::new())),
        Just(Span::all()),
        (0u8..9).prop_map(|n| Span::point(key(n))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn gets_see_what_the_model_sees(world in world(), ts in 0u64..50) {
        let engine = world.store();
        let mut versions = Versions::new(&engine, &key(0), &key(7)).unwrap();
        for n in 0..8 {
            prop_assert_eq!(versions.read(&key(n), Timestamp(ts)).unwrap().0, world.get(n, ts));
        }
    }

    /// Page after page, in either direction, however small: together they are the model's rows, and they cover the span.
    #[test]
    fn pages_add_up_to_what_the_model_sees(
        world in world(), ts in 0u64..50, span in span(), reverse: bool,
        rows_max in 1u64..5, bytes_max in 1u64..30, versions_max in 1u64..20,
    ) {
        let engine = world.store();
        let (expected, intent) = world.scan(&span, ts, reverse);
        let (mut rows, mut rest) = (Vec::new(), Some(span.clone()));
        let mut blocked = None;
        while let Some(span) = rest.take() {
            let request = Request {
                txn: READER, read_ts: Timestamp(ts), span: span.clone(), reverse, rows_max, bytes_max, versions_max,
            };
            let scanned = scan(&engine, &request, None).unwrap();
            let Some(covered) = scanned.covered else {
                prop_assert!(scanned.page.rows.is_empty());
                let keys = scanned.blockers.iter().map(|blocker| blocker.key.clone());
                blocked = if reverse { keys.max() } else { keys.min() };
                prop_assert!(blocked.is_some());
                break;
            };
            prop_assert!(scanned.page.rows.len() as u64 <= rows_max);
            prop_assert!(scanned.page.rows.iter().all(|(key, _)| covered.contains(key)));
            let resume = scanned.page.resume.clone();
            if let Some(resume) = &resume {
                prop_assert!(!covered.overlaps(resume));
                prop_assert!(resume != &span, "no progress");
            } else {
                prop_assert!(covered.covers(&span) || span.is_empty());
            }
            rows.extend(scanned.page.rows);
            rest = resume;
        }
        prop_assert_eq!(blocked, intent);
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn changes_are_found(world in world(), span in span(), from in 0u64..40, to in 0u64..50) {
        let engine = world.store();
        let found = changed_in(&engine, &span, READER, Timestamp(from), Timestamp(to)).unwrap();
        let changed = |((n, ts), _): (&(u8, u64), _)| span.contains(&key(*n)) && *ts > from && *ts <= to;
        prop_assert_eq!(found.is_some(), world.versions.iter().any(changed));
        prop_assert_eq!(changed_in(&engine, &span, WRITER, Timestamp(from), Timestamp(to)).unwrap(), None);
    }

    /// Whatever the steps, garbage collection changes nothing for reads at or above the mark, and leaves no garbage.
    #[test]
    fn garbage_is_what_nobody_sees(world in world(), below in 1u64..40, limit in 1u32..8) {
        let engine = world.store();
        let mut rest = Some(Span::all());
        let mut dropped = 0;
        while let Some(span) = rest {
            let (reply, batch) = gc::collect(&engine, &span, Timestamp(below), limit).unwrap();
            engine.write(&batch).unwrap();
            dropped += reply.dropped;
            prop_assert!(reply.resume.as_ref() != Some(&span) || reply.dropped > 0, "no progress");
            rest = reply.resume;
        }
        let mut versions = Versions::new(&engine, &key(0), &key(7)).unwrap();
        let mut left = 0;
        for n in 0..8 {
            for ts in below..50 {
                prop_assert_eq!(versions.read(&key(n), Timestamp(ts)).unwrap().0, world.get(n, ts));
            }
            let mut next = versions.seek(&key(n), Timestamp(below)).unwrap();
            prop_assert!(next.is_none() || versions.value().unwrap().is_some(), "a tombstone is left");
            while next.is_some() {
                left += 1;
                next = versions.older(&key(n)).unwrap();
            }
            prop_assert!(left <= u64::from(n) + 1, "garbage is left");
        }
        let markers = world.intents.len() as u64;
        prop_assert!(dropped <= world.versions.len() as u64 + markers);
    }
}
