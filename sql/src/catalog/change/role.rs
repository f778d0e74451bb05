//! CREATE, ALTER and DROP ROLE, and membership.

use std::sync::Arc;

use auth::{
    audit::Record,
    password::Encryption,
    privilege::{self, Membership, RoleId},
};

use super::Change;
use crate::{
    catalog::{Role, store},
    error::{Result, SqlError, SqlState},
    parse::roles::{FactorChange, Objects, RoleName, RoleOptions, RoleStatement},
    security::audit,
    types::{Row, Value},
};

pub(super) const DENIED: SqlState = SqlState("42501");
const RESERVED_NAME: SqlState = SqlState("42939");
const NAME_BYTES_MAX: usize = 63;
const INVALID_GRANT: SqlState = SqlState("0LP01");
const OBJECT_IN_USE: SqlState = SqlState("55006");

impl Change<'_> {
    /// Runs the statement; the rows it returns.
    pub(super) async fn role_statement(&mut self, statement: &RoleStatement) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        match statement {
            RoleStatement::Create { name, login, options } => self.create_role(name, *login, options).await?,
            RoleStatement::Alter { name, options } => self.alter_role(name, options).await?,
            RoleStatement::Factor { name, change } => rows = self.change_factor(name, change).await?,
            RoleStatement::Rename { name, to } => self.rename_role(name, to).await?,
            RoleStatement::Set { name, setting, value } => {
                self.set_role_setting(name, setting.as_deref(), value.as_deref()).await?;
            }
            RoleStatement::Drop { names, if_exists } => self.drop_roles(names, *if_exists).await?,
            RoleStatement::Grant { revoke, roles, members, admin } => {
                self.grant_roles(*revoke, roles, members, *admin).await?;
            }
            RoleStatement::Privileges(statement) => self.change_privileges(statement).await?,
            RoleStatement::Defaults { roles, schemas, statement } => {
                self.change_defaults(roles, schemas, statement).await?;
            }
            RoleStatement::Owner { object: Objects::Schemas(names), to } => self.schema_owner(names, to).await?,
            RoleStatement::Owner { object: Objects::Databases(names), to } => self.database_owner(names, to).await?,
            RoleStatement::Owner { object: Objects::Relations(_, names), to } => {
                for name in names {
                    self.view_owner(name, to).await?;
                }
            }
            RoleStatement::Owner { .. } => return Err(SqlError::unsupported("this change of owner")),
            RoleStatement::ReassignOwned { from, to } => self.reassign_owned(from, to).await?,
            RoleStatement::DropOwned { roles } => self.drop_owned(roles).await?,
            RoleStatement::CreateTicket => rows = self.create_ticket().await?,
            RoleStatement::DropTicket(id) => self.drop_ticket(id).await?,
            RoleStatement::Rules(text) => self.change_rules(text.as_deref()).await?,
            RoleStatement::TestRules { role, address, encrypted, database } => {
                rows = self.test_rules(role, address, *encrypted, database.as_deref()).await?;
            }
        }
        Ok(rows)
    }

    /// The role under whose rights the statement runs.
    pub(super) fn acting(&self) -> RoleId {
        self.catalog.snapshot.roles.oid(&self.environment.eval.session.user)
    }

    pub(super) fn is_superuser(&self) -> bool {
        privilege::is_superuser(self.catalog.snapshot.roles.facts(), self.acting())
    }

    /// Whether the acting role may do what only this owner may.
    pub(super) fn acts_as(&self, owner: &str) -> bool {
        let roles = &self.catalog.snapshot.roles;
        privilege::acts_as(roles.facts(), self.acting(), roles.oid(owner))
    }

    pub(super) fn role(&self, name: &RoleName) -> Result<Arc<Role>> {
        let session = &self.environment.eval.session;
        let name = match name {
            RoleName::Named(name) => name,
            RoleName::CurrentRole => &session.user,
            RoleName::SessionUser => &session.session_user,
            RoleName::Public => "public",
        };
        self.catalog.snapshot.roles.named(name).cloned().ok_or_else(|| no_role(name))
    }

    fn put_role(&mut self, role: Role) -> Result<()> {
        store::put_role(self.txn, &role)?;
        self.snapshot_mut().roles.insert(role);
        Ok(())
    }

    /// Writes an audit row with this change: both come about, or neither.
    pub(super) async fn audit(&mut self, event: &str, object: &str, detail: impl Into<String>) -> Result<()> {
        let session = &self.environment.eval.session;
        let record = Record {
            unix_micros: self.database.client.runtime.wall_micros(),
            event: event.to_owned(),
            role: session.user.clone(),
            address: session.client.address.map_or(String::new(), |address| address.to_string()),
            object: object.to_owned(),
            succeeded: true,
            detail: detail.into(),
        };
        audit::append(self.txn, record).await
    }

    fn may_create_roles(&self) -> bool {
        let acting = self.catalog.snapshot.roles.get(self.acting());
        acting.is_some_and(|role| role.superuser || role.create_role)
    }

    fn new_role_name(&self, name: &str) -> Result<()> {
        // A client could not name it: start-up packets are cut there, as PostgreSQL does.
        if name.len() > NAME_BYTES_MAX {
            return Err(SqlError::new(SqlState("42622"), format!("role name \"{name}\" is too long"))
                .detail(format!("Names of roles have at most {NAME_BYTES_MAX} bytes.")));
        }
        let prefix = ["pg_", auth::ticket::PREFIX].into_iter().find(|prefix| name.starts_with(prefix));
        if prefix.is_some() || matches!(name, "public" | "none") {
            let error = SqlError::new(RESERVED_NAME, format!("role name \"{name}\" is reserved"));
            return Err(match prefix {
                Some(prefix) => error.detail(format!("Role names starting with \"{prefix}\" are reserved.")),
                None => error,
            });
        }
        if self.catalog.snapshot.roles.named(name).is_some() {
            return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")));
        }
        Ok(())
    }

    async fn create_role(&mut self, name: &RoleName, login: bool, options: &RoleOptions) -> Result<()> {
        let name = match name {
            RoleName::Named(name) => name.clone(),
            _ => return Err(SqlError::new(RESERVED_NAME, "role name \"public\" is reserved")),
        };
        if !self.may_create_roles() {
            return Err(SqlError::new(DENIED, "permission denied to create role"));
        }
        self.check_attributes(options, "must be superuser to create superusers")?;
        self.new_role_name(&name)?;
        let mut role = Role { login, ..Role::new(self.oid().await?, &name) };
        self.apply(&mut role, options).await?;
        self.put_role(role.clone())?;
        self.audit("role", &name, "created").await?;
        if let Some(password) = &options.password {
            self.set_password(&role, password.as_ref().map(|secret| secret.0.as_str())).await?;
        }
        let own = [RoleName::Named(name)];
        for group in &options.in_roles {
            self.grant_roles(false, std::slice::from_ref(group), &own, false).await?;
        }
        self.grant_roles(false, &own, &options.members, false).await?;
        self.grant_roles(false, &own, &options.admins, true).await
    }

    /// Attributes that only a superuser may give.
    fn check_attributes(&self, options: &RoleOptions, message: &str) -> Result<()> {
        let special =
            options.superuser.is_some() || options.replication.is_some() || options.bypass_row_security.is_some();
        if special && !self.is_superuser() {
            return Err(SqlError::new(DENIED, message));
        }
        Ok(())
    }

    async fn apply(&mut self, role: &mut Role, options: &RoleOptions) -> Result<()> {
        let flags = [
            (&mut role.superuser, options.superuser),
            (&mut role.create_role, options.create_role),
            (&mut role.create_database, options.create_database),
            (&mut role.inherit, options.inherit),
            (&mut role.login, options.login),
            (&mut role.replication, options.replication),
            (&mut role.bypass_row_security, options.bypass_row_security),
        ];
        for (flag, value) in flags {
            *flag = value.unwrap_or(*flag);
        }
        if let Some(limit) = options.connection_limit {
            if limit < -1 {
                let message = format!("invalid connection limit: {limit}");
                return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
            role.connection_limit = limit;
        }
        if let Some(until) = &options.valid_until {
            let (rows, _) = self.query(&format!("SELECT '{}'::timestamptz", until.replace('\'', "''"))).await?;
            role.valid_until = match rows.first().and_then(|row| row.first()) {
                Some(Value::TimestampTz(i64::MAX)) => None,
                Some(Value::TimestampTz(micros)) => Some(*micros),
                _ => return Err(SqlError::internal("a time that is none")),
            };
        }
        Ok(())
    }

    async fn set_password(&mut self, role: &Role, password: Option<&str>) -> Result<()> {
        let settings = &self.environment.eval.session.settings;
        let encryption = settings.get("password_encryption").and_then(|name| Encryption::by_name(name));
        let database = Arc::clone(self.database);
        database.set_password(self.txn, role, password, encryption.unwrap_or_default()).await?;
        let detail = if password.is_some() { "password changed" } else { "password removed" };
        self.audit("role", &role.name, detail).await
    }

    async fn alter_role(&mut self, name: &RoleName, options: &RoleOptions) -> Result<()> {
        let mut role = Role::clone(&*self.role(name)?);
        self.check_attributes(options, "must be superuser to alter superuser roles or change superuser attribute")?;
        let itself = role.oid == self.acting();
        let only_password = RoleOptions { password: options.password.clone(), ..RoleOptions::default() };
        let plain = format!("{only_password:?}") == format!("{options:?}");
        if !(itself && plain) {
            self.may_alter(&role)?;
        }
        if let Some(password) = &options.password {
            self.set_password(&role, password.as_ref().map(|secret| secret.0.as_str())).await?;
        }
        let before = role.clone();
        self.apply(&mut role, options).await?;
        if role != before {
            let name = role.name.clone();
            self.put_role(role)?;
            self.audit("role", &name, "attributes changed").await?;
        }
        Ok(())
    }

    /// Superusers alter everybody, roles with CREATEROLE everybody but superusers.
    fn may_alter(&self, role: &Role) -> Result<()> {
        if role.superuser && !self.is_superuser() {
            let message = "must be superuser to alter superuser roles or change superuser attribute";
            return Err(SqlError::new(DENIED, message));
        }
        if !self.may_create_roles() {
            return Err(SqlError::new(DENIED, "permission denied"));
        }
        Ok(())
    }

    async fn change_factor(&mut self, name: &RoleName, change: &FactorChange) -> Result<Vec<Row>> {
        let role = self.role(name)?;
        // What weakens is left to others than the role itself where the role is required to have it.
        let weakens = matches!(change, FactorChange::RequireOtp(false));
        let required = weakens || matches!(change, FactorChange::DisableOtp) && self.requires_otp(&role).await?;
        if role.oid != self.acting() || required {
            self.may_alter(&role)?;
        }
        let database = Arc::clone(self.database);
        let rows = database.change_factor(self.txn, &role, change).await?;
        let detail = match change {
            FactorChange::EnableOtp => "one-time password begun",
            FactorChange::ConfirmOtp(_) => "one-time password confirmed",
            FactorChange::DisableOtp => "one-time password removed",
            FactorChange::RequireOtp(true) => "one-time password required",
            FactorChange::RequireOtp(false) => "one-time password no longer required",
            FactorChange::RecoveryCodes => "recovery codes renewed",
            FactorChange::AddKey(_) => "key added",
            FactorChange::DropKey(_) => "key removed",
        };
        self.audit("key", &role.name, detail).await?;
        Ok(rows.into_iter().map(|text| vec![Value::text(text)]).collect())
    }

    async fn requires_otp(&mut self, role: &Role) -> Result<bool> {
        Ok(crate::security::credential(self.txn, role.oid).await?.require_otp)
    }

    async fn rename_role(&mut self, name: &RoleName, to: &str) -> Result<()> {
        let mut role = Role::clone(&*self.role(name)?);
        self.may_alter(&role)?;
        if role.name == self.environment.eval.session.session_user {
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "session user cannot be renamed"));
        }
        self.new_role_name(to)?;
        let old = std::mem::replace(&mut role.name, to.to_owned());
        // Owners are known by name.
        self.replace_owner(&old, to, false)?;
        self.put_role(role)?;
        self.audit("role", to, format!("renamed from {old}")).await
    }

    async fn set_role_setting(&mut self, name: &RoleName, setting: Option<&str>, value: Option<&str>) -> Result<()> {
        let mut role = Role::clone(&*self.role(name)?);
        if role.oid != self.acting() {
            self.may_alter(&role)?;
        }
        match (setting, value) {
            (None, _) => role.settings.clear(),
            (Some(setting), value) => {
                let mut trial = crate::settings::Settings::new(&role.name);
                trial.set(setting, value, false)?;
                role.settings.retain(|(known, _)| !known.eq_ignore_ascii_case(setting));
                role.settings.extend(value.map(|value| (setting.to_owned(), value.to_owned())));
            }
        }
        let (name, detail) = (role.name.clone(), format!("setting {} changed", setting.unwrap_or("(all)")));
        self.put_role(role)?;
        self.audit("setting", &name, detail).await
    }

    async fn drop_roles(&mut self, names: &[RoleName], if_exists: bool) -> Result<()> {
        for name in names {
            let role = match self.role(name) {
                Ok(role) => role,
                Err(error) if if_exists && error.state() == SqlState::UNDEFINED_OBJECT => {
                    self.notice(SqlState("00000"), format!("{}, skipping", error.fields().message));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !self.may_create_roles() {
                return Err(SqlError::new(DENIED, "permission denied to drop role"));
            }
            if role.superuser && !self.is_superuser() {
                return Err(SqlError::new(DENIED, "must be superuser to drop superusers"));
            }
            let session = &self.environment.eval.session;
            if role.name == session.user || role.name == session.session_user {
                let which = if role.name == session.user { "current" } else { "session" };
                return Err(SqlError::new(OBJECT_IN_USE, format!("{which} user cannot be dropped")));
            }
            if role.oid == crate::catalog::system::roles::BOOTSTRAP_OID {
                let message = format!("cannot drop role {} because it is required by the database system", role.name);
                return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
            }
            let dependents = self.role_dependents(&role);
            if !dependents.is_empty() {
                let message = format!("role \"{}\" cannot be dropped because some objects depend on it", role.name);
                return Err(
                    SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).detail(dependents.join("\n"))
                );
            }
            self.forget_role(&role).await?;
        }
        Ok(())
    }

    async fn forget_role(&mut self, role: &Role) -> Result<()> {
        let members: Vec<Role> = self
            .catalog
            .snapshot
            .roles
            .iter()
            .filter(|member| member.memberships.iter().any(|membership| membership.role == role.oid))
            .map(|member| Role::clone(member))
            .collect();
        for mut member in members {
            member.memberships.retain(|membership| membership.role != role.oid);
            self.put_role(member)?;
        }
        store::delete_descriptor(self.txn, role.oid)?;
        self.snapshot_mut().roles.remove(role.oid);
        let database = Arc::clone(self.database);
        database.forget_factors(self.txn, role).await?;
        self.audit("role", &role.name, "dropped").await
    }

    async fn grant_roles(
        &mut self,
        revoke: bool,
        groups: &[RoleName],
        members: &[RoleName],
        admin: bool,
    ) -> Result<()> {
        for group in groups {
            let group = self.role(group)?;
            let roles = &self.catalog.snapshot.roles;
            let acting = self.acting();
            let create_role = roles.get(acting).is_some_and(|role| role.create_role) && !group.superuser;
            if !members.is_empty() && !create_role && !privilege::may_admit(roles.facts(), acting, group.oid) {
                let message = match group.superuser {
                    true => "must be superuser to alter superusers".to_owned(),
                    false => format!("must have admin option on role \"{}\"", group.name),
                };
                return Err(SqlError::new(DENIED, message));
            }
            for member in members {
                let member = Role::clone(&*self.role(member)?);
                match revoke {
                    true => self.revoke_membership(&group, member, admin).await?,
                    false => self.add_membership(&group, member, admin).await?,
                }
            }
        }
        Ok(())
    }

    async fn add_membership(&mut self, group: &Role, mut member: Role, admin: bool) -> Result<()> {
        let facts = self.catalog.snapshot.roles.facts();
        if privilege::membership(facts, group.oid, false).contains(&member.oid) {
            let message = format!("role \"{}\" is a member of role \"{}\"", group.name, member.name);
            return Err(SqlError::new(INVALID_GRANT, message));
        }
        let grantor = self.acting();
        match member.memberships.iter_mut().find(|membership| membership.role == group.oid) {
            Some(known) if known.admin || !admin => {
                let message = format!("role \"{}\" is already a member of role \"{}\"", member.name, group.name);
                self.notice(SqlState("00000"), message);
                return Ok(());
            }
            Some(known) => known.admin = true,
            None => member.memberships.push(Membership { role: group.oid, grantor, admin }),
        }
        let name = member.name.clone();
        self.put_role(member)?;
        self.audit("role", &group.name, format!("granted to {name}")).await
    }

    async fn revoke_membership(&mut self, group: &Role, mut member: Role, only_admin: bool) -> Result<()> {
        let Some(position) = member.memberships.iter().position(|membership| membership.role == group.oid) else {
            let message = format!("role \"{}\" is not a member of role \"{}\"", member.name, group.name);
            self.warning(SqlState("01000"), message);
            return Ok(());
        };
        if only_admin {
            member.memberships[position].admin = false;
        } else {
            member.memberships.remove(position);
        }
        let name = member.name.clone();
        self.put_role(member)?;
        self.audit("role", &group.name, format!("revoked from {name}")).await
    }
}

pub(super) fn no_role(name: &str) -> SqlError {
    SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}
