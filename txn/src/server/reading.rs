//! Reads and refreshes: what a transaction sees at its timestamp, and whether it is still so at a later one. What was read
//! goes into the timestamp cache before it is answered.

use base::{Span, Timestamp, TxnId};
use bytes::Bytes;
use storage::{Error, Outcome, Reader, Result, Token};

use super::{Evaluator, answer};
use crate::{
    command::{self, Blocker, Key, Read, ReadBody, ReadReply, RefreshReply, Scan},
    mvcc::{
        get_intent,
        read::{Versions, changed_in, intents_in},
        scan,
    },
};

/// Intents waited for, or named, at once.
const BLOCKERS_MAX: usize = 16;

impl Evaluator {
    pub(super) fn read(&mut self, token: Token, read: &Read, reader: &dyn Reader) -> Result<Outcome> {
        self.locks.hear(read.txn, self.now);
        if read.protect {
            self.learn(read.read_ts)?;
        }
        self.check_retention(read.read_ts)?;
        match &read.body {
            ReadBody::Get { keys } => self.get(token, read, keys, reader),
            ReadBody::Scan(scan) => self.scan(token, read, scan, reader),
        }
    }

    fn get(&mut self, token: Token, read: &Read, keys: &[Key], reader: &dyn Reader) -> Result<Outcome> {
        let values = match values_of(read, keys, reader)? {
            Ok(values) => values,
            Err(blockers) => return Ok(self.read_blocked(token, read.txn, blockers)),
        };
        if read.protect {
            for key in keys {
                self.cache.record_key(key, read.read_ts, read.txn);
            }
        }
        Ok(answer(&ReadReply::Values(values)))
    }

    fn scan(&mut self, token: Token, read: &Read, scan: &Scan, reader: &dyn Reader) -> Result<Outcome> {
        let scanned = self.run_scan(read, scan, reader)?;
        let Some(covered) = scanned.covered else {
            return Ok(self.read_blocked(token, read.txn, scanned.blockers));
        };
        if read.protect {
            self.cache.record(&covered, read.read_ts, read.txn);
        }
        Ok(answer(&ReadReply::Rows(scanned.page)))
    }

    /// A read at or below `closed` by a follower: there is nothing to record, as nothing is written there any more. An intent
    /// may still become a version, so it is the leader's business. So is what may be older than the retention: a follower
    /// does not know what is collected. (No message is under way for half of the retention.)
    pub(super) fn read_as_follower(
        &self,
        read: &Read,
        closed: Timestamp,
        reader: &dyn Reader,
    ) -> Result<Option<Bytes>> {
        let half = Timestamp::from_millis(self.options.retention.as_millis() as u64 / 2);
        let is_old = closed < Timestamp::MAX && read.read_ts.0 < closed.0.saturating_sub(half.0);
        if is_old {
            return Ok(None);
        }
        match &read.body {
            ReadBody::Get { keys } => {
                let values = values_of(read, keys, reader)?.ok();
                Ok(values.map(|values| command::encode(&ReadReply::Values(values))))
            }
            ReadBody::Scan(scan) => {
                let scanned = self.run_scan(read, scan, reader)?;
                Ok(scanned.covered.map(|_| command::encode(&ReadReply::Rows(scanned.page))))
            }
        }
    }

    fn run_scan(&self, read: &Read, scan: &Scan, reader: &dyn Reader) -> Result<scan::Scanned> {
        let program = scan.pushdown.as_ref();
        let mut sink = program.map(|program| self.pushdown.compile(program)).transpose().map_err(Error::Refused)?;
        let or_max = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let request = scan::Request {
            txn: read.txn,
            read_ts: read.read_ts,
            span: scan.span.clone(),
            reverse: scan.reverse,
            rows_max: or_max(scan.limit_rows),
            bytes_max: or_max(scan.limit_bytes).min(self.options.page_bytes_max),
            versions_max: self.options.page_versions_max,
        };
        // Not `map`: a closure would shorten the life of the trait object.
        match &mut sink {
            Some(sink) => scan::scan(reader, &request, Some(&mut **sink)),
            None => scan::scan(reader, &request, None),
        }
    }

    fn read_blocked(&mut self, token: Token, txn: TxnId, blockers: Vec<Blocker>) -> Outcome {
        match self.wait_for_intents(token, txn, &blockers, self.options.read_patience) {
            true => Outcome::Blocked,
            false => answer(&ReadReply::Blocked(blockers)),
        }
    }

    /// Parks the request until one of the intents goes; false when it has waited long enough.
    pub(super) fn wait_for_intents(
        &mut self,
        token: Token,
        txn: TxnId,
        blockers: &[Blocker],
        patience: std::time::Duration,
    ) -> bool {
        let patient = self.is_patient(token, patience);
        if patient {
            let keys = blockers.iter().map(|blocker| blocker.key.clone()).collect();
            self.waits.park(token, txn, keys, patience, self.now);
        }
        patient
    }

    pub(super) fn refresh(
        &mut self,
        token: Token,
        txn: TxnId,
        spans: &[Span],
        (from, to): (Timestamp, Timestamp),
        reader: &dyn Reader,
    ) -> Result<Outcome> {
        self.locks.hear(txn, self.now);
        self.learn(to)?;
        // A tombstone that was collected since would be missed.
        self.check_retention(from)?;
        if !self.options.faults.skip_refresh_check {
            for span in spans {
                if let Some((key, other)) = changed_in(reader, span, txn, from, to)? {
                    return Ok(answer(&RefreshReply::Changed { key, other }));
                }
            }
            let mut blockers = Vec::new();
            for span in spans {
                blockers.extend(intents_in(reader, span, Some(txn), to, BLOCKERS_MAX)?);
            }
            // Some of them may be aborted, or committed later than `to`.
            if let Some(first) = blockers.first().cloned() {
                return Ok(match self.wait_for_intents(token, txn, &blockers, self.options.read_patience) {
                    true => Outcome::Blocked,
                    false => answer(&RefreshReply::Changed { key: first.key, other: first.txn }),
                });
            }
        }
        for span in spans {
            self.cache.record(span, to, txn);
        }
        Ok(answer(&RefreshReply::Done))
    }

    /// Below the horizon versions may be missing.
    pub(super) fn check_retention(&self, ts: Timestamp) -> Result<()> {
        if ts >= self.horizon() {
            return Ok(());
        }
        Err(Error::Refused(format!("timestamp {ts} is older than the retention: versions may have been dropped")))
    }
}

/// The values of keys, or the foreign intents that are in the way.
fn values_of(
    read: &Read,
    keys: &[Key],
    reader: &dyn Reader,
) -> Result<std::result::Result<Vec<Option<Bytes>>, Vec<Blocker>>> {
    let mut blockers = Vec::new();
    for key in keys {
        let intent = get_intent(reader, key)?;
        let foreign = intent.filter(|intent| intent.txn != read.txn && intent.write_ts <= read.read_ts);
        blockers.extend(foreign.map(|intent| intent.blocker(key)));
    }
    if !blockers.is_empty() {
        return Ok(Err(blockers));
    }
    let mut versions = Versions::over(reader, keys.iter())?;
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        values.push(versions.read(key, read.read_ts)?.0);
    }
    Ok(Ok(values))
}
