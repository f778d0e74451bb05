//! Owners: what only they may do, how an owner changes, and what keeps a role from being dropped.

use auth::privilege::{self, Acl, Object, Privileges};
use sqlparser::ast;

use super::{
    Change,
    drop::kind_word,
    grant::{denied, known_database},
    no_schema,
    role::DENIED,
};
use crate::{
    access,
    catalog::{Relation, RelationKind, Role, Schema, store},
    error::{Result, SqlError, SqlState},
    parse::roles::RoleName,
    session::{BOOTSTRAP_ROLE, DATABASE_NAMES},
};

impl Change<'_> {
    /// Only the owner, or whoever may act as it, may change an object.
    pub(super) fn must_own(&self, owner: &str, kind: &str, name: &str) -> Result<()> {
        if self.acts_as(owner) {
            return Ok(());
        }
        Err(SqlError::new(DENIED, format!("must be owner of {kind} {name}")))
    }

    pub(super) fn must_own_relation(&self, relation: &Relation) -> Result<()> {
        self.must_own(&relation.owner, kind_word(relation), &relation.name)
    }

    /// Owners of a relation may drop it, and owners of its schema.
    pub(super) fn may_drop(&self, relation: &Relation) -> Result<()> {
        let schema = self.catalog.snapshot.schema_by_oid(relation.schema_oid);
        if schema.is_some_and(|schema| self.acts_as(&schema.owner)) {
            return Ok(());
        }
        self.must_own_relation(relation)
    }

    /// A privilege on a relation as a whole.
    pub(super) fn may(&self, relation: &Relation, privilege: Privileges) -> Result<()> {
        let held = access::held(&self.catalog.snapshot, relation, self.acting());
        if held.contains(privilege) { Ok(()) } else { Err(access::denied_relation(relation)) }
    }

    /// The privilege to make objects in a schema.
    pub(super) fn may_create_in(&self, schema: &Schema) -> Result<()> {
        let roles = &self.catalog.snapshot.roles;
        let owner = roles.oid(&schema.owner);
        let held = privilege::held(roles.facts(), self.acting(), Object::Schema, owner, schema.acl.as_ref());
        if held.contains(Privileges::CREATE) { Ok(()) } else { Err(denied(Object::Schema, &schema.name)) }
    }

    pub(super) fn may_create_schemas(&self) -> Result<()> {
        let database = self.catalog.snapshot.database();
        let owner = self.database_owner_oid(database);
        let facts = self.catalog.snapshot.roles.facts();
        let held = privilege::held(facts, self.acting(), Object::Database, owner, database.acl.as_ref());
        let name = &self.environment.eval.session.database;
        if held.contains(Privileges::CREATE) { Ok(()) } else { Err(denied(Object::Database, name)) }
    }

    /// The role that is to own something from now on: the acting role must be able to become it.
    pub(super) fn new_owner(&self, name: &RoleName) -> Result<String> {
        let role = self.role(name)?;
        let facts = self.catalog.snapshot.roles.facts();
        let reachable = privilege::membership(facts, self.acting(), false).contains(&role.oid);
        if !reachable && !self.is_superuser() {
            return Err(SqlError::new(DENIED, format!("must be member of role \"{}\"", role.name)));
        }
        Ok(role.name.clone())
    }

    /// `OWNER TO`, for a relation that the acting role owns.
    pub(super) fn give_relation(&mut self, relation: Relation, to: &RoleName) -> Result<()> {
        let owner = self.new_owner(to)?;
        if owner != relation.owner && !self.is_superuser() {
            // It could have made the relation there itself.
            let (snapshot, role) = (&self.catalog.snapshot, self.catalog.snapshot.roles.oid(&owner));
            if !access::schema_held(snapshot, role, relation.schema_oid).contains(Privileges::CREATE) {
                let message = format!("permission denied for schema {}", relation.schema);
                return Err(SqlError::new(access::DENIED, message));
            }
        }
        // What belongs to its columns goes along.
        let sequences: Vec<_> = relation.columns().iter().filter_map(|column| column.owned_sequence).collect();
        for sequence in sequences {
            let sequence = self.stored(sequence)?;
            self.change_relation_owner(sequence, &owner)?;
        }
        self.change_relation_owner(relation, &owner)
    }

    /// Gives a relation to another role: what its owner has granted is now granted by the new one.
    pub(super) fn change_relation_owner(&mut self, mut relation: Relation, to: &str) -> Result<()> {
        let roles = &self.catalog.snapshot.roles;
        let (old, new) = (roles.oid(&relation.owner), roles.oid(to));
        for acl in relation.acl.iter_mut().chain(relation.column_acls.values_mut()) {
            acl.change_owner(old, new);
        }
        relation.owner = to.to_owned();
        self.put(relation).map(|_| ())
    }

    pub(super) async fn schema_owner(&mut self, names: &[String], to: &RoleName) -> Result<()> {
        let to = self.new_owner(to)?;
        for name in names {
            let schema = Schema::clone(self.catalog.snapshot.schema(name).ok_or_else(|| no_schema(name))?);
            self.must_own(&schema.owner, "schema", name)?;
            self.give_schema(schema, &to)?;
            self.audit("privilege", name, format!("owner is now {to}")).await?;
        }
        Ok(())
    }

    /// `ALTER VIEW … OWNER TO`.
    pub(super) async fn view_owner(&mut self, name: &ast::ObjectName, to: &RoleName) -> Result<()> {
        let relation = self.find(name)?;
        if !matches!(relation.kind, RelationKind::View(_)) {
            let message = format!("\"{}\" is not a view", relation.name);
            return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        self.must_own_relation(&relation)?;
        let shown = relation.name.clone();
        self.give_relation(Relation::clone(&relation), to)?;
        self.audit("privilege", &shown, "owner changed").await
    }

    fn give_schema(&mut self, mut schema: Schema, to: &str) -> Result<()> {
        let roles = &self.catalog.snapshot.roles;
        let (old, new) = (roles.oid(&schema.owner), roles.oid(to));
        if let Some(acl) = schema.acl.as_mut() {
            acl.change_owner(old, new);
        }
        schema.owner = to.to_owned();
        self.put_schema(schema)
    }

    pub(super) async fn database_owner(&mut self, names: &[String], to: &RoleName) -> Result<()> {
        let to = self.new_owner(to)?;
        for name in names {
            known_database(name)?;
            let mut database = self.catalog.snapshot.database().clone();
            self.must_own(database.owner.as_deref().unwrap_or(BOOTSTRAP_ROLE), "database", name)?;
            let (old, new) = (self.database_owner_oid(&database), self.catalog.snapshot.roles.oid(&to));
            if let Some(acl) = database.acl.as_mut() {
                acl.change_owner(old, new);
            }
            database.owner = Some(to.clone());
            self.put_database(database)?;
            self.audit("privilege", name, format!("owner is now {to}")).await?;
        }
        Ok(())
    }

    /// Puts another name in the place of an owner; with `granted` its grants go along.
    pub(super) fn replace_owner(&mut self, old: &str, new: &str, granted: bool) -> Result<()> {
        let owned: Vec<Relation> = self
            .catalog
            .snapshot
            .relations()
            .filter(|relation| relation.owner == old)
            .map(|relation| Relation::clone(relation))
            .collect();
        for mut relation in owned {
            if granted {
                self.change_relation_owner(relation, new)?;
            } else {
                relation.owner = new.to_owned();
                self.put(relation)?;
            }
        }
        let schemas: Vec<Schema> = self
            .catalog
            .snapshot
            .schemas()
            .filter(|schema| schema.owner == old)
            .map(|schema| Schema::clone(schema))
            .collect();
        for mut schema in schemas {
            if granted {
                self.give_schema(schema, new)?;
            } else {
                schema.owner = new.to_owned();
                self.put_schema(schema)?;
            }
        }
        if self.catalog.snapshot.database().owner.as_deref() == Some(old) {
            let mut database = self.catalog.snapshot.database().clone();
            let roles = &self.catalog.snapshot.roles;
            if let Some(acl) = database.acl.as_mut().filter(|_| granted) {
                acl.change_owner(roles.oid(old), roles.oid(new));
            }
            database.owner = Some(new.to_owned());
            self.put_database(database)?;
        }
        Ok(())
    }

    pub(super) async fn reassign_owned(&mut self, from: &[RoleName], to: &RoleName) -> Result<()> {
        let to = self.new_owner(to)?;
        for name in from {
            let from = self.role(name)?;
            if !self.acts_as(&from.name) {
                return Err(SqlError::new(DENIED, "permission denied to reassign objects"));
            }
            self.replace_owner(&from.name, &to, true)?;
            self.audit("privilege", &from.name, format!("everything it owned belongs to {to}")).await?;
        }
        Ok(())
    }

    /// DROP OWNED: takes back what was granted to the roles. What they own must be given away or dropped first.
    pub(super) async fn drop_owned(&mut self, roles: &[RoleName]) -> Result<()> {
        for name in roles {
            let role = self.role(name)?;
            if !self.acts_as(&role.name) {
                return Err(SqlError::new(DENIED, "permission denied to drop objects"));
            }
            if let Some(first) = self.owned(&role).first() {
                return Err(SqlError::unsupported(format!("DROP OWNED of a role that is {first}"))
                    .hint("Use REASSIGN OWNED, or drop what it owns."));
            }
            self.withdraw(&role)?;
            self.audit("privilege", &role.name, "everything granted to it was revoked").await?;
        }
        Ok(())
    }

    fn withdraw(&mut self, role: &Role) -> Result<()> {
        let mentioned: Vec<Relation> = self
            .catalog
            .snapshot
            .relations()
            .filter(|relation| relation.acl.iter().chain(relation.column_acls.values()).any(|acl| acl.names(role.oid)))
            .map(|relation| Relation::clone(relation))
            .collect();
        let clear = |acl: &mut Acl| acl.0.retain(|item| item.grantee != role.oid && item.grantor != role.oid);
        for mut relation in mentioned {
            relation.acl.iter_mut().chain(relation.column_acls.values_mut()).for_each(clear);
            relation.column_acls.retain(|_, acl| !acl.0.is_empty());
            self.put(relation)?;
        }
        let schemas: Vec<Schema> = self.catalog.snapshot.schemas().map(|schema| Schema::clone(schema)).collect();
        for mut schema in schemas {
            if schema.acl.as_ref().is_some_and(|acl| acl.names(role.oid)) {
                schema.acl.iter_mut().for_each(clear);
                self.put_schema(schema)?;
            }
        }
        let mut database = self.catalog.snapshot.database().clone();
        if database.acl.as_ref().is_some_and(|acl| acl.names(role.oid)) {
            database.acl.iter_mut().for_each(clear);
            self.put_database(database)?;
        }
        let defaults: Vec<u32> = self
            .catalog
            .snapshot
            .default_acls()
            .filter(|default| default.role == role.oid || default.acl.names(role.oid))
            .map(|default| default.oid)
            .collect();
        for oid in defaults {
            store::delete_descriptor(self.txn, oid)?;
            self.snapshot_mut().remove_default_acl(oid);
        }
        Ok(())
    }

    fn owned(&self, role: &Role) -> Vec<String> {
        let snapshot = &self.catalog.snapshot;
        let mut owned = Vec::new();
        if snapshot.database().owner.as_ref() == Some(&role.name) {
            owned.push(format!("owner of database {}", DATABASE_NAMES[0]));
        }
        let schemas = snapshot.schemas().filter(|schema| schema.owner == role.name);
        owned.extend(schemas.map(|schema| format!("owner of schema {}", schema.name)));
        let relations = snapshot.relations().filter(|relation| relation.owner == role.name);
        owned.extend(relations.map(|relation| format!("owner of {} {}", kind_word(relation), relation.name)));
        owned
    }

    /// What keeps a role from being dropped.
    pub(super) fn role_dependents(&self, role: &Role) -> Vec<String> {
        let snapshot = &self.catalog.snapshot;
        let mut dependents = self.owned(role);
        for relation in snapshot.relations().filter(|relation| relation.owner != role.name) {
            if relation.acl.iter().chain(relation.column_acls.values()).any(|acl| acl.names(role.oid)) {
                dependents.push(format!("privileges for {} {}", kind_word(relation), relation.name));
            }
        }
        for schema in snapshot.schemas().filter(|schema| schema.owner != role.name) {
            if schema.acl.as_ref().is_some_and(|acl| acl.names(role.oid)) {
                dependents.push(format!("privileges for schema {}", schema.name));
            }
        }
        if snapshot.database().acl.as_ref().is_some_and(|acl| acl.names(role.oid)) {
            dependents.push(format!("privileges for database {}", DATABASE_NAMES[0]));
        }
        if snapshot.default_acls().any(|default| default.role == role.oid || default.acl.names(role.oid)) {
            dependents.push(format!("privileges for default privileges of role {}", role.name));
        }
        dependents
    }
}
