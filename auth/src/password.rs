//! Passwords: which are good enough, what is stored of them, and the mechanism that asks for one.
//!
//! | stored text | made from | parameters |
//! |---|---|---|
//! | `$argon2id$v=19$m=19456,t=2,p=1$salt$hash` | Argon2id (RFC 9106) | OWASP: 19 MiB, two passes, one lane |
//! | `SCRAM-SHA-256$65536:salt$stored:server` | PBKDF2 (RFC 7677), as PostgreSQL stores it | 65,536 iterations |

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};

use crate::{
    factor::{Factors, SecondFactor, split_appended},
    mechanism::{Challenge, Input, Mechanism, Proof, Reason, Step},
    otp, owner,
    scram::ScramVerifier,
    seal::ClusterKey,
};

pub const LENGTH_MIN: usize = 12;
/// A longer one would only keep the hash busy.
pub const LENGTH_MAX: usize = 512;
pub const SALT_BYTES: usize = 16;

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
/// What a stored text may ask for: a damaged or hostile one must not take all memory.
const MEMORY_KIB_MAX: u32 = 64 << 10;
const PASSES_MAX: u32 = 5;

/// The kind of verifier that new passwords get (`password_encryption`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    #[default]
    Argon2id,
    ScramSha256,
}

impl Encryption {
    /// The setting's value; `None` for one that does not exist.
    pub fn by_name(name: &str) -> Option<Encryption> {
        match name {
            "argon2id" => Some(Encryption::Argon2id),
            "scram-sha-256" => Some(Encryption::ScramSha256),
            _ => None,
        }
    }
}

/// Why a password is refused, as PostgreSQL's own check words it where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    #[error("password is too short")]
    Short,
    #[error("password is too long")]
    Long,
    #[error("password is too common")]
    Common,
    #[error("password must not contain user name")]
    Name,
}

/// Passwords that everybody tries first, at least twelve characters long or made so by repetition and endings, in lower
/// case. Shorter ones are refused by their length.
const COMMON: &str = include_str!("common_passwords.txt");

/// Length and a list of common ones; no rules of composition, which make passwords worse (NIST SP 800-63B, 5.1.1.2).
pub fn check_strength(password: &str, role: &str) -> Result<(), Weak> {
    let length = password.chars().count();
    if length < LENGTH_MIN {
        return Err(Weak::Short);
    }
    if password.len() > LENGTH_MAX {
        return Err(Weak::Long);
    }
    let lower = password.to_lowercase();
    // What is added at the end to please a rule changes nothing.
    let core = lower.trim_end_matches(|character: char| character.is_ascii_digit() || character.is_ascii_punctuation());
    let common = |word: &str| COMMON.lines().any(|line| line == word);
    let distinct: std::collections::BTreeSet<char> = lower.chars().collect();
    if distinct.len() < 5 || common(&lower) || common(core) || is_run(&lower) {
        return Err(Weak::Common);
    }
    if role.len() >= 4 && lower.contains(&role.to_lowercase()) && length < LENGTH_MIN + role.chars().count() {
        return Err(Weak::Name);
    }
    Ok(())
}

/// `abcdefghijkl`, `123456789012`, `qwertyuiop12`: neighbours all the way.
fn is_run(text: &str) -> bool {
    const ROWS: [&str; 5] =
        ["abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
    let adjacent = |left: char, right: char| {
        ROWS.iter().any(|row| row.contains(&format!("{left}{right}")) || row.contains(&format!("{right}{left}")))
    };
    let characters: Vec<char> = text.chars().collect();
    let breaks = characters.windows(2).filter(|pair| pair[0] != pair[1] && !adjacent(pair[0], pair[1])).count();
    breaks <= 2
}

/// What is stored of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    Argon2id { params: (u32, u32, u32), salt: Vec<u8>, hash: Vec<u8> },
    Scram(ScramVerifier),
}

impl Verifier {
    /// Makes one; costly.
    pub fn make(encryption: Encryption, password: &str, salt: [u8; SALT_BYTES]) -> Option<Verifier> {
        match encryption {
            Encryption::Argon2id => {
                let params = (MEMORY_KIB, PASSES, LANES);
                Some(Verifier::Argon2id {
                    params,
                    hash: argon2id(password.as_bytes(), &salt, params, HASH_BYTES)?,
                    salt: salt.to_vec(),
                })
            }
            Encryption::ScramSha256 => Some(Verifier::Scram(ScramVerifier::derive(password, salt.to_vec()))),
        }
    }

    /// Reads a stored text; also what `ALTER ROLE … PASSWORD` takes for a password that was hashed elsewhere.
    pub fn parse(text: &str) -> Option<Verifier> {
        if let Some(scram) = ScramVerifier::parse(text) {
            return Some(Verifier::Scram(scram));
        }
        let mut parts = text.strip_prefix("$argon2id$v=19$")?.split('$');
        let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut numbers = parameters.split(',');
        let mut number = |name: &str| numbers.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok();
        let params = (number("m")?, number("t")?, number("p")?);
        let bounded = params.0 <= MEMORY_KIB_MAX && params.1 <= PASSES_MAX && params.2 <= 4;
        let (salt, hash) = (BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?);
        (bounded && salt.len() >= 8 && salt.len() <= 64 && hash.len() >= 16 && hash.len() <= 64)
            .then_some(Verifier::Argon2id { params, salt, hash })
    }

