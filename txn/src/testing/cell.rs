//! The nodes, boiled down to what a gateway can tell apart: per range one leader with its evaluator, and an oracle. A
//! proposal is applied the moment it is made.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use base::{BoxFuture, Monotonic, NodeId, RangeId, Rng, Runtime, Span, Timestamp, TxnId};
use bytes::Bytes;
use futures::channel::oneshot;
use parking_lot::Mutex;
use storage::{
    ColumnFamily, Descriptor, Engine, Evaluate, EvaluateContext, EvaluateFactory, Evaluated, FenceOp, Outcome, Stamp,
    Token,
    engine::memory::MemoryEngine,
    range::{FIRST_USER_RANGE, SYSTEM_END},
};

use super::executor::{EPOCH_MILLIS, SimRuntime};
use crate::{command::Key, mvcc};

/// A committed version as it lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub key: Key,
    pub at: Timestamp,
    pub writer: TxnId,
    /// `None`: deleted.
    pub value: Option<Bytes>,
}

/// What the network does to a message. Chances are per thousand.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    pub delay_min: Duration,
    pub delay_max: Duration,
    pub lose: u64,
    /// A copy of a request arrives much later, when everybody has forgotten it.
    pub repeat: u64,
    pub repeat_delay_max: Duration,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            delay_min: Duration::from_micros(100),
            delay_max: Duration::from_micros(300),
            lose: 0,
            repeat: 0,
            repeat_delay_max: Duration::from_secs(5),
        }
    }
}

/// Leaders look at the time this often.
const TICK: Duration = Duration::from_millis(10);

/// What a leader answers to a command.
pub(super) type Answer = Result<Evaluated, Refusal>;

#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// Ask again; nothing was done.
    NotLeader,
    RangeChanged(Vec<Descriptor>),
    Refused(String),
}

pub struct Cell {
    pub(super) runtime: SimRuntime,
    factory: EvaluateFactory,
    state: Mutex<State>,
}

struct State {
    engine: MemoryEngine,
    /// By start key.
    ranges: BTreeMap<Bytes, Range>,
    next_range: u64,
    next_token: Token,
    last_timestamp: u64,
    fences: BTreeMap<u128, Timestamp>,
    fence_version: u64,
    network: Network,
    rng: Rng,
    proposals: u64,
}

struct Range {
    descriptor: Descriptor,
    evaluator: Box<dyn Evaluate>,
    parked: BTreeMap<Token, Parked>,
}

struct Parked {
    command: Bytes,
    until: Monotonic,
    answer: oneshot::Sender<Answer>,
}

impl Cell {
    pub(super) fn new(runtime: SimRuntime, factory: EvaluateFactory, rng: Rng) -> Arc<Cell> {
        let descriptor = Descriptor {
            id: FIRST_USER_RANGE,
            epoch: 1,
            span: Span::new(SYSTEM_END, Bytes::new()),
            replicas: vec![NodeId(1)],
        };
        let first = Range { descriptor, evaluator: factory(), parked: BTreeMap::new() };
        let state = State {
            engine: MemoryEngine::new(),
            ranges: BTreeMap::from([(first.descriptor.span.start.clone(), first)]),
            next_range: FIRST_USER_RANGE.0 + 1,
            next_token: 0,
            last_timestamp: 0,
            fences: BTreeMap::new(),
            fence_version: 1,
            network: Network::default(),
            rng,
            proposals: 0,
        };
        let cell = Arc::new(Cell { runtime, factory, state: Mutex::new(state) });
        cell.elect(RangeId(FIRST_USER_RANGE.0), &[]);
        let ticking = cell.clone();
        cell.runtime.spawn(Box::pin(async move {
            loop {
                ticking.runtime.sleep(TICK).await;
                ticking.tick();
            }
        }));
        cell
    }

    pub fn set_network(&self, network: Network) {
        self.state.lock().network = network;
    }

    /// The range that holds the key begins a new one there, if it does not already.
    pub fn split(&self, key: &[u8]) {
        let now = self.runtime.now();
        let mut state = self.state.lock();
        let id = RangeId(state.next_range);
        let Some(left) = state.holding(key).filter(|range| range.descriptor.span.start != key) else { return };
        let at = Bytes::copy_from_slice(key);
        let evaluator = left.evaluator.split(key);
        let span = Span { start: at.clone(), end: left.descriptor.span.end.clone() };
        left.descriptor.span.end = at.clone();
        left.descriptor.epoch += 1;
        let descriptor = Descriptor { id, span, ..left.descriptor.clone() };
        let start = left.descriptor.span.start.clone();
        state.ranges.insert(at.clone(), Range { descriptor, evaluator, parked: BTreeMap::new() });
        state.next_range += 1;
        state.run_woken(&start, now);
        state.run_woken(&at, now);
    }

