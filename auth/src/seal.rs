//! Secrets at rest: ChaCha20-Poly1305 (RFC 8439) under the cluster's key. What a secret is for and whose it is goes into the
//! seal, so that one role's cannot be put in another's place.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};

pub const KEY_BYTES: usize = 32;
pub const NONCE_BYTES: usize = NONCE_LEN;

/// The key that all gateways of a cluster have and nodes do not need.
#[derive(Clone)]
pub struct ClusterKey([u8; KEY_BYTES]);

impl ClusterKey {
    pub fn new(bytes: [u8; KEY_BYTES]) -> ClusterKey {
        ClusterKey(bytes)
    }

    /// Sealed: the nonce, then the secret with its tag. `nonce` must be random: 96 bits are enough for the few secrets that
    /// a cluster ever seals.
    pub fn seal(&self, purpose: &str, subject: u32, nonce: [u8; NONCE_BYTES], secret: &[u8]) -> Vec<u8> {
        let mut sealed = secret.to_vec();
        let aad = Aad::from(context(purpose, subject));
        match self.aead().seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed) {
            Ok(()) => [&nonce[..], &sealed].concat(),
            // Only a secret of 256 GiB cannot be sealed.
            Err(_) => Vec::new(),
        }
    }

    /// The secret; `None` when it was sealed by another key, for something else, or was changed.
    pub fn open(&self, purpose: &str, subject: u32, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let mut bytes = sealed.to_vec();
        let aad = Aad::from(context(purpose, subject));
        let opened = self.aead().open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut bytes).ok()?;
        Some(opened.to_vec())
    }

    /// A key for something else, from which this one does not follow (HKDF, RFC 5869).
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"locus");
        let mut derived = [0; KEY_BYTES];
        let info = [purpose.as_bytes()];
        let filled = salt.extract(&self.0).expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut derived));
        assert!(filled.is_ok(), "32 bytes are within what HKDF gives");
        derived
    }

    fn aead(&self) -> LessSafeKey {
        match UnboundKey::new(&CHACHA20_POLY1305, &self.0) {
            Ok(key) => LessSafeKey::new(key),
            Err(_) => unreachable!("the key has the length of the algorithm"),
        }
    }
}

fn context(purpose: &str, subject: u32) -> Vec<u8> {
    [purpose.as_bytes(), &subject.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_for_the_right_role_opens() {
        let key = ClusterKey::new([1; 32]);
        let sealed = key.seal("otp", 7, [2; NONCE_BYTES], b"secret");
        assert_eq!(key.open("otp", 7, &sealed).unwrap(), b"secret");
        assert_eq!(key.open("otp", 8, &sealed), None);
        assert_eq!(key.open("key", 7, &sealed), None);
        assert_eq!(ClusterKey::new([3; 32]).open("otp", 7, &sealed), None);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(key.open("otp", 7, &changed), None, "{position}");
        }
        assert_eq!(key.open("otp", 7, &sealed[..5]), None);
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn derived_keys_differ() {
        let key = ClusterKey::new([1; 32]);
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_eq!(key.derive("a"), key.derive("a"));
    }
}
