//! CREATE SCHEMA.

use sqlparser::ast;

use super::Change;
use crate::{
    catalog::{Schema, store, system},
    error::{Result, SqlError, SqlState},
    session::{fold, object_name},
};

impl Change<'_> {
    pub(super) async fn create_schema(&mut self, name: &ast::SchemaName, if_not_exists: bool) -> Result<()> {
        let name = match name {
            ast::SchemaName::Simple(name) | ast::SchemaName::NamedAuthorization(name, _) => object_name(name)?.1,
            ast::SchemaName::UnnamedAuthorization(role) => fold(role),
        };
        if name.starts_with("pg_") {
            let message = format!("unacceptable schema name \"{name}\"");
            return Err(
                SqlError::new(SqlState("42939"), message).detail("The prefix \"pg_\" is reserved for system schemas.")
            );
        }
        if self.catalog.snapshot.schema(&name).is_some() || system::is_system_schema(&name) {
            if if_not_exists {
                self.notice(SqlState("42P06"), format!("schema \"{name}\" already exists, skipping"));
                return Ok(());
            }
            return Err(SqlError::new(SqlState("42P06"), format!("schema \"{name}\" already exists")));
        }
        let owner = self.environment.eval.session.user.clone();
        let schema = Schema { oid: self.oid().await?, name, owner };
        store::put_schema(self.txn, &schema)?;
        self.snapshot_mut().insert_schema(schema);
        Ok(())
    }
}
