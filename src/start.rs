//! `locus start`: all tiers in one process. Calls between them are function calls.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Result;
use base::NodeId;
use clap::Args;
use storage::shell::NodeOptions;

use crate::{
    config::{File, GatewaySettings, NodeSettings, default_data},
    gateway, node,
    process::StopSignal,
    secrets::{self, Holder},
};

#[derive(Args)]
pub struct StartArgs {
    /// Directory of the data [default: ~/.local/share/locus/start]
    #[arg(long, env = "LOCUS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen for PostgreSQL clients [default: 127.0.0.1:7432]
    #[arg(long, env = "LOCUS_SQL_ADDR", value_name = "ADDR")]
    sql_addr: Option<SocketAddr>,
    #[command(flatten)]
    node: NodeSettings,
    #[command(flatten)]
    gateway: GatewaySettings,
}

pub async fn run(arguments: StartArgs, file: &File, stop: StopSignal) -> Result<()> {
    let id = NodeId(1);
    let data = arguments.data.or_else(|| file.data.clone()).unwrap_or_else(|| default_data("start"));
    // Nobody needs to reach the node but `locus status`: any port will do.
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let cluster = file.cluster.clone();
    let mut settings = arguments.gateway.over(&file.gateway_settings());
    if !settings.is_insecure() {
        settings.secrets.get_or_insert_with(|| data.join("secrets"));
    }
    let mut options = NodeOptions::new(id, listen, BTreeMap::new());
    options.transport = secrets::transport(settings.secrets.as_deref(), settings.is_insecure(), Holder::Node(id))?;
    let node = node::start(options, data, cluster, &arguments.node.over(&file.node))?;
    let nodes = BTreeMap::from([(id, node.local_addr().to_string())]);
    let address = gateway::sql_addr(arguments.sql_addr, file);
    let served = gateway::serve(Arc::new(node.client()), nodes, address, &settings, stop).await;
    let ended = node::shut_down(node).await;
    served.and(ended)
}
