//! Functions that look at the catalog: definitions as text, visibility, comments, sizes, and those that act on sessions.

use std::sync::Arc;

use auth::privilege;
use base::TableId;
use parking_lot::Mutex;

use super::{
    CatalogView, CheckConstraint, Column, ColumnId, ForeignKey, ForeignKeyAction, Index, IndexKind, Relation,
    RelationKind, SessionCatalog, Snapshot, Table, deparse::quote_identifier, privileges::Privileged, snapshot::Named,
    system,
};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::{CatalogFunctions, SessionView},
    session::{Database, PendingSetting},
    settings,
    types::{DataType, Value, format_type, parse_type_name, registry},
};

const REGROLE: DataType = DataType(4096);

/// The functions as one statement calls them.
pub struct SessionFunctions {
    database: Arc<Database>,
    catalog: SessionCatalog,
    pending: Arc<Mutex<Vec<PendingSetting>>>,
}

impl SessionFunctions {
    pub(crate) fn new(
        database: Arc<Database>,
        catalog: SessionCatalog,
        pending: Arc<Mutex<Vec<PendingSetting>>>,
    ) -> SessionFunctions {
        SessionFunctions { database, catalog, pending }
    }

    fn snapshot(&self) -> &Snapshot {
        &self.catalog.snapshot
    }

    fn index_def(&self, args: &[Value]) -> Value {
        let Some((relation, index)) = oid_arg(args, 0).and_then(|oid| self.snapshot().index_by_oid(oid)) else {
            return Value::Null;
        };
        match args.get(1).and_then(integer) {
            // One column only.
            Some(position) if position > 0 => {
                let ids: Vec<ColumnId> =
                    index.columns.iter().map(|key| key.column).chain(index.include.clone()).collect();
                let column = ids.get(position as usize - 1).and_then(|id| relation.table()?.column(*id));
                column.map_or(Value::Null, |column| Value::text(quote_identifier(&column.name)))
            }
            _ => Value::text(index_definition(relation, index, self.qualify(relation, args))),
        }
    }

    /// Pretty printing leaves out the schema of what is on the search path.
    fn qualify(&self, relation: &Relation, args: &[Value]) -> bool {
        let pretty = args.iter().any(|arg| matches!(arg, Value::Bool(true)));
        !pretty || !self.is_visible(relation)
    }

    fn is_visible(&self, relation: &Relation) -> bool {
        let found = self.catalog.relation(None, &relation.name);
        found.is_some_and(|found| found.id == relation.id)
    }

    fn table_is_visible(&self, oid: u32) -> Value {
        if let Some(relation) = self.catalog.relation_by_id(TableId(oid)) {
            return Value::Bool(self.is_visible(&relation));
        }
        match self.snapshot().index_by_oid(oid) {
            Some((_, index)) => {
                let found = self.catalog.named(None, &index.name);
                Value::Bool(matches!(found, Some(Named::Index { oid: other, .. }) if other == oid))
            }
            None => Value::Null,
        }
    }

    fn constraint_def(&self, args: &[Value]) -> Value {
        let Some(oid) = oid_arg(args, 0) else { return Value::Null };
        for relation in self.snapshot().relations() {
            let Some(table) = relation.table() else { continue };
            if let Some(index) = table.indexes.iter().find(|index| index.oid == oid && index.constraint) {
                return Value::text(key_definition(table, index));
            }
            if let Some(check) = table.checks.iter().find(|check| check.oid == oid) {
                let pretty = args.iter().any(|arg| matches!(arg, Value::Bool(true)));
                return Value::text(check_definition(check, pretty));
            }
            if let Some(key) = table.foreign_keys.iter().find(|key| key.oid == oid) {
                return Value::text(self.foreign_key_definition(table, key));
            }
        }
        Value::Null
    }

