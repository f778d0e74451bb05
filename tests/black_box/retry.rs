//! What the gateway repeats unnoticed, and what it cannot; connections that are left alone for too long.

use tokio_postgres::Client;

use crate::common::{Raw, connect, error_field, eventually, execute, one, parse_bind, query, shared, sync};

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

/// A table with one row, and a transaction that has changed it and holds it.
async fn held(table: &str) -> Client {
    let client = connect(&shared().url).await;
    let make = format!("CREATE TABLE {table} (id int PRIMARY KEY, n int); INSERT INTO {table} VALUES (1, 0)");
    client.batch_execute(&make).await.unwrap();
    client.batch_execute(&format!("BEGIN; UPDATE {table} SET n = n + 1 WHERE id = 1")).await.unwrap();
    client
}

/// Waits until a session has come to this statement, then lets the row go.
async fn let_go_once_running(holder: &Client, statement: &str) {
    let observer = connect(&shared().url).await;
    let count = format!("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{statement}'");
    eventually("the statement runs", async || (one(&observer, &count).await == "1").then_some(())).await;
    holder.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_text_of_which_nothing_has_left_is_repeated() {
    let holder = held("text_again").await;
    let mut raw = Raw::session(shared().addr);
    let update = "UPDATE text_again SET n = n + 10 WHERE id = 1";
    raw.send(&query(&format!("{BEGIN}; SELECT n FROM text_again; {update}; COMMIT")));
    let_go_once_running(&holder, update).await;
    let messages = raw.until(b'Z');
    let tags: String = messages.iter().map(|(tag, _)| *tag as char).collect();
    assert_eq!(tags, "CTDCCCZ");
    // What is told is the second attempt, which has seen the other transaction.
    assert_eq!(messages[2].1, b"\0\x01\0\0\0\x011");
    assert_eq!(one(&holder, "SELECT n FROM text_again").await, "11");
}

#[tokio::test]
async fn a_pipeline_of_which_nothing_has_left_is_repeated() {
    let holder = held("pipeline_again").await;
    let mut raw = Raw::session(shared().addr);
    let update = "UPDATE pipeline_again SET n = n + 10 WHERE id = 1";
    let step = |text: &str| [parse_bind(text), execute(0)].concat();
    let steps = [step(BEGIN), step("SELECT n FROM pipeline_again"), step(update), step("COMMIT"), sync()];
    raw.send(&steps.concat());
    let_go_once_running(&holder, update).await;
    assert_eq!(raw.tags_until(b'Z'), "12C12DC12C12CZ");
    assert_eq!(one(&holder, "SELECT n FROM pipeline_again").await, "11");
}

#[tokio::test]
async fn what_has_left_is_not_taken_back() {
    let holder = held("departed").await;
    let mut raw = Raw::session(shared().addr);
    raw.send(&query(&format!("{BEGIN}; SELECT n FROM departed")));
    raw.until(b'Z');
    let update = "UPDATE departed SET n = n + 10 WHERE id = 1";
    raw.send(&query(update));
    let_go_once_running(&holder, update).await;
    let messages = raw.until(b'Z');
    let (tag, body) = &messages[0];
    assert_eq!((*tag, error_field(body, b'C').as_deref()), (b'E', Some("40001")));
    let message = error_field(body, b'M').unwrap();
    assert_eq!(message, "could not serialize access due to concurrent update");
    let detail = error_field(body, b'D').unwrap();
    assert!(
        detail.starts_with("Key (id)=(1) in index \"departed_pkey\" of table \"departed\" was changed by transaction"),
        "{detail}"
    );
    assert_eq!(one(&holder, "SELECT n FROM departed").await, "1");
}

#[test]
fn idle_connections_end() {
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("SET idle_session_timeout = 100"));
    raw.until(b'Z');
    assert_eq!(raw.fatal(), "57P05");
    let mut raw = Raw::session(shared().addr);
    raw.send(&query("SET idle_in_transaction_session_timeout = '100ms'; BEGIN"));
    raw.until(b'Z');
    assert_eq!(raw.fatal(), "25P03");
}
