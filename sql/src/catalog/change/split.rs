//! What is done to ranges: `ALTER TABLE … SPLIT AT VALUES (…), …` cuts them at keys of an index, `ALTER RANGE … TRANSFER LEADER
//! TO …` hands their leadership to another node. Not transactional; neither moves a row.

use std::sync::Arc;

use base::{NodeId, RangeId};
use sqlparser::ast;

use super::{Change, no_relation, table_of};
use crate::{
    bind,
    catalog::{Index, Relation, snapshot::Named},
    encode::IndexLayout,
    error::{Result, SqlError, SqlState},
    session::object_name,
    types::Value,
};

impl Change<'_> {
    pub(super) async fn split_at(
        &mut self,
        name: &ast::ObjectName,
        is_index: bool,
        rows: &[Vec<ast::Expr>],
    ) -> Result<()> {
        let (relation, index) = if is_index {
            let (schema, name) = object_name(name)?;
            match self.catalog.named(schema.as_deref(), &name) {
                Some(Named::Index { oid, .. }) => match self.catalog.snapshot.index_by_oid(oid) {
                    Some((relation, index)) => (Arc::clone(relation), index.clone()),
                    None => return Err(no_relation(schema.as_deref(), &name)),
                },
                _ => return Err(no_relation(schema.as_deref(), &name)),
            }
        } else {
            let relation = self.find_table(name)?;
            let index = table_of(&relation)?.primary().clone();
            (relation, index)
        };
        self.must_own_relation(&relation)?;
        let mut keys = Vec::new();
        for row in rows {
            keys.push(self.split_key(&relation, &index, row)?);
        }
        for key in keys {
            let deadline = self.database.client.runtime.now() + self.database.client.options.operation_timeout;
            self.database.client.cluster.split(&key, deadline).await.map_err(txn::Error::from)?;
        }
        Ok(())
    }

    /// A node that is not there, or does not follow the range, is refused; nothing happens then.
    pub(super) async fn transfer_leader(&mut self, range: u64, node: u64) -> Result<()> {
        if !self.is_superuser() {
            return Err(SqlError::new(SqlState("42501"), "must be superuser to transfer leaders"));
        }
        let deadline = self.database.client.runtime.now() + self.database.client.options.operation_timeout;
        let cluster = &self.database.client.cluster;
        match cluster.transfer_leader(RangeId(range), NodeId(node), deadline).await.map_err(txn::Error::from) {
            Ok(()) => Ok(()),
            // Not a fault of ours: the other node refuses, and says why.
            Err(txn::Error::Internal(reason)) => {
                let message = format!("the leadership of range {range} cannot be handed to node {node}");
                Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).detail(reason))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The key at which the rows with these values in the first columns of the index begin.
    fn split_key(&self, relation: &Relation, index: &Index, row: &[ast::Expr]) -> Result<Vec<u8>> {
        let table = table_of(relation)?;
        if index.hidden_row_id {
            let message = format!("table \"{}\" has no primary key to split at", relation.name);
            return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Split one of its indexes instead, or add a primary key."));
        }
        if row.is_empty() || row.len() > index.columns.len() {
            let message = format!("SPLIT AT takes one to {} values", index.columns.len());
            return Err(SqlError::new(SqlState::SYNTAX_ERROR, message));
        }
        let mut values: Vec<Value> = Vec::new();
        for (expr, column) in row.iter().zip(&index.columns) {
            let column = table.column(column.column).ok_or_else(|| SqlError::internal("a column got lost"))?;
            let target = Some((column.ty, column.typmod));
            let bound = bind::bind_expression(&expr.to_string(), None, target, &self.catalog)?;
            values.push(bound.eval(&[], &self.environment.eval)?);
        }
        IndexLayout::new(relation.id, table, index)?.prefix_key(&values)
    }
}
