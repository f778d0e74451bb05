//! Carries the conversation of `auth` between the client and the catalog.

use std::{net::IpAddr, sync::Arc, time::Duration};

use auth::{Challenge, Input, Mechanism, Proof, Reason, Step};
use base::BoxFuture;
use bytes::Buf;
use pgwire::messages::startup::Authentication;
use sql::{
    Database,
    security::{
        Job, Jobs,
        sign_in::{Attempt, SignedIn},
    },
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    error::End,
    startup::Packet,
    wire::{Incoming, Wire},
};

/// How long a password may wait for its turn to be hashed.
const JOB_PATIENCE: Duration = Duration::from_secs(4);

/// Hashes passwords on threads of their own, so many at once that statements keep most of the machine.
pub struct HashingThreads {
    running: Arc<Semaphore>,
    /// Those that wait, too: a flood of sign-ins is refused and not queued.
    admitted: Semaphore,
}

impl HashingThreads {
    pub fn new() -> HashingThreads {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let running = (cores / 2).max(1);
        HashingThreads { running: Arc::new(Semaphore::new(running)), admitted: Semaphore::new(running * 64) }
    }
}

impl Default for HashingThreads {
    fn default() -> HashingThreads {
        HashingThreads::new()
    }
}

impl Jobs for HashingThreads {
    fn run(&self, job: Job) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let Ok(_admitted) = self.admitted.try_acquire() else { return false };
            let Ok(Ok(turn)) = timeout(JOB_PATIENCE, self.running.clone().acquire_owned()).await else { return false };
            let work = move || {
                job();
                // Held while it computes, even when nobody waits for the result any more.
                drop(turn);
            };
            tokio::task::spawn_blocking(work).await.is_ok()
        })
    }
}

/// Signs the client in, or says why not: in one text for every reason.
pub(crate) async fn sign_in(
    wire: &mut Wire,
    packet: &Packet,
    address: IpAddr,
    database: &Database,
    end_point: Option<&[u8]>,
) -> Result<SignedIn, End> {
    let attempt = Attempt {
        user: packet.user.clone(),
        database: packet.database.clone(),
        address,
        encrypted: wire.is_encrypted(),
        pin: wire.pin(),
        code: packet.code.clone(),
    };
    let dossier = database.look_up(&attempt).await.map_err(End::Fatal)?;
    let end_point = end_point.filter(|_| wire.is_encrypted()).map(<[u8]>::to_vec);
    let outcome = match dossier.mechanism(database, end_point) {
        Some(mechanism) => converse(wire, mechanism, database).await?,
        None => dossier.settled(),
    };
    let last_words = outcome.as_ref().ok().and_then(|proof| proof.last_words.clone());
    let signed_in = database.conclude(&attempt, &dossier, outcome).await.map_err(End::Fatal)?;
    if let Some(last_words) = last_words {
        wire.put(&Authentication::SASLFinal(last_words))?;
    }
    wire.put(&Authentication::Ok)?;
    Ok(signed_in)
}

/// Asks and passes on the answers until it is decided.
async fn converse(
    wire: &mut Wire,
    mut mechanism: Box<dyn Mechanism>,
    database: &Database,
) -> Result<Result<Proof, Reason>, End> {
    let mut step = mechanism.exchange(Input::Start);
    loop {
        let challenge = match step {
            Step::Success(proof) => return Ok(Ok(proof)),
            Step::Failure(reason) => return Ok(Err(reason)),
            Step::Continue(challenge) => challenge,
        };
        let asked = match &challenge {
            Challenge::Password => Authentication::CleartextPassword,
            Challenge::Sasl(names) => Authentication::SASL(names.iter().map(|name| (*name).to_owned()).collect()),
            Challenge::SaslContinue(data) => Authentication::SASLContinue(data.clone()),
        };
        wire.put(&asked)?;
        wire.flush().await?;
        let body = match wire.next().await? {
            Incoming::Message { tag: b'p', body } => body,
            Incoming::Message { tag: b'X', .. } => return Err(End::Terminated),
            _ => return Err(End::violation("expected a response to the authentication request")),
        };
        step = if mechanism.is_costly() {
            let work = move || {
                let step = mechanism.exchange(input(&challenge, &body).unwrap_or(Input::Sasl(b"")));
                (mechanism, step)
            };
            let (back, step) = database.security().compute(work).await.map_err(End::Fatal)?;
            mechanism = back;
            step
        } else {
            match input(&challenge, &body) {
                Some(input) => mechanism.exchange(input),
                None => Step::Failure(Reason::Malformed),
            }
        };
    }
}

/// What the message says in answer to the challenge; `None` when it is not one.
fn input<'a>(challenge: &Challenge, body: &'a [u8]) -> Option<Input<'a>> {
    match challenge {
        Challenge::Password => {
            let (0, password) = body.split_last().map(|(last, rest)| (*last, rest))? else { return None };
            (!password.contains(&0)).then_some(Input::Password(password))
        }
        Challenge::Sasl(_) => {
            let end = body.iter().position(|byte| *byte == 0)?;
            let mechanism = std::str::from_utf8(&body[..end]).ok()?;
            let mut rest = &body[end + 1..];
            let length = rest.try_get_i32().ok()?;
            let data = if length < 0 { &[][..] } else { rest };
            (length < 0 || length as usize == data.len()).then_some(Input::SaslFirst { mechanism, data })
        }
        Challenge::SaslContinue(_) => Some(Input::Sasl(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(challenge: &Challenge, body: &[u8]) -> String {
        format!("{:?}", input(challenge, body))
    }

    #[test]
    fn passwords_end_at_the_zero_byte() {
        assert_eq!(shown(&Challenge::Password, b"ab\0"), "Some(Password([97, 98]))");
        for body in [&b""[..], b"ab", b"a\0b\0"] {
            assert_eq!(shown(&Challenge::Password, body), "None", "{body:?}");
        }
    }

    #[test]
    fn sasl_messages_have_the_length_they_claim() {
        let sasl = Challenge::Sasl(Vec::new());
        assert_eq!(shown(&sasl, b"X\0\0\0\0\x02ab"), "Some(SaslFirst { mechanism: \"X\", data: [97, 98] })");
        assert_eq!(shown(&sasl, b"X\0\xff\xff\xff\xff"), "Some(SaslFirst { mechanism: \"X\", data: [] })");
        for body in [&b""[..], b"X", b"X\0", b"X\0\0\0\0\x03ab", b"X\0\0\0\0\x01ab", b"\xff\0\0\0\0\0"] {
            assert_eq!(shown(&sasl, body), "None", "{body:?}");
        }
    }

    #[tokio::test]
    async fn a_flood_of_passwords_is_refused_not_queued() {
        let threads = HashingThreads { running: Arc::new(Semaphore::new(1)), admitted: Semaphore::new(2) };
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let first = threads.run(Box::new(move || {
            let _ = blocked.recv();
        }));
        let second = threads.run(Box::new(|| {}));
        let third = async {
            // Both others have been admitted by now: they were polled before.
            let admitted = threads.run(Box::new(|| {})).await;
            release.send(()).ok();
            admitted
        };
        let (first, second, third) = tokio::join!(first, second, third);
        assert_eq!((first, second, third), (true, true, false));
    }
}
