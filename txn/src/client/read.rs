//! Reads: `get` and `scan` at the transaction's timestamp, own writes included.

use std::time::Duration;

use base::{Monotonic, Span, Timestamp};
use bytes::Bytes;
use futures::future::join_all;
use storage::Route;

use crate::{
    client::{
        Isolation, ScanPage, ScanRequest, Txn,
        overlay::{self, Assembly},
        read_set::ReadSet,
        times::At,
        wait::Patience,
    },
    command::{Blocker, Command, Key, Page, Read, ReadBody, ReadReply, Scan},
    error::{Error, Result},
};

/// A page over several ranges ends after about so many bytes.
const PAGE_BYTES: usize = 1 << 20;
/// Ranges that work on a pushed-down scan at the same time.
const WAVE_RANGES: usize = 8;

impl Txn {
    /// The timestamp for a read. What is read as of now waits for no lock, but comes after all that were granted.
    async fn timestamp_for(&mut self, at: At) -> Result<Timestamp> {
        self.times.used = true;
        let read_ts = self.read_ts().await?;
        if self.fixed {
            self.check_has_come(read_ts).await?;
        }
        if at == At::Snapshot || self.times.serial || self.fixed {
            return Ok(read_ts);
        }
        self.constrained = true;
        if !self.times.firm_is_fresh {
            self.move_forward(read_ts).await?;
        }
        Ok(self.times.firm)
    }

    /// A timestamp from outside must be one of the past: a read in the future would keep every writer waiting for it.
    async fn check_has_come(&mut self, read_ts: Timestamp) -> Result<()> {
        if read_ts <= self.client.newest_known() || read_ts <= self.fresh_stamp().await?.timestamp {
            return Ok(());
        }
        Err(Error::InFuture { read_ts })
    }

    /// Whether followers will have closed this timestamp, by the newest one that this gateway was given.
    fn is_answered_anywhere(&self, read_ts: Timestamp) -> bool {
        let age_ms = self.client.newest_known().millis().saturating_sub(read_ts.millis());
        self.fixed && Duration::from_millis(age_ms) >= self.client.options.follower_reads_after
    }

    pub(super) async fn read_keys(&mut self, keys: &[Key], at: At) -> Result<Vec<Option<Bytes>>> {
        let mut values: Vec<Option<Bytes>> = vec![None; keys.len()];
        let mut missing = Vec::with_capacity(keys.len());
        let mut positions = Vec::with_capacity(keys.len());
        for (position, key) in keys.iter().enumerate() {
            match self.writes.get(key) {
                Some(own) => values[position] = own.value.clone(),
                None => {
                    missing.push(key.clone());
                    positions.push(position);
                }
            }
        }
        if missing.is_empty() {
            return Ok(values);
        }
        let deadline = self.client.deadline();
        let mut patience = Patience::until(deadline, None);
        let read_ts = self.timestamp_for(at).await?;
        let anywhere = self.is_answered_anywhere(read_ts);
        while !missing.is_empty() {
            let txn = self.open.id;
            let make = |items: &[usize]| {
                let keys = items.iter().map(|item| missing[*item].clone()).collect();
                Command::Read(Read { txn, read_ts, protect: true, anywhere, body: ReadBody::Get { keys } })
            };
            let replies = self.client.each_range::<ReadReply>(&missing, make, deadline, &mut self.stats).await?;
            let mut blockers = Vec::new();
            let mut left = Vec::new();
            for (items, reply) in replies {
                match reply {
                    ReadReply::Values(found) if found.len() == items.len() => {
                        for (item, value) in items.into_iter().zip(found) {
                            self.note_read(&missing[item], read_ts, at);
                            values[positions[item]] = value;
                        }
                    }
                    ReadReply::Blocked(by) => {
                        blockers.extend(by);
                        left.extend(items);
                    }
                    ReadReply::Values(_) | ReadReply::Rows(_) => return Err(unexpected_reply()),
                }
            }
            if left.is_empty() {
                break;
            }
            missing = left.iter().map(|item| missing[*item].clone()).collect();
            positions = left.iter().map(|item| positions[*item]).collect();
            self.wait_out(&mut patience, blockers).await?;
        }
        Ok(values)
    }

    /// A key locked at or before its reading needs no place in the read set: the commit checks what was seen under the lock.
    fn note_read(&mut self, key: &Key, read_ts: Timestamp, at: At) {
        if self.open.seen(key).is_none_or(|seen| seen > read_ts)
            && let Some(reads) = self.read_set(at)
        {
            reads.add_point(key);
        }
    }

