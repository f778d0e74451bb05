//! One simulated run: a cluster, a workload and a fault schedule, all from one seed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base::{BoxFuture, Monotonic, NodeId, Rng};
use parking_lot::Mutex;

use super::{
    cluster::{Cluster, ClusterOptions},
    gateways::Gateway,
    kv_append::KvAppend,
    nemesis::Nemesis,
    planted::Planted,
};
use crate::{
    check::{Anomaly, Kind},
    history::{Counts, Outcome},
    nemesis::{Fault, Schedule},
    workload::{self, Client, Isolation, Parameters, Shape, Workload},
};

#[derive(Clone, Debug)]
pub struct RunOptions {
    pub seed: u64,
    pub workload: String,
    /// How long clients and faults go on, in simulated time.
    pub length: Duration,
    pub clients: u32,
    /// The clients' isolation level and the shape of the tables; drawn from the seed when not given.
    pub isolation: Option<Isolation>,
    pub shape: Option<Shape>,
    pub planted: Option<Planted>,
    /// Instead of a drawn schedule: only these kinds of faults.
    pub faults: Option<Vec<Fault>>,
    /// Keep the trace's lines, for looking at a failing seed.
    pub keep_trace: bool,
}

impl RunOptions {
    pub fn new(seed: u64, workload: &str) -> RunOptions {
        RunOptions {
            seed,
            workload: workload.to_owned(),
            length: Duration::from_secs(12),
            clients: 9,
            isolation: None,
            shape: None,
            planted: None,
            faults: None,
            keep_trace: false,
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub workload: String,
    /// Equal for two runs of one seed.
    pub trace_hash: u64,
    pub trace: Vec<String>,
    pub events: u64,
    pub simulated: Duration,
    pub faults: BTreeMap<Fault, u64>,
    pub operations: Counts,
    pub parameters: Parameters,
    /// Of a run that failed, in Jepsen's format.
    pub history: String,
    /// Anomalies, replicas that differ, nodes that stopped, clusters that did not recover.
    pub failures: Vec<String>,
}

impl Report {
    pub fn is_green(&self) -> bool {
        self.failures.is_empty()
    }
}

/// How long a healed cluster gets to answer again.
const RECOVERY: Duration = Duration::from_secs(60);

/// How long the replicas of a healed cluster may differ: a follower may need a snapshot.
const SETTLING: Duration = Duration::from_secs(10);

/// The longest pause of a client between two operations.
const THINK: Duration = Duration::from_millis(20);

/// The workloads of the simulator: those of [`workload::NAMES`], one below SQL, and `mutex`, which does not bear all faults.
pub const NAMES: [&str; workload::NAMES.len() + 2] = {
    let mut names = ["kv-append"; workload::NAMES.len() + 2];
    names[1] = "mutex";
    let mut at = 0;
    while at < workload::NAMES.len() {
        names[at + 2] = workload::NAMES[at];
        at += 1;
    }
    names
};

/// Serializable half of the time.
fn draw_parameters(options: &RunOptions, rng: &mut Rng) -> Parameters {
    let isolation = match rng.below(4) {
        0 => Isolation::ReadCommitted,
        1 => Isolation::RepeatableRead,
        _ => Isolation::Serializable,
    };
    let shape = Shape::ALL[rng.below(3) as usize];
    Parameters {
        isolation: options.isolation.unwrap_or(isolation),
        shape: options.shape.unwrap_or(shape),
        clients: options.clients,
        timeout: Duration::from_secs(rng.between(2, 10)),
    }
}

fn make_workload(name: &str, parameters: &Parameters, cluster: &Cluster) -> Arc<dyn Workload> {
    match name {
        "kv-append" => Arc::new(KvAppend::new(cluster.gateways())),
        _ => workload::by_name(name, parameters).expect("a known workload"),
    }
}

pub fn run(options: &RunOptions) -> Report {
    let mut rng = Rng::new(options.seed);
    let parameters = draw_parameters(options, &mut rng);
    let cluster_options = ClusterOptions { planted: options.planted, keep_trace: options.keep_trace };
    let mut cluster = Cluster::start(&cluster_options, &mut rng);
    let workload = make_workload(&options.workload, &parameters, &cluster);
    let mut failures = Vec::new();
    let mut schedule = Schedule { faults: Vec::new() };
    match set_up(&mut cluster, &workload, &parameters, &mut rng) {
        Err(reason) => failures.push(reason),
        Ok(()) => {
            schedule = match &options.faults {
                Some(kinds) => Schedule::draw_from(&mut rng, options.length, kinds),
                None => {
                    let bearable: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| workload.bears(*fault)).collect();
                    Schedule::draw(&mut rng, options.length, &bearable)
                }
            };
            let busy = start_clients(&mut cluster, &workload, options, &parameters, &mut rng);
            Nemesis::new(&schedule, workload.clone(), rng.split()).unleash(&mut cluster, options.length);
            failures.extend(finish(&mut cluster, &workload, &parameters, &busy));
        }
    }
    failures.extend(cluster.world.fatal.iter().cloned());
    Report {
        seed: options.seed,
        workload: options.workload.clone(),
        trace_hash: cluster.world.trace.hash(),
        trace: cluster.world.trace.lines().to_vec(),
        events: cluster.world.events,
        simulated: Duration::from_nanos(cluster.world.now().0),
        faults: schedule.count_by_kind(),
        operations: workload.counts(),
        parameters,
        history: if failures.is_empty() { String::new() } else { workload.edn() },
        failures,
    }
}

/// Makes the system catalog and the workload's tables, and splits them.
fn set_up(
    cluster: &mut Cluster,
    workload: &Arc<dyn Workload>,
    parameters: &Parameters,
    rng: &mut Rng,
) -> Result<(), String> {
    let gateways = cluster.gateways();
    let mut client = Client::new(Arc::new(gateways.clone()), 0, parameters, rng.split());
    let workload = workload.clone();
    let outcome = cluster.drive(RECOVERY, async move {
        let bootstrap = |gateway: Gateway| -> BoxFuture<'static, Result<(), sql::SqlError>> {
            Box::pin(async move { gateway.database.bootstrap().await })
        };
        let made = gateways.run(0, &mut Rng::new(0), |_| Outcome::Aborted, bootstrap).await;
        made.value.ok_or_else(|| "the catalog could not be made".to_owned())?;
        workload.setup(&mut client).await
    });
    outcome.unwrap_or_else(|| Err("the cluster did not come up".to_owned()))
}

