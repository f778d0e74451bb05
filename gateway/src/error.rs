//! How a connection ends, and how errors look on the wire.

use std::fmt;

use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use sql::{SqlError, SqlState, session::Notice};

/// SQLSTATEs of the wire itself.
pub(crate) mod state {
    use sql::SqlState;

    pub(crate) const PROTOCOL_VIOLATION: SqlState = SqlState("08P01");
    pub(crate) const INVALID_AUTHORIZATION: SqlState = SqlState("28000");
    pub(crate) const DUPLICATE_CURSOR: SqlState = SqlState("42P03");
    pub(crate) const ADMIN_SHUTDOWN: SqlState = SqlState("57P01");
}

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum End {
    /// The client closed it, or it broke.
    Closed,
    /// The client said goodbye.
    Terminated,
    /// The client is told, with severity FATAL.
    Fatal(SqlError),
}

impl End {
    /// The client does not speak the protocol.
    pub(crate) fn violation(message: impl Into<String>) -> End {
        End::Fatal(SqlError::new(state::PROTOCOL_VIOLATION, message))
    }

    pub(crate) fn internal(message: impl Into<String>) -> End {
        End::Fatal(SqlError::new(SqlState::INTERNAL_ERROR, message))
    }

    pub(crate) fn shutdown() -> End {
        End::Fatal(SqlError::new(state::ADMIN_SHUTDOWN, "terminating connection due to administrator command"))
    }
}

/// What stops the handling of a message: an error for the client, after which the connection goes on, or its end.
#[derive(Debug)]
pub(crate) enum Fault {
    Error(SqlError),
    End(End),
}

impl Fault {
    pub(crate) fn new(state: SqlState, message: impl Into<String>) -> Fault {
        Fault::Error(SqlError::new(state, message))
    }
}

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Fault {
        Fault::Error(error)
    }
}

impl From<End> for Fault {
    fn from(end: End) -> Fault {
        Fault::End(end)
    }
}

pub(crate) type Outcome<T> = Result<T, Fault>;

/// An ErrorResponse; `severity` is `ERROR` or `FATAL`.
pub(crate) fn error_response(severity: &str, error: &SqlError) -> ErrorResponse {
    ErrorResponse::new(fields(severity, error))
}

pub(crate) fn notice_response(notice: &Notice) -> NoticeResponse {
    NoticeResponse::new(fields(notice.severity, &notice.error))
}

fn fields(severity: &str, error: &SqlError) -> Vec<(u8, String)> {
    let error = error.fields();
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', error.state.0.to_owned()),
        (b'M', printable(&error.message)),
    ];
    let optional = [
        (b'D', &error.detail),
        (b'H', &error.hint),
        (b'W', &error.context),
        (b's', &error.schema),
        (b't', &error.table),
        (b'c', &error.column),
        (b'd', &error.data_type),
        (b'n', &error.constraint),
    ];
    fields.extend(optional.into_iter().filter_map(|(code, text)| Some((code, printable(text.as_ref()?)))));
    fields.extend(error.position.map(|position| (b'P', position.to_string())));
    fields
}

/// Fields end at a zero byte: none may be inside.
fn printable(text: impl fmt::Display) -> String {
    text.to_string().replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_letter() {
        let error = SqlError::new(SqlState::UNIQUE_VIOLATION, "dup\0licate")
            .detail("d")
            .hint("h")
            .context("w")
            .at(Some(7))
            .table("public", "t")
            .column("c")
            .constraint("k");
        let fields = error_response("ERROR", &error).fields;
        let of = |code: u8| fields.iter().find(|field| field.0 == code).map(|field| field.1.as_str());
        assert_eq!(of(b'S'), Some("ERROR"));
        assert_eq!(of(b'V'), Some("ERROR"));
        assert_eq!(of(b'C'), Some("23505"));
        assert_eq!(of(b'M'), Some("dup\u{fffd}licate"));
        assert_eq!((of(b'D'), of(b'H'), of(b'W'), of(b'P')), (Some("d"), Some("h"), Some("w"), Some("7")));
        assert_eq!((of(b's'), of(b't'), of(b'c'), of(b'n')), (Some("public"), Some("t"), Some("c"), Some("k")));
        assert_eq!(of(b'd'), None);
    }
}
