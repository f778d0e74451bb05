//! `locus status`: nodes and ranges of a running cluster, asked of the nodes themselves or of a gateway's system views.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use base::Runtime;
use clap::Args;
use serde_json::{Map, Value, json};
use storage::{
    Cluster, NodeStatus, RangeStatus,
    router::{Router, RouterOptions},
    shell::{TcpClient, TokioRuntime, Transport},
};
use tokio::runtime::Handle;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::{
    config::{DEFAULT_CLUSTER, DEFAULT_URL, NodeList},
    demo,
    secrets::{self, Holder},
    table,
};

/// How long the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the nodes may take to be reached before they count as gone.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
const HEADINGS_FIRST: &[&str] = &["node_id", "range_id", "address", "is_live", "leader", "start_key", "end_key"];

#[derive(Args)]
pub struct StatusArgs {
    /// Ask this gateway, through its system views
    #[arg(long, env = "LOCUS_URL", default_value = DEFAULT_URL, conflicts_with_all = ["nodes", "data"])]
    url: String,
    /// Ask these nodes: 1=HOST:PORT,2=HOST:PORT,…
    #[arg(long, value_name = "LIST", conflicts_with = "data")]
    nodes: Option<NodeList>,
    /// Name of the cluster that the nodes belong to
    #[arg(long, env = "LOCUS_CLUSTER", value_name = "NAME", default_value = DEFAULT_CLUSTER)]
    cluster: String,
    /// Ask the nodes of the demo cluster with this data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Directory of the cluster's certificates, for --nodes; those of a demo are found with --data
    #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(arguments: StatusArgs) -> Result<()> {
    let status = match (&arguments.nodes, &arguments.data) {
        (Some(nodes), _) => {
            let insecure = arguments.secrets.is_none();
            let transport = secrets::transport(arguments.secrets.as_deref(), insecure, Holder::Gateway)?;
            ask_nodes(nodes, &arguments.cluster, &transport).await?
        }
        (None, Some(data)) => {
            let found = demo::nodes_of(data)?;
            ask_nodes(&found.nodes, &found.cluster, &found.transport).await?
        }
        (None, None) => ask_gateway(&arguments.url).await?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status, "nodes");
        println!();
        print(&status, "ranges");
    }
    Ok(())
}

async fn ask_nodes(nodes: &NodeList, cluster: &str, transport: &Transport) -> Result<Value> {
    let client = Arc::new(TcpClient::new(cluster, &nodes.0, transport, &Handle::current()));
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new(Handle::current()));
    let router = Router::new(client, runtime.clone(), RouterOptions::new(nodes.0.clone()));
    let deadline = runtime.now() + PATIENCE;
    let settled = runtime.now() + CONNECT_PATIENCE;
    let nodes = loop {
        // Connections are only being made: a node that is not there yet may be there in a moment.
        let nodes = router.nodes(deadline).await.context("the nodes do not answer")?;
        if nodes.iter().all(|node| node.live) || runtime.now() >= settled {
            break nodes;
        }
        runtime.sleep(Duration::from_millis(50)).await;
    };
    let ranges = router.ranges(deadline).await.context("the cluster does not answer")?;
    Ok(json!({
        "nodes": nodes.iter().map(node).collect::<Vec<Value>>(),
        "ranges": ranges.iter().map(range).collect::<Vec<Value>>(),
    }))
}

/// With the names of the system view `locus.nodes`.
fn node(node: &NodeStatus) -> Value {
    let counters: Map<String, Value> = node.counters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "node_id": node.id.0,
        "address": node.address,
        "is_live": node.live,
        "ranges": node.ranges,
        "leaders": node.leaders,
        "counters": counters,
    })
}

/// With the names of the system view `locus.ranges`.
fn range(range: &RangeStatus) -> Value {
    json!({
        "range_id": range.descriptor.id.0,
        "start_key": range.descriptor.span.start.escape_ascii().to_string(),
        "end_key": range.descriptor.span.end.escape_ascii().to_string(),
        "leader": range.leader.map(|leader| leader.0),
        "term": range.term,
        "size_bytes": range.size_bytes,
        "applied_index": range.applied_index,
    })
}

async fn ask_gateway(url: &str) -> Result<Value> {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.with_context(|| format!("cannot connect to {url}"))?;
    let questions = async {
        let nodes = view(&client, "locus.nodes").await?;
        let ranges = view(&client, "locus.ranges").await?;
        Ok::<Value, anyhow::Error>(json!({ "nodes": nodes, "ranges": ranges }))
    };
    tokio::select! {
        status = questions => status,
        ended = connection => Err(ended.err().map_or_else(|| anyhow::anyhow!("connection closed"), Into::into)),
        () = tokio::time::sleep(PATIENCE) => anyhow::bail!("no answer within {} s", PATIENCE.as_secs()),
    }
}

/// A view's rows as objects. Numbers, truth values and objects come as such, everything else as text.
async fn view(client: &tokio_postgres::Client, name: &str) -> Result<Vec<Value>> {
    let messages = client.simple_query(&format!("SELECT * FROM {name}")).await.with_context(|| name.to_owned())?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let object = |row: &tokio_postgres::SimpleQueryRow| {
        let field = |(position, column): (usize, &tokio_postgres::SimpleColumn)| {
            (column.name().to_owned(), row.get(position).map_or(Value::Null, from_text))
        };
        Value::Object(row.columns().iter().enumerate().map(field).collect())
    };
    Ok(rows.map(object).collect())
}

fn from_text(text: &str) -> Value {
    match text {
        "t" => Value::Bool(true),
        "f" => Value::Bool(false),
        _ => serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| value.is_number() || value.is_object())
            .unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// Prints one of the lists; nested objects (counters) are for JSON only.
fn print(status: &Value, list: &str) {
    let objects: Vec<&Map<String, Value>> =
        status[list].as_array().into_iter().flatten().filter_map(Value::as_object).collect();
    let Some(first) = objects.first() else { return println!("no {list}") };
    let mut headings: Vec<&str> =
        first.iter().filter(|(_, value)| !value.is_object()).map(|(name, _)| name.as_str()).collect();
    // Objects have their fields in alphabetical order; what names the thing comes first.
    headings.sort_by_key(|name| HEADINGS_FIRST.iter().position(|first| first == name).unwrap_or(HEADINGS_FIRST.len()));
    let cell = |object: &Map<String, Value>, name: &str| match &object[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> =
        objects.iter().map(|object| headings.iter().map(|name| cell(object, name)).collect()).collect();
    table::print(&headings, &rows);
}
