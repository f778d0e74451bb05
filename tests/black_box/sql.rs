//! SQL by a real driver, with parameters and results in binary.

use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{IsolationLevel, NoTls, types::Type};

use crate::common::{Server, connect, eventually, one, shared, state};

#[tokio::test]
async fn create_insert_join() {
    let client = connect(&shared().url).await;
    client
        .batch_execute(
            "CREATE TABLE join_a (id int PRIMARY KEY, name text NOT NULL);
             CREATE TABLE join_b (a_id int REFERENCES join_a (id), amount numeric(8,2));",
        )
        .await
        .unwrap();
    let insert = client.prepare("INSERT INTO join_a VALUES ($1, $2)").await.unwrap();
    for (id, name) in [(1, "one"), (2, "two"), (3, "three")] {
        assert_eq!(client.execute(&insert, &[&id, &name]).await.unwrap(), 1);
    }
    client.batch_execute("INSERT INTO join_b VALUES (1, 1.50), (1, 2.25), (3, 10)").await.unwrap();
    let rows = client
        .query(
            "SELECT a.name, sum(b.amount)::float8 FROM join_a a JOIN join_b b ON b.a_id = a.id
              WHERE a.id >= $1 GROUP BY a.name ORDER BY a.name",
            &[&1i32],
        )
        .await
        .unwrap();
    let sums: Vec<(String, f64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(sums, [("one".to_owned(), 3.75), ("three".to_owned(), 10.0)]);
}

#[tokio::test]
async fn values_of_many_types_come_back_as_they_went() {
    let client = connect(&shared().url).await;
    client
        .batch_execute(
            "CREATE TABLE kinds (id int PRIMARY KEY, a bool, b int2, c int8, d float4, e float8, f text, g bytea,
                                 h timestamp, i timestamptz, j varchar(10))",
        )
        .await
        .unwrap();
    let moment = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let bytes: &[u8] = &[0, 1, 0xff];
    let statement = client.prepare("INSERT INTO kinds VALUES (1,$1,$2,$3,$4,$5,$6,$7,$8,$9,$10)").await.unwrap();
    assert_eq!(statement.params()[6], Type::BYTEA);
    client
        .execute(
            &statement,
            &[&true, &-7i16, &i64::MIN, &1.5f32, &-0.1f64, &"grün", &bytes, &moment, &moment, &None::<&str>],
        )
        .await
        .unwrap();
    let row = client.query_one("SELECT * FROM kinds WHERE id = $1", &[&1i32]).await.unwrap();
    assert!(row.get::<_, bool>(1));
    assert_eq!((row.get::<_, i16>(2), row.get::<_, i64>(3)), (-7, i64::MIN));
    assert_eq!((row.get::<_, f32>(4), row.get::<_, f64>(5)), (1.5, -0.1));
    assert_eq!((row.get::<_, &str>(6), row.get::<_, &[u8]>(7)), ("grün", bytes));
    assert_eq!((row.get::<_, SystemTime>(8), row.get::<_, SystemTime>(9)), (moment, moment));
    assert_eq!(row.get::<_, Option<&str>>(10), None);
}

#[tokio::test]
async fn a_failed_transaction_stays_failed_until_it_ends() {
    let client = connect(&shared().url).await;
    client.batch_execute("CREATE TABLE failing (id int PRIMARY KEY)").await.unwrap();
    client.batch_execute("BEGIN; INSERT INTO failing VALUES (1)").await.unwrap();
    assert_eq!(state(&client.batch_execute("SELECT 1/0").await.unwrap_err()), "22012");
    assert_eq!(state(&client.batch_execute("SELECT 1").await.unwrap_err()), "25P02");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(one(&client, "SELECT count(*) FROM failing").await, "0");
}

#[tokio::test]
async fn a_text_of_several_statements_is_one_transaction() {
    let client = connect(&shared().url).await;
    client.batch_execute("CREATE TABLE several (id int PRIMARY KEY)").await.unwrap();
    let text = "INSERT INTO several VALUES (1); INSERT INTO several VALUES (2); INSERT INTO several VALUES (1)";
    assert_eq!(state(&client.batch_execute(text).await.unwrap_err()), "23505");
    assert_eq!(one(&client, "SELECT count(*) FROM several").await, "0");
    client.batch_execute("INSERT INTO several VALUES (1); INSERT INTO several VALUES (2)").await.unwrap();
    assert_eq!(one(&client, "SELECT count(*) FROM several").await, "2");
}

#[tokio::test]
async fn copy_in_and_out() {
    let client = connect(&shared().url).await;
    client.batch_execute("CREATE TABLE copied (id int PRIMARY KEY, note text)").await.unwrap();
    let sink = client.copy_in("COPY copied FROM STDIN").await.unwrap();
    let mut sink = pin!(sink);
    for chunk in ["1\ton", "e\n2\t\\N\n", "3\tthr\\tee\n"] {
        sink.send(Bytes::from_static(chunk.as_bytes())).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 3);
    let out = client.copy_out("COPY copied TO STDOUT (FORMAT csv)").await.unwrap();
    let chunks: Vec<Bytes> = out.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"1,one\n2,\n3,thr\tee\n");
}

