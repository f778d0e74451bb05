//! One session: the state of a connection above the wire. The gateway drives it; the simulator and the tests drive it
//! directly. The session never learns of messages or sockets.

use std::sync::Arc;

use crate::{
    error::Result,
    plan::OutputColumn,
    types::{DataType, Row, Value},
};

/// What all sessions of a gateway share: the transaction client, the catalog cache, caches of sequences and plans.
pub struct Database {
    _contract: (),
}

/// What the client said at start-up.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    pub user: String,
    pub database: String,
    /// `application_name`, `client_encoding`, `-c name=value` …
    pub settings: Vec<(String, String)>,
    pub backend_pid: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    Open,
    Failed,
}

/// One parsed statement and its text.
#[derive(Clone, Debug)]
pub struct Statement {
    pub text: Arc<str>,
    // The syntax tree follows (boxed); `None` for an empty statement.
}

/// A statement that is bound: its parameter and column types are known. Bound again when the catalog has changed.
pub struct Prepared {
    pub parameters: Vec<DataType>,
    /// `None` when it returns no rows.
    pub columns: Option<Vec<OutputColumn>>,
}

/// A prepared statement with its parameters, possibly half run.
pub struct Portal {
    _contract: (),
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
    CopyIn { columns: usize, binary: bool },
    /// COPY TO STDOUT begins: call again, each `CopyData` is one message's payload.
    CopyOut { columns: usize, binary: bool },
    CopyData(Vec<bytes::Bytes>),
}

#[derive(Clone, Debug)]
pub struct Notice {
    pub severity: &'static str,
    pub error: crate::error::SqlError,
}

/// How a call of `execute` ends its implicit transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Outside a block: run to the end, commit, then hand out rows and tag; retried inside where nothing was handed out.
    Commit,
    /// More statements of the same implicit transaction follow (pipeline, multi-statement text); `Session::sync` commits.
    More,
}

pub struct Session {
    _contract: (),
}

impl Session {
    pub fn new(_database: Arc<Database>, _startup: Startup) -> Result<Session> {
        todo!()
    }

    pub fn status(&self) -> TransactionStatus {
        todo!()
    }

    /// Splits a text into statements. A syntax error carries its position.
    pub fn parse(&self, _text: &str) -> Result<Vec<Statement>> {
        todo!()
    }

    /// Binds a statement; `types` are the client's parameter types where it gave any (`DataType(0)`: not given).
    pub async fn prepare(&mut self, _statement: &Statement, _types: &[DataType]) -> Result<Arc<Prepared>> {
        todo!()
    }

    /// Makes a portal. The values must have the types of `Prepared::parameters`.
    pub fn bind(&mut self, _prepared: &Arc<Prepared>, _parameters: Vec<Value>) -> Result<Portal> {
        todo!()
    }

    /// Runs a portal, at most `max_rows` rows (0: all) before `Step::Suspended`. Rows come in batches of bounded size.
    pub async fn execute(&mut self, _portal: &mut Portal, _max_rows: usize, _ending: Ending) -> Result<Step> {
        todo!()
    }

    pub async fn copy_data(&mut self, _portal: &mut Portal, _data: bytes::Bytes) -> Result<()> {
        todo!()
    }

    /// Ends COPY FROM STDIN; the tag (`COPY 5`).
    pub async fn copy_done(&mut self, _portal: &mut Portal, _ending: Ending) -> Result<String> {
        todo!()
    }

    /// The client gave up its COPY.
    pub async fn copy_fail(&mut self, _portal: Portal, _message: &str) -> crate::error::SqlError {
        todo!()
    }

    /// The end of a pipeline (`Sync`) or of a multi-statement text: commits the implicit transaction if one is open.
    pub async fn sync(&mut self) -> Result<()> {
        todo!()
    }

    /// An error reached the client outside `execute` (bad message, bad parameter): aborts the implicit transaction, fails an
    /// explicit one. Errors of the session's own calls have done so already.
    pub async fn fail(&mut self) {
        todo!()
    }

    /// Notices and warnings since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        todo!()
    }

    /// Settings that changed and that the protocol reports (`ParameterStatus`), since the last call; at first all of them.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        todo!()
    }

    /// Ask from another thread to stop the running statement: it ends with 57014 at the next check.
    pub fn canceller(&self) -> Canceller {
        todo!()
    }

    /// The connection ends: rolls back.
    pub async fn close(self) {
        todo!()
    }
}

/// Cancels the statement that runs now, if any. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Canceller {
    flag: Arc<std::sync::atomic::AtomicBool>,
}

impl Canceller {
    pub fn cancel(&self) {
        self.flag.store(true, std::sync::atomic::Ordering::Release);
    }
}