    /// The leader of the range that holds the key is replaced: locks, queues and the timestamp cache are lost.
    pub fn change_leader(&self, key: &[u8]) {
        let id = self.state.lock().holding(key).map(|range| range.descriptor.id);
        if let Some(id) = id {
            self.elect(id, &[]);
        }
    }

    /// The leader of the range that holds the key hands over to another, in order.
    pub fn hand_over(&self, key: &[u8]) {
        let leaving = self.state.lock().holding(key).map(|range| (range.descriptor.id, range.evaluator.export()));
        if let Some((id, exported)) = leaving {
            self.elect(id, &exported);
        }
    }

    fn elect(&self, id: RangeId, exported: &[u8]) {
        let low_water = self.next_timestamp();
        let now = self.runtime.now();
        let mut state = self.state.lock();
        let Some(range) = state.ranges.values_mut().find(|range| range.descriptor.id == id) else { return };
        range.evaluator.unlead();
        for parked in std::mem::take(&mut range.parked).into_values() {
            // Whoever asked may be gone.
            let _gone = parked.answer.send(Err(Refusal::NotLeader));
        }
        range.evaluator = (self.factory)();
        range.evaluator.lead(low_water, now);
        if !exported.is_empty() {
            range.evaluator.adopt(exported);
        }
    }

    /// How many proposals have been made (each would be a Raft round).
    pub fn proposals(&self) -> u64 {
        self.state.lock().proposals
    }

    pub fn descriptors(&self) -> Vec<Descriptor> {
        self.state.lock().ranges.values().map(|range| range.descriptor.clone()).collect()
    }

    /// Every version of every key, the newest of each key first.
    pub fn versions(&self) -> Vec<Version> {
        let mut versions = Vec::new();
        self.walk(ColumnFamily::Data, |raw, value| {
            let (key, at) = mvcc::parse_data_key(raw).expect("what was written can be read");
            let version = mvcc::Version::decode(value).expect("what was written can be read");
            let value = version.value.map(Bytes::copy_from_slice);
            versions.push(Version { key: Key::copy_from_slice(key), at, writer: version.writer, value });
        });
        versions
    }

    /// The keys that have an intent.
    pub fn intents(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.walk(ColumnFamily::Intent, |raw, value| {
            if matches!(mvcc::Record::decode(value), Ok(mvcc::Record::Intent(_))) {
                keys.push(Key::copy_from_slice(raw));
            }
        });
        keys
    }

    fn walk(&self, cf: ColumnFamily, mut visit: impl FnMut(&[u8], &[u8])) {
        let snapshot = self.state.lock().engine.snapshot();
        let mut cursor = snapshot.cursor(cf, b"", b"").expect("memory does not fail");
        cursor.seek(b"").expect("memory does not fail");
        while let Some(key) = cursor.key() {
            visit(key, cursor.value());
            cursor.next().expect("memory does not fail");
        }
    }

    pub fn next_timestamp(&self) -> Timestamp {
        let now_millis = EPOCH_MILLIS + self.runtime.now().0 / 1_000_000;
        let mut state = self.state.lock();
        state.last_timestamp = (state.last_timestamp + 1).max(Timestamp::from_millis(now_millis).0);
        Timestamp(state.last_timestamp)
    }

    pub fn stamp(&self) -> Stamp {
        let timestamp = self.next_timestamp();
        let state = self.state.lock();
        Stamp { timestamp, fence: state.fence_version, fence_open: !state.fences.is_empty() }
    }

    pub(super) fn fence(&self, op: FenceOp) -> Stamp {
        let now = self.next_timestamp();
        {
            let mut state = self.state.lock();
            let before = state.fences.len();
            match op {
                FenceOp::Open(id) => {
                    state.fences.entry(id).or_insert(now);
                }
                FenceOp::Close(id) => {
                    state.fences.remove(&id);
                }
                FenceOp::CloseOlderThan(timestamp) => state.fences.retain(|_, opened| *opened >= timestamp),
            }
            state.fence_version += u64::from(state.fences.len() != before);
        }
        self.stamp()
    }

    /// A message goes: how long it takes, or `None` when it is lost.
    pub(super) fn transmit(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        let Network { delay_min, delay_max, lose, .. } = state.network;
        let delay = state.rng.between(delay_min.as_micros() as u64, delay_max.as_micros() as u64);
        (!state.rng.chance(lose, 1000)).then(|| Duration::from_micros(delay))
    }

