//! The web tier as a browser meets it: files, headers, and the relay of sessions.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio_postgres::NoTls;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::common::{PATIENCE, Server, drive, eventually, shared};

/// Status line, headers and body of one request.
fn request(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.page_addr()).expect("the web tier listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let host = server.page_addr();
    write!(stream, "{head}\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Opens a WebSocket as a page of this origin.
async fn websocket(
    server: &Server,
    origin: &str,
) -> Result<WebSocketStream<tokio::net::TcpStream>, tungstenite::Error> {
    let stream = tokio::net::TcpStream::connect(server.page_addr()).await.expect("the web tier listens");
    websocket_over(stream, server.page_addr(), origin).await
}

async fn websocket_over<S: Io>(
    stream: S,
    host: SocketAddr,
    origin: &str,
) -> Result<WebSocketStream<S>, tungstenite::Error> {
    let mut request = format!("ws://{host}/pg").into_client_request().expect("an address");
    request.headers_mut().insert("origin", origin.parse().expect("an origin"));
    tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
}

/// What a WebSocket goes over.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A WebSocket as a stream of bytes.
#[allow(clippy::disallowed_methods)]
fn bytes<S: Io>(mut socket: WebSocketStream<S>) -> DuplexStream {
    let (near, mut far) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        loop {
            tokio::select! {
                read = far.read(&mut buffer) => match read {
                    Ok(length) if length > 0 => {
                        if socket.send(Message::Binary(buffer[..length].to_vec().into())).await.is_err() {
                            return;
                        }
                    }
                    _ => return,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        if far.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return,
                },
            }
        }
    });
    near
}

async fn session(server: &Server) -> tokio_postgres::Client {
    sign_in(server, "locus", "").await
}

/// A session as our own page opens one.
pub async fn sign_in(server: &Server, user: &str, password: &str) -> tokio_postgres::Client {
    let stream = tokio::net::TcpStream::connect(server.page_addr()).await.expect("the web tier listens");
    sign_in_over(stream, server.page_addr(), "http", user, password).await
}

/// The same, over a connection to the web tier, which the page knows by this address.
pub async fn sign_in_over<S: Io>(
    stream: S,
    host: SocketAddr,
    scheme: &str,
    user: &str,
    password: &str,
) -> tokio_postgres::Client {
    let socket = websocket_over(stream, host, &format!("{scheme}://{host}")).await;
    let stream = bytes(socket.expect("our own page is let in"));
    let mut config = tokio_postgres::Config::new();
    config.user(user).password(password).dbname("locus");
    let (client, connection) = config.connect_raw(stream, NoTls).await.expect("a session");
    drive(connection);
    client
}

#[test]
fn the_page_comes_with_its_headers() {
    for path in ["/", "/ranges?table=orders"] {
        let answer = request(shared(), &format!("GET {path} HTTP/1.1"));
        let lower = answer.to_lowercase();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(lower.contains("content-type: text/html; charset=utf-8"), "{answer}");
        assert!(lower.contains("content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"));
        assert!(!lower.contains("unsafe-inline"));
    }
    assert!(request(shared(), "GET /assets/nothing.js HTTP/1.1").starts_with("HTTP/1.1 404 "));
    assert!(request(shared(), "POST / HTTP/1.1").starts_with("HTTP/1.1 405 "));
    assert!(request(shared(), "GET /pg HTTP/1.1").starts_with("HTTP/1.1 426 "));
}

#[tokio::test]
async fn a_session_over_the_relay() {
    let client = session(shared()).await;
    let rows = client.query("SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i", &[]).await.unwrap();
    assert_eq!(rows.len(), 5000);
    // More than one frame in the other direction.
    let long = "y".repeat(700_000);
    let length: i32 = client.query_one("SELECT length($1::text)", &[&long]).await.unwrap().get(0);
    assert_eq!(length, 700_000);
}

#[tokio::test]
async fn a_statement_is_cancelled_over_the_relay() {
    let client = session(shared()).await;
    let token = client.cancel_token();
    let sleep = client.batch_execute("SELECT pg_sleep(60)");
    let cancel = async {
        eventually("the statement runs", async || {
            let other = session(shared()).await;
            let running = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'";
            other.query_opt(running, &[]).await.ok().flatten()
        })
        .await;
        let origin = format!("http://{}", shared().page_addr());
        let stream = bytes(websocket(shared(), &origin).await.unwrap());
        token.cancel_query_raw(stream, NoTls).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleep, cancel);
    assert_eq!(slept.unwrap_err().code().unwrap().code(), "57014");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let port = shared().page_addr().port();
    for origin in ["http://evil.example", "http://127.0.0.1:1", "null", &format!("http://evil.example:{port}")] {
        match websocket(shared(), origin).await {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 403, "{origin}"),
            other => panic!("{origin}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn hostile_frames_end_the_session_only() {
    let origin = format!("http://{}", shared().page_addr());
    // A text, a message beyond the limit, bytes that are no frame.
    let mut socket = websocket(shared(), &origin).await.unwrap();
    socket.send(Message::Text("hello".into())).await.unwrap();
    assert!(ends(&mut socket).await);
    let mut socket = websocket(shared(), &origin).await.unwrap();
    // The other side may close before all is sent.
    let _ = socket.send(Message::Binary(vec![0; 3 << 20].into())).await;
    assert!(ends(&mut socket).await);
    let mut socket = websocket(shared(), &origin).await.unwrap();
    socket.get_mut().write_all(&[0xff; 64]).await.unwrap();
    assert!(ends(&mut socket).await);
    session(shared()).await.batch_execute("SELECT 1").await.unwrap();
}

async fn ends(socket: &mut WebSocketStream<tokio::net::TcpStream>) -> bool {
    let ended = async {
        loop {
            match socket.next().await {
                None | Some(Err(_) | Ok(Message::Close(_))) => return true,
                Some(Ok(_)) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap_or(false)
}
