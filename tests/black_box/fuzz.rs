//! Whatever strangers send before they have signed in: the server answers or hangs up, and goes on.

mod certificates;
mod frames;

use std::{
    env,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use base::Rng;
use tokio_postgres::Client;

use crate::{
    common::{PATIENCE, message, one, startup},
    sign_in::{PASSWORD, Secure, run},
};

/// Set to 300 for five minutes; the seconds of an ordinary test run otherwise.
const SECONDS: &str = "LOCUS_FUZZ_SECONDS";
const LANES: u64 = 4;
const SSL_REQUEST: u32 = 80877103;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_can_send_what_they_like() {
    let (secure, owner) = guarded().await;
    let addr = secure.server.addr;
    besiege("start-up packets and SASL messages", move |rng| attempt(addr, rng)).await;
    stands(&secure, &owner).await;
}

/// A server with a role for each kind of password, and a session of its owner.
async fn guarded() -> (Secure, Client) {
    let secure = Secure::start();
    let owner = secure.owner().await;
    run(&owner, &format!("CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")).await;
    run(&owner, "SET password_encryption = 'scram-sha-256'").await;
    run(&owner, &format!("CREATE ROLE scram LOGIN PASSWORD '{PASSWORD}'")).await;
    (secure, owner)
}

/// Makes attempts for as long as the test is to take, several at a time, each lane by a seed of its own.
async fn besiege(what: &str, attempt: impl Fn(&mut Rng) + Clone + Send + 'static) {
    let seconds = env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let lanes = (0..LANES).map(|lane| {
        let attempt = attempt.clone();
        tokio::task::spawn_blocking(move || {
            let end = now() + Duration::from_secs(seconds);
            let mut rng = Rng::new(lane);
            let mut count = 0;
            while now() < end {
                attempt(&mut rng);
                count += 1;
            }
            count
        })
    });
    let counts = futures::future::join_all(lanes.collect::<Vec<_>>()).await;
    let count: u64 = counts.into_iter().map(|count| count.expect("an attempt went as it should")).sum();
    println!("{what}: {count} attempts in {seconds} s");
}

/// The session of before and a new one both work, and what was refused is written down in order. (That nothing has panicked is
/// looked at where the server is dropped.)
async fn stands(secure: &Secure, owner: &Client) {
    assert_eq!(one(owner, "SELECT is_whole FROM locus.verify_audit()").await, "t");
    assert_eq!(one(&secure.owner().await, "SELECT 1").await, "1");
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

fn reach(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Waits until the server hangs up after everything was said, which must not take long. It may have done so in the middle of
/// what was `said`, which then came to an error; all that is asked for is that it listens until then.
fn part(mut stream: TcpStream, said: io::Result<()>) {
    let ended = stream.shutdown(Shutdown::Write).and_then(|()| stream.read_to_end(&mut Vec::new()).map(drop));
    let hangs = |error: io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    assert!(!said.is_err_and(hangs), "the server does not listen");
    assert!(!ended.is_err_and(hangs), "the server does not hang up");
}

/// One connection.
fn attempt(addr: SocketAddr, rng: &mut Rng) {
    let mut stream = reach(addr);
    let proper = proper(rng);
    let said = match rng.below(6) {
        0 => stream.write_all(&noise(rng, 200)),
        1 => stream.write_all(&startup(rng.next_u64() as u32, &noise(rng, 60))),
        2 => stream.write_all(&startup(3 << 16, &noise(rng, 2000))),
        3 => stream.write_all(&damaged(rng, proper)),
        4 => stream.write_all(&startup(SSL_REQUEST, b"")).and_then(|()| stream.write_all(&noise(rng, 300))),
        _ => converse(&mut stream, rng, &proper),
    };
    part(stream, said);
}

/// A start-up packet as it should be.
fn proper(rng: &mut Rng) -> Vec<u8> {
    let user = ["plain", "scram", "nobody", "tok_nothing"][rng.below(4) as usize];
    startup(3 << 16, format!("user\0{user}\0database\0locus\0\0").as_bytes())
}

/// A sign-in that goes wrong somewhere: damaged passwords, SASL messages, other messages.
fn converse(stream: &mut TcpStream, rng: &mut Rng, proper: &[u8]) -> std::io::Result<()> {
    stream.write_all(proper)?;
    let sasl = [
        &b"SCRAM-SHA-256\0\0\0\0\x20n,,n=,r=rOprNGfwEbeRWgbNEkqO1234"[..],
        &b"SCRAM-SHA-256\0\0\0\0\x08p=x,,n=,"[..],
        &b"SCRAM-SHA-256\0\xff\xff\xff\xff"[..],
    ];
    for _ in 0..rng.between(1, 4) {
        let body = match rng.below(4) {
            0 => {
                let whole = sasl[rng.below(3) as usize].to_vec();
                damaged(rng, whole)
            }
            1 => sasl[0].to_vec(),
            2 => b"c=biws,r=rOprNGfwEbeRWgbNEkqO1234,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_vec(),
            _ => noise(rng, 100),
        };
        let tag = if rng.below(8) == 0 { rng.next_u64() as u8 } else { b'p' };
        stream.write_all(&message(tag, &body))?;
        if rng.below(2) == 0 {
            // Whatever it says.
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            let _ = stream.read(&mut [0; 512]);
            stream.set_read_timeout(Some(PATIENCE))?;
        }
    }
    Ok(())
}

fn noise(rng: &mut Rng, most: u64) -> Vec<u8> {
    let text = rng.below(2) == 0;
    (0..rng.below(most))
        .map(|_| if text { b"a=,\0 -c\\"[rng.below(8) as usize] } else { rng.next_u64() as u8 })
        .collect()
}

/// Changes, cuts or repeats a few bytes.
fn damaged(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.between(1, 4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.below(bytes.len() as u64) as usize;
        match rng.below(4) {
            0 => bytes[at] = rng.next_u64() as u8,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, rng.next_u64() as u8),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}
