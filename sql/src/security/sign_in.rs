//! A sign-in, in two transactions: one reads what is stored of the role, the other takes what was used up and writes the audit
//! row. Between them the gateway talks with the client.

use std::{net::IpAddr, sync::Arc};

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
use bytes::Bytes;
use txn::Txn;

use super::{
    ATTEMPTS_MAX, Credential, audit, pause, random,
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

    /// The last question: whether the role may use the database.
    fn connected(&self, signed_in: SignedIn, attempt: &Attempt) -> Result<SignedIn> {
        if self.may_connect {
            return Ok(signed_in);
        }
        let message = format!("permission denied for database \"{}\"", attempt.database);
        Err(SqlError::new(INSUFFICIENT_PRIVILEGE, message).detail("User does not have CONNECT privilege."))
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
        // The same reads for every role, known or not.
        let oid = role.as_ref().map_or(0, |role| role.oid);
        let values = txn.get(&[credential_key(oid), rules_key()]).await?;
        let credential: Credential = decode(values[0].as_ref())?.unwrap_or_default();
        let rules = self.parse_rules(decode(values[1].as_ref())?)?;
        let now_micros = self.client.runtime.wall_micros();
        let now_millis = (now_micros / 1000).max(0) as u64;
        let ticket = ticket.filter(|ticket| ticket.is_alive(now_millis, credential.generation));
        let stored = self.stored(attempt, role.as_deref(), &credential, now_micros);
        Ok(Dossier {
            way: self.way(attempt, &snapshot, &name, &rules, is_ticket, &credential, &stored),
            may_connect: may_connect(&snapshot, oid),
            secret: self.options.security.cluster_key.as_ref().map_or([0; 32], |key| key.derive("scram")),
            ticket: ticket.map(|ticket| (attempt.user.clone(), ticket)),
            role,
            name,
            stored,
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
        let in_clear = tried.may_send_password();
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
            self.audit_later(audit_row(self, attempt, dossier, Err(Reason::NotAdmitted), Factors::default()));
            return Err(SqlError::new(INVALID_AUTHORIZATION, message.clone()));
        }
        if dossier.way == Way::Trust {
            return dossier.connected(trusted(dossier, attempt)?, attempt);
        }
        let outcome = match (outcome, dossier.stored.hopeless) {
            // What makes a password hopeless (NOLOGIN, VALID UNTIL) ends tickets that were made with it.
            (Ok(_), Some(reason)) if dossier.way == Way::Ticket => Err(reason),
            (outcome, _) => outcome,
        };
        let stands = self.record_retrying(attempt, dossier, &outcome).await?;
        if stands == Err(Reason::Throttled) {
            self.audit_later(audit_row(self, attempt, dossier, stands, Factors::default()));
        }
        match (stands, outcome, &dossier.role) {
            (Ok(()), Ok(proof), Some(role)) => {
                dossier.connected(SignedIn { role: Arc::clone(role), factors: proof.factors }, attempt)
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
                    pause(&self.client, tried).await;
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
        let now_millis = (self.client.runtime.wall_micros() / 1000).max(0) as u64;
        // Read in this transaction: a failure that somebody else writes down meanwhile makes it run again.
        let counts = Counts::read(txn, &dossier.name, attempt.address, now_millis).await?;
        let factors = outcome.as_ref().map_or_else(|_| Factors::default(), |proof| proof.factors);
        let stands = match (outcome, &dossier.role) {
            (Ok(proof), _) if counts.hold_up(proof.factors) => Err(Reason::Throttled),
            (Ok(proof), Some(role)) => self.take(txn, dossier, role, proof, now_millis).await?,
            (Ok(_), None) => Err(Reason::UnknownRole),
            (Err(reason), _) => Err(*reason),
        };
        let stands = match stands {
            Ok(()) => counts.forgive(txn, factors).map(Ok)?,
            Err(reason) => Err(counts.note(txn, reason).await?),
        };
        if stands != Err(Reason::Throttled) {
            audit::append(txn, audit_row(self, attempt, dossier, stands, factors)).await?;
        }
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

/// What is counted against an attempt, as the transaction sees it.
struct Counts {
    now_millis: u64,
    counts: Vec<(Subject, Bytes, Option<Count>)>,
}

impl Counts {
    async fn read(txn: &mut Txn, role: &str, address: IpAddr, now_millis: u64) -> Result<Counts> {
        let network = throttle::network(address);
        let keys = Subject::ALL.map(|subject| failures_key(subject, role, network));
        let values = txn.get(&keys).await?;
        let counts = Subject::ALL.into_iter().zip(keys).zip(&values);
        let counts = counts.map(|((subject, key), value)| Ok((subject, key, decode(value.as_ref())?)));
        Ok(Counts { now_millis, counts: counts.collect::<Result<_>>()? })
    }

    fn waits(&self, subject: Subject) -> bool {
        let found = self.counts.iter().find(|(known, ..)| *known == subject).and_then(|(.., count)| *count);
        found.is_some_and(|count| count.wait_millis(subject, self.now_millis) > 0)
    }

    fn hold_up(&self, factors: Factors) -> bool {
        Subject::ALL.into_iter().any(|subject| factors.held_up_by(subject) && self.waits(subject))
    }

    /// The role has come in from the address: its failures there are forgotten, and its wrong codes where it showed a right one.
    fn forgive(&self, txn: &mut Txn, factors: Factors) -> Result<()> {
        for (subject, key, count) in &self.counts {
            let forgiven = match subject {
                Subject::RoleFromAddress => true,
                Subject::Address => false,
                Subject::CodeOfRole => factors.contains(Factors::OTP) || factors.contains(Factors::RECOVERY),
            };
            if forgiven && count.is_some() {
                txn.delete(key.clone(), false)?;
            }
        }
        Ok(())
    }

    /// Counts a failure; the reason to write down. Only what is tried when it may be tried is counted: nobody can prolong the
    /// wait by trying on. But a wrong code is counted also where its address has to wait, because a right one would count.
    async fn note(&self, txn: &mut Txn, reason: Reason) -> Result<Reason> {
        if matches!(reason, Reason::Throttled | Reason::NotAdmitted) {
            return Ok(reason);
        }
        let is_code = matches!(reason, Reason::WrongCode | Reason::UsedCode);
        let waits = self.waits(Subject::RoleFromAddress) || self.waits(Subject::Address);
        let mut counted = false;
        for (subject, key, _) in &self.counts {
            let counts = match subject {
                Subject::CodeOfRole => is_code && !self.waits(Subject::CodeOfRole),
                Subject::RoleFromAddress | Subject::Address => !waits,
            };
            if counts {
                let count: Count = record::locked(txn, key.clone()).await?.unwrap_or_default();
                record::put(txn, key.clone(), &count.failed(self.now_millis))?;
                counted = true;
            }
        }
        Ok(if counted { reason } else { Reason::Throttled })
    }
}

/// The row of the audit log for a sign-in.
fn audit_row(
    database: &Database,
    attempt: &Attempt,
    dossier: &Dossier,
    stands: std::result::Result<(), Reason>,
    factors: Factors,
) -> Record {
    Record {
        unix_micros: database.client.runtime.wall_micros(),
        event: "sign-in".to_owned(),
        role: dossier.name.clone(),
        address: attempt.address.to_string(),
        object: attempt.database.clone(),
        succeeded: stands.is_ok(),
        detail: stands.map_or_else(|reason| reason.name().to_owned(), |()| factors.to_string()),
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
