//! What signing in needs of the catalog: factors of roles, tickets, failures, rules, and the audit log. Ordinary keys of the
//! transactional store beside the catalog's own; nothing of it is cached, so that what was used or revoked on one gateway is
//! so on all of them.
//!
//! | index | key | value |
//! |---|---|---|
//! | 6 | OID of a role | [`Credential`] |
//! | 7 | id of a ticket | [`auth::ticket::Ticket`] |
//! | 8 | address and role, address, or role | [`auth::throttle::Count`] |
//! | 9 | 0 | the rules, as text |
//! | 10 | number | [`auth::audit::Record`] and its hash |
//! | 11 | 0 | the number and the hash of the newest audit row |
//!
//! Reading order: `record` (what is stored), `audit`, `sign_in` (the two transactions of a sign-in), `factors` (what ALTER ROLE
//! does to them), `tickets`.

pub mod audit;
pub mod factors;
mod record;
pub mod sign_in;
pub mod tickets;

use std::{sync::Arc, time::Duration};

use auth::seal::ClusterKey;
use base::{BoxFuture, Runtime};
use txn::TxnClient;

/// Attempts of a transaction of sign-in when others are in its way.
const ATTEMPTS_MAX: u32 = 20;

pub use record::{Credential, Key, Otp};
pub(crate) use record::{all_tickets, credential};

use crate::error::{Result, SqlError, SqlState};

/// A computation that takes tens of milliseconds.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs costly computations where they hold up nobody, a bounded number at once.
pub trait Jobs: Send + Sync {
    /// False when there is no room for it within a reasonable time; then it was not run.
    fn run(&self, job: Job) -> BoxFuture<'_, bool>;
}

/// Runs them at once: for tests and the simulator, where time does not pass meanwhile.
pub struct InlineJobs;

impl Jobs for InlineJobs {
    fn run(&self, job: Job) -> BoxFuture<'_, bool> {
        job();
        Box::pin(async { true })
    }
}

/// A certificate among the cluster's processes, as `locus.certificates` shows it.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub holder: String,
    /// Its file beside the gateway's own; `None`: it is on another machine.
    pub file: Option<String>,
    /// Seconds since 1970, as is `until`.
    pub from: i64,
    pub until: i64,
    /// `valid`, `ends soon`, `ended`, `to be replaced`, `revoked`.
    pub state: &'static str,
    /// SHA-256, in hexadecimal digits.
    pub fingerprint: String,
}

/// Lists the certificates that this gateway knows of, or says why it cannot.
pub type Certificates = dyn Fn() -> std::result::Result<Vec<Certificate>, String> + Send + Sync;

/// What the machine gives for security.
#[derive(Clone)]
pub struct Security {
    /// Seals secrets at rest. Without it one-time passwords cannot be enrolled or checked.
    pub cluster_key: Option<ClusterKey>,
    pub jobs: Arc<dyn Jobs>,
    /// Loopback is trusted, as long as nobody has set rules (`--insecure`).
    pub insecure: bool,
    /// The cluster's name, as authenticators show it.
    pub issuer: String,
    /// Without it there are none.
    pub certificates: Option<Arc<Certificates>>,
}

impl Default for Security {
    fn default() -> Security {
        Security {
            cluster_key: None,
            jobs: Arc::new(InlineJobs),
            insecure: true,
            issuer: "Locus".to_owned(),
            certificates: None,
        }
    }
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Security")
            .field("insecure", &self.insecure)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl Security {
    /// Runs a costly computation; 53300 when too many are waiting.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let job = Box::new(move || {
            // Nobody listens when the client is gone.
            let _ = sender.send(work());
        });
        if self.jobs.run(job).await
            && let Ok(result) = receiver.await
        {
            return Ok(result);
        }
        let message = "too many passwords are being checked; try again";
        Err(SqlError::new(SqlState::TOO_MANY_CONNECTIONS, message))
    }

    pub fn key(&self) -> Result<&ClusterKey> {
        self.cluster_key.as_ref().ok_or_else(|| {
            let message = "this gateway has no cluster key";
            SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Start it with --secrets, the same on all gateways.")
        })
    }
}

/// Before another attempt.
async fn pause(client: &TxnClient, attempt: u32) {
    let jitter = client.runtime.random_u64() % 20;
    client.runtime.sleep(Duration::from_millis(jitter * u64::from(attempt))).await;
}

/// Random bytes; from the operating system in production.
pub fn random<const N: usize>(runtime: &dyn Runtime) -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&runtime.random_u64().to_le_bytes()[..chunk.len()]);
    }
    bytes
}
