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
        let (head, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
        let (body, _) = rest.split_once("-----END ")?;
        let body: String = body.split_whitespace().collect();
        let der = BASE64.decode(body).ok()?;
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

fn whole(der: &[u8]) -> bool {
    let mut reader = Reader(der);
    reader.take(SEQUENCE).is_some() && reader.0.is_empty()
}

const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
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
