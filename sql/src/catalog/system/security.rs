//! Factors, tickets, rules, certificates and the audit log as views of `locus`. Secrets are in none of them.

use auth::privilege;
use txn::Txn;

use super::{Output, SystemViews, array, flag, int8, text};
use crate::{
    error::{Result, SqlError, SqlState},
    expr::EvalContext,
    security::{all_tickets, audit, credential},
    session::POSTGRES_EPOCH_MICROS,
    types::{DataType, Value},
};

fn millis(unix_millis: u64) -> Value {
    Value::TimestampTz(unix_millis as i64 * 1000 - POSTGRES_EPOCH_MICROS)
}

fn hex(bytes: &[u8]) -> Value {
    text(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

impl SystemViews {
    /// Whether the session may see what concerns this role: its own, or everything as a superuser.
    fn may_see(&self, role: u32, eval: &EvalContext) -> bool {
        let roles = &self.catalog.snapshot.roles;
        let acting = roles.oid(&eval.session.user);
        role == acting || privilege::is_superuser(roles.facts(), acting)
    }

    /// Which factors each role has.
    pub(super) async fn locus_factors(&self, output: &mut Output<'_>, txn: &mut Txn, eval: &EvalContext) -> Result<()> {
        for role in self.catalog.snapshot.roles.iter().filter(|role| self.may_see(role.oid, eval)) {
            let found = credential(txn, role.oid).await?;
            let otp = match &found.otp {
                None => "none",
                Some(otp) if otp.confirmed => "enabled",
                Some(_) => "pending",
            };
            let password = found.password.as_ref().map(|stored| match stored.starts_with("SCRAM") {
                true => "scram-sha-256",
                false => "argon2id",
            });
            let keys = found.keys.iter().map(|key| text(key.pin.to_string())).collect();
            output.row([
                ("role", text(role.name.as_str())),
                ("password", password.map_or(Value::Null, text)),
                ("otp", text(otp)),
                ("otp_required", flag(found.require_otp)),
                ("recovery_codes", int8(found.recovery.iter().flatten().count() as i64)),
                ("keys", array(DataType::TEXT, keys)),
            ]);
        }
        Ok(())
    }

    pub(super) async fn locus_tickets(&self, output: &mut Output<'_>, txn: &mut Txn, eval: &EvalContext) -> Result<()> {
        let now = (self.database.client.runtime.wall_micros() / 1000).max(0) as u64;
        for (id, ticket) in all_tickets(txn).await? {
            if !self.may_see(ticket.role, eval) {
                continue;
            }
            let generation = credential(txn, ticket.role).await?.generation;
            output.row([
                ("ticket", text(id)),
                ("role", text(self.catalog.snapshot.roles.name(ticket.role))),
                ("factors", text(ticket.factors.as_str())),
                ("note", text(ticket.note.as_str())),
                ("created_at", millis(ticket.created_millis)),
                ("used_at", millis(ticket.used_millis)),
                ("expires_at", millis(ticket.expires_millis())),
                ("is_alive", flag(ticket.is_alive(now, generation))),
            ]);
        }
        Ok(())
    }

    pub(super) async fn locus_hba(&self, output: &mut Output<'_>, txn: &mut Txn) -> Result<()> {
        for (position, rule) in self.database.rules(txn).await?.0.iter().enumerate() {
            let shown = rule.to_string();
            let mut words = shown.split(' ');
            let mut row = vec![("rule", int8(position as i64 + 1))];
            for name in ["type", "database", "role", "address", "method"] {
                row.push((name, words.next().map_or(Value::Null, text)));
            }
            output.row(row);
        }
        Ok(())
    }

    /// Of the processes of the cluster, as far as this gateway's directory of secrets tells.
    pub(super) fn locus_certificates(&self, output: &mut Output<'_>) -> Result<()> {
        let Some(list) = &self.database.security().certificates else { return Ok(()) };
        let seconds = |unix: i64| millis(unix.max(0) as u64 * 1000);
        for certificate in list().map_err(|error| SqlError::new(SqlState::SYSTEM_ERROR, error))? {
            output.row([
                ("holder", text(certificate.holder)),
                ("file", certificate.file.map_or(Value::Null, text)),
                ("valid_from", seconds(certificate.from)),
                ("valid_until", seconds(certificate.until)),
                ("state", text(certificate.state)),
                ("sha256", text(certificate.fingerprint)),
            ]);
        }
        Ok(())
    }

    pub(super) async fn locus_audit(&self, output: &mut Output<'_>, txn: &mut Txn) -> Result<()> {
        for row in audit::rows(txn).await? {
            let record = &row.record;
            output.row([
                ("number", int8(row.number as i64)),
                ("at", Value::TimestampTz(record.unix_micros - POSTGRES_EPOCH_MICROS)),
                ("event", text(record.event.as_str())),
                ("role", text(record.role.as_str())),
                ("address", text(record.address.as_str())),
                ("object", text(record.object.as_str())),
                ("succeeded", flag(record.succeeded)),
                ("detail", text(record.detail.as_str())),
                ("hash", hex(&row.hash)),
            ]);
        }
        Ok(())
    }

    pub(super) async fn verify_audit(&self, output: &mut Output<'_>, txn: &mut Txn) -> Result<()> {
        let verdict = audit::verify(txn).await?;
        output.row([
            ("rows", int8(verdict.rows as i64)),
            ("is_whole", flag(verdict.broken_at.is_none())),
            ("broken_at", verdict.broken_at.map_or(Value::Null, |number| int8(number as i64))),
            ("newest_hash", hex(&verdict.newest)),
        ]);
        Ok(())
    }
}
