//! What is stored, and under which keys.

use std::net::IpAddr;

use auth::{
    keys::Pin,
    password::{Encryption, Verifier},
    privilege::RoleId,
    rules::Method,
    throttle::{Count, Subject},
    ticket::Ticket,
};
use base::{IndexId, Span, keycode};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use txn::{LockMode, Txn, WaitPolicy};

use crate::{
    catalog::store::{self, CATALOG_TABLE},
    encode::index_prefix,
    error::Result,
};

const CREDENTIALS: IndexId = IndexId(6);
const TICKETS: IndexId = IndexId(7);
const FAILURES: IndexId = IndexId(8);
const RULES: IndexId = IndexId(9);
pub(super) const AUDIT: IndexId = IndexId(10);
const AUDIT_HEAD: IndexId = IndexId(11);

/// The factors of one role. Never shown.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Credential {
    /// The text of an [`auth::password::Verifier`].
    pub password: Option<String>,
    pub otp: Option<Otp>,
    /// Nobody signs in as this role without a code.
    pub require_otp: bool,
    /// Hashes of the recovery codes; `None` where one was used.
    pub recovery: Vec<Option<[u8; 32]>>,
    pub keys: Vec<Key>,
    /// Grows with every change but the use of a code: tickets of before are void.
    pub generation: u64,
}

impl Credential {
    /// Whether the role has what this method asks for. `may_send`: a password may be asked for in clear; `owns_key`: the role
    /// may come in by the cluster's key.
    pub(crate) fn can_pass(&self, method: Method, may_send: bool, owns_key: bool) -> bool {
        let verifier = self.password.as_deref().and_then(Verifier::parse);
        let scram = verifier.as_ref().is_some_and(|found| found.encryption() == Encryption::ScramSha256);
        match method {
            Method::Trust => true,
            Method::Reject => false,
            Method::Key => !self.keys.is_empty(),
            Method::Scram => scram,
            Method::Password => may_send && (verifier.is_some() || owns_key),
            Method::Auto => scram || !self.keys.is_empty() || may_send && (verifier.is_some() || owns_key),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Otp {
    /// The secret, sealed by the cluster's key for this role.
    pub sealed: Vec<u8>,
    /// It counts only when the role has shown a first code.
    pub confirmed: bool,
    /// The last time step whose code was used.
    pub last_step: Option<u64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    pub pin: Pin,
    pub added_micros: i64,
}

fn prefix(index: IndexId) -> Vec<u8> {
    index_prefix(CATALOG_TABLE, index)
}

pub(super) fn credential_key(role: RoleId) -> Bytes {
    let mut key = prefix(CREDENTIALS);
    keycode::put_u32(&mut key, role);
    key.into()
}

pub(super) fn ticket_key(id: &str) -> Bytes {
    let mut key = prefix(TICKETS);
    key.extend_from_slice(id.as_bytes());
    key.into()
}

pub(super) fn ticket_span() -> Span {
    Span::prefix(&prefix(TICKETS))
}

/// The id that a key of [`ticket_span`] names.
pub(super) fn ticket_id(key: &[u8]) -> String {
    let id = key.strip_prefix(&prefix(TICKETS)[..]).unwrap_or_default();
    String::from_utf8_lossy(id).into_owned()
}

/// Where failures are counted.
pub(super) fn failures_key(subject: Subject, role: &str, address: IpAddr) -> Bytes {
    let mut key = prefix(FAILURES);
    if subject != Subject::CodeOfRole {
        key.extend_from_slice(address.to_string().as_bytes());
    }
    key.push(0);
    if subject != Subject::Address {
        key.push(1);
        key.extend_from_slice(role.as_bytes());
    }
    key.into()
}

pub(super) fn failures_span() -> Span {
    Span::prefix(&prefix(FAILURES))
}

pub(super) fn rules_key() -> Bytes {
    prefix(RULES).into()
}

pub(super) fn audit_key(number: u64) -> Bytes {
    let mut key = prefix(AUDIT);
    key.extend_from_slice(&number.to_be_bytes());
    key.into()
}

pub(super) fn audit_head_key() -> Bytes {
    prefix(AUDIT_HEAD).into()
}

pub(super) fn decode<T: DeserializeOwned>(value: Option<&Bytes>) -> Result<Option<T>> {
    value.map(|bytes| store::decode(bytes)).transpose()
}

/// Reads a value under its lock: nobody else changes it before this transaction ends.
pub(super) async fn locked<T: DeserializeOwned>(txn: &mut Txn, key: Bytes) -> Result<Option<T>> {
    let rows = txn.lock(&[key], LockMode::Update, WaitPolicy::Wait).await?;
    decode(rows.first().and_then(|row| row.value.as_ref()))
}

pub(super) fn put<T: Serialize>(txn: &mut Txn, key: Bytes, value: &T) -> Result<()> {
    Ok(txn.put(key, store::encode(value)?)?)
}

/// Changes a role's factors within a transaction.
pub(super) async fn change_credential(
    txn: &mut Txn,
    role: RoleId,
    change: impl FnOnce(&mut Credential) -> Result<()>,
) -> Result<()> {
    let mut credential: Credential = locked(txn, credential_key(role)).await?.unwrap_or_default();
    change(&mut credential)?;
    put(txn, credential_key(role), &credential)
}

pub(crate) async fn credential(txn: &mut Txn, role: RoleId) -> Result<Credential> {
    let values = txn.get(&[credential_key(role)]).await?;
    Ok(decode(values.first().and_then(Option::as_ref))?.unwrap_or_default())
}

/// All failures that are counted.
pub(super) async fn all_failures(txn: &mut Txn) -> Result<Vec<(Bytes, Count)>> {
    let rows = store::scan(txn, failures_span()).await?;
    rows.into_iter().map(|(key, value)| Ok((key, store::decode(&value)?))).collect()
}

pub(crate) async fn all_tickets(txn: &mut Txn) -> Result<Vec<(String, Ticket)>> {
    let rows = store::scan(txn, ticket_span()).await?;
    rows.into_iter().map(|(key, value)| Ok((ticket_id(&key), store::decode(&value)?))).collect()
}
