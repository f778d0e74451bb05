//! The owner's side of the commit protocol. `docs/transactions.md` gives the argument; the rules it rests on here:
//!
//! - Checks of ranges without a write come before the first prewrite of a timestamp.
//! - A write timestamp is left only after a range said `Pushed`, which that range will say for ever.
//! - At the next timestamp the primary goes first, if it may stand at an earlier one.
//! - An error that a late copy of a request could still undo is reported only after [`Txn::settle_own`].

use base::{Monotonic, Timestamp};

use crate::{
    client::{
        Txn,
        batch::Batch,
        recovery::{self, Asker, Fate},
        sender::{Group, Pace},
        wait::Patience,
    },
    command::{Blocker, LockMode, PrewriteReply, TxnStatus},
    error::{Error, Result, RetryReason},
};

/// How far the commit has come.
#[derive(Debug, Default)]
struct Attempt {
    /// A request to write was answered, or not, in a way that leaves open whether a copy of it may still be executed.
    unclear: bool,
    /// Prewrites have been sent: there may be intents.
    two_phase: bool,
    /// The primary may stand at an earlier write timestamp.
    primary_may_stand: bool,
}

/// Why a commit stopped.
struct Stop {
    error: Error,
    /// No copy of any request can make the transaction committed any more.
    definite: bool,
}

impl Stop {
    fn definite(error: Error) -> Stop {
        Stop { error, definite: true }
    }

    /// Definite only if every answer so far was.
    fn unclear(error: impl Into<Error>) -> Stop {
        Stop { error: error.into(), definite: false }
    }
}

impl Txn {
    /// Commits, and answers the timestamp. After an error nothing is committed, unless the error is `Ambiguous`.
    pub(super) async fn commit_writes(&mut self) -> Result<Timestamp> {
        if self.writes.is_empty() && self.open.holds_nothing() {
            // All reads were at one timestamp, or need not have been.
            return Ok(self.times.read.map_or(Timestamp::ZERO, |stamp| stamp.timestamp));
        }
        let begin_ts = self.begin_ts().await?;
        let batch = Batch::new(&self.open, begin_ts, &mut self.writes, self.client.options.staged_keys_max);
        let mut attempt = Attempt::default();
        match self.drive(&batch, &mut attempt).await {
            Ok(commit_ts) => {
                if attempt.two_phase {
                    self.resolve_in_background(&batch, Some(commit_ts));
                }
                Ok(commit_ts)
            }
            Err(stop) if stop.definite || !attempt.unclear => {
                if attempt.two_phase {
                    self.resolve_in_background(&batch, None);
                }
                Err(stop.error)
            }
            Err(stop) => self.settle_own(&batch, &attempt, stop.error).await,
        }
    }

    /// Sends the batch until all of it stands at one timestamp.
    async fn drive(&mut self, batch: &Batch, attempt: &mut Attempt) -> std::result::Result<Timestamp, Stop> {
        let deadline = self.client.deadline();
        let mut patience = Patience::until(deadline, Some(LockMode::Update));
        let mut pace = Pace::default();
        let mut pending = batch.items();
        loop {
            let write_ts = self.write_ts().await.map_err(Stop::unclear)?;
            let tally = self.round(batch, attempt, pending, write_ts, deadline).await?;
            if let Some(commit_ts) = tally.committed {
                return Ok(commit_ts);
            }
            if let Some(stop) = tally.stop {
                return Err(stop);
            }
            if let Some(at_least) = tally.pushed {
                // This timestamp is dead, whatever else became of it: a range has refused it for good. No later one has been
                // sent yet.
                attempt.unclear = false;
                self.move_forward(at_least).await.map_err(Stop::definite)?;
                pending = batch.items();
                continue;
            }
            if tally.again.is_empty() {
                return self.conclude(batch, attempt, write_ts, deadline).await;
            }
            pending = tally.again;
            pending.sort_unstable();
            if tally.blockers.is_empty() {
                self.client.pause_after_change(&mut pace, true, deadline).await.map_err(Stop::unclear)?;
            } else {
                self.wait_out(&mut patience, tally.blockers).await.map_err(Stop::unclear)?;
            }
        }
    }

