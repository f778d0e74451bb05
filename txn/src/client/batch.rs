//! What a commit asks of the ranges: the writes, the checks of what was locked and not written, and the commands made of them.

use base::{Timestamp, TxnId};

use crate::{
    client::{
        open::{Held, Open},
        sender::Group,
        write_buffer::WriteBuffer,
    },
    command::{Check, Command, Key, Prewrite, Write},
};

/// One request carries at most so many keys and about so many bytes.
const KEYS_PER_REQUEST: usize = 2000;
const BYTES_PER_REQUEST: usize = 1 << 20;
/// A commit in one range is one proposal up to this size; larger ones go in pieces.
const ONE_RANGE_KEYS: usize = 8000;
const ONE_RANGE_BYTES: usize = 2 << 20;

/// Until which version a written key is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Under a lock.
    Locked(Timestamp),
    /// By reading it: as of this timestamp, or of the write timestamp, up to which reads are refreshed.
    Read(Option<Timestamp>),
    Blind,
}

/// Items are named by one index: writes first, in key order, then checks.
#[derive(Debug)]
pub(crate) struct Batch {
    txn: TxnId,
    begin_ts: Timestamp,
    writes: Vec<(Key, Option<bytes::Bytes>, Seen)>,
    checks: Vec<Check>,
    primary: usize,
    staged: bool,
}

impl Batch {
    pub(crate) fn new(open: &Open, begin_ts: Timestamp, buffer: &mut WriteBuffer, staged_keys_max: usize) -> Batch {
        let written = buffer.take();
        let state = open.state.lock();
        let granted = |held: &Held| match held {
            Held::Granted(grant) => Some(*grant),
            Held::Queued => None,
        };
        // What was seen before going back to a savepoint counts as much as what is locked now, and more than mere presence.
        let mut seen = state.seen_before.clone();
        for (key, grant) in state.locks.iter().filter_map(|(key, held)| Some((key, granted(held)?))) {
            let known = seen.entry(key.clone()).or_insert(grant);
            if known.presence_only() {
                *known = grant;
            }
        }
        let unwritten = seen.iter().filter(|(key, _)| !written.contains_key(*key));
        let checks = unwritten.map(|(key, grant)| grant.check(key)).collect();
        let writes: Vec<_> = written
            .into_iter()
            .map(|(key, write)| {
                let seen = match seen.get(&key) {
                    // A lock that was taken after the write does not vouch for what the write rests on.
                    Some(grant) => Seen::Locked(write.as_of.map_or(grant.seen, |as_of| grant.seen.min(as_of))),
                    _ if write.blind => Seen::Blind,
                    _ => Seen::Read(write.as_of),
                };
                (key, write.value, seen)
            })
            .collect();
        // The primary is resolved last, and whoever wants it waits longest: a fresh row that nobody else knows of is best.
        let primary = writes.iter().rposition(|(_, _, seen)| *seen == Seen::Blind).unwrap_or(0);
        let staged = writes.len() <= staged_keys_max;
        Batch { txn: open.id, begin_ts, writes, checks, primary, staged }
    }

    pub(crate) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    pub(crate) fn items(&self) -> Vec<usize> {
        (0..self.writes.len() + self.checks.len()).collect()
    }

    pub(crate) fn key(&self, item: usize) -> &Key {
        match self.writes.get(item) {
            Some((key, _, _)) => key,
            None => &self.checks[item - self.writes.len()].key,
        }
    }

    pub(crate) fn is_write(&self, item: usize) -> bool {
        item < self.writes.len()
    }

    /// Where the transaction's fate is kept.
    pub(crate) fn primary(&self) -> &Key {
        self.key(self.primary)
    }

    pub(crate) fn has_primary(&self, items: &[usize]) -> bool {
        items.contains(&self.primary)
    }

    /// Small enough for a parallel commit.
    pub(crate) fn is_staged(&self) -> bool {
        self.staged
    }

    pub(crate) fn written_keys(&self) -> impl Iterator<Item = &Key> {
        self.writes.iter().map(|(key, _, _)| key)
    }

