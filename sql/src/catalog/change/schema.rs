//! CREATE SCHEMA.

use auth::privilege::Object;
use sqlparser::ast;

use super::Change;
use crate::{
    catalog::{Schema, store, system},
    error::{Result, SqlError, SqlState},
    parse::roles::RoleName,
    session::{fold, object_name},
};

impl Change<'_> {
    pub(super) async fn create_schema(&mut self, name: &ast::SchemaName, if_not_exists: bool) -> Result<()> {
        let (name, authorization) = match name {
            ast::SchemaName::Simple(name) => (object_name(name)?.1, None),
            ast::SchemaName::NamedAuthorization(name, role) => (object_name(name)?.1, Some(fold(role))),
            ast::SchemaName::UnnamedAuthorization(role) => (fold(role), Some(fold(role))),
        };
        self.may_create_schemas()?;
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
        let owner = match authorization {
            Some(role) => self.new_owner(&RoleName::Named(role))?,
            None => self.environment.eval.session.user.clone(),
        };
        let oid = self.oid().await?;
        let schema = Schema { oid, name, owner, acl: self.initial_acl(Object::Schema, 0) };
        store::put_schema(self.txn, &schema)?;
        self.snapshot_mut().insert_schema(schema);
        Ok(())
    }
}
