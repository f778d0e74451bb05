//! A cluster of real processes, with everything that a nemesis can do to it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base::Rng;
use futures::future::{join_all, try_join_all};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::{
    equipment::{Equipment, Needs, unmount},
    firewall::Firewall,
    inside::Inside,
    namespaces,
    places::{Member, Places},
    process::Process,
    relay::Relays,
    wire::{Session, Target},
};
use crate::workload::Connection;

/// How long a cluster may take until SQL answers everywhere: a crashed one has logs to replay.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one administrative question may take while faults are about.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// Temporary directories: `locus-jepsen-PID-SERIAL`.
const DIRECTORY_PREFIX: &str = "locus-jepsen-";

#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The `locus` binary.
    pub program: PathBuf,
    pub nodes: u8,
    pub gateways: u8,
    pub needs: Needs,
    /// Where the cluster's key and certificates are, or are made by the processes: nobody is trusted then, and the harness
    /// comes in as the owner of this directory. `None`: `--insecure`.
    pub secrets: Option<PathBuf>,
    /// Where the processes log to.
    pub logs: PathBuf,
    /// A planted fault that every process is started with, for tests of the harness.
    pub planted_fault: Option<String>,
    pub seed: u64,
}

/// What is dropped is dropped in this order: the processes end before what they live on.
pub struct Cluster {
    processes: Vec<(Member, Mutex<Process>)>,
    pub relays: Option<Relays>,
    pub places: Places,
    pub equipment: Equipment,
    firewall: Mutex<Firewall>,
    /// Where the harness speaks to each gateway.
    targets: Vec<(Member, Target)>,
    /// Set while a node may end by itself.
    ends_expected: AtomicBool,
    /// Processes that ended by themselves though nobody expected it.
    problems: parking_lot::Mutex<Vec<String>>,
    next_owner: AtomicU64,
    _directory: Directory,
}

impl Cluster {
    /// Starts the processes and waits until SQL answers at every gateway.
    pub async fn start(options: &ClusterOptions) -> Result<Arc<Cluster>> {
        let directory = Directory::create()?;
        fs::create_dir_all(&options.logs).with_context(|| options.logs.display().to_string())?;
        let needs = options.needs;
        let places = match needs.network || needs.relays {
            true => Places::in_namespaces(options.nodes, options.gateways, needs.relays).await?,
            false => Places::on_loopback(options.nodes, options.gateways)?,
        };
        let relays = match needs.relays {
            true => Some(Relays::start(&places, options.seed).await?),
            false => None,
        };
        let mut equipment = Equipment::prepare(needs, &directory.0).await?;
        let mut processes = Vec::new();
        for member in places.members() {
            let (flags, environment) = equipment.equip(member).await?;
            let command = command_of(options, &places, &equipment, member, &directory.name(), flags);
            let log = options.logs.join(format!("{}.log", member.short()));
            let process = Process::new(member.to_string(), command, environment, log);
            processes.push((member, Mutex::new(process)));
        }
        let mut targets = Vec::new();
        for gateway in &places.gateways {
            let inside = match &places.namespaces {
                Some(namespaces) => Inside::enter(namespaces.path(&gateway.short()))?,
                None => Inside::here(),
            };
            let target = Target::gateway(places.listens_at(*gateway), inside, options.secrets.as_deref());
            targets.push((*gateway, target));
        }
        let cluster = Arc::new(Cluster {
            places,
            equipment,
            relays,
            processes,
            firewall: Mutex::default(),
            targets,
            ends_expected: AtomicBool::new(false),
            problems: parking_lot::Mutex::default(),
            next_owner: AtomicU64::new(1),
            _directory: directory,
        });
        cluster.start_dead().await?;
        cluster.wait_until_ready(READY_TIMEOUT).await?;
        Ok(cluster)
    }

    pub fn nodes(&self) -> &[Member] {
        &self.places.nodes
    }

    pub fn gateways(&self) -> &[Member] {
        &self.places.gateways
    }

    pub fn targets(&self) -> Vec<Target> {
        self.targets.iter().map(|(_, target)| target.clone()).collect()
    }

    /// A number by which a nemesis can own packet filters.
    pub fn new_owner(&self) -> u64 {
        self.next_owner.fetch_add(1, Ordering::Relaxed)
    }

    pub async fn set_rules(&self, owner: u64, rules: Vec<super::firewall::Rule>) -> Result<()> {
        self.firewall.lock().await.set(&self.places, owner, rules).await
    }