    /// Where a read is remembered, if it must be. Plain reads of REPEATABLE READ matter only if the transaction becomes
    /// serializable yet; of READ COMMITTED not even then.
    fn read_set(&mut self, at: At) -> Option<&mut ReadSet> {
        let statements_only = self.times.isolation == Isolation::ReadCommitted && !self.times.serial;
        match at {
            _ if self.fixed => None,
            At::Latest if !self.times.serial => Some(&mut self.depends),
            _ if statements_only => None,
            At::Latest | At::Snapshot => Some(&mut self.reads),
        }
    }

    pub(super) async fn read_page(&mut self, request: &ScanRequest, at: At) -> Result<ScanPage> {
        let deadline = self.client.deadline();
        let read_ts = self.timestamp_for(at).await?;
        // The assembly borrows the buffer while requests borrow the rest.
        let writes = std::mem::take(&mut self.writes);
        let result = self.assemble(request, read_ts, &writes, deadline).await;
        self.writes = writes;
        let page = result?;
        let covered = match &page.resume {
            Some(rest) => overlay::without(&request.span, rest, request.reverse),
            None => Some(request.span.clone()),
        };
        if let Some(covered) = covered
            && let Some(reads) = self.read_set(at)
        {
            reads.add_span(covered);
        }
        Ok(page)
    }

    async fn assemble(
        &mut self,
        request: &ScanRequest,
        read_ts: Timestamp,
        writes: &super::write_buffer::WriteBuffer,
        deadline: Monotonic,
    ) -> Result<ScanPage> {
        let mut assembly = Assembly::new(&request.span, request.reverse, request.limit_rows, writes);
        let mut whole = ScanPage::default();
        // Where the leaders swallow most rows, ranges work at the same time; else one page fills up from the first.
        let parallel = request.pushdown.is_some() && request.limit_rows == 0;
        while let (Some(rest), Some(wanted)) = (assembly.rest().cloned(), assembly.wanted_rows()) {
            if assembly.size_bytes() >= PAGE_BYTES {
                break;
            }
            let count = if parallel { WAVE_RANGES } else { 1 };
            let routes = self.nearest_ranges(&rest, request.reverse, count, deadline).await?;
            let scans = routes.into_iter().map(|(route, span)| RangeScan {
                route,
                scan: Scan {
                    span,
                    reverse: request.reverse,
                    limit_rows: wanted,
                    limit_bytes: 0,
                    pushdown: request.pushdown.clone(),
                },
            });
            let answers = self.scan_wave(scans.collect(), read_ts, deadline).await?;
            for (asked, pages) in answers {
                // After a page that ended early the others are not next any more.
                if assembly.rest().is_none_or(|rest| !begins(rest, &asked, request.reverse)) {
                    break;
                }
                for (asked, mut page) in pages {
                    whole.scanned += page.scanned;
                    whole.pushed.extend(page.pushed.take());
                    assembly.accept(&asked, page)?;
                }
            }
        }
        (whole.rows, whole.resume) = assembly.finish();
        Ok(whole)
    }

    /// Scans several ranges at once; each answers with its pages. A range that has changed answers none: it is asked anew.
    async fn scan_wave(
        &mut self,
        scans: Vec<RangeScan>,
        read_ts: Timestamp,
        deadline: Monotonic,
    ) -> Result<Vec<(Span, Vec<(Span, Page)>)>> {
        let mut patience = Patience::until(deadline, None);
        loop {
            self.stats.round_trips += 1;
            let outcomes = if let [scan] = &scans[..] {
                vec![self.scan_range(scan, read_ts, deadline).await]
            } else {
                join_all(scans.iter().map(|scan| self.scan_range(scan, read_ts, deadline))).await
            };
            let mut answers = Vec::with_capacity(outcomes.len());
            let mut blockers = Vec::new();
            let mut changed = false;
            for (scan, outcome) in scans.iter().zip(outcomes) {
                let outcome = outcome?;
                self.stats.range_requests += outcome.requests;
                changed |= outcome.pages.is_empty() && outcome.blockers.is_empty();
                blockers.extend(outcome.blockers);
                answers.push((scan.scan.span.clone(), outcome.pages));
            }
            // Something at the near end came: take it. Else wait for whoever is in the way, or look for the ranges again.
            if answers.first().is_some_and(|(_, pages)| !pages.is_empty()) {
                return Ok(answers);
            }
            if !blockers.is_empty() {
                self.wait_out(&mut patience, blockers).await?;
            }
            if changed {
                self.client.pause_after_change(&mut patience.pace, true, deadline).await?;
                return Ok(Vec::new());
            }
        }
    }

