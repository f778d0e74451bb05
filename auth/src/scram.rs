//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677; channel binding `tls-server-end-point` of RFC 5929): the client
//! proves that it knows the password, and the server that it knew it, without the password on the wire.

use std::num::NonZeroU32;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use ring::{digest, hmac, pbkdf2};

use crate::{
    factor::Factors,
    mechanism::{Challenge, Input, Mechanism, Proof, Reason, Step},
    otp::same,
    password::Stored,
    password::Verifier,
};

/// As many as all drivers accept: node-postgres refuses more than 100,000.
pub const ITERATIONS: u32 = 65_536;
const ITERATIONS_MAX: u32 = 1_000_000;
const KEY_BYTES: usize = 32;
/// Random bytes of our half of the nonce.
pub const NONCE_BYTES: usize = 18;

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What is stored of a password: neither it nor what a client would need follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramVerifier {
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub stored_key: [u8; KEY_BYTES],
    pub server_key: [u8; KEY_BYTES],
}

impl ScramVerifier {
    /// Costly.
    pub fn derive(password: &str, salt: Vec<u8>) -> ScramVerifier {
        ScramVerifier::derive_with(password, salt, ITERATIONS)
    }

    fn derive_with(password: &str, salt: Vec<u8>, iterations: u32) -> ScramVerifier {
        let salted = salted_password(password, &salt, iterations);
        let client_key = mac(&salted, b"Client Key");
        let mut stored_key = [0; KEY_BYTES];
        stored_key.copy_from_slice(digest::digest(&digest::SHA256, &client_key).as_ref());
        ScramVerifier { iterations, salt, stored_key, server_key: mac(&salted, b"Server Key") }
    }

    /// `SCRAM-SHA-256$iterations:salt$stored key:server key`, as PostgreSQL writes it.
    pub fn parse(text: &str) -> Option<ScramVerifier> {
        let (iterations, rest) = text.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| BASE64.decode(text).ok()?.try_into().ok();
        let iterations = iterations.parse().ok().filter(|count| (1..=ITERATIONS_MAX).contains(count))?;
        let salt = BASE64.decode(salt).ok().filter(|salt| !salt.is_empty() && salt.len() <= 64)?;
        Some(ScramVerifier { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
    }

    /// Whether this is the password; costly.
    pub fn verify(&self, password: &str) -> bool {
        let derived = ScramVerifier::derive_with(password, self.salt.clone(), self.iterations);
        same(&derived.stored_key, &self.stored_key)
    }

    pub fn is_current(&self) -> bool {
        self.iterations == ITERATIONS
    }
}

impl std::fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (salt, stored) = (BASE64.encode(&self.salt), BASE64.encode(self.stored_key));
        write!(f, "{PLAIN}${}:{salt}${stored}:{}", self.iterations, BASE64.encode(self.server_key))
    }
}

fn salted_password(password: &str, salt: &[u8], iterations: u32) -> [u8; KEY_BYTES] {
    // As PostgreSQL does: what cannot be normalised is taken as it is.
    let normal = stringprep::saslprep(password).unwrap_or(password.into());
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let mut salted = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, normal.as_bytes(), &mut salted);
    salted
}

fn mac(key: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; KEY_BYTES];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// The server's side of one conversation.
pub struct Scram {
    stored: Stored,
    verifier: ScramVerifier,
    /// The verifier was made up: there is none, or no such role.
    pretended: bool,
    /// The hash of our certificate, where the connection is encrypted.
    end_point: Option<Vec<u8>>,
    nonce: String,
    state: State,
}

enum State {
    Fresh,
    /// Waits for the client's proof.
    Challenged {
        gs2_header: String,
        binding: bool,
        client_first: String,
        server_first: String,
        nonce: String,
    },
    Over,
}

impl Scram {
    /// `secret` is the cluster's own: from it comes the salt of a role that does not exist, the same each time.
    pub fn new(
        stored: Stored,
        role: &str,
        secret: &[u8],
        random: [u8; NONCE_BYTES],
        end_point: Option<Vec<u8>>,
    ) -> Scram {
        let (verifier, pretended) = match &stored.verifier {
            Some(Verifier::Scram(verifier)) => (verifier.clone(), false),
            _ => {
                let salt = mac(secret, role.as_bytes())[..16].to_vec();
                let verifier = ScramVerifier { iterations: ITERATIONS, salt, stored_key: [0; 32], server_key: [0; 32] };
                (verifier, true)
            }
        };
        Scram { stored, verifier, pretended, end_point, nonce: BASE64.encode(random), state: State::Fresh }
    }

