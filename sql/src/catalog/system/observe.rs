//! The cluster as it reports itself, and this gateway as it knows itself: views for people who look after them
//! (`docs/system-views.md`). What comes from nodes is asked of all of them at once; who does not answer is left out.

use std::collections::BTreeMap;

use base::TxnId;
use txn::{EventKind, LockMode, NodeStatus, RangeStatus};

use super::{Output, SystemViews, flag, int4, int8, oid, text};
use crate::{encode, error::Result, session::Activity, types::Value};

/// Microseconds between 1970 and 2000.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// An instant given in microseconds since 1970.
pub(super) fn instant(unix_micros: Option<i64>) -> Value {
    unix_micros.map_or(Value::Null, |micros| Value::TimestampTz(micros - EPOCH_MICROS))
}

fn float8(value: f64) -> Value {
    Value::Float8(value)
}

fn count(value: u64) -> Value {
    int8(i64::try_from(value).unwrap_or(i64::MAX))
}

fn or_null<T>(value: Option<T>, show: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Value::Null, show)
}

/// A transaction's id as messages show it.
fn name(txn: TxnId) -> String {
    format!("{txn}")
}

/// A transaction of this gateway that waits.
struct Wait {
    waiter: TxnId,
    holder: TxnId,
    key: bytes::Bytes,
    mode: Option<LockMode>,
    /// Microseconds since 1970.
    since: i64,
}

impl SystemViews {
    async fn node_statuses(&self) -> Result<Vec<NodeStatus>> {
        let client = &self.database.client;
        let deadline = client.runtime.now() + client.options.operation_timeout;
        Ok(client.cluster.nodes(deadline).await.map_err(txn::Error::from)?)
    }

    async fn range_statuses(&self) -> Result<Vec<RangeStatus>> {
        let client = &self.database.client;
        let deadline = client.runtime.now() + client.options.operation_timeout;
        Ok(client.cluster.ranges(deadline).await.map_err(txn::Error::from)?)
    }

    pub(super) async fn locus_nodes(&self, output: &mut Output<'_>) -> Result<()> {
        for node in self.node_statuses().await? {
            let gauge = |name: &str| or_null(node.gauge(name), count);
            let counters: serde_json::Map<String, serde_json::Value> =
                node.counters.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
            output.row([
                ("node_id", count(node.id.0)),
                ("address", text(node.address.as_str())),
                ("is_live", flag(node.live)),
                ("ranges", count(node.ranges)),
                ("leaders", count(node.leaders)),
                ("counters", text(serde_json::Value::Object(counters).to_string())),
                ("processors", gauge("processors")),
                ("cpu_percent", or_null(node.gauge("cpu_permille"), |permille| float8(permille as f64 / 10.0))),
                ("memory_bytes", gauge("memory_resident_bytes")),
                ("memory_total_bytes", gauge("memory_total_bytes")),
                ("memory_available_bytes", gauge("memory_available_bytes")),
                ("network_received_bytes", gauge("network_received_bytes")),
                ("network_sent_bytes", gauge("network_sent_bytes")),
            ]);
        }
        Ok(())
    }

    pub(super) async fn locus_latencies(&self, output: &mut Output<'_>) -> Result<()> {
        for node in self.node_statuses().await? {
            for peer in &node.peers {
                let millis = |micros: u64| float8(micros as f64 / 1000.0);
                output.row([
                    ("node_id", count(node.id.0)),
                    ("peer_id", count(peer.node.0)),
                    ("is_live", flag(peer.live)),
                    ("round_trip_ms", or_null(peer.round_trip_micros, millis)),
                ]);
            }
        }
        Ok(())
    }

    pub(super) async fn locus_stores(&self, output: &mut Output<'_>) -> Result<()> {
        for node in self.node_statuses().await?.iter().filter(|node| node.live) {
            let gauge = |name: &str| or_null(node.gauge(name), count);
            let used = [node.gauge("engine_files_bytes"), node.gauge("log_size_bytes")];
            output.row([
                ("node_id", count(node.id.0)),
                ("capacity_bytes", gauge("disk_total_bytes")),
                ("available_bytes", gauge("disk_available_bytes")),
                ("used_bytes", count(used.into_iter().flatten().sum())),
                ("engine_files_bytes", gauge("engine_files_bytes")),
                ("engine_live_bytes", gauge("engine_live_bytes")),
                ("engine_memtables_bytes", gauge("engine_memtables_bytes")),
                ("engine_pending_compaction_bytes", gauge("engine_pending_compaction_bytes")),
                ("log_bytes", gauge("log_size_bytes")),
                ("disk_read_bytes", gauge("disk_read_bytes")),
                ("disk_written_bytes", gauge("disk_written_bytes")),
            ]);
        }
        Ok(())
    }

