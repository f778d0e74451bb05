//! What the authority remembers (`ledger.json`, beside its key): the certificates that it has issued, and the tokens that may be
//! redeemed. Whoever changes it holds the directory's lock.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use auth::keys;
use ring::digest;
use serde::{Deserialize, Serialize};
use storage::shell::fingerprint;

use super::{
    Purpose,
    files::{read_if_there, write_private, write_public},
    now,
};

#[derive(Default, Serialize, Deserialize)]
pub struct Ledger {
    pub issued: Vec<Issued>,
    tokens: Vec<Token>,
    #[serde(skip)]
    directory: PathBuf,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Issued {
    pub holder: String,
    pub fingerprint: String,
    /// Seconds since 1970.
    pub at: u64,
    pub ends: u64,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Current,
    /// Its holder shall get another (`locus cert rotate`).
    Outdated,
    /// Its holder has another.
    Replaced,
    Revoked,
}

#[derive(Serialize, Deserialize)]
struct Token {
    id: String,
    /// SHA-256; the secret itself is with its owner only. How long a comparison of hashes takes tells nothing of it.
    secret: Vec<u8>,
    holder: String,
    ends: u64,
}

impl Ledger {
    pub fn read(directory: &Path) -> Result<Ledger> {
        let path = directory.join("ledger.json");
        let mut ledger = match read_if_there(&path)? {
            Some(text) => serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?,
            None => Ledger::default(),
        };
        ledger.directory = directory.to_owned();
        Ok(ledger)
    }

    /// Drops what is over, and writes.
    pub fn write(&mut self) -> Result<()> {
        let now = now().as_secs();
        self.issued.retain(|issued| issued.ends > now);
        self.tokens.retain(|token| token.ends > now);
        write_private(&self.directory.join("ledger.json"), &serde_json::to_vec_pretty(self)?)
    }

    /// Notes a certificate, in PEM, that ends at `ends`.
    pub fn note(&mut self, purpose: &Purpose, certificate: &str, ends: u64) -> Result<()> {
        let (holder, at) = (purpose.holder(), now().as_secs());
        let fingerprint = fingerprint_of(certificate).context("not a certificate")?;
        self.issued.push(Issued { holder, fingerprint, at, ends, state: State::Current });
        self.write()
    }

    /// Revokes all certificates of a holder, and publishes that (`revoked`). Says how many there were.
    pub fn revoke(&mut self, holder: &str) -> Result<usize> {
        let mut count = 0;
        for issued in self.issued.iter_mut().filter(|issued| issued.holder == holder) {
            count += usize::from(issued.state != State::Revoked);
            issued.state = State::Revoked;
        }
        // Nor shall a token bring it back.
        self.tokens.retain(|token| token.holder != holder);
        self.write()?;
        let lines = self.issued.iter().filter(|issued| issued.state == State::Revoked);
        let lines = lines.map(|issued| format!("{} {}\n", issued.fingerprint, issued.holder));
        write_public(&self.directory.join("revoked"), &lines.collect::<String>())?;
        Ok(count)
    }

    /// Every holder shall get another certificate.
    pub fn outdate_all(&mut self) -> Result<()> {
        for issued in self.issued.iter_mut().filter(|issued| issued.state == State::Current) {
            issued.state = State::Outdated;
        }
        self.write()
    }

    /// The holder of this certificate has another.
    pub fn replaced(&mut self, fingerprint: &str) -> Result<()> {
        let found = self.issued.iter_mut().find(|issued| issued.fingerprint == fingerprint);
        if let Some(issued) = found.filter(|issued| issued.state != State::Revoked) {
            issued.state = State::Replaced;
            self.write()?;
        }
        Ok(())
    }

    pub fn find(&self, fingerprint: &str) -> Option<&Issued> {
        self.issued.iter().find(|issued| issued.fingerprint == fingerprint)
    }

    pub fn add_token(&mut self, id: String, secret: &str, holder: &str, ends: u64) -> Result<()> {
        let secret = digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().to_vec();
        self.tokens.push(Token { id, secret, holder: holder.to_owned(), ends });
        self.write()
    }

    /// Takes the token off, for good, if it is good for this holder. The ledger is written before this says yes.
    pub fn redeem(&mut self, id: &str, secret: &str, holder: &str) -> Result<bool> {
        let hash = digest::digest(&digest::SHA256, secret.as_bytes());
        let now = now().as_secs();
        let good = |token: &Token| {
            token.id == id && token.holder == holder && token.ends > now && token.secret == hash.as_ref()
        };
        let Some(position) = self.tokens.iter().position(good) else { return Ok(false) };
        self.tokens.remove(position);
        self.write()?;
        Ok(true)
    }
}

/// Of a certificate in PEM.
pub fn fingerprint_of(pem: &str) -> Option<String> {
    Some(fingerprint(&keys::first_certificate(pem)?))
}