    fn process(&self, member: Member) -> Result<&Mutex<Process>> {
        let found = self.processes.iter().find(|(of, _)| *of == member);
        found.map(|(_, process)| process).with_context(|| format!("there is no {member}"))
    }

    pub async fn kill(&self, members: &[Member]) -> Result<()> {
        let killed = members.iter().map(|member| async move { self.process(*member)?.lock().await.kill().await });
        try_join_all(killed).await?;
        Ok(())
    }

    /// Asks a process to stop, and starts it again.
    pub async fn restart(&self, member: Member) -> Result<()> {
        let mut process = self.process(member)?.lock().await;
        process.stop().await?;
        process.start()
    }

    pub async fn pause(&self, member: Member) -> Result<()> {
        self.process(member)?.lock().await.pause();
        Ok(())
    }

    pub async fn resume(&self, member: Member) -> Result<()> {
        self.process(member)?.lock().await.resume();
        Ok(())
    }

    /// Starts every process that does not run.
    pub async fn start_dead(&self) -> Result<()> {
        for (_, process) in &self.processes {
            process.lock().await.start()?;
        }
        Ok(())
    }

    pub async fn is_up(&self, member: Member) -> bool {
        match self.process(member) {
            Ok(process) => process.lock().await.is_up(),
            Err(_) => false,
        }
    }

    /// While `true`, a node may end by itself: a full disk is a good reason.
    pub fn expect_ends(&self, expected: bool) {
        self.ends_expected.store(expected, Ordering::Relaxed);
    }

    /// Notices processes that have ended by themselves.
    pub async fn look_after(&self) {
        for (_, process) in &self.processes {
            let Ok(mut process) = process.try_lock() else { continue };
            if let Some(end) = process.ended() {
                match self.ends_expected.load(Ordering::Relaxed) {
                    true => tracing::info!("{end}"),
                    false => self.problems.lock().push(end),
                }
            }
        }
    }

    /// What went wrong that no nemesis had asked for: processes that ended by themselves, panics.
    pub async fn problems(&self) -> Vec<String> {
        self.look_after().await;
        let mut problems = self.problems.lock().clone();
        for (_, process) in &self.processes {
            let process = process.lock().await;
            let text = fs::read_to_string(&process.log).unwrap_or_default();
            let panics = text.lines().filter(|line| line.contains("panicked at"));
            problems.extend(panics.take(3).map(|line| format!("{}: {}", process.name, line.trim())));
        }
        problems
    }

    /// Ends every fault, whoever brought it about, and starts what is dead. The nemeses have ended before.
    pub async fn heal(&self) -> Result<()> {
        if self.places.namespaces.is_some() {
            self.firewall.lock().await.clear(&self.places).await?;
        }
        if let Some(relays) = &self.relays {
            relays.sky.set(Default::default());
        }
        for (_, process) in &self.processes {
            process.lock().await.resume();
        }
        self.look_after().await;
        self.start_dead().await
    }

    /// Waits until every gateway answers.
    pub async fn wait_until_ready(&self, patience: Duration) -> Result<()> {
        let all = join_all(self.targets.iter().map(|(gateway, target)| async move {
            loop {
                match ask(target, "SELECT 1").await {
                    Ok(_) => return,
                    Err(error) => tracing::debug!(%gateway, "not ready: {error:#}"),
                }
                sleep(Duration::from_millis(100)).await;
            }
        }));
        if timeout(patience, all).await.is_err() {
            self.look_after().await;
            bail!("SQL does not answer after {} s {}", patience.as_secs(), self.problems.lock().join("; "));
        }
        Ok(())
    }

