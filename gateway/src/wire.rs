//! One connection's bytes: framing of what comes in under limits, buffering of what goes out.
//!
//! Framing is ours and not pgwire's because it faces bytes from outside: lengths are checked before anything is allocated,
//! a message above the limit is skipped rather than stored, and messages that have arrived can be looked at ahead of time.
//! What goes out uses pgwire's message types.

use std::time::Duration;

use auth::keys::Pin;
use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{error::End, tls::Identity};

/// The protocol's own limit of a message; a greater length (or a negative one) cannot be a message at all.
const PROTOCOL_MESSAGE_BYTES_MAX: usize = 0x3fff_ffff;
/// Start-up packets are small (PostgreSQL's MAX_STARTUP_PACKET_LENGTH).
const STARTUP_BYTES_MAX: usize = 10_000;
/// Output is sent when it has grown to this, though nobody asked for a flush yet.
const OUTPUT_BYTES_HIGH: usize = 64 << 10;
/// While a statement runs, at most this much further input is taken from the socket.
const READ_AHEAD_BYTES_MAX: usize = 256 << 10;
/// Buffers that grew above this are given back after use.
const BUFFER_BYTES_KEPT: usize = 1 << 20;
/// How long the last words to a client may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// A byte stream to a client: TCP, TLS over it, or a pipe in tests.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Message {
        tag: u8,
        body: Bytes,
    },
    /// A message above the limit. Its body is skipped; `length` is what it announced.
    TooLarge {
        tag: u8,
        length: usize,
    },
}

pub(crate) struct Wire {
    io: Box<dyn Io>,
    input: BytesMut,
    output: BytesMut,
    message_bytes_max: usize,
    /// Counts the times that output was sent.
    sent: u64,
    /// Bytes of an oversized message that are still to be thrown away.
    skip_bytes: usize,
    /// The client has closed its end, or the connection broke.
    closed: bool,
    encrypted: bool,
    /// Of the certificate that the client has shown.
    pin: Option<Pin>,
}

/// See [`Wire::mark`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    sent: u64,
    length: usize,
}

impl Wire {
    pub(crate) fn new(io: Box<dyn Io>, message_bytes_max: usize) -> Wire {
        Wire {
            io,
            input: BytesMut::with_capacity(8 << 10),
            output: BytesMut::with_capacity(8 << 10),
            message_bytes_max: message_bytes_max.min(PROTOCOL_MESSAGE_BYTES_MAX),
            sent: 0,
            skip_bytes: 0,
            closed: false,
            encrypted: false,
            pin: None,
        }
    }

    /// Wraps the stream in TLS. Refused when the client has sent more than it should have: those bytes came in clear and must
    /// not be taken for encrypted ones.
    pub(crate) async fn encrypt(&mut self, identity: &Identity) -> Result<(), End> {
        if !self.input.is_empty() {
            return Err(End::violation("received unencrypted data after SSL request"));
        }
        let plain = std::mem::replace(&mut self.io, Box::new(tokio::io::empty()));
        match TlsAcceptor::from(identity.config.clone()).accept(plain).into_fallible().await {
            Ok(stream) => {
                let certificates = stream.get_ref().1.peer_certificates();
                self.pin = certificates.and_then(|shown| shown.first()).and_then(|first| Pin::of_certificate(first));
                self.encrypted = true;
                self.io = Box::new(stream);
            }
            Err((error, plain)) => {
                tracing::debug!(%error, "TLS handshake failed");
                self.io = plain;
                // The client may not have read the alert yet.
                self.finish().await;
                self.closed = true;
                return Err(End::Closed);
            }
        }
        Ok(())
    }