    /// Reads one range. With a pushdown it goes on page after page while the rows that come back are few.
    async fn scan_range(&self, scan: &RangeScan, read_ts: Timestamp, deadline: Monotonic) -> Result<RangeOutcome> {
        let mut outcome = RangeOutcome::default();
        let mut rest = Some(scan.scan.span.clone());
        let mut size_bytes = 0;
        while let Some(span) = rest.take() {
            let body = ReadBody::Scan(Scan { span: span.clone(), ..scan.scan.clone() });
            outcome.requests += 1;
            // Also a read of the past is protected: a transaction that began before it may still be about to commit there. Below
            // a closed timestamp that costs nothing.
            let anywhere = self.is_answered_anywhere(read_ts);
            let command = Command::Read(Read { txn: self.open.id, read_ts, protect: true, anywhere, body });
            match self.client.send::<ReadReply>(&scan.route, &command, deadline).await {
                Ok((ReadReply::Rows(page), _)) => {
                    size_bytes += page.rows.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                    let progress = page.resume.as_ref() != Some(&span);
                    if progress && scan.scan.pushdown.is_some() && scan.scan.limit_rows == 0 && size_bytes < PAGE_BYTES
                    {
                        rest = page.resume.clone();
                    }
                    outcome.pages.push((span, page));
                }
                Ok((ReadReply::Blocked(blockers), _)) => outcome.blockers = blockers,
                Ok((ReadReply::Values(_), _)) => return Err(unexpected_reply()),
                Err(storage::Error::RangeChanged(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(outcome)
    }

    /// The ranges at the near end of a span, each with its piece, at most `count`.
    async fn nearest_ranges(
        &self,
        span: &Span,
        reverse: bool,
        count: usize,
        deadline: Monotonic,
    ) -> Result<Vec<(Route, Span)>> {
        let mut found = Vec::with_capacity(count);
        let mut rest = Some(span.clone());
        while let Some(span) = rest.take().filter(|span| !span.is_empty() && found.len() < count) {
            let route = if reverse {
                self.last_range(&span, deadline).await?
            } else {
                self.client.cluster.locate(&span.start, deadline).await?
            };
            let range = &route.descriptor.span;
            let piece = span.intersect(range).ok_or_else(|| Error::Internal("a route beside its key".into()))?;
            rest = if reverse {
                (piece.start > span.start).then(|| Span { start: span.start.clone(), end: piece.start.clone() })
            } else {
                (piece.end != span.end).then(|| Span { start: piece.end.clone(), end: span.end.clone() })
            };
            found.push((route, piece));
        }
        Ok(found)
    }

    /// The range that holds the end of a span. Routes are found by a key inside a range, so the search begins just before the
    /// end and walks on from there.
    async fn last_range(&self, span: &Span, deadline: Monotonic) -> Result<Route> {
        let mut key = just_before(&span.end).max(span.start.clone());
        loop {
            let route = self.client.cluster.locate(&key, deadline).await?;
            let end = &route.descriptor.span.end;
            if end.is_empty() || (!span.end.is_empty() && *end >= span.end) {
                return Ok(route);
            }
            key = end.clone();
        }
    }
}

/// A key a little less than `end`: no complete key of ours is likely to lie between.
fn just_before(end: &Bytes) -> Bytes {
    let mut key = end.to_vec();
    match key.pop() {
        None => key.extend([0xff; 32]),
        Some(0) => {}
        Some(last) => {
            key.push(last - 1);
            key.extend([0xff; 32]);
        }
    }
    key.into()
}

/// Whether `piece` lies at the near end of `rest`.
fn begins(rest: &Span, piece: &Span, reverse: bool) -> bool {
    if reverse { rest.end == piece.end } else { rest.start == piece.start }
}

pub(super) fn unexpected_reply() -> Error {
    Error::Internal("a reply of another kind than the request's".into())
}

struct RangeScan {
    route: Route,
    scan: Scan,
}

/// What came of scanning one range: pages in order, and who was in the way after them.
#[derive(Default)]
struct RangeOutcome {
    pages: Vec<(Span, Page)>,
    blockers: Vec<Blocker>,
    requests: u64,
}
