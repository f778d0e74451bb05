//! GRANT and REVOKE of privileges, and those that new objects begin with.

use std::collections::BTreeMap;

use auth::privilege::{self, Acl, Object, PUBLIC, Privileges, RoleId};

use super::{Change, no_schema, role::DENIED};
use crate::{
    catalog::{ColumnId, DatabaseAccess, DefaultAcl, Relation, Schema, store},
    error::{Result, SqlError, SqlState},
    parse::roles::{Objects, PrivilegeStatement, RoleName},
    session::{BOOTSTRAP_ROLE, DATABASE_NAMES},
};

const INVALID_GRANT: SqlState = SqlState("0LP01");
const NOT_GRANTED: SqlState = SqlState("01007");
const NOT_REVOKED: SqlState = SqlState("01006");

/// One object whose list changes.
struct Subject<'a> {
    object: Object,
    name: &'a str,
    owner: RoleId,
}

impl Change<'_> {
    pub(super) async fn change_privileges(&mut self, statement: &PrivilegeStatement) -> Result<()> {
        let changed = match &statement.objects {
            Objects::Relations(object, names) => {
                let mut changed = Vec::new();
                for name in names {
                    let relation = self.find(name)?;
                    if *object == Object::Sequence && relation.privilege_object() != Object::Sequence {
                        let message = format!("\"{}\" is not a sequence", relation.name);
                        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
                    }
                    changed.push(relation.name.clone());
                    self.change_relation_privileges(Relation::clone(&relation), statement)?;
                }
                changed
            }
            Objects::AllInSchemas(object, schemas) => {
                for schema in schemas {
                    let found = self.catalog.snapshot.schema(schema).cloned().ok_or_else(|| no_schema(schema))?;
                    let of_kind = |relation: &Relation| {
                        relation.schema_oid == found.oid && relation.privilege_object() == *object
                    };
                    let all: Vec<Relation> = self
                        .catalog
                        .snapshot
                        .relations()
                        .filter(|relation| of_kind(relation))
                        .map(|relation| Relation::clone(relation))
                        .collect();
                    for relation in all {
                        self.change_relation_privileges(relation, statement)?;
                    }
                }
                schemas.clone()
            }
            Objects::Schemas(names) => {
                for name in names {
                    let found = self.catalog.snapshot.schema(name).ok_or_else(|| no_schema(name))?;
                    let mut schema = Schema::clone(found);
                    let owner = self.catalog.snapshot.roles.oid(&schema.owner);
                    let subject = Subject { object: Object::Schema, name, owner };
                    schema.acl = Some(self.changed_acl(&subject, schema.acl.as_ref(), statement, None)?);
                    self.put_schema(schema)?;
                }
                names.clone()
            }
            Objects::Databases(names) => {
                for name in names {
                    known_database(name)?;
                    let mut database = self.catalog.snapshot.database().clone();
                    let owner = self.database_owner_oid(&database);
                    let subject = Subject { object: Object::Database, name, owner };
                    database.acl = Some(self.changed_acl(&subject, database.acl.as_ref(), statement, None)?);
                    self.put_database(database)?;
                }
                names.clone()
            }
            Objects::Kind(_) | Objects::Others => return Ok(()),
        };
        let verb = if statement.revoke { "revoked" } else { "granted" };
        self.audit("privilege", &changed.join(", "), format!("{} {verb}", shown(statement))).await
    }

    fn change_relation_privileges(&mut self, mut relation: Relation, statement: &PrivilegeStatement) -> Result<()> {
        let owner = self.catalog.snapshot.roles.oid(&relation.owner);
        let name = relation.name.clone();
        let object = relation.privilege_object();
        let whole: Vec<Privileges> = match &statement.privileges {
            None if statement.all_columns.is_empty() => vec![object.all()],
            None => Vec::new(),
            Some(list) => list.iter().filter(|(_, columns)| columns.is_empty()).map(|(one, _)| *one).collect(),
        };
        let mut by_column: BTreeMap<ColumnId, Privileges> = BTreeMap::new();
        let mut note = |relation: &Relation, column: &str, privileges: Privileges| {
            let found = relation.columns().iter().find(|known| known.name == *column).ok_or_else(|| {
                let message = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
                SqlError::new(SqlState::UNDEFINED_COLUMN, message)
            })?;
            let noted = by_column.entry(found.id).or_default();
            *noted = *noted | privileges;
            Ok::<(), SqlError>(())
        };
        for column in &statement.all_columns {
            note(&relation, column, Object::Column.all())?;
        }
        for (privileges, columns) in statement.privileges.iter().flatten() {
            if !columns.is_empty() && !Object::Column.all().contains(*privileges) {
                return Err(invalid(*privileges, "column"));
            }
            for column in columns {
                note(&relation, column, *privileges)?;
            }
        }
        let whole = whole.into_iter().fold(Privileges::NONE, |all, one| all | one);
        if statement.revoke {
            // Taking a privilege on the table takes it on every column as well.
            for (column, _) in relation.column_acls.iter() {
                let noted = by_column.entry(*column).or_default();
                *noted = *noted | (whole & Object::Column.all());
            }
        }
        if !whole.is_empty() {
            let subject = Subject { object, name: &name, owner };
            relation.acl = Some(self.changed_acl(&subject, relation.acl.as_ref(), statement, Some(whole))?);
        }
        for (column, privileges) in by_column {
            if privileges.is_empty() {
                continue;
            }
            let subject = Subject { object: Object::Column, name: &name, owner };
            let before = relation.column_acls.remove(&column);
            let acl = self.changed_acl(&subject, before.as_ref(), statement, Some(privileges))?;
            if !acl.0.is_empty() {
                relation.column_acls.insert(column, acl);
            }
        }
        self.put(relation).map(|_| ())
    }

    /// The list after the statement; `privileges` where they are not those of the statement as a whole.
    fn changed_acl(
        &mut self,
        subject: &Subject<'_>,
        before: Option<&Acl>,
        statement: &PrivilegeStatement,
        privileges: Option<Privileges>,
    ) -> Result<Acl> {
        let Subject { object, name, owner } = *subject;
        let wanted = match (privileges, &statement.privileges) {
            (Some(privileges), _) => privileges,
            (None, None) => object.all(),
            (None, Some(list)) => list.iter().fold(Privileges::NONE, |all, (one, _)| all | *one),
        };
        if !object.all().contains(wanted) {
            return Err(invalid(wanted & !object.all(), object.name()));
        }
        let mut acl = before.cloned().unwrap_or_else(|| Acl::standard(object, owner));
        let facts = self.catalog.snapshot.roles.facts().clone();
        let acting = self.acting();
        let (grantor, options) = privilege::grantor(&facts, acting, object, owner, &acl, wanted);
        let possible = wanted & options;
        if options.is_empty() {
            let held = privilege::held(&facts, acting, object, owner, Some(&acl));
            if held.is_empty() {
                return Err(denied(object, name));
            }
        }
        if possible != wanted {
            let none = possible.is_empty();
            let (state, message) = match (statement.revoke, none) {
                (false, true) => (NOT_GRANTED, format!("no privileges were granted for \"{name}\"")),
                (false, false) => (NOT_GRANTED, format!("not all privileges were granted for \"{name}\"")),
                (true, true) => (NOT_REVOKED, format!("no privileges could be revoked for \"{name}\"")),
                (true, false) => (NOT_REVOKED, format!("not all privileges could be revoked for \"{name}\"")),
            };
            self.warning(state, message);
        }
        for grantee in &statement.grantees {
            let grantee = self.grantee(grantee)?;
            if possible.is_empty() {
                continue;
            }
            if !statement.revoke {
                if statement.option && grantee == PUBLIC {
                    return Err(SqlError::new(INVALID_GRANT, "grant options can only be granted to roles"));
                }
                acl.grant(grantor, grantee, possible, statement.option);
            } else if acl.revoke(grantor, grantee, possible, statement.option, statement.cascade, owner).is_err() {
                return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
                    .hint("Use CASCADE to revoke them too."));
            }
        }
        Ok(acl)
    }

    fn grantee(&self, name: &RoleName) -> Result<RoleId> {
        match name {
            RoleName::Public => Ok(PUBLIC),
            name => Ok(self.role(name)?.oid),
        }
    }

    pub(super) async fn change_defaults(
        &mut self,
        roles: &[RoleName],
        schemas: &[String],
        statement: &PrivilegeStatement,
    ) -> Result<()> {
        let Objects::Kind(object) = statement.objects else { return Ok(()) };
        let current = [RoleName::CurrentRole];
        for role in if roles.is_empty() { &current[..] } else { roles } {
            let role = self.role(role)?;
            if !self.acts_as(&role.name) {
                return Err(SqlError::new(DENIED, "permission denied to change default privileges"));
            }
            let mut places = Vec::new();
            for schema in schemas {
                places.push(self.catalog.snapshot.schema(schema).ok_or_else(|| no_schema(schema))?.oid);
            }
            if places.is_empty() {
                places.push(0);
            }
            for schema in places {
                let same =
                    |known: &&DefaultAcl| known.role == role.oid && known.schema == schema && known.object == object;
                let known = self.catalog.snapshot.default_acls().find(same).cloned();
                // Within a schema only what is granted besides counts.
                let begin = if schema == 0 { Acl::standard(object, role.oid) } else { Acl::default() };
                let oid = match &known {
                    Some(known) => known.oid,
                    None => self.oid().await?,
                };
                let mut acl = known.map_or(begin, |known| known.acl);
                let all = statement
                    .privileges
                    .as_ref()
                    .map_or(object.all(), |list| list.iter().fold(Privileges::NONE, |all, (one, _)| all | *one));
                if !object.all().contains(all) {
                    return Err(invalid(all & !object.all(), object.name()));
                }
                for grantee in &statement.grantees {
                    let grantee = self.grantee(grantee)?;
                    if statement.revoke {
                        // Nobody depends on what does not exist yet.
                        let _ = acl.revoke(role.oid, grantee, all, statement.option, true, role.oid);
                    } else {
                        acl.grant(role.oid, grantee, all, statement.option);
                    }
                }
                let default = DefaultAcl { oid, role: role.oid, schema, object, acl };
                store::put_default_acl(self.txn, &default)?;
                self.snapshot_mut().insert_default_acl(default);
            }
        }
        self.audit("privilege", "default privileges", shown(statement)).await
    }

    /// The list that a new object of the acting role begins with; `None`: the standard one.
    pub(super) fn initial_acl(&self, object: Object, schema: u32) -> Option<Acl> {
        let owner = self.acting();
        let mut acl = None;
        for default in self.catalog.snapshot.default_acls() {
            if default.role != owner || default.object != object {
                continue;
            }
            if default.schema == 0 {
                acl = Some(default.acl.clone());
            }
        }
        for default in self.catalog.snapshot.default_acls() {
            if default.role == owner && default.object == object && default.schema == schema && schema != 0 {
                let begun = acl.get_or_insert_with(|| Acl::standard(object, owner));
                for item in &default.acl.0 {
                    begun.grant(item.grantor, item.grantee, item.privileges, false);
                    begun.grant(item.grantor, item.grantee, item.grantable, true);
                }
            }
        }
        acl
    }

    pub(super) fn put_schema(&mut self, schema: Schema) -> Result<()> {
        store::put_schema(self.txn, &schema)?;
        self.snapshot_mut().insert_schema(schema);
        Ok(())
    }

    pub(super) fn put_database(&mut self, database: DatabaseAccess) -> Result<()> {
        store::put_database(self.txn, &database)?;
        self.snapshot_mut().set_database(database);
        Ok(())
    }

    pub(super) fn database_owner_oid(&self, database: &DatabaseAccess) -> RoleId {
        self.catalog.snapshot.roles.oid(database.owner.as_deref().unwrap_or(BOOTSTRAP_ROLE))
    }
}