    /// Whether this is the password; costly.
    pub fn verify(&self, password: &str) -> bool {
        match self {
            Verifier::Argon2id { params, salt, hash } => argon2id(password.as_bytes(), salt, *params, hash.len())
                .is_some_and(|computed| otp::same(&computed, hash)),
            Verifier::Scram(scram) => scram.verify(password),
        }
    }

    /// Whether it was made with the parameters of today.
    pub fn is_current(&self) -> bool {
        match self {
            Verifier::Argon2id { params, hash, .. } => {
                *params == (MEMORY_KIB, PASSES, LANES) && hash.len() == HASH_BYTES
            }
            Verifier::Scram(scram) => scram.is_current(),
        }
    }

    pub fn encryption(&self) -> Encryption {
        match self {
            Verifier::Argon2id { .. } => Encryption::Argon2id,
            Verifier::Scram(_) => Encryption::ScramSha256,
        }
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verifier::Argon2id { params: (memory, passes, lanes), salt, hash } => {
                let (salt, hash) = (BASE64.encode(salt), BASE64.encode(hash));
                write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
            }
            Verifier::Scram(scram) => scram.fmt(f),
        }
    }
}

/// `None` for parameters that Argon2 does not have.
fn argon2id(password: &[u8], salt: &[u8], (memory, passes, lanes): (u32, u32, u32), length: usize) -> Option<Vec<u8>> {
    let params = Params::new(memory, passes, lanes, Some(length)).ok()?;
    let mut hash = vec![0; length];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, &mut hash).ok()?;
    Some(hash)
}

/// The stored side of one role's password, as a mechanism needs it.
#[derive(Clone, Default)]
pub struct Stored {
    /// `None` when there is none, or no such role: the conversation goes on all the same and fails at its end.
    pub verifier: Option<Verifier>,
    /// Why it cannot succeed whatever the client says.
    pub hopeless: Option<Reason>,
    pub second: SecondFactor,
    /// The code that came in the start-up packet.
    pub code: Option<String>,
    /// For the role whose owner may come in by the cluster's key: that key, and the role's name.
    pub owner: Option<(ClusterKey, String)>,
    /// Salt for a new verifier, random.
    pub fresh_salt: [u8; SALT_BYTES],
}

/// Asks for the password in clear: inside an encrypted connection, or from the same machine. The code comes with it, or has
/// come already; there is never a second question, because clients answer it with the same password.
pub struct Cleartext {
    stored: Stored,
}

impl Cleartext {
    pub fn new(stored: Stored) -> Cleartext {
        Cleartext { stored }
    }

    fn decide(&self, input: &[u8]) -> Result<Proof, Reason> {
        let stored = &self.stored;
        let text = std::str::from_utf8(input).ok().filter(|text| text.len() <= LENGTH_MAX);
        let text = text.unwrap_or("");
        if let Some((key, role)) = &stored.owner
            && owner::check(key, role, text, stored.second.unix_seconds)
        {
            return Ok(Proof { factors: Factors::OWNER, ..Proof::default() });
        }
        let (password, code) = match &stored.code {
            Some(code) => (text, Some(code.as_str())),
            None if stored.second.is_asked() => split_appended(text),
            None => (text, None),
        };
        // The same work for every role, known or not.
        let matches = match &stored.verifier {
            Some(verifier) => verifier.verify(password),
            None => {
                let _ = dummy().verify(password);
                false
            }
        };
        let second = stored.second.check(code);
        if let Some(reason) = stored.hopeless {
            return Err(reason);
        }
        let Some(verifier) = &stored.verifier else { return Err(Reason::NoPassword) };
        if !matches || text.is_empty() {
            return Err(Reason::WrongPassword);
        }
        let (factors, used) = second?;
        let rehashed = (!verifier.is_current())
            .then(|| Verifier::make(verifier.encryption(), password, stored.fresh_salt))
            .flatten()
            .map(|verifier| verifier.to_string());
        Ok(Proof { factors: Factors::PASSWORD.with(factors), used, last_words: None, rehashed })
    }
}

impl Mechanism for Cleartext {
    fn exchange(&mut self, input: Input<'_>) -> Step {
        match input {
            Input::Start => Step::Continue(Challenge::Password),
            Input::Password(input) => match self.decide(input) {
                Ok(proof) => Step::Success(proof),
                Err(reason) => Step::Failure(reason),
            },
            Input::SaslFirst { .. } | Input::Sasl(_) => Step::Failure(Reason::Malformed),
        }
    }

    fn is_costly(&self) -> bool {
        true
    }
}

/// A verifier that nothing matches, with the cost of a true one.
fn dummy() -> Verifier {
    Verifier::Argon2id { params: (MEMORY_KIB, PASSES, LANES), salt: vec![0; SALT_BYTES], hash: vec![0; HASH_BYTES] }
}

#[cfg(test)]
#[path = "password_test.rs"]
mod tests;
