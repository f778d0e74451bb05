//! `locus node`: the data tier.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use base::NodeId;
use clap::Args;
use storage::shell::{Node, NodeOptions};

use crate::{
    cert::Joining,
    config::{DEFAULT_CLUSTER, File, NodeList, NodeSettings, default_data},
    process::StopSignal,
    secrets::{self, Holder},
};

#[derive(Args)]
pub struct NodeArgs {
    /// This node's id, from 1 on; never given to another node
    #[arg(long, env = "LOCUS_NODE_ID")]
    id: u64,
    /// Where to listen for gateways and other nodes
    #[arg(long, env = "LOCUS_LISTEN", value_name = "ADDR")]
    listen: SocketAddr,
    /// All nodes of the cluster, the same on each: 1=HOST:PORT,2=HOST:PORT,…
    #[arg(long, env = "LOCUS_NODES", value_name = "LIST")]
    peers: Option<NodeList>,
    /// Directory of this node's data
    #[arg(long, env = "LOCUS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Name of the cluster; nodes and gateways of others are refused
    #[arg(long, env = "LOCUS_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
    /// Directory of the cluster's authority and this node's certificate, made on first use where the authority's key is
    #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Speak to whoever connects, and encrypt nothing: for benchmarks
    #[arg(long, env = "LOCUS_INSECURE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    insecure: Option<bool>,
    #[command(flatten)]
    joining: Joining,
    #[command(flatten)]
    settings: NodeSettings,
}

pub async fn run(arguments: NodeArgs, file: &File, mut stop: StopSignal) -> Result<()> {
    let id = NodeId(arguments.id);
    let peers = match arguments.peers {
        Some(peers) => peers.0,
        None => file.nodes()?,
    };
    if !peers.is_empty() && !peers.contains_key(&id) {
        bail!("node {} is not among the nodes of the cluster ({})", id.0, NodeList(peers));
    }
    let data = arguments.data.or_else(|| file.data.clone()).unwrap_or_else(|| default_data(&format!("node-{}", id.0)));
    let cluster = arguments.cluster.or_else(|| file.cluster.clone());
    let settings = arguments.settings.over(&file.node);
    let secrets = arguments.secrets.or_else(|| file.secrets.clone());
    let insecure = arguments.insecure.or(file.insecure).unwrap_or(false);
    if insecure {
        tracing::warn!("INSECURE: this node believes whoever connects, and encrypts nothing");
    }
    let joining = arguments.joining.over(file)?;
    if !insecure {
        joining.bring(secrets.as_deref(), Holder::Node(id), None).await?;
    }
    let mut options = NodeOptions::new(id, arguments.listen, peers);
    options.transport = secrets::transport(secrets.as_deref(), insecure, Holder::Node(id))?;
    let node = start(options, data, cluster, &settings)?;
    println!("node {} listens on {}", id.0, node.local_addr());
    stop.raised().await;
    shut_down(node).await
}

/// Starts a node with SQL's evaluators.
pub fn start(
    mut options: NodeOptions,
    data: PathBuf,
    cluster: Option<String>,
    settings: &NodeSettings,
) -> Result<Node> {
    let id = options.id;
    options.cluster = cluster.unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
    options.data_dir = Some(data.clone());
    settings.apply(&mut options);
    let pushdown = Arc::new(sql::pushdown::Compiler);
    let factory = txn::server::evaluate_factory(pushdown, settings.leaders());
    Node::start(options, factory).with_context(|| format!("cannot start node {} on {}", id.0, data.display()))
}

pub async fn shut_down(node: Node) -> Result<()> {
    tokio::task::spawn_blocking(move || node.shutdown()).await?.context("at the end of the node")
}
