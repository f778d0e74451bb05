//! DROP TABLE, VIEW, INDEX, SEQUENCE and SCHEMA, with what depends on them.

use std::{collections::BTreeSet, slice, sync::Arc};

use base::{IndexId, TableId};
use sqlparser::ast::{self, ObjectType, Statement as Ast};

use super::{Change, no_relation, no_schema, table_mut, table_of};
use crate::{
    catalog::{
        CatalogView, Index, Relation, RelationKind, Schema,
        snapshot::Named,
        store::{self, Garbage},
        system,
    },
    error::{Result, SqlError, SqlState},
    session::object_name,
};

/// What stands in the way of dropping something.
pub(super) enum Dependent {
    ForeignKey { table: Arc<Relation>, name: String, on: String },
    View { view: Arc<Relation>, on: String },
    Default { table: Arc<Relation>, column: String, on: String },
}

impl Dependent {
    fn describe(&self) -> (String, &str) {
        match self {
            Dependent::ForeignKey { table, name, on } => (format!("constraint {name} on table {}", table.name), on),
            Dependent::View { view, on } => (format!("view {}", view.name), on),
            Dependent::Default { table, column, on } => {
                (format!("default value for column {column} of table {}", table.name), on)
            }
        }
    }
}

impl Change<'_> {
    pub(super) async fn drop_objects(&mut self, syntax: &Ast) -> Result<()> {
        let Ast::Drop { object_type, if_exists, names, cascade, .. } = syntax else {
            return Err(SqlError::internal("not DROP"));
        };
        match object_type {
            ObjectType::Table => self.drop_relations(names, *if_exists, *cascade, "table").await,
            ObjectType::View => self.drop_relations(names, *if_exists, *cascade, "view").await,
            ObjectType::Sequence => self.drop_relations(names, *if_exists, *cascade, "sequence").await,
            ObjectType::Index => {
                for name in names {
                    self.drop_index(name, *if_exists, *cascade).await?;
                }
                Ok(())
            }
            ObjectType::Schema => {
                for name in names {
                    self.drop_schema(&object_name(name)?.1, *if_exists, *cascade).await?;
                }
                Ok(())
            }
            other => Err(SqlError::unsupported(format!("DROP {other}"))),
        }
    }

    async fn drop_relations(
        &mut self,
        names: &[ast::ObjectName],
        if_exists: bool,
        cascade: bool,
        kind: &str,
    ) -> Result<()> {
        let mut targets = Vec::new();
        for name in names {
            let (schema, name) = object_name(name)?;
            match self.catalog.relation(schema.as_deref(), &name) {
                None if if_exists => {
                    self.notice(SqlState("00000"), format!("{kind} \"{name}\" does not exist, skipping"));
                }
                None => {
                    if let Some(schema) = schema.as_deref()
                        && self.catalog.snapshot.schema(schema).is_none()
                    {
                        return Err(no_schema(schema));
                    }
                    let message = format!("{kind} \"{name}\" does not exist");
                    return Err(SqlError::new(SqlState::UNDEFINED_TABLE, message));
                }
                Some(relation) if matches!(relation.kind, RelationKind::System { .. }) => {
                    let message = format!("permission denied: \"{name}\" is a system catalog");
                    return Err(SqlError::new(SqlState("42501"), message));
                }
                Some(relation) if kind_word(&relation) != kind => {
                    let hint = match kind_word(&relation) {
                        "table" => "Use DROP TABLE to remove a table.",
                        "view" => "Use DROP VIEW to remove a view.",
                        _ => "Use DROP SEQUENCE to remove a sequence.",
                    };
                    let article = if kind == "index" { "an" } else { "a" };
                    let message = format!("\"{name}\" is not {article} {kind}");
                    return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message).hint(hint));
                }
                Some(relation) => {
                    self.may_drop(&relation)?;
                    targets.push(relation);
                }
            }
        }
        self.drop_all(targets, cascade).await
    }

    /// Drops relations together with all that depends on them, or says what does.
    async fn drop_all(&mut self, mut targets: Vec<Arc<Relation>>, cascade: bool) -> Result<()> {
        let mut ids: BTreeSet<TableId> = targets.iter().map(|relation| relation.id).collect();
        let mut position = 0;
        while position < targets.len() {
            let target = Arc::clone(&targets[position]);
            position += 1;
            let dependents = self.dependents(&target, &ids);
            if let (false, Some(_)) = (cascade, dependents.first()) {
                return Err(still_needed(&format!("{} {}", kind_word(&target), target.name), &dependents));
            }
            for dependent in dependents {
                let (what, _) = dependent.describe();
                self.notice(SqlState("00000"), format!("drop cascades to {what}"));
                match dependent {
                    Dependent::ForeignKey { table, name, .. } => self.remove_foreign_key(table.id, &name)?,
                    Dependent::Default { table, column, .. } => self.remove_default(table.id, &column)?,
                    Dependent::View { view, .. } => {
                        if ids.insert(view.id) {
                            targets.push(view);
                        }
                    }
                }
            }
        }
        for target in targets {
            self.drop_relation(target.id).await?;
        }
        Ok(())
    }

    fn dependents(&self, target: &Relation, dropped: &BTreeSet<TableId>) -> Vec<Dependent> {
        let on = format!("{} {}", kind_word(target), target.name);
        let mut dependents = Vec::new();
        for table in self.catalog.snapshot.referencing(target.id) {
            if dropped.contains(&table.id) {
                continue;
            }
            let keys = table.table().map_or(&[][..], |table| &table.foreign_keys);
            for key in keys.iter().filter(|key| key.referenced_table == target.id) {
                let table = Arc::clone(&table);
                dependents.push(Dependent::ForeignKey { table, name: key.name.clone(), on: on.clone() });
            }
        }
        if let RelationKind::Sequence(_) = target.kind {
            for table in self.catalog.snapshot.relations().filter(|table| !dropped.contains(&table.id)) {
                for column in table.columns().iter().filter(|column| column.owned_sequence == Some(target.id)) {
                    let table = Arc::clone(table);
                    dependents.push(Dependent::Default { table, column: column.name.clone(), on: on.clone() });
                }
            }
        }
        let views = self.dependent_views(&[target.id]).into_iter().filter(|view| !dropped.contains(&view.id));
        dependents.extend(views.map(|view| Dependent::View { view, on: on.clone() }));
        dependents
    }

    /// Drops one relation, what it owns and its key spaces.
    async fn drop_relation(&mut self, id: TableId) -> Result<()> {
        let Some(relation) = self.catalog.snapshot.get(id).cloned() else { return Ok(()) };
        match &relation.kind {
            RelationKind::Table(table) => {
                for index in &table.indexes {
                    self.discard(id, index.id).await?;
                }
                for key in &table.foreign_keys {
                    // Writers of the referenced table need not look here any more.
                    if key.referenced_table != id && self.catalog.snapshot.get(key.referenced_table).is_some() {
                        let touched = self.stored(key.referenced_table)?;
                        self.put(touched)?;
                    }
                }
                for column in &table.columns {
                    if let Some(sequence) = column.owned_sequence {
                        self.drop_sequence(sequence).await?;
                    }
                }
            }
            RelationKind::Sequence(_) => return self.drop_sequence(id).await,
            RelationKind::View(_) | RelationKind::System { .. } => {}
        }
        store::delete_descriptor(self.txn, id.0)?;
        self.snapshot_mut().remove(id);
        Ok(())
    }

    pub(super) async fn drop_sequence(&mut self, id: TableId) -> Result<()> {
        let key = store::sequence_key(id);
        self.txn.lock(slice::from_ref(&key), txn::LockMode::Update, txn::WaitPolicy::Wait).await?;
        self.txn.delete(key, false)?;
        self.state.own_sequences.insert(id);
        store::delete_descriptor(self.txn, id.0)?;
        self.snapshot_mut().remove(id);
        Ok(())
    }

    /// Hands a key space to the background job, once this transaction has committed.
    pub(super) async fn discard(&mut self, table: TableId, space: IndexId) -> Result<()> {
        let since_millis = self.txn.stamp().await?.timestamp.millis();
        self.state.fresh.remove(&space);
        store::put_garbage(self.txn, table, space, Garbage::Dropped { since_millis })
    }

    pub(super) fn remove_foreign_key(&mut self, id: TableId, name: &str) -> Result<()> {
        let mut relation = self.stored(id)?;
        let referenced: Vec<TableId> = table_of(&relation)?
            .foreign_keys
            .iter()
            .filter(|key| key.name == name && key.referenced_table != id)
            .map(|key| key.referenced_table)
            .collect();
        table_mut(&mut relation)?.foreign_keys.retain(|key| key.name != name);
        self.put(relation)?;
        for id in referenced {
            let touched = self.stored(id)?;
            self.put(touched)?;
        }
        Ok(())
    }

    fn remove_default(&mut self, id: TableId, column: &str) -> Result<()> {
        let mut relation = self.stored(id)?;
        for other in &mut table_mut(&mut relation)?.columns {
            if other.name == column {
                other.default = None;
                other.owned_sequence = None;
            }
        }
        self.put(relation).map(|_| ())
    }

    async fn drop_index(&mut self, name: &ast::ObjectName, if_exists: bool, cascade: bool) -> Result<()> {
        let (schema, name) = object_name(name)?;
        let (table, oid) = match self.catalog.named(schema.as_deref(), &name) {
            Some(Named::Index { table, oid }) => (table, oid),
            Some(Named::Relation(_)) => {
                let message = format!("\"{name}\" is not an index");
                return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            None if if_exists => {
                self.notice(SqlState("00000"), format!("index \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            None => {
                let message = format!("index \"{name}\" does not exist");
                return Err(SqlError::new(SqlState("42704"), message));
            }
        };
        let relation = self.stored(table)?;
        self.must_own(&relation.owner, "index", &name)?;
        let Some(index) = table_of(&relation)?.indexes.iter().find(|index| index.oid == oid).cloned() else {
            return Err(no_relation(schema.as_deref(), &name));
        };
        if index.constraint {
            let on = format!("constraint {name} on table {}", relation.name);
            let message = format!("cannot drop index {name} because {on} requires it");
            return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop {on} instead.")));
        }
        self.remove_index(table, &index, &format!("index {name}"), cascade).await
    }

    /// Removes a secondary index, with the foreign keys that look rows up in it.
    pub(super) async fn remove_index(&mut self, id: TableId, index: &Index, what: &str, cascade: bool) -> Result<()> {
        let users = self.users_of_index(id, index.oid, what);
        if let (false, Some(_)) = (cascade, users.first()) {
            return Err(still_needed(what, &users));
        }
        for user in users {
            let (described, _) = user.describe();
            self.notice(SqlState("00000"), format!("drop cascades to {described}"));
            if let Dependent::ForeignKey { table, name, .. } = user {
                self.remove_foreign_key(table.id, &name)?;
            }
        }
        let mut relation = self.stored(id)?;
        table_mut(&mut relation)?.indexes.retain(|other| other.oid != index.oid);
        self.put(relation)?;
        self.discard(id, index.id).await
    }

    /// The foreign keys that rest on a unique index.
    pub(super) fn users_of_index(&self, id: TableId, oid: u32, what: &str) -> Vec<Dependent> {
        let mut users = Vec::new();
        for table in self.catalog.snapshot.referencing(id) {
            let keys = table.table().map_or(&[][..], |table| &table.foreign_keys);
            for key in keys.iter().filter(|key| key.referenced_table == id && key.referenced_index == oid) {
                let table = Arc::clone(&table);
                users.push(Dependent::ForeignKey { table, name: key.name.clone(), on: what.to_owned() });
            }
        }
        users
    }

    async fn drop_schema(&mut self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        if system::is_system_schema(name) {
            let message = format!("cannot drop schema {name} because it is required by the database system");
            return Err(SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        let Some(schema) = self.catalog.snapshot.schema(name).cloned() else {
            if if_exists {
                self.notice(SqlState("00000"), format!("schema \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(no_schema(name));
        };
        self.must_own(&schema.owner, "schema", name)?;
        let inside: Vec<Arc<Relation>> =
            self.catalog.snapshot.relations().filter(|relation| relation.schema_oid == schema.oid).cloned().collect();
        if !inside.is_empty() && !cascade {
            return Err(schema_in_use(&schema, &inside));
        }
        for relation in &inside {
            self.notice(SqlState("00000"), format!("drop cascades to {} {}", kind_word(relation), relation.name));
        }
        let free_standing = inside.into_iter().filter(|relation| match &relation.kind {
            RelationKind::Sequence(sequence) => sequence.owned_by.is_none(),
            _ => true,
        });
        self.drop_all(free_standing.collect(), true).await?;
        store::delete_descriptor(self.txn, schema.oid)?;
        self.snapshot_mut().remove_schema(schema.oid);
        Ok(())
    }
}

fn schema_in_use(schema: &Schema, inside: &[Arc<Relation>]) -> SqlError {
    let lines: Vec<String> = inside
        .iter()
        .map(|relation| format!("{} {} depends on schema {}", kind_word(relation), relation.name, schema.name))
        .collect();
    let message = format!("cannot drop schema {} because other objects depend on it", schema.name);
    SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

pub(super) fn still_needed(what: &str, dependents: &[Dependent]) -> SqlError {
    let lines: Vec<String> = dependents
        .iter()
        .map(|dependent| {
            let (described, on) = dependent.describe();
            format!("{described} depends on {on}")
        })
        .collect();
    let message = format!("cannot drop {what} because other objects depend on it");
    SqlError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

pub(crate) fn kind_word(relation: &Relation) -> &'static str {
    match relation.kind {
        RelationKind::Table(_) => "table",
        RelationKind::Sequence(_) => "sequence",
        RelationKind::System { .. } if system::is_table(relation) => "table",
        RelationKind::View(_) | RelationKind::System { .. } => "view",
    }
}
