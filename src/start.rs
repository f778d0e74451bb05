//! `locus start`: all tiers in one process. Calls between them are function calls.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Result;
use base::NodeId;
use clap::Args;
use storage::shell::NodeOptions;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    config::{File, GatewaySettings, NodeSettings, default_data},
    gateway, node,
    process::StopSignal,
    secrets::{self, Holder},
    web::{self, WebSettings},
};

#[derive(Args)]
pub struct StartArgs {
    /// Directory of the data [default: ~/.local/share/locus/start]
    #[arg(long, env = "LOCUS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen for PostgreSQL clients [default: 127.0.0.1:7432]
    #[arg(long, env = "LOCUS_SQL_ADDR", value_name = "ADDR")]
    sql_addr: Option<SocketAddr>,
    /// Where the page listens for browsers [default: 127.0.0.1:7480, or any free port where that one is taken]
    #[arg(long, env = "LOCUS_WEB_ADDR", value_name = "ADDR")]
    web_addr: Option<SocketAddr>,
    #[command(flatten)]
    web: WebSettings,
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
    let listener = gateway::listen(gateway::sql_addr(arguments.sql_addr, file)).await?;
    let page = web::listener(arguments.web_addr.or(file.web_addr)).await?;
    let mut page_settings = arguments.web.over(&file.web);
    if !settings.is_insecure() {
        let own = settings.secrets.as_deref().map(secrets::trusted);
        page_settings.gateway_authority = page_settings.gateway_authority.or(own);
    }
    let gateway = secrets::reachable(listener.local_addr()?);
    let server = web::Server::new(gateway.to_string(), &page_settings)?;
    let page = serve_page(server.announce(&page)?, page, stop.clone());
    let served = gateway::serve(Arc::new(node.client()), nodes, listener, &settings, stop).await;
    // It was told to stop as well, or the gateway could not serve and the page is of no use.
    page.abort();
    let ended = node::shut_down(node).await;
    served.and(ended)
}

#[allow(clippy::disallowed_methods)]
fn serve_page(server: Arc<web::Server>, listener: TcpListener, stop: StopSignal) -> JoinHandle<()> {
    tokio::spawn(server.serve(listener, stop))
}
