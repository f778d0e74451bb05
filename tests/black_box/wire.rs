//! The protocol itself, byte by byte.

use std::io::Read;

use crate::common::{
    Raw, connect, error_field, eventually, execute, message, one, parse_bind, query, shared, startup, sync,
};

#[test]
fn encryption_is_declined_and_parameters_are_told() {
    let mut raw = Raw::connect(shared().addr);
    for code in [80877103, 80877104] {
        raw.send(&startup(code, b""));
        let mut answer = [0];
        raw.stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"N");
    }
    raw.send(&startup(3 << 16, b"user\0locus\0database\0locus\0application_name\0test\0\0"));
    let messages = raw.until(b'Z');
    let parameter = |name: &str| {
        let prefix = format!("{name}\0");
        let (_, body) = messages.iter().find(|(tag, body)| *tag == b'S' && body.starts_with(prefix.as_bytes()))?;
        Some(String::from_utf8_lossy(&body[prefix.len()..body.len() - 1]).into_owned())
    };
    assert!(parameter("server_version").unwrap().starts_with("15."));
    let expected = [
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("IntervalStyle", "postgres"),
        ("application_name", "test"),
        ("session_authorization", "locus"),
        ("in_hot_standby", "off"),
        ("default_transaction_read_only", "off"),
    ];
    for (name, value) in expected {
        assert_eq!(parameter(name).as_deref(), Some(value), "{name}");
    }
    assert!(parameter("TimeZone").is_some() && parameter("is_superuser").is_some());
    assert_eq!(messages.iter().filter(|(tag, _)| *tag == b'K').count(), 1);
    assert_eq!(messages.last(), Some(&(b'Z', b"I".to_vec())));
}

#[test]
fn a_changed_parameter_is_told_again() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("SET application_name = 'other'"));
    let messages = raw.until(b'Z');
    assert!(messages.contains(&(b'S', b"application_name\0other\0".to_vec())), "{messages:?}");
}

