//! Databases, roles, settings, sessions, and the cluster as it reports itself.

use auth::privilege;

use super::{LOCUS, Output, SystemViews, array, flag, int4, int8, letter, oid, text};
use crate::{
    encode,
    error::Result,
    session::{BOOTSTRAP_ROLE, DATABASE_NAMES},
    settings::{self, Kind},
    types::{DataType, Value},
};

/// Microseconds between 1970 and 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(super) fn database_oid(name: &str) -> u32 {
    DATABASE_NAMES.iter().position(|known| *known == name).map_or(0, |position| 16000 - position as u32)
}

fn instant(unix_micros: Option<i64>) -> Value {
    unix_micros.map_or(Value::Null, |micros| Value::TimestampTz(micros - EPOCH_MICROS))
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
                ("query", self.query_of(&activity.user, now.query)),
                ("client_addr", activity.client.address.map_or(Value::Null, |address| text(address.to_string()))),
                ("backend_type", text("client backend")),
            ]);
        }
    }

    /// What a session runs is for its own role, members of it, and superusers.
    fn query_of(&self, user: &str, query: std::sync::Arc<str>) -> Value {
        let roles = &self.catalog.snapshot.roles;
        let acting = match self.settings.get("role") {
            "" | "none" => self.settings.get("session_authorization"),
            role => role,
        };
        match privilege::acts_as(roles.facts(), roles.oid(acting), roles.oid(user)) {
            true => Value::Text(query),
            false => text("<insufficient privilege>"),
        }
    }

    pub(super) fn locus_sessions(&self, output: &mut Output<'_>) {
        for activity in self.database.activities() {
            let now = activity.now.lock().clone();
            output.row([
                ("pid", int4(i64::from(activity.pid))),
                ("user_name", text(activity.user.as_str())),
                ("database", text(activity.database.as_str())),
                ("application_name", text(now.application_name)),
                ("state", text(now.state)),
                ("query", self.query_of(&activity.user, now.query)),
                ("backend_start", instant(Some(activity.backend_start))),
                ("transaction_start", instant(now.transaction_start)),
                ("query_start", instant(now.query_start)),
                ("state_change", instant(now.state_change)),
            ]);
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

    pub(super) async fn locus_nodes(&self, output: &mut Output<'_>) -> Result<()> {
        let client = &self.database.client;
        let deadline = client.runtime.now() + client.options.operation_timeout;
        for node in client.cluster.nodes(deadline).await.map_err(txn::Error::from)? {
            let counters: serde_json::Map<String, serde_json::Value> =
                node.counters.into_iter().map(|(name, value)| (name, value.into())).collect();
            output.row([
                ("node_id", int8(node.id.0 as i64)),
                ("address", text(node.address)),
                ("is_live", flag(node.live)),
                ("ranges", int8(node.ranges as i64)),
                ("leaders", int8(node.leaders as i64)),
                ("counters", text(serde_json::Value::Object(counters).to_string())),
            ]);
        }
        Ok(())
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
    fn names_at(&self, key: &[u8]) -> (Option<String>, Option<String>) {
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
