//! Before a session: encryption requests, cancel requests, the start-up packet.

use bytes::{Buf, Bytes};
use pgwire::messages::startup::NegotiateProtocolVersion;
use sql::{SqlError, SqlState, settings::ONE_TIME_CODE};

use crate::{
    error::{End, state},
    message::{SqlErrorText, utf8},
    tls::Identity,
    wire::Wire,
};

const CODE_CANCEL: u32 = 80877102;
const CODE_SSL: u32 = 80877103;
const CODE_GSS: u32 = 80877104;
const PROTOCOL_3_0: i32 = 196608;
/// Longer names of roles and databases are cut, as PostgreSQL does: there are none.
const NAME_BYTES_MAX: usize = 63;

/// What a connection turns out to be for.
pub(crate) enum Opening {
    Session(Packet),
    Cancel { pid: i32, secret: i32 },
}

/// The start-up packet, decoded.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) user: String,
    /// Empty when the client did not say: the session has a default.
    pub(crate) database: String,
    pub(crate) settings: Vec<(String, String)>,
    /// A one-time code (`-c locus.otp=…`). Kept apart from the settings: nothing ever shows it.
    pub(crate) code: Option<String>,
    /// The client wants a newer minor version or options that we do not know: it is told what we speak.
    negotiate: Option<Vec<String>>,
}

/// Answers requests for encryption until the client says what it wants.
pub(crate) async fn open(wire: &mut Wire, identity: Option<&Identity>) -> Result<Opening, End> {
    let (mut asked_ssl, mut asked_gss) = (false, false);
    loop {
        let mut packet = wire.next_startup().await?;
        match packet.get_u32() {
            CODE_SSL if !asked_ssl => {
                asked_ssl = true;
                wire.output().extend_from_slice(if identity.is_some() { b"S" } else { b"N" });
                wire.flush().await?;
                if let Some(identity) = identity {
                    wire.encrypt(identity).await?;
                }
            }
            CODE_GSS if !asked_gss => {
                asked_gss = true;
                wire.output().extend_from_slice(b"N");
                wire.flush().await?;
            }
            CODE_CANCEL if packet.len() == 8 => {
                return Ok(Opening::Cancel { pid: packet.get_i32(), secret: packet.get_i32() });
            }
            code => return Packet::decode(code, packet).map(Opening::Session).map_err(End::Fatal),
        }
    }
}

impl Packet {
    /// Tells the client what we speak, where it asked for more.
    pub(crate) fn negotiate(&self, wire: &mut Wire) -> Result<(), End> {
        match &self.negotiate {
            Some(unknown_options) => wire.put(&NegotiateProtocolVersion::new(PROTOCOL_3_0, unknown_options.clone())),
            None => Ok(()),
        }
    }

    fn decode(code: u32, mut body: Bytes) -> Result<Packet, SqlError> {
        let (major, minor) = (code >> 16, code & 0xffff);
        if major != 3 {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
            ));
        }
        let mut result = Packet::default();
        let mut unknown_options = Vec::new();
        loop {
            let name = text(&mut body)?;
            if name.is_empty() {
                break;
            }
            let value = text(&mut body)?;
            match name.as_str() {
                "user" => result.user = cut(value),
                "database" => result.database = cut(value),
                "options" => result.settings.extend(options(&value)?),
                "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
                "replication" => return Err(SqlError::unsupported("a replication connection")),
                _ if name.starts_with("_pq_.") => unknown_options.push(name),
                _ => result.settings.push((name, value)),
            }
        }
        result.settings.retain(|(name, value)| {
            let is_code = name.eq_ignore_ascii_case(ONE_TIME_CODE);
            if is_code {
                result.code = Some(value.clone());
            }
            !is_code
        });
        if !body.is_empty() {
            return Err(malformed());
        }
        if result.user.is_empty() {
            return Err(SqlError::new(
                state::INVALID_AUTHORIZATION,
                "no PostgreSQL user name specified in startup packet",
            ));
        }
        if minor > 0 || !unknown_options.is_empty() {
            result.negotiate = Some(unknown_options);
        }
        Ok(result)
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet").field("user", &self.user).field("database", &self.database).finish_non_exhaustive()
    }
}

fn cut(mut name: String) -> String {
    let end = (0..=NAME_BYTES_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    name.truncate(end.unwrap_or(0));
    name
}

fn malformed() -> SqlError {
    SqlError::new(state::PROTOCOL_VIOLATION, "invalid startup packet layout: expected terminator as last byte")
}

fn text(body: &mut Bytes) -> Result<String, SqlError> {
    let length = body.iter().position(|byte| *byte == 0).ok_or_else(malformed)?;
    let bytes = body.split_to(length);
    body.advance(1);
    utf8(&bytes).map(str::to_owned).map_err(SqlErrorText::into_error)
}

/// `-c name=value`, `-cname=value` and `--name=value`, separated by spaces; a backslash takes the next character as it is.
fn options(text: &str) -> Result<Vec<(String, String)>, SqlError> {
    let invalid = |word: &str| {
        // Somebody may have written a code in a wrong way; errors are logged.
        let word = if word.to_ascii_lowercase().contains("otp") { "(hidden)" } else { word };
        SqlError::new(SqlState::SYNTAX_ERROR, format!("invalid command-line argument for server process: {word}"))
    };
    let mut settings = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next().ok_or_else(|| invalid(&word))?
        } else {
            word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).ok_or_else(|| invalid(&word))?.to_owned()
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| invalid(&setting))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            words.last_mut().expect("never empty").extend(characters.next());
        } else if character.is_whitespace() {
            words.push(String::new());
        } else {
            words.last_mut().expect("never empty").push(character);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
#[path = "startup_test.rs"]
mod tests;
