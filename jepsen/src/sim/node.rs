//! A simulated node: the real `storage::Store` on a simulated disk and a clock of its own.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base::{Monotonic, NodeId, Rng};
use parking_lot::Mutex;
use storage::{
    EvaluateFactory, Reader,
    engine::memory::MemoryEngine,
    log::LogStore,
    message::{Effects, Event},
    store::{Options, Store},
    wal::{MemoryDisk, MemoryLog},
};

/// How a node's monotonic clock differs from simulated time. Leases allow for a bounded drift; offsets are harmless.
#[derive(Clone, Copy, Debug)]
pub struct ClockError {
    pub offset: Duration,
    /// Parts per million, fast (positive) or slow.
    pub drift_ppm: i64,
    pub wall_offset_ms: i64,
}

pub struct SimNode {
    pub id: NodeId,
    options: Options,
    factory: EvaluateFactory,
    engine: Arc<MemoryEngine>,
    disk: Arc<Mutex<MemoryDisk>>,
    log: MemoryLog,
    rng: Rng,
    pub clock: ClockError,
    /// `None` while the process is down.
    store: Option<Store>,
    /// Grows with every start: events for an earlier life are dropped.
    pub life: u64,
    /// Events that wait for the end of a pause.
    pub paused: Option<VecDeque<Event>>,
    /// The disk is slow: every sync takes so much longer.
    pub slow_disk: Duration,
}

impl SimNode {
    pub fn new(options: Options, factory: EvaluateFactory, clock: ClockError, rng: Rng) -> SimNode {
        let disk = Arc::new(Mutex::new(MemoryDisk::default()));
        SimNode {
            id: options.node,
            options,
            factory,
            engine: Arc::new(MemoryEngine::new()),
            log: MemoryLog::new(disk.clone()),
            disk,
            rng,
            clock,
            store: None,
            life: 0,
            paused: None,
            slow_disk: Duration::ZERO,
        }
    }

    pub fn is_up(&self) -> bool {
        self.store.is_some()
    }

    /// The node's own clock at a moment of simulated time.
    pub fn local(&self, now: Monotonic) -> Monotonic {
        let drift = now.0 as i128 * i128::from(self.clock.drift_ppm) / 1_000_000;
        Monotonic((now.0 as i128 + drift) as u64) + self.clock.offset
    }

    pub fn start(&mut self, now: Monotonic) -> storage::Result<()> {
        assert!(self.store.is_none(), "already running");
        self.life += 1;
        let loaded = self.log.load()?;
        let store = Store::open(
            self.options.clone(),
            self.engine.clone(),
            loaded,
            self.factory.clone(),
            self.rng.split(),
            self.local(now),
        )?;
        self.store = Some(store);
        Ok(())
    }

    /// Power loss: what was not synced is lost, but for a random part that happened to reach the disk.
    pub fn crash(&mut self) {
        self.store = None;
        self.paused = None;
        self.engine.crash();
        self.disk.lock().crash(&mut self.rng);
    }

    /// Feeds one event; `None` while the node is down.
    pub fn step(&mut self, event: Event, now: Monotonic, wall_ms: u64) -> Option<Effects> {
        let local = self.local(now);
        let wall_ms = wall_ms.saturating_add_signed(self.clock.wall_offset_ms);
        let effects = self.store.as_mut()?.step(event, local, wall_ms);
        if !effects.log.is_empty() {
            // The memory disk cannot fail.
            let _ = self.log.append(&effects.log);
        }
        Some(effects)
    }

    /// The disk has done what was asked of it: everything appended is durable.
    pub fn sync_log(&mut self) {
        let _ = self.log.sync();
    }

    pub fn flush_engine(&mut self) {
        use storage::Engine;
        let _ = self.engine.flush();
    }

    pub fn sync_duration(&mut self) -> Duration {
        Duration::from_micros(self.rng.between(50, 1500)) + self.slow_disk
    }

    /// What the replicas believe, for looking at a failing run.
    pub fn status(&self) -> Vec<storage::store::ReplicaStatus> {
        self.store.as_ref().map(Store::status).unwrap_or_default()
    }

    pub fn reader(&self) -> &dyn Reader {
        &*self.engine
    }
}
