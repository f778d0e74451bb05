//! One session: the state of a connection above the wire. The gateway drives it; the simulator and the tests drive it
//! directly. The session never learns of messages or sockets.
//!
//! | state | `BEGIN` | a statement | an error | `COMMIT` |
//! |---|---|---|---|---|
//! | idle | → open | → implicit, then (with [`Ending::Commit`]) commits → idle | → idle | warns |
//! | implicit (a pipeline) | → open | within it | rolls back → idle | → idle |
//! | open | warns | within it | → failed | → idle |
//! | failed | refused (25P02) | refused | – | rolls back → idle |
//!
//! What a transaction is like (isolation level, read-only) is in `modes`, queries of the past in `past`.

mod activity;
mod change;
mod conflict;
mod control;
mod copying;
mod cursor;
mod database;
mod environment;
mod identity;
mod modes;
mod past;
mod portal;
mod prepare;
mod run;
mod state;
mod statistics;
mod utility;
mod variables;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use auth::privilege::Privileges;
use base::Monotonic;
use parking_lot::Mutex;

pub(crate) use activity::Activity;
pub use activity::Canceller;
pub use database::{BOOTSTRAP_ROLE, DATABASE_NAMES, Database, Faults, Options};
pub(crate) use environment::Environment;
pub(crate) use past::FOLLOWER_LAG_MICROS;
pub use portal::{Portal, Prepared, Statement};
use portal::{Run, TextCache};
pub(crate) use run::POSTGRES_EPOCH_MICROS;
use state::{Failed, Phase, State, Transaction};
pub(crate) use statistics::without_secrets;
pub(crate) use utility::{fold, object_name};

use crate::{
    catalog::{SessionCatalog, Snapshot, functions::SessionFunctions, sequence::SequenceMemory},
    error::{Result, SqlError, SqlState},
    expr::SessionView,
    settings::Settings,
    types::{DataType, FormatOptions, Row, Value},
};

/// What the client said at start-up.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    pub user: String,
    /// One of [`DATABASE_NAMES`]; empty: the first of them.
    pub database: String,
    /// `application_name`, `client_encoding`, `-c name=value` …
    pub settings: Vec<(String, String)>,
    /// 0: to be chosen by the session.
    pub backend_pid: i32,
    pub client: ClientInfo,
}

/// How the client came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientInfo {
    /// `None`: within this process.
    pub address: Option<std::net::IpAddr>,
    pub encrypted: bool,
    pub factors: auth::Factors,
    pub superuser: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    Open,
    Failed,
}

/// See [`Session::may_repeat`].
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    idle: bool,
    indelible: u64,
}

/// What an `execute` call brought.
#[derive(Debug)]
pub enum Step {
    /// Some rows; call again.
    Rows(Vec<Row>),
    /// The row limit of the call is reached and the portal is suspended; the last rows.
    Suspended(Vec<Row>),
    /// Done, with the last rows and the command tag (`SELECT 3`, `INSERT 0 1`, `CREATE TABLE`).
    Complete(Vec<Row>, String),
    /// An empty statement.
    Empty,
    /// COPY FROM STDIN: feed `Session::copy_data` and then `copy_done` / `copy_fail`.
    CopyIn {
        columns: usize,
        binary: bool,
    },
    /// COPY TO STDOUT begins: call again, each `CopyData` is one message's payload.
    CopyOut {
        columns: usize,
        binary: bool,
    },
    CopyData(Vec<bytes::Bytes>),
}

#[derive(Clone, Debug)]
pub struct Notice {
    pub severity: &'static str,
    pub error: SqlError,
}

/// How a call of `execute` ends its implicit transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Outside a block: run to the end, commit, then hand out rows and tag; retried inside where nothing was handed out.
    Commit,
    /// More statements of the same implicit transaction follow (pipeline, multi-statement text); `Session::sync` commits.
    More,
}

/// Texts kept with their syntax trees, and statements kept with their plans.
const CACHED_TEXTS: usize = 256;
/// Longer texts are not kept.
const CACHED_TEXT_BYTES: usize = 8 << 10;