#[tokio::test]
async fn copy_that_fails_leaves_nothing_and_the_connection_goes_on() {
    let client = connect(&shared().url).await;
    client.batch_execute("CREATE TABLE copy_fails (id int PRIMARY KEY)").await.unwrap();
    let sink = client.copy_in("COPY copy_fails FROM STDIN").await.unwrap();
    let mut sink = pin!(sink);
    sink.send(Bytes::from_static(b"1\n2\nthree\n")).await.unwrap();
    assert_eq!(state(&sink.finish().await.unwrap_err()), "22P02");
    assert_eq!(one(&client, "SELECT count(*) FROM copy_fails").await, "0");
    // Given up by the client.
    {
        let sink = client.copy_in::<_, Bytes>("COPY copy_fails FROM STDIN").await.unwrap();
        drop(sink);
    }
    assert_eq!(one(&client, "SELECT count(*) FROM copy_fails").await, "0");
}

#[tokio::test]
async fn portals_bring_rows_in_portions() {
    let mut client = connect(&shared().url).await;
    client.batch_execute("CREATE TABLE portions (id int PRIMARY KEY)").await.unwrap();
    let values: Vec<String> = (1..=250).map(|id| format!("({id})")).collect();
    client.batch_execute(&format!("INSERT INTO portions VALUES {}", values.join(","))).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT id FROM portions ORDER BY id", &[]).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 100).await.unwrap();
        if rows.is_empty() {
            break;
        }
        assert!(rows.len() <= 100);
        seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
    }
    assert_eq!(seen, (1..=250).collect::<Vec<i32>>());
}

#[tokio::test]
async fn a_waiting_statement_can_be_cancelled() {
    let (holder, waiter) = (connect(&shared().url).await, connect(&shared().url).await);
    holder
        .batch_execute("CREATE TABLE waited (id int PRIMARY KEY, n int); INSERT INTO waited VALUES (1, 0)")
        .await
        .unwrap();
    holder.batch_execute("BEGIN; UPDATE waited SET n = 1 WHERE id = 1").await.unwrap();
    let token = waiter.cancel_token();
    let update = waiter.batch_execute("UPDATE waited SET n = 2 WHERE id = 1");
    // Asked until it is heard: the statement may not have begun yet.
    let cancel = async {
        loop {
            token.cancel_query(NoTls).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        outcome = update => assert_eq!(state(&outcome.unwrap_err()), "57014"),
        () = cancel => {}
    }
    holder.batch_execute("COMMIT").await.unwrap();
    // One more cancel may have been under way.
    let value =
        eventually("a statement after the cancel", async || waiter.query_one("SELECT n FROM waited", &[]).await.ok())
            .await;
    assert_eq!(value.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn write_skew_is_refused() {
    let (mut one_client, mut other_client) = (connect(&shared().url).await, connect(&shared().url).await);
    one_client
        .batch_execute(
            "CREATE TABLE skew (id int PRIMARY KEY, on_call bool); INSERT INTO skew VALUES (1, true), (2, true)",
        )
        .await
        .unwrap();
    let first = one_client.build_transaction().isolation_level(IsolationLevel::Serializable).start().await.unwrap();
    let second = other_client.build_transaction().isolation_level(IsolationLevel::Serializable).start().await.unwrap();
    for transaction in [&first, &second] {
        let count: i64 = transaction.query_one("SELECT count(*) FROM skew WHERE on_call", &[]).await.unwrap().get(0);
        assert_eq!(count, 2);
    }
    first.execute("UPDATE skew SET on_call = false WHERE id = 1", &[]).await.unwrap();
    let updated = second.execute("UPDATE skew SET on_call = false WHERE id = 2", &[]).await;
    let outcomes = [first.commit().await, second.commit().await.and(updated.map(|_| ()))];
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() <= 1, "{outcomes:?}");
    let client = connect(&shared().url).await;
    assert_ne!(one(&client, "SELECT count(*) FROM skew WHERE on_call").await, "0");
}

#[tokio::test]
async fn data_is_there_after_kill_and_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[]);
    let client = connect(&server.url).await;
    client.batch_execute("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2)").await.unwrap();
    server.kill();
    let mut server = Server::start_in(directory.path(), &[]);
    let client = connect(&server.url).await;
    assert_eq!(one(&client, "SELECT count(*) FROM kept").await, "2");
    client.batch_execute("INSERT INTO kept VALUES (3)").await.unwrap();
    server.terminate();
    let server = Server::start_in(directory.path(), &[]);
    assert_eq!(one(&connect(&server.url).await, "SELECT count(*) FROM kept").await, "3");
}
