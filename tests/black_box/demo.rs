//! Clusters of real processes: started by one command, killed, restarted.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use serde_json::Value;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::common::{Demo, LOCUS, connect, eventually, one, signal};

/// A connection, if the gateway gives one.
#[allow(clippy::disallowed_methods)]
async fn try_connect(url: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(async move {
        // Its errors reach the client's calls too.
        let _ = connection.await;
    });
    Some(client)
}

/// Inserts one number after the other until told to stop; those that were acknowledged.
async fn writer(url: String, lane: i64, mut stop: tokio::sync::watch::Receiver<bool>) -> BTreeSet<i64> {
    let mut acknowledged = BTreeSet::new();
    let mut client = None;
    let mut number = lane * 1_000_000;
    while !*stop.borrow_and_update() {
        if client.is_none() {
            client = try_connect(&url).await;
        }
        let Some(connected) = &client else { continue };
        number += 1;
        match connected.execute("INSERT INTO ledger VALUES ($1)", &[&number]).await {
            Ok(_) => drop(acknowledged.insert(number)),
            Err(error) if error.is_closed() => client = None,
            Err(_) => {}
        }
    }
    acknowledged
}

async fn stored(url: &str) -> BTreeSet<i64> {
    let client = eventually("a connection", async || try_connect(url).await).await;
    let rows = eventually("an answer", async || client.query("SELECT n FROM ledger", &[]).await.ok()).await;
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_survive_kills() {
    let mut demo = Demo::start(&["--nodes", "3", "--empty"]);
    let url = demo.url();
    let client = connect(&url).await;
    client.batch_execute("CREATE TABLE ledger (n int8 PRIMARY KEY)").await.unwrap();
    for private in ["node-1", "logs", "secrets"] {
        let mode = fs::metadata(demo.directory.join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{private} is nobody else's");
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = JoinSet::new();
    for lane in 1..=4 {
        writers.spawn(writer(url.clone(), lane, stopped.clone()));
    }
    let count = async || one(&client, "SELECT count(*) FROM ledger").await.parse::<i64>().unwrap();
    eventually("some rows", async || (count().await >= 20).then_some(())).await;
    for node in 1..=3 {
        let before = count().await;
        signal(demo.pid("node", node), "KILL");
        eventually("writes go on without a node", async || (count().await >= before + 20).then_some(())).await;
        demo.up(&[]);
        assert!(demo.pid("node", node) > 0);
    }
    stop.send(true).unwrap();
    let acknowledged: BTreeSet<i64> = writers.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() >= 80);
    let found = stored(&url).await;
    assert!(acknowledged.is_subset(&found), "lost: {:?}", acknowledged.difference(&found).collect::<Vec<_>>());

    demo.kill_all();
    demo.up(&[]);
    let found = stored(&demo.url()).await;
    assert!(acknowledged.is_subset(&found), "lost: {:?}", acknowledged.difference(&found).collect::<Vec<_>>());
}

#[tokio::test]
async fn sample_data_and_the_process_list() {
    let mut demo = Demo::start(&["--nodes", "1", "--gateways", "2"]);
    let first = connect(&demo.url()).await;
    let spent = "SELECT count(*) FROM customers c JOIN orders o ON o.customer_id = c.id JOIN order_items i ON i.order_id = o.id";
    let items = one(&first, spent).await;
    assert_ne!(items, "0");
    let second = connect(demo.report["sql_urls"][1].as_str().unwrap()).await;
    assert_eq!(one(&second, spent).await, items);
    let roles: Vec<&str> = demo.processes().iter().filter_map(|process| process["role"].as_str()).collect();
    assert_eq!(roles, ["node", "gateway", "gateway", "web"]);

    let status =
        Command::new(LOCUS).args(["demo", "status", "--json", "--data"]).arg(&demo.directory).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(status["processes"].as_array().unwrap().iter().all(|process| process["running"] == true));
    let status = Command::new(LOCUS).args(["status", "--json", "--data"]).arg(&demo.directory).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["nodes"][0]["is_live"], true);
    assert!(status["nodes"][0]["counters"]["fsyncs"].as_u64().unwrap() > 0);
    assert!(status["ranges"].as_array().is_some_and(|ranges| !ranges.is_empty()));

    // Stopped, and started again: the same data, the same addresses, no second sample.
    first.batch_execute("DROP TABLE order_items").await.unwrap();
    let urls = demo.report["sql_urls"].clone();
    assert!(demo.stop().status.success());
    assert!(tokio_postgres::connect(&demo.url(), NoTls).await.is_err());
    demo.up(&[]);
    assert_eq!(demo.report["sql_urls"], urls);
    let client = connect(&demo.url()).await;
    assert_eq!(one(&client, "SELECT count(*) FROM customers").await, "40");
    assert!(client.batch_execute("SELECT 1 FROM order_items").await.is_err());
}

#[tokio::test]
async fn in_the_foreground_the_children_die_with_the_parent() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(LOCUS);
    command.args(["demo", "--nodes", "1", "--empty", "--sql-addr", "127.0.0.1:0", "--data"]).arg(directory.path());
    let mut parent = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let report = directory.path().join("demo.json");
    let url = eventually("SQL answers", async || {
        let plan: Value = serde_json::from_str(&std::fs::read_to_string(&report).ok()?).ok()?;
        let (password, addr) = (plan["owner_password"].as_str()?, plan["processes"][1]["addr"].as_str()?);
        let url = format!("postgresql://locus:{password}@{addr}/locus");
        try_connect(&url).await.map(|_| url)
    })
    .await;
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the gateway is gone", async || tokio_postgres::connect(&url, NoTls).await.err().map(|_| ())).await;
}