    fn foreign_key_definition(&self, table: &Table, key: &ForeignKey) -> String {
        let parent = self.snapshot().get(key.referenced_table);
        let name = parent.map_or("?".to_owned(), |parent| self.shown_name(parent));
        let parent_columns = parent
            .and_then(|parent| parent.table())
            .map_or(String::new(), |parent| column_list(parent, &key.referenced_columns));
        let mut text =
            format!("FOREIGN KEY ({}) REFERENCES {name}({parent_columns})", column_list(table, &key.columns));
        for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
            if action != ForeignKeyAction::NoAction {
                text.push_str(&format!(" ON {event} {}", action_text(action)));
            }
        }
        text
    }

    /// A relation's name, qualified unless the search path finds it.
    fn shown_name(&self, relation: &Relation) -> String {
        let name = quote_identifier(&relation.name);
        if self.is_visible(relation) { name } else { format!("{}.{name}", quote_identifier(&relation.schema)) }
    }

    /// `pg_get_expr`: the catalog keeps expressions as text.
    fn expression_text(&self, args: &[Value]) -> Value {
        let (Some(Value::Text(stored)), Some(oid)) = (args.first(), oid_arg(args, 1)) else { return Value::Null };
        let column = self.snapshot().get(TableId(oid)).and_then(|relation| {
            let owned = |column: &&Column| column.default.as_deref() == Some(&**stored);
            relation.columns().iter().find(owned).cloned()
        });
        let shown = column.and_then(|column| shown_default(self.snapshot(), &self.catalog.search_path, &column));
        shown.map_or_else(|| Value::Text(Arc::clone(stored)), Value::text)
    }

    fn view_def(&self, args: &[Value]) -> Value {
        let relation = match args.first() {
            Some(Value::Text(name)) => self.relation_named(name),
            _ => oid_arg(args, 0).and_then(|oid| self.catalog.relation_by_id(TableId(oid))),
        };
        match relation.as_deref().map(|relation| &relation.kind) {
            Some(RelationKind::View(view)) => Value::text(format!(" {};", view.query)),
            _ => Value::Null,
        }
    }

    fn relation_named(&self, name: &str) -> Option<Arc<Relation>> {
        let parts = split_qualified(name);
        match &parts[..] {
            [name] => self.catalog.relation(None, name),
            [schema, name] => self.catalog.relation(Some(schema), name),
            [_, schema, name] => self.catalog.relation(Some(schema), name),
            _ => None,
        }
    }

    fn serial_sequence(&self, args: &[Value]) -> Result<Value> {
        let (Some(Value::Text(table)), Some(Value::Text(column))) = (args.first(), args.get(1)) else {
            return Ok(Value::Null);
        };
        let relation = self
            .relation_named(table)
            .ok_or_else(|| SqlError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{table}\" does not exist")))?;
        let found = relation.columns().iter().find(|other| *other.name == **column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
            SqlError::new(SqlState::UNDEFINED_COLUMN, message)
        })?;
        let sequence = found.owned_sequence.and_then(|id| self.snapshot().get(id));
        Ok(sequence.map_or(Value::Null, |sequence| {
            Value::text(format!("{}.{}", quote_identifier(&sequence.schema), quote_identifier(&sequence.name)))
        }))
    }

    fn user_by_oid(&self, oid: u32) -> Value {
        let found = self.snapshot().roles.get(oid).map(|role| role.name.clone());
        Value::text(found.unwrap_or_else(|| format!("unknown (OID={oid})")))
    }

    /// Members of the role whose session it is may stop what it runs.
    /// `pg_cancel_backend` and `pg_terminate_backend`.
    fn cancel(&self, name: &str, pid: i32, session: &SessionView) -> Result<Value> {
        let roles = &self.snapshot().roles;
        if let Some(user) = self.database.user_of(pid) {
            let (acting, user) = (roles.oid(&session.user), roles.oid(&user));
            let message = if privilege::is_superuser(roles.facts(), user) {
                "must be a superuser to cancel superuser query"
            } else {
                "must be a member of the role whose query is being canceled or member of pg_signal_backend"
            };
            let superuser = privilege::is_superuser(roles.facts(), acting);
            let allowed = superuser
                || !privilege::is_superuser(roles.facts(), user) && privilege::acts_as(roles.facts(), acting, user);
            if !allowed {
                return Err(SqlError::new(SqlState("42501"), message));
            }
        }
        let act = if name == "pg_cancel_backend" { Database::cancel } else { Database::terminate };
        if !act(&self.database, pid) {
            let message = format!("PID {pid} is not a session of this gateway");
            let hint = "Sessions of other gateways are cancelled there.";
            return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message).hint(hint));
        }
        Ok(Value::Bool(true))
    }

    fn set_config(&self, args: &[Value]) -> Result<Value> {
        let (Some(Value::Text(name)), value, Some(Value::Bool(local))) = (args.first(), args.get(1), args.get(2))
        else {
            return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, "SET requires parameter name"));
        };
        let value = match value {
            Some(Value::Text(value)) => value.to_string(),
            _ => String::new(),
        };
        if matches!(name.to_ascii_lowercase().as_str(), "role" | "session_authorization") {
            return Err(SqlError::unsupported(format!("set_config of \"{name}\"")));
        }
        if settings::definition(name).is_none() && !name.contains('.') {
            return Err(settings::unknown(name));
        }
        let pending = PendingSetting { name: name.to_string(), value: value.clone(), local: *local };
        self.pending.lock().push(pending);
        Ok(Value::text(value))
    }
}

