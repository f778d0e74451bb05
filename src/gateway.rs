//! `locus gateway`: the logic tier.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use base::{NodeId, Runtime};
use clap::Args;
use gateway::Gateway;
use sql::Database;
use storage::{
    router::{NodeClient, Router, RouterOptions},
    shell::{TcpClient, TokioRuntime},
};
use tokio::{net::TcpListener, runtime::Handle};
use txn::TxnClient;

use crate::{
    config::{DEFAULT_CLUSTER, DEFAULT_SQL_ADDR, File, GatewaySettings, NodeList},
    process::StopSignal,
};

#[derive(Args)]
pub struct GatewayArgs {
    /// Where to listen for PostgreSQL clients [default: 127.0.0.1:7432]
    #[arg(long, env = "LOCUS_SQL_ADDR", value_name = "ADDR")]
    sql_addr: Option<SocketAddr>,
    /// All nodes of the cluster: 1=HOST:PORT,2=HOST:PORT,…
    #[arg(long, env = "LOCUS_NODES", value_name = "LIST")]
    nodes: Option<NodeList>,
    /// Name of the cluster
    #[arg(long, env = "LOCUS_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    #[command(flatten)]
    settings: GatewaySettings,
}

pub async fn run(arguments: GatewayArgs, file: &File, stop: StopSignal) -> Result<()> {
    let nodes = match arguments.nodes {
        Some(nodes) => nodes.0,
        None => file.nodes()?,
    };
    if nodes.is_empty() {
        bail!("which nodes? (--nodes 1=HOST:PORT,2=HOST:PORT,…)");
    }
    let cluster = arguments.cluster.or_else(|| file.cluster.clone()).unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
    let client = Arc::new(TcpClient::new(&cluster, &nodes, &Handle::current()));
    let listener = listen(sql_addr(arguments.sql_addr, file)).await?;
    serve(client, nodes, listener, &arguments.settings.over(&file.gateway), stop).await
}

/// The address for PostgreSQL clients: flag (or variable), file, default.
pub fn sql_addr(flag: Option<SocketAddr>, file: &File) -> SocketAddr {
    flag.or(file.sql_addr).unwrap_or_else(|| DEFAULT_SQL_ADDR.parse().expect("a valid address"))
}

/// First of all, so that a port in use is told at once. Clients that come early wait.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Runs a gateway over the nodes until it is told to stop.
pub async fn serve(
    client: Arc<dyn NodeClient>,
    nodes: BTreeMap<NodeId, String>,
    listener: TcpListener,
    settings: &GatewaySettings,
    mut stop: StopSignal,
) -> Result<()> {
    let address = listener.local_addr()?;
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new(Handle::current()));
    let router = Router::new(client, runtime.clone(), RouterOptions::new(nodes));
    let transactions = TxnClient::new(Arc::new(router), runtime.clone(), settings.transactions());
    let database = Database::new(transactions, settings.database());
    tokio::select! {
        () = bootstrap(&database) => {}
        () = stop.raised() => return Ok(()),
    }
    database.start_background();
    tracing::info!(%address, "gateway serves");
    println!("SQL: postgresql://locus@{address}/locus");
    Arc::new(Gateway::new(database, runtime, settings.gateway())).serve(listener, stop.receiver()).await;
    tracing::info!("gateway stopped");
    Ok(())
}

/// Prepares a new database. The nodes may come up later than the gateway: it waits for them.
async fn bootstrap(database: &Database) {
    while let Err(error) = database.bootstrap().await {
        tracing::warn!(%error, "the cluster does not answer yet");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
