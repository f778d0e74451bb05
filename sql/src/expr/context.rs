//! What an expression may look at besides its row.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{
    error::{Result, SqlError},
    types::{DataType, FormatOptions, Value},
};

/// What an expression may look at besides its row. Made anew for every statement; build it with
/// `EvalContext { parameters, ..EvalContext::new(session) }`.
#[derive(Clone)]
pub struct EvalContext {
    pub parameters: Arc<[Value]>,
    /// `now()`: microseconds since 2000-01-01 UTC, fixed for the transaction.
    pub transaction_micros: i64,
    pub statement_micros: i64,
    pub session: Arc<SessionView>,
    /// Rows of enclosing `Apply` nodes, nearest first.
    pub outer: Vec<Arc<[Value]>>,
    /// The clock of `clock_timestamp()` and the randomness of `random()` and `gen_random_uuid()`.
    pub runtime: Option<Arc<dyn base::Runtime>>,
    /// Functions that look at the catalog. `None` on range leaders.
    pub catalog: Option<Arc<dyn CatalogFunctions>>,
    pub sequences: Option<Arc<dyn SequenceFunctions>>,
    /// Text formats as the session has set them, made from `session` at first use.
    pub format: OnceLock<FormatOptions>,
}

/// What functions such as `current_user`, `current_setting`, `current_schema` see.
#[derive(Clone, Debug, Default)]
pub struct SessionView {
    /// With whose rights statements run.
    pub user: String,
    /// Who has signed in, or was put in its place by SET SESSION AUTHORIZATION.
    pub session_user: String,
    pub client: crate::session::ClientInfo,
    pub database: String,
    pub search_path: Vec<String>,
    pub backend_pid: i32,
    /// The `TimeZone` setting: an IANA name or a fixed offset.
    pub time_zone: String,
    /// By lower-case name.
    pub settings: std::collections::BTreeMap<String, String>,
}

/// Functions that need the catalog; implemented by the catalog on top of a consistent snapshot (`CatalogView`).
pub trait CatalogFunctions: Send + Sync {
    /// A function of [`super::functions::system`]'s list of catalog functions, by its SQL name. Arguments are never NULL.
    fn call(&self, name: &str, args: &[Value], session: &SessionView) -> Result<Value>;

    /// Input of `regclass`, `regtype`, `regproc`, `regnamespace`: the OID of a (possibly qualified, quoted) name. Digits have
    /// been handled. `None`: there is none; the caller makes the error.
    fn object_id(&self, ty: DataType, name: &str, session: &SessionView) -> Option<u32>;

    /// Output of the `reg*` types: qualified and quoted where needed; `None`: unknown, print the number.
    fn object_name(&self, ty: DataType, oid: u32) -> Option<String>;
}

/// Sequence functions, answered from what the executor has fetched. The protocol: evaluation is synchronous, so where a
/// value is not at hand the implementation notes what is wanted and returns an error of its own; the executor recognises it,
/// does the I/O (reserving as many values as rows are left) and evaluates the row again. Values drawn by the abandoned
/// evaluation are lost, as sequences may.
pub trait SequenceFunctions: Send + Sync {
    fn nextval(&self, sequence: u32) -> Result<i64>;
    fn currval(&self, sequence: u32) -> Result<i64>;
    fn lastval(&self) -> Result<i64>;
    fn setval(&self, sequence: u32, value: i64, is_called: bool) -> Result<i64>;
}

impl EvalContext {
    pub fn new(session: Arc<SessionView>) -> EvalContext {
        EvalContext {
            parameters: Arc::from([]),
            transaction_micros: 0,
            statement_micros: 0,
            session,
            outer: Vec::new(),
            runtime: None,
            catalog: None,
            sequences: None,
            format: OnceLock::new(),
        }
    }

    /// Text formats as the session has set them.
    pub fn format(&self) -> &FormatOptions {
        self.format.get_or_init(|| {
            let mut options = FormatOptions::from_session(&self.session);
            options.catalog = self.catalog.clone();
            options.session = Some(self.session.clone());
            options.now_micros = self.transaction_micros;
            options
        })
    }

    pub(crate) fn runtime(&self) -> Result<&dyn base::Runtime> {
        self.runtime.as_deref().ok_or_else(|| SqlError::internal("a volatile function was evaluated without a runtime"))
    }
}

impl fmt::Debug for EvalContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvalContext").field("parameters", &self.parameters).field("session", &self.session).finish()
    }
}