impl CatalogFunctions for SessionFunctions {
    fn call(&self, name: &str, args: &[Value], session: &SessionView) -> Result<Value> {
        let oid = oid_arg(args, 0);
        Ok(match name {
            "pg_get_indexdef" => self.index_def(args),
            "pg_get_constraintdef" => self.constraint_def(args),
            "pg_get_expr" => self.expression_text(args),
            "pg_get_viewdef" => self.view_def(args),
            "pg_get_serial_sequence" => return self.serial_sequence(args),
            "pg_get_userbyid" => self.user_by_oid(oid.unwrap_or(0)),
            "pg_table_is_visible" => self.table_is_visible(oid.unwrap_or(0)),
            "pg_type_is_visible"
            | "pg_function_is_visible"
            | "pg_operator_is_visible"
            | "pg_collation_is_visible"
            | "pg_opclass_is_visible"
            | "pg_conversion_is_visible"
            | "pg_ts_config_is_visible"
            | "pg_statistics_obj_is_visible" => Value::Bool(true),
            "format_type" => format_type_of(args),
            name if name.starts_with("has_") && name.ends_with("_privilege") => {
                return Privileged { catalog: &self.catalog, session }.has(name, args);
            }
            "pg_has_role" => return Privileged { catalog: &self.catalog, session }.has_role(args),
            "row_security_active" => Value::Bool(false),
            "pg_encoding_to_char" => Value::text(if integer(&args[0]) == Some(6) { "UTF8" } else { "" }),
            "pg_char_to_encoding" => Value::Int4(6),
            "pg_relation_size"
            | "pg_table_size"
            | "pg_indexes_size"
            | "pg_total_relation_size"
            | "pg_database_size"
            | "pg_tablespace_size" => Value::Int8(0),
            "pg_relation_is_publishable" => {
                Value::Bool(oid.and_then(|oid| self.snapshot().get(TableId(oid))).is_some())
            }
            "pg_tablespace_location" => Value::text(""),
            "pg_is_in_recovery" => Value::Bool(false),
            "pg_cancel_backend" | "pg_terminate_backend" => {
                return self.cancel(name, integer(&args[0]).unwrap_or(0) as i32, session);
            }
            "set_config" => return self.set_config(args),
            "to_regclass" => match args.first() {
                Some(Value::Text(name)) => {
                    self.object_id(DataType::REGCLASS, name, session).map_or(Value::Null, Value::Oid)
                }
                _ => Value::Null,
            },
            "to_regtype" => match args.first() {
                Some(Value::Text(name)) => {
                    self.object_id(DataType::REGTYPE, name, session).map_or(Value::Null, Value::Oid)
                }
                _ => Value::Null,
            },
            // No comments, partitions, statistics objects, functions or triggers of users.
            "obj_description"
            | "col_description"
            | "shobj_description"
            | "pg_get_partkeydef"
            | "pg_get_ruledef"
            | "pg_get_statisticsobjdef"
            | "pg_get_statisticsobjdef_columns"
            | "pg_get_triggerdef"
            | "pg_get_functiondef"
            | "pg_get_function_arguments"
            | "pg_get_function_result"
            | "pg_get_function_identity_arguments"
            | "pg_get_function_sqlbody"
            | "pg_get_partition_constraintdef"
            | "pg_sequence_last_value"
            | "pg_describe_object" => Value::Null,
            other => {
                let message = format!("function {other}() is not available here");
                return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
        })
    }

    fn object_id(&self, ty: DataType, name: &str, _session: &SessionView) -> Option<u32> {
        let parts = split_qualified(name);
        match ty {
            DataType::REGCLASS => {
                if let Some(relation) = self.relation_named(name) {
                    return Some(relation.id.0);
                }
                let (schema, name) = match &parts[..] {
                    [name] => (None, name),
                    [schema, name] => (Some(schema.as_str()), name),
                    _ => return None,
                };
                match self.catalog.named(schema, name)? {
                    Named::Index { oid, .. } => Some(oid),
                    Named::Relation(id) => Some(id.0),
                }
            }
            DataType::REGTYPE => parse_type_name(name).ok().map(|(ty, _)| ty.0),
            DataType::REGNAMESPACE => {
                let name = parts.first()?;
                self.catalog.schemas().iter().find(|schema| schema.name == *name).map(|schema| schema.oid)
            }
            DataType::REGPROC => {
                let name = parts.last()?;
                crate::expr::function::candidates(name, false).first().map(|id| system::function_oid(*id))
            }
            REGROLE => {
                let name = parts.first()?;
                self.snapshot().roles.named(name).map(|role| role.oid)
            }
            _ => None,
        }
    }

    fn object_name(&self, ty: DataType, oid: u32) -> Option<String> {
        match ty {
            DataType::REGCLASS => match self.catalog.relation_by_id(TableId(oid)) {
                Some(relation) => Some(self.shown_name(&relation)),
                None => {
                    let (relation, index) = self.snapshot().index_by_oid(oid)?;
                    let name = quote_identifier(&index.name);
                    let visible = self.catalog.named(None, &index.name)
                        == Some(Named::Index { table: relation.id, oid: index.oid });
                    Some(if visible { name } else { format!("{}.{name}", quote_identifier(&relation.schema)) })
                }
            },
            DataType::REGTYPE => registry::get(DataType(oid)).map(|_| format_type(DataType(oid), -1)),
            DataType::REGNAMESPACE => {
                let schemas = self.catalog.schemas();
                schemas.iter().find(|schema| schema.oid == oid).map(|schema| quote_identifier(&schema.name))
            }
            REGROLE => self.snapshot().roles.get(oid).map(|role| quote_identifier(&role.name)),
            _ => None,
        }
    }
}

/// `CREATE INDEX …`, as `pg_get_indexdef` gives it.
pub fn index_definition(relation: &Relation, index: &Index, qualified: bool) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let table_name = quote_identifier(&relation.name);
    let table_name =
        if qualified { format!("{}.{table_name}", quote_identifier(&relation.schema)) } else { table_name };
    let Some(table) = relation.table() else { return String::new() };
    let mut columns = Vec::new();
    for key in &index.columns {
        let mut column = table.column(key.column).map_or(String::new(), |column| quote_identifier(&column.name));
        match (key.descending, key.nulls_first) {
            (false, false) => {}
            (false, true) => column.push_str(" NULLS FIRST"),
            (true, true) => column.push_str(" DESC"),
            (true, false) => column.push_str(" DESC NULLS LAST"),
        }
        columns.push(column);
    }
    let mut text = format!(
        "CREATE {unique}INDEX {} ON {table_name} USING btree ({})",
        quote_identifier(&index.name),
        columns.join(", ")
    );
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", column_list(table, &index.include)));
    }
    text
}