    /// Asks one gateway after the other until one answers.
    pub async fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mut last = anyhow::anyhow!("there is no gateway");
        for (_, target) in &self.targets {
            match ask(target, sql).await {
                Ok(rows) => return Ok(rows),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The leaders of all ranges in the order of their keys, so the system range's (the oracle) comes first.
    pub async fn leaders(&self) -> Result<Vec<(u64, Option<Member>)>> {
        let rows = self.ask("SELECT range_id, leader FROM locus.ranges ORDER BY start_key").await?;
        let number = |text: &Option<String>| text.as_deref()?.parse::<u64>().ok();
        let range = |row: &Vec<Option<String>>| {
            let leader = row.get(1).and_then(number).and_then(|node| u8::try_from(node).ok()).map(Member::Node);
            Some((row.first().and_then(number)?, leader))
        };
        Ok(rows.iter().filter_map(range).collect())
    }

    /// The node that leads the system range; a random one when nobody can tell.
    pub async fn oracle(&self, rng: &mut Rng) -> Member {
        let leaders = self.leaders().await.unwrap_or_default();
        leaders.first().and_then(|(_, leader)| *leader).unwrap_or_else(|| self.some_node(rng))
    }

    /// The node that leads most ranges of tables (they come last); a random one when nobody can tell.
    pub async fn leader(&self, rng: &mut Rng) -> Member {
        let leaders = self.leaders().await.unwrap_or_default();
        let tables = leaders.iter().skip(1).filter_map(|(_, leader)| *leader);
        let tables: Vec<Member> = tables.collect();
        let led = |node: &Member| tables.iter().filter(|leader| *leader == node).count();
        let busiest = self.nodes().iter().copied().max_by_key(led).filter(|node| led(node) > 0);
        busiest.unwrap_or_else(|| self.some_node(rng))
    }

    pub fn some_node(&self, rng: &mut Rng) -> Member {
        self.nodes()[rng.below(self.nodes().len() as u64) as usize]
    }

    /// Stops everything in order, so that the processes can say their last words.
    pub async fn stop(&self) -> Result<()> {
        for members in [self.gateways(), self.nodes()] {
            let stopped = members.iter().map(|member| async move { self.process(*member)?.lock().await.stop().await });
            try_join_all(stopped).await?;
        }
        Ok(())
    }
}

/// One question in a session of its own.
async fn ask(target: &Target, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let deadline = Instant::now() + QUESTION_TIMEOUT;
    let answer = async {
        let mut session = Session::connect(target).await?;
        session.query(sql).await
    };
    match tokio::time::timeout_at(deadline, answer).await {
        Ok(Ok(answer)) => Ok(answer.rows),
        Ok(Err(failure)) => Err(anyhow::anyhow!("{failure}")),
        Err(_) => bail!("no answer within {} s", QUESTION_TIMEOUT.as_secs()),
    }
}

/// How a member is started. The only place that knows the flags of `locus node` and `locus gateway`.
fn command_of(
    options: &ClusterOptions,
    places: &Places,
    equipment: &Equipment,
    member: Member,
    cluster: &str,
    flags: Vec<String>,
) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    if let Some(namespaces) = &places.namespaces {
        words.extend(["ip", "netns", "exec"].map(str::to_owned));
        words.push(namespaces.name(&member.short()));
    }
    words.push(options.program.display().to_string());
    let listen = places.listens_at(member).to_string();
    let nodes = places.node_list(member);
    match member {
        Member::Node(id) => {
            let (id, data) = (id.to_string(), equipment.data(member).display().to_string());
            let own = ["node", "--id", &id, "--listen", &listen, "--peers", &nodes, "--data", &data];
            words.extend(own.map(str::to_owned));
        }
        Member::Gateway(_) => {
            words.extend(["gateway", "--sql-addr", &listen, "--nodes", &nodes].map(str::to_owned));
        }
    }
    match &options.secrets {
        Some(directory) => words.extend(["--secrets".to_owned(), directory.display().to_string()]),
        None => words.push("--insecure".to_owned()),
    }
    words.extend(["--cluster", cluster, "--stop-with-stdin"].map(str::to_owned));
    words.extend(flags);
    if let Some(fault) = &options.planted_fault {
        words.extend(["--planted-fault".to_owned(), fault.clone()]);
    }
    words
}

/// A directory that goes with the cluster.
struct Directory(PathBuf);

impl Directory {
    fn create() -> Result<Directory> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{DIRECTORY_PREFIX}{}-{serial}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Directory(path))
    }

    /// Also a name for the cluster that no other one has.
    fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove");
        }
    }
}

/// Takes away what harnesses that are gone have left behind: processes, namespaces, file systems, directories.
pub async fn sweep() {
    let namespaces = namespaces::sweep().await;
    let mut directories = 0;
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(DIRECTORY_PREFIX).is_some_and(namespaces::is_stale) {
            mounts_below(&entry.path()).iter().for_each(|mount| unmount(mount));
            directories += 1;
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(name, %error, "cannot remove");
            }
        }
    }
    if namespaces + directories > 0 {
        tracing::info!(namespaces, directories, "removed what an earlier run had left behind");
    }
}

fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    places.filter(|place| place.starts_with(directory)).collect()
}
