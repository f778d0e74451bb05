//! Roles as the catalog stores them, and the privileges that belong to no relation: on databases, and those that new objects
//! begin with.

use std::{collections::BTreeMap, sync::Arc};

use auth::privilege::{Acl, Membership, Object, PUBLIC, RoleFacts, RoleId, Roles};
use serde::{Deserialize, Serialize};

use super::system;

/// One role. Its password and its other factors are kept elsewhere (`security`): this much everybody may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub oid: RoleId,
    pub name: String,
    pub superuser: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub inherit: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_row_security: bool,
    /// -1: none.
    pub connection_limit: i32,
    /// When its password ends, in microseconds since 2000-01-01 UTC.
    pub valid_until: Option<i64>,
    /// The roles that it is a member of.
    pub memberships: Vec<Membership>,
    /// What its sessions begin with (`ALTER ROLE … SET`).
    pub settings: Vec<(String, String)>,
}

impl Role {
    pub fn new(oid: RoleId, name: &str) -> Role {
        Role {
            oid,
            name: name.to_owned(),
            superuser: false,
            create_role: false,
            create_database: false,
            inherit: true,
            login: false,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            valid_until: None,
            memberships: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The role that owns the system.
    pub fn bootstrap() -> Role {
        Role {
            superuser: true,
            create_role: true,
            create_database: true,
            login: true,
            replication: true,
            bypass_row_security: true,
            ..Role::new(system::roles::BOOTSTRAP_OID, crate::session::BOOTSTRAP_ROLE)
        }
    }
}

/// Who owns the database and may do what with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseAccess {
    /// `None`: the role that owns the system.
    pub owner: Option<String>,
    pub acl: Option<Acl>,
}

/// What new objects of a role begin with (`ALTER DEFAULT PRIVILEGES`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultAcl {
    pub oid: u32,
    pub role: RoleId,
    /// OID of a schema; 0: everywhere.
    pub schema: u32,
    pub object: Object,
    pub acl: Acl,
}

/// All roles of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct RoleSet {
    by_oid: BTreeMap<RoleId, Arc<Role>>,
    facts: Roles,
}

impl RoleSet {
    pub fn insert(&mut self, role: Role) {
        let facts =
            RoleFacts { superuser: role.superuser, inherit: role.inherit, memberships: role.memberships.clone() };
        self.facts.insert(role.oid, facts);
        self.by_oid.insert(role.oid, Arc::new(role));
    }

    pub fn remove(&mut self, oid: RoleId) {
        self.facts.remove(&oid);
        self.by_oid.remove(&oid);
    }

    pub fn get(&self, oid: RoleId) -> Option<&Arc<Role>> {
        self.by_oid.get(&oid)
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Role>> {
        self.by_oid.values().find(|role| role.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.by_oid.values()
    }

    /// What decisions of `auth` are made from.
    pub fn facts(&self) -> &Roles {
        &self.facts
    }

    /// The OID of a role by name; of one that is not there (a session's whose role was dropped), one that nobody else has.
    pub fn oid(&self, name: &str) -> RoleId {
        self.named(name).map_or_else(|| system::roles::unknown_oid(name), |role| role.oid)
    }

    /// The name to an OID, as lists of privileges show it.
    pub fn name(&self, oid: RoleId) -> String {
        match self.get(oid) {
            Some(role) => role.name.clone(),
            None if oid == PUBLIC => String::new(),
            None => oid.to_string(),
        }
    }
}
