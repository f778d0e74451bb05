//! Random faults against three stores with the toy evaluator, and a check of what clients saw: every list only grows,
//! acknowledged items survive, reads are never stale, all replicas end up equal.

use std::{collections::BTreeMap, time::Duration};

use base::{RangeId, Rng};
use bytes::Bytes;
use storage::{
    ColumnFamily, Descriptor, Faults, Reader as _,
    message::{ClientId, RequestBody, ResponseBody},
};

use crate::world::{
    MILLI, Weather, World,
    toy::{Toy, decode_list},
};

const KEYS: u64 = 6;
const CLIENTS: u64 = 6;

#[test]
fn random_faults_break_no_promise() {
    for seed in seeds(60) {
        let outcome = simulate(seed, Faults::default());
        assert!(outcome.problems.is_empty(), "seed {seed}: {:#?}", outcome.problems);
        assert!(outcome.acknowledged > 100, "seed {seed}: only {} operations succeeded", outcome.acknowledged);
    }
}

#[test]
fn the_same_seed_takes_the_same_way() {
    for seed in [1, 2, 3] {
        assert_eq!(simulate(seed, Faults::default()).trace, simulate(seed, Faults::default()).trace, "seed {seed}");
    }
}

/// Leaders end up where they belong, one node leads no more than its share, and they stay there.
#[test]
fn leaders_are_spread_and_stay() {
    let mut world = World::new(7, 3, |_| {});
    world.run(Duration::from_secs(2));
    for (number, at) in ["c", "f", "i", "l"].into_iter().enumerate() {
        let id = number as u64;
        let (range, leader) = leader_of(&world, at);
        world.request(leader, ClientId(1), id, 1000, RequestBody::Split { range, key: at.into() });
        assert!(world.run_until(Duration::from_secs(2), |world| world.replies.iter().any(|reply| reply.2 == id)));
        world.run(Duration::from_secs(1));
    }
    world.run(Duration::from_secs(30));
    let leaders = |world: &World| -> Vec<(RangeId, u64)> {
        let led = |node| world.store(node).map(|store| store.status()).unwrap_or_default().into_iter();
        let mut leaders: Vec<_> = (1..=3)
            .flat_map(|node| led(node).filter(|replica| replica.is_leader).map(move |replica| (replica.range, node)))
            .collect();
        leaders.sort_unstable();
        leaders
    };
    let spread = leaders(&world);
    let expected: Vec<_> = (1..=6).map(|id| (RangeId(id), id % 3 + 1)).collect();
    assert_eq!(spread, expected);
    let transfers = |world: &World| -> u64 {
        (1..=3).filter_map(|node| world.store(node)?.counters().get("leader_transfers").copied()).sum()
    };
    let before = transfers(&world);
    world.run(Duration::from_secs(30));
    assert_eq!((leaders(&world), transfers(&world)), (spread, before), "nothing moves any more");
}

/// The range that holds a key, and who leads it.
fn leader_of(world: &World, key: &str) -> (RangeId, u64) {
    (1..=3)
        .flat_map(|node| {
            world.store(node).map(|store| store.status()).unwrap_or_default().into_iter().map(move |r| (node, r))
        })
        .find(|(_, replica)| {
            replica.is_leader && replica.descriptor.as_ref().is_some_and(|range| range.span.contains(key.as_bytes()))
        })
        .map(|(node, replica)| (replica.range, node))
        .expect("the range has a leader")
}

#[test]
fn finds_acknowledging_before_the_sync() {
    finds(Faults { ack_before_fsync: true, ..Faults::default() });
}

#[test]
fn finds_serving_after_the_lease() {
    finds(Faults { serve_after_lease: true, ..Faults::default() });
}

#[test]
fn finds_reused_timestamps() {
    finds(Faults { reuse_timestamps_after_failover: true, ..Faults::default() });
}

#[test]
fn finds_applying_twice() {
    finds(Faults { apply_twice: true, ..Faults::default() });
}

/// A planted bug must show within 100 seeds.
fn finds(faults: Faults) {
    let found = (1..=100).find(|seed| !simulate(*seed, faults).problems.is_empty());
    println!("found with seed {found:?}");
    assert!(found.is_some(), "{faults:?} stayed hidden");
}

/// `LOCUS_SEED` replays one; `LOCUS_SEEDS` runs more.
fn seeds(count: u64) -> std::ops::RangeInclusive<u64> {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("LOCUS_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("LOCUS_SEEDS").unwrap_or(count),
    }
}

struct Outcome {
    problems: Vec<String>,
    acknowledged: u64,
    trace: u64,
}

