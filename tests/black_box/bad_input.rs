//! Bad input: the right SQLSTATE, and neither the connection nor the server is harmed.

use tokio_postgres::Client;

use crate::common::{Raw, connect, error_field, message, one, parse_bind, query, shared, startup, state, sync};

async fn refused(client: &Client, text: &str) -> String {
    let error = client.batch_execute(text).await.expect_err(text);
    assert_eq!(one(client, "SELECT 1").await, "1", "after {text}");
    state(&error)
}

#[tokio::test]
async fn statements_that_cannot_be() {
    let client = connect(&shared().url).await;
    client
        .batch_execute(
            "CREATE TABLE bad (id int PRIMARY KEY, small int2, name text NOT NULL, CONSTRAINT bad_small CHECK (small < 100));
             INSERT INTO bad VALUES (1, 1, 'one')",
        )
        .await
        .unwrap();
    let cases = [
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing FROM bad", "42703"),
        ("SELECT nothing(1)", "42883"),
        ("SELEC 1", "42601"),
        ("SELECT 1 +", "42601"),
        ("SELECT 'abc", "42601"),
        ("INSERT INTO bad VALUES (2, 'x', 'two')", "22P02"),
        ("INSERT INTO bad VALUES (2, true, 'two')", "42804"),
        ("SELECT id + true FROM bad", "42883"),
        ("SELECT 2147483647 + 1", "22003"),
        ("INSERT INTO bad VALUES (2, 40000, 'two')", "22003"),
        ("SELECT 9223372036854775807::int8 + 1", "22003"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT 1 % 0", "22012"),
        ("INSERT INTO bad VALUES (1, 1, 'again')", "23505"),
        ("INSERT INTO bad VALUES (2, 1, NULL)", "23502"),
        ("INSERT INTO bad VALUES (2, 100, 'two')", "23514"),
        ("CREATE TABLE bad (id int)", "42P07"),
        ("DROP TABLE nowhere", "42P01"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT '2024-02-30'::date", "22008"),
        ("SELECT name, count(*) FROM bad", "42803"),
        ("SELECT id FROM bad a, bad b", "42702"),
        ("SELECT $1::int", "42P02"),
    ];
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let got = refused(&client, text).await;
        if got != expected {
            wrong.push(format!("{text}: {got}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(one(&client, "SELECT count(*) FROM bad").await, "1");
}

#[tokio::test]
async fn an_error_says_where_and_about_what() {
    let client = connect(&shared().url).await;
    client
        .batch_execute("CREATE TABLE where_bad (id int PRIMARY KEY); INSERT INTO where_bad VALUES (1)")
        .await
        .unwrap();
    let error = client.simple_query("SELECT id, nothing FROM where_bad").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.position(), Some(&tokio_postgres::error::ErrorPosition::Original(12)));
    assert_eq!(error.severity(), "ERROR");
    let error = client.simple_query("INSERT INTO where_bad VALUES (1)").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!((error.table(), error.constraint()), (Some("where_bad"), Some("where_bad_pkey")));
    assert_eq!(error.detail(), Some("Key (id)=(1) already exists."));
}

#[tokio::test]
async fn invalid_utf8_is_refused_and_the_connection_goes_on() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&message(b'Q', b"SELECT '\xff'\0"));
    let messages = raw.until(b'Z');
    assert_eq!(error_field(&messages[0].1, b'C').as_deref(), Some("22021"));
    assert_eq!(error_field(&messages[0].1, b'S').as_deref(), Some("ERROR"));
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.tags_until(b'Z'), "TDCZ");
    // In the extended protocol: nothing until Sync, then everything is well again.
    raw.send(&[message(b'P', b"\0SELECT '\xc3\x28'\0\0\0"), parse_bind("SELECT 1"), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "EZ");
    raw.send(&[parse_bind("SELECT 1"), sync()].concat());
    assert_eq!(raw.tags_until(b'Z'), "12Z");
}

#[test]
fn broken_messages_end_the_connection_with_08p01() {
    let breakages: [&[u8]; 5] = [
        b"Q\xff\xff\xff\xff",
        b"Q\0\0\0\x03",
        b"?\0\0\0\x04",
        b"P\0\0\0\x08abc\0",
        b"B\0\0\0\x10\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0",
    ];
    for breakage in breakages {
        let mut raw = Raw::session(shared().addr);
        raw.send(breakage);
        assert_eq!(raw.fatal(), "08P01", "{breakage:?}");
    }
    for packet in [b"\0\0\0\x04".as_slice(), b"\xff\xff\xff\xff\0\x03\0\0", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut raw = Raw::connect(shared().addr);
        raw.send(packet);
        assert_eq!(raw.fatal(), "08P01", "{packet:?}");
    }
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("SELECT 1"));
    assert_eq!(raw.tags_until(b'Z'), "TDCZ", "others are not harmed");
}

#[test]
fn startups_that_cannot_be() {
    let fatal = |bytes: &[u8]| {
        let mut raw = Raw::connect(shared().addr);
        raw.send(bytes);
        raw.fatal()
    };
    assert_eq!(fatal(&startup(3 << 16, b"database\0locus\0\0")), "28000");
    assert_eq!(fatal(&startup(3 << 16, b"user\0locus\0database\0nowhere\0\0")), "3D000");
    assert_eq!(fatal(&startup(2 << 16, b"user\0locus\0\0")), "0A000");
    assert_eq!(fatal(&startup(3 << 16, b"user\0locus\0options\0-c statement_timeout=soon\0\0")), "22023");
}

#[tokio::test]
async fn a_statement_of_100_megabytes() {
    let client = connect(&shared().url).await;
    let text = format!("SELECT length('{}')", "x".repeat(100 << 20));
    assert_eq!(one(&client, &text).await, (100 << 20).to_string());
    assert_eq!(one(&client, "SELECT 1").await, "1");
}
