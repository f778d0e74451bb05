//! The processes of a demo cluster: which, where, and whether they run.

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base::NodeId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_postgres::NoTls;

use super::sample;
use crate::{
    config::{DEFAULT_SQL_ADDR, DEFAULT_WEB_ADDR, NodeList},
    process::{ProcessId, StopSignal},
    secrets::{self, Secrets, random_password, write_private},
};

/// How long a process may take to stop by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// The tiers, lowest first: they start in this order and stop in the reverse.
const ROLES: [&str; 3] = ["node", "gateway", "web"];

/// What the cluster consists of, as kept in `demo.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// A name that no other cluster has: ports are used again, and nodes of different clusters must never talk.
    pub cluster: String,
    pub sample_loaded: bool,
    /// Clients are trusted.
    #[serde(default)]
    pub insecure: bool,
    /// The password that the role `locus` was given; whoever may read this file may have it.
    #[serde(default)]
    pub owner_password: Option<String>,
    /// The `locus demo` in the foreground that minds the processes.
    pub supervisor: Option<ProcessId>,
    /// Nodes, then gateways, then the page.
    pub processes: Vec<Process>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// One of [`ROLES`].
    pub role: String,
    pub id: u64,
    pub addr: SocketAddr,
    pub data: Option<PathBuf>,
    pub log: PathBuf,
    /// The command that starts it, the same each time.
    pub command: Vec<String>,
    pub process: Option<ProcessId>,
}

impl Process {
    pub fn is_alive(&self) -> bool {
        self.process.is_some_and(ProcessId::is_alive)
    }

    fn name(&self) -> String {
        format!("{} {}", self.role, self.id)
    }

    /// Of a gateway, for the role that owns the system.
    fn url(&self, password: Option<&str>) -> String {
        let password = password.map_or(String::new(), |password| format!(":{password}"));
        format!("postgresql://locus{password}@{}/locus", self.addr)
    }
}

impl Plan {
    fn path(directory: &Path) -> PathBuf {
        directory.join("demo.json")
    }

