//! `locus.*` on a real cluster of three nodes and two gateways: what `docs/system-views.md` promises.

use crate::common::{Demo, connect, eventually, one, signal, state};

/// The number in the only row.
async fn number(client: &tokio_postgres::Client, query: &str) -> f64 {
    one(client, query).await.parse().unwrap_or_else(|_| panic!("not a number: {query}"))
}

#[tokio::test]
async fn a_cluster_tells_about_itself() {
    let demo = Demo::start(&["--nodes", "3", "--gateways", "2", "--empty"]);
    let client = connect(&demo.url()).await;
    client.batch_execute("CREATE TABLE seen (id int PRIMARY KEY, note text)").await.unwrap();
    for id in 0..20 {
        client.execute("INSERT INTO seen VALUES ($1, 'x')", &[&id]).await.unwrap();
    }

    // Nodes measure every two seconds, heartbeats go back and forth, heat is sampled every second.
    eventually("every pair of nodes has a round trip", async || {
        let measured =
            "SELECT count(*) FROM locus.latencies WHERE is_live AND round_trip_ms > 0 AND round_trip_ms < 1000";
        (one(&client, measured).await == "6").then_some(())
    })
    .await;
    eventually("the processes and disks are measured", async || {
        let nodes = "SELECT count(*) FROM locus.nodes WHERE is_live AND cpu_percent >= 0 AND memory_bytes > 1000000";
        let stores = "SELECT count(*) FROM locus.stores WHERE capacity_bytes > available_bytes AND log_bytes > 0";
        (one(&client, nodes).await == "3" && one(&client, stores).await == "3").then_some(())
    })
    .await;
    eventually("writes have made a range warm", async || {
        (number(&client, "SELECT coalesce(sum(writes), 0) FROM locus.range_heat").await >= 20.0).then_some(())
    })
    .await;
    assert_eq!(
        one(&client, "SELECT count(*) FROM locus.replicas WHERE role = 'leader'").await,
        one(&client, "SELECT count(*) FROM locus.ranges WHERE leader IS NOT NULL").await,
    );
    let caught_up = "SELECT count(*) FROM locus.replicas WHERE role = 'follower' AND matched_index > 0";
    assert!(number(&client, caught_up).await >= 2.0);
    let fsyncs = "SELECT sum(value) FROM locus.metrics WHERE name = 'locus_node_fsyncs'";
    assert!(number(&client, fsyncs).await > 0.0);
    let inserted = "SELECT calls || ' ' || rows || ' ' || (plan IS NOT NULL) FROM locus.statement_stats \
                    WHERE query = 'INSERT INTO seen VALUES ($1, $2)'";
    assert_eq!(one(&client, inserted).await, "20 20 true");
    assert_eq!(one(&client, "SELECT count(DISTINCT gateway) FROM locus.sessions").await, "1");

    // A wait: who, for whom, where.
    let holder = connect(&demo.url()).await;
    let waiter = connect(&demo.url()).await;
    holder.batch_execute("BEGIN; UPDATE seen SET note = 'h' WHERE id = 1").await.unwrap();
    let pids = (one(&waiter, "SELECT pg_backend_pid()").await, one(&holder, "SELECT pg_backend_pid()").await);
    let blocked = tokio::join!(waiter.batch_execute("UPDATE seen SET note = 'w' WHERE id = 1"), async {
        eventually("the wait is seen", async || {
            let seen = "SELECT count(*) FROM locus.lock_waits WHERE table_name = 'public.seen' AND \
                        waiter_pid || ' ' || holder_pid = ";
            (one(&client, &format!("{seen}'{} {}'", pids.0, pids.1)).await == "1").then_some(())
        })
        .await;
        let shown = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", pids.0);
        assert_eq!(one(&client, &shown).await, "Lock");
        assert_eq!(one(&client, "SELECT count(*) FROM pg_locks WHERE NOT granted").await, "1");
        assert_eq!(one(&client, &format!("SELECT pg_cancel_backend({})", pids.0)).await, "t");
    });
    assert_eq!(state(&blocked.0.unwrap_err()), "57014");

    // Sessions end when they are told to; those of another gateway are not known here.
    assert_eq!(one(&client, &format!("SELECT pg_terminate_backend({})", pids.1)).await, "t");
    eventually("the session has ended", async || holder.is_closed().then_some(())).await;
    let second = connect(demo.report["sql_urls"][1].as_str().unwrap()).await;
    let other = one(&second, "SELECT pg_backend_pid()").await;
    let refused = client.simple_query(&format!("SELECT pg_cancel_backend({other})")).await.unwrap_err();
    assert_eq!(state(&refused), "42704");

    signal(demo.pid("node", 3), "KILL");
    eventually("the others tell that a node is gone", async || {
        let down = "SELECT count(*) FROM locus.events WHERE kind = 'node down' AND peer_id = 3";
        (one(&client, down).await == "2").then_some(())
    })
    .await;
    assert_eq!(one(&client, "SELECT is_live FROM locus.nodes WHERE node_id = 3").await, "f");
}
