//! What a client may say once a session exists, decoded with every length checked. (pgwire's own decoders of these messages
//! panic on truncated fields and replace invalid UTF-8 silently; both come from outside here.)

use std::ffi::CStr;

use bytes::{Buf, Bytes};
use sql::{SqlError, SqlState};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientMessage {
    Query(String),
    Parse {
        name: String,
        query: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        max_rows: usize,
    },
    Close {
        target: Target,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    FunctionCall,
    /// An answer to a question about identity.
    Password(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement,
    Portal,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    pub(crate) parameter_formats: Vec<i16>,
    pub(crate) parameters: Vec<Option<Bytes>>,
    pub(crate) result_formats: Vec<i16>,
}

/// Why bytes are not a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// The frame is not what the protocol says: nothing after it can be trusted.
    Malformed(&'static str),
    UnknownType(u8),
    /// Well-formed, but a text in it is not UTF-8: the connection can go on.
    Encoding(SqlErrorText),
}

/// The message of a 22021 error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SqlErrorText(pub(crate) String);

impl SqlErrorText {
    pub(crate) fn into_error(self) -> SqlError {
        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, self.0)
    }
}

impl ClientMessage {
    pub(crate) fn decode(tag: u8, body: Bytes) -> Result<ClientMessage, Invalid> {
        // Bodies that are bytes through and through.
        match tag {
            b'd' => return Ok(ClientMessage::CopyData(body)),
            b'p' => return Ok(ClientMessage::Password(body)),
            b'F' => return Ok(ClientMessage::FunctionCall),
            _ => {}
        }
        let mut fields = Fields { rest: body };
        let message = match tag {
            b'Q' => ClientMessage::Query(fields.text()?),
            b'P' => ClientMessage::Parse { name: fields.text()?, query: fields.text()?, types: fields.types()? },
            b'B' => ClientMessage::Bind(fields.bind()?),
            b'D' => ClientMessage::Describe { target: fields.target()?, name: fields.text()? },
            b'E' => ClientMessage::Execute {
                portal: fields.text()?,
                // A negative limit means none, as in PostgreSQL.
                max_rows: usize::try_from(fields.i32()?).unwrap_or(0),
            },
            b'C' => ClientMessage::Close { target: fields.target()?, name: fields.text()? },
            b'H' => ClientMessage::Flush,
            b'S' => ClientMessage::Sync,
            b'X' => ClientMessage::Terminate,
            b'c' => ClientMessage::CopyDone,
            b'f' => ClientMessage::CopyFail(fields.text()?),
            other => return Err(Invalid::UnknownType(other)),
        };
        if fields.rest.is_empty() { Ok(message) } else { Err(TRAILING) }
    }
}

const TRUNCATED: Invalid = Invalid::Malformed("insufficient data left in message");
const UNTERMINATED: Invalid = Invalid::Malformed("invalid string in message");
const TRAILING: Invalid = Invalid::Malformed("invalid message format");
const BAD_TARGET: Invalid = Invalid::Malformed("invalid target of DESCRIBE or CLOSE message");

/// Checked UTF-8 without zero bytes; the error is PostgreSQL's.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, SqlErrorText> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) => Err(SqlErrorText("invalid byte sequence for encoding \"UTF8\": 0x00".to_owned())),
        Err(error) => {
            let bad = &bytes[error.valid_up_to()..];
            let count = error.error_len().unwrap_or(bad.len()).clamp(1, 4).min(bad.len());
            let hex: Vec<String> = bad[..count].iter().map(|byte| format!("0x{byte:02x}")).collect();
            Err(SqlErrorText(format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" "))))
        }
    }
}

/// Takes fields off the front of a body.
struct Fields {
    rest: Bytes,
}

impl Fields {
    fn bytes(&mut self, count: usize) -> Result<Bytes, Invalid> {
        if count > self.rest.len() {
            return Err(TRUNCATED);
        }
        Ok(self.rest.split_to(count))
    }

    fn u8(&mut self) -> Result<u8, Invalid> {
        self.rest.try_get_u8().map_err(|_| TRUNCATED)
    }

    fn u16(&mut self) -> Result<usize, Invalid> {
        self.rest.try_get_u16().map(usize::from).map_err(|_| TRUNCATED)
    }

    fn i16(&mut self) -> Result<i16, Invalid> {
        self.rest.try_get_i16().map_err(|_| TRUNCATED)
    }

    fn i32(&mut self) -> Result<i32, Invalid> {
        self.rest.try_get_i32().map_err(|_| TRUNCATED)
    }

    fn text(&mut self) -> Result<String, Invalid> {
        let length = CStr::from_bytes_until_nul(&self.rest).map_err(|_| UNTERMINATED)?.count_bytes();
        let bytes = self.rest.split_to(length);
        self.rest.advance(1);
        Ok(utf8(&bytes).map_err(Invalid::Encoding)?.to_owned())
    }

    fn target(&mut self) -> Result<Target, Invalid> {
        match self.u8()? {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            _ => Err(BAD_TARGET),
        }
    }

    fn types(&mut self) -> Result<Vec<u32>, Invalid> {
        (0..self.u16()?).map(|_| Ok(self.i32()? as u32)).collect()
    }

    fn formats(&mut self) -> Result<Vec<i16>, Invalid> {
        (0..self.u16()?).map(|_| self.i16()).collect()
    }

    fn bind(&mut self) -> Result<Bind, Invalid> {
        Ok(Bind {
            portal: self.text()?,
            statement: self.text()?,
            parameter_formats: self.formats()?,
            parameters: (0..self.u16()?).map(|_| self.parameter()).collect::<Result<_, _>>()?,
            result_formats: self.formats()?,
        })
    }

    fn parameter(&mut self) -> Result<Option<Bytes>, Invalid> {
        match self.i32()? {
            -1 => Ok(None),
            length => Ok(Some(self.bytes(usize::try_from(length).map_err(|_| TRUNCATED)?)?)),
        }
    }
}

#[cfg(test)]
#[path = "message_test.rs"]
mod tests;
