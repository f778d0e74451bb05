//! `has_table_privilege` and its kin.

use auth::privilege::{self, Object, PUBLIC, Privileges, RoleId};
use base::TableId;

use super::{CatalogView, Relation, SessionCatalog, functions::split_qualified};
use crate::{
    access,
    error::{Result, SqlError, SqlState},
    expr::SessionView,
    session::{BOOTSTRAP_ROLE, DATABASE_NAMES},
    types::Value,
};

/// The catalog as one session asks about privileges.
pub(super) struct Privileged<'a> {
    pub catalog: &'a SessionCatalog,
    pub session: &'a SessionView,
}

impl Privileged<'_> {
    /// `has_…_privilege([role,] object, [column,] privileges)`
    pub fn has(&self, function: &str, args: &[Value]) -> Result<Value> {
        let kind = function.trim_start_matches("has_").trim_end_matches("_privilege");
        let objects = if kind == "column" { 2 } else { 1 };
        let (role, rest) = match args.len() > objects + 1 {
            true => (self.role(&args[0])?, &args[1..]),
            false => (self.catalog.snapshot.roles.oid(&self.session.user), args),
        };
        let Some(Value::Text(wanted)) = rest.last() else { return Ok(Value::Null) };
        let object = &rest[0];
        let held = match kind {
            "table" | "any_column" | "column" | "sequence" => {
                let Some(relation) = self.relation(object)? else { return Ok(Value::Null) };
                let mut held = access::held(&self.catalog.snapshot, &relation, role);
                if matches!(relation.kind, super::RelationKind::System { .. })
                    && !super::system::is_restricted(&relation)
                {
                    held = held | Privileges::SELECT;
                }
                for column in relation.columns() {
                    let chosen = match (kind, rest.get(1)) {
                        ("any_column", _) => true,
                        ("column", Some(Value::Text(name))) => column.name == **name,
                        ("column", Some(Value::Int2(number))) => i64::from(column.id.0) == i64::from(*number),
                        _ => false,
                    };
                    if chosen {
                        held = held | access::column_held(&self.catalog.snapshot, &relation, column.id, role);
                    }
                }
                held
            }
            "schema" => match self.schema(object)? {
                Some(oid) => access::schema_held(&self.catalog.snapshot, role, oid),
                None => return Ok(Value::Null),
            },
            "database" => self.database(object, role)?,
            // Functions, types, languages, tablespaces: all are open to everybody.
            _ => return Ok(Value::Bool(true)),
        };
        let mut any = false;
        for word in wanted.split(',') {
            let word = word.trim().to_ascii_uppercase();
            let plain = word.strip_suffix(" WITH GRANT OPTION").unwrap_or(&word);
            let privilege = Privileges::by_name(plain).ok_or_else(|| {
                let message = format!("unrecognized privilege type: \"{word}\"");
                SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
            })?;
            any |= held.contains(privilege);
        }
        Ok(Value::Bool(any))
    }

    /// `pg_has_role([member,] role, 'MEMBER' | 'USAGE')`
    pub fn has_role(&self, args: &[Value]) -> Result<Value> {
        let (member, rest) = match args.len() > 2 {
            true => (self.role(&args[0])?, &args[1..]),
            false => (self.catalog.snapshot.roles.oid(&self.session.user), args),
        };
        let role = self.role(&rest[0])?;
        let Some(Value::Text(how)) = rest.get(1) else { return Ok(Value::Null) };
        let facts = self.catalog.snapshot.roles.facts();
        let inherited = how.to_ascii_uppercase().starts_with("USAGE");
        let found = privilege::membership(facts, member, inherited).contains(&role);
        Ok(Value::Bool(found || privilege::is_superuser(facts, member)))
    }

    fn role(&self, value: &Value) -> Result<RoleId> {
        match value {
            Value::Text(name) if &**name == "public" => Ok(PUBLIC),
            Value::Text(name) => match self.catalog.snapshot.roles.named(name) {
                Some(role) => Ok(role.oid),
                None => Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))),
            },
            Value::Oid(oid) => Ok(*oid),
            _ => Ok(PUBLIC),
        }
    }

    fn relation(&self, value: &Value) -> Result<Option<std::sync::Arc<Relation>>> {
        match value {
            Value::Text(name) => {
                let parts = split_qualified(name);
                let found = match &parts[..] {
                    [name] => self.catalog.relation(None, name),
                    [schema, name] | [_, schema, name] => self.catalog.relation(Some(schema), name),
                    _ => None,
                };
                found.map(Some).ok_or_else(|| {
                    SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
                })
            }
            Value::Oid(oid) => Ok(self.catalog.relation_by_id(TableId(*oid))),
            _ => Ok(None),
        }
    }

    fn schema(&self, value: &Value) -> Result<Option<u32>> {
        let schemas = self.catalog.schemas();
        match value {
            Value::Text(name) => match schemas.iter().find(|schema| *schema.name == **name) {
                Some(schema) => Ok(Some(schema.oid)),
                None => Err(SqlError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))),
            },
            Value::Oid(oid) => Ok(schemas.iter().find(|schema| schema.oid == *oid).map(|schema| schema.oid)),
            _ => Ok(None),
        }
    }

    fn database(&self, value: &Value, role: RoleId) -> Result<Privileges> {
        if let Value::Text(name) = value
            && !DATABASE_NAMES.contains(&&**name)
        {
            let message = format!("database \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, message));
        }
        let snapshot = &self.catalog.snapshot;
        let database = snapshot.database();
        let owner = snapshot.roles.oid(database.owner.as_deref().unwrap_or(BOOTSTRAP_ROLE));
        Ok(privilege::held(snapshot.roles.facts(), role, Object::Database, owner, database.acl.as_ref()))
    }
}
