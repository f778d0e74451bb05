//! The catalog at one timestamp, in memory.

use std::{collections::BTreeMap, sync::Arc};

use base::TableId;

use super::{
    CatalogView, Index, Relation, Schema,
    role::{DatabaseAccess, DefaultAcl, RoleSet},
    system,
};

/// All schemas and relations of users. System views are not among them: they are the same everywhere.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    schemas: BTreeMap<u32, Arc<Schema>>,
    relations: BTreeMap<TableId, Arc<Relation>>,
    names: BTreeMap<(String, String), Named>,
    /// Referenced table → referencing ones.
    references: BTreeMap<TableId, Vec<TableId>>,
    pub roles: RoleSet,
    database: DatabaseAccess,
    default_acls: BTreeMap<u32, DefaultAcl>,
}

/// What a name in a schema stands for: indexes share the name space of relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Relation(TableId),
    Index { table: TableId, oid: u32 },
}

impl Snapshot {
    pub fn database(&self) -> &DatabaseAccess {
        &self.database
    }

    pub fn set_database(&mut self, database: DatabaseAccess) {
        self.database = database;
    }

    /// This catalog of the past with the roles and the privileges of the present. What is gone by now belongs to its last owner
    /// alone, if that role is still there.
    pub fn with_rights_of(&self, present: &Snapshot) -> Snapshot {
        let last_owner = |owner: &String| {
            let oid = |roles: &RoleSet| roles.named(owner).map(|role| role.oid);
            let same = oid(&self.roles).is_some() && oid(&self.roles) == oid(&present.roles);
            if same { owner.clone() } else { crate::session::BOOTSTRAP_ROLE.to_owned() }
        };
        let mut snapshot = self.clone();
        snapshot.roles = present.roles.clone();
        snapshot.database = present.database.clone();
        for (oid, schema) in &mut snapshot.schemas {
            let (owner, acl) = match present.schemas.get(oid) {
                Some(current) => (current.owner.clone(), current.acl.clone()),
                None => (last_owner(&schema.owner), None),
            };
            if (&schema.owner, &schema.acl) != (&owner, &acl) {
                *schema = Arc::new(Schema { owner, acl, ..Schema::clone(schema) });
            }
        }
        for (id, relation) in &mut snapshot.relations {
            let (owner, acl, column_acls) = match present.relations.get(id) {
                Some(current) => (current.owner.clone(), current.acl.clone(), current.column_acls.clone()),
                None => (last_owner(&relation.owner), None, BTreeMap::new()),
            };
            if (&relation.owner, &relation.acl, &relation.column_acls) != (&owner, &acl, &column_acls) {
                *relation = Arc::new(Relation { owner, acl, column_acls, ..Relation::clone(relation) });
            }
        }
        snapshot
    }

    pub fn default_acls(&self) -> impl Iterator<Item = &DefaultAcl> {
        self.default_acls.values()
    }

    pub fn insert_default_acl(&mut self, default: DefaultAcl) {
        self.default_acls.insert(default.oid, default);
    }

    pub fn remove_default_acl(&mut self, oid: u32) {
        self.default_acls.remove(&oid);
    }

    pub fn insert_schema(&mut self, schema: Schema) {
        self.schemas.insert(schema.oid, Arc::new(schema));
    }

    pub fn remove_schema(&mut self, oid: u32) {
        self.schemas.remove(&oid);
    }

    /// Adds a relation, or replaces its earlier version.
    pub fn insert(&mut self, relation: Relation) {
        self.remove(relation.id);
        let id = relation.id;
        self.names.insert((relation.schema.clone(), relation.name.clone()), Named::Relation(id));
        if let Some(table) = relation.table() {
            for index in table.indexes.iter().filter(|index| !index.hidden_row_id) {
                let named = Named::Index { table: id, oid: index.oid };
                self.names.insert((relation.schema.clone(), index.name.clone()), named);
            }
            for key in &table.foreign_keys {
                let referencing = self.references.entry(key.referenced_table).or_default();
                if !referencing.contains(&id) {
                    referencing.push(id);
                }
            }
        }
        self.relations.insert(id, Arc::new(relation));
    }

