//! How long a read and a write take through the shell: `cargo run --example bench_node -p locus-storage [in-process|tcp|three]
//! [clients] [seconds]`. Prints requests per second, latencies and fsyncs.

use std::{collections::BTreeMap, net::TcpListener, sync::Arc, time::Duration};

use base::{Monotonic, NodeId, Span, Timestamp};
use bytes::Bytes;
use storage::{
    Access, Cluster, ColumnFamily, Evaluate, EvaluateContext, EvaluateFactory, Outcome, Reader, Result, Token,
    WriteBatch,
    router::{NodeClient, Router, RouterOptions},
    shell::{Node, NodeOptions, TcpClient, TokioRuntime, Transport, monotonic_now},
};

/// `g` + key reads, `p` + key writes 100 bytes.
struct Bytewise;

impl Evaluate for Bytewise {
    fn access(&self, command: &Bytes) -> Result<Vec<Access>> {
        Ok(vec![Access { span: Span::point(command.slice(1..)), exclusive: command[0] == b'p' }])
    }

    fn evaluate(&mut self, _: Token, command: &Bytes, _: EvaluateContext<'_>, reader: &dyn Reader) -> Result<Outcome> {
        let key = [&command[1..], &[0; 8]].concat();
        if command[0] == b'g' {
            return Ok(Outcome::Reply(reader.get(ColumnFamily::Data, &key)?.unwrap_or_default()));
        }
        let mut batch = WriteBatch::default();
        batch.put(ColumnFamily::Data, key, vec![7; 100]);
        Ok(Outcome::Propose { batch, reply: Bytes::new() })
    }

    fn finished(&mut self, _: Token, _: bool) {}
    fn cancel(&mut self, _: Token) {}
    fn take_woken(&mut self) -> Vec<Token> {
        Vec::new()
    }
    fn tick(&mut self, _: Monotonic) {}
    fn lead(&mut self, _: Timestamp, _: Monotonic) {}
    fn unlead(&mut self) {}
    fn split(&mut self, _: &[u8]) -> Box<dyn Evaluate> {
        Box::new(Bytewise)
    }
    fn split_key(&self, engine_key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(&engine_key[..engine_key.len() - 8])
    }
}

async fn run(router: &Router, clients: usize, seconds: u64, kind: u8) -> Result<Vec<Duration>> {
    let end = monotonic_now() + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let router = router.clone();
            tokio::runtime::Handle::current().spawn(async move {
                let mut latencies = Vec::new();
                let mut number = 0;
                while monotonic_now() < end {
                    let key = format!("\x02{client}/{}", number % 1000);
                    number += 1;
                    let started = monotonic_now();
                    let deadline = started + Duration::from_secs(10);
                    if kind == b's' {
                        router.stamp(deadline).await?;
                    } else {
                        let route = router.locate(key.as_bytes(), deadline).await?;
                        let command = Bytes::from([&[kind], key.as_bytes()].concat());
                        router.evaluate(&route, command, deadline).await?;
                    }
                    latencies.push(monotonic_now().since(started));
                }
                Ok::<_, storage::Error>(latencies)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap_or_else(|_| Ok(Vec::new()))?);
    }
    all.sort_unstable();
    Ok(all)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let shape = args.next().unwrap_or_else(|| "in-process".into());
    let clients: usize = args.next().map_or(Ok(1), |arg| arg.parse())?;
    let seconds: u64 = args.next().map_or(Ok(3), |arg| arg.parse())?;
    let count = if shape == "three" { 3 } else { 1 };
    let dir = tempfile::tempdir()?;
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
    let mut addresses = BTreeMap::new();
    for (i, listener) in listeners.iter().enumerate() {
        addresses.insert(NodeId(i as u64 + 1), listener.local_addr()?.to_string());
    }
    let factory: EvaluateFactory = Arc::new(|| Box::new(Bytewise));
    let mut nodes = Vec::new();
    for (i, listener) in listeners.into_iter().enumerate() {
        let mut options = NodeOptions::new(NodeId(i as u64 + 1), listener.local_addr()?, addresses.clone());
        options.data_dir = Some(dir.path().join(i.to_string()));
        nodes.push(Node::start_on(listener, options, factory.clone())?);
    }
    let tokio = tokio::runtime::Handle::current();
    let client: Arc<dyn NodeClient> = match shape.as_str() {
        "in-process" => Arc::new(nodes[0].client()),
        _ => Arc::new(TcpClient::new("locus", &addresses, &Transport::Plain, &tokio)),
    };
    let router = Router::new(client, Arc::new(TokioRuntime::new(tokio)), RouterOptions::new(addresses));
    router.stamp(monotonic_now() + Duration::from_secs(30)).await?;
    run(&router, 1, 1, b'p').await?;
    for (name, kind) in [("stamp", b's'), ("read", b'g'), ("write", b'p')] {
        let before = counters(&router).await?;
        let latencies = run(&router, clients, seconds, kind).await?;
        let after = counters(&router).await?;
        let at = |permille: usize| latencies.get(latencies.len() * permille / 1000).copied().unwrap_or_default();
        let per = |name: &str| {
            (after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0)) as f64 / latencies.len() as f64
        };
        println!(
            "{shape:10} {name:6} {clients:3} clients: {:8.0}/s  p50 {:?}  p99 {:?}  fsyncs {:.2}  messages {:.2}  rounds {:.2}",
            latencies.len() as f64 / seconds as f64,
            at(500),
            at(990),
            per("fsyncs"),
            per("messages_sent"),
            per("rounds"),
        );
    }
    Ok(())
}

async fn counters(router: &Router) -> Result<BTreeMap<String, u64>> {
    let mut sums = BTreeMap::new();
    for status in router.nodes(monotonic_now() + Duration::from_secs(5)).await? {
        for (name, count) in status.counters {
            *sums.entry(name).or_default() += count;
        }
    }
    Ok(sums)
}