    /// Sends what is pending, once: checks alone, then the primary where it must go first, then the rest.
    async fn round(
        &mut self,
        batch: &Batch,
        attempt: &mut Attempt,
        pending: Vec<usize>,
        write_ts: Timestamp,
        deadline: Monotonic,
    ) -> std::result::Result<Tally, Stop> {
        let groups = self.client.group_keys(&pending, |item| batch.key(item), deadline).await.map_err(Stop::unclear)?;
        let mut tally = Tally::default();
        let (writing, checking): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.work.iter().any(|item| batch.is_write(*item)));
        if !checking.is_empty() {
            let make = |items: &Vec<usize>| batch.check(items, write_ts);
            tally.count(self.client.send_groups(checking, make, deadline, &mut self.stats).await);
            if !tally.all_done() {
                tally.postpone(writing);
                return Ok(tally);
            }
        }
        if writing.is_empty() {
            return Ok(tally);
        }
        self.open.state.lock().decider = Some(batch.primary().clone());
        let one = writing.len() == 1 && !attempt.two_phase && batch.fits_one_request(&writing[0].work);
        if one {
            let make = |items: &Vec<usize>| batch.commit_one_range(items, write_ts);
            let items = writing[0].work.clone();
            tally.count(self.client.send_groups(writing, make, deadline, &mut self.stats).await);
            attempt.unclear |= tally.unclear;
            if tally.all_done() {
                self.open.released(items.iter().map(|item| batch.key(*item)));
            }
            return Ok(tally);
        }
        self.prewrite(batch, attempt, batch.cut(writing), write_ts, deadline, &mut tally).await;
        attempt.unclear |= tally.unclear;
        Ok(tally)
    }

    async fn prewrite(
        &mut self,
        batch: &Batch,
        attempt: &mut Attempt,
        requests: Vec<Group<Vec<usize>>>,
        write_ts: Timestamp,
        deadline: Monotonic,
        tally: &mut Tally,
    ) {
        if !attempt.two_phase {
            attempt.two_phase = true;
            self.open.state.lock().primary = Some(batch.primary().clone());
            self.client.watch(&self.open);
        }
        let make = |items: &Vec<usize>| batch.prewrite(items, write_ts);
        let (primary, rest): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|request| batch.has_primary(&request.work));
        let stood_before = attempt.primary_may_stand;
        let mut first_wave = primary;
        let mut rest = rest;
        if (batch.is_staged() && !stood_before) || first_wave.is_empty() {
            first_wave.append(&mut rest);
        }
        let answers = self.client.send_groups(first_wave, make, deadline, &mut self.stats).await;
        let refused = |(items, result): &(Vec<usize>, storage::Result<PrewriteReply>)| {
            batch.has_primary(items) && matches!(result, Ok(PrewriteReply::Pushed { .. }))
        };
        attempt.primary_may_stand = stood_before || !answers.iter().any(refused);
        tally.count(answers);
        if !tally.all_done() {
            tally.postpone(rest);
        } else if !rest.is_empty() {
            tally.count(self.client.send_groups(rest, make, deadline, &mut self.stats).await);
        }
    }

    /// Everything stands at `write_ts`.
    async fn conclude(
        &mut self,
        batch: &Batch,
        attempt: &mut Attempt,
        write_ts: Timestamp,
        deadline: Monotonic,
    ) -> std::result::Result<Timestamp, Stop> {
        if !attempt.two_phase {
            return Ok(write_ts);
        }
        self.open.released(batch.written_keys());
        if batch.is_staged() {
            return Ok(write_ts);
        }
        // Too large for a list: the primary alone decides. Resolving it says nothing about what was there, so it is asked.
        attempt.unclear = true;
        let primary = batch.primary();
        let keys = std::slice::from_ref(primary);
        let Txn { client, open, stats, .. } = self;
        recovery::resolve_keys(client, open.id, keys, Some(write_ts), deadline, stats).await.map_err(Stop::unclear)?;
        match recovery::query(client, open.id, primary, deadline, stats).await.map_err(Stop::unclear)? {
            TxnStatus::Committed(commit_ts) => Ok(commit_ts),
            TxnStatus::Aborted | TxnStatus::Unknown => Err(Stop::definite(aborted_by_recovery())),
            TxnStatus::Pending { .. } | TxnStatus::Staged { .. } => {
                Err(Stop::unclear(Error::Internal("a resolved primary is still open".into())))
            }
        }
    }

    /// The commit has stopped and a copy of one of its requests may still succeed: finds out what became of it, and sees to it
    /// that nothing changes that any more.
    async fn settle_own(&mut self, batch: &Batch, attempt: &Attempt, error: Error) -> Result<Timestamp> {
        if !batch.has_writes() {
            return Err(error);
        }
        let deadline = self.client.deadline();
        let at = self.begin_ts().await?;
        let Txn { client, open, stats, .. } = self;
        match recovery::decide(client, open.id, batch.primary(), at, Asker::Owner, deadline, stats).await {
            Ok(Fate::Committed { commit_ts, .. }) => {
                if attempt.two_phase {
                    self.resolve_in_background(batch, Some(commit_ts));
                }
                Ok(commit_ts)
            }
            Ok(Fate::Aborted { .. }) => {
                if attempt.two_phase {
                    self.resolve_in_background(batch, None);
                }
                Err(error)
            }
            Ok(Fate::Alive) => Err(Error::Internal("an owner waits for itself".into())),
            Err(reason) => Err(Error::Ambiguous(format!("{error}; asking for the outcome: {reason}"))),
        }
    }

    fn resolve_in_background(&self, batch: &Batch, commit_ts: Option<Timestamp>) {
        let client = self.client.clone();
        let (txn, primary) = (self.open.id, batch.primary().clone());
        let keys = batch.written_keys().cloned().collect();
        self.client.background(Box::pin(async move {
            let deadline = client.deadline();
            let mut stats = crate::client::TxnStats::default();
            // Whoever meets what is left over resolves it.
            if let Err(error) = recovery::resolve(&client, txn, &primary, keys, commit_ts, deadline, &mut stats).await {
                tracing::debug!(%txn, %error, "intents are left to whoever meets them");
            }
        }));
    }
}