    pub fn existing(directory: &Path) -> Result<Plan> {
        let path = Plan::path(directory);
        let text = fs::read_to_string(&path).with_context(|| format!("no demo cluster in {}", directory.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    pub fn load_or_new(directory: &Path) -> Result<Plan> {
        if Plan::path(directory).exists() {
            return Plan::existing(directory);
        }
        let cluster = format!("demo-{:016x}", storage::shell::random_u64());
        Ok(Plan {
            cluster,
            sample_loaded: false,
            insecure: false,
            owner_password: None,
            supervisor: None,
            processes: Vec::new(),
        })
    }

    pub fn save(&self, directory: &Path) -> Result<()> {
        write_private(&Plan::path(directory), serde_json::to_string_pretty(self)?.as_bytes())
    }

    fn count(&self, role: &str) -> u64 {
        self.processes.iter().filter(|process| process.role == role).count() as u64
    }

    /// Brings the numbers of nodes and gateways to what is asked for.
    pub fn shape(&mut self, directory: &Path, nodes: Option<u64>, gateways: Option<u64>) -> Result<()> {
        let existing = self.count("node");
        let nodes = nodes.unwrap_or(if existing > 0 { existing } else { 3 });
        if existing > 0 && nodes != existing {
            bail!("this data belongs to a cluster of {existing} nodes; it cannot be made one of {nodes} yet");
        }
        let gateways = gateways.unwrap_or(self.count("gateway").max(1));
        if nodes == 0 || gateways == 0 {
            bail!("a cluster needs at least one node and one gateway");
        }
        let (mut kept, surplus): (Vec<Process>, Vec<Process>) =
            self.processes.drain(..).partition(|process| process.role != "gateway" || process.id <= gateways);
        if surplus.iter().any(Process::is_alive) {
            bail!("more gateways than that are running; stop the cluster first");
        }
        for (role, count) in [("node", nodes), ("gateway", gateways), ("web", 1)] {
            for id in 1..=count {
                if !kept.iter().any(|process| process.role == role && process.id == id) {
                    kept.push(Process {
                        role: role.to_owned(),
                        id,
                        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                        data: (role == "node").then(|| directory.join(format!("node-{id}"))),
                        log: directory.join("logs").join(format!("{role}-{id}.log")),
                        command: Vec::new(),
                        process: None,
                    });
                }
            }
        }
        kept.sort_by_key(|process| (ROLES.iter().position(|role| *role == process.role), process.id));
        self.processes = kept;
        Ok(())
    }

    pub fn secrets(directory: &Path) -> PathBuf {
        directory.join("secrets")
    }

    /// Gives every process an address that is free. Ports of earlier runs are kept where possible; those of nodes must be
    /// while another node still runs, because that one knows them.
    pub fn choose_ports(
        &mut self,
        directory: &Path,
        sql_addr: Option<SocketAddr>,
        web_addr: Option<SocketAddr>,
    ) -> Result<()> {
        let node_runs = self.processes.iter().any(|process| process.role == "node" && process.is_alive());
        // Held until all are chosen, so that no two get the same one.
        let mut held = Vec::new();
        for process in &mut self.processes {
            if process.is_alive() {
                continue;
            }
            let (chosen, usual) = match process.role.as_str() {
                "gateway" => (sql_addr, Some(DEFAULT_SQL_ADDR)),
                "web" => (web_addr, Some(DEFAULT_WEB_ADDR)),
                _ => (None, None),
            };
            let wanted = wanted_addr(process, chosen, usual)?;
            let listener = match TcpListener::bind(wanted) {
                Ok(listener) => listener,
                Err(error) if process.role == "node" && node_runs => {
                    return Err(error).with_context(|| format!("the port of {} ({wanted}) is taken", process.name()));
                }
                Err(error) if chosen.is_some_and(|addr| addr.port() != 0) => {
                    return Err(error).with_context(|| format!("cannot listen on {wanted}"));
                }
                Err(_) => TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).context("no free port")?,
            };
            process.addr = listener.local_addr()?;
            held.push(listener);
        }
        self.set_commands(directory)
    }

    fn set_commands(&mut self, directory: &Path) -> Result<()> {
        let program = env::current_exe().context("where is this program?")?.display().to_string();
        let nodes: BTreeMap<NodeId, String> = self
            .processes
            .iter()
            .filter(|process| process.role == "node")
            .map(|process| (NodeId(process.id), process.addr.to_string()))
            .collect();
        let nodes = NodeList(nodes).to_string();
        let secrets = Plan::secrets(directory).display().to_string();
        let gateway = self.first("gateway").map(|gateway| secrets::reachable(gateway.addr).to_string());
        let gateway = gateway.unwrap_or_default();
        let authority = secrets::trusted(&Plan::secrets(directory)).display().to_string();
        for process in &mut self.processes {
            let addr = process.addr.to_string();
            let id = process.id.to_string();
            let data = process.data.as_ref().map(|data| data.display().to_string()).unwrap_or_default();
            let cluster = self.cluster.as_str();
            let own = match process.role.as_str() {
                "node" => {
                    vec!["node", "--id", &id, "--listen", &addr, "--peers", &nodes, "--data", &data]
                }
                "gateway" => vec!["gateway", "--sql-addr", &addr, "--nodes", &nodes],
                _ if self.insecure => vec!["web", "--listen", &addr, "--gateway", &gateway],
                _ => vec!["web", "--listen", &addr, "--gateway", &gateway, "--web-gateway-ca", &authority],
            };
            let shared = ["--secrets", &secrets, "--cluster", cluster];
            let shared = shared.into_iter().chain(self.insecure.then_some("--insecure"));
            let words = [program.as_str()].into_iter().chain(own).chain(shared.filter(|_| process.role != "web"));
            process.command = words.map(str::to_owned).collect();
        }
        Ok(())
    }

    /// Every client can use them as they are: they carry the password.
    pub fn sql_urls(&self) -> Vec<String> {
        let password = self.owner_password.as_deref().filter(|_| !self.insecure);
        self.gateways().map(|gateway| gateway.url(password)).collect()
    }

    fn gateways(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.role == "gateway")
    }

    /// Where the page is.
    pub fn page_url(&self) -> Option<String> {
        self.first("web").map(|web| format!("http://{}/", web.addr))
    }

    fn first(&self, role: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.role == role)
    }

