//! `locus node`: the data tier.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use base::NodeId;
use clap::Args;
use storage::shell::{Node, NodeOptions};

use crate::{
    config::{DEFAULT_CLUSTER, File, NodeList, NodeSettings, default_data},
    process::StopSignal,
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
    let node = start(id, arguments.listen, peers, data, cluster, &settings)?;
    println!("node {} listens on {}", id.0, node.local_addr());
    stop.raised().await;
    shut_down(node).await
}

/// Starts a node with SQL's evaluators.
pub fn start(
    id: NodeId,
    listen: SocketAddr,
    peers: BTreeMap<NodeId, String>,
    data: PathBuf,
    cluster: Option<String>,
    settings: &NodeSettings,
) -> Result<Node> {
    let mut options = NodeOptions::new(id, listen, peers);
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
