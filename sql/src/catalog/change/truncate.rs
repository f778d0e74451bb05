//! TRUNCATE: new key spaces for all indexes; the old ones become garbage.

use std::{collections::BTreeMap, slice};

use auth::privilege::Privileges;
use base::TableId;
use sqlparser::ast;

use super::{Change, table_mut, table_of};
use crate::{
    catalog::{
        RelationKind,
        store::{self, SequenceState},
    },
    error::{Result, SqlError, SqlState},
};

impl Change<'_> {
    pub(super) async fn truncate(&mut self, truncate: &ast::Truncate) -> Result<()> {
        let cascade = matches!(truncate.cascade, Some(ast::CascadeOption::Cascade));
        let mut targets = BTreeMap::new();
        for target in &truncate.table_names {
            let relation = self.find_table(&target.name)?;
            self.may(&relation, Privileges::TRUNCATE)?;
            targets.insert(relation.id, relation);
        }
        let mut pending: Vec<TableId> = targets.keys().copied().collect();
        while let Some(id) = pending.pop() {
            for referencing in self.catalog.snapshot.referencing(id) {
                if targets.contains_key(&referencing.id) {
                    continue;
                }
                if !cascade {
                    let referenced = targets.get(&id).map_or("", |relation| relation.name.as_str());
                    let name = &referencing.name;
                    let message = "cannot truncate a table referenced in a foreign key constraint";
                    return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                        .detail(format!("Table \"{name}\" references \"{referenced}\"."))
                        .hint(format!("Truncate table \"{name}\" at the same time, or use TRUNCATE ... CASCADE.")));
                }
                let message = format!("truncate cascades to table \"{}\"", referencing.name);
                self.notice(SqlState("00000"), message);
                self.may(&referencing, Privileges::TRUNCATE)?;
                pending.push(referencing.id);
                targets.insert(referencing.id, referencing);
            }
        }
        let restart = matches!(truncate.identity, Some(ast::TruncateIdentityOption::Restart));
        for id in targets.into_keys() {
            self.empty(id, restart).await?;
        }
        Ok(())
    }

    async fn empty(&mut self, id: TableId, restart: bool) -> Result<()> {
        let mut relation = self.stored(id)?;
        let count = table_of(&relation)?.indexes.len();
        for position in 0..count {
            let space = self.key_space().await?;
            let old = std::mem::replace(&mut table_mut(&mut relation)?.indexes[position].id, space);
            self.discard(id, old).await?;
        }
        if restart {
            for column in relation.columns().to_vec() {
                if let Some(sequence) = column.owned_sequence {
                    self.restart_sequence(sequence).await?;
                }
            }
        }
        self.put(relation).map(|_| ())
    }

    /// Sets a sequence back to its start, with this transaction.
    pub(super) async fn restart_sequence(&mut self, id: TableId) -> Result<()> {
        let relation = self.stored(id)?;
        let RelationKind::Sequence(sequence) = &relation.kind else {
            return Err(SqlError::internal("not a sequence"));
        };
        let start = sequence.start;
        self.write_sequence(id, |state| SequenceState { last: start, called: false, generation: state.generation + 1 })
            .await
    }

    /// Changes the state of a sequence with this transaction.
    pub(super) async fn write_sequence(
        &mut self,
        id: TableId,
        change: impl FnOnce(SequenceState) -> SequenceState,
    ) -> Result<()> {
        let key = store::sequence_key(id);
        let rows = self.txn.lock(slice::from_ref(&key), txn::LockMode::Update, txn::WaitPolicy::Wait).await?;
        let state = match rows.into_iter().next().and_then(|row| row.value) {
            Some(value) => store::decode(&value)?,
            None => SequenceState { last: 0, called: false, generation: 0 },
        };
        self.txn.put(key, store::encode(&change(state))?)?;
        self.state.own_sequences.insert(id);
        Ok(())
    }
}