fn simulate(seed: u64, faults: Faults) -> Outcome {
    let mut run = Run::new(seed, faults);
    // Twenty seconds and more, by how long the nemesis takes.
    for _ in 0..2000 {
        if !run.world.fatal.is_empty() {
            break;
        }
        run.nemesis();
        run.clients();
        run.world.run(Duration::from_millis(10));
    }
    run.finish();
    Outcome { problems: run.problems, acknowledged: run.acknowledged, trace: run.world.trace }
}

/// Isolation, healing, pauses, weather, transfers, splits, and all nodes without power: see [`Run::nemesis`].
const LIKINGS: [u64; 8] = [7, 9, 11, 12, 13, 14, 16, 16];

struct Run {
    world: World,
    rng: Rng,
    /// The fault that this run has more of than of others.
    liking: u64,
    clients: BTreeMap<ClientId, Client>,
    /// What clients believe about ranges: by start key.
    routes: BTreeMap<Bytes, (Descriptor, u64)>,
    next_item: u64,
    next_fault: u64,
    history: Vec<Seen>,
    stamps: Vec<(u64, u64, u64)>,
    problems: Vec<String>,
    acknowledged: u64,
    finishing: bool,
}

#[derive(Default)]
struct Client {
    request: u64,
    op: Option<Op>,
    idle_until: u64,
}

#[derive(Clone)]
struct Op {
    /// `None`: a timestamp.
    toy: Option<Toy>,
    started: u64,
    sent: u64,
    give_up: u64,
}

/// An answer: the whole list of a key at some moment between `started` and `ended`.
struct Seen {
    key: Bytes,
    started: u64,
    ended: u64,
    list: Vec<u64>,
}

fn key(number: u64) -> Bytes {
    format!("k{number}").into()
}

impl Run {
    fn new(seed: u64, faults: Faults) -> Run {
        let mut rng = Rng::new(seed.wrapping_mul(0x9e37_79b9));
        let small_log = rng.chance(1, 2);
        let liking = *rng.pick(&LIKINGS).expect("not empty");
        let mut world = World::new(seed, 3, |options| {
            options.faults = faults;
            if small_log {
                options.log_bytes_max = 4 << 10;
            }
            options.snapshot_chunk_bytes = 64;
        });
        // Where the power fails often, disks are slow: then there is something to lose.
        let slowest_ms = if liking == 16 { 200 } else { 25 };
        world.weather = Weather { delay_ms: (1, 5), sync_ms: (1, slowest_ms), ..Weather::default() };
        Run {
            world,
            rng,
            liking,
            clients: (1..=CLIENTS).map(|id| (ClientId(id), Client::default())).collect(),
            routes: BTreeMap::new(),
            next_item: 0,
            next_fault: 3000 * MILLI,
            history: Vec::new(),
            stamps: Vec::new(),
            problems: Vec::new(),
            acknowledged: 0,
            finishing: false,
        }
    }

    fn nemesis(&mut self) {
        if self.world.now < self.next_fault {
            return;
        }
        self.next_fault = self.world.now + self.rng.between(100, 1500) * MILLI;
        let node = self.rng.between(1, 3);
        // Whatever a seed has a liking for happens every other time.
        let drawn = if self.rng.chance(1, 2) { self.liking } else { self.rng.below(18) };
        match drawn {
            0..=2 => self.world.crash(node),
            3..=6 => (1..=3).for_each(|node| self.world.start(node)),
            7 => self.world.isolate(node),
            8 => {
                let other = node % 3 + 1;
                self.world.cut.insert((node, other));
            }
            9..=10 => self.world.heal(),
            11 => {
                let duration = self.rng.between(50, 3000);
                self.world.pause(node, duration);
            }
            12 => self.world.weather = random_weather(&mut self.rng),
            13 => {
                let to = storage_node(self.rng.between(1, 3));
                let range = RangeId(self.rng.between(1, 4));
                self.world.request(node, ClientId(0), 0, 1000, RequestBody::TransferLeader { range, to });
            }
            14 => {
                let at = key(self.rng.below(KEYS));
                let (descriptor, leader) = self.route(&at);
                let body = RequestBody::Split { range: descriptor.id, key: at };
                self.world.request(leader, ClientId(0), 0, 3000, body);
            }
            15 => self.wipe(node),
            _ => {
                (1..=3).for_each(|node| self.world.crash(node));
                (1..=3).for_each(|node| self.world.start(node));
            }
        }
    }