    pub(super) async fn locus_replicas(&self, output: &mut Output<'_>) -> Result<()> {
        let ranges: BTreeMap<u64, RangeStatus> =
            self.range_statuses().await?.into_iter().map(|range| (range.descriptor.id.0, range)).collect();
        for node in self.node_statuses().await? {
            for replica in &node.replicas {
                let range = ranges.get(&replica.range.0);
                let followers = range.map(|range| &range.followers[..]).unwrap_or_default();
                let matched = followers.iter().find(|known| known.node == node.id).map(|known| known.matched_index);
                let votes = range.is_none_or(|range| range.descriptor.replicas.contains(&node.id));
                output.row([
                    ("range_id", count(replica.range.0)),
                    ("node_id", count(node.id.0)),
                    (
                        "role",
                        text(if replica.leads {
                            "leader"
                        } else if votes {
                            "follower"
                        } else {
                            "removed"
                        }),
                    ),
                    ("term", count(replica.term)),
                    ("committed_index", count(replica.committed_index)),
                    ("applied_index", count(replica.applied_index)),
                    ("matched_index", or_null(matched, count)),
                    ("log_entries", count(replica.log_entries)),
                    ("log_bytes", count(replica.log_bytes)),
                ]);
            }
        }
        Ok(())
    }

    pub(super) async fn locus_range_heat(&self, output: &mut Output<'_>) -> Result<()> {
        let seconds = txn::BUCKET_MS as f64 / 1000.0;
        for range in self.range_statuses().await? {
            let span = &range.descriptor.span;
            let (table, index) = self.names_at(&span.start);
            for bucket in &range.heat {
                output.row([
                    ("range_id", count(range.descriptor.id.0)),
                    ("start_key", text(span.start.escape_ascii().to_string())),
                    ("table_name", or_null(table.clone(), text)),
                    ("index_name", or_null(index.clone(), text)),
                    ("bucket_start", instant(Some(bucket.from_ms as i64 * 1000))),
                    ("bucket_seconds", float8(seconds)),
                    ("reads", count(bucket.reads)),
                    ("writes", count(bucket.writes)),
                    ("reads_per_second", float8(bucket.reads as f64 / seconds)),
                    ("writes_per_second", float8(bucket.writes as f64 / seconds)),
                ]);
            }
        }
        Ok(())
    }

    pub(super) async fn locus_events(&self, output: &mut Output<'_>) -> Result<()> {
        let mut all: Vec<_> = Vec::new();
        for node in self.node_statuses().await? {
            all.extend(node.events.into_iter().map(|event| (event.at_ms, node.id, event.serial, event)));
        }
        all.sort_by_key(|(at_ms, node, serial, _)| (*at_ms, *node, *serial));
        for (at_ms, node, _, event) in all {
            let severity = match event.kind {
                EventKind::PeerDown => "warning",
                _ => "info",
            };
            output.row([
                ("at", instant(Some(at_ms as i64 * 1000))),
                ("node_id", count(node.0)),
                ("severity", text(severity)),
                ("kind", text(event.kind.name())),
                ("range_id", or_null(event.range, |range| count(range.0))),
                ("peer_id", or_null(event.node, |peer| count(peer.0))),
            ]);
        }
        Ok(())
    }

    pub(super) async fn locus_metrics(&self, output: &mut Output<'_>) -> Result<()> {
        for node in self.node_statuses().await? {
            for (kind, values) in [("counter", &node.counters), ("gauge", &node.gauges)] {
                for (name, value) in values {
                    output.row([
                        ("name", text(format!("locus_node_{name}"))),
                        ("kind", text(kind)),
                        ("node_id", int8(node.id.0 as i64)),
                        ("value", float8(*value as f64)),
                    ]);
                }
            }
        }
        let totals = self.database.statistics.totals();
        for (kind, name, value) in [
            ("gauge", "sessions", self.database.activities().len() as u64),
            ("counter", "statements", totals.calls),
            ("counter", "statement_errors", totals.errors),
            ("counter", "statement_retries", totals.retries),
            ("counter", "statement_rows", totals.rows),
            ("counter", "statement_micros", totals.micros),
            ("counter", "fingerprints_forgotten", totals.forgotten),
        ] {
            output.row([
                ("name", text(format!("locus_gateway_{name}"))),
                ("kind", text(kind)),
                ("gateway", text(self.gateway())),
                ("value", float8(value as f64)),
            ]);
        }
        Ok(())
    }