    fn first(&mut self, mechanism: &str, data: &[u8]) -> Option<Step> {
        let text = std::str::from_utf8(data).ok()?;
        let mut parts = text.splitn(3, ',');
        let (flag, authorization, client_first) = (parts.next()?, parts.next()?, parts.next()?);
        // Nobody signs in on behalf of another.
        if !authorization.is_empty() {
            return None;
        }
        let binding = match (flag, mechanism) {
            ("p=tls-server-end-point", PLUS) => self.end_point.is_some(),
            ("n", PLAIN) => false,
            // The client could bind and believes that we cannot: somebody in between has told it so.
            ("y", PLAIN) if self.end_point.is_none() => false,
            _ => return None,
        };
        if mechanism == PLUS && !binding {
            return None;
        }
        let mut attributes = client_first.split(',');
        // The name is the one of the start-up packet; `m=` asks for extensions, of which there are none.
        attributes.next()?.strip_prefix("n=")?;
        let client_nonce = attributes.next()?.strip_prefix("r=")?;
        let printable = |byte: u8| (0x21..=0x7e).contains(&byte);
        if client_nonce.is_empty() || client_nonce.len() > 256 || !client_nonce.bytes().all(printable) {
            return None;
        }
        let nonce = format!("{client_nonce}{}", self.nonce);
        let salt = BASE64.encode(&self.verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", self.verifier.iterations);
        let challenge = Challenge::SaslContinue(Bytes::from(server_first.clone()));
        let gs2_header = format!("{flag},{authorization},");
        self.state =
            State::Challenged { gs2_header, binding, client_first: client_first.to_owned(), server_first, nonce };
        Some(Step::Continue(challenge))
    }

    /// The client's proof; `None` when the message makes no sense.
    fn last(&mut self, data: &[u8]) -> Option<Step> {
        let State::Challenged { gs2_header, binding, client_first, server_first, nonce } =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return None;
        };
        let text = std::str::from_utf8(data).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let (bound, echoed) = (attributes.next()?.strip_prefix("c=")?, attributes.next()?.strip_prefix("r=")?);
        let mut expected = gs2_header.into_bytes();
        if binding {
            expected.extend_from_slice(self.end_point.as_deref()?);
        }
        if BASE64.decode(bound).ok()? != expected || echoed != nonce {
            return None;
        }
        let proof: [u8; KEY_BYTES] = BASE64.decode(proof).ok()?.try_into().ok()?;
        let message = format!("{client_first},{server_first},{without_proof}");
        let signature = mac(&self.verifier.stored_key, message.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(proof, signature)| proof ^ signature).collect();
        let matches = same(digest::digest(&digest::SHA256, &client_key).as_ref(), &self.verifier.stored_key);
        let second = self.stored.second.check(self.stored.code.as_deref());
        Some(match (self.stored.hopeless, matches && !self.pretended, second) {
            (Some(reason), ..) => Step::Failure(reason),
            (None, false, _) if self.pretended => Step::Failure(Reason::NoPassword),
            (None, false, _) => Step::Failure(Reason::WrongPassword),
            (None, true, Err(reason)) => Step::Failure(reason),
            (None, true, Ok((factors, used))) => {
                let signature = mac(&self.verifier.server_key, message.as_bytes());
                let last_words = Some(Bytes::from(format!("v={}", BASE64.encode(signature))));
                Step::Success(Proof { factors: Factors::PASSWORD.with(factors), used, last_words, rehashed: None })
            }
        })
    }
}

impl Mechanism for Scram {
    fn exchange(&mut self, input: Input<'_>) -> Step {
        let step = match (input, &self.state) {
            (Input::Start, State::Fresh) => {
                let names = if self.end_point.is_some() { vec![PLUS, PLAIN] } else { vec![PLAIN] };
                Some(Step::Continue(Challenge::Sasl(names)))
            }
            (Input::SaslFirst { mechanism, data }, State::Fresh) => self.first(mechanism, data),
            (Input::Sasl(data), State::Challenged { .. }) => self.last(data),
            _ => None,
        };
        step.unwrap_or_else(|| {
            self.state = State::Over;
            Step::Failure(Reason::Malformed)
        })
    }
}

#[cfg(test)]
#[path = "scram_test.rs"]
mod tests;
