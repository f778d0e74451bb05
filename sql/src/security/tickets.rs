//! Tickets: made by a session that has proved itself otherwise, listed, taken back.

use auth::ticket::{ID_BYTES, SECRET_BYTES, Ticket};
use txn::Txn;

use super::{
    random,
    record::{self, all_failures, all_tickets, credential, put, ticket_key},
};
use crate::{
    catalog::Role,
    error::{Result, SqlError, SqlState},
    session::{ClientInfo, Database},
};

impl Database {
    /// Makes a ticket for the role: its name, its secret, and when it ends at the latest (milliseconds since 1970).
    pub(crate) async fn create_ticket(
        &self,
        txn: &mut Txn,
        role: &Role,
        client: &ClientInfo,
        note: &str,
    ) -> Result<(String, String, u64)> {
        if client.factors.contains(auth::Factors::TICKET) {
            let message = "a session that was begun by a ticket cannot make another one";
            return Err(SqlError::new(SqlState("42501"), message));
        }
        let runtime = &*self.client.runtime;
        let id: [u8; ID_BYTES] = random(runtime);
        let secret: [u8; SECRET_BYTES] = random(runtime);
        let (issued, hash) = Ticket::issue(id, secret);
        let now = (runtime.wall_micros() / 1000).max(0) as u64;
        let generation = credential(txn, role.oid).await?.generation;
        let ticket = Ticket {
            role: role.oid,
            hash,
            factors: client.factors.to_string(),
            created_millis: now,
            used_millis: now,
            generation,
            note: note.chars().take(64).collect(),
        };
        put(txn, ticket_key(&issued.name), &ticket)?;
        Ok((issued.name, issued.secret, ticket.expires_millis()))
    }

    /// Takes a ticket back, if it is `whose`; `None`: anybody's.
    pub(crate) async fn drop_ticket(&self, txn: &mut Txn, id: &str, whose: Option<u32>) -> Result<()> {
        match record::locked::<Ticket>(txn, ticket_key(id)).await? {
            Some(ticket) if whose.is_none_or(|role| role == ticket.role) => Ok(txn.delete(ticket_key(id), false)?),
            // Whether somebody else has it is nobody's business.
            _ => Err(SqlError::new(SqlState::UNDEFINED_OBJECT, format!("ticket \"{id}\" does not exist"))),
        }
    }

    /// Removes tickets that have ended and failures that are forgotten; each gateway does so now and then.
    pub(crate) async fn sweep_security(&self) -> Result<()> {
        let mut txn = self.client.begin();
        let now = (self.client.runtime.wall_micros() / 1000).max(0) as u64;
        for (id, ticket) in all_tickets(&mut txn).await? {
            if now >= ticket.expires_millis() {
                txn.delete(ticket_key(&id), false)?;
            }
        }
        for (key, count) in all_failures(&mut txn).await? {
            if count.is_forgotten(now) {
                txn.delete(key, false)?;
            }
        }
        if txn.is_read_only() {
            txn.rollback().await;
            return Ok(());
        }
        Ok(txn.commit().await.map(|_| ())?)
    }
}
