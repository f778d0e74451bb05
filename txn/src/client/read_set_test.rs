use proptest::prelude::*;

use super::*;

fn key(n: u16) -> Key {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

proptest! {
    /// Whatever was added is covered by what comes out, and the bounds hold.
    #[test]
    fn nothing_read_is_forgotten(reads in prop::collection::vec((any::<u16>(), 0u16..40), 0..6000)) {
        let mut set = ReadSet::default();
        for (start, length) in &reads {
            match length {
                0 => set.add_point(&key(*start)),
                length => set.add_span(Span::new(key(*start), key(start.saturating_add(*length)))),
            }
        }
        let spans = set.spans(|_| false);
        prop_assert!(spans.len() <= POINTS_MAX + SPANS_MAX);
        prop_assert!(spans.windows(2).all(|pair| !pair[0].end.is_empty() && pair[0].end <= pair[1].start));
        for (start, length) in &reads {
            let read = if *length == 0 {
                Span::point(key(*start))
            } else {
                Span::new(key(*start), key(start.saturating_add(*length)))
            };
            prop_assert!(read.is_empty() || spans.iter().any(|span| span.covers(&read)), "{read:?} is not covered");
        }
    }
}

#[test]
fn pages_of_one_scan_are_one_span() {
    let mut set = ReadSet::default();
    set.add_span(Span::new("a", "c"));
    set.add_span(Span::new("c", "f"));
    set.add_span(Span::new("b", "d"));
    assert_eq!(set.spans(|_| false), [Span::new("a", "f")]);
}

#[test]
fn an_open_end_swallows_everything_after_it() {
    let mut set = ReadSet::default();
    set.add_span(Span::new("m", ""));
    set.add_span(Span::new("p", "q"));
    set.add_point(&Key::from("z"));
    set.add_point(&Key::from("a"));
    assert_eq!(set.spans(|_| false), [Span::point("a"), Span::new("m", "")]);
    assert_eq!(set.spans(|key| key == "a"), [Span::new("m", "")]);
}