    /// For people and programs: what `--json` writes.
    pub fn report(&self, with_state: bool) -> Value {
        let process = |process: &Process| {
            let mut value = json!({
                "role": process.role,
                "id": process.id,
                "pid": process.process.map(|process| process.pid),
                "addr": process.addr,
                "data": process.data,
                "log": process.log,
                "command": process.command,
            });
            if with_state {
                value["running"] = json!(process.is_alive());
            }
            value
        };
        json!({
            "sql_urls": self.sql_urls(),
            "page_url": self.page_url(),
            "cluster": self.cluster,
            "processes": self.processes.iter().map(process).collect::<Vec<Value>>(),
        })
    }

    pub fn write_report(&self, path: &Path) -> Result<()> {
        write_private(path, serde_json::to_string_pretty(&self.report(false))?.as_bytes())
    }

    /// Stops those processes, nodes last; how many there were.
    pub async fn stop_processes(&self, which: impl Fn(&Process) -> bool) -> usize {
        let mut stopped = 0;
        for role in ROLES.into_iter().rev() {
            let running: Vec<ProcessId> = self
                .processes
                .iter()
                .filter(|process| process.role == role && which(process))
                .filter_map(|process| process.process.filter(|process| process.is_alive()))
                .collect();
            stopped += running.len();
            let mut tasks = tokio::task::JoinSet::new();
            for process in running {
                tasks.spawn(process.stop(STOP_PATIENCE));
            }
            tasks.join_all().await;
        }
        stopped
    }
}

/// Where a process shall listen: as it was told, as before, or as usual; the further ones of a role on the ports after it.
fn wanted_addr(process: &Process, chosen: Option<SocketAddr>, usual: Option<&str>) -> Result<SocketAddr> {
    let base = match (chosen, usual) {
        (Some(addr), _) if addr.port() == 0 => return Ok(addr),
        (Some(addr), _) => addr,
        (None, Some(usual)) if process.addr.port() == 0 => usual.parse()?,
        _ => return Ok(process.addr),
    };
    let offset = u16::try_from(process.id - 1).ok().and_then(|offset| base.port().checked_add(offset));
    Ok(SocketAddr::new(base.ip(), offset.context("no port left for so many")?))
}

/// The processes that this one has started.
pub struct Cluster {
    pub plan: Plan,
    directory: PathBuf,
    background: bool,
    children: Vec<(String, Child)>,
}

impl Cluster {
    pub fn new(plan: Plan, directory: PathBuf, background: bool) -> Cluster {
        Cluster { plan, directory, background, children: Vec::new() }
    }

    /// Starts what does not run, waits until SQL answers at every gateway, and loads the sample data the first time.
    pub async fn bring_up(&mut self, patience: Duration, with_sample: bool) -> Result<()> {
        // Before the gateways, which would otherwise all make them at once.
        Secrets::open(&Plan::secrets(&self.directory))?;
        for position in 0..self.plan.processes.len() {
            if !self.plan.processes[position].is_alive() {
                self.spawn(position)?;
            }
        }
        self.plan.save(&self.directory)?;
        let gateways: Vec<Process> = self.plan.gateways().cloned().collect();
        for gateway in &gateways {
            self.wait_for(gateway, patience).await?;
        }
        if !self.plan.insecure && self.plan.owner_password.is_none() {
            let password = random_password();
            let statement = format!("ALTER ROLE locus PASSWORD '{password}'");
            run(&self.owner_url(&gateways[0])?, &statement).await.context("cannot give the owner a password")?;
            self.plan.owner_password = Some(password);
            self.plan.save(&self.directory)?;
        }
        if with_sample && !self.plan.sample_loaded {
            let url = self.owner_url(&gateways[0])?;
            run(&url, &sample::script()).await.context("cannot load the sample data")?;
            self.plan.sample_loaded = true;
            self.plan.save(&self.directory)?;
        }
        Ok(())
    }