#[test]
fn a_newer_minor_version_is_negotiated() {
    let mut raw = Raw::connect(shared().addr);
    raw.send(&startup((3 << 16) | 2, b"user\0locus\0database\0locus\0\0"));
    let messages = raw.until(b'Z');
    assert_eq!(messages[0], (b'v', vec![0, 3, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn empty_and_multiple_statements() {
    let mut raw = Raw::session(shared().addr);
    for (text, tags) in
        [("", "IZ"), (" ; ", "IZ"), ("SELECT 1; SELECT 2", "TDCTDCZ"), ("SELECT 1; SELECT 1/0; SELECT 2", "TDCEZ")]
    {
        raw.send(&query(text));
        assert_eq!(raw.tags_until(b'Z'), tags, "{text:?}");
    }
    raw.send(&[message(b'P', b"\0\0\0\0"), message(b'B', b"\0\0\0\0\0\0\0\0"), execute(0), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "12IZ");
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let mut raw = Raw::session(shared().addr);
    let statement = |n: i32| [parse_bind(&format!("SELECT {n}")), message(b'D', b"P\0"), execute(0)].concat();
    raw.send(&[statement(1), statement(2), sync(), statement(3), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "12TDC12TDCZ");
    assert_eq!(raw.tags_until(b'Z'), "12TDCZ");
}

#[test]
fn after_an_error_everything_up_to_sync_is_skipped() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("CREATE TABLE skipped (id int PRIMARY KEY)"));
    raw.until(b'Z');
    let insert = |n: i32| [parse_bind(&format!("INSERT INTO skipped VALUES ({n})")), execute(0)].concat();
    let failing = [parse_bind("SELECT 1/0"), execute(0)].concat();
    raw.send(&[insert(1), failing, insert(2), query("SELECT 1"), sync(), insert(3), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "12C12EZ");
    assert_eq!(raw.tags_until(b'Z'), "12CZ");
    // The pipeline was one transaction.
    raw.send(&query("SELECT id FROM skipped"));
    let messages = raw.until(b'Z');
    assert_eq!(messages[1], (b'D', b"\0\x01\0\0\0\x013".to_vec()));
    assert_eq!(messages.len(), 4);
}

#[test]
fn flush_brings_answers_without_sync() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&[parse_bind("SELECT 1"), message(b'D', b"S\0"), message(b'H', b"")].concat());
    assert_eq!(raw.tags_until(b'T'), "12tT");
    raw.send(&[execute(0), message(b'H', b"")].concat());
    assert_eq!(raw.tags_until(b'C'), "DC");
    raw.send(&sync());
    assert_eq!(raw.tags_until(b'Z'), "Z");
}

#[test]
fn a_portal_is_suspended_and_goes_on() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("BEGIN"));
    raw.until(b'Z');
    let rows = "SELECT * FROM (VALUES (1), (2), (3)) AS v (n)";
    raw.send(&[parse_bind(rows), execute(2), execute(2), execute(2), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "12DDsDCCZ");
    raw.send(&[parse_bind(rows), execute(2), query("COMMIT")].concat());
    assert_eq!(raw.tags_until(b'Z'), "12DDsCZ");
    raw.send(&[execute(2), sync()].concat());
    let messages = raw.until(b'Z');
    assert_eq!(error_field(&messages[0].1, b'C').as_deref(), Some("34000"));
}

#[test]
fn names_of_statements() {
    let mut raw = Raw::session(shared().addr);
    let parse = message(b'P', b"s\0SELECT 7\0\0\0");
    raw.send(&[parse.clone(), parse, sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "1EZ");
    let bind = message(b'B', b"\0s\0\0\0\0\0\0\0");
    raw.send(&[bind.clone(), execute(0), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "2DCZ");
    raw.send(&[message(b'C', b"Ss\0"), bind, sync()].concat());
    let messages = raw.until(b'Z');
    assert_eq!(messages[0].0, b'3');
    assert_eq!(error_field(&messages[1].1, b'C').as_deref(), Some("26000"));
}

#[test]
fn results_in_binary_and_wrong_format_counts() {
    let mut raw = Raw::session(shared().addr);
    let parse = message(b'P', b"\0SELECT 258, 'x'\0\0\0");
    raw.send(&[parse.clone(), message(b'B', b"\0\0\0\0\0\0\0\x02\0\x01\0\0"), execute(0), sync()].concat());
    let messages = raw.until(b'Z');
    assert_eq!(messages[2], (b'D', b"\0\x02\0\0\0\x04\0\0\x01\x02\0\0\0\x01x".to_vec()));
    raw.send(&[parse.clone(), message(b'B', b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0"), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "1EZ");
    // A parameter too many.
    raw.send(&[parse, message(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"), sync()].concat());
    let messages = raw.until(b'Z');
    assert_eq!(error_field(&messages[1].1, b'C').as_deref(), Some("08P01"));
    assert_eq!(error_field(&messages[1].1, b'S').as_deref(), Some("ERROR"));
}

#[tokio::test]
async fn a_client_that_vanishes_takes_its_statement_with_it() {
    let holder = connect(&shared().url).await;
    holder
        .batch_execute("CREATE TABLE vanish (id int PRIMARY KEY, n int); INSERT INTO vanish VALUES (1, 0)")
        .await
        .unwrap();
    holder.batch_execute("BEGIN; UPDATE vanish SET n = 1 WHERE id = 1").await.unwrap();
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("UPDATE vanish SET n = 2 WHERE id = 1"));
    let watcher = connect(&shared().url).await;
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE vanish SET n = 2%' AND state = 'active'";
    eventually("the update runs", async || (one(&watcher, running).await == "1").then_some(())).await;
    drop(raw);
    eventually("the update is gone", async || (one(&watcher, running).await == "0").then_some(())).await;
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(one(&watcher, "SELECT n FROM vanish").await, "1");
}

#[tokio::test]
async fn a_client_that_vanishes_in_a_transaction_releases_its_locks() {
    let client = connect(&shared().url).await;
    client
        .batch_execute("CREATE TABLE vanish2 (id int PRIMARY KEY, n int); INSERT INTO vanish2 VALUES (1, 0)")
        .await
        .unwrap();
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("BEGIN; UPDATE vanish2 SET n = 2 WHERE id = 1"));
    raw.until(b'Z');
    drop(raw);
    client.batch_execute("UPDATE vanish2 SET n = n + 1").await.unwrap();
    assert_eq!(one(&client, "SELECT n FROM vanish2").await, "1");
}

#[test]
fn a_large_result_waits_for_a_slow_reader() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) AS g (n)"));
    // 20 MB are more than the sockets hold: the statement has to wait while this side does something else.
    let mut other = Raw::session(shared().addr);
    other.send(&query("SELECT 1"));
    assert_eq!(other.tags_until(b'Z'), "TDCZ");
    let messages = raw.until(b'Z');
    assert_eq!(messages.iter().filter(|(tag, _)| *tag == b'D').count(), 20_000);
}
