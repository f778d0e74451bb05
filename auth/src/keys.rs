//! Keys of users: a TLS client certificate counts by its public key alone, whoever signed it. The role has the SHA-256 of the
//! SubjectPublicKeyInfo (as in RFC 7469); the handshake has shown that the client holds the private key.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::digest;

/// SHA-256 of a public key, written as `SHA256:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// Of a certificate in DER.
    pub fn of_certificate(certificate: &[u8]) -> Option<Pin> {
        Some(Pin::of_key(public_key(certificate)?))
    }

    /// Of a SubjectPublicKeyInfo in DER.
    pub fn of_key(info: &[u8]) -> Pin {
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, info).as_ref());
        Pin(pin)
    }

    /// Reads `SHA256:base64`, or PEM of a certificate or a public key.
    pub fn parse(text: &str) -> Option<Pin> {
        let text = text.trim();
        if let Some(encoded) = text.strip_prefix("SHA256:") {
            return BASE64.decode(encoded).ok()?.try_into().ok().map(Pin);
        }
        let (head, der) = pem(text)?;
        match head {
            "CERTIFICATE" => Pin::of_certificate(&der),
            "PUBLIC KEY" => whole(&der).then(|| Pin::of_key(&der)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SHA256:{}", BASE64.encode(self.0))
    }
}

/// The first certificate of a PEM file, in DER.
pub fn first_certificate(text: &str) -> Option<Vec<u8>> {
    let (head, der) = pem(text.trim())?;
    (head == "CERTIFICATE").then_some(der)
}

/// The first block of a PEM text (RFC 7468): what it says it is, and its content.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (head, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    Some((head, BASE64.decode(body).ok()?))
}

/// What `tls-server-end-point` binds to (RFC 5929, section 4.1): the certificate's hash, by the hash of its signature, SHA-256
/// in place of older ones.
pub fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let mut outer = Reader(Reader(certificate).take(SEQUENCE)?);
    outer.take(SEQUENCE)?;
    let algorithm = Reader(outer.take(SEQUENCE)?).take(OBJECT_IDENTIFIER)?;
    let hash =
        match algorithm {
            // sha384WithRSAEncryption, ecdsa-with-SHA384
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &digest::SHA384,
            // sha512WithRSAEncryption, ecdsa-with-SHA512
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &digest::SHA512,
            _ => &digest::SHA256,
        };
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

/// The SubjectPublicKeyInfo within a certificate (RFC 5280, section 4.1), as it stands there.
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader(Reader(Reader(certificate).take(SEQUENCE)?).take(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    // Serial number, signature, issuer, validity, subject.
    fields.take(INTEGER)?;
    for _ in 0..4 {
        fields.take(SEQUENCE)?;
    }
    let before = fields.0;
    fields.take(SEQUENCE)?;
    Some(&before[..before.len() - fields.0.len()])
}

/// Whether the certificate's time has begun and is not over (RFC 5280, section 4.1.2.5); `None` when it is none.
pub fn is_valid_at(certificate: &[u8], unix_seconds: u64) -> Option<bool> {
    let mut fields = Reader(Reader(Reader(certificate).take(SEQUENCE)?).take(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?;
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let mut validity = Reader(fields.take(SEQUENCE)?);
    let (begin, end) = (time(&mut validity)?, time(&mut validity)?);
    Some((begin..=end).contains(&stamp(unix_seconds)))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, as a number of fourteen digits.
fn time(reader: &mut Reader<'_>) -> Option<u64> {
    let short = reader.0.first() == Some(&UTC_TIME);
    let text = reader.take(if short { UTC_TIME } else { GENERALIZED_TIME })?;
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() == if short { 12 } else { 14 };
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    let century = match (short, number / 10_000_000_000) {
        (false, _) => 0,
        (true, 50..) => 19,
        (true, _) => 20,
    };
    Some(century * 1_000_000_000_000 + number)
}

/// A moment as [`time`] writes it. Days are counted in years that begin in March, so that leap days come last.
fn stamp(unix_seconds: u64) -> u64 {
    let (days, seconds) = (unix_seconds / 86_400 + 719_468, unix_seconds % 86_400);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let date = year * 10_000 + month * 100 + day;
    date * 1_000_000 + seconds / 3600 * 10_000 + seconds % 3600 / 60 * 100 + seconds % 60
}

fn whole(der: &[u8]) -> bool {
    let mut reader = Reader(der);
    reader.take(SEQUENCE).is_some() && reader.0.is_empty()
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// Takes DER apart, just as far as needed.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }
}

#[cfg(test)]
#[path = "keys_test.rs"]
mod tests;
