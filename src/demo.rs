//! `locus demo`: a cluster of real processes on this machine. What runs is written to `demo.json` in the data directory, so
//! that another `demo` on the same data continues with the same nodes, ports and data.

mod cluster;
mod sample;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base::NodeId;
use clap::{Args, Subcommand};
use storage::shell::Transport;

use self::cluster::{Cluster, Plan};
use crate::{
    config::{NodeList, default_data},
    gateway::INSECURE,
    process::{ProcessId, StopSignal},
    secrets::{self, Holder},
    table,
};

/// How long a cluster may take until SQL answers: a crashed one has logs to replay.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DemoArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Subcommand)]
enum Action {
    /// Stop the processes of a demo cluster
    Stop(DataArgs),
    /// Show the processes of a demo cluster
    Status(StatusArgs),
}

#[derive(Args)]
struct StartArgs {
    /// Number of nodes [default: 3, or as many as the data has]
    #[arg(long)]
    nodes: Option<u64>,
    /// Number of gateways [default: 1, or as many as before]
    #[arg(long)]
    gateways: Option<u64>,
    #[command(flatten)]
    data: DataArgs,
    /// Where the first gateway listens for PostgreSQL clients, the next ones on the ports after it; port 0: any free ones
    /// [default: as before; at first 127.0.0.1:7432, or any free port where that one is taken]
    #[arg(long, env = "LOCUS_SQL_ADDR", value_name = "ADDR")]
    sql_addr: Option<std::net::SocketAddr>,
    /// Where the page listens for browsers [default: as before; at first 127.0.0.1:7480, or any free port where that one is
    /// taken]
    #[arg(long, env = "LOCUS_WEB_ADDR", value_name = "ADDR")]
    web_addr: Option<std::net::SocketAddr>,
    /// Write the URLs and processes to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Return when SQL answers, and leave the processes running
    #[arg(long)]
    background: bool,
    /// Trust every client on this machine to be who it says it is, and encrypt nothing: for benchmarks. Once said, it holds for
    /// the data
    #[arg(long, env = "LOCUS_INSECURE")]
    insecure: bool,
    /// Load no sample data
    #[arg(long)]
    empty: bool,
}

#[derive(Args)]
struct DataArgs {
    /// Directory of the cluster's data, logs and process list [default: ~/.local/share/locus/demo]
    #[arg(long, env = "LOCUS_DEMO_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct StatusArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DataArgs {
    fn directory(&self) -> Result<PathBuf> {
        let directory = self.data.clone().unwrap_or_else(|| default_data("demo"));
        std::path::absolute(&directory).with_context(|| directory.display().to_string())
    }
}

pub async fn run(arguments: DemoArgs, stop: StopSignal) -> Result<()> {
    match arguments.action {
        None => start(arguments.start, stop).await,
        Some(Action::Stop(data)) => stop_all(&data.directory()?).await,
        Some(Action::Status(arguments)) => status(&arguments),
    }
}

/// How to reach the nodes of a demo cluster.
pub struct Nodes {
    pub nodes: NodeList,
    pub cluster: String,
    pub transport: Transport,
}

/// For `locus status --data`.
pub fn nodes_of(directory: &Path) -> Result<Nodes> {
    let plan = Plan::existing(directory)?;
    let nodes = plan.processes.iter().filter(|process| process.role == "node");
    let nodes = nodes.map(|node| (NodeId(node.id), node.addr.to_string())).collect();
    let transport = secrets::transport(Some(&Plan::secrets(directory)), plan.insecure, Holder::Gateway)?;
    Ok(Nodes { nodes: NodeList(nodes), cluster: plan.cluster, transport })
}

async fn start(arguments: StartArgs, mut stop: StopSignal) -> Result<()> {
    let directory = arguments.data.directory()?;
    secrets::create_private(&directory.join("logs"))?;
    // Held until this process ends: two at once would start everything twice.
    let _lock = lock(&directory)?;
    let mut plan = Plan::load_or_new(&directory)?;
    plan.shape(&directory, arguments.nodes, arguments.gateways)?;
    plan.insecure |= arguments.insecure;
    // Whoever wants any free port for SQL wants no fixed one for the page.
    let web_addr = arguments.web_addr.or(arguments.sql_addr.filter(|addr| addr.port() == 0));
    plan.choose_ports(&directory, arguments.sql_addr, web_addr)?;
    if !arguments.background {
        if plan.processes.iter().any(|process| process.is_alive()) {
            bail!("the cluster runs in the background already; `locus demo stop` ends it");
        }
        plan.supervisor = ProcessId::of(std::process::id());
    }
    if !plan.insecure {
        // Before the processes that read it.
        secrets::Secrets::open(&Plan::secrets(&directory))?;
    }
    let mut cluster = Cluster::new(plan, directory, arguments.background);
    let outcome = tokio::select! {
        outcome = cluster.bring_up(READY_TIMEOUT, !arguments.empty) => outcome,
        () = stop.raised() => Ok(()),
    };
    if outcome.is_err() || stop.is_raised() {
        // In the background as well: half a cluster is of no use to anybody. What ran before goes on.
        cluster.shut_down().await;
        return outcome;
    }
    if let Some(path) = &arguments.json {
        cluster.plan.write_report(path)?;
    }
    announce(&cluster.plan, arguments.background);
    if arguments.background {
        return Ok(());
    }
    cluster.watch(&mut stop).await;
    cluster.shut_down().await;
    println!("stopped");
    Ok(())
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("demo.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another `locus demo` works on {}", directory.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

async fn stop_all(directory: &Path) -> Result<()> {
    let plan = Plan::existing(directory)?;
    if let Some(supervisor) = plan.supervisor.filter(|supervisor| supervisor.is_alive()) {
        // It stops its processes itself.
        supervisor.stop(Duration::from_secs(40)).await;
    }
    let stopped = plan.stop_processes(|_| true).await;
    println!("{stopped} processes stopped");
    Ok(())
}

fn status(arguments: &StatusArgs) -> Result<()> {
    let plan = Plan::existing(&arguments.data.directory()?)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&plan.report(true))?);
    } else {
        print_processes(&plan);
    }
    Ok(())
}

fn announce(plan: &Plan, background: bool) {
    for url in plan.sql_urls() {
        println!("psql {url}");
    }
    if let Some(url) = plan.page_url() {
        println!("page {url}");
    }
    if plan.insecure {
        println!("{INSECURE}");
    }
    println!();
    print_processes(plan);
    println!();
    if !background {
        println!("Ctrl-C stops everything; the data stays.");
    }
}

fn print_processes(plan: &Plan) {
    let row = |process: &cluster::Process| {
        let data = process.data.as_ref().map_or(String::new(), |data| data.display().to_string());
        vec![
            process.role.clone(),
            process.id.to_string(),
            process.process.map_or(String::new(), |process| process.pid.to_string()),
            process.addr.to_string(),
            if process.is_alive() { "running" } else { "stopped" }.to_owned(),
            data,
        ]
    };
    let rows: Vec<Vec<String>> = plan.processes.iter().map(row).collect();
    table::print(&["role", "id", "pid", "address", "state", "data"], &rows);
}