    pub(super) fn locus_statement_stats(&self, output: &mut Output<'_>) {
        for (query, known) in self.database.statistics.list() {
            let errors: serde_json::Map<String, serde_json::Value> =
                known.errors.iter().map(|(state, count)| ((*state).to_owned(), (*count).into())).collect();
            let millis = |micros: u64| float8(micros as f64 / 1000.0);
            let plan = known.plan.as_ref().map(|plan| crate::plan::display::explain(plan).join("\n"));
            output.row([
                ("query", Value::Text(query)),
                ("calls", count(known.calls)),
                ("rows", count(known.rows)),
                ("retries", count(known.retries)),
                ("errors", count(known.errors.values().sum())),
                ("errors_by_sqlstate", text(serde_json::Value::Object(errors).to_string())),
                ("total_exec_time", millis(known.micros)),
                ("mean_exec_time", float8(known.mean_millis())),
                ("min_exec_time", millis(known.micros_min)),
                ("max_exec_time", millis(known.micros_max)),
                ("stddev_exec_time", float8(known.stddev_millis())),
                ("first_call", instant(Some(known.first_call))),
                ("last_call", instant(Some(known.last_call))),
                ("plan", or_null(plan, text)),
                ("gateway", text(self.gateway())),
            ]);
        }
    }

    pub(super) fn locus_sessions(&self, output: &mut Output<'_>) {
        for activity in self.database.activities() {
            let now = activity.now.lock().clone();
            let open = matches!(now.state, "active" | "idle in transaction");
            output.row([
                ("pid", int4(i64::from(activity.pid))),
                ("user_name", text(activity.user.as_str())),
                ("database", text(activity.database.as_str())),
                ("application_name", text(now.application_name)),
                ("state", text(now.state)),
                ("query", self.query_of(&activity.user, &now.query)),
                ("backend_start", instant(Some(activity.backend_start))),
                ("transaction_start", instant(now.transaction_start)),
                ("query_start", instant(now.query_start)),
                ("state_change", instant(now.state_change)),
                ("client_address", or_null(activity.client.address, |address| text(address.to_string()))),
                ("transaction_id", or_null(now.transaction.filter(|_| open), |txn| text(name(txn)))),
                ("gateway", text(self.gateway())),
            ]);
        }
    }

    pub(super) fn locus_lock_waits(&self, output: &mut Output<'_>) {
        let sessions = self.database.activities();
        for wait in self.waits() {
            let (table, index) = self.names_at(&wait.key);
            output.row([
                ("waiter_pid", or_null(pid_of(&sessions, wait.waiter), int4)),
                ("waiter_transaction", text(name(wait.waiter))),
                ("holder_pid", or_null(pid_of(&sessions, wait.holder), int4)),
                ("holder_transaction", text(name(wait.holder))),
                ("table_name", or_null(table, text)),
                ("index_name", or_null(index, text)),
                ("key", text(wait.key.escape_ascii().to_string())),
                ("mode", or_null(wait.mode, |mode| text(mode_name(mode)))),
                ("since", instant(Some(wait.since))),
                ("gateway", text(self.gateway())),
            ]);
        }
    }

    /// What PostgreSQL's users look for: who waits for a row, and who has it.
    pub(super) fn pg_locks(&self, output: &mut Output<'_>) {
        let sessions = self.database.activities();
        for wait in self.waits() {
            let relation = encode::locate(&wait.key).map(|(table, _)| table.0);
            for (txn, granted, since) in [(wait.waiter, false, Some(wait.since)), (wait.holder, true, None)] {
                output.row([
                    ("locktype", text("tuple")),
                    ("database", oid(super::cluster::database_oid(crate::session::DATABASE_NAMES[0]))),
                    ("relation", or_null(relation, oid)),
                    ("pid", or_null(pid_of(&sessions, txn), int4)),
                    ("virtualtransaction", text(name(txn))),
                    ("mode", text("ExclusiveLock")),
                    ("granted", flag(granted)),
                    ("fastpath", flag(false)),
                    ("waitstart", instant(since)),
                ]);
            }
        }
    }

    /// Whether the session's transaction waits for another one.
    pub(super) fn is_waiting(&self, activity: &Activity) -> bool {
        let transaction = activity.now.lock().transaction;
        transaction.is_some_and(|txn| self.database.client.waits().iter().any(|wait| wait.waiter == txn))
    }

    fn waits(&self) -> Vec<Wait> {
        let client = &self.database.client;
        let (now, wall) = (client.runtime.now(), client.runtime.wall_micros());
        let mut all = Vec::new();
        for wait in client.waits() {
            let since = wall - now.since(wait.since).as_micros() as i64;
            let each = wait.holders.iter().map(|holder| Wait {
                waiter: wait.waiter,
                holder: *holder,
                key: wait.key.clone(),
                mode: wait.mode,
                since,
            });
            all.extend(each);
        }
        all
    }

    fn gateway(&self) -> &str {
        &self.database.options.gateway
    }
}

/// As SQL says it.
fn mode_name(mode: LockMode) -> &'static str {
    match mode {
        LockMode::KeyShare => "for key share",
        LockMode::Share => "for share",
        LockMode::NoKeyUpdate => "for no key update",
        LockMode::Update => "for update",
    }
}

fn pid_of(sessions: &[std::sync::Arc<Activity>], txn: TxnId) -> Option<i64> {
    let owner = sessions.iter().find(|activity| activity.now.lock().transaction == Some(txn))?;
    Some(i64::from(owner.pid))
}
