//! WebSocket frames (RFC 6455) of a page that our origin vouches for, and what the relay carries in them to the gateway.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use base::Rng;

use super::{PASSWORD, SSL_REQUEST, besiege, damaged, guarded, noise, part, proper, reach, stands};
use crate::{
    common::{PATIENCE, message, one, query, startup},
    sign_in::make_ticket,
    web,
};

const LAST: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// The greatest message that the relay takes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_can_send_what_they_like() {
    let (secure, owner) = guarded().await;
    let page = web::sign_in(&secure.server, "plain", PASSWORD).await;
    let (ticket, secret) = make_ticket(&page).await;
    let addr = secure.server.page_addr();
    besiege("WebSocket frames", move |rng| attempt(addr, rng)).await;
    assert_eq!(one(&page, "SELECT session_user").await, "plain", "the page of before");
    // So many wrong passwords from this address have made the right ones wait; a ticket need not.
    let page = web::sign_in(&secure.server, &ticket, &secret).await;
    assert_eq!(one(&page, "SELECT session_user").await, "plain", "a new page");
    stands(&secure, &owner).await;
}

/// One WebSocket, or what looks like a request for one.
fn attempt(addr: SocketAddr, rng: &mut Rng) {
    let mut stream = reach(addr);
    let said = match upgrade(&mut stream, addr, rng) {
        Ok(true) => (0..rng.between(1, 6)).try_for_each(|_| {
            let bytes = frames(rng);
            say(&mut stream, &bytes, rng)
        }),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    part(stream, said);
}

/// Asks for a WebSocket; whether there is one. One request in ten is damaged.
fn upgrade(stream: &mut TcpStream, addr: SocketAddr, rng: &mut Rng) -> io::Result<bool> {
    let head = format!(
        "GET /pg HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    if rng.chance(1, 10) {
        stream.write_all(&damaged(rng, head.into_bytes()))?;
        return Ok(false);
    }
    stream.write_all(head.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    Ok(true)
}

/// In one piece or in several, so that frames arrive in parts; now and then listens to what comes back.
fn say(stream: &mut TcpStream, bytes: &[u8], rng: &mut Rng) -> io::Result<()> {
    let at = if rng.chance(1, 3) { rng.below(bytes.len() as u64 + 1) as usize } else { 0 };
    for part in [&bytes[..at], &bytes[at..]] {
        stream.write_all(part)?;
        if rng.chance(1, 4) {
            stream.set_read_timeout(Some(Duration::from_millis(10)))?;
            // Whatever it says.
            let _ = stream.read(&mut [0; 512]);
            stream.set_read_timeout(Some(PATIENCE))?;
        }
    }
    Ok(())
}

/// One or more frames, right or wrong.
fn frames(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 | 1 => {
            let content = postgres(rng);
            frame(rng, LAST | BINARY, &content)
        }
        2 => fragments(rng),
        3 => {
            let (content, first) = (postgres(rng), LAST | BINARY);
            let whole = frame(rng, first, &content);
            damaged(rng, whole)
        }
        4 => {
            // Not masked, as only a server may send.
            let content = noise(rng, 100);
            [&[LAST | BINARY, content.len() as u8][..], &content].concat()
        }
        // Reserved bits and kinds of frames.
        5 => {
            let (first, content) = (rng.next_u64() as u8, noise(rng, 200));
            frame(rng, first, &content)
        }
        // Control frames, which must be short and whole.
        6 => {
            let first = rng.between(u64::from(CLOSE), 15) as u8 | if rng.chance(1, 2) { LAST } else { 0 };
            let content = noise(rng, 300);
            frame(rng, first, &content)
        }
        7 => {
            // A code, or half of one, and a reason that may be no text.
            let content = noise(rng, 12);
            frame(rng, LAST | CLOSE, &content)
        }
        8 => {
            // Announced, but it does not come.
            let length = rng.next_u64() >> rng.below(64);
            let mut bytes = vec![LAST | BINARY, 0x80 | 127];
            bytes.extend(length.to_be_bytes());
            bytes.extend(noise(rng, 40));
            bytes
        }
        9 => {
            let content = noise(rng, 100);
            frame(rng, LAST | TEXT, &content)
        }
        10 if rng.chance(1, 8) => {
            let length = MESSAGE_BYTES_MAX + rng.below(3) as usize - 1;
            frame(rng, LAST | BINARY, &vec![0; length])
        }
        _ => noise(rng, 300),
    }
}

/// A message in pieces, with what may come between them and what may not; or pieces of nothing.
fn fragments(rng: &mut Rng) -> Vec<u8> {
    let content = if rng.chance(1, 20) { vec![b'p'; MESSAGE_BYTES_MAX + 1] } else { postgres(rng) };
    let size = content.len() / rng.between(2, 6) as usize + 1;
    let mut bytes = Vec::new();
    for (number, piece) in content.chunks(size).enumerate() {
        let kind = if number == 0 && !rng.chance(1, 8) { BINARY } else { CONTINUATION };
        let last = if (number + 1) * size >= content.len() || rng.chance(1, 8) { LAST } else { 0 };
        bytes.extend(frame(rng, last | kind, piece));
        match rng.below(8) {
            0 => bytes.extend(frame(rng, LAST | PING, b"there?")),
            1 => bytes.extend(frame(rng, LAST | BINARY, b"a message within a message")),
            _ => {}
        }
    }
    bytes
}

/// A frame as a client writes it: masked, its length in as few bytes as possible.
fn frame(rng: &mut Rng, first: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match content.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let mask = (rng.next_u64() as u32).to_be_bytes();
    bytes.extend(mask);
    bytes.extend(content.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What goes through to the gateway: start-up packets, passwords, statements, right, damaged or invented.
fn postgres(rng: &mut Rng) -> Vec<u8> {
    match rng.below(7) {
        0 | 1 => proper(rng),
        2 => {
            let whole = proper(rng);
            damaged(rng, whole)
        }
        3 => message(b'p', b"not the password\0"),
        4 => startup(SSL_REQUEST, b""),
        5 => [proper(rng), message(b'p', b"not the password\0"), query("SELECT 1")].concat(),
        _ => noise(rng, 1000),
    }
}