fn aborted_by_recovery() -> Error {
    Error::Retry { reason: RetryReason::TakenForDead, key: None, other: None }
}

/// What the ranges answered in one round, by what follows from it.
#[derive(Default)]
struct Tally {
    committed: Option<Timestamp>,
    stop: Option<Stop>,
    pushed: Option<Timestamp>,
    /// To be sent again at the same timestamp.
    again: Vec<usize>,
    blockers: Vec<Blocker>,
    /// An answer was of the kind that [`Attempt::unclear`] is about.
    unclear: bool,
}

impl Tally {
    fn all_done(&self) -> bool {
        self.committed.is_none() && self.stop.is_none() && self.pushed.is_none() && self.again.is_empty()
    }

    fn postpone(&mut self, groups: Vec<Group<Vec<usize>>>) {
        self.again.extend(groups.into_iter().flat_map(|group| group.work));
    }

    fn count(&mut self, answers: Vec<(Vec<usize>, storage::Result<PrewriteReply>)>) {
        for (items, result) in answers {
            match result {
                Ok(PrewriteReply::Done) => {}
                Ok(PrewriteReply::Committed(commit_ts)) => self.committed = Some(commit_ts),
                Ok(PrewriteReply::Pushed { at_least }) => self.pushed = self.pushed.max(Some(at_least)),
                Ok(PrewriteReply::Conflict { key, other, .. }) => {
                    let reason = RetryReason::ConcurrentUpdate;
                    self.stop_with(Stop::definite(Error::Retry { reason, key: Some(key), other: Some(other) }));
                }
                Ok(PrewriteReply::Aborted) => self.stop_with(Stop::definite(aborted_by_recovery())),
                // The router has made sure that no copy was executed or is under way.
                Err(error @ storage::Error::Unavailable { maybe_applied: false, .. }) => {
                    self.stop_with(Stop::unclear(error));
                }
                open => self.count_open(items, open),
            }
        }
    }

    /// Answers that say nothing about earlier copies of the request.
    fn count_open(&mut self, items: Vec<usize>, result: storage::Result<PrewriteReply>) {
        self.unclear = true;
        match result {
            Ok(PrewriteReply::Blocked(blockers)) => {
                self.blockers.extend(blockers);
                self.again.extend(items);
            }
            Ok(PrewriteReply::Deadlock(cycle)) => self.stop_with(Stop::unclear(Error::Deadlock(cycle))),
            Ok(_) => {}
            // Back-pressure: the commit waits rather than giving up what is locked already.
            Err(storage::Error::RangeChanged(_) | storage::Error::Overloaded(_)) => self.again.extend(items),
            Err(error) => self.stop_with(Stop::unclear(error)),
        }
    }

    /// A definite reason goes before an unclear one.
    fn stop_with(&mut self, stop: Stop) {
        if self.stop.as_ref().is_none_or(|earlier| !earlier.definite) {
            self.stop = Some(stop);
        }
    }
}
