//! Scans: the visible rows of a span at a timestamp, forward or in reverse, one page at a time.
//!
//! A page ends when a limit is reached, when a foreign intent at or below the timestamp is in the way, or at the end of the
//! span. It tells which part of the span it *covered*: that part was read, intents included, and nothing else was. So a
//! page that is cut short protects no more than it must, and the next one goes on where this one ended.

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use storage::{ColumnFamily, Cursor, Error, Reader, Result};

use super::{
    Record, Version, data_end, data_key, parse_data_key, put_after_versions,
    read::{Versions, intents_in, skip_to},
};
use crate::command::{Blocker, Page, RowSink, Verdict};

/// After so many steps over invisible versions of one key a seek is cheaper.
const STEPS_MAX: usize = 8;

/// Blockers named at once.
const BLOCKERS_MAX: usize = 16;

/// What to read, and how much of it in one page. Limits are never zero.
#[derive(Clone, Debug)]
pub struct Request {
    pub txn: TxnId,
    pub read_ts: Timestamp,
    pub span: Span,
    pub reverse: bool,
    pub rows_max: u64,
    pub bytes_max: u64,
    /// Versions looked at: bounds the time that a page with few visible or matching rows takes.
    pub versions_max: u64,
}

#[derive(Debug)]
pub struct Scanned {
    pub page: Page,
    /// The part of the span that was read; `None` when an intent was in the way before the first row.
    pub covered: Option<Span>,
    /// Then: the intents in the way.
    pub blockers: Vec<Blocker>,
}

pub fn scan(reader: &dyn Reader, request: &Request, sink: Option<&mut (dyn RowSink + '_)>) -> Result<Scanned> {
    let mut output = Output { page: Page::default(), bytes: 0, sink, request };
    // Below the key of one zero byte there is only the empty key, which nobody has.
    let stop = match (request.span.is_empty() || request.span.end[..] == [0], request.reverse) {
        (true, _) => None,
        (false, false) => forward(reader, request, &mut output)?,
        (false, true) => reverse(reader, request, &mut output)?,
    };
    let Some(stop) = stop else {
        return Ok(Scanned { page: output.finish()?, covered: Some(request.span.clone()), blockers: Vec::new() });
    };
    let blocked = matches!(stop, Stop::Before(_));
    let (covered, rest) = stop.cut(&request.span, request.reverse);
    if blocked && output.page.scanned == 0 {
        let blockers = intents_in(reader, &rest, Some(request.txn), request.read_ts, BLOCKERS_MAX)?;
        return Ok(Scanned { page: Page::default(), covered: None, blockers });
    }
    output.page.resume = Some(rest).filter(|rest| !rest.is_empty());
    Ok(Scanned { page: output.finish()?, covered: Some(covered), blockers: Vec::new() })
}

/// Where a walk ended before its time.
enum Stop {
    /// With this key done.
    After(Bytes),
    /// Before this key, on which there is an intent.
    Before(Bytes),
}

impl Stop {
    /// The part of the span that was read, and the rest.
    fn cut(self, span: &Span, reverse: bool) -> (Span, Span) {
        let at = match (self, reverse) {
            (Stop::After(key), false) | (Stop::Before(key), true) => Span::point(key).end,
            (Stop::Before(key), false) | (Stop::After(key), true) => key,
        };
        let (low, high) = (Span::new(span.start.clone(), at.clone()), Span::new(at, span.end.clone()));
        if reverse { (high, low) } else { (low, high) }
    }
}

/// Collects the page.
struct Output<'a, 's> {
    page: Page,
    bytes: u64,
    sink: Option<&'a mut (dyn RowSink + 's)>,
    request: &'a Request,
}

impl Output<'_, '_> {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let verdict = match &mut self.sink {
            Some(sink) => sink.row(key, value).map_err(Error::Refused)?,
            None => Verdict::Keep,
        };
        let value = match verdict {
            Verdict::Keep => Bytes::copy_from_slice(value),
            Verdict::Replace(value) => value,
            Verdict::Drop => return Ok(()),
        };
        self.bytes += (key.len() + value.len()) as u64;
        self.page.rows.push((Bytes::copy_from_slice(key), value));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.page.rows.len() as u64 >= self.request.rows_max
            || self.bytes >= self.request.bytes_max
            || self.page.scanned >= self.request.versions_max
    }

    fn finish(mut self) -> Result<Page> {
        if let Some(sink) = &mut self.sink {
            self.page.pushed = sink.finish().map_err(Error::Refused)?;
        }
        Ok(self.page)
    }
}

fn forward(reader: &dyn Reader, request: &Request, output: &mut Output<'_, '_>) -> Result<Option<Stop>> {
    let Span { start, end } = &request.span;
    let mut intents = Intents::new(reader, request)?;
    let mut cursor = reader.cursor(ColumnFamily::Data, start, &data_end(end))?;
    let (mut key, mut probe) = (Vec::new(), Vec::new());
    cursor.seek(start)?;
    while let Some(raw) = cursor.key() {
        let (user_key, _) = parse_data_key(raw)?;
        if !end.is_empty() && user_key >= &end[..] {
            break;
        }
        key.clear();
        key.extend_from_slice(user_key);
        if key[..] >= start[..] {
            if let Some(blocked) = intents.up_to(Some(&key))? {
                return Ok(Some(Stop::Before(blocked)));
            }
            if seek_visible(&mut *cursor, &key, request.read_ts, &mut output.page.scanned)?
                && let Some(value) = Version::decode(cursor.value())?.value
            {
                output.row(&key, value)?;
            }
            if output.is_full() {
                return Ok(Some(Stop::After(key.into())));
            }
        }
        put_after_versions(&mut probe, &key);
        if cursor.key().is_some_and(|raw| raw < &probe[..]) {
            skip_to(&mut *cursor, &probe)?;
        }
    }
    Ok(intents.up_to(None)?.map(Stop::Before))
}

