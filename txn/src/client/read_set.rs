//! What a transaction has read: the spans that must be found unchanged before it may move to a later timestamp.

use base::Span;
use bytes::Bytes;

use crate::command::Key;

/// Points kept one by one; more of them are widened into spans.
const POINTS_MAX: usize = 4096;
/// Spans kept apart; more of them are joined with their neighbours. A wider read set can only cause a needless retry.
const SPANS_MAX: usize = 512;

/// Adding is a push; sorting and joining wait until somebody asks, or until there is too much.
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    points: Vec<Key>,
    spans: Vec<Span>,
    /// Length of both lists at which they are compacted next.
    compact_at: usize,
}

impl ReadSet {
    pub(crate) fn add_point(&mut self, key: &Key) {
        if self.points.last() != Some(key) {
            self.points.push(key.clone());
            self.compact_if_due();
        }
    }

    pub(crate) fn add_span(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        if span.is_point() {
            return self.add_point(&span.start);
        }
        match self.spans.last_mut() {
            Some(last) if last.covers(&span) => {}
            // The next page of the same scan.
            Some(last) if !last.end.is_empty() && last.end == span.start => last.end = span.end,
            _ => {
                self.spans.push(span);
                self.compact_if_due();
            }
        }
    }

    /// Everything read, but the points for which `skip` says yes; sorted, without overlap.
    pub(crate) fn spans(&mut self, skip: impl Fn(&Key) -> bool) -> Vec<Span> {
        self.compact();
        let points = self.points.iter().filter(|key| !skip(key)).map(|key| Span::point(key.clone()));
        let mut all: Vec<Span> = self.spans.iter().cloned().chain(points).collect();
        all.sort();
        all
    }

    fn compact_if_due(&mut self) {
        if self.points.len() + self.spans.len() > self.compact_at.max(POINTS_MAX) {
            self.compact();
            self.compact_at = 2 * (self.points.len() + self.spans.len());
        }
    }

    fn compact(&mut self) {
        self.points.sort_unstable();
        self.points.dedup();
        if self.points.len() > POINTS_MAX {
            self.spans.extend(self.points.drain(..).map(Span::point));
        }
        join_overlapping(&mut self.spans);
        while self.spans.len() > SPANS_MAX {
            join_neighbours(&mut self.spans);
        }
        let spans = &self.spans;
        self.points.retain(|key| {
            let after = spans.partition_point(|span| span.start <= *key);
            after == 0 || !spans[after - 1].contains(key)
        });
    }
}

/// Sorts, and joins what overlaps or touches.
fn join_overlapping(spans: &mut Vec<Span>) {
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans.drain(..) {
        match joined.last_mut() {
            Some(last) if last.end.is_empty() || span.start <= last.end => {
                last.end = later_end(&last.end, &span.end);
            }
            _ => joined.push(span),
        }
    }
    *spans = joined;
}

/// Halves the number of sorted spans by joining each with the next, gap included.
fn join_neighbours(spans: &mut Vec<Span>) {
    let joined = spans
        .chunks(2)
        .map(|pair| Span { start: pair[0].start.clone(), end: pair[pair.len() - 1].end.clone() })
        .collect();
    *spans = joined;
}

/// The later of two ends, where an empty one is the end of everything.
fn later_end(a: &Bytes, b: &Bytes) -> Bytes {
    if a.is_empty() || b.is_empty() { Bytes::new() } else { a.max(b).clone() }
}

#[cfg(test)]
#[path = "read_set_test.rs"]
mod tests;
