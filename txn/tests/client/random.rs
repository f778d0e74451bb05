//! Seeded random runs. Many clients on several gateways, a nemesis that splits ranges, replaces leaders, kills gateways and
//! worsens the network; in the end the history is replayed (`replay`).

use std::{sync::Arc, time::Duration};

use base::{Monotonic, Rng, Runtime, Span, Timestamp, TxnId};
use bytes::Bytes;
use parking_lot::Mutex;
use txn::{
    Faults, Isolation, LockMode, Options, ScanRequest, Txn, TxnClient, WaitPolicy, server,
    testing::{Group, Network, World},
};

use crate::replay::{self, End, Record, Step, Summary};

const GATEWAYS: usize = 3;
const CLIENTS_PER_GATEWAY: usize = 3;
const RUN: Duration = Duration::from_secs(8);
/// Longer than any patience: the dead are taken for dead, late copies have arrived.
const SETTLE: Duration = Duration::from_secs(12);

const ACCOUNTS: u64 = 6;
const OPENING_BALANCE: u64 = 100;

const LEVELS: [Isolation; 3] = [Isolation::Serializable, Isolation::RepeatableRead, Isolation::ReadCommitted];

type Log = Arc<Mutex<Vec<Record>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    /// Transfers between accounts; the total never changes.
    Bank,
    /// Appends to lists, reads of lists, predicate reads over rows that come and go.
    Append,
    /// The same, each transaction at a level of its own, with savepoints.
    Levels,
}

struct Run {
    world: World,
    options: Options,
    workload: Workload,
    log: Log,
    gateways: Vec<(Group, TxnClient)>,
    until: Monotonic,
}

/// Runs a seed to its end; an error is a violation.
fn run(seed: u64, workload: Workload, faults: Faults, server: server::Options) -> Result<Summary, String> {
    let world = World::with_server(seed, server);
    let options =
        Options { operation_timeout: Duration::from_secs(3), staged_keys_max: 4, faults, ..Options::default() };
    let until = Monotonic(0) + RUN;
    let mut run = Run { world, options, workload, log: Log::default(), gateways: Vec::new(), until };
    if workload == Workload::Bank {
        run.open_accounts();
    }
    for _ in 0..GATEWAYS {
        let key = any_key(&mut run.world.rng);
        run.world.cell.split(&key);
        run.start_gateway();
    }
    while run.world.now() < until {
        run.misfortune();
        let pause = run.world.rng.between(20, 400);
        run.world.run_for(Duration::from_millis(pause));
    }
    run.finish()
}

impl Run {
    fn open_accounts(&mut self) {
        let (_, client) = self.world.gateway(self.options.clone());
        let log = self.log.clone();
        self.world.block_on(async move {
            let mut session = Session::begin(&client, &log);
            for account in 0..ACCOUNTS {
                session.put(account_key(account), number(OPENING_BALANCE), true).expect("the buffer is empty");
            }
            session.commit().await;
        });
    }

    fn start_gateway(&mut self) {
        // The impatient ones give up in the middle of things.
        let timeout_ms = *self.world.rng.pick(&[300, 1000, 3000]).expect("not empty");
        let options = Options { operation_timeout: Duration::from_millis(timeout_ms), ..self.options.clone() };
        let (group, client) = self.world.gateway(options);
        for _ in 0..CLIENTS_PER_GATEWAY {
            let (client, log, rng) = (client.clone(), self.log.clone(), self.world.rng.split());
            let (workload, until) = (self.workload, self.until);
            let runtime = client.runtime.clone();
            runtime.spawn(Box::pin(async move { work(client, log, rng, workload, until).await }));
        }
        self.gateways.push((group, client));
    }

    fn misfortune(&mut self) {
        let rng = &mut self.world.rng;
        let key = any_key(rng);
        match rng.below(10) {
            0..=2 => {
                if self.world.cell.descriptors().len() < 8 {
                    self.world.cell.split(&key);
                }
            }
            3 => self.world.cell.change_leader(&key),
            4 => self.world.cell.hand_over(&key),
            5 => self.kill_one(),
            6..=7 => {
                let storm = rng.chance(1, 3);
                let network = Network {
                    delay_max: Duration::from_micros(rng.between(200, 20_000)),
                    lose: rng.below(if storm { 400 } else { 60 }),
                    repeat: rng.below(if storm { 400 } else { 80 }),
                    ..Network::default()
                };
                self.world.cell.set_network(network);
            }
            _ => self.world.cell.set_network(Network::default()),
        }
    }

    /// Kills a gateway, most often in the middle of somebody's commit.
    fn kill_one(&mut self) {
        let proposals = self.world.cell.proposals() + self.world.rng.below(3);
        for _ in 0..1000 {
            if self.world.cell.proposals() > proposals {
                break;
            }
            self.world.run_for(Duration::from_micros(20));
        }
        let victim = self.world.rng.below(self.gateways.len() as u64) as usize;
        let (group, _) = self.gateways.swap_remove(victim);
        self.world.kill(group);
        self.start_gateway();
    }