    fn weight(&self, item: usize) -> usize {
        self.key(item).len()
            + self.writes.get(item).and_then(|(_, value, _)| value.as_ref()).map_or(0, bytes::Bytes::len)
    }

    pub(crate) fn fits_one_request(&self, items: &[usize]) -> bool {
        items.len() <= ONE_RANGE_KEYS && items.iter().map(|item| self.weight(*item)).sum::<usize>() <= ONE_RANGE_BYTES
    }

    /// Cuts groups into requests of bounded size.
    pub(crate) fn cut(&self, groups: Vec<Group<Vec<usize>>>) -> Vec<Group<Vec<usize>>> {
        cut_groups(groups, |item| self.weight(item))
    }

    pub(crate) fn commit_one_range(&self, items: &[usize], write_ts: Timestamp) -> Command {
        let mut prewrite = self.request(items, write_ts);
        prewrite.unlock = self.locked(items, |_| true);
        Command::CommitOneRange(prewrite)
    }

    /// Checks without a write in their range. The locks stay: the commit is still to come.
    pub(crate) fn check(&self, items: &[usize], write_ts: Timestamp) -> Command {
        let mut prewrite = self.request(items, write_ts);
        if !self.has_writes() {
            prewrite.unlock = self.locked(items, |_| true);
        }
        Command::CommitOneRange(prewrite)
    }

    pub(crate) fn prewrite(&self, items: &[usize], write_ts: Timestamp) -> Command {
        let mut prewrite = self.request(items, write_ts);
        // What was only locked stays so until the end: should the commit have to move, its check comes once more.
        prewrite.unlock = self.locked(items, |item| self.is_write(item));
        if self.staged && self.has_primary(items) {
            let primary = self.primary();
            prewrite.staged = Some(self.written_keys().filter(|key| *key != primary).cloned().collect());
        }
        Command::Prewrite(prewrite)
    }

    fn request(&self, items: &[usize], write_ts: Timestamp) -> Prewrite {
        let writes = items.iter().filter_map(|item| self.writes.get(*item)).map(|(key, value, seen)| Write {
            key: key.clone(),
            value: value.clone(),
            seen: match seen {
                Seen::Locked(version_ts) => *version_ts,
                Seen::Read(as_of) => as_of.unwrap_or(write_ts),
                Seen::Blind => Timestamp::MAX,
            },
        });
        let checks = items.iter().filter_map(|item| item.checked_sub(self.writes.len()));
        Prewrite {
            txn: self.txn,
            begin_ts: self.begin_ts,
            write_ts,
            writes: writes.collect(),
            checks: checks.map(|check| self.checks[check].clone()).collect(),
            primary: if self.has_writes() { self.primary().clone() } else { Key::new() },
            staged: None,
            unlock: Vec::new(),
        }
    }

    fn locked(&self, items: &[usize], wanted: impl Fn(usize) -> bool) -> Vec<Key> {
        let held = |item: usize| match self.writes.get(item) {
            Some((_, _, seen)) => matches!(seen, Seen::Locked(_)),
            None => true,
        };
        items.iter().filter(|item| wanted(**item) && held(**item)).map(|item| self.key(*item).clone()).collect()
    }
}

/// Cuts groups into requests of bounded size.
pub(crate) fn cut_groups(groups: Vec<Group<Vec<usize>>>, weight: impl Fn(usize) -> usize) -> Vec<Group<Vec<usize>>> {
    let mut requests = Vec::with_capacity(groups.len());
    for Group { route, work } in groups {
        let mut request = Vec::with_capacity(work.len().min(KEYS_PER_REQUEST));
        let mut size_bytes = 0;
        for item in work {
            let weight = weight(item);
            if !request.is_empty() && (request.len() >= KEYS_PER_REQUEST || size_bytes + weight > BYTES_PER_REQUEST) {
                requests.push(Group { route: route.clone(), work: std::mem::take(&mut request) });
                size_bytes = 0;
            }
            size_bytes += weight;
            request.push(item);
        }
        requests.push(Group { route, work: request });
    }
    requests
}