pub struct Session {
    database: Arc<Database>,
    activity: Arc<Activity>,
    settings: Settings,
    state: State,
    /// Counts transactions.
    serial: u64,
    /// Attempts beyond the first of the statement that runs.
    retries: u64,
    notices: Vec<Notice>,
    sequences: Arc<Mutex<SequenceMemory>>,
    texts: Mutex<TextCache<Arc<str>, Arc<[Statement]>>>,
    prepared: TextCache<(Arc<str>, Vec<DataType>), Arc<Prepared>>,
    /// Made by SQL's PREPARE.
    named: BTreeMap<String, Arc<Prepared>>,
    view: Option<View>,
    /// What `format_options` gave, and the generation of the settings that it was made from.
    formats: Mutex<Option<(u64, FormatOptions)>>,
    /// Counts what cannot be taken back: commits, and changes of the session that no rollback undoes.
    indelible: u64,
    /// When the statement that runs now began, for `statement_timeout`.
    statement_start: Option<Monotonic>,
    /// Settings changed by functions (`set_config`) of the running statement.
    pending_settings: Arc<Mutex<Vec<PendingSetting>>>,
}

/// `set_config(name, value, is_local)`: applied after the evaluation that called it.
#[derive(Clone, Debug)]
pub(crate) struct PendingSetting {
    pub name: String,
    pub value: String,
    pub local: bool,
}

/// The session as expressions see it, and what it was derived from.
struct View {
    generation: u64,
    snapshot: Arc<Snapshot>,
    view: Arc<SessionView>,
    search_path: Arc<[String]>,
}

impl Session {
    pub fn new(database: Arc<Database>, startup: Startup) -> Result<Session> {
        let name = if startup.database.is_empty() { DATABASE_NAMES[0] } else { &startup.database };
        if !DATABASE_NAMES.contains(&name) {
            let message = format!("database \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::INVALID_CATALOG_NAME, message));
        }
        let mut settings = Settings::new(&startup.user);
        settings.set_superuser(startup.client.superuser, false);
        for (setting, value) in &startup.settings {
            settings.set_startup(setting, value)?;
        }
        let pid = if startup.backend_pid != 0 { startup.backend_pid } else { database.fresh_pid() };
        let activity = Arc::new(Activity {
            pid,
            user: startup.user,
            client: startup.client,
            database: name.to_owned(),
            backend_start: database.client.runtime.wall_micros(),
            canceller: Canceller::default(),
            now: Mutex::default(),
        });
        database.register(Arc::clone(&activity));
        let session = Session {
            database,
            activity,
            settings,
            state: State::Idle,
            serial: 0,
            retries: 0,
            notices: Vec::new(),
            sequences: Arc::default(),
            texts: Mutex::new(TextCache::new(CACHED_TEXTS)),
            prepared: TextCache::new(CACHED_TEXTS),
            named: BTreeMap::new(),
            view: None,
            formats: Mutex::default(),
            indelible: 0,
            statement_start: None,
            pending_settings: Arc::default(),
        };
        session.report_idle();
        Ok(session)
    }

    pub fn status(&self) -> TransactionStatus {
        match self.state {
            State::Idle | State::Implicit(_) => TransactionStatus::Idle,
            State::Open(_) => TransactionStatus::Open,
            State::Failed(_) => TransactionStatus::Failed,
        }
    }

    /// Splits a text into statements. A syntax error carries its position.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>> {
        if let Some(statements) = self.texts.lock().get(text) {
            return Ok(statements.to_vec());
        }
        let statements: Arc<[Statement]> = crate::parse::parse(text)?
            .into_iter()
            .map(|parsed| Statement { text: parsed.text.clone(), parsed: Arc::new(parsed) })
            .collect();
        let secret = statements.iter().any(|statement| statement.parsed.body.is_secret());
        if text.len() <= CACHED_TEXT_BYTES && !secret {
            self.texts.lock().insert(text.into(), Arc::clone(&statements));
        }
        Ok(statements.to_vec())
    }