    pub(crate) fn set_message_bytes_max(&mut self, bytes: usize) {
        self.message_bytes_max = bytes;
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    pub(crate) fn pin(&self) -> Option<Pin> {
        self.pin
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    // ---- input ----

    /// The next message that has arrived completely, if there is one.
    pub(crate) fn try_next(&mut self) -> Result<Option<Incoming>, End> {
        if !self.skip() {
            return Ok(None);
        }
        let Some((tag, length)) = header(&self.input)? else { return Ok(None) };
        if length > self.message_bytes_max {
            self.input.advance(5);
            self.skip_bytes = length - 4;
            self.skip();
            return Ok(Some(Incoming::TooLarge { tag, length }));
        }
        if self.input.len() < 1 + length {
            return Ok(None);
        }
        self.input.advance(5);
        let body = self.input.split_to(length - 4).freeze();
        if body.len() > BUFFER_BYTES_KEPT {
            // Let go of the big allocation with the message.
            self.input = BytesMut::from(&self.input[..]);
        }
        Ok(Some(Incoming::Message { tag, body }))
    }

    /// Waits for the next message. May be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            if let Some(incoming) = self.try_next()? {
                return Ok(incoming);
            }
            if self.closed {
                return Err(End::Closed);
            }
            self.fill().await;
        }
    }

    /// Waits for a packet without a type byte, as they come before a session.
    pub(crate) async fn next_startup(&mut self) -> Result<Bytes, End> {
        loop {
            if let Some(prefix) = self.input.first_chunk::<4>() {
                let length = u32::from_be_bytes(*prefix) as usize;
                if !(8..=STARTUP_BYTES_MAX).contains(&length) {
                    return Err(End::violation("invalid length of startup packet"));
                }
                if self.input.len() >= length {
                    self.input.advance(4);
                    return Ok(self.input.split_to(length - 4).freeze());
                }
            }
            if self.closed {
                return Err(End::Closed);
            }
            self.fill().await;
        }
    }

    /// The types of the messages that have arrived completely, in order.
    pub(crate) fn arrived(&self) -> impl Iterator<Item = u8> {
        let mut rest = if self.skip_bytes == 0 { &self.input[..] } else { &[] };
        std::iter::from_fn(move || {
            let (tag, length) = header(rest).ok()??;
            rest = rest.get(1 + length..)?;
            Some(tag)
        })
    }

    /// Reads what comes, once. At the end of the stream the wire is closed. May be dropped while it waits.
    pub(crate) async fn fill(&mut self) {
        self.input.reserve(4 << 10);
        match self.io.read_buf(&mut self.input).await {
            Ok(0) => self.closed = true,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "connection broke");
                self.closed = true;
            }
        }
    }

    /// Whether more input may be taken while a statement runs.
    pub(crate) fn may_read_ahead(&self) -> bool {
        !self.closed && self.input.len() < READ_AHEAD_BYTES_MAX
    }

    /// Throws away what is left of an oversized message; true when that is done.
    fn skip(&mut self) -> bool {
        let count = self.skip_bytes.min(self.input.len());
        self.input.advance(count);
        self.skip_bytes -= count;
        self.skip_bytes == 0
    }

    // ---- output ----

    /// Appends a message to the output.
    pub(crate) fn put(&mut self, message: &impl Message) -> Result<(), End> {
        let start = self.output.len();
        message.encode(&mut self.output).map_err(|error| {
            self.output.truncate(start);
            End::internal(format!("message could not be encoded: {error}"))
        })
    }

    /// The output buffer itself, for rows.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Where the output stands, to take back what comes after.
    pub(crate) fn mark(&self) -> Mark {
        Mark { sent: self.sent, length: self.output.len() }
    }

    /// Takes back the output since the mark, of which nothing has been sent.
    pub(crate) fn take_back(&mut self, mark: Mark) {
        assert!(self.is_all_here(mark), "output that was sent cannot be taken back");
        self.output.truncate(mark.length);
    }

    /// Whether nothing since the mark has been sent.
    pub(crate) fn is_all_here(&self, mark: Mark) -> bool {
        self.sent == mark.sent && self.output.len() >= mark.length
    }

    /// Sends the output when there is much of it: this is where a slow client holds back a fast query.
    pub(crate) async fn flush_if_large(&mut self) -> Result<(), End> {
        if self.output.len() >= OUTPUT_BYTES_HIGH { self.flush().await } else { Ok(()) }
    }

    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        self.sent += u64::from(!self.output.is_empty());
        let sent = async {
            self.io.write_all_buf(&mut self.output).await?;
            self.io.flush().await
        };
        if let Err(error) = sent.await {
            tracing::debug!(%error, "connection broke");
            self.closed = true;
            return Err(End::Closed);
        }
        if self.output.capacity() > BUFFER_BYTES_KEPT {
            self.output = BytesMut::with_capacity(8 << 10);
        }
        Ok(())
    }

    /// Sends what is left and closes, within a bounded time. A client that is still sending is listened to for a moment:
    /// closing at once would reset the connection, and the last message could be lost with it.
    pub(crate) async fn finish(&mut self) {
        let polite = async {
            self.flush().await?;
            // The client may be gone already; there is nothing to do about it.
            let _ = self.io.shutdown().await;
            while !self.closed {
                self.input.clear();
                self.fill().await;
            }
            Ok::<(), End>(())
        };
        let _ = timeout(FINISH_TIMEOUT, polite).await;
    }
}

/// Type and length (of itself and the body) of the message at the front.
fn header(input: &[u8]) -> Result<Option<(u8, usize)>, End> {
    let Some([tag, length @ ..]) = input.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if !(4..=PROTOCOL_MESSAGE_BYTES_MAX).contains(&length) {
        return Err(End::violation("invalid message length"));
    }
    Ok(Some((*tag, length)))
}

#[cfg(test)]
#[path = "wire_test.rs"]
mod tests;