/// Starts the clients; the number of those that are still busy.
fn start_clients(
    cluster: &mut Cluster,
    workload: &Arc<dyn Workload>,
    options: &RunOptions,
    parameters: &Parameters,
    rng: &mut Rng,
) -> Arc<AtomicU32> {
    let busy = Arc::new(AtomicU32::new(options.clients));
    let end = (cluster.world.now() + options.length).0;
    for number in 0..options.clients {
        let mut client = Client::new(Arc::new(cluster.gateways()), number, parameters, rng.split());
        let (workload, busy) = (workload.clone(), busy.clone());
        cluster.world.executor.spawn(Box::pin(async move {
            workload::run_client(&*workload, &mut client, end, THINK).await;
            busy.fetch_sub(1, Ordering::Relaxed);
        }));
    }
    busy
}

/// Heals everything, reads everything, compares the replicas.
fn finish(
    cluster: &mut Cluster,
    workload: &Arc<dyn Workload>,
    parameters: &Parameters,
    busy: &AtomicU32,
) -> Vec<String> {
    cluster.heal();
    let limit = cluster.world.now() + RECOVERY;
    cluster.world.run_until(limit, || busy.load(Ordering::Relaxed) == 0);
    if busy.load(Ordering::Relaxed) > 0 {
        return vec!["clients hang though everything has healed".to_owned()];
    }
    let mut client = Client::new(Arc::new(cluster.gateways()), 0, parameters, Rng::new(0));
    let judge = workload.clone();
    let reading = async move { judge.finish(&mut client).await };
    let mut failures = match cluster.drive(RECOVERY * 2, reading) {
        None => vec!["the final read was never answered".to_owned()],
        Some(Err(reason)) => vec![reason],
        Some(Ok(anomalies)) => {
            let forbidden = anomalies.iter().filter(|anomaly| !workload.permits(anomaly.kind));
            forbidden.map(Anomaly::to_string).collect()
        }
    };
    failures.extend(settle(cluster).iter().map(Anomaly::to_string));
    failures
}

/// Waits until all replicas hold the same, within reason.
fn settle(cluster: &mut Cluster) -> Vec<Anomaly> {
    let limit = cluster.world.now() + SETTLING;
    loop {
        let differing = divergence(cluster);
        if differing.is_empty() || cluster.world.now() >= limit {
            return differing;
        }
        let next = cluster.world.now() + Duration::from_millis(500);
        cluster.world.run_until(next, || false);
    }
}

/// After a quiet time all replicas must hold the same data.
fn divergence(cluster: &Cluster) -> Vec<Anomaly> {
    use storage::ColumnFamily;
    let mut anomalies = Vec::new();
    for cf in [ColumnFamily::Data, ColumnFamily::Intent] {
        let contents: Vec<(NodeId, BTreeMap<Vec<u8>, Vec<u8>>)> =
            cluster.world.nodes.values().map(|node| (node.id, contents(node.reader(), cf))).collect();
        for pair in contents.windows(2) {
            let ((a, left), (b, right)) = (&pair[0], &pair[1]);
            let differing = left.iter().find(|(key, value)| right.get(*key) != Some(value)).map(|(key, _)| key);
            let differing = differing.or_else(|| right.keys().find(|key| !left.contains_key(*key)));
            if let Some(key) = differing {
                let text = format!("{a} and {b} differ in {} at key {}", cf.name(), key.escape_ascii());
                anomalies.push(Anomaly::new(Kind::Divergence, text));
            }
        }
    }
    anomalies
}

fn contents(reader: &dyn storage::Reader, cf: storage::ColumnFamily) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut contents = BTreeMap::new();
    let Ok(mut cursor) = reader.cursor(cf, b"", b"") else { return contents };
    if cursor.seek(b"").is_err() {
        return contents;
    }
    while let Some(key) = cursor.key() {
        contents.insert(key.to_vec(), cursor.value().to_vec());
        if cursor.next().is_err() {
            break;
        }
    }
    contents
}

impl Cluster {
    /// Runs the world until a client task has its answer, at most for `limit` of simulated time.
    pub fn drive<T: Send + 'static>(
        &mut self,
        limit: Duration,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let answer: Arc<Mutex<Option<T>>> = Arc::default();
        let slot = answer.clone();
        self.world.executor.spawn(Box::pin(async move {
            let value = task.await;
            *slot.lock() = Some(value);
        }));
        let end: Monotonic = self.world.now() + limit;
        let done = answer.clone();
        self.world.run_until(end, move || done.lock().is_some());
        answer.lock().take()
    }
}
