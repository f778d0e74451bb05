use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Option<u8>, bool),
    Savepoint,
    RollbackTo(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12, any::<Option<u8>>(), any::<bool>()).prop_map(|(k, v, blind)| Step::Put(k, v, blind)),
        2 => Just(Step::Savepoint),
        1 => (0usize..8).prop_map(Step::RollbackTo),
    ]
}

fn write(value: Option<Bytes>, blind: bool) -> Buffered {
    Buffered { value, blind, as_of: None }
}

fn bytes(byte: u8) -> Bytes {
    Bytes::copy_from_slice(&[byte])
}

proptest! {
    /// The model keeps a whole copy per savepoint.
    #[test]
    fn savepoints_agree_with_copies(steps in prop::collection::vec(step(), 0..80)) {
        let mut buffer = WriteBuffer::default();
        let mut model: BTreeMap<u8, Option<u8>> = BTreeMap::new();
        let mut saved = Vec::new();
        for step in steps {
            match step {
                Step::Put(key, value, blind) => {
                    prop_assert!(buffer.put(bytes(key), write(value.map(bytes), blind), usize::MAX));
                    model.insert(key, value);
                }
                Step::Savepoint => saved.push((buffer.mark(), model.clone())),
                Step::RollbackTo(index) => {
                    if let Some((savepoint, copy)) = saved.get(index) {
                        buffer.rollback_to(*savepoint);
                        model = copy.clone();
                        saved.truncate(index + 1);
                    }
                }
            }
            let now: Vec<_> = buffer.range(&Span::all()).map(|(key, write)| (key[0], write.value.as_ref().map(|v| v[0]))).collect();
            prop_assert_eq!(now, model.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_limit_holds_and_overwriting_is_free() {
    let mut buffer = WriteBuffer::default();
    let value = Bytes::from(vec![0; 1000]);
    for _ in 0..100 {
        assert!(buffer.put(Key::from("a"), write(Some(value.clone()), false), 3000));
    }
    assert!(!buffer.put(Key::from("b"), write(Some(Bytes::from(vec![0; 2000])), false), 3000));
    assert!(buffer.get(b"b").is_none());
}

#[test]
fn knowledge_ends_blindness() {
    let mut buffer = WriteBuffer::default();
    buffer.put(Key::from("a"), write(None, false), 1000);
    buffer.put(Key::from("a"), write(None, true), 1000);
    assert!(!buffer.get(b"a").unwrap().blind);
}
