//! Databases, roles, settings, sessions, and the cluster as it reports itself.

use auth::privilege;

use super::{LOCUS, Output, SystemViews, array, flag, int4, int8, letter, observe::instant, oid, text};
use crate::{
    encode,
    error::Result,
    session::{BOOTSTRAP_ROLE, DATABASE_NAMES, without_secrets},
    settings::{self, Kind},
    types::{DataType, Value},
};

pub(super) fn database_oid(name: &str) -> u32 {
    DATABASE_NAMES.iter().position(|known| *known == name).map_or(0, |position| 16000 - position as u32)
}

impl SystemViews {
    pub(super) fn pg_database(&self, output: &mut Output<'_>) {
        let access = self.catalog.snapshot.database();
        let owner = access.owner.as_deref().unwrap_or(BOOTSTRAP_ROLE);
        for name in DATABASE_NAMES {
            output.row([
                ("oid", oid(database_oid(name))),
                ("datname", text(*name)),
                ("datdba", self.role_oid(owner)),
                ("encoding", int4(6)),
                ("datlocprovider", letter('c')),
                ("datistemplate", flag(false)),
                ("datallowconn", flag(true)),
                ("datconnlimit", int4(-1)),
                ("datfrozenxid", oid(0)),
                ("datminmxid", oid(0)),
                ("dattablespace", oid(1663)),
                ("datcollate", text("C.UTF-8")),
                ("datctype", text("C.UTF-8")),
                ("datacl", self.acl(access.acl.as_ref())),
            ]);
        }
    }

    pub(super) fn pg_tablespace(&self, output: &mut Output<'_>) {
        for (id, name) in [(1663, "pg_default"), (1664, "pg_global")] {
            output.row([("oid", oid(id)), ("spcname", text(name)), ("spcowner", self.role_oid(BOOTSTRAP_ROLE))]);
        }
    }

    pub(super) fn pg_settings(&self, output: &mut Output<'_>) {
        for (name, value, description) in self.settings.all() {
            let known = settings::definition(&name);
            let (kind, unit) = match known.map(|known| known.kind) {
                Some(Kind::Bool) => ("bool", None),
                Some(Kind::Int(..)) => ("integer", None),
                Some(Kind::Millis(..)) => ("integer", Some("ms")),
                Some(Kind::KiloBytes(..)) => ("integer", Some("kB")),
                Some(Kind::Real(..)) => ("real", None),
                Some(Kind::Enum(_)) => ("enum", None),
                _ => ("string", None),
            };
            let choices = match known.map(|known| known.kind) {
                Some(Kind::Enum(choices)) => {
                    array(DataType::TEXT, choices.iter().map(|choice| text(*choice)).collect())
                }
                _ => Value::Null,
            };
            let read_only = matches!(known.map(|known| known.kind), Some(Kind::ReadOnly));
            let default = known.map_or(Value::Null, |known| text(known.default));
            output.row([
                ("name", text(name)),
                ("setting", text(value)),
                ("unit", unit.map_or(Value::Null, text)),
                ("category", text("Settings")),
                ("short_desc", text(description)),
                ("context", text(if read_only { "internal" } else { "user" })),
                ("vartype", text(kind)),
                ("source", text("session")),
                ("enumvals", choices),
                ("boot_val", default.clone()),
                ("reset_val", default),
                ("pending_restart", flag(false)),
            ]);
        }
    }

    pub(super) fn pg_stat_activity(&self, output: &mut Output<'_>) {
        for activity in self.database.activities() {
            let now = activity.now.lock().clone();
            let waits = match now.state {
                "active" if self.is_waiting(&activity) => Some(("Lock", "tuple")),
                "active" => None,
                _ => Some(("Client", "ClientRead")),
            };
            output.row([
                ("datid", oid(database_oid(&activity.database))),
                ("datname", text(activity.database.as_str())),
                ("pid", int4(i64::from(activity.pid))),
                ("usesysid", self.role_oid(&activity.user)),
                ("usename", text(activity.user.as_str())),
                ("application_name", text(now.application_name)),
                ("backend_start", instant(Some(activity.backend_start))),
                ("xact_start", instant(now.transaction_start)),
                ("query_start", instant(now.query_start)),
                ("state_change", instant(now.state_change)),
                ("state", text(now.state)),
                ("query", self.query_of(&activity.user, &now.query)),
                ("client_addr", activity.client.address.map_or(Value::Null, |address| text(address.to_string()))),
                ("backend_type", text("client backend")),
                ("wait_event_type", waits.map_or(Value::Null, |(kind, _)| text(kind))),
                ("wait_event", waits.map_or(Value::Null, |(_, event)| text(event))),
            ]);
        }
    }

