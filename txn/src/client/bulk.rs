//! Rows written past the buffer and the commit protocol, into a key space that nobody else can see yet.

use base::TxnId;
use bytes::Bytes;

use crate::{
    client::{Txn, batch::cut_groups, sender::Pace},
    command::{BulkReply, BulkWrite, Command, Key},
    error::{Error, Result},
};

impl Txn {
    /// One call is one batch, whatever the number of requests: so a request that is repeated, whole or in other pieces after a
    /// split, meets its own rows and not duplicates.
    pub(super) async fn write_bulk(&mut self, mut rows: Vec<(Key, Bytes)>, unique: bool) -> Result<()> {
        if self.fixed {
            return Err(Error::Internal("a transaction in the past cannot write".into()));
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        if unique && let Some(pair) = rows.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::Duplicate { key: pair[0].0.clone() });
        }
        let write_ts = self.read_ts().await?;
        let txn: TxnId = self.open.id;
        let batch = self.bulk_batches;
        self.bulk_batches += 1;
        let deadline = self.client.deadline();
        let mut pace = Pace::default();
        let mut pending: Vec<usize> = (0..rows.len()).collect();
        while !pending.is_empty() {
            let groups = self.client.group_keys(&pending, |row| &rows[row].0, deadline).await?;
            let requests = cut_groups(groups, |row| rows[row].0.len() + rows[row].1.len());
            pending.clear();
            let make = |items: &Vec<usize>| {
                let rows = items.iter().map(|row| rows[*row].clone()).collect();
                Command::BulkWrite(BulkWrite { txn, batch, write_ts, rows, unique })
            };
            for (items, result) in self.client.send_groups(requests, make, deadline, &mut self.stats).await {
                match result {
                    Ok(BulkReply::Done) => {}
                    Ok(BulkReply::Duplicate { key }) => return Err(Error::Duplicate { key }),
                    Err(storage::Error::RangeChanged(_)) => pending.extend(items),
                    Err(error) => return Err(error.into()),
                }
            }
            self.client.pause_after_change(&mut pace, !pending.is_empty(), deadline).await?;
        }
        Ok(())
    }
}