/// A default as it is shown: a sequence by its name of today, qualified only where the search path does not find it.
pub fn shown_default(snapshot: &Snapshot, search_path: &[String], column: &Column) -> Option<String> {
    if column.identity.is_some() {
        return None;
    }
    let default = column.default.clone()?;
    let Some(sequence) = column.owned_sequence.and_then(|id| snapshot.get(id)) else { return Some(default) };
    if !default.starts_with("nextval(") {
        return Some(default);
    }
    let name = quote_identifier(&sequence.name);
    let visible = search_path.iter().find_map(|schema| snapshot.named(schema, &sequence.name))
        == Some(Named::Relation(sequence.id));
    let shown = if visible { name } else { format!("{}.{name}", quote_identifier(&sequence.schema)) };
    Some(format!("nextval('{}'::regclass)", shown.replace('\'', "''")))
}

fn key_definition(table: &Table, index: &Index) -> String {
    let ids: Vec<ColumnId> = index.columns.iter().map(|key| key.column).collect();
    let kind = if index.kind == IndexKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
    let mut text = format!("{kind} ({})", column_list(table, &ids));
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", column_list(table, &index.include)));
    }
    text
}

/// Printed prettily, the expression's own parentheses are those of the constraint.
fn check_definition(check: &CheckConstraint, pretty: bool) -> String {
    match (check.expression.starts_with('('), pretty) {
        (true, true) => format!("CHECK {}", check.expression),
        (true, false) | (false, true) => format!("CHECK ({})", check.expression),
        (false, false) => format!("CHECK (({}))", check.expression),
    }
}

