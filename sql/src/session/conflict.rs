//! Conflicts with other transactions in words: which table, index and key, and who.

use base::{TableId, TxnId};
use txn::{Error, RetryReason, WaitEdge};

use super::Session;
use crate::{
    catalog::{Relation, store::FIRST_USER_OID},
    encode::{self, IndexLayout},
    error::{Result, SqlError},
    plan::table_of,
    types::text,
};

/// A key as its table has it.
struct Place<'s> {
    relation: &'s Relation,
    index: String,
    /// `Key (a, b)=(1, x)`, or what stands for it where rows have no key that anybody knows.
    key: String,
}

impl Session {
    /// Replaces the keys and transactions of an error by what the client knows.
    pub(super) fn explain(&self, error: SqlError) -> SqlError {
        let Some(cause) = error.fields().cause.clone() else { return error };
        match cause {
            Error::Retry { reason, key, other } => {
                let place = key.as_ref().and_then(|key| self.place(key));
                let who = other.map_or("another transaction".to_owned(), |other| self.name(other));
                let detail = match (reason, &place, &key) {
                    (RetryReason::TakenForDead, ..) | (_, None, None) => format!("Reason: {reason}."),
                    (_, None, Some(_)) => format!("The schema that the statement relies on was changed by {who}."),
                    (RetryReason::LockLost, Some(place), _) => {
                        format!("The lock on {place} was lost, and the row was changed by {who}.")
                    }
                    (RetryReason::ReadChanged, Some(place), _) => {
                        format!("{place} was read, and changed by {who} since.")
                    }
                    (RetryReason::ConcurrentDelete, Some(place), _) => format!("{place} was deleted by {who}."),
                    (RetryReason::ConcurrentUpdate, Some(place), _) => format!("{place} was changed by {who}."),
                };
                let error = error.detail(detail);
                match place {
                    Some(place) => error.table(&place.relation.schema, &place.relation.name),
                    None => error,
                }
            }
            Error::LockNotAvailable { key, .. } => match self.place(&key) {
                Some(Place { relation, .. }) => error
                    .message(format!("could not obtain lock on row in relation \"{}\"", relation.name))
                    .table(&relation.schema, &relation.name),
                None => error,
            },
            Error::LockTimeout { key, .. } => self.while_locking(error, &key),
            Error::Deadlock(cycle) => {
                let waits: Vec<String> = cycle.iter().map(|edge| self.wait(edge)).collect();
                let error = error.detail(waits.join("\n"));
                match cycle.first() {
                    Some(edge) => self.while_locking(error, &edge.key),
                    None => error,
                }
            }
            _ => error,
        }
    }

    fn while_locking(&self, error: SqlError, key: &[u8]) -> SqlError {
        match self.place(key) {
            Some(Place { relation, key, .. }) => {
                error.context(format!("while locking {key} in relation \"{}\"", relation.name))
            }
            None => error,
        }
    }

    /// One line of a deadlock, as PostgreSQL words it.
    fn wait(&self, edge: &WaitEdge) -> String {
        let process = |id: TxnId| match self.database.process_of(id) {
            Some(pid) => format!("rocess {pid}"),
            None => "rocess of another gateway".to_owned(),
        };
        format!(
            "P{} waits for ShareLock on transaction {}; blocked by p{}.",
            process(edge.waiter),
            edge.holder,
            process(edge.holder)
        )
    }

    fn name(&self, other: TxnId) -> String {
        match self.database.process_of(other) {
            Some(pid) => format!("transaction {other} of process {pid}"),
            None => format!("transaction {other}"),
        }
    }

    /// What a key is; `None` for one that belongs to no table of a user.
    fn place(&self, key: &[u8]) -> Option<Place<'_>> {
        let (table, index) = encode::locate(key)?;
        let relation: &Relation = self.view.as_ref()?.snapshot.get(table).filter(|relation| is_table(relation))?;
        let index = table_of(relation).indexes.iter().find(|known| known.id == index)?;
        let shown = if index.hidden_row_id {
            "A row without key".to_owned()
        } else {
            let layout = IndexLayout::new(table, table_of(relation), index).ok()?;
            self.key_text(relation, &layout, key).ok()?
        };
        Some(Place { relation, index: index.name.clone(), key: shown })
    }

    fn key_text(&self, relation: &Relation, layout: &IndexLayout, key: &[u8]) -> Result<String> {
        let values = layout.decode_columns(key)?;
        let columns = layout.columns().iter().map(|column| &relation.columns()[column.slot]);
        let format = self.format_options();
        let names: Vec<&str> = columns.clone().map(|column| column.name.as_str()).collect();
        let shown: Vec<String> = columns
            .zip(&values)
            .map(|(column, value)| match value {
                crate::types::Value::Null => "null".to_owned(),
                value => text::to_text(value, column.ty, &format),
            })
            .collect();
        Ok(format!("Key ({})=({})", names.join(", "), shown.join(", ")))
    }
}

fn is_table(relation: &Relation) -> bool {
    relation.id >= TableId(FIRST_USER_OID) && relation.table().is_some()
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in index \"{}\" of table \"{}\"", self.key, self.index, self.relation.name)
    }
}
