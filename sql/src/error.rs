//! Errors as a PostgreSQL client sees them. The one place where SQLSTATEs are mapped.

use std::fmt;

use txn::RetryReason;

/// Five characters, see PostgreSQL's appendix A.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

impl SqlState {
    pub const FEATURE_NOT_SUPPORTED: SqlState = SqlState("0A000");
    pub const CARDINALITY_VIOLATION: SqlState = SqlState("21000");
    pub const STRING_DATA_RIGHT_TRUNCATION: SqlState = SqlState("22001");
    pub const NUMERIC_VALUE_OUT_OF_RANGE: SqlState = SqlState("22003");
    pub const DATETIME_FIELD_OVERFLOW: SqlState = SqlState("22008");
    pub const INVALID_DATETIME_FORMAT: SqlState = SqlState("22007");
    pub const DIVISION_BY_ZERO: SqlState = SqlState("22012");
    pub const INVALID_PARAMETER_VALUE: SqlState = SqlState("22023");
    pub const INVALID_TEXT_REPRESENTATION: SqlState = SqlState("22P02");
    pub const INVALID_BINARY_REPRESENTATION: SqlState = SqlState("22P03");
    pub const BAD_COPY_FILE_FORMAT: SqlState = SqlState("22P04");
    pub const CHARACTER_NOT_IN_REPERTOIRE: SqlState = SqlState("22021");
    pub const NOT_NULL_VIOLATION: SqlState = SqlState("23502");
    pub const FOREIGN_KEY_VIOLATION: SqlState = SqlState("23503");
    pub const UNIQUE_VIOLATION: SqlState = SqlState("23505");
    pub const CHECK_VIOLATION: SqlState = SqlState("23514");
    pub const ACTIVE_SQL_TRANSACTION: SqlState = SqlState("25001");
    pub const READ_ONLY_SQL_TRANSACTION: SqlState = SqlState("25006");
    pub const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: SqlState = SqlState("25P03");
    pub const NO_ACTIVE_SQL_TRANSACTION: SqlState = SqlState("25P01");
    pub const IN_FAILED_SQL_TRANSACTION: SqlState = SqlState("25P02");
    pub const INVALID_SQL_STATEMENT_NAME: SqlState = SqlState("26000");
    pub const DEPENDENT_OBJECTS_STILL_EXIST: SqlState = SqlState("2BP01");
    pub const INVALID_CURSOR_NAME: SqlState = SqlState("34000");
    pub const INVALID_CATALOG_NAME: SqlState = SqlState("3D000");
    pub const INVALID_SAVEPOINT: SqlState = SqlState("3B001");
    pub const INVALID_SCHEMA_NAME: SqlState = SqlState("3F000");
    pub const SERIALIZATION_FAILURE: SqlState = SqlState("40001");
    pub const STATEMENT_COMPLETION_UNKNOWN: SqlState = SqlState("40003");
    pub const DEADLOCK_DETECTED: SqlState = SqlState("40P01");
    pub const SYNTAX_ERROR: SqlState = SqlState("42601");
    pub const INVALID_NAME: SqlState = SqlState("42602");
    pub const DUPLICATE_COLUMN: SqlState = SqlState("42701");
    pub const AMBIGUOUS_COLUMN: SqlState = SqlState("42702");
    pub const UNDEFINED_COLUMN: SqlState = SqlState("42703");
    pub const UNDEFINED_OBJECT: SqlState = SqlState("42704");
    pub const DUPLICATE_OBJECT: SqlState = SqlState("42710");
    pub const GROUPING_ERROR: SqlState = SqlState("42803");
    pub const DATATYPE_MISMATCH: SqlState = SqlState("42804");
    pub const WRONG_OBJECT_TYPE: SqlState = SqlState("42809");
    pub const INVALID_FOREIGN_KEY: SqlState = SqlState("42830");
    pub const CANNOT_COERCE: SqlState = SqlState("42846");
    pub const UNDEFINED_FUNCTION: SqlState = SqlState("42883");
    pub const UNDEFINED_TABLE: SqlState = SqlState("42P01");
    pub const UNDEFINED_PARAMETER: SqlState = SqlState("42P02");
    pub const DUPLICATE_TABLE: SqlState = SqlState("42P07");
    pub const AMBIGUOUS_FUNCTION: SqlState = SqlState("42725");
    pub const INVALID_COLUMN_REFERENCE: SqlState = SqlState("42P10");
    pub const INVALID_TABLE_DEFINITION: SqlState = SqlState("42P16");
    pub const INDETERMINATE_DATATYPE: SqlState = SqlState("42P18");
    pub const DUPLICATE_PREPARED_STATEMENT: SqlState = SqlState("42P05");
    pub const OUT_OF_MEMORY: SqlState = SqlState("53200");
    pub const TOO_MANY_CONNECTIONS: SqlState = SqlState("53300");
    pub const PROGRAM_LIMIT_EXCEEDED: SqlState = SqlState("54000");
    pub const STATEMENT_TOO_COMPLEX: SqlState = SqlState("54001");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: SqlState = SqlState("55000");
    pub const LOCK_NOT_AVAILABLE: SqlState = SqlState("55P03");
    pub const QUERY_CANCELED: SqlState = SqlState("57014");
    pub const CANNOT_CONNECT_NOW: SqlState = SqlState("57P03");
    pub const IDLE_SESSION_TIMEOUT: SqlState = SqlState("57P05");
    pub const SYSTEM_ERROR: SqlState = SqlState("58000");
    pub const SNAPSHOT_TOO_OLD: SqlState = SqlState("72000");
    pub const INTERNAL_ERROR: SqlState = SqlState("XX000");
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An error with the fields of PostgreSQL's ErrorResponse. Boxed inside: results stay small.
#[derive(Clone, Debug)]
pub struct SqlError(Box<Fields>);

#[derive(Clone, Debug)]
pub struct Fields {
    pub state: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Where it happened, for the `CONTEXT` line (field W): `COPY t, line 3`.
    pub context: Option<String>,
    /// Character position in the statement, from 1.
    pub position: Option<u32>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
    /// Whether running the transaction again may succeed; the session does so where nothing has reached the client.
    pub retryable: bool,
    /// The error of the transaction that it was made of. Where it names keys and transactions, the session finds words for
    /// them before the client sees it (`session::conflict`).
    pub cause: Option<txn::Error>,
}

pub type Result<T> = std::result::Result<T, SqlError>;

impl SqlError {
    pub fn new(state: SqlState, message: impl Into<String>) -> SqlError {
        SqlError(Box::new(Fields {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            position: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
            retryable: false,
            cause: None,
        }))
    }