    /// The URL of a gateway for whoever owns the directory; good for a minute, whatever the password is by now.
    fn owner_url(&self, gateway: &Process) -> Result<String> {
        let pass = match self.plan.insecure {
            true => None,
            false => Some(Secrets::existing(&Plan::secrets(&self.directory))?.owner_pass()),
        };
        Ok(gateway.url(pass.as_deref()))
    }

    fn spawn(&mut self, position: usize) -> Result<()> {
        let process = &mut self.plan.processes[position];
        let log = fs::OpenOptions::new().create(true).append(true).open(&process.log);
        let log = log.with_context(|| format!("cannot write {}", process.log.display()))?;
        let (program, arguments) = process.command.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C in the terminal reaches this process only, which then stops the others in order.
        command.process_group(0);
        if self.background {
            command.stdin(Stdio::null());
        } else {
            // The pipe ends with this process, however it ends; that stops the child.
            command.arg("--stop-with-stdin").stdin(Stdio::piped());
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", process.name()))?;
        process.process = child.id().and_then(ProcessId::of);
        self.children.push((process.name(), child));
        Ok(())
    }

    /// Waits until a gateway answers. A process that ends meanwhile ends the waiting.
    async fn wait_for(&mut self, gateway: &Process, patience: Duration) -> Result<()> {
        let pass = Secrets::existing(&Plan::secrets(&self.directory))?;
        let insecure = self.plan.insecure;
        let mut last = String::new();
        let answered = async {
            loop {
                let pass = (!insecure).then(|| pass.owner_pass());
                match run(&gateway.url(pass.as_deref()), "SELECT 1").await {
                    Ok(()) => return,
                    Err(error) => last = format!("{error:#}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = answered => Ok(()),
            name = any_ended(&mut self.children) => {
                bail!("{name} has ended while the cluster started\n{}", self.log_tail(&name));
            }
            () = tokio::time::sleep(patience) => {
                let logs = self.directory.join("logs");
                bail!("SQL does not answer after {} s ({last}); see {}", patience.as_secs(), logs.display());
            }
        }
    }

    fn log_tail(&self, name: &str) -> String {
        let log = self.plan.processes.iter().find(|process| process.name() == name).map(|process| &process.log);
        let text = log.and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// In the foreground: minds the processes until it is told to stop or none is left.
    pub async fn watch(&mut self, stop: &mut StopSignal) {
        while !self.children.is_empty() {
            tokio::select! {
                () = stop.raised() => return,
                name = any_ended(&mut self.children) => {
                    println!("{name} has ended; start it again with");
                    let ended = self.plan.processes.iter().find(|process| process.name() == name);
                    println!("  {}", ended.map_or(String::new(), |process| process.command.join(" ")));
                }
            }
        }
    }

    /// Stops what this process has started.
    pub async fn shut_down(&mut self) {
        let names: Vec<String> = self.children.iter().map(|(name, _)| name.clone()).collect();
        self.plan.stop_processes(|process| names.contains(&process.name())).await;
        for (_, child) in &mut self.children {
            // It has ended; this only takes notice.
            let _ = child.try_wait();
        }
    }
}

/// Waits until one of the children ends, and takes it out of the list.
async fn any_ended(children: &mut Vec<(String, Child)>) -> String {
    loop {
        let ended = children.iter_mut().position(|(_, child)| matches!(child.try_wait(), Ok(Some(_))));
        if let Some(position) = ended {
            return children.remove(position).0;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
async fn run(url: &str, text: &str) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::select! {
        outcome = client.batch_execute(text) => outcome.map_err(Into::into),
        ended = connection => ended.map_err(Into::into).and_then(|()| bail!("connection closed")),
    }
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod tests;
