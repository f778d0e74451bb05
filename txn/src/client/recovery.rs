//! Whoever meets an orphan decides it: what became of a transaction whose intent is in the way, and how its traces are
//! removed. Everything here is idempotent and may run at the same time as itself and as the owner; why all of them come to the
//! same end is argued in `docs/transactions.md`.
//!
//! | the primary says | owner alive | owner gone (or it is the owner who asks) |
//! |---|---|---|
//! | committed, aborted | so it is | so it is |
//! | pending | wait | [`abort_primary`] |
//! | staged | wait | [`prevent_all`]: all there → committed; one missing → aborted; superseded → ask the primary again |
//! | no trace | wait a grace | [`abort_primary`]: the marker keeps a late prewrite out |

use base::{Monotonic, Timestamp, TxnId};

use crate::{
    client::{TxnClient, TxnStats},
    command::{Command, Key, PreventReply, TxnStatus},
    error::{Error, Result},
};

/// Keys in one `Resolve` or `Prevent`.
const KEYS_PER_REQUEST: usize = 2048;
/// How often a decision may start anew because the transaction moved on under it.
const ROUNDS_MAX: u32 = 32;

/// Who asks for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The owner itself, which has stopped working on the commit: nobody else needs to be waited for.
    Owner,
    /// Somebody in whose way the transaction is. After the grace, a transaction without a trace is aborted.
    Other { grace_over: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// `others`: the keys that its primary lists, not resolved yet.
    Committed {
        commit_ts: Timestamp,
        others: Vec<Key>,
    },
    Aborted {
        others: Vec<Key>,
    },
    /// Undecided, and its owner is at work.
    Alive,
}

/// A transaction that is in the way.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub txn: TxnId,
    pub primary: Key,
    /// Its intents that were met.
    pub keys: Vec<Key>,
    /// The timestamp of an intent that was met; any that is not before the transaction's begin will do.
    pub write_ts: Timestamp,
}

/// Finds out or decides the fate of a transaction and clears its intents away. False: it is alive, wait for it.
pub(crate) async fn settle(
    client: &TxnClient,
    orphan: Orphan,
    asker: Asker,
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<bool> {
    let Orphan { txn, primary, mut keys, write_ts } = orphan;
    let mut fate = decide(client, txn, &primary, write_ts, asker, deadline, stats).await?;
    if client.options.faults.resolve_orphan_as_committed && matches!(fate, Fate::Aborted { .. }) {
        fate = Fate::Committed { commit_ts: write_ts, others: Vec::new() };
    }
    let (commit_ts, others) = match fate {
        Fate::Alive => return Ok(false),
        Fate::Committed { commit_ts, others } => (Some(commit_ts), others),
        Fate::Aborted { others } => (None, others),
    };
    keys.extend(others);
    resolve(client, txn, &primary, keys, commit_ts, deadline, stats).await?;
    Ok(true)
}

/// The fate of a transaction, decided here if need be and allowed. Nothing is resolved yet. `at` is a timestamp not before its
/// begin.
pub(crate) async fn decide(
    client: &TxnClient,
    txn: TxnId,
    primary: &Key,
    at: Timestamp,
    asker: Asker,
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<Fate> {
    let mut status = query(client, txn, primary, deadline, stats).await?;
    for _ in 0..ROUNDS_MAX {
        status = match status {
            TxnStatus::Committed(commit_ts) => return Ok(Fate::Committed { commit_ts, others: Vec::new() }),
            TxnStatus::Aborted => return Ok(Fate::Aborted { others: Vec::new() }),
            TxnStatus::Unknown if asker == (Asker::Other { grace_over: false }) => return Ok(Fate::Alive),
            TxnStatus::Pending { alive: true, .. } | TxnStatus::Staged { alive: true, .. } if asker != Asker::Owner => {
                return Ok(Fate::Alive);
            }
            TxnStatus::Unknown | TxnStatus::Pending { .. } => {
                abort_primary(client, txn, primary, at, deadline, stats).await?
            }
            TxnStatus::Staged { write_ts, others, .. } => {
                match prevent_all(client, txn, write_ts, &others, deadline, stats).await? {
                    PreventReply::AllPresent => return Ok(Fate::Committed { commit_ts: write_ts, others }),
                    PreventReply::Missing => return Ok(Fate::Aborted { others }),
                    // The owner had moved on to a later timestamp before we looked.
                    PreventReply::Superseded => query(client, txn, primary, deadline, stats).await?,
                }
            }
        };
    }
    Err(Error::Unavailable(format!("transaction {txn} keeps moving")))
}

/// What the primary knows. Changes nothing.
pub(crate) async fn query(
    client: &TxnClient,
    txn: TxnId,
    primary: &Key,
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<TxnStatus> {
    let command = Command::Query { txn, primary: primary.clone() };
    client.at_key(primary, command, deadline, stats).await
}

/// Puts the marker in place of the primary, unless the transaction is staged or committed there. Answers what is true now.
pub(crate) async fn abort_primary(
    client: &TxnClient,
    txn: TxnId,
    primary: &Key,
    at: Timestamp,
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<TxnStatus> {
    let command = Command::Abort { txn, primary: primary.clone(), at };
    client.at_key(primary, command, deadline, stats).await
}

/// Whether every listed key has its intent at `write_ts` (or is committed already). One that is missing can never appear any
/// more, so one `Missing` anywhere outweighs everything else.
pub(crate) async fn prevent_all(
    client: &TxnClient,
    txn: TxnId,
    write_ts: Timestamp,
    keys: &[Key],
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<PreventReply> {
    let mut verdict = PreventReply::AllPresent;
    for chunk in keys.chunks(KEYS_PER_REQUEST) {
        let make = |items: &[usize]| Command::Prevent {
            txn,
            write_ts,
            keys: items.iter().map(|item| chunk[*item].clone()).collect(),
        };
        for (_, reply) in client.each_range::<PreventReply>(chunk, make, deadline, stats).await? {
            verdict = match (verdict, reply) {
                (PreventReply::Missing, _) | (_, PreventReply::Missing) => PreventReply::Missing,
                (PreventReply::Superseded, _) | (_, PreventReply::Superseded) => PreventReply::Superseded,
                (PreventReply::AllPresent, PreventReply::AllPresent) => PreventReply::AllPresent,
            };
        }
    }
    Ok(verdict)
}

/// Turns intents into versions, or removes them. The primary comes last: as long as its list stands, whatever is left behind
/// can be found out; once it is gone, nothing is left behind.
pub(crate) async fn resolve(
    client: &TxnClient,
    txn: TxnId,
    primary: &Key,
    mut keys: Vec<Key>,
    commit_ts: Option<Timestamp>,
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<()> {
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| key != primary);
    resolve_keys(client, txn, &keys, commit_ts, deadline, stats).await?;
    resolve_keys(client, txn, std::slice::from_ref(primary), commit_ts, deadline, stats).await
}

pub(crate) async fn resolve_keys(
    client: &TxnClient,
    txn: TxnId,
    keys: &[Key],
    commit_ts: Option<Timestamp>,
    deadline: Monotonic,
    stats: &mut TxnStats,
) -> Result<()> {
    for chunk in keys.chunks(KEYS_PER_REQUEST) {
        let make = |items: &[usize]| Command::Resolve {
            txn,
            keys: items.iter().map(|item| chunk[*item].clone()).collect(),
            commit_ts,
        };
        client.each_range::<()>(chunk, make, deadline, stats).await?;
    }
    Ok(())
}
