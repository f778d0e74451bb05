//! What all sessions of one gateway share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use auth::{
    audit::Record,
    privilege::{Acl, Object, PUBLIC, Privileges},
};
use base::TxnId;
use parking_lot::Mutex;
use txn::{Txn, TxnClient};

use super::{activity::Activity, statistics::Statistics};
use crate::{
    catalog::{
        Role, Schema,
        cache::CatalogCache,
        sequence::SequenceCache,
        store::{self, descriptor_key},
        system::{PUBLIC_OID, roles::BOOTSTRAP_OID},
    },
    error::{Result, SqlError, SqlState},
    security::{Security, audit::Backlog},
};

/// The names under which the one database can be reached. The first is its own.
pub const DATABASE_NAMES: &[&str] = &["locus", "postgres"];

/// The role that owns what bootstrap creates.
pub const BOOTSTRAP_ROLE: &str = "locus";

/// Attempts of bootstrap when several gateways do it at once.
const BOOTSTRAP_ATTEMPTS: u32 = 30;

#[derive(Clone, Debug)]
pub struct Options {
    /// Limit for what one statement holds in memory (53200).
    pub statement_memory_bytes_max: usize,
    /// How long versions of the past are kept; also how long the key space of a dropped table stays.
    pub retention: Duration,
    /// How often each gateway looks for garbage. `None`: never.
    pub garbage_interval: Option<Duration>,
    /// Attempts of what has met a serialization failure or a deadlock before the client has seen anything of it.
    pub attempts_max: u32,
    /// How people sign in, and what keeps their secrets.
    pub security: Security,
    /// How views name this gateway; most often its address.
    pub gateway: String,
    pub faults: Faults,
}

/// Planted errors, to check that the checkers find them. All off in production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Repeats a statement of a block in a new transaction though the client has seen what the old one did.
    pub retry_after_handed_out: bool,
    /// ROLLBACK TO keeps what was written since the savepoint.
    pub drop_savepoint_undo: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            statement_memory_bytes_max: 256 << 20,
            retention: Duration::from_secs(4 * 3600),
            garbage_interval: Some(Duration::from_secs(300)),
            attempts_max: 12,
            security: Security::default(),
            faults: Faults::default(),
            gateway: "gateway".into(),
        }
    }
}

/// What all sessions of a gateway share: the transaction client, the catalog cache, reserved numbers of sequences, the list
/// of sessions.
pub struct Database {
    pub(crate) client: TxnClient,
    pub(crate) options: Options,
    pub(crate) catalog: CatalogCache,
    pub(crate) sequences: Arc<SequenceCache>,
    refusals: Arc<Backlog>,
    pub(crate) statistics: Statistics,
    sessions: Mutex<BTreeMap<i32, Arc<Activity>>>,
    next_pid: AtomicI32,
}

impl Database {
    pub fn new(client: TxnClient, options: Options) -> Arc<Database> {
        Arc::new(Database {
            catalog: CatalogCache::new(client.clone()),
            sequences: Arc::new(SequenceCache::new(client.clone())),
            statistics: Statistics::default(),
            client,
            options,
            refusals: Arc::default(),
            sessions: Mutex::new(BTreeMap::new()),
            next_pid: AtomicI32::new(1),
        })
    }

    /// Creates what must be there before the first session: the schema `public` and the role that owns the system. Does
    /// nothing where it is there already; any number of gateways may do this at the same time.
    pub async fn bootstrap(&self) -> Result<()> {
        let mut attempt = 0;
        loop {
            let mut txn = self.client.begin();
            let outcome = match bootstrap_in(&mut txn).await {
                Ok(()) => txn.commit().await.map(|_| ()).map_err(SqlError::from),
                Err(error) => {
                    txn.rollback().await;
                    Err(error)
                }
            };
            match outcome {
                Err(error) if attempt < BOOTSTRAP_ATTEMPTS && may_succeed_later(&error) => {
                    attempt += 1;
                    let jitter = self.client.runtime.random_u64() % 100;
                    self.client.runtime.sleep(Duration::from_millis(50 + jitter)).await;
                }
                other => return other,
            }
        }
    }