    /// Heals everything, reads everything (so that what was left behind is recovered), and checks.
    fn finish(mut self) -> Result<Summary, String> {
        self.world.cell.set_network(Network::default());
        self.world.run_for(SETTLE);
        let (_, client) = self.world.gateway(self.options.clone());
        let log = self.log.clone();
        let workload = self.workload;
        self.world.block_on(async move {
            let mut session = Session::begin(&client, &log);
            let rows = session.scan(Span::new("!", "")).await.expect("everything is healed");
            if workload == Workload::Bank {
                let total: u64 = rows.iter().map(|(_, value)| parse(Some(value))).sum();
                assert!(total == ACCOUNTS * OPENING_BALANCE || !rows.iter().all(|(key, _)| key.starts_with(b"a")));
            }
            session.commit().await;
        });
        self.world.run_for(Duration::from_secs(2));
        let intents = self.world.cell.intents();
        if !intents.is_empty() {
            return Err(format!("intents are left after everything was read: {intents:?}"));
        }
        let records = self.log.lock().clone();
        replay::check(&records, &self.world.cell.versions())
    }
}

/// One client: transaction after transaction.
async fn work(client: TxnClient, log: Log, mut rng: Rng, workload: Workload, until: Monotonic) {
    let mut count = 0u64;
    while client.runtime.now() < until {
        let level = match workload {
            Workload::Levels => *rng.pick(&LEVELS).expect("not empty"),
            Workload::Bank | Workload::Append => Isolation::Serializable,
        };
        let mut session = Session::begin_with(&client, &log, level);
        count += 1;
        let result = match workload {
            Workload::Bank => transfer(&mut session, &mut rng).await,
            Workload::Append | Workload::Levels => append(&mut session, &mut rng, count).await,
        };
        match result {
            Ok(()) if rng.chance(19, 20) => session.commit().await,
            Ok(()) => session.rollback().await,
            Err(_) if rng.chance(1, 2) => session.rollback().await,
            // As after ROLLBACK TO SAVEPOINT: what has succeeded before is still worth committing.
            Err(_) if rng.chance(1, 2) => session.commit().await,
            // Dropped: gives up in the background.
            Err(_) => drop(session),
        }
        client.runtime.sleep(Duration::from_micros(rng.below(3000))).await;
    }
}

async fn transfer(session: &mut Session<'_>, rng: &mut Rng) -> txn::Result<()> {
    if rng.chance(1, 6) {
        let rows = session.scan(Span::new("a", "b")).await?;
        let total: u64 = rows.iter().map(|(_, value)| parse(Some(value))).sum();
        assert!(session.faulty() || total == ACCOUNTS * OPENING_BALANCE, "a read of all accounts shows {total}");
        return Ok(());
    }
    let from = rng.below(ACCOUNTS);
    let to = (from + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS;
    let keys = [account_key(from), account_key(to)];
    let values = if rng.chance(1, 2) { session.lock(&keys, rng).await? } else { session.get(&keys).await? };
    let (rich, poor) = (parse(values[0].as_ref()), parse(values[1].as_ref()));
    let amount = rng.below(rich + 1);
    session.put(keys[0].clone(), number(rich - amount), false)?;
    session.put(keys[1].clone(), number(poor + amount), false)
}

async fn append(session: &mut Session<'_>, rng: &mut Rng, count: u64) -> txn::Result<()> {
    for step in 0..rng.between(1, 5) {
        session.begin_statement();
        let key = list_key(rng.below(6));
        if session.level != Isolation::Serializable && rng.chance(1, 5) {
            session.try_and_go_back(list_key(rng.below(6)), rng).await?;
        }
        match rng.below(8) {
            0..=1 => {
                session.get(&[key, list_key(rng.below(6))]).await?;
            }
            2 => {
                let (from, to) = (list_key(rng.below(3)), list_key(rng.between(3, 5)));
                session.scan(Span { start: from, end: to }).await?;
            }
            3 => {
                session.scan(Span::new("r", "s")).await?;
            }
            4 => {
                let row = Bytes::from(format!("r{:08x}", session.id().0 >> 96));
                session.put(row, Bytes::from(format!("{count}.{step}")), true)?;
            }
            5 => {
                let rows = session.scan(Span::new("r", "s")).await?;
                if let Some((row, _)) = rng.pick(&rows) {
                    session.lock(std::slice::from_ref(row), rng).await?;
                    session.delete(row.clone())?;
                }
            }
            choice => {
                let keys = [key];
                let old = if choice == 6 { session.lock(&keys, rng).await? } else { session.get(&keys).await? };
                let old = old[0].as_ref().map_or(String::new(), |list| String::from_utf8_lossy(list).into_owned());
                // Lists are kept short: what was appended first is forgotten first.
                let tail = old.char_indices().rev().nth(40).map_or(&old[..], |(at, _)| &old[at..]);
                let [key] = keys;
                session.put(key, Bytes::from(format!("{tail} {:04x}", session.id().0 as u16)), false)?;
            }
        }
    }
    Ok(())
}

/// A transaction that keeps its record.
struct Session<'l> {
    txn: Option<Txn>,
    log: &'l Log,
    runtime: Arc<dyn Runtime>,
    record: usize,
    level: Isolation,
    faulty: bool,
}

