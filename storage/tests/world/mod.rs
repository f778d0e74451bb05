//! A few stores on simulated disks, clocks and a simulated network, in one thread, from one seed.

pub mod toy;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use base::{Monotonic, NodeId, Rng};
use bytes::Bytes;
use storage::{
    Engine, Options, Store,
    engine::memory::MemoryEngine,
    log::LogStore,
    message::{ClientId, Effects, Event, Request, RequestBody, ResponseBody},
    wal::{MemoryDisk, MemoryLog},
};

pub const MILLI: u64 = 1_000_000;

/// What goes wrong on its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Of a thousand messages.
    pub lost: u64,
    pub duplicated: u64,
    /// Delay of a message, and of a sync, in milliseconds.
    pub delay_ms: (u64, u64),
    pub sync_ms: (u64, u64),
}

pub struct World {
    pub now: u64,
    pub rng: Rng,
    pub weather: Weather,
    pub nodes: BTreeMap<u64, Node>,
    /// Pairs (from, to) between which nothing passes.
    pub cut: BTreeSet<(u64, u64)>,
    pub replies: Vec<(u64, ClientId, u64, ResponseBody)>,
    heap: BTreeMap<(u64, u64), Item>,
    next_item: u64,
    options: Options,
    /// A rolling hash of everything that happened: equal for equal seeds.
    pub trace: u64,
    pub fatal: Vec<String>,
}

pub struct Node {
    pub engine: Arc<MemoryEngine>,
    pub store: Option<Store>,
    pub starts: u64,
    disk: Arc<parking_lot::Mutex<MemoryDisk>>,
    log: MemoryLog,
    appended: u64,
    paused_until: u64,
    /// The node's clock: its own origin, and its own pace in parts of a thousand.
    origin: u64,
    pace: u64,
}

enum Item {
    Tick { node: u64, start: u64 },
    Deliver { from: u64, to: u64, message: Bytes },
    Sync { node: u64, start: u64 },
    Flush { node: u64, start: u64, sequence: u64 },
    Request { to: u64, client: ClientId, request: Request },
}

impl World {
    pub fn new(seed: u64, count: u64, adjust: impl Fn(&mut Options)) -> World {
        let mut rng = Rng::new(seed);
        let nodes: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut options = Options::new(NodeId(1), nodes);
        adjust(&mut options);
        let mut world = World {
            now: MILLI,
            rng: rng.split(),
            weather: Weather { delay_ms: (1, 1), sync_ms: (1, 1), ..Weather::default() },
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            replies: Vec::new(),
            heap: BTreeMap::new(),
            next_item: 0,
            options,
            trace: 0,
            fatal: Vec::new(),
        };
        for id in 1..=count {
            let disk = Arc::new(parking_lot::Mutex::new(MemoryDisk::default()));
            let node = Node {
                engine: Arc::new(MemoryEngine::new()),
                store: None,
                starts: 0,
                log: MemoryLog::new(disk.clone()),
                disk,
                appended: 0,
                paused_until: 0,
                origin: rng.below(1 << 40),
                pace: rng.between(985, 1015),
            };
            world.nodes.insert(id, node);
            world.start(id);
        }
        world
    }

    pub fn store(&self, node: u64) -> Option<&Store> {
        self.nodes[&node].store.as_ref()
    }

