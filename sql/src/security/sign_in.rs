//! A sign-in, in two transactions: one reads what is stored of the role, the other takes what was used up and writes the audit
//! row. Between them the gateway talks with the client.

use std::{net::IpAddr, sync::Arc, time::Duration};

use auth::{
    Factors, Mechanism, Proof, Reason, Used,
    audit::Record,
    factor::SecondFactor,
    keys::Pin,
    password::{Cleartext, Encryption, Stored, Verifier},
    privilege::{self, Object, Privileges},
    rules::{Attempt as RuleAttempt, Method, Rules},
    scram::Scram,
    throttle::{self, Count, Subject},
    ticket::{self, ByTicket, Ticket},
};
use txn::Txn;

use super::{
    Credential, audit, random,
    record::{self, credential_key, decode, failures_key, rules_key, ticket_key},
};
use crate::{
    catalog::{Role, Snapshot, system::roles::BOOTSTRAP_OID},
    error::{Result, SqlError, SqlState},
    session::{BOOTSTRAP_ROLE, Database},
};

const INVALID_AUTHORIZATION: SqlState = SqlState("28000");
const INVALID_PASSWORD: SqlState = SqlState("28P01");
const INSUFFICIENT_PRIVILEGE: SqlState = SqlState("42501");
/// Attempts of the second transaction when others are in its way.
const ATTEMPTS_MAX: u32 = 20;

/// What a client has said and shown before the conversation. (Not `Debug`: it holds a code.)
#[derive(Clone)]
pub struct Attempt {
    /// A role, or a ticket.
    pub user: String,
    pub database: String,
    pub address: IpAddr,
    pub encrypted: bool,
    /// Of the certificate that the client has shown in the TLS handshake.
    pub pin: Option<Pin>,
    /// `-c locus.otp=…`
    pub code: Option<String>,
}

/// How the client is to prove itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing is asked.
    Trust,
    /// The key of the handshake is enough.
    Key,
    /// A key is asked for, and the client has shown none of the role's.
    NoKey,
    Cleartext,
    Scram,
    Ticket,
    /// No rule admits the client in this way; the message is for it.
    Refused(String),
}

/// What is known of whoever wants to come in.
pub struct Dossier {
    pub way: Way,
    role: Option<Arc<Role>>,
    /// The name that failures count for: that of the role, existing or not.
    name: String,
    stored: Stored,
    ticket: Option<(String, Ticket)>,
    throttled: bool,
    may_connect: bool,
    secret: [u8; 32],
}

/// Who has come in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub role: Arc<Role>,
    pub factors: Factors,
}

impl Dossier {
    /// The conversation; `None` where there is nothing to talk about.
    pub fn mechanism(&self, database: &Database, end_point: Option<Vec<u8>>) -> Option<Box<dyn Mechanism>> {
        match self.way {
            Way::Cleartext => Some(Box::new(Cleartext::new(self.stored.clone()))),
            Way::Scram => {
                let nonce = random(&*database.client.runtime);
                Some(Box::new(Scram::new(self.stored.clone(), &self.name, &self.secret, nonce, end_point)))
            }
            Way::Ticket => Some(Box::new(ByTicket::new(self.ticket.as_ref().map(|(_, ticket)| ticket.hash)))),
            Way::Trust | Way::Key | Way::NoKey | Way::Refused(_) => None,
        }
    }

    /// The outcome where there is no conversation.
    pub fn settled(&self) -> std::result::Result<Proof, Reason> {
        match self.way {
            Way::Trust => Ok(Proof { factors: Factors::TRUST, ..Proof::default() }),
            Way::Key => {
                let mut second = self.stored.second.clone();
                // A key is something that the owner has; a code is asked for besides only where it is required.
                if !second.required {
                    second.otp = None;
                }
                if let Some(reason) = self.stored.hopeless.filter(|reason| *reason != Reason::Expired) {
                    return Err(reason);
                }
                let (factors, used) = second.check(self.stored.code.as_deref())?;
                Ok(Proof { factors: Factors::KEY.with(factors), used, ..Proof::default() })
            }
            _ => Err(Reason::UnknownKey),
        }
    }
}