impl<'l> Session<'l> {
    fn begin(client: &TxnClient, log: &'l Log) -> Session<'l> {
        Session::begin_with(client, log, Isolation::Serializable)
    }

    fn begin_with(client: &TxnClient, log: &'l Log, level: Isolation) -> Session<'l> {
        let txn = client.begin_with(level);
        let now = client.runtime.now();
        let mut records = log.lock();
        records.push(Record { txn: txn.id(), began: now, ended: now, steps: Vec::new(), end: End::Unknown });
        let record = records.len() - 1;
        drop(records);
        let faulty = client.options.faults != Faults::default();
        Session { txn: Some(txn), log, runtime: client.runtime.clone(), record, level, faulty }
    }

    fn begin_statement(&mut self) {
        self.txn().begin_statement();
    }

    /// The timestamp that plain reads are as of, where it is not that of the commit.
    async fn snapshot(&mut self) -> txn::Result<Option<Timestamp>> {
        let timestamp = self.txn().stamp().await?.timestamp;
        Ok((self.level != Isolation::Serializable).then_some(timestamp))
    }

    /// Locks and writes a row, and thinks better of it. Nothing of that is left.
    async fn try_and_go_back(&mut self, key: Bytes, rng: &mut Rng) -> txn::Result<()> {
        let savepoint = self.txn().savepoint();
        let keep = self.log.lock()[self.record].steps.len();
        let result = self.lock(std::slice::from_ref(&key), rng).await;
        if result.is_ok() {
            self.put(key, Bytes::from_static(b"never"), false)?;
        }
        self.txn().rollback_to(savepoint);
        self.log.lock()[self.record].steps.truncate(keep);
        result.map(|_| ())
    }

    fn faulty(&self) -> bool {
        self.faulty
    }

    fn txn(&mut self) -> &mut Txn {
        self.txn.as_mut().expect("not ended")
    }

    fn id(&self) -> TxnId {
        self.txn.as_ref().expect("not ended").id()
    }

    fn note(&self, step: Step) {
        self.log.lock()[self.record].steps.push(step);
    }

    async fn get(&mut self, keys: &[Bytes]) -> txn::Result<Vec<Option<Bytes>>> {
        let at = self.snapshot().await?;
        let values = self.txn().get(keys).await?;
        for (key, saw) in keys.iter().cloned().zip(values.iter().cloned()) {
            self.note(Step::Get { key, saw, at });
        }
        Ok(values)
    }

    async fn lock(&mut self, keys: &[Bytes], rng: &mut Rng) -> txn::Result<Vec<Option<Bytes>>> {
        let mode = if rng.chance(1, 5) { LockMode::Share } else { LockMode::Update };
        let timeout = rng.chance(1, 4).then(|| Duration::from_millis(rng.between(1, 300)));
        self.txn().set_lock_timeout(timeout);
        let rows = self.txn().lock(keys, mode, WaitPolicy::Wait).await?;
        let values: Vec<Option<Bytes>> = rows.into_iter().map(|row| row.value).collect();
        for (key, saw) in keys.iter().cloned().zip(values.iter().cloned()) {
            self.note(Step::Get { key, saw, at: None });
        }
        Ok(values)
    }

    /// Page by page, every other time from the end.
    async fn scan(&mut self, span: Span) -> txn::Result<Vec<(Bytes, Bytes)>> {
        let mut saw = Vec::new();
        let mut rest = Some(span.clone());
        let at = self.snapshot().await?;
        let reverse = self.record % 2 == 1;
        while let Some(span) = rest {
            let request = ScanRequest { span, reverse, limit_rows: 3, pushdown: None };
            let page = self.txn().scan(&request).await?;
            saw.extend(page.rows);
            rest = page.resume;
        }
        if reverse {
            saw.reverse();
        }
        self.note(Step::Scan { span, saw: saw.clone(), at });
        Ok(saw)
    }

    fn put(&mut self, key: Bytes, value: Bytes, blind: bool) -> txn::Result<()> {
        self.note(Step::Write { key: key.clone(), value: Some(value.clone()), blind });
        if blind { self.txn().put_blind(key, value) } else { self.txn().put(key, value) }
    }

    fn delete(&mut self, key: Bytes) -> txn::Result<()> {
        self.note(Step::Write { key: key.clone(), value: None, blind: false });
        self.txn().delete(key, false)
    }

    async fn commit(mut self) {
        let Some(txn) = self.txn.take() else { return };
        let end = match txn.commit().await {
            Ok(info) => End::Committed(info.commit_ts),
            Err(txn::Error::Ambiguous(_)) => End::Unknown,
            Err(_) => End::Aborted,
        };
        self.end(end);
    }

    async fn rollback(mut self) {
        if let Some(txn) = self.txn.take() {
            txn.rollback().await;
        }
        self.end(End::Aborted);
    }

    fn end(&self, end: End) {
        let mut records = self.log.lock();
        records[self.record].ended = self.runtime.now();
        records[self.record].end = end;
    }
}

fn account_key(account: u64) -> Bytes {
    Bytes::from(format!("a{account}"))
}

fn list_key(list: u64) -> Bytes {
    Bytes::from(format!("l{list}"))
}

fn any_key(rng: &mut Rng) -> Bytes {
    match rng.below(3) {
        0 => account_key(rng.below(ACCOUNTS)),
        1 => list_key(rng.below(6)),
        _ => Bytes::from(format!("r{:x}", rng.below(16))),
    }
}

fn number(value: u64) -> Bytes {
    Bytes::from(value.to_string())
}

fn parse(value: Option<&Bytes>) -> u64 {
    value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}

/// `LOCUS_TXN_SEED=n` runs one seed, `LOCUS_TXN_SEEDS=n` so many instead of `count`.
fn seeds(from: u64, count: u64) -> Vec<u64> {
    let variable = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match variable("LOCUS_TXN_SEED") {
        Some(seed) => vec![seed],
        None => (from..from + variable("LOCUS_TXN_SEEDS").unwrap_or(count)).collect(),
    }
}

fn assert_holds(workload: Workload, server: server::Options, seeds: Vec<u64>) {
    for seed in seeds {
        match run(seed, workload, Faults::default(), server.clone()) {
            Ok(summary) => {
                println!("seed {seed}: {summary:?}");
                assert!(summary.committed > 0, "seed {seed}: {summary:?}");
            }
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
}

#[test]
fn bank_is_strictly_serializable() {
    assert_holds(Workload::Bank, server::Options::default(), seeds(1, 12));
}

#[test]
fn append_is_strictly_serializable() {
    assert_holds(Workload::Append, server::Options::default(), seeds(101, 12));
}

/// Each level keeps its own promise while the others are at work.
#[test]
fn every_level_sees_its_snapshots() {
    assert_holds(Workload::Levels, server::Options::default(), seeds(401, 12));
}

#[test]
fn no_level_rests_on_locks() {
    let faults = server::Faults { lose_locks: true, ..server::Faults::default() };
    assert_holds(Workload::Levels, server::Options { faults, ..server::Options::default() }, seeds(501, 4));
}

/// Snapshots are never refreshed, but what they have read must not be written under them.
#[test]
fn a_write_below_a_snapshot_is_found() {
    let faults = server::Faults { ignore_timestamp_cache: true, ..server::Faults::default() };
    let found = (601..641).any(|seed| {
        let server = server::Options { faults, ..server::Options::default() };
        run(seed, Workload::Levels, Faults::default(), server).is_err()
    });
    assert!(found, "writes below snapshots are not found");
}

/// Locks are for order and patience only: without them there are more retries and no wrong answers.
#[test]
fn nothing_rests_on_locks() {
    let faults = server::Faults { lose_locks: true, ..server::Faults::default() };
    assert_holds(Workload::Append, server::Options { faults, ..server::Options::default() }, seeds(201, 4));
}

#[test]
fn the_same_seed_runs_the_same() {
    let once = || run(5, Workload::Append, Faults::default(), server::Options::default());
    assert_eq!(once(), once());
}

/// Each planted fault must be found within a few seeds.
fn assert_found(client: Faults, server: server::Faults) {
    let found = (301..341).any(|seed| {
        let server = server::Options { faults: server, ..server::Options::default() };
        run(seed, Workload::Append, client, server).is_err()
    });
    assert!(found, "{client:?} {server:?} is not found");
}

#[test]
fn a_skipped_refresh_is_found() {
    assert_found(Faults { skip_refresh: true, ..Faults::default() }, server::Faults::default());
}

#[test]
fn an_orphan_resolved_as_committed_is_found() {
    assert_found(Faults { resolve_orphan_as_committed: true, ..Faults::default() }, server::Faults::default());
}

#[test]
fn a_write_below_a_read_is_found() {
    assert_found(Faults::default(), server::Faults { ignore_timestamp_cache: true, ..server::Faults::default() });
}
