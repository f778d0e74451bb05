//! One run: a workload, nemeses, a verdict.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use base::Rng;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    cluster::{Cluster, ClusterOptions},
    command,
    equipment::{Needs, faketime},
    meter::{Meter, Recovery},
    namespaces,
    nemesis::Kind,
    pages,
    wire::{Session, Target},
    world::RealWorld,
};
use crate::{
    check::{Anomaly, Decision, Level, Verdict},
    report,
    workload::{self, Client, Connection, Isolation, Parameters, Workload, World},
};

/// How long clients are undisturbed at the beginning: what recovery is compared with.
const CALM: Duration = Duration::from_secs(5);

/// How long clients go on at least when everything has healed.
const TAIL: Duration = Duration::from_secs(3);

/// With fewer committed transactions nobody can tell anything.
const COMMITTED_MIN: usize = 10;

/// How long the cluster may take to be itself again.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct RunOptions {
    pub workload: String,
    pub nemeses: Vec<Kind>,
    /// From the first operation to the healing.
    pub time: Duration,
    /// A client thinks for up to so long after each operation.
    pub think: Duration,
    pub seed: u64,
    pub parameters: Parameters,
    /// Where history, report and logs go.
    pub out: PathBuf,
    /// The `locus` binary.
    pub program: PathBuf,
    pub nodes: u8,
    pub gateways: u8,
    /// Instead of a cluster of our own: these servers, by URL.
    pub against: Vec<String>,
    pub planted_fault: Option<String>,
}

/// One fault, for the report.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    pub nemesis: String,
    pub what: String,
    /// Nanoseconds since the first operation.
    pub from_ns: u64,
    pub to_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    Valid,
    /// An anomaly that the level forbids, a lost write, a process that ended by itself, or no recovery.
    Violated,
    /// Nothing was found, but there was next to nothing to find it in.
    Unknown,
}

#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub workload: String,
    pub nemesis: String,
    pub seed: u64,
    pub database: String,
    pub seconds: f64,
    pub judgement: Judgement,
    /// With the anomalies, the forbidden and the permitted ones.
    pub verdict: Verdict,
    /// What the level forbids, in words.
    pub anomalies: Vec<String>,
    /// What was found and is allowed.
    pub permitted: Vec<String>,
    /// What else went wrong.
    pub problems: Vec<String>,
    pub recovery: Option<Recovery>,
    pub faults: Vec<Fault>,
    pub out: PathBuf,
}

/// What is told while a run goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// Transactions so far.
    Tick {
        elapsed: Duration,
        successes: usize,
    },
    Fault(Fault),
    Healing,
    Checking,
}

pub type Progress = Arc<dyn Fn(Event) + Send + Sync>;

/// Why a nemesis cannot be had on this machine, in a few words.
pub async fn obstacle(kind: Kind) -> Option<String> {
    let needs = kind.needs();
    if needs.clocks && faketime().is_none() {
        return Some("libfaketime is missing (Debian: apt-get install faketime)".to_owned());
    }
    if needs.slow_disks && !command::exists("cc") {
        return Some("there is no C compiler (cc)".to_owned());
    }
    if needs.small_disks && !rustix::process::geteuid().is_root() {
        return Some("not run as root, which mounting takes".to_owned());
    }
    if needs.network || needs.relays { namespaces::obstacle().await } else { None }
}

/// Runs it. An error means that the harness could not do its work; what the database did wrong is in the outcome.
pub async fn run(options: &RunOptions, progress: Progress) -> Result<Outcome> {
    fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    let workload = workload::by_name(&options.workload, &options.parameters)
        .with_context(|| format!("no workload is called {}", options.workload))?;
    let site = Site::prepare(options).await?;
    let database = site.describe(options).await?;
    let run = Run::new(options, workload, &site, progress);
    run.setup().await?;
    let played = run.play(site.cluster()).await;
    let outcome = match played {
        Ok(recovery) => run.judge(database, recovery, site.cluster()).await,
        Err(error) => Err(error),
    };
    site.leave().await?;
    let outcome = outcome?;
    let file = options.out.join("outcome.json");
    fs::write(&file, serde_json::to_string_pretty(&outcome)?).with_context(|| file.display().to_string())?;
    Ok(outcome)
}

