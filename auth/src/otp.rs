//! One-time passwords by time (RFC 6238: SHA-1, six digits, steps of 30 seconds, which every authenticator knows) and recovery
//! codes.

use ring::digest;
use totp_rs::{Algorithm, Builder, Secret, Totp};

pub const CODE_DIGITS: usize = 6;
pub const SECRET_BYTES: usize = 20;
pub const RECOVERY_CODES: usize = 10;
/// `xxxxx-xxxxx`: fifty bits each.
pub const RECOVERY_CODE_LENGTH: usize = 11;

const STEP_SECONDS: u64 = 30;
/// Without what is easily mistaken when written by hand (0, 1, 8, 9 as in base32).
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Whether this looks like a code of an authenticator.
pub fn is_code(text: &str) -> bool {
    text.len() == CODE_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn is_recovery_code(text: &str) -> bool {
    let known = |byte: u8| ALPHABET.contains(&byte.to_ascii_lowercase());
    text.len() == RECOVERY_CODE_LENGTH
        && text.bytes().enumerate().all(|(position, byte)| if position == 5 { byte == b'-' } else { known(byte) })
}

/// The time step that the code belongs to: the current one or the one before. The caller compares it with the last used.
pub fn matching_step(secret: &[u8], code: &str, unix_seconds: u64) -> Option<u64> {
    if !is_code(code) {
        return None;
    }
    let current = unix_seconds / STEP_SECONDS;
    let steps = [Some(current), current.checked_sub(1)];
    let mut found = None;
    // Both are always computed: how long it takes tells nothing.
    for step in steps.into_iter().flatten() {
        let right = self::code(secret, step)?;
        if same(right.as_bytes(), code.as_bytes()) && found.is_none() {
            found = Some(step);
        }
    }
    found
}

/// The code of a time step, as an authenticator shows it.
pub fn code(secret: &[u8], step: u64) -> Option<String> {
    Some(generator(secret, None)?.generate(step * STEP_SECONDS).to_string())
}

/// What an authenticator reads from a QR code.
pub fn uri(secret: &[u8], issuer: &str, account: &str) -> Option<String> {
    // A colon separates issuer and account.
    let label = (issuer.replace(':', " "), account.replace(':', " "));
    Some(generator(secret, Some((&label.0, &label.1)))?.to_url().ok()?.to_string())
}

fn generator(secret: &[u8], label: Option<(&str, &str)>) -> Option<Totp> {
    let builder = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(CODE_DIGITS as u8)
        .with_secret(Secret::from(secret.to_vec()));
    let (issuer, account) = label.unwrap_or(("Locus", "role"));
    builder.with_issuer(Some(issuer)).with_account_name(account).build().ok()
}

/// Recovery codes from random bytes.
pub fn recovery_codes(random: &[u8; RECOVERY_CODES * 10]) -> Vec<String> {
    let code = |bytes: &[u8]| {
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte & 31)]);
        let (first, second) = bytes.split_at(5);
        first.iter().map(letter).chain(['-']).chain(second.iter().map(letter)).collect()
    };
    random.chunks(10).map(code).collect()
}

/// What is stored of a recovery code. Its fifty random bits need no slow hash: whoever reads the store would have to try
/// 2^50 codes to gain a second factor without the first.
pub fn recovery_hash(code: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, code.to_ascii_lowercase().as_bytes()).as_ref());
    hash
}

/// Compares without telling by time how much is equal.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

#[cfg(test)]
#[path = "otp_test.rs"]
mod tests;