    /// Starts the work that each gateway does in the background: clearing dropped key spaces and dropping old versions.
    pub fn start_background(self: &Arc<Database>) {
        if let Some(interval) = self.options.garbage_interval {
            let task = crate::catalog::garbage::run(Arc::downgrade(self), interval);
            self.client.runtime.spawn(Box::pin(task));
        }
    }

    /// Clears the key spaces that are due, once; the background job does so all the time.
    pub async fn clear_dropped(&self) -> Result<()> {
        crate::catalog::garbage::clear_spaces(&self.client, self.options.retention).await
    }

    pub(crate) fn register(&self, activity: Arc<Activity>) {
        self.sessions.lock().insert(activity.pid, activity);
    }

    pub(crate) fn unregister(&self, pid: i32) {
        self.sessions.lock().remove(&pid);
    }

    /// A process id for a session whose gateway gave none.
    pub(crate) fn fresh_pid(&self) -> i32 {
        let sessions = self.sessions.lock();
        loop {
            let pid = self.next_pid.fetch_add(1, Ordering::Relaxed);
            if pid > 0 && !sessions.contains_key(&pid) {
                return pid;
            }
        }
    }

    /// How many sessions a role has on this gateway.
    pub fn session_count_of(&self, role: &str) -> usize {
        self.sessions.lock().values().filter(|activity| activity.user == role).count()
    }

    /// Writes an audit row in the background: of what has no transaction of its own.
    pub(crate) fn audit_later(&self, record: Record) {
        self.refusals.push(record, &self.client);
    }

    /// How people sign in.
    pub fn security(&self) -> &Security {
        &self.options.security
    }

    /// The sessions of this gateway, by process id.
    pub(crate) fn activities(&self) -> Vec<Arc<Activity>> {
        self.sessions.lock().values().cloned().collect()
    }

    /// The process id of the session of this gateway that runs a transaction.
    pub(crate) fn process_of(&self, txn: TxnId) -> Option<i32> {
        let sessions = self.sessions.lock();
        sessions.values().find(|activity| activity.now.lock().transaction == Some(txn)).map(|activity| activity.pid)
    }

    /// Whose session this is.
    pub(crate) fn user_of(&self, pid: i32) -> Option<String> {
        self.sessions.lock().get(&pid).map(|activity| activity.user.clone())
    }

    /// Cancels what the session runs now; false when there is no such session.
    pub fn cancel(&self, pid: i32) -> bool {
        let found = self.sessions.lock().get(&pid).cloned();
        found.is_some_and(|activity| {
            activity.canceller.cancel();
            true
        })
    }

    /// Ends the session; false when there is no such session.
    pub fn terminate(&self, pid: i32) -> bool {
        let found = self.sessions.lock().get(&pid).cloned();
        found.is_some_and(|activity| {
            activity.canceller.terminate();
            true
        })
    }
}

async fn bootstrap_in(txn: &mut Txn) -> Result<()> {
    let keys = [descriptor_key(PUBLIC_OID), descriptor_key(BOOTSTRAP_OID)];
    if txn.get(&keys).await?.iter().all(Option::is_some) {
        return Ok(());
    }
    store::begin_change(txn, true).await?;
    // Again, under the lock of schema changes.
    let found = txn.get(&keys).await?;
    if found[0].is_none() {
        // Everybody may look into it, its owner alone may create in it (PostgreSQL 15).
        let mut acl = Acl::standard(Object::Schema, BOOTSTRAP_OID);
        acl.grant(BOOTSTRAP_OID, PUBLIC, Privileges::USAGE, false);
        let public =
            Schema { oid: PUBLIC_OID, name: "public".to_owned(), owner: BOOTSTRAP_ROLE.to_owned(), acl: Some(acl) };
        store::put_schema(txn, &public)?;
    }
    if found[1].is_none() {
        store::put_role(txn, &Role::bootstrap())?;
    }
    Ok(())
}

fn may_succeed_later(error: &SqlError) -> bool {
    // The outcome of a lost commit is found out by looking again.
    error.fields().retryable
        || [SqlState::STATEMENT_COMPLETION_UNKNOWN, SqlState::CANNOT_CONNECT_NOW].contains(&error.state())
}