    pub fn remove(&mut self, id: TableId) {
        let Some(relation) = self.relations.remove(&id) else { return };
        let own = |named: &Named| match named {
            Named::Relation(other) => *other == id,
            Named::Index { table, .. } => *table == id,
        };
        let mut names = vec![relation.name.clone()];
        names.extend(relation.table().into_iter().flat_map(|table| &table.indexes).map(|index| index.name.clone()));
        for name in names {
            let key = (relation.schema.clone(), name);
            if self.names.get(&key).is_some_and(own) {
                self.names.remove(&key);
            }
        }
        for referencing in self.references.values_mut() {
            referencing.retain(|other| *other != id);
        }
    }

    pub fn get(&self, id: TableId) -> Option<&Arc<Relation>> {
        self.relations.get(&id)
    }

    pub fn named(&self, schema: &str, name: &str) -> Option<Named> {
        self.names.get(&(schema.to_owned(), name.to_owned())).copied()
    }

    pub fn schema(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.values().find(|schema| schema.name == name)
    }

    pub fn schema_by_oid(&self, oid: u32) -> Option<&Arc<Schema>> {
        self.schemas.get(&oid)
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }

    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    pub fn referencing(&self, table: TableId) -> Vec<Arc<Relation>> {
        let ids = self.references.get(&table).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.relations.get(id).cloned()).collect()
    }

    /// An index by its OID, with its table.
    pub fn index_by_oid(&self, oid: u32) -> Option<(&Arc<Relation>, &Index)> {
        self.relations.values().find_map(|relation| {
            let index = relation.table()?.indexes.iter().find(|index| index.oid == oid && !index.hidden_row_id)?;
            Some((relation, index))
        })
    }
}

/// A snapshot as one session sees it: with its search path.
#[derive(Clone, Debug)]
pub struct SessionCatalog {
    pub snapshot: Arc<Snapshot>,
    pub search_path: Arc<[String]>,
}

impl SessionCatalog {
    /// The schemas in which unqualified names are looked up, in order.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        let implicit = !self.search_path.iter().any(|schema| schema == system::PG_CATALOG);
        implicit.then_some(system::PG_CATALOG).into_iter().chain(self.search_path.iter().map(String::as_str))
    }

    /// The schema in which objects are created: the first of the search path that exists.
    pub fn creation_schema(&self) -> Option<&Arc<Schema>> {
        self.search_path.iter().find_map(|name| self.snapshot.schema(name))
    }

    /// Whatever has this name, indexes too.
    pub fn named(&self, schema: Option<&str>, name: &str) -> Option<Named> {
        match schema {
            Some(schema) => self.snapshot.named(schema, name),
            None => self.path().find_map(|schema| self.snapshot.named(schema, name)),
        }
    }
}

impl CatalogView for SessionCatalog {
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<Arc<Relation>> {
        let within = |schema: &str| {
            if system::is_system_schema(schema) {
                return system::relation(schema, name);
            }
            match self.snapshot.named(schema, name)? {
                Named::Relation(id) => self.snapshot.get(id).cloned(),
                Named::Index { .. } => None,
            }
        };
        match schema {
            Some(schema) => within(schema),
            None => self.path().find_map(within),
        }
    }

    fn relation_by_id(&self, id: TableId) -> Option<Arc<Relation>> {
        self.snapshot.get(id).cloned().or_else(|| system::relation_by_id(id))
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        let mut all: Vec<Arc<Schema>> = system::schemas().to_vec();
        all.extend(self.snapshot.schemas().cloned());
        all.sort_by_key(|schema| schema.oid);
        all
    }

    fn relations(&self) -> Vec<Arc<Relation>> {
        let mut all: Vec<Arc<Relation>> = system::relations().cloned().collect();
        all.extend(self.snapshot.relations().cloned());
        all
    }

    fn referencing(&self, table: TableId) -> Vec<Arc<Relation>> {
        self.snapshot.referencing(table)
    }
}
