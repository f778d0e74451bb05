//! Lays a transaction's own buffered writes over the committed rows of a scan, page by page. Pure: the pages come from
//! outside, in any size, and may end early.

use base::Span;
use bytes::Bytes;

use crate::{
    client::write_buffer::WriteBuffer,
    command::{Key, Page},
    error::{Error, Result},
};

/// A scan as it grows.
pub(crate) struct Assembly<'a> {
    writes: &'a WriteBuffer,
    reverse: bool,
    /// 0: no limit.
    limit_rows: u64,
    /// What has not been read yet; `None` when everything has been.
    rest: Option<Span>,
    rows: Vec<(Key, Bytes)>,
    size_bytes: usize,
}

impl<'a> Assembly<'a> {
    pub(crate) fn new(span: &Span, reverse: bool, limit_rows: u64, writes: &'a WriteBuffer) -> Assembly<'a> {
        let rest = (!span.is_empty()).then(|| span.clone());
        Assembly { writes, reverse, limit_rows, rest, rows: Vec::new(), size_bytes: 0 }
    }

    /// The part still to be read.
    pub(crate) fn rest(&self) -> Option<&Span> {
        self.rest.as_ref()
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Rows still wanted (0: any number); `None` when there are enough.
    pub(crate) fn wanted_rows(&self) -> Option<u64> {
        match self.limit_rows {
            0 => Some(0),
            limit => limit.checked_sub(self.rows.len() as u64).filter(|wanted| *wanted > 0),
        }
    }

    /// Takes the answer to a scan of `asked`, a piece at the near end of the rest.
    pub(crate) fn accept(&mut self, asked: &Span, page: Page) -> Result<()> {
        let Some(rest) = self.rest.take() else {
            return Err(Error::Internal("a page after the end of its scan".into()));
        };
        let (covered, left) = match page.resume {
            Some(resume) if !asked.covers(&resume) => {
                return Err(Error::Internal(format!("a scan of {asked:?} goes on at {resume:?}")));
            }
            Some(resume) => (without(asked, &resume, self.reverse), self.join(&resume, &rest)),
            None => (Some(asked.clone()), without_near(&rest, asked, self.reverse)),
        };
        self.rest = left;
        let Some(covered) = covered else { return Ok(()) };
        let before = self.rows.len();
        self.merge(page.rows, &covered);
        self.size_bytes += self.rows[before..].iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        self.cut(&rest);
        Ok(())
    }

    /// The rows, and where to go on.
    pub(crate) fn finish(self) -> (Vec<(Key, Bytes)>, Option<Span>) {
        (self.rows, self.rest)
    }

    /// What is left when a page stops at `resume`: everything from there to the far end.
    fn join(&self, resume: &Span, rest: &Span) -> Option<Span> {
        Some(if self.reverse {
            Span { start: rest.start.clone(), end: resume.end.clone() }
        } else {
            Span { start: resume.start.clone(), end: rest.end.clone() }
        })
    }

    /// Appends the rows of `covered`, own writes first.
    fn merge(&mut self, rows: Vec<(Key, Bytes)>, covered: &Span) {
        let writes = self.writes;
        if self.reverse {
            self.merge_ordered(rows, writes.range(covered).rev(), |a, b| a > b);
        } else {
            self.merge_ordered(rows, writes.range(covered), |a, b| a < b);
        }
    }

    fn merge_ordered<'w>(
        &mut self,
        rows: Vec<(Key, Bytes)>,
        writes: impl Iterator<Item = (&'w Key, &'w crate::client::write_buffer::Buffered)>,
        before: impl Fn(&Key, &Key) -> bool,
    ) {
        let mut writes = writes.peekable();
        if self.rows.is_empty() && writes.peek().is_none() {
            self.rows = rows;
            return;
        }
        let own = |(key, write): (&Key, &crate::client::write_buffer::Buffered)| {
            write.value.as_ref().map(|value| (key.clone(), value.clone()))
        };
        for row in rows {
            let mut hidden = false;
            while let Some((key, _)) = writes.peek()
                && !before(&row.0, key)
            {
                hidden |= row.0 == *key;
                self.rows.extend(writes.next().and_then(own));
            }
            if !hidden {
                self.rows.push(row);
            }
        }
        self.rows.extend(writes.filter_map(own));
    }

    /// Own writes may have brought in more rows than wanted: the surplus is read again by the next page.
    fn cut(&mut self, rest: &Span) {
        let limit = usize::try_from(self.limit_rows).unwrap_or(usize::MAX);
        if limit == 0 || self.rows.len() <= limit {
            return;
        }
        self.rows.truncate(limit);
        if let Some((last, _)) = self.rows.last() {
            self.rest = if self.reverse {
                Some(Span { start: rest.start.clone(), end: last.clone() })
            } else {
                Some(Span { start: Span::point(last.clone()).end, end: rest.end.clone() })
            };
        }
    }
}

/// What of `whole` has been covered when `rest` remains at its far end; `None` when nothing.
pub(crate) fn without(whole: &Span, rest: &Span, reverse: bool) -> Option<Span> {
    if reverse {
        // An empty end is the end of everything: nothing was covered.
        (rest.end != whole.end).then(|| Span { start: rest.end.clone(), end: whole.end.clone() })
    } else {
        (rest.start != whole.start).then(|| Span { start: whole.start.clone(), end: rest.start.clone() })
    }
}

/// What of `whole` is left when `near`, at its near end, has been covered.
fn without_near(whole: &Span, near: &Span, reverse: bool) -> Option<Span> {
    if reverse {
        (near.start > whole.start).then(|| Span { start: whole.start.clone(), end: near.start.clone() })
    } else {
        (near.end != whole.end).then(|| Span { start: near.end.clone(), end: whole.end.clone() })
    }
}

#[cfg(test)]
#[path = "overlay_test.rs"]
mod tests;
