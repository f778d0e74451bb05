//! `locus gateway`: the logic tier.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use base::{NodeId, Runtime};
use clap::Args;
use gateway::{Gateway, HashingThreads};
use sql::{Database, security::Security};
use storage::{
    router::{NodeClient, Router, RouterOptions},
    shell::{TcpClient, TokioRuntime},
};
use tokio::{net::TcpListener, runtime::Handle};
use txn::TxnClient;

use crate::{
    cert::{self, Joining},
    config::{DEFAULT_CLUSTER, DEFAULT_SQL_ADDR, File, GatewaySettings, NodeList},
    process::StopSignal,
    secrets::{self, Holder, Secrets},
};

/// Said where nobody proves anything.
pub const INSECURE: &str =
    "INSECURE: every client on this machine is trusted to be who it says it is, and nothing is encrypted";

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
    joining: Joining,
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
    let settings = arguments.settings.over(&file.gateway_settings());
    let (sql_addr, joining) = (sql_addr(arguments.sql_addr, file), arguments.joining.over(file)?);
    if !settings.is_insecure() {
        joining.bring(settings.secrets.as_deref(), Holder::Gateway, Some(sql_addr)).await?;
    }
    let transport = secrets::transport(settings.secrets.as_deref(), settings.is_insecure(), Holder::Gateway)?;
    let client = Arc::new(TcpClient::new(&cluster, &nodes, &transport, &Handle::current()));
    let listener = listen(sql_addr).await?;
    serve(client, nodes, listener, &settings, stop).await
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
    let mut options = sql::session::Options { gateway: address.to_string(), ..settings.database() };
    let mut front = settings.gateway();
    prepare_security(settings, address, &mut options.security, &mut front)?;
    let database = Database::new(transactions, options);
    tokio::select! {
        () = bootstrap(&database) => {}
        () = stop.raised() => return Ok(()),
    }
    database.start_background();
    tracing::info!(%address, "gateway serves");
    if let Some(directory) = settings.secrets.as_ref().filter(|_| !settings.is_insecure()) {
        let directory = directory.display();
        println!("The first sign-in: locus sql --secrets {directory} --url postgresql://locus@{address}/locus");
    }
    // Programs wait for this line and read no further.
    println!("SQL: postgresql://locus@{address}/locus");
    Arc::new(Gateway::new(database, runtime, front)).serve(listener, stop.receiver()).await;
    tracing::info!("gateway stopped");
    Ok(())
}

/// Secrets from disk, threads for passwords, a certificate for clients; or a loud word that nobody proves anything.
fn prepare_security(
    settings: &GatewaySettings,
    address: SocketAddr,
    security: &mut Security,
    front: &mut ::gateway::Options,
) -> Result<()> {
    security.jobs = Arc::new(HashingThreads::new());
    security.insecure = settings.is_insecure();
    if security.insecure {
        if !address.ip().is_loopback() {
            bail!("--insecure trusts whoever connects: it listens on loopback only, not on {address}");
        }
        tracing::warn!("{INSECURE}");
        eprintln!("{INSECURE}");
    }
    match &settings.secrets {
        Some(directory) => {
            let secrets = Secrets::open(directory)?;
            security.cluster_key = Some(secrets.key());
            if !security.insecure {
                front.tls = Some(secrets.tls(&[address.ip()])?);
                let directory = directory.clone();
                let list = move || cert::list::rows(&directory).map_err(|error| format!("{error:#}"));
                security.certificates = Some(Arc::new(list));
            }
        }
        None if security.insecure => {}
        None => bail!("where are the cluster's key and certificates? (--secrets DIR, the same on all gateways)"),
    }
    Ok(())
}

/// Prepares a new database. The nodes may come up later than the gateway: it waits for them.
async fn bootstrap(database: &Database) {
    while let Err(error) = database.bootstrap().await {
        tracing::warn!(%error, "the cluster does not answer yet");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
