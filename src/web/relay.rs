//! One session of the page: bytes between a WebSocket and the gateway's TCP port. What they mean is none of our business.
//!
//! Buffers are bounded on both sides: whoever does not read makes the other one wait.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::upstream::{Stream, Upstream};
use crate::process::StopSignal;

/// Greatest message of a page. Its side cuts longer statements into several.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Most that is read from the gateway before it is sent on.
const CHUNK_BYTES: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a page may take until it says something; after that the gateway has deadlines of its own.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// A page that is alive answers pings, which browsers do by themselves.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const SILENCE_MAX: Duration = Duration::from_secs(95);
/// How long one message may take to be sent to a page that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// Relays until either side ends, the page falls silent, or this process stops.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(io: S, gateway: &Upstream, mut stop: StopSignal) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .write_buffer_size(0)
        .max_write_buffer_size(2 * CHUNK_BYTES);
    let mut page = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let connected = timeout(CONNECT_TIMEOUT, gateway.connect()).await;
    let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(gateway = gateway.address, %error, "the gateway cannot be reached");
            return close(&mut page, CloseCode::Again, "the gateway cannot be reached").await;
        }
    };
    let (from_gateway, to_gateway) = tokio::io::split(stream);
    let (to_page, from_page) = page.split();
    let end = tokio::select! {
        end = upstream(from_page, to_gateway) => end,
        end = downstream(from_gateway, to_page) => end,
        () = stop.raised() => End::Stopping,
    };
    tracing::debug!(?end, "a page's session ended");
}

#[derive(Debug)]
#[allow(dead_code)] // Read by its Debug form only.
enum End {
    Page,
    Gateway,
    Silent,
    Text,
    Stopping,
    WebSocket(Error),
    Io(std::io::Error),
}

/// From the page to the gateway. Pongs show that the page is alive; pings are answered by the library.
async fn upstream<S: AsyncRead + AsyncWrite + Unpin>(
    mut page: SplitStream<WebSocketStream<S>>,
    mut gateway: WriteHalf<Stream>,
) -> End {
    let mut deadline = Instant::now() + HELLO_TIMEOUT;
    loop {
        let message = tokio::select! {
            message = page.next() => message,
            () = sleep_until(deadline) => return End::Silent,
        };
        deadline = Instant::now() + SILENCE_MAX;
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                if let Err(error) = gateway.write_all(&bytes).await {
                    return End::Io(error);
                }
            }
            Some(Ok(Message::Close(_))) | None => return End::Page,
            Some(Ok(Message::Text(_))) => return End::Text,
            Some(Ok(_)) => {}
            Some(Err(error)) => return End::WebSocket(error),
        }
    }
}

/// From the gateway to the page, and pings in between.
async fn downstream<S: AsyncRead + AsyncWrite + Unpin>(
    mut gateway: ReadHalf<Stream>,
    mut page: SplitSink<WebSocketStream<S>, Message>,
) -> End {
    let mut ping_at = Instant::now() + PING_INTERVAL;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let message = tokio::select! {
            read = gateway.read(&mut buffer) => match read {
                Ok(0) => {
                    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    // The page may be gone as well.
                    let _ = timeout(SEND_TIMEOUT, page.send(Message::Close(Some(frame)))).await;
                    return End::Gateway;
                }
                Ok(length) => Message::Binary(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) => return End::Io(error),
            },
            () = sleep_until(ping_at) => {
                ping_at = Instant::now() + PING_INTERVAL;
                Message::Ping(Bytes::new())
            }
        };
        match timeout(SEND_TIMEOUT, page.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return End::WebSocket(error),
            Err(_) => return End::Silent,
        }
    }
}

async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    page: &mut WebSocketStream<S>,
    code: CloseCode,
    reason: &'static str,
) {
    // The page may be gone as well.
    let _ = timeout(SEND_TIMEOUT, page.close(Some(CloseFrame { code, reason: reason.into() }))).await;
    // Its answer to the close, so that the reason arrives before the connection is torn down.
    let _ = timeout(Duration::from_secs(1), page.next()).await;
}