    /// What a session runs is for its own role, members of it, and superusers; secrets in it are for nobody.
    pub(super) fn query_of(&self, user: &str, query: &std::sync::Arc<str>) -> Value {
        let roles = &self.catalog.snapshot.roles;
        let acting = match self.settings.get("role") {
            "" | "none" => self.settings.get("session_authorization"),
            role => role,
        };
        match privilege::acts_as(roles.facts(), roles.oid(acting), roles.oid(user)) {
            true => Value::Text(without_secrets(query)),
            false => text("<insufficient privilege>"),
        }
    }

    /// For each session what its last transaction that wrote something has cost on the client's path.
    pub(super) fn locus_last_commits(&self, output: &mut Output<'_>) {
        for activity in self.database.activities() {
            let Some(commit) = activity.now.lock().last_commit else { continue };
            let count = |value: u64| int8(value as i64);
            output.row([
                ("pid", int4(i64::from(activity.pid))),
                ("commit_timestamp", count(commit.commit_ts.0)),
                ("round_trips", count(commit.stats.round_trips)),
                ("consensus_rounds", count(commit.stats.consensus_rounds)),
                ("range_requests", count(commit.stats.range_requests)),
                ("oracle_requests", count(commit.stats.stamps)),
                ("refreshes", count(commit.stats.refreshes)),
                ("lock_waits", count(commit.stats.lock_waits)),
            ]);
        }
    }

    pub(super) fn locus_settings(&self, output: &mut Output<'_>) {
        for (name, value, description) in self.settings.all() {
            output.row([("name", text(name)), ("value", text(value)), ("description", text(description))]);
        }
    }

    pub(super) async fn locus_ranges(&self, output: &mut Output<'_>) -> Result<()> {
        let client = &self.database.client;
        let deadline = client.runtime.now() + client.options.operation_timeout;
        for range in client.cluster.ranges(deadline).await.map_err(txn::Error::from)? {
            let span = &range.descriptor.span;
            let (table, index) = self.names_at(&span.start);
            let replicas = range.descriptor.replicas.iter().map(|node| int8(node.0 as i64)).collect();
            output.row([
                ("range_id", int8(range.descriptor.id.0 as i64)),
                ("epoch", int8(range.descriptor.epoch as i64)),
                ("start_key", text(span.start.escape_ascii().to_string())),
                ("end_key", text(span.end.escape_ascii().to_string())),
                ("table_name", table.map_or(Value::Null, text)),
                ("index_name", index.map_or(Value::Null, text)),
                ("leader", range.leader.map_or(Value::Null, |node| int8(node.0 as i64))),
                ("replicas", array(DataType::INT8, replicas)),
                ("size_bytes", int8(range.size_bytes as i64)),
                ("applied_index", int8(range.applied_index as i64)),
                ("term", int8(range.term as i64)),
            ]);
        }
        Ok(())
    }

    /// Table and index whose keys a range begins with.
    pub(super) fn names_at(&self, key: &[u8]) -> (Option<String>, Option<String>) {
        let Some((id, space)) = encode::locate(key) else { return (None, None) };
        if id == crate::catalog::store::CATALOG_TABLE {
            return (Some(format!("{LOCUS}.catalog")), None);
        }
        let Some(relation) = self.catalog.snapshot.get(id) else { return (None, None) };
        let index = relation.table().and_then(|table| table.indexes.iter().find(|index| index.id == space));
        let table = format!("{}.{}", relation.schema, relation.name);
        (Some(table), index.map(|index| index.name.clone()).filter(|name| !name.is_empty()))
    }
}