/// Where the run takes place.
enum Site {
    Own(Arc<Cluster>),
    /// Somebody else's servers, in a schema of our own.
    Foreign {
        targets: Vec<Target>,
        schema: String,
        is_locus: bool,
    },
}

impl Site {
    async fn prepare(options: &RunOptions) -> Result<Site> {
        if options.against.is_empty() {
            let needs = options.nemeses.iter().fold(Needs::default(), |needs, kind| needs.and(kind.needs()));
            let network = needs.network || namespaces::obstacle().await.is_none();
            let cluster = ClusterOptions {
                program: options.program.clone(),
                nodes: options.nodes,
                gateways: options.gateways,
                needs: Needs { network, ..needs },
                secrets: None,
                logs: options.out.clone(),
                planted_fault: options.planted_fault.clone(),
                seed: options.seed,
            };
            return Ok(Site::Own(Cluster::start(&cluster).await?));
        }
        if options.nemeses.iter().any(|kind| *kind != Kind::None) {
            bail!("a nemesis works on a cluster of the harness's own only");
        }
        let targets: Vec<Target> = options.against.iter().map(|url| Target::url(url)).collect::<Result<_, _>>()?;
        let schema = format!("jepsen_{}", std::process::id());
        let mut session = Session::connect(&targets[0]).await.map_err(|failure| anyhow!("{failure}"))?;
        let mut ask = async |sql: String| session.query(&sql).await.map_err(|failure| anyhow!("`{sql}`: {failure}"));
        let version = ask("SELECT version()".to_owned()).await?;
        let is_locus = version.first().is_some_and(|version| version.contains("Locus"));
        ask(format!("CREATE SCHEMA {schema}")).await?;
        let targets = targets.iter().map(|target| target.with_options(&format!("-c search_path={schema}"))).collect();
        Ok(Site::Foreign { targets, schema, is_locus })
    }

    fn cluster(&self) -> Option<&Arc<Cluster>> {
        match self {
            Site::Own(cluster) => Some(cluster),
            Site::Foreign { .. } => None,
        }
    }

    fn targets(&self) -> Vec<Target> {
        match self {
            Site::Own(cluster) => cluster.targets(),
            Site::Foreign { targets, .. } => targets.clone(),
        }
    }

    fn is_locus(&self) -> bool {
        match self {
            Site::Own(_) => true,
            Site::Foreign { is_locus, .. } => *is_locus,
        }
    }

    /// What the database is, for people.
    async fn describe(&self, options: &RunOptions) -> Result<String> {
        let first = self.targets().swap_remove(0);
        let mut session = Session::connect(&first).await.map_err(|failure| anyhow!("{failure}"))?;
        let version = session.query("SELECT version()").await.map_err(|failure| anyhow!("{failure}"))?;
        let version = version.first().unwrap_or("unknown").to_owned();
        Ok(match self {
            Site::Own(_) => format!("{version}; {} nodes, {} gateways", options.nodes, options.gateways),
            Site::Foreign { .. } => version,
        })
    }

    async fn leave(self) -> Result<()> {
        match self {
            Site::Own(cluster) => cluster.stop().await,
            Site::Foreign { targets, schema, .. } => {
                let mut session = Session::connect(&targets[0]).await.map_err(|failure| anyhow!("{failure}"))?;
                let drop = format!("DROP SCHEMA {schema} CASCADE");
                session.query(&drop).await.map_err(|failure| anyhow!("`{drop}`: {failure}"))?;
                Ok(())
            }
        }
    }
}

struct Run<'a> {
    options: &'a RunOptions,
    workload: Arc<dyn Workload>,
    world: Arc<RealWorld>,
    meter: Arc<Meter>,
    begin: Instant,
    faults: Arc<Mutex<Vec<Fault>>>,
    progress: Progress,
    rng: Mutex<Rng>,
}