    /// A lost disk takes promises with it. Raft survives that only while everybody else has everything.
    fn wipe(&mut self, node: u64) {
        self.world.heal();
        self.world.weather = Weather { delay_ms: (1, 3), sync_ms: (1, 3), ..Weather::default() };
        (1..=3).for_each(|node| self.world.start(node));
        if self.world.run_until(Duration::from_secs(5), settled) {
            self.world.wipe(node);
            self.world.start(node);
            // Until it is up to date again, nothing else may go wrong.
            if !self.world.run_until(Duration::from_secs(60), settled) {
                self.problems.push(format!("n{node} does not come back after it lost its disk"));
                self.explain();
            }
        }
    }

    fn route(&mut self, key: &Bytes) -> (Descriptor, u64) {
        let known = self.routes.range(..=key.clone()).next_back().map(|(_, route)| route.clone());
        known.filter(|(descriptor, _)| descriptor.span.contains(key)).unwrap_or_else(|| {
            let descriptor =
                Descriptor { id: RangeId(2), epoch: 1, span: base::Span::new(vec![2], vec![]), replicas: Vec::new() };
            (descriptor, self.rng.between(1, 3))
        })
    }

    fn clients(&mut self) {
        for (node, client, id, body) in std::mem::take(&mut self.world.replies) {
            self.answer(node, client, id, body);
        }
        let ids: Vec<ClientId> = self.clients.keys().copied().collect();
        for id in ids {
            let now = self.world.now;
            let Some(client) = self.clients.get_mut(&id) else { continue };
            match &client.op {
                // No answer: the outcome stays unknown.
                Some(op) if now > op.sent + 4000 * MILLI => client.op = None,
                None if now >= client.idle_until => self.begin(id),
                _ => {}
            }
        }
    }

    fn begin(&mut self, id: ClientId) {
        let key = key(self.rng.below(KEYS));
        let toy = match self.rng.below(10) {
            _ if self.finishing => return,
            0..=4 => {
                self.next_item += 1;
                Some(Toy::Append { key, item: self.next_item })
            }
            5..=7 => Some(Toy::Get { key }),
            8 => Some(Toy::Await { key }),
            _ => None,
        };
        let now = self.world.now;
        let op = Op { toy, started: now, sent: now, give_up: now + 5000 * MILLI };
        self.send(id, op, None);
    }

    fn send(&mut self, id: ClientId, mut op: Op, hint: Option<u64>) {
        op.sent = self.world.now;
        let (to, body) = match &op.toy {
            Some(toy) => {
                let (descriptor, leader) = self.route(toy.key());
                let to = hint.unwrap_or(leader);
                if hint.is_some() {
                    self.routes.insert(descriptor.span.start.clone(), (descriptor.clone(), to));
                }
                let (range, epoch) = (descriptor.id, descriptor.epoch);
                (to, RequestBody::Evaluate { range, epoch, command: toy.encode() })
            }
            None => (hint.unwrap_or(self.rng.between(1, 3)), RequestBody::Stamp { count: 3 }),
        };
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.request += 1;
        client.op = Some(op);
        self.world.request(to, id, client.request, 2000, body);
    }

    fn answer(&mut self, node: u64, id: ClientId, request: u64, body: ResponseBody) {
        let now = self.world.now;
        let Some(client) = self.clients.get_mut(&id).filter(|client| client.request == request) else { return };
        let Some(op) = client.op.take() else { return };
        client.idle_until = now + 5 * MILLI;
        let mut hint = None;
        match body {
            ResponseBody::Evaluated { reply, .. } => {
                self.acknowledged += 1;
                let key = op.toy.as_ref().map(|toy| toy.key().clone()).unwrap_or_default();
                self.history.push(Seen { key, started: op.started, ended: now, list: decode_list(&reply) });
                return;
            }
            ResponseBody::Stamp(stamp) => {
                self.stamps.push((op.started, now, stamp.timestamp.0));
                return;
            }
            ResponseBody::NotLeader { maybe_applied: true, .. } | ResponseBody::Timeout { .. } => return,
            ResponseBody::NotLeader { hint: Some(leader), .. } => hint = Some(leader.0),
            ResponseBody::RangeChanged(descriptors) => {
                for descriptor in descriptors {
                    self.routes.retain(|_, (known, _)| {
                        !known.span.overlaps(&descriptor.span) || known.epoch > descriptor.epoch
                    });
                    self.routes.insert(descriptor.span.start.clone(), (descriptor, node));
                }
            }
            ResponseBody::NotLeader { hint: None, .. } => hint = Some(self.rng.between(1, 3)),
            ResponseBody::Overloaded(_) => {}
            other => self.problems.push(format!("unexpected answer {other:?}")),
        }
        if now < op.give_up {
            self.send(id, op, hint);
        }
    }

