//! Limits, deadlines and the end of the server.

use crate::common::{Raw, Server, connect, error_field, eventually, message, query, signal, state, sync};

#[test]
fn a_message_above_the_limit_is_refused_and_the_connection_goes_on() {
    let server = Server::start(&["--message-bytes-max", "10000"]);
    let mut raw = Raw::session(server.addr);
    raw.send(&query(&format!("SELECT '{}'", "x".repeat(1 << 20))));
    let messages = raw.until(b'Z');
    assert_eq!(error_field(&messages[0].1, b'C').as_deref(), Some("54000"));
    raw.send(&[message(b'P', &vec![b'x'; 100_000]), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "EZ");
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.tags_until(b'Z'), "TDCZ");
}

#[tokio::test]
async fn too_many_connections() {
    let server = Server::start(&["--connections-max", "2"]);
    let first = connect(&server.url).await;
    let _second = connect(&server.url).await;
    let refused = tokio_postgres::connect(&server.url, tokio_postgres::NoTls).await.err().expect("no third");
    assert_eq!(state(&refused), "53300");
    drop(first);
    eventually("a place is free again", async || {
        tokio_postgres::connect(&server.url, tokio_postgres::NoTls).await.ok().map(|_| ())
    })
    .await;
}

#[test]
fn half_open_connections_are_closed_after_a_while() {
    let server = Server::start(&[]);
    let mut silent = Raw::connect(server.addr);
    let mut half = Raw::connect(server.addr);
    half.send(b"\0\0\0\x20\0\x03");
    assert_eq!(silent.next(), None);
    assert_eq!(half.next(), None);
    let mut raw = Raw::session(server.addr);
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.tags_until(b'Z'), "TDCZ");
}

#[test]
fn at_shutdown_clients_are_told() {
    let server = Server::start(&[]);
    let mut idle = Raw::session(server.addr);
    signal(server.pid(), "TERM");
    assert_eq!(idle.fatal(), "57P01");
}
