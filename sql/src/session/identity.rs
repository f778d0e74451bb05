//! With whose rights a session works: SET ROLE and SET SESSION AUTHORIZATION. They look at the catalog as it is, not as it was
//! cached, so that a membership that was revoked opens nothing.

use auth::{audit::Record, privilege};
use sqlparser::ast::{self, ContextModifier, Set, SetSessionAuthorizationParamKind as Authorization, Statement as Ast};

use super::{Session, utility::fold};
use crate::{
    access::DENIED,
    error::{Result, SqlError, SqlState},
};

const ROLE: &str = "role";
const SESSION: &str = "session_authorization";

impl Session {
    /// Who has signed in, or was put in its place.
    pub(super) fn session_user(&self) -> String {
        match self.settings.get(SESSION) {
            "" => self.activity.user.clone(),
            user => user.to_owned(),
        }
    }

    /// With whose rights statements run.
    pub(super) fn current_user(&self) -> String {
        match self.settings.get(ROLE) {
            "" | "none" => self.session_user(),
            role => role.to_owned(),
        }
    }

    /// Runs the statement if it is one of these; its tag.
    pub(super) async fn identity_statement(&mut self, syntax: &Ast) -> Result<Option<&'static str>> {
        match syntax {
            Ast::Set(Set::SetRole { context_modifier, role_name }) => {
                let name = role_name.as_ref().map(fold).filter(|name| name != "none");
                let local = matches!(context_modifier, Some(ContextModifier::Local));
                self.set_role(name, local).await?;
                Ok(Some("SET"))
            }
            Ast::Set(Set::SetSessionAuthorization(param)) => {
                let name = match &param.kind {
                    Authorization::Default => None,
                    Authorization::User(name) => Some(fold(name)),
                };
                self.set_session_user(name, matches!(param.scope, ContextModifier::Local)).await?;
                Ok(Some("SET"))
            }
            Ast::Set(Set::SingleAssignment { scope, variable, values, .. }) => {
                let name = variable.to_string().to_ascii_lowercase();
                if name != ROLE && name != SESSION {
                    return Ok(None);
                }
                let value = match &values[..] {
                    [ast::Expr::Identifier(word)] => fold(word),
                    [ast::Expr::Value(value)] => match &value.value {
                        ast::Value::SingleQuotedString(text) => text.clone(),
                        other => other.to_string(),
                    },
                    _ => return Err(SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error in \"{syntax}\""))),
                };
                let none = value == "none" || value == "default";
                let local = matches!(scope, Some(ContextModifier::Local));
                match name.as_str() {
                    ROLE => self.set_role((!none).then_some(value), local).await?,
                    _ => self.set_session_user((!none).then_some(value), local).await?,
                }
                Ok(Some("SET"))
            }
            Ast::Reset(reset) => match &reset.reset {
                ast::Reset::SessionAuthorization => {
                    self.set_session_user(None, false).await?;
                    Ok(Some("RESET"))
                }
                ast::Reset::ConfigurationParameter(name) if name.to_string().eq_ignore_ascii_case(ROLE) => {
                    self.set_role(None, false).await?;
                    Ok(Some("RESET"))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    async fn set_role(&mut self, name: Option<String>, local: bool) -> Result<()> {
        let snapshot = self.snapshot().await?;
        let Some(name) = name else {
            let session = snapshot.roles.oid(&self.session_user());
            self.settings.set_identity(ROLE, None, local)?;
            self.settings.set_superuser(privilege::is_superuser(snapshot.roles.facts(), session), local);
            return Ok(());
        };
        let Some(role) = snapshot.roles.named(&name) else {
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("role \"{name}\" does not exist")));
        };
        let facts = snapshot.roles.facts();
        let session = snapshot.roles.oid(&self.session_user());
        let member = privilege::membership(facts, session, false).contains(&role.oid);
        if !member && !privilege::is_superuser(facts, session) {
            return Err(SqlError::new(DENIED, format!("permission denied to set role \"{name}\"")));
        }
        self.settings.set_identity(ROLE, Some(&name), local)?;
        self.settings.set_superuser(role.superuser, local);
        Ok(())
    }

    async fn set_session_user(&mut self, name: Option<String>, local: bool) -> Result<()> {
        let own = self.activity.user.clone();
        let name = name.unwrap_or_else(|| own.clone());
        let snapshot = self.snapshot().await?;
        let Some(role) = snapshot.roles.named(&name) else {
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("role \"{name}\" does not exist")));
        };
        let facts = snapshot.roles.facts();
        if name != own && !privilege::is_superuser(facts, snapshot.roles.oid(&own)) {
            return Err(SqlError::new(DENIED, "permission denied to set session authorization"));
        }
        let superuser = role.superuser;
        self.settings.set_identity(SESSION, Some(&name), local)?;
        self.settings.set_identity(ROLE, None, local)?;
        self.settings.set_superuser(superuser, local);
        Ok(())
    }

    /// Writes down that something was refused.
    pub(super) fn audit_denied(&self, error: &SqlError) {
        if error.state() != DENIED {
            return;
        }
        self.database.audit_later(Record {
            unix_micros: self.database.client.runtime.wall_micros(),
            event: "denied".to_owned(),
            role: self.current_user(),
            address: self.activity.client.address.map_or(String::new(), |address| address.to_string()),
            object: self.activity.database.clone(),
            succeeded: false,
            detail: error.fields().message.clone(),
        });
    }

    /// Whoever has signed in is who the session works for again.
    pub(super) fn reset_identity(&mut self) -> Result<()> {
        let user = self.activity.user.clone();
        self.settings.set_identity(SESSION, Some(&user), false)?;
        self.settings.set_identity(ROLE, None, false)?;
        self.settings.set_superuser(self.activity.client.superuser, false);
        Ok(())
    }
}
