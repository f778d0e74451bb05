//! Tickets and the rules of sign-in.

use std::sync::Arc;

use auth::{
    privilege,
    rules::{Attempt, Method, Rules},
};

use super::{Change, role::DENIED};
use crate::{
    catalog::system::roles::BOOTSTRAP_OID,
    error::{Result, SqlError, SqlState},
    parse::roles::RoleName,
    session::POSTGRES_EPOCH_MICROS,
    types::{Row, Value},
};

impl Change<'_> {
    pub(super) async fn create_ticket(&mut self) -> Result<Vec<Row>> {
        let role = self.role(&RoleName::SessionUser)?;
        let session = Arc::clone(&self.environment.eval.session);
        let note = session.settings.get("application_name").cloned().unwrap_or_default();
        let database = Arc::clone(self.database);
        let (name, secret, expires) = database.create_ticket(self.txn, &role, &session.client, &note).await?;
        self.audit("ticket", &name, "created").await?;
        let expires = Value::TimestampTz(expires as i64 * 1000 - POSTGRES_EPOCH_MICROS);
        let options = crate::types::FormatOptions::from_session(&session);
        let expires = crate::types::text::to_text(&expires, crate::types::DataType::TIMESTAMPTZ, &options);
        Ok(vec![vec![Value::text(name), Value::text(secret), Value::text(expires)]])
    }

    pub(super) async fn drop_ticket(&mut self, id: &str) -> Result<()> {
        let database = Arc::clone(self.database);
        let own = self.catalog.snapshot.roles.oid(&self.environment.eval.session.session_user);
        database.drop_ticket(self.txn, id, (!self.is_superuser()).then_some(own)).await?;
        self.audit("ticket", id, "dropped").await
    }

    /// Sets the rules, unless whoever does so could not sign in again in the way it did.
    pub(super) async fn change_rules(&mut self, text: Option<&str>) -> Result<()> {
        if !self.is_superuser() {
            return Err(SqlError::new(DENIED, "permission denied to set parameter \"locus.hba\""));
        }
        let rules = match text {
            Some(text) => Rules::parse(text).map_err(|error| {
                SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid rules").detail(error.to_string())
            })?,
            None => Rules::standard(),
        };
        let session = Arc::clone(&self.environment.eval.session);
        if let Some(address) = session.client.address {
            let attempt = Attempt {
                encrypted: session.client.encrypted,
                database: &session.database,
                role: &session.session_user,
                address,
            };
            let admitted = rules.decide(&attempt, &|group| self.is_member(&session.session_user, group));
            let method = admitted.map_or(Method::Reject, |(_, rule)| rule.method);
            let role = self.role(&RoleName::SessionUser)?;
            let credential = crate::security::credential(self.txn, role.oid).await?;
            let owns_key = role.oid == BOOTSTRAP_OID && self.database.security().cluster_key.is_some();
            if !credential.can_pass(method, attempt.may_send_password(), owns_key) {
                let message = "these rules would lock you out";
                return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).detail(format!(
                    "User \"{}\" cannot sign in from address {address} by method {}.",
                    session.session_user,
                    method.name()
                )));
            }
        }
        let database = Arc::clone(self.database);
        database.store_rules(self.txn, text).await?;
        self.audit("rule", "locus.hba", if text.is_some() { "set" } else { "reset" }).await
    }

    fn is_member(&self, role: &str, group: &str) -> bool {
        let roles = &self.catalog.snapshot.roles;
        let group = roles.named(group).map(|group| group.oid);
        group.is_some_and(|group| privilege::membership(roles.facts(), roles.oid(role), false).contains(&group))
    }

    /// Which rule decides on a sign-in: its number, its text, its method.
    pub(super) async fn test_rules(
        &mut self,
        role: &RoleName,
        address: &str,
        encrypted: bool,
        database: Option<&str>,
    ) -> Result<Vec<Row>> {
        if !self.is_superuser() {
            return Err(SqlError::new(DENIED, "permission denied to test rules"));
        }
        let name = match role {
            // Of roles that do not exist as well.
            RoleName::Named(name) => name.clone(),
            other => self.role(other)?.name.clone(),
        };
        let address = address.parse().map_err(|_| {
            let message = format!("invalid input syntax for type inet: \"{address}\"");
            SqlError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        })?;
        let own = Arc::clone(self.database);
        let rules = own.rules(self.txn).await?;
        let database = database.unwrap_or(&self.environment.eval.session.database).to_owned();
        let attempt = Attempt { encrypted, database: &database, role: &name, address };
        let found = rules.decide(&attempt, &|group| self.is_member(&name, group));
        let (number, text, method) = match found {
            Some((position, rule)) => {
                (Value::text((position + 1).to_string()), Value::text(rule.to_string()), rule.method.name())
            }
            None => (Value::Null, Value::Null, "reject"),
        };
        Ok(vec![vec![number, text, Value::text(method)]])
    }
}
