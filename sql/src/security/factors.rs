//! What ALTER ROLE does to the factors of a role. Each change makes the tickets of before void.

use auth::{
    keys::Pin,
    otp,
    password::{Encryption, Verifier, check_strength},
};
use txn::Txn;

use super::{
    Key, Otp, random,
    record::{self, change_credential},
};
use crate::{
    catalog::Role,
    error::{Result, SqlError, SqlState},
    parse::roles::FactorChange,
    session::Database,
};

const INVALID: SqlState = SqlState::INVALID_PARAMETER_VALUE;

impl Database {
    /// Sets or removes the password. A text that is a verifier already is stored as it is.
    pub(crate) async fn set_password(
        &self,
        txn: &mut Txn,
        role: &Role,
        password: Option<&str>,
        encryption: Encryption,
    ) -> Result<()> {
        let stored = match password {
            None => None,
            Some(text) if Verifier::parse(text).is_some() => Some(text.to_owned()),
            Some(text) => {
                check_strength(text, &role.name).map_err(|weak| SqlError::new(INVALID, weak.to_string()))?;
                let (text, salt) = (text.to_owned(), random(&*self.client.runtime));
                let made = self.options.security.compute(move || Verifier::make(encryption, &text, salt)).await?;
                Some(made.ok_or_else(|| SqlError::internal("the password could not be hashed"))?.to_string())
            }
        };
        change_credential(txn, role.oid, |credential| {
            credential.password = stored;
            credential.generation += 1;
            Ok(())
        })
        .await
    }

    /// Runs one change; the rows that it returns.
    pub(crate) async fn change_factor(&self, txn: &mut Txn, role: &Role, change: &FactorChange) -> Result<Vec<String>> {
        match change {
            FactorChange::EnableOtp => self.enable_otp(txn, role).await,
            FactorChange::ConfirmOtp(code) => self.confirm_otp(txn, role, &code.0).await,
            FactorChange::RecoveryCodes => self.renew_recovery_codes(txn, role).await,
            FactorChange::DisableOtp => {
                change_credential(txn, role.oid, |credential| {
                    (credential.otp, credential.recovery) = (None, Vec::new());
                    credential.generation += 1;
                    Ok(())
                })
                .await?;
                Ok(Vec::new())
            }
            FactorChange::RequireOtp(required) => {
                change_credential(txn, role.oid, |credential| {
                    if *required && !credential.otp.as_ref().is_some_and(|otp| otp.confirmed) {
                        return Err(not_enrolled(role));
                    }
                    credential.require_otp = *required;
                    credential.generation += 1;
                    Ok(())
                })
                .await?;
                Ok(Vec::new())
            }
            FactorChange::AddKey(text) => self.add_key(txn, role, text).await.map(|()| Vec::new()),
            FactorChange::DropKey(text) => {
                let pin = parse_pin(text)?;
                change_credential(txn, role.oid, |credential| {
                    let before = credential.keys.len();
                    credential.keys.retain(|key| key.pin != pin);
                    if credential.keys.len() == before {
                        let message = format!("role \"{}\" has no key {pin}", role.name);
                        return Err(SqlError::new(SqlState::UNDEFINED_OBJECT, message));
                    }
                    credential.generation += 1;
                    Ok(())
                })
                .await?;
                Ok(Vec::new())
            }
        }
    }

    async fn enable_otp(&self, txn: &mut Txn, role: &Role) -> Result<Vec<String>> {
        let security = &self.options.security;
        let runtime = &*self.client.runtime;
        let secret: [u8; otp::SECRET_BYTES] = random(runtime);
        let sealed = security.key()?.seal("otp", role.oid, random(runtime), &secret);
        change_credential(txn, role.oid, |credential| {
            if credential.otp.as_ref().is_some_and(|otp| otp.confirmed) {
                let message = format!("role \"{}\" has a one-time password already", role.name);
                return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                    .hint("Use ALTER ROLE … DISABLE OTP first."));
            }
            credential.otp = Some(Otp { sealed, confirmed: false, last_step: None });
            Ok(())
        })
        .await?;
        let uri = otp::uri(&secret, &security.issuer, &role.name);
        Ok(vec![uri.ok_or_else(|| SqlError::internal("no URI for this role"))?])
    }

    async fn confirm_otp(&self, txn: &mut Txn, role: &Role, code: &str) -> Result<Vec<String>> {
        let runtime = &*self.client.runtime;
        let key = self.options.security.key()?;
        let unix_seconds = (runtime.wall_micros() / 1_000_000).max(0) as u64;
        let codes = otp::recovery_codes(&random(runtime));
        change_credential(txn, role.oid, |credential| {
            let Some(pending) = credential.otp.as_mut().filter(|otp| !otp.confirmed) else {
                let message = format!("role \"{}\" has no one-time password to confirm", role.name);
                return Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            };
            let secret = key.open("otp", role.oid, &pending.sealed);
            let secret = secret.ok_or_else(|| SqlError::internal("the secret was sealed by another key"))?;
            let step = otp::matching_step(&secret, code, unix_seconds);
            let Some(step) = step else { return Err(SqlError::new(INVALID, "the code is not right")) };
            (pending.confirmed, pending.last_step) = (true, Some(step));
            credential.recovery = codes.iter().map(|code| Some(otp::recovery_hash(code))).collect();
            credential.generation += 1;
            Ok(())
        })
        .await?;
        Ok(codes)
    }

    async fn renew_recovery_codes(&self, txn: &mut Txn, role: &Role) -> Result<Vec<String>> {
        let codes = otp::recovery_codes(&random(&*self.client.runtime));
        change_credential(txn, role.oid, |credential| {
            if !credential.otp.as_ref().is_some_and(|otp| otp.confirmed) {
                return Err(not_enrolled(role));
            }
            credential.recovery = codes.iter().map(|code| Some(otp::recovery_hash(code))).collect();
            Ok(())
        })
        .await?;
        Ok(codes)
    }

    async fn add_key(&self, txn: &mut Txn, role: &Role, text: &str) -> Result<()> {
        let pin = parse_pin(text)?;
        let added_micros = self.client.runtime.wall_micros();
        change_credential(txn, role.oid, |credential| {
            if credential.keys.iter().any(|key| key.pin == pin) {
                let message = format!("role \"{}\" has this key already", role.name);
                return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
            }
            credential.keys.push(Key { pin, added_micros });
            credential.generation += 1;
            Ok(())
        })
        .await
    }

    /// The role is gone, and all it could sign in by.
    pub(crate) async fn forget_factors(&self, txn: &mut Txn, role: &Role) -> Result<()> {
        let key = record::credential_key(role.oid);
        if txn.get(std::slice::from_ref(&key)).await?.iter().any(Option::is_some) {
            txn.delete(key, false)?;
        }
        for (id, ticket) in record::all_tickets(txn).await? {
            if ticket.role == role.oid {
                txn.delete(record::ticket_key(&id), false)?;
            }
        }
        Ok(())
    }
}

fn not_enrolled(role: &Role) -> SqlError {
    let message = format!("role \"{}\" has no one-time password", role.name);
    SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Use ALTER ROLE … ENABLE OTP and CONFIRM OTP first.")
}

fn parse_pin(text: &str) -> Result<Pin> {
    Pin::parse(text).ok_or_else(|| {
        SqlError::new(INVALID, "not a key")
            .hint("Give a certificate or a public key in PEM, or SHA256:… of the public key.")
    })
}