    /// Binds a statement; `types` are the client's parameter types where it gave any (`DataType(0)`: not given). Outside a
    /// block this may begin the implicit transaction, which `execute` goes on with and `sync` ends.
    pub async fn prepare(&mut self, statement: &Statement, types: &[DataType]) -> Result<Arc<Prepared>> {
        self.activity.canceller.clear();
        match self.prepare_statement(statement, types).await {
            Ok(prepared) => Ok(prepared),
            Err(error) => {
                let error = self.explain(error);
                self.audit_denied(&error);
                self.fail().await;
                Err(error)
            }
        }
    }

    /// Makes a portal. The values must have the types of `Prepared::parameters`.
    pub fn bind(&mut self, prepared: &Arc<Prepared>, parameters: Vec<Value>) -> Result<Portal> {
        if parameters.len() != prepared.parameters.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"\" requires {}",
                parameters.len(),
                prepared.parameters.len()
            );
            return Err(SqlError::new(SqlState("08P01"), message));
        }
        Ok(Portal::new(Arc::clone(prepared), parameters.into()))
    }

    /// Runs a portal, at most `max_rows` rows (0: all) before `Step::Suspended`. Rows come in batches of bounded size.
    pub async fn execute(&mut self, portal: &mut Portal, max_rows: usize, ending: Ending) -> Result<Step> {
        let first = matches!(portal.run, Run::Ready);
        if first {
            self.activity.canceller.clear();
            self.report_active(&portal.prepared.statement.text);
        }
        let now = self.database.client.runtime.now();
        self.statement_start.get_or_insert(now);
        let outcome = self.execute_portal(portal, max_rows, ending).await.map_err(|error| self.explain(error));
        self.count(portal, first, now, &outcome);
        if matches!(outcome, Err(_) | Ok(Step::Complete(..) | Step::Suspended(_) | Step::Empty)) {
            self.statement_start = None;
            if let Some(transaction) = self.transaction() {
                transaction.phase = Phase::Between;
            }
        }
        if let Err(error) = &outcome {
            self.audit_denied(error);
            portal.run = Run::Done;
            // Whatever the statement did to the transaction has been undone with it, unless the error came before.
            self.fail().await;
        }
        self.report_idle();
        outcome
    }

    /// Takes some of the client's data during COPY FROM STDIN, cut anywhere.
    pub async fn copy_data(&mut self, portal: &mut Portal, data: bytes::Bytes) -> Result<()> {
        let outcome = self.take_copy_data(portal, data).await.map_err(|error| self.explain(error));
        if outcome.is_err() {
            portal.run = Run::Done;
            self.fail().await;
        }
        outcome
    }

    /// Ends COPY FROM STDIN; the tag (`COPY 5`).
    pub async fn copy_done(&mut self, portal: &mut Portal, ending: Ending) -> Result<String> {
        let outcome = self.finish_copy(portal, ending).await.map_err(|error| self.explain(error));
        portal.run = Run::Done;
        if outcome.is_err() {
            self.fail().await;
        }
        self.report_idle();
        outcome
    }

    /// The client gave up its COPY.
    pub async fn copy_fail(&mut self, portal: Portal, message: &str) -> SqlError {
        drop(portal);
        self.fail().await;
        self.report_idle();
        SqlError::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {message}"))
    }

    /// The end of a pipeline (`Sync`) or of a multi-statement text: commits the implicit transaction if one is open.
    pub async fn sync(&mut self) -> Result<()> {
        match &mut self.state {
            State::Implicit(_) => self.commit_implicit().await.map_err(|error| self.explain(error)),
            State::Open(transaction) => {
                // What was prepared may be executed much later.
                transaction.phase = Phase::Between;
                Ok(())
            }
            State::Idle | State::Failed(_) => Ok(()),
        }
    }

    /// An error reached the client outside `execute` (bad message, bad parameter): aborts the implicit transaction, fails an
    /// explicit one. Errors of the session's own calls have done so already.
    pub async fn fail(&mut self) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => {}
            State::Implicit(transaction) => {
                self.settings.return_to(transaction.settings.clone());
                transaction.txn.rollback().await;
            }
            State::Open(transaction) => {
                let (settings, characteristics) = (transaction.settings.clone(), transaction.characteristics);
                let transaction = if transaction.savepoints.is_empty() {
                    // Nothing can bring it back: let its locks go now.
                    transaction.txn.rollback().await;
                    None
                } else {
                    Some(transaction)
                };
                self.state = State::Failed(Failed { transaction, settings, characteristics });
            }
            State::Failed(failed) => self.state = State::Failed(failed),
        }
        self.report_idle();
    }

    /// Where the session stands for [`Session::may_repeat`].
    pub fn progress(&self) -> Progress {
        Progress { idle: matches!(self.state, State::Idle), indelible: self.indelible }
    }

    /// Whether everything that was executed since `start` can be executed once more as if for the first time, because of this
    /// error: the caller knows that the client has seen nothing of it. If so it is undone now, and after a pause the caller may
    /// repeat it. `attempt` counts from 1.
    pub async fn may_repeat(&mut self, error: &SqlError, start: Progress, attempt: u32) -> bool {
        let repeatable = error.fields().retryable && start.idle && start.indelible == self.indelible;
        if !repeatable || attempt >= self.database.options.attempts_max {
            return false;
        }
        self.end_silently().await;
        self.notices.clear();
        // Cancelled meanwhile: the error is what the client gets.
        self.back_off(attempt).await.is_ok()
    }

    /// Rolls back whatever is open.
    async fn end_silently(&mut self) {
        let (transaction, settings) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => return,
            State::Implicit(transaction) | State::Open(transaction) => {
                let settings = transaction.settings.clone();
                (Some(transaction), settings)
            }
            State::Failed(Failed { transaction, settings, .. }) => (transaction, settings),
        };
        self.settings.return_to(settings);
        if let Some(transaction) = transaction {
            transaction.txn.rollback().await;
        }
    }

    /// How long the client may leave the session as it is, and what ends the connection then.
    pub fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        let (setting, state, what) = match self.status() {
            TransactionStatus::Idle => ("idle_session_timeout", SqlState::IDLE_SESSION_TIMEOUT, "idle-session"),
            TransactionStatus::Open | TransactionStatus::Failed => (
                "idle_in_transaction_session_timeout",
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "idle-in-transaction",
            ),
        };
        let limit = self.timeout_of(setting)?;
        Some((limit, SqlError::new(state, format!("terminating connection due to {what} timeout"))))
    }

    /// Notices and warnings since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = std::mem::take(&mut self.notices);
        if !notices.is_empty() {
            let least = severity_rank(self.settings.get("client_min_messages"));
            notices.retain(|notice| severity_rank(&notice.severity.to_ascii_lowercase()) >= least);
        }
        notices
    }

    /// Settings that changed and that the protocol reports (`ParameterStatus`), since the last call; at first all of them.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.settings.take_changes()
    }

    /// Ask from another thread to stop the running statement: it ends with 57014 at the next check.
    pub fn canceller(&self) -> Canceller {
        self.activity.canceller.clone()
    }

    /// Names this session: the `backend_pid` of the start-up, or the one that was chosen.
    pub fn backend_pid(&self) -> i32 {
        self.activity.pid
    }

    /// A setting's value (lower- or upper-case name), as `SHOW` prints it.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.show(name)
    }

    /// The session's settings as output functions need them, with the catalog of the last statement for the names that
    /// `regclass` and its kin are shown by.
    pub fn format_options(&self) -> FormatOptions {
        let generation = self.settings.generation();
        let mut formats = self.formats.lock();
        let mut options = match &*formats {
            Some((made_at, options)) if *made_at == generation => options.clone(),
            _ => {
                let options = FormatOptions::from_session(&self.bare_view());
                *formats = Some((generation, options.clone()));
                options
            }
        };
        if let Some(view) = &self.view {
            let (snapshot, search_path) = (Arc::clone(&view.snapshot), Arc::clone(&view.search_path));
            let catalog = SessionCatalog { snapshot, search_path };
            let pending = Arc::clone(&self.pending_settings);
            options.catalog = Some(Arc::new(SessionFunctions::new(Arc::clone(&self.database), catalog, pending)));
            options.session = Some(Arc::clone(&view.view));
        }
        options
    }

    /// The connection ends: rolls back.
    pub async fn close(mut self) {
        self.end_silently().await;
    }

    fn notice(&mut self, severity: &'static str, state: SqlState, message: impl Into<String>) {
        self.notices.push(Notice { severity, error: SqlError::new(state, message) });
    }

    /// The transaction that statements run in, if there is one.
    fn transaction(&mut self) -> Option<&mut Transaction> {
        match &mut self.state {
            State::Implicit(transaction) | State::Open(transaction) => Some(transaction),
            State::Idle | State::Failed(_) => None,
        }
    }

    fn bare_view(&self) -> SessionView {
        let settings = self.settings.all().into_iter().map(|(name, value, _)| (name.to_ascii_lowercase(), value));
        let user = self.current_user();
        SessionView {
            search_path: self.settings.search_path(&user),
            session_user: self.session_user(),
            user,
            client: self.activity.client.clone(),
            database: self.activity.database.clone(),
            backend_pid: self.activity.pid,
            time_zone: self.settings.get("TimeZone").to_owned(),
            settings: settings.collect(),
        }
    }

    /// The session as expressions see it, together with the catalog as names are looked up in it.
    fn view(&mut self, snapshot: &Arc<Snapshot>) -> (Arc<SessionView>, SessionCatalog) {
        let generation = self.settings.generation();
        let fresh = self
            .view
            .as_ref()
            .is_some_and(|view| view.generation == generation && Arc::ptr_eq(&view.snapshot, snapshot));
        if !fresh {
            let mut view = self.bare_view();
            // A user may be called as a system schema; that must not bring the system's views into sight.
            let user = &view.user.clone();
            let names_user = crate::catalog::system::is_system_schema(user);
            if names_user && self.settings.get("search_path").contains("$user") {
                view.search_path.retain(|name| name != user);
            }
            let acting = snapshot.roles.oid(user);
            let visible = |name: &String| {
                crate::catalog::system::is_system_schema(name)
                    || snapshot.schema(name).is_some_and(|schema| {
                        crate::access::schema_held(snapshot, acting, schema.oid).contains(Privileges::USAGE)
                    })
            };
            view.search_path.retain(visible);
            let search_path: Arc<[String]> = view.search_path.clone().into();
            let snapshot = Arc::clone(snapshot);
            self.view = Some(View { generation, snapshot, view: Arc::new(view), search_path });
        }
        match &self.view {
            Some(view) => {
                let catalog =
                    SessionCatalog { snapshot: Arc::clone(snapshot), search_path: Arc::clone(&view.search_path) };
                (Arc::clone(&view.view), catalog)
            }
            None => unreachable!("made above"),
        }
    }

    fn report_active(&self, text: &Arc<str>) {
        let now = self.database.client.runtime.wall_micros();
        let mut activity = self.activity.now.lock();
        activity.state = "active";
        activity.query = Arc::clone(text);
        activity.query_start = Some(now);
        activity.state_change = Some(now);
    }

    fn report_idle(&self) {
        let now = self.database.client.runtime.wall_micros();
        let mut activity = self.activity.now.lock();
        activity.state = match &self.state {
            State::Idle => "idle",
            State::Implicit(_) | State::Open(_) => "idle in transaction",
            State::Failed(_) => "idle in transaction (aborted)",
        };
        activity.state_change = Some(now);
        activity.transaction_start = match &self.state {
            State::Implicit(transaction) | State::Open(transaction) => {
                Some(transaction.micros + crate::session::run::POSTGRES_EPOCH_MICROS)
            }
            State::Idle | State::Failed(_) => None,
        };
        let name = self.settings.get("application_name");
        if activity.application_name != name {
            activity.application_name = name.to_owned();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.database.unregister(self.activity.pid);
    }
}

fn severity_rank(severity: &str) -> u8 {
    match severity {
        "info" => 9,
        "error" => 8,
        "warning" => 7,
        "notice" => 6,
        "log" => 5,
        _ => 1,
    }
}