/// DESIGN P5: a transaction over ranges that three nodes lead costs one round of consensus on the client's path.
#[tokio::test]
async fn a_transaction_over_three_leaders_costs_one_consensus_round() {
    let demo = Demo::start(&["--empty"]);
    let client = connect(&demo.url()).await;
    client
        .batch_execute(
            "CREATE TABLE spread (id int PRIMARY KEY, n int NOT NULL); \
             INSERT INTO spread VALUES (1, 0), (11, 0), (21, 0)",
        )
        .await
        .unwrap();
    client.batch_execute("ALTER TABLE spread SPLIT AT VALUES (10), (20)").await.unwrap();
    // Leaders spread by themselves; the first row lies in range 2, which began as all of the user key space.
    let leaders = "SELECT count(DISTINCT leader) FROM locus.ranges WHERE range_id > 1";
    eventually("three leaders", async || (one(&client, leaders).await == "3").then_some(())).await;
    // The first one may still meet beliefs from before the leaders moved.
    for _ in 0..2 {
        client.batch_execute("BEGIN; UPDATE spread SET n = n + 1 WHERE id IN (1, 11, 21); COMMIT").await.unwrap();
    }
    let rounds = "SELECT consensus_rounds FROM locus.last_commits WHERE pid = pg_backend_pid()";
    assert_eq!(one(&client, rounds).await, "1");
    assert_eq!(one(&client, "SELECT string_agg(n::text, ' ') FROM spread").await, "2 2 2");
}

/// What is old enough is read from any replica, and says what was there.
#[tokio::test]
async fn the_past_is_read_from_followers() {
    let demo = Demo::start(&["--empty"]);
    let client = connect(&demo.url()).await;
    client
        .batch_execute("CREATE TABLE notes (id int PRIMARY KEY, n int); INSERT INTO notes VALUES (1, 0)")
        .await
        .unwrap();
    let past = "SELECT n FROM notes AS OF SYSTEM TIME follower_read_timestamp() WHERE id = 1";
    eventually("it lies in the past", async || client.simple_query(past).await.ok().filter(|rows| rows.len() == 3))
        .await;
    client.batch_execute("UPDATE notes SET n = 1").await.unwrap();
    assert_eq!((one(&client, past).await, one(&client, "SELECT n FROM notes").await), ("0".into(), "1".into()));
    let answered = async || -> u64 {
        let rows = client.query("SELECT counters::text FROM locus.nodes", &[]).await.unwrap();
        let counters = rows.iter().map(|row| serde_json::from_str::<Value>(row.get(0)).unwrap());
        counters.filter_map(|counters| counters["follower_reads"].as_u64()).sum()
    };
    eventually("followers answer", async || {
        one(&client, past).await;
        (answered().await > 0).then_some(())
    })
    .await;
    eventually("they see what has come", async || (one(&client, past).await == "1").then_some(())).await;
}
