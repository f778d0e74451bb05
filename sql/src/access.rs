//! What a statement needs to be allowed, noted while it is bound and decided before it runs.
//!
//! Each table in FROM needs SELECT: on the table, or on every column that is used. Targets of changes need the privilege of
//! the change, by table or by column. What a view reads is read with the rights of the view's owner.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use auth::privilege::{self, Object, Privileges, RoleId};
use base::TableId;

use crate::{
    catalog::{ColumnId, Relation, RelationKind, Snapshot, change::kind_word, system},
    error::{Result, SqlError, SqlState},
};

pub(crate) const DENIED: SqlState = SqlState("42501");

/// Everything that one statement needs.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    by_key: BTreeMap<(Option<String>, TableId, &'static str), Need>,
    /// OIDs of schemas that were named.
    schemas: BTreeSet<u32>,
}

#[derive(Clone, Debug)]
struct Need {
    relation: Arc<Relation>,
    privilege: Privileges,
    /// Those columns; none: any, or the whole.
    columns: BTreeSet<ColumnId>,
}

impl Needs {
    /// Notes that the relation is used with this privilege. `owner`: in the name of a view's owner.
    pub fn relation(&mut self, owner: Option<&str>, relation: &Arc<Relation>, privilege: Privileges) {
        self.need(owner, relation, privilege);
    }

    pub fn column(&mut self, owner: Option<&str>, relation: &Arc<Relation>, privilege: Privileges, column: ColumnId) {
        self.need(owner, relation, privilege).columns.insert(column);
    }

    pub fn schema(&mut self, oid: u32) {
        self.schemas.insert(oid);
    }

    fn need(&mut self, owner: Option<&str>, relation: &Arc<Relation>, privilege: Privileges) -> &mut Need {
        let name = privilege.names().next().map_or("", |(_, name)| name);
        self.by_key.entry((owner.map(str::to_owned), relation.id, name)).or_insert_with(|| Need {
            relation: Arc::clone(relation),
            privilege,
            columns: BTreeSet::new(),
        })
    }

    /// Decides for a role.
    pub fn check(&self, snapshot: &Snapshot, role: &str) -> Result<()> {
        let roles = &snapshot.roles;
        let acting = roles.oid(role);
        // Most sessions of most tests and tools; nothing else needs to be looked at.
        let superuser = privilege::is_superuser(roles.facts(), acting);
        for oid in self.schemas.iter().filter(|_| !superuser) {
            check_schema(snapshot, acting, *oid)?;
        }
        for ((owner, _, _), need) in &self.by_key {
            let acting = owner.as_ref().map_or(acting, |owner| roles.oid(owner));
            if !(superuser && owner.is_none()) {
                need.check(snapshot, acting)?;
            }
        }
        Ok(())
    }
}

impl Need {
    fn check(&self, snapshot: &Snapshot, acting: RoleId) -> Result<()> {
        let relation = &*self.relation;
        if let RelationKind::System { .. } = relation.kind {
            let open = self.privilege == Privileges::SELECT && !system::is_restricted(relation);
            let superuser = privilege::is_superuser(snapshot.roles.facts(), acting);
            return if open || superuser { Ok(()) } else { Err(denied_relation(relation)) };
        }
        if held(snapshot, relation, acting).contains(self.privilege) {
            return Ok(());
        }
        let by_column = |column: &ColumnId| column_held(snapshot, relation, *column, acting).contains(self.privilege);
        let allowed = Object::Column.all().contains(self.privilege)
            && if self.columns.is_empty() {
                self.privilege == Privileges::SELECT && relation.column_acls.keys().any(by_column)
            } else {
                self.columns.iter().all(by_column)
            };
        if allowed { Ok(()) } else { Err(denied_relation(relation)) }
    }
}

/// What a role may do with a relation as a whole.
pub(crate) fn held(snapshot: &Snapshot, relation: &Relation, role: RoleId) -> Privileges {
    let roles = &snapshot.roles;
    let object = relation.privilege_object();
    privilege::held(roles.facts(), role, object, roles.oid(&relation.owner), relation.acl.as_ref())
}

/// What a role may do with one column besides.
pub(crate) fn column_held(snapshot: &Snapshot, relation: &Relation, column: ColumnId, role: RoleId) -> Privileges {
    let roles = &snapshot.roles;
    let acl = relation.column_acls.get(&column);
    privilege::held(roles.facts(), role, Object::Column, roles.oid(&relation.owner), acl)
}

/// What a role may do with a schema.
pub(crate) fn schema_held(snapshot: &Snapshot, role: RoleId, oid: u32) -> Privileges {
    let Some(schema) = snapshot.schema_by_oid(oid) else { return Privileges::USAGE };
    let roles = &snapshot.roles;
    privilege::held(roles.facts(), role, Object::Schema, roles.oid(&schema.owner), schema.acl.as_ref())
}

pub(crate) fn check_schema(snapshot: &Snapshot, acting: RoleId, oid: u32) -> Result<()> {
    if schema_held(snapshot, acting, oid).contains(Privileges::USAGE) {
        return Ok(());
    }
    let name = snapshot.schema_by_oid(oid).map_or("?", |schema| &schema.name);
    Err(SqlError::new(DENIED, format!("permission denied for schema {name}")))
}

pub(crate) fn denied_relation(relation: &Relation) -> SqlError {
    SqlError::new(DENIED, format!("permission denied for {} {}", kind_word(relation), relation.name))
}