    pub fn start(&mut self, id: u64) {
        let rng = Rng::new(self.rng.next_u64());
        let options = Options { node: NodeId(id), ..self.options.clone() };
        let now = self.clock(id);
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.store.is_none()) else { return };
        node.log = MemoryLog::new(node.disk.clone());
        let loaded = node.log.load().expect("log of a crashed node loads");
        let factory: storage::EvaluateFactory = Arc::new(|| Box::<toy::ToyEvaluator>::default());
        node.starts += 1;
        node.appended = 0;
        match Store::open(options, node.engine.clone(), loaded, factory, rng, now) {
            Ok(store) => node.store = Some(store),
            Err(error) => {
                self.fatal.push(format!("n{id}: {error}"));
                return;
            }
        }
        let start = node.starts;
        self.push(self.now, Item::Tick { node: id, start });
    }

    /// The process dies and the machine loses power: what was not synced may be lost.
    pub fn crash(&mut self, id: u64) {
        let mut rng = self.rng.split();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.store = None;
        node.engine.crash();
        node.disk.lock().crash(&mut rng);
    }

    /// The disk is replaced by an empty one.
    pub fn wipe(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.store = None;
        node.engine = Arc::new(MemoryEngine::new());
        node.disk = Arc::new(parking_lot::Mutex::new(MemoryDisk::default()));
    }

    pub fn pause(&mut self, id: u64, duration_ms: u64) {
        let until = self.now + duration_ms * MILLI;
        if let Some(node) = self.nodes.get_mut(&id) {
            node.paused_until = until;
        }
    }

    pub fn isolate(&mut self, id: u64) {
        for other in self.nodes.keys().copied().filter(|other| *other != id) {
            self.cut.insert((id, other));
            self.cut.insert((other, id));
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    pub fn request(&mut self, to: u64, client: ClientId, id: u64, timeout_ms: u32, body: RequestBody) {
        let at = self.now + self.delay();
        self.push(at, Item::Request { to, client, request: Request { id, timeout_ms, body } });
    }

    /// Runs for so long.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration.as_nanos() as u64;
        while let Some((at, _)) = self.heap.keys().next().copied().filter(|(at, _)| *at <= until) {
            self.now = at;
            self.run_next();
        }
        self.now = until;
    }

    /// Runs until the condition holds; false when it does not within the time.
    pub fn run_until(&mut self, within: Duration, mut done: impl FnMut(&World) -> bool) -> bool {
        let until = self.now + within.as_nanos() as u64;
        while !done(self) {
            match self.heap.keys().next().copied() {
                Some((at, _)) if at <= until => {
                    self.now = at;
                    self.run_next();
                }
                _ => return false,
            }
        }
        true
    }

    fn delay(&mut self) -> u64 {
        let (low, high) = self.weather.delay_ms;
        self.rng.between(low * MILLI, high * MILLI)
    }

    fn clock(&self, id: u64) -> Monotonic {
        let node = &self.nodes[&id];
        Monotonic(node.origin + (u128::from(self.now) * u128::from(node.pace) / 1000) as u64)
    }

    fn push(&mut self, at: u64, item: Item) {
        self.next_item += 1;
        self.heap.insert((at, self.next_item), item);
    }

    fn run_next(&mut self) {
        let Some((_, item)) = self.heap.pop_first() else { return };
        let target = match &item {
            Item::Tick { node, .. } | Item::Sync { node, .. } | Item::Flush { node, .. } => *node,
            Item::Deliver { to, .. } | Item::Request { to, .. } => *to,
        };
        if self.nodes[&target].paused_until > self.now {
            // In order: items of a paused node keep theirs, since the sequence grows.
            let at = self.nodes[&target].paused_until;
            self.push(at, item);
            return;
        }
        match item {
            Item::Tick { node, start } => {
                if self.is_running(node, start) {
                    let at = self.now + self.options.tick.as_nanos() as u64;
                    self.push(at, Item::Tick { node, start });
                    self.step(node, Event::Tick);
                }
            }
            Item::Deliver { from, to, message } => {
                if !self.cut.contains(&(from, to)) {
                    self.step(to, Event::Peer { from: NodeId(from), message });
                }
            }
            Item::Sync { node, start } => {
                if self.is_running(node, start) {
                    self.nodes.get_mut(&node).unwrap().log.sync().unwrap();
                    let sequence = self.nodes[&node].appended;
                    self.step(node, Event::Persisted { sequence });
                }
            }
            Item::Flush { node, start, sequence } => {
                if self.is_running(node, start) {
                    self.nodes[&node].engine.flush().unwrap();
                    self.step(node, Event::Flushed { sequence });
                }
            }
            Item::Request { to, client, request } => self.step(to, Event::Request { client, request }),
        }
    }

    fn is_running(&self, node: u64, start: u64) -> bool {
        self.nodes[&node].store.is_some() && self.nodes[&node].starts == start
    }

    fn step(&mut self, id: u64, event: Event) {
        let now = self.clock(id);
        // Wall clocks disagree by up to a second.
        let wall_ms = 1_700_000_000_000 + self.now / MILLI + id * 300;
        let Some(store) = self.nodes.get_mut(&id).and_then(|node| node.store.as_mut()) else { return };
        let effects = store.step(event, now, wall_ms);
        self.perform(id, now, effects);
    }

    fn perform(&mut self, id: u64, now: Monotonic, effects: Effects) {
        if let Some(reason) = effects.fatal {
            self.fatal.push(format!("n{id}: {reason}"));
            self.nodes.get_mut(&id).unwrap().store = None;
            return;
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let start = node.starts;
        if !effects.log.is_empty() {
            assert_eq!(effects.log_sequence, node.appended + 1, "log sequences have no gaps");
            node.log.append(&effects.log).unwrap();
            node.appended = effects.log_sequence;
            let (low, high) = self.weather.sync_ms;
            let at = self.now + self.rng.between(low * MILLI, high * MILLI);
            self.push(at, Item::Sync { node: id, start });
        }
        for (to, message) in effects.messages {
            self.trace = self.trace.rotate_left(5) ^ self.now ^ crc32(&message) ^ to.0;
            let copies = match self.rng.below(1000) {
                roll if roll < self.weather.lost => 0,
                roll if roll < self.weather.lost + self.weather.duplicated => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let at = self.now + self.delay();
                self.push(at, Item::Deliver { from: id, to: to.0, message: message.clone() });
            }
        }
        for reply in effects.replies {
            if reply.valid_until.is_some_and(|until| now >= until) {
                continue;
            }
            self.replies.push((id, reply.client, reply.response.id, reply.response.body));
        }
        if let Some(sequence) = effects.flush {
            let at = self.now + self.rng.between(MILLI, 20 * MILLI);
            self.push(at, Item::Flush { node: id, start, sequence });
        }
    }
}

fn crc32(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
