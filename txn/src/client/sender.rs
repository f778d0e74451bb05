//! Sends commands to the leaders of the ranges they touch: groups by range, one request per range and in parallel, and
//! groups anew what a changed range did not take.

use base::{Monotonic, Span};
use futures::future::join_all;
use storage::Route;

use crate::{
    client::{RangeWork, TxnClient, TxnStats},
    command::{self, Command, Key, Reply},
    error::{Error, Result},
};

/// Requests under way at the same time for one operation.
const PARALLEL_MAX: usize = 32;

/// What one range answered: its share of the work, and the decoded reply or why there is none.
pub(crate) type Answer<W, R> = (W, storage::Result<R>);

/// Items of an operation that lie in one range, as the cache believes.
pub(crate) struct Group<W> {
    pub route: Route,
    pub work: W,
}

impl TxnClient {
    /// The end of an operation that begins now.
    pub(crate) fn deadline(&self) -> Monotonic {
        self.runtime.now() + self.options.operation_timeout
    }

    async fn locate(&self, key: &[u8], deadline: Monotonic) -> Result<Route> {
        Ok(self.cluster.locate(key, deadline).await?)
    }

    /// Groups items (named by their index) by the range that holds their key, in the order of their first item.
    pub(crate) async fn group_keys<'k>(
        &self,
        items: &[usize],
        key_of: impl Fn(usize) -> &'k Key,
        deadline: Monotonic,
    ) -> Result<Vec<Group<Vec<usize>>>> {
        let mut groups: Vec<Group<Vec<usize>>> = Vec::with_capacity(1);
        let mut current = 0;
        for &item in items {
            let key = key_of(item);
            let holds = |group: &Group<Vec<usize>>| group.route.descriptor.span.contains(key);
            if !groups.get(current).is_some_and(holds) {
                current = match groups.iter().position(holds) {
                    Some(position) => position,
                    None => {
                        let route = self.locate(key, deadline).await?;
                        groups.push(Group { route, work: Vec::with_capacity(items.len()) });
                        groups.len() - 1
                    }
                };
            }
            groups[current].work.push(item);
        }
        Ok(groups)
    }

    /// Cuts spans at the borders of ranges and groups the pieces.
    pub(crate) async fn group_spans(&self, spans: &[Span], deadline: Monotonic) -> Result<Vec<Group<Vec<Span>>>> {
        let mut groups: Vec<Group<Vec<Span>>> = Vec::with_capacity(1);
        for span in spans {
            let mut rest = span.clone();
            while !rest.is_empty() {
                let holds = |group: &Group<Vec<Span>>| group.route.descriptor.span.contains(&rest.start);
                let position = match groups.iter().rposition(holds) {
                    Some(position) => position,
                    None => {
                        let route = self.locate(&rest.start, deadline).await?;
                        groups.push(Group { route, work: Vec::new() });
                        groups.len() - 1
                    }
                };
                let range = &groups[position].route.descriptor.span;
                let Some(piece) = rest.intersect(range) else { break };
                let exhausted = piece.end == rest.end;
                rest.start = piece.end.clone();
                groups[position].work.push(piece);
                if exhausted {
                    break;
                }
            }
        }
        Ok(groups)
    }

    /// Sends one request and decodes its reply. The flag tells whether it went through consensus.
    pub(crate) async fn send<R: Reply>(
        &self,
        route: &Route,
        command: &Command,
        deadline: Monotonic,
    ) -> storage::Result<(R, bool)> {
        let begun = self.trace.is_some().then(|| self.runtime.now());
        let anywhere = matches!(command, Command::Read(read) if read.anywhere);
        let evaluated = match anywhere {
            true => self.cluster.evaluate_past(route, command.encode(), deadline).await?,
            false => self.cluster.evaluate(route, command.encode(), deadline).await?,
        };
        let reply: R = command::decode(&evaluated.reply)
            .map_err(|error| storage::Error::Corrupt(format!("a reply that cannot be decoded: {error}")))?;
        if let (Some(trace), Some(begun)) = (&self.trace, begun) {
            let (scanned, rows) = reply.rows();
            let time = self.runtime.now().since(begun);
            trace.note(route.descriptor.id, RangeWork { requests: 1, scanned, rows, time });
        }
        Ok((reply, evaluated.replicated))
    }

    /// Sends every group its command, all at once; one round trip for the client.
    pub(crate) async fn send_groups<W: Send + Sync, R: Reply>(
        &self,
        groups: Vec<Group<W>>,
        make: impl Fn(&W) -> Command + Sync,
        deadline: Monotonic,
        stats: &mut TxnStats,
    ) -> Vec<Answer<W, R>> {
        stats.round_trips += 1;
        stats.range_requests += groups.len() as u64;
        let mut replicated = false;
        let mut answers = Vec::with_capacity(groups.len());
        let mut take = |work: W, result: storage::Result<(R, bool)>| {
            let result = result.map(|(reply, through_consensus)| {
                replicated |= through_consensus;
                reply
            });
            answers.push((work, result));
        };
        let mut groups = groups.into_iter();
        if groups.len() == 1
            && let Some(group) = groups.next()
        {
            let result = self.send(&group.route, &make(&group.work), deadline).await;
            take(group.work, result);
        }
        loop {
            let wave: Vec<Group<W>> = groups.by_ref().take(PARALLEL_MAX).collect();
            if wave.is_empty() {
                break;
            }
            let commands: Vec<Command> = wave.iter().map(|group| make(&group.work)).collect();
            let sends = wave.iter().zip(&commands).map(|(group, command)| self.send(&group.route, command, deadline));
            let results = join_all(sends).await;
            for (group, result) in wave.into_iter().zip(results) {
                take(group.work, result);
            }
        }
        stats.consensus_rounds += u64::from(replicated);
        answers
    }

    /// Has every range do its share of `keys`, whatever splits happen meanwhile. Answers come in no particular order, each
    /// with the indexes of its keys.
    pub(crate) async fn each_range<R: Reply>(
        &self,
        keys: &[Key],
        make: impl Fn(&[usize]) -> Command + Sync,
        deadline: Monotonic,
        stats: &mut TxnStats,
    ) -> Result<Vec<(Vec<usize>, R)>> {
        let mut pending: Vec<usize> = (0..keys.len()).collect();
        let mut done = Vec::with_capacity(1);
        let mut pace = Pace::default();
        while !pending.is_empty() {
            let groups = self.group_keys(&pending, |index| &keys[index], deadline).await?;
            pending.clear();
            for (work, result) in self.send_groups(groups, |work: &Vec<usize>| make(work), deadline, stats).await {
                match result {
                    Ok(reply) => done.push((work, reply)),
                    Err(storage::Error::RangeChanged(_)) => pending.extend(work),
                    Err(error) => return Err(error.into()),
                }
            }
            self.pause_after_change(&mut pace, !pending.is_empty(), deadline).await?;
        }
        Ok(done)
    }

    /// As [`TxnClient::each_range`], for spans. The replies come without the pieces they are about.
    pub(crate) async fn each_span<R: Reply>(
        &self,
        spans: &[Span],
        make: impl Fn(&[Span]) -> Command + Sync,
        deadline: Monotonic,
        stats: &mut TxnStats,
    ) -> Result<Vec<R>> {
        let mut pending: Vec<Span> = spans.to_vec();
        let mut done = Vec::with_capacity(1);
        let mut pace = Pace::default();
        while !pending.is_empty() {
            let groups = self.group_spans(&pending, deadline).await?;
            pending.clear();
            for (work, result) in self.send_groups(groups, |work: &Vec<Span>| make(work), deadline, stats).await {
                match result {
                    Ok(reply) => done.push(reply),
                    Err(storage::Error::RangeChanged(_)) => pending.extend(work),
                    Err(error) => return Err(error.into()),
                }
            }
            self.pause_after_change(&mut pace, !pending.is_empty(), deadline).await?;
        }
        Ok(done)
    }

    /// One command for the range of one key.
    pub(crate) async fn at_key<R: Reply>(
        &self,
        key: &Key,
        command: Command,
        deadline: Monotonic,
        stats: &mut TxnStats,
    ) -> Result<R> {
        let mut replies = self.each_range(std::slice::from_ref(key), |_| command.clone(), deadline, stats).await?;
        let (_, reply) = replies.pop().ok_or_else(|| Error::Internal("a request without an answer".into()))?;
        Ok(reply)
    }

    /// After ranges have changed under a request: at once the first time, then with growing pauses, as the cluster's map may
    /// lag behind.
    pub(crate) async fn pause_after_change(&self, pace: &mut Pace, changed: bool, deadline: Monotonic) -> Result<()> {
        if !changed {
            return Ok(());
        }
        if self.runtime.now() >= deadline {
            return Err(Error::Unavailable("ranges keep changing, or are overloaded".into()));
        }
        if let Some(pause) = pace.next() {
            self.runtime.sleep(pause).await;
        }
        Ok(())
    }
}

/// Pauses between attempts: none, then 1 ms doubling up to 64 ms.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    attempts: u32,
}

impl Pace {
    pub(crate) fn next(&mut self) -> Option<std::time::Duration> {
        let attempt = self.attempts;
        self.attempts += 1;
        (attempt > 0).then(|| std::time::Duration::from_millis(1 << (attempt - 1).min(6)))
    }
}