    /// When a second copy of a request arrives, if there is one.
    pub(super) fn repetition(&self) -> Option<Duration> {
        let mut state = self.state.lock();
        let Network { repeat, repeat_delay_max, .. } = state.network;
        let delay = state.rng.below(repeat_delay_max.as_micros() as u64 + 1);
        state.rng.chance(repeat, 1000).then(|| Duration::from_micros(delay))
    }

    /// A request arrives at a leader.
    pub(super) fn arrive(
        &self,
        range: RangeId,
        epoch: u64,
        command: Bytes,
        patience: Duration,
    ) -> BoxFuture<'static, Answer> {
        let now = self.runtime.now();
        let (answer, receiver) = oneshot::channel();
        let mut state = self.state.lock();
        let parked = Parked { command, until: now + patience, answer };
        match state.ranges.values().find(|held| held.descriptor.id == range && held.descriptor.epoch == epoch) {
            Some(held) => {
                let start = held.descriptor.span.start.clone();
                let token = state.next_token;
                state.next_token += 1;
                state.evaluate(&start, token, parked, now);
                state.run_woken(&start, now);
            }
            None => {
                let _gone = parked.answer.send(Err(state.changed()));
            }
        }
        Box::pin(async move { receiver.await.unwrap_or(Err(Refusal::NotLeader)) })
    }

    fn tick(&self) {
        let now = self.runtime.now();
        let mut state = self.state.lock();
        let starts: Vec<Bytes> = state.ranges.keys().cloned().collect();
        for start in starts {
            if let Some(range) = state.ranges.get_mut(&start) {
                range.evaluator.tick(now);
                let late: Vec<Token> =
                    range.parked.iter().filter(|(_, parked)| parked.until <= now).map(|(token, _)| *token).collect();
                for token in late {
                    range.parked.remove(&token);
                    range.evaluator.cancel(token);
                }
            }
            state.run_woken(&start, now);
        }
        // In memory only: nothing ever crashes here, and the engine keeps what is not flushed twice.
        state.engine.flush().expect("memory does not fail");
    }
}

impl State {
    fn holding(&mut self, key: &[u8]) -> Option<&mut Range> {
        self.ranges.range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back().map(|(_, range)| range)
    }

    /// A refusal that tells all current descriptors.
    fn changed(&self) -> Refusal {
        Refusal::RangeChanged(self.ranges.values().map(|range| range.descriptor.clone()).collect())
    }

    fn run_woken(&mut self, start: &Bytes, now: Monotonic) {
        loop {
            let Some(range) = self.ranges.get_mut(start) else { return };
            let woken = range.evaluator.take_woken();
            if woken.is_empty() {
                return;
            }
            for token in woken {
                let Some(parked) = self.ranges.get_mut(start).and_then(|range| range.parked.remove(&token)) else {
                    continue;
                };
                self.evaluate(start, token, parked, now);
            }
        }
    }

    fn evaluate(&mut self, start: &Bytes, token: Token, parked: Parked, now: Monotonic) {
        let Some(range) = self.ranges.get_mut(start) else { return };
        let answer = match Self::outcome(range, &self.engine, token, &parked.command, now) {
            Ok(Outcome::Reply(reply)) => Ok(Evaluated { reply, replicated: false }),
            Ok(Outcome::Propose { batch, reply }) => {
                self.engine.write(&batch).expect("memory does not fail");
                self.proposals += 1;
                range.evaluator.finished(token, true);
                Ok(Evaluated { reply, replicated: true })
            }
            Ok(Outcome::Blocked) => {
                range.parked.insert(token, parked);
                return;
            }
            Err(refusal) => {
                range.evaluator.cancel(token);
                match refusal {
                    Refusal::RangeChanged(_) => Err(self.changed()),
                    other => Err(other),
                }
            }
        };
        let _gone = parked.answer.send(answer);
    }

    fn outcome(
        range: &mut Range,
        engine: &MemoryEngine,
        token: Token,
        command: &Bytes,
        now: Monotonic,
    ) -> Result<Outcome, Refusal> {
        let refused = |error: storage::Error| Refusal::Refused(error.to_string());
        let access = range.evaluator.access(command).map_err(refused)?;
        if !access.iter().all(|access| range.descriptor.span.covers(&access.span)) {
            return Err(Refusal::RangeChanged(Vec::new()));
        }
        let context = EvaluateContext { now, descriptor: &range.descriptor };
        range.evaluator.evaluate(token, command, context, engine).map_err(refused)
    }
}