    pub fn unsupported(what: impl fmt::Display) -> SqlError {
        SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{what} is not supported"))
    }

    pub fn internal(what: impl fmt::Display) -> SqlError {
        SqlError::new(SqlState::INTERNAL_ERROR, what.to_string())
    }

    /// What was read of this key is no longer so: the transaction must be repeated.
    pub fn concurrent_change(key: bytes::Bytes) -> SqlError {
        txn::Error::Retry { reason: RetryReason::ConcurrentUpdate, key: Some(key), other: None }.into()
    }

    pub fn fields(&self) -> &Fields {
        &self.0
    }

    pub fn state(&self) -> SqlState {
        self.0.state
    }

    pub fn detail(mut self, detail: impl Into<String>) -> SqlError {
        self.0.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> SqlError {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the context unless one is set already (the innermost knows best).
    pub fn context(mut self, context: impl Into<String>) -> SqlError {
        self.0.context = self.0.context.or_else(|| Some(context.into()));
        self
    }

    /// Sets the position unless one is set already (the innermost knows best).
    pub fn at(mut self, position: Option<u32>) -> SqlError {
        self.0.position = self.0.position.or(position);
        self
    }

    /// It has been repeated often enough.
    pub(crate) fn final_answer(mut self) -> SqlError {
        self.0.retryable = false;
        self
    }

    pub(crate) fn message(mut self, message: impl Into<String>) -> SqlError {
        self.0.message = message.into();
        self
    }

    pub fn table(mut self, schema: &str, table: &str) -> SqlError {
        self.0.schema = Some(schema.to_owned());
        self.0.table = Some(table.to_owned());
        self
    }

    pub fn column(mut self, column: &str) -> SqlError {
        self.0.column = Some(column.to_owned());
        self
    }

    pub fn constraint(mut self, constraint: &str) -> SqlError {
        self.0.constraint = Some(constraint.to_owned());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.state.0, self.0.message)
    }
}

impl std::error::Error for SqlError {}

impl From<txn::Error> for SqlError {
    fn from(error: txn::Error) -> SqlError {
        use txn::Error as E;
        let (state, retryable) = match &error {
            E::Retry { .. } => (SqlState::SERIALIZATION_FAILURE, true),
            E::Deadlock(_) => (SqlState::DEADLOCK_DETECTED, true),
            E::LockNotAvailable { .. } | E::LockTimeout { .. } => (SqlState::LOCK_NOT_AVAILABLE, false),
            E::Duplicate { .. } => (SqlState::UNIQUE_VIOLATION, false),
            E::Ambiguous(_) => (SqlState::STATEMENT_COMPLETION_UNKNOWN, false),
            E::Unavailable(_) => (SqlState::CANNOT_CONNECT_NOW, false),
            E::Overloaded(_) => (SqlState::TOO_MANY_CONNECTIONS, false),
            E::InFuture { .. } => (SqlState::INVALID_PARAMETER_VALUE, false),
            E::TooLarge(_) => (SqlState::PROGRAM_LIMIT_EXCEEDED, false),
            E::Internal(_) => (SqlState::INTERNAL_ERROR, false),
        };
        let message = match &error {
            E::Retry { reason: RetryReason::ReadChanged, .. } => {
                "could not serialize access due to read/write dependencies among transactions".to_owned()
            }
            E::Retry { reason: RetryReason::ConcurrentDelete, .. } => {
                "could not serialize access due to concurrent delete".to_owned()
            }
            E::Retry { .. } => "could not serialize access due to concurrent update".to_owned(),
            E::LockTimeout { .. } => "canceling statement due to lock timeout".to_owned(),
            E::LockNotAvailable { .. } => "could not obtain lock on row".to_owned(),
            E::Ambiguous(_) => "the transaction may or may not have committed".to_owned(),
            _ => error.to_string(),
        };
        let mut result = SqlError::new(state, message);
        result.0.retryable = retryable;
        result = match &error {
            E::Retry { reason, .. } => {
                result.detail(format!("Reason: {reason}.")).hint("The transaction might succeed if retried.")
            }
            E::Deadlock(_) => result.hint("See server log for query details."),
            E::Ambiguous(reason) => result.detail(format!("The outcome of the commit is unknown: {reason}.")),
            _ => result,
        };
        result.0.cause = Some(error);
        result
    }
}
