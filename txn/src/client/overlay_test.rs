use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn key(n: u8) -> Key {
    // Keys of this shape are prefix-free.
    Bytes::copy_from_slice(&[b'k', n])
}

fn value(n: u8) -> Bytes {
    Bytes::copy_from_slice(&[n])
}

fn write(value: Option<Bytes>) -> crate::client::write_buffer::Buffered {
    crate::client::write_buffer::Buffered { value, blind: false, as_of: None }
}

/// One page of a store, cut after `page_rows` rows and at the border of a range.
fn page(store: &BTreeMap<Key, Bytes>, asked: &Span, reverse: bool, limit: u64, page_rows: usize) -> Page {
    let mut rows: Vec<(Key, Bytes)> =
        store.iter().filter(|(key, _)| asked.contains(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if reverse {
        rows.reverse();
    }
    let cut = if limit == 0 { page_rows } else { page_rows.min(limit as usize) };
    let resume = (rows.len() > cut).then(|| match (reverse, cut) {
        (_, 0) => asked.clone(),
        (false, _) => Span { start: Span::point(rows[cut - 1].0.clone()).end, end: asked.end.clone() },
        (true, _) => Span { start: asked.start.clone(), end: rows[cut - 1].0.clone() },
    });
    rows.truncate(cut);
    Page { rows, pushed: None, resume, scanned: 0 }
}

/// The piece of the rest that lies in its nearest range.
fn nearest(rest: &Span, borders: &[u8], reverse: bool) -> Span {
    let mut asked = rest.clone();
    for border in borders.iter().map(|border| key(*border)) {
        if asked.start < border && (asked.end.is_empty() || border < asked.end) {
            if reverse {
                asked.start = border;
            } else {
                asked.end = border;
            }
        }
    }
    asked
}

proptest! {
    #[test]
    fn agrees_with_a_merged_map(
        committed in prop::collection::btree_map(0u8..40, any::<u8>(), 0..30),
        own in prop::collection::btree_map(0u8..40, any::<Option<u8>>(), 0..20),
        mut borders in prop::collection::vec(0u8..40, 0..4),
        (from, to) in (0u8..42, 0u8..42),
        open_end: bool,
        reverse: bool,
        limit in 0u64..6,
        sizes in prop::collection::vec(0usize..5, 1..8),
    ) {
        borders.sort();
        if reverse { borders.reverse(); }
        let store: BTreeMap<Key, Bytes> = committed.iter().map(|(k, v)| (key(*k), value(*v))).collect();
        let mut writes = WriteBuffer::default();
        let mut merged = store.clone();
        for (k, v) in &own {
            writes.put(key(*k), write(v.map(value)), usize::MAX);
            match v {
                Some(v) => { merged.insert(key(*k), value(*v)); }
                None => { merged.remove(&key(*k)); }
            }
        }
        let span = Span { start: key(from), end: if open_end { Bytes::new() } else { key(to) } };
        let mut expected: Vec<_> = merged.into_iter().filter(|(key, _)| !span.is_empty() && span.contains(key)).collect();
        if reverse { expected.reverse(); }

        let mut sizes = sizes.into_iter().cycle();
        let mut seen = Vec::new();
        let mut next = Some(span);
        while let Some(span) = next {
            let mut assembly = Assembly::new(&span, reverse, limit, &writes);
            while let (Some(rest), Some(wanted)) = (assembly.rest().cloned(), assembly.wanted_rows()) {
                // Borders in the direction of the scan cut down to the nearest one.
                let asked = borders.iter().rev().fold(rest, |asked, border| nearest(&asked, &[*border], reverse));
                let answer = page(&store, &asked, reverse, wanted, 1 + sizes.next().unwrap());
                assembly.accept(&asked, answer).unwrap();
            }
            let (rows, rest) = assembly.finish();
            prop_assert!(limit == 0 || rows.len() as u64 == limit || rest.is_none());
            seen.extend(rows);
            next = rest;
        }
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn a_page_that_covers_nothing_changes_nothing() {
    let mut writes = WriteBuffer::default();
    writes.put(key(1), write(Some(value(1))), usize::MAX);
    for reverse in [false, true] {
        let span = Span::all();
        let mut assembly = Assembly::new(&span, reverse, 0, &writes);
        let page = Page { resume: Some(span.clone()), ..Page::default() };
        assembly.accept(&span, page).unwrap();
        assert_eq!(assembly.rest(), Some(&span));
        assert_eq!(assembly.finish().0, []);
    }
}

#[test]
fn a_resume_outside_of_what_was_asked_is_refused() {
    let writes = WriteBuffer::default();
    let asked = Span::new("b", "d");
    let mut assembly = Assembly::new(&asked, false, 0, &writes);
    assert!(assembly.accept(&asked, Page { resume: Some(Span::new("a", "d")), ..Page::default() }).is_err());
}