pub(super) fn known_database(name: &str) -> Result<()> {
    if DATABASE_NAMES.contains(&name) {
        return Ok(());
    }
    Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist")))
}

pub(super) fn denied(object: Object, name: &str) -> SqlError {
    let kind = if object == Object::Column { "table" } else { object.name() };
    SqlError::new(DENIED, format!("permission denied for {kind} {name}"))
}

fn invalid(privileges: Privileges, kind: &str) -> SqlError {
    let kind = if kind == Object::Table.name() { "relation" } else { kind };
    let name = privileges.names().next().map_or("?", |(_, name)| name);
    SqlError::new(INVALID_GRANT, format!("invalid privilege type {name} for {kind}"))
}

fn shown(statement: &PrivilegeStatement) -> String {
    let names = match &statement.privileges {
        None => "ALL".to_owned(),
        Some(list) => list.iter().map(|(one, _)| one.to_string()).collect::<Vec<_>>().join(", "),
    };
    let grantees: Vec<String> = statement
        .grantees
        .iter()
        .map(|grantee| match grantee {
            RoleName::Named(name) => name.clone(),
            RoleName::Public => "PUBLIC".to_owned(),
            RoleName::CurrentRole => "CURRENT_ROLE".to_owned(),
            RoleName::SessionUser => "SESSION_USER".to_owned(),
        })
        .collect();
    format!("{names} for {}", grantees.join(", "))
}
