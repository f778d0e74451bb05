//! Roles and privileges as `pg_catalog` shows them.

use auth::privilege::{Acl, Object};

use super::{Output, SystemViews, array, flag, int4, letter, oid, text};
use crate::types::{DataType, Value};

/// PostgreSQL's OID of the role that owns the system.
pub const BOOTSTRAP_OID: u32 = 10;

/// The OID of a role that does not exist: made from its name, above every OID that is ever given out.
pub fn unknown_oid(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    0x8000_0000 | hash
}

impl SystemViews {
    pub(super) fn role_oid(&self, name: &str) -> Value {
        oid(self.catalog.snapshot.roles.oid(name))
    }

    /// A list of privileges; NULL where it was never touched.
    pub(super) fn acl(&self, acl: Option<&Acl>) -> Value {
        let Some(acl) = acl else { return Value::Null };
        let name = |role| self.catalog.snapshot.roles.name(role);
        array(DataType::TEXT, acl.0.iter().map(|item| text(item.show(&name))).collect())
    }

    pub(super) fn pg_roles(&self, output: &mut Output<'_>) {
        for role in self.catalog.snapshot.roles.iter() {
            let until = role.valid_until.map_or(Value::Null, Value::TimestampTz);
            let mut row = vec![
                ("oid", oid(role.oid)),
                ("rolname", text(role.name.as_str())),
                ("rolsuper", flag(role.superuser)),
                ("rolinherit", flag(role.inherit)),
                ("rolcreaterole", flag(role.create_role)),
                ("rolcreatedb", flag(role.create_database)),
                ("rolcanlogin", flag(role.login)),
                ("rolreplication", flag(role.replication)),
                ("rolbypassrls", flag(role.bypass_row_security)),
                ("rolconnlimit", int4(i64::from(role.connection_limit))),
                ("rolvaliduntil", until),
            ];
            if output.has("rolconfig") {
                row.push(("rolpassword", text("********")));
                row.push(("rolconfig", settings(&role.settings)));
            }
            output.row(row);
        }
    }

    pub(super) fn pg_user(&self, output: &mut Output<'_>) {
        for role in self.catalog.snapshot.roles.iter().filter(|role| role.login) {
            output.row([
                ("usesysid", oid(role.oid)),
                ("usename", text(role.name.as_str())),
                ("usecreatedb", flag(role.create_database)),
                ("usesuper", flag(role.superuser)),
                ("userepl", flag(role.replication)),
                ("usebypassrls", flag(role.bypass_row_security)),
                ("passwd", text("********")),
                ("valuntil", role.valid_until.map_or(Value::Null, Value::TimestampTz)),
                ("useconfig", settings(&role.settings)),
            ]);
        }
    }

    pub(super) fn pg_auth_members(&self, output: &mut Output<'_>) {
        for role in self.catalog.snapshot.roles.iter() {
            for membership in &role.memberships {
                output.row([
                    ("roleid", oid(membership.role)),
                    ("member", oid(role.oid)),
                    ("grantor", oid(membership.grantor)),
                    ("admin_option", flag(membership.admin)),
                ]);
            }
        }
    }

    pub(super) fn pg_db_role_setting(&self, output: &mut Output<'_>) {
        for role in self.catalog.snapshot.roles.iter().filter(|role| !role.settings.is_empty()) {
            output.row([("setdatabase", oid(0)), ("setrole", oid(role.oid)), ("setconfig", settings(&role.settings))]);
        }
    }

    pub(super) fn pg_default_acl(&self, output: &mut Output<'_>) {
        for default in self.catalog.snapshot.default_acls() {
            let object = match default.object {
                Object::Sequence => 'S',
                Object::Schema => 'n',
                _ => 'r',
            };
            output.row([
                ("oid", oid(default.oid)),
                ("defaclrole", oid(default.role)),
                ("defaclnamespace", oid(default.schema)),
                ("defaclobjtype", letter(object)),
                ("defaclacl", self.acl(Some(&default.acl))),
            ]);
        }
    }
}

fn settings(settings: &[(String, String)]) -> Value {
    if settings.is_empty() {
        return Value::Null;
    }
    array(DataType::TEXT, settings.iter().map(|(name, value)| text(format!("{name}={value}"))).collect())
}
