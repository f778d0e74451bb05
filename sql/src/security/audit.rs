//! The audit log: rows that are chained by their hashes, written in the transaction of what they tell of. What was refused has
//! no transaction; such rows are written soon after, many at once ([`Backlog`]).

use std::{collections::VecDeque, sync::Arc};

use auth::audit::{Hash, ORIGIN, Record};
use base::Span;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use txn::{Txn, TxnClient};

use super::record::{self, AUDIT, audit_head_key, audit_key};
use crate::{
    catalog::store::{self, CATALOG_TABLE},
    encode::index_prefix,
    error::Result,
};

/// One row of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub number: u64,
    pub record: Record,
    pub hash: Hash,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Head {
    number: u64,
    hash: Hash,
}

/// Appends a row. Writers queue at the newest row's lock until their transactions end.
pub async fn append(txn: &mut Txn, record: Record) -> Result<()> {
    let head: Option<Head> = record::locked(txn, audit_head_key()).await?;
    let before = head.unwrap_or(Head { number: 0, hash: ORIGIN });
    let number = before.number + 1;
    let hash = record.hash(number, &before.hash);
    record::put(txn, audit_key(number), &Row { number, record, hash })?;
    record::put(txn, audit_head_key(), &Head { number, hash })
}

/// Rows about refusals that wait to be written. However fast somebody lets himself be refused, neither memory nor the queue at
/// the newest row grows with it: what is too much is counted and not written.
#[derive(Default)]
pub struct Backlog(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    rows: VecDeque<Record>,
    dropped: u64,
    /// A task writes them already.
    writing: bool,
}

const BACKLOG_MAX: usize = 1024;
/// Rows of one transaction.
const BATCH_MAX: usize = 128;

impl Backlog {
    /// Writes the row in the background.
    pub fn push(self: &Arc<Backlog>, record: Record, client: &TxnClient) {
        let mut waiting = self.0.lock();
        if waiting.rows.len() >= BACKLOG_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.rows.push_back(record);
        if !std::mem::replace(&mut waiting.writing, true) {
            let task = Arc::clone(self).write(client.clone());
            client.runtime.spawn(Box::pin(task));
        }
    }

    async fn write(self: Arc<Backlog>, client: TxnClient) {
        while let Some(batch) = self.take(client.runtime.wall_micros()) {
            let mut attempt = 0;
            while let Err(error) = append_all(&client, &batch).await {
                attempt += 1;
                if attempt == super::ATTEMPTS_MAX || !error.fields().retryable {
                    tracing::error!(%error, rows = batch.len(), "refusals could not be written to the audit log");
                    break;
                }
                super::pause(&client, attempt).await;
            }
        }
    }

    /// What is to be written next; `None`: nothing, and the task ends.
    fn take(&self, unix_micros: i64) -> Option<Vec<Record>> {
        let mut waiting = self.0.lock();
        let count = waiting.rows.len().min(BATCH_MAX);
        let mut batch: Vec<Record> = waiting.rows.drain(..count).collect();
        let dropped = std::mem::take(&mut waiting.dropped);
        if dropped > 0 {
            batch.push(Record {
                unix_micros,
                event: "denied".to_owned(),
                role: String::new(),
                address: String::new(),
                object: String::new(),
                succeeded: false,
                detail: format!("{dropped} more refusals were not written down"),
            });
        }
        waiting.writing = !batch.is_empty();
        waiting.writing.then_some(batch)
    }
}

async fn append_all(client: &TxnClient, records: &[Record]) -> Result<()> {
    let mut txn = client.begin();
    for record in records {
        if let Err(error) = append(&mut txn, record.clone()).await {
            txn.rollback().await;
            return Err(error);
        }
    }
    Ok(txn.commit().await.map(|_| ())?)
}

/// All rows, oldest first.
pub async fn rows(txn: &mut Txn) -> Result<Vec<Row>> {
    let span = Span::prefix(&index_prefix(CATALOG_TABLE, AUDIT));
    let rows = store::scan(txn, span).await?;
    rows.iter().map(|(_, value)| store::decode(value)).collect()
}

/// What a look at the whole log found.
pub struct Verdict {
    pub rows: u64,
    /// The number of the first row that does not fit to those before.
    pub broken_at: Option<u64>,
    pub newest: Hash,
}

/// Follows the chain from the first row to the newest.
pub async fn verify(txn: &mut Txn) -> Result<Verdict> {
    let head = txn.get(&[audit_head_key()]).await?;
    let head: Option<Head> = record::decode(head.first().and_then(Option::as_ref))?;
    let head = head.unwrap_or(Head { number: 0, hash: ORIGIN });
    let rows = rows(txn).await?;
    Ok(follow(&rows, head.number, head.hash))
}

fn follow(rows: &[Row], last: u64, newest: Hash) -> Verdict {
    let count = rows.len() as u64;
    let (mut number, mut hash) = (0, ORIGIN);
    for row in rows {
        let expected = row.record.hash(number + 1, &hash);
        if row.number != number + 1 || row.hash != expected {
            return Verdict { rows: count, broken_at: Some(number + 1), newest };
        }
        (number, hash) = (row.number, row.hash);
    }
    let whole = number == last && hash == newest;
    Verdict { rows: count, broken_at: (!whole).then_some(number + 1), newest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(count: u64) -> Vec<Row> {
        let mut before = ORIGIN;
        (1..=count)
            .map(|number| {
                let record = Record {
                    unix_micros: number as i64,
                    event: "sign-in".into(),
                    role: format!("role {number}"),
                    address: String::new(),
                    object: String::new(),
                    succeeded: true,
                    detail: String::new(),
                };
                before = record.hash(number, &before);
                Row { number, record, hash: before }
            })
            .collect()
    }

    #[test]
    fn a_flood_of_refusals_is_bounded_and_counted() {
        let backlog = Backlog::default();
        let row = log(1).remove(0).record;
        {
            let mut waiting = backlog.0.lock();
            waiting.writing = true;
            waiting.rows.extend(std::iter::repeat_n(row, BATCH_MAX + 1));
            waiting.dropped = 7;
        }
        let first = backlog.take(9).expect("rows");
        assert_eq!(first.len(), BATCH_MAX + 1);
        assert_eq!(first[BATCH_MAX].detail, "7 more refusals were not written down");
        assert_eq!(backlog.take(9).expect("the rest").len(), 1);
        assert!(backlog.take(9).is_none());
        assert!(!backlog.0.lock().writing, "the next refusal starts a task");
    }

    #[test]
    fn a_whole_log_is_whole() {
        let rows = log(5);
        let verdict = follow(&rows, 5, rows[4].hash);
        assert_eq!((verdict.rows, verdict.broken_at), (5, None));
        assert_eq!(follow(&[], 0, ORIGIN).broken_at, None);
    }

    #[test]
    fn a_changed_removed_or_forged_row_is_found() {
        let whole = log(5);
        let newest = whole[4].hash;
        let mut changed = whole.clone();
        changed[2].record.role = "somebody else".into();
        assert_eq!(follow(&changed, 5, newest).broken_at, Some(3));
        // Its own hash made to fit: then the next one does not.
        changed[2].hash = changed[2].record.hash(3, &changed[1].hash);
        assert_eq!(follow(&changed, 5, newest).broken_at, Some(4));
        let mut removed = whole.clone();
        removed.remove(1);
        assert_eq!(follow(&removed, 5, newest).broken_at, Some(2));
        assert_eq!(follow(&whole[..4], 5, newest).broken_at, Some(5), "the newest is missing");
        assert_eq!(follow(&[], 5, newest).broken_at, Some(1));
    }
}