    /// Everything is repaired; then everything must be reachable and equal.
    fn finish(&mut self) {
        self.problems.extend(self.world.fatal.iter().map(|reason| format!("a node stopped: {reason}")));
        if !self.problems.is_empty() {
            return;
        }
        self.finishing = true;
        self.world.heal();
        self.world.weather = Weather { delay_ms: (1, 3), sync_ms: (1, 3), ..Weather::default() };
        (1..=3).for_each(|node| self.world.start(node));
        for _ in 0..800 {
            self.clients();
            self.world.run(Duration::from_millis(10));
        }
        if !self.world.run_until(Duration::from_secs(20), settled) {
            self.explain();
            return;
        }
        self.problems.extend(self.world.fatal.iter().map(|reason| format!("a node stopped: {reason}")));
        self.check();
    }

    /// The state of the stores, for whoever looks into a failure.
    fn explain(&mut self) {
        for store in (1..=3).filter_map(|node| self.world.store(node)) {
            self.problems.push(format!("does not settle: {:?}, {:?}", store.status(), store.counters()));
        }
    }

    fn check(&mut self) {
        let contents: Vec<_> = (1..=3).map(|node| self.contents(node)).collect();
        if contents[0] != contents[1] || contents[0] != contents[2] {
            let sizes: Vec<_> = contents.iter().map(|lists| lists.values().map(Vec::len).collect::<Vec<_>>()).collect();
            self.problems.push(format!("the replicas differ; lengths of their lists: {sizes:?}"));
        }
        let lists = &contents[0];
        for list in lists.values() {
            let mut distinct = list.clone();
            distinct.sort_unstable();
            distinct.dedup();
            if distinct.len() != list.len() {
                self.problems.push(format!("an item twice: {list:?}"));
            }
        }
        self.history.sort_by_key(|seen| seen.started);
        for (index, seen) in self.history.iter().enumerate() {
            let last = lists.get(&seen.key).map(Vec::as_slice).unwrap_or_default();
            if !last.starts_with(&seen.list) {
                self.problems.push(format!("{:?} was seen and did not last: {last:?}", seen.list));
            }
            for earlier in self.history[..index].iter().filter(|earlier| earlier.key == seen.key) {
                if earlier.ended < seen.started && earlier.list.len() > seen.list.len() {
                    self.problems.push(format!("stale: {:?} after {:?} at {}", seen.list, earlier.list, seen.started));
                }
            }
        }
        for (started, _, stamp) in &self.stamps {
            for (_, ended, earlier) in &self.stamps {
                if ended < started && earlier + 2 >= *stamp {
                    self.problems.push(format!("timestamp {stamp} after {earlier}"));
                }
            }
        }
        self.problems.truncate(10);
    }

    fn contents(&self, node: u64) -> BTreeMap<Bytes, Vec<u64>> {
        let engine = &self.world.nodes[&node].engine;
        let mut cursor = engine.cursor(ColumnFamily::Data, &[], &[]).unwrap();
        cursor.seek(&[]).unwrap();
        let mut contents = BTreeMap::new();
        while let Some(key) = cursor.key() {
            contents.insert(Bytes::copy_from_slice(&key[..key.len() - 8]), decode_list(cursor.value()));
            cursor.next().unwrap();
        }
        contents
    }
}

fn storage_node(id: u64) -> base::NodeId {
    base::NodeId(id)
}

fn random_weather(rng: &mut Rng) -> Weather {
    Weather {
        lost: rng.below(3) * rng.below(100),
        duplicated: rng.below(2) * rng.below(200),
        delay_ms: (1, rng.between(1, 80)),
        sync_ms: (1, rng.between(1, 60)),
    }
}

/// Every range has a leader, and all replicas have applied all that any of them has in its log.
fn settled(world: &World) -> bool {
    let states: Vec<_> = (1..=3).filter_map(|node| world.store(node)).map(|store| store.status()).collect();
    let applied = |state: &[storage::store::ReplicaStatus]| {
        state.iter().map(|replica| (replica.range, replica.descriptor.clone(), replica.applied)).collect::<Vec<_>>()
    };
    states.len() == 3
        && states.iter().flatten().all(|replica| replica.applied == replica.log_last)
        && states.iter().all(|state| applied(state) == applied(&states[0]))
        && states[0]
            .iter()
            .all(|replica| states.iter().flatten().any(|other| other.range == replica.range && other.is_leader))
}