/// Moves from the newest version of `key` to the newest at or below `ts`; false when there is none (then the cursor is
/// somewhere at or after the end of the versions of `key`).
fn seek_visible(cursor: &mut dyn Cursor, key: &[u8], ts: Timestamp, scanned: &mut u64) -> Result<bool> {
    let mut steps = 0;
    loop {
        let Some(raw) = cursor.key() else { return Ok(false) };
        let (user_key, version_ts) = parse_data_key(raw)?;
        if user_key != key {
            return Ok(false);
        }
        *scanned += 1;
        if version_ts <= ts {
            return Ok(true);
        }
        steps += 1;
        if steps < STEPS_MAX { cursor.next()? } else { cursor.seek(&data_key(key, ts))? }
    }
}

fn reverse(reader: &dyn Reader, request: &Request, output: &mut Output<'_, '_>) -> Result<Option<Stop>> {
    let Span { start, end } = &request.span;
    let mut intents = Intents::new(reader, request)?;
    // The versions of `key` lie after `key 0x00`: where the span ends there, that key comes first, by itself.
    let last = end.split_last().filter(|(byte, _)| **byte == 0).map(|(_, key)| key);
    if let Some(key) = last.filter(|key| key >= &&start[..]) {
        if let Some(blocked) = intents.up_to(Some(key))? {
            return Ok(Some(Stop::Before(blocked)));
        }
        let mut versions = Versions::new(reader, key, key)?;
        if versions.seek(key, request.read_ts)?.is_some() {
            output.page.scanned += 1;
            if let Some(value) = versions.value()? {
                output.row(key, &value)?;
            }
            if output.is_full() {
                return Ok(Some(Stop::After(Bytes::copy_from_slice(key))));
            }
        }
    }
    let mut cursor = reader.cursor(ColumnFamily::Data, start, last.unwrap_or(end))?;
    let mut newest = NewestInReverse::default();
    cursor.seek_before(last.unwrap_or(end))?;
    while let Some(raw) = cursor.key() {
        let (user_key, _) = parse_data_key(raw)?;
        if user_key < &start[..] {
            break;
        }
        let key = Bytes::copy_from_slice(user_key);
        if let Some(blocked) = intents.up_to(Some(&key))? {
            return Ok(Some(Stop::Before(blocked)));
        }
        if newest.find(&mut *cursor, &key, request.read_ts, &mut output.page.scanned)?
            && let Some(value) = Version::decode(&newest.raw)?.value
        {
            output.row(&key, value)?;
        }
        if output.is_full() {
            return Ok(Some(Stop::After(key)));
        }
    }
    Ok(intents.up_to(None)?.map(Stop::Before))
}

/// Walking backwards meets the versions of a key oldest first: the last one met that is not too new is the visible one.
#[derive(Default)]
struct NewestInReverse {
    raw: Vec<u8>,
}

impl NewestInReverse {
    /// From the oldest version of `key`: copies the newest at or below `ts`, if there is one, and moves before all versions
    /// of `key`.
    fn find(&mut self, cursor: &mut dyn Cursor, key: &[u8], ts: Timestamp, scanned: &mut u64) -> Result<bool> {
        let mut found = false;
        for _ in 0..STEPS_MAX {
            match cursor.key().map(parse_data_key).transpose()? {
                Some((user_key, version_ts)) if user_key == key => {
                    *scanned += 1;
                    if version_ts > ts {
                        cursor.seek_before(key)?;
                        return Ok(found);
                    }
                }
                _ => return Ok(found),
            }
            found = true;
            self.raw.clear();
            self.raw.extend_from_slice(cursor.value());
            cursor.prev()?;
        }
        // A key with many versions.
        cursor.seek(&data_key(key, ts))?;
        *scanned += 1;
        self.raw.clear();
        self.raw.extend_from_slice(cursor.value());
        cursor.seek_before(key)?;
        Ok(true)
    }
}

/// Walks the intents of the span beside the versions, in the same direction.
struct Intents<'a> {
    cursor: Box<dyn Cursor + 'a>,
    request: &'a Request,
}

impl<'a> Intents<'a> {
    fn new(reader: &'a dyn Reader, request: &'a Request) -> Result<Intents<'a>> {
        let Span { start, end } = &request.span;
        let mut cursor = reader.cursor(ColumnFamily::Intent, start, end)?;
        if request.reverse {
            cursor.seek_before(end)?
        } else {
            cursor.seek(start)?
        }
        Ok(Intents { cursor, request })
    }

    /// The next intent that blocks the scan, up to and including `key` (`None`: to the end of the span).
    fn up_to(&mut self, key: Option<&[u8]>) -> Result<Option<Bytes>> {
        while let Some(at) = self.cursor.key() {
            if key.is_some_and(|key| if self.request.reverse { at < key } else { at > key }) {
                break;
            }
            if let Record::Intent(intent) = Record::decode(self.cursor.value())?
                && intent.txn != self.request.txn
                && intent.write_ts <= self.request.read_ts
            {
                return Ok(Some(Bytes::copy_from_slice(at)));
            }
            if self.request.reverse { self.cursor.prev()? } else { self.cursor.next()? }
        }
        Ok(None)
    }
}