/// The one answer to every failure.
pub fn refusal(user: &str) -> SqlError {
    SqlError::new(INVALID_PASSWORD, format!("password authentication failed for user \"{user}\""))
}

impl Database {
    /// The rules of the cluster.
    pub(crate) async fn rules(&self, txn: &mut Txn) -> Result<Rules> {
        let values = txn.get(&[rules_key()]).await?;
        self.parse_rules(decode(values.first().and_then(Option::as_ref))?)
    }

    /// `None`: those of a cluster that nobody has given any.
    pub(crate) async fn store_rules(&self, txn: &mut Txn, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) => record::put(txn, rules_key(), &text.to_owned()),
            None => Ok(txn.delete(rules_key(), false)?),
        }
    }

    fn parse_rules(&self, text: Option<String>) -> Result<Rules> {
        match text {
            Some(text) => Rules::parse(&text).map_err(|error| SqlError::internal(format!("stored rules: {error}"))),
            None if self.options.security.insecure => Ok(Rules::insecure()),
            None => Ok(Rules::standard()),
        }
    }

    /// Reads what is needed to decide on a sign-in.
    pub async fn look_up(&self, attempt: &Attempt) -> Result<Dossier> {
        let mut txn = self.client.begin();
        let dossier = self.look_up_in(&mut txn, attempt).await;
        txn.rollback().await;
        dossier
    }

    async fn look_up_in(&self, txn: &mut Txn, attempt: &Attempt) -> Result<Dossier> {
        let snapshot = self.catalog.snapshot(txn).await?;
        let is_ticket = attempt.user.starts_with(ticket::PREFIX);
        let ticket: Option<Ticket> = match is_ticket {
            true => decode(txn.get(&[ticket_key(&attempt.user)]).await?.first().and_then(Option::as_ref))?,
            false => None,
        };
        let role = match (&ticket, is_ticket) {
            (Some(ticket), _) => snapshot.roles.get(ticket.role).cloned(),
            (None, true) => None,
            (None, false) => snapshot.roles.named(&attempt.user).cloned(),
        };
        let name = role.as_ref().map_or(attempt.user.clone(), |role| role.name.clone());
        let network = throttle::network(attempt.address);
        // The same reads for every role, known or not.
        let oid = role.as_ref().map_or(0, |role| role.oid);
        let keys = [credential_key(oid), failures_key(Some(&name), network), failures_key(None, network), rules_key()];
        let values = txn.get(&keys).await?;
        let credential: Credential = decode(values[0].as_ref())?.unwrap_or_default();
        let counts: [Count; 2] =
            [decode(values[1].as_ref())?.unwrap_or_default(), decode(values[2].as_ref())?.unwrap_or_default()];
        let rules = self.parse_rules(decode(values[3].as_ref())?)?;
        let now_micros = self.client.runtime.wall_micros();
        let now_millis = (now_micros / 1000).max(0) as u64;
        let ticket = ticket.filter(|ticket| ticket.is_alive(now_millis, credential.generation));
        let throttled = counts[0].wait_millis(Subject::RoleFromAddress, now_millis) > 0
            || counts[1].wait_millis(Subject::Address, now_millis) > 0;
        let stored = self.stored(attempt, role.as_deref(), &credential, now_micros);
        Ok(Dossier {
            way: self.way(attempt, &snapshot, &name, &rules, is_ticket, &credential, &stored),
            may_connect: may_connect(&snapshot, oid),
            secret: self.options.security.cluster_key.as_ref().map_or([0; 32], |key| key.derive("scram")),
            ticket: ticket.map(|ticket| (attempt.user.clone(), ticket)),
            role,
            name,
            stored,
            throttled,
        })
    }

    fn stored(&self, attempt: &Attempt, role: Option<&Role>, credential: &Credential, now_micros: i64) -> Stored {
        let Some(role) = role else {
            return Stored { hopeless: Some(Reason::UnknownRole), code: attempt.code.clone(), ..Stored::default() };
        };
        let security = &self.options.security;
        let unix_seconds = (now_micros / 1_000_000).max(0) as u64;
        let mut hopeless = (!role.login).then_some(Reason::NotAdmitted);
        if role.valid_until.is_some_and(|until| until <= now_micros - crate::session::POSTGRES_EPOCH_MICROS) {
            hopeless = hopeless.or(Some(Reason::Expired));
        }
        let mut otp = None;
        if let Some(enrolled) = credential.otp.as_ref().filter(|otp| otp.confirmed) {
            match security.cluster_key.as_ref().and_then(|key| key.open("otp", role.oid, &enrolled.sealed)) {
                Some(secret) => otp = Some((secret, enrolled.last_step)),
                None => {
                    tracing::error!(role = role.name, "the one-time password cannot be opened with this gateway's key");
                    hopeless = hopeless.or(Some(Reason::WrongCode));
                }
            }
        }
        let owner = security.cluster_key.clone().filter(|_| role.oid == BOOTSTRAP_OID);
        Stored {
            verifier: credential.password.as_deref().and_then(Verifier::parse),
            hopeless,
            second: SecondFactor {
                required: credential.require_otp,
                otp,
                recovery: credential.recovery.clone(),
                unix_seconds,
            },
            code: attempt.code.clone(),
            owner: owner.map(|key| (key, BOOTSTRAP_ROLE.to_owned())),
            fresh_salt: random(&*self.client.runtime),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn way(
        &self,
        attempt: &Attempt,
        snapshot: &Snapshot,
        name: &str,
        rules: &Rules,
        is_ticket: bool,
        credential: &Credential,
        stored: &Stored,
    ) -> Way {
        let facts = snapshot.roles.facts();
        let mine = privilege::membership(facts, snapshot.roles.oid(name), false);
        let is_member = |group: &str| snapshot.roles.named(group).is_some_and(|group| mine.contains(&group.oid));
        let tried = RuleAttempt {
            encrypted: attempt.encrypted,
            database: &attempt.database,
            role: name,
            address: attempt.address,
        };
        let method = rules.decide(&tried, &is_member).map(|(_, rule)| rule.method);
        let encryption = if attempt.encrypted { "SSL encryption" } else { "no encryption" };
        let refused = || {
            let (user, address) = (&attempt.user, attempt.address);
            Way::Refused(format!("no sign-in rule admits user \"{user}\" from address {address}, {encryption}"))
        };
        let Some(method) = method.filter(|method| *method != Method::Reject) else { return refused() };
        let in_clear = attempt.encrypted || attempt.address.to_canonical().is_loopback();
        let cleartext =
            |way| if in_clear { way } else { Way::Refused("a password is asked for within TLS only".to_owned()) };
        if is_ticket && method != Method::Trust {
            return cleartext(Way::Ticket);
        }
        let has_key = attempt.pin.is_some_and(|pin| credential.keys.iter().any(|key| key.pin == pin));
        match method {
            Method::Trust => Way::Trust,
            Method::Key if !has_key => Way::NoKey,
            Method::Key => Way::Key,
            Method::Auto if has_key => Way::Key,
            Method::Scram => Way::Scram,
            Method::Auto
                if stored.verifier.as_ref().is_some_and(|found| found.encryption() == Encryption::ScramSha256) =>
            {
                Way::Scram
            }
            _ => cleartext(Way::Cleartext),
        }
    }

    /// Ends a sign-in: takes what it used up, counts a failure, writes the audit row. An error is for the client.
    pub async fn conclude(
        &self,
        attempt: &Attempt,
        dossier: &Dossier,
        outcome: std::result::Result<Proof, Reason>,
    ) -> Result<SignedIn> {
        if let Way::Refused(message) = &dossier.way {
            // Nothing was taken; the row is all that comes of it.
            let _ = self.record_retrying(attempt, dossier, &Err(Reason::NotAdmitted)).await?;
            return Err(SqlError::new(INVALID_AUTHORIZATION, message.clone()));
        }
        if dossier.way == Way::Trust {
            return trusted(dossier, attempt);
        }
        let outcome = match outcome {
            Ok(proof) if dossier.throttled && !proof.factors.beyond_guessing() => Err(Reason::Throttled),
            Ok(proof) if dossier.way == Way::Ticket && dossier.stored.hopeless == Some(Reason::NotAdmitted) => {
                tracing::debug!(factors = %proof.factors, "ticket of a role that may not sign in");
                Err(Reason::NotAdmitted)
            }
            // Only what is tried when it may be tried is counted: nobody can prolong the wait by trying on.
            Err(_) if dossier.throttled => Err(Reason::Throttled),
            other => other,
        };
        let stands = self.record_retrying(attempt, dossier, &outcome).await?;
        match (stands, outcome, &dossier.role) {
            (Ok(()), Ok(proof), Some(role)) if dossier.may_connect => {
                Ok(SignedIn { role: Arc::clone(role), factors: proof.factors })
            }
            (Ok(()), Ok(_), Some(_)) => {
                let message = format!("permission denied for database \"{}\"", attempt.database);
                Err(SqlError::new(INSUFFICIENT_PRIVILEGE, message).detail("User does not have CONNECT privilege."))
            }
            (stands, outcome, _) => {
                let reason = stands.err().or(outcome.err()).map_or("unknown role", Reason::name);
                tracing::info!(user = attempt.user, address = %attempt.address, reason, "sign-in refused");
                Err(refusal(&attempt.user))
            }
        }
    }

    /// The second transaction, again where others were in its way. A commit whose outcome is unknown counts as a failure: a
    /// code may be lost by that, but never used twice.
    async fn record_retrying(
        &self,
        attempt: &Attempt,
        dossier: &Dossier,
        outcome: &std::result::Result<Proof, Reason>,
    ) -> Result<std::result::Result<(), Reason>> {
        let mut tried = 0;
        loop {
            let mut txn = self.client.begin();
            let done = match self.record(&mut txn, attempt, dossier, outcome).await {
                Ok(stands) => txn.commit().await.map(|_| stands).map_err(SqlError::from),
                Err(error) => {
                    txn.rollback().await;
                    Err(error)
                }
            };
            match done {
                Err(error) if error.fields().retryable && tried < ATTEMPTS_MAX => {
                    tried += 1;
                    let jitter = self.client.runtime.random_u64() % 20;
                    self.client.runtime.sleep(Duration::from_millis(jitter * u64::from(tried))).await;
                }
                other => return other,
            }
        }
    }

    async fn record(
        &self,
        txn: &mut Txn,
        attempt: &Attempt,
        dossier: &Dossier,
        outcome: &std::result::Result<Proof, Reason>,
    ) -> Result<std::result::Result<(), Reason>> {
        let unix_micros = self.client.runtime.wall_micros();
        let now_millis = (unix_micros / 1000).max(0) as u64;
        let network = throttle::network(attempt.address);
        let stands = match (outcome, &dossier.role) {
            (Ok(proof), Some(role)) => self.take(txn, dossier, role, proof, now_millis).await?,
            (Ok(_), None) => Err(Reason::UnknownRole),
            (Err(reason), _) => Err(*reason),
        };
        match stands {
            Ok(()) => {
                let key = failures_key(Some(&dossier.name), network);
                if txn.get(std::slice::from_ref(&key)).await?.iter().any(Option::is_some) {
                    txn.delete(key, false)?;
                }
            }
            Err(Reason::Throttled | Reason::NotAdmitted) => {}
            Err(_) => {
                for key in [failures_key(Some(&dossier.name), network), failures_key(None, network)] {
                    let count: Count = record::locked(txn, key.clone()).await?.unwrap_or_default();
                    record::put(txn, key, &count.failed(now_millis))?;
                }
            }
        }
        let detail = match (stands, outcome) {
            (Ok(()), Ok(proof)) => proof.factors.to_string(),
            (Err(reason), _) => reason.name().to_owned(),
            (Ok(()), Err(reason)) => reason.name().to_owned(),
        };
        let record = Record {
            unix_micros,
            event: "sign-in".to_owned(),
            role: dossier.name.clone(),
            address: attempt.address.to_string(),
            object: attempt.database.clone(),
            succeeded: stands.is_ok(),
            detail,
        };
        audit::append(txn, record).await?;
        Ok(stands)
    }

    /// Takes what the proof uses up; fails where it is gone.
    async fn take(
        &self,
        txn: &mut Txn,
        dossier: &Dossier,
        role: &Role,
        proof: &Proof,
        now_millis: u64,
    ) -> Result<std::result::Result<(), Reason>> {
        if let Some((id, ticket)) = &dossier.ticket {
            let Some(stored): Option<Ticket> = record::locked(txn, ticket_key(id)).await? else {
                return Ok(Err(Reason::WrongTicket));
            };
            if stored.hash != ticket.hash {
                return Ok(Err(Reason::WrongTicket));
            }
            record::put(txn, ticket_key(id), &Ticket { used_millis: now_millis, ..stored })?;
        }
        if proof.used == Used::Nothing && proof.rehashed.is_none() {
            return Ok(Ok(()));
        }
        let mut credential: Credential = record::locked(txn, credential_key(role.oid)).await?.unwrap_or_default();
        match proof.used {
            Used::Nothing => {}
            Used::OtpStep(step) => {
                let Some(otp) = credential.otp.as_mut() else { return Ok(Err(Reason::WrongCode)) };
                if otp.last_step.is_some_and(|last| step <= last) {
                    return Ok(Err(Reason::UsedCode));
                }
                otp.last_step = Some(step);
            }
            Used::RecoveryCode(position) => {
                let known = dossier.stored.second.recovery.get(position).copied().flatten();
                match credential.recovery.get_mut(position) {
                    Some(code) if code.is_some() && *code == known => *code = None,
                    _ => return Ok(Err(Reason::UsedCode)),
                }
            }
        }
        let before = dossier.stored.verifier.as_ref().map(ToString::to_string);
        if let Some(rehashed) = &proof.rehashed
            && credential.password == before
        {
            credential.password = Some(rehashed.clone());
        }
        record::put(txn, credential_key(role.oid), &credential)?;
        Ok(Ok(()))
    }
}

fn trusted(dossier: &Dossier, attempt: &Attempt) -> Result<SignedIn> {
    match &dossier.role {
        None => {
            let message = format!("role \"{}\" does not exist", attempt.user);
            Err(SqlError::new(INVALID_AUTHORIZATION, message))
        }
        Some(role) if !role.login => {
            let message = format!("role \"{}\" is not permitted to log in", role.name);
            Err(SqlError::new(INVALID_AUTHORIZATION, message))
        }
        Some(role) => Ok(SignedIn { role: Arc::clone(role), factors: Factors::TRUST }),
    }
}

fn may_connect(snapshot: &Snapshot, role: u32) -> bool {
    let database = snapshot.database();
    let owner = snapshot.roles.oid(database.owner.as_deref().unwrap_or(BOOTSTRAP_ROLE));
    let held = privilege::held(snapshot.roles.facts(), role, Object::Database, owner, database.acl.as_ref());
    held.contains(Privileges::CONNECT)
}