impl<'a> Run<'a> {
    fn new(options: &'a RunOptions, workload: Arc<dyn Workload>, site: &Site, progress: Progress) -> Run<'a> {
        let begin = Instant::now();
        let meter = Arc::new(Meter::new(begin));
        let world = Arc::new(RealWorld::new(site.targets(), meter.clone(), site.is_locus()));
        let rng = Mutex::new(Rng::new(options.seed));
        Run { options, workload, world, meter, begin, faults: Arc::default(), progress, rng }
    }

    fn client(&self, number: u32) -> Client {
        let world: Arc<dyn World> = self.world.clone();
        Client::new(world, number, &self.options.parameters, self.rng.lock().split())
    }

    async fn setup(&self) -> Result<()> {
        let mut client = self.client(0);
        let outcome = self.workload.setup(&mut client).await;
        client.disconnect();
        outcome.map_err(|error| anyhow!("cannot set the workload up: {error}"))
    }

    /// Clients work, faults come and go; the recovery when there were any.
    async fn play(&self, cluster: Option<&Arc<Cluster>>) -> Result<Option<Recovery>> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..self.options.parameters.clients {
            let (mut client, workload, stop) = (self.client(number), self.workload.clone(), stop.clone());
            let think = self.options.think.as_nanos() as u64;
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    workload.operate(&mut client).await;
                    let nanos = client.rng.below(think + 1);
                    sleep(Duration::from_nanos(nanos)).await;
                }
            });
        }
        let disturbed = tokio::select! {
            disturbed = self.disturb(cluster) => disturbed,
            never = self.tick() => never,
        };
        stop.store(true, Ordering::Relaxed);
        // Each ends with its operation, which has a time limit of its own.
        while let Some(client) = clients.join_next().await {
            client.context("a client has ended in the middle")?;
        }
        disturbed
    }

    async fn disturb(&self, cluster: Option<&Arc<Cluster>>) -> Result<Option<Recovery>> {
        let start = Instant::now();
        let end = start + self.options.time;
        let kinds: Vec<Kind> = self.options.nemeses.iter().copied().filter(|kind| *kind != Kind::None).collect();
        let Some(cluster) = cluster.filter(|_| !kinds.is_empty()) else {
            sleep_until(end).await;
            return Ok(None);
        };
        sleep_until(end.min(start + CALM)).await;
        let begun = self.meter.now();
        let mut nemeses = JoinSet::new();
        for kind in kinds {
            let torment = Torment {
                cluster: cluster.clone(),
                workload: self.workload.clone(),
                meter: self.meter.clone(),
                faults: self.faults.clone(),
                progress: self.progress.clone(),
            };
            nemeses.spawn(torment.run(kind, self.rng.lock().split(), end));
        }
        let healed_nemeses = async {
            while let Some(ended) = nemeses.join_next().await {
                ended.context("a nemesis has ended in the middle")??;
            }
            Ok::<(), anyhow::Error>(())
        };
        let minded = async {
            loop {
                cluster.look_after().await;
                sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::select! {
            ended = healed_nemeses => ended?,
            never = minded => never,
        }
        (self.progress)(Event::Healing);
        let healed = self.meter.now();
        cluster.heal().await?;
        let deadline = Instant::now() + RECOVERY_MAX;
        sleep(TAIL).await;
        loop {
            let recovery = self.meter.recovery(begun, healed);
            if recovery.half_throughput_ms.is_some() || Instant::now() >= deadline {
                return Ok(Some(recovery));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Says every second how it goes.
    async fn tick<T>(&self) -> T {
        loop {
            sleep(Duration::from_secs(1)).await;
            (self.progress)(Event::Tick { elapsed: self.begin.elapsed(), successes: self.meter.count() });
        }
    }

    async fn judge(
        &self,
        database: String,
        recovery: Option<Recovery>,
        cluster: Option<&Arc<Cluster>>,
    ) -> Result<Outcome> {
        let seconds = self.begin.elapsed().as_secs_f64();
        (self.progress)(Event::Checking);
        let mut problems = Vec::new();
        let mut client = self.client(0);
        let found = self.workload.finish(&mut client).await.unwrap_or_else(|error| {
            problems.push(error);
            Vec::new()
        });
        client.disconnect();
        if let Some(cluster) = cluster {
            problems.extend(cluster.problems().await);
        }
        if recovery.is_some_and(|recovery| recovery.half_throughput_ms.is_none()) {
            problems.push(format!("not recovered within {} s", RECOVERY_MAX.as_secs()));
        }
        let model = match self.world.is_locus() {
            true => self.workload.promise(),
            false => foreign_model(self.options.parameters.isolation),
        };
        let verdict = Verdict::new(model, self.workload.counts(), found);
        let (forbidden, permitted): (Vec<&Anomaly>, Vec<&Anomaly>) =
            verdict.anomalies.iter().partition(|anomaly| workload::is_forbidden(anomaly.kind, model));
        let judgement = match verdict.decision {
            Decision::Violated => Judgement::Violated,
            _ if !problems.is_empty() => Judgement::Violated,
            Decision::Unknown => Judgement::Unknown,
            Decision::Valid if verdict.committed < COMMITTED_MIN => Judgement::Unknown,
            Decision::Valid => Judgement::Valid,
        };
        let edn = self.workload.edn();
        let outcome = Outcome {
            workload: self.options.workload.clone(),
            nemesis: names(&self.options.nemeses),
            seed: self.options.seed,
            database,
            seconds,
            judgement,
            anomalies: forbidden.iter().map(|anomaly| anomaly.to_string()).collect(),
            permitted: permitted.iter().map(|anomaly| anomaly.to_string()).collect(),
            verdict,
            problems,
            recovery,
            faults: self.faults.lock().clone(),
            out: self.options.out.clone(),
        };
        let page = report::page(&pages::of_run(&outcome, self.options, &edn));
        for (name, text) in [("history.edn", &edn), ("report.html", &page)] {
            let file = self.options.out.join(name);
            fs::write(&file, text).with_context(|| file.display().to_string())?;
        }
        Ok(outcome)
    }
}

/// What other servers promise: their SERIALIZABLE need not be strict.
fn foreign_model(isolation: Isolation) -> Level {
    match isolation {
        Isolation::Serializable => Level::Serializable,
        Isolation::RepeatableRead => Level::SnapshotIsolation,
        Isolation::ReadCommitted => Level::ReadCommitted,
    }
}

/// `kill-leader+split`; `none`.
pub fn names(nemeses: &[Kind]) -> String {
    match nemeses {
        [] => Kind::None.to_string(),
        kinds => kinds.iter().map(Kind::to_string).collect::<Vec<String>>().join("+"),
    }
}

/// One nemesis at work.
struct Torment {
    cluster: Arc<Cluster>,
    workload: Arc<dyn Workload>,
    meter: Arc<Meter>,
    faults: Arc<Mutex<Vec<Fault>>>,
    progress: Progress,
}

impl Torment {
    /// Begins and ends faults until the time is up.
    async fn run(self, kind: Kind, mut rng: Rng, until: Instant) -> Result<()> {
        let Some(mut nemesis) = kind.create(&self.cluster, &self.workload) else { return Ok(()) };
        loop {
            sleep_until(until.min(Instant::now() + nemesis.pause(&mut rng))).await;
            if Instant::now() >= until {
                return Ok(());
            }
            let from_ns = self.meter.now();
            let begun = timeout_at(until, nemesis.begin(&self.cluster, &mut rng)).await;
            if begun.is_ok() {
                sleep_until(until.min(Instant::now() + nemesis.lasts(&mut rng))).await;
            }
            nemesis.end(&self.cluster).await.with_context(|| format!("cannot end {kind}"))?;
            let what = match begun {
                Ok(Ok(what)) => what,
                Ok(Err(error)) => return Err(error.context(format!("cannot begin {kind}"))),
                Err(_) => "cut short by the end of the run".to_owned(),
            };
            let fault = Fault { nemesis: kind.to_string(), what, from_ns, to_ns: self.meter.now() };
            (self.progress)(Event::Fault(fault.clone()));
            self.faults.lock().push(fault);
        }
    }
}