fn column_list(table: &Table, ids: &[ColumnId]) -> String {
    let names: Vec<String> =
        ids.iter().filter_map(|id| table.column(*id)).map(|column| quote_identifier(&column.name)).collect();
    names.join(", ")
}

fn action_text(action: ForeignKeyAction) -> &'static str {
    match action {
        ForeignKeyAction::NoAction => "NO ACTION",
        ForeignKeyAction::Restrict => "RESTRICT",
        ForeignKeyAction::Cascade => "CASCADE",
        ForeignKeyAction::SetNull => "SET NULL",
        ForeignKeyAction::SetDefault => "SET DEFAULT",
    }
}

fn format_type_of(args: &[Value]) -> Value {
    let Some(oid) = oid_arg(args, 0) else { return Value::Null };
    let typmod = args.get(1).and_then(integer).map_or(-1, |typmod| typmod as i32);
    match registry::get(DataType(oid)) {
        Some(_) => Value::text(format_type(DataType(oid), typmod)),
        None if oid == 0 => Value::text("-"),
        None => Value::text("???"),
    }
}

fn oid_arg(args: &[Value], position: usize) -> Option<u32> {
    match args.get(position)? {
        Value::Oid(oid) => Some(*oid),
        other => integer(other).and_then(|number| u32::try_from(number).ok()),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int2(number) => Some(i64::from(*number)),
        Value::Int4(number) => Some(i64::from(*number)),
        Value::Int8(number) => Some(*number),
        Value::Oid(number) => Some(i64::from(*number)),
        _ => None,
    }
}

/// Splits a possibly qualified and quoted name; unquoted parts are folded to lower case.
pub(super) fn split_qualified(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut chars = name.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                if let Some(part) = parts.last_mut() {
                    part.push('"');
                }
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    if quoted { part.push(c) } else { part.extend(c.to_lowercase()) }
                }
            }
        }
    }
    parts
}
