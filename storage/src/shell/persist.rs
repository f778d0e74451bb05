//! The threads that wait for the disk, so that the core never does.

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};

use super::{
    driver::{Driver, fatal},
    gauges::{self, Sampler},
    runtime::monotonic_now,
};
use crate::{
    engine::Engine,
    log::{LogRecord, LogStore},
    message::Event,
};

/// Records on their way to the log. While one fsync runs the next batch gathers here.
#[derive(Default)]
pub struct LogQueue {
    state: Mutex<LogState>,
    wake: Condvar,
}

#[derive(Default)]
struct LogState {
    records: Vec<LogRecord>,
    sequence: u64,
    stopping: bool,
}

impl LogQueue {
    pub fn push(&self, records: Vec<LogRecord>, sequence: u64) {
        let mut state = self.state.lock();
        match state.records.is_empty() {
            true => state.records = records,
            false => state.records.extend(records),
        }
        state.sequence = sequence;
        self.wake.notify_one();
    }

    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_one();
    }

    /// The next batch and the sequence number that it completes; `None` when the node stops and nothing is left.
    fn take(&self) -> Option<(Vec<LogRecord>, u64)> {
        let mut state = self.state.lock();
        loop {
            if !state.records.is_empty() {
                return Some((std::mem::take(&mut state.records), state.sequence));
            }
            if state.stopping {
                return None;
            }
            self.wake.wait(&mut state);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.state.lock().records.is_empty()
    }
}

/// The log thread: one fsync for everything that has gathered.
pub fn run_log(driver: &Driver, mut log: Box<dyn LogStore>) {
    while let Some((records, sequence)) = driver.log.take() {
        let started = monotonic_now();
        if let Err(error) = log.append(&records).and_then(|()| log.sync()) {
            fatal(&error.to_string());
        }
        let counters = &driver.counters;
        counters.log_syncs.add(1);
        counters.log_size_bytes.set(log.size_bytes());
        counters.log_sync_micros.add(monotonic_now().since(started).as_micros() as u64);
        counters.log_records.add(records.len() as u64);
        counters.log_bytes.add(records.iter().map(size_bytes).sum());
        driver.push(Event::Persisted { sequence });
        if driver.log.is_empty() {
            driver.drive();
        } else {
            // The next fsync is more urgent than what follows from this one.
            driver.wake_worker();
        }
    }
}

fn size_bytes(record: &LogRecord) -> u64 {
    match record {
        LogRecord::Append { entries, .. } => entries.iter().map(|entry| entry.len() as u64).sum(),
        _ => 0,
    }
}

/// Flushes that were asked for; the newest stands for all.
#[derive(Default)]
pub struct FlushQueue {
    state: Mutex<FlushState>,
    wake: Condvar,
}

#[derive(Default)]
struct FlushState {
    wanted: Option<u64>,
    stopping: bool,
}

impl FlushQueue {
    pub fn push(&self, sequence: u64) {
        self.state.lock().wanted = Some(sequence);
        self.wake.notify_one();
    }

    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.wake.notify_one();
    }

    /// What is wanted within this time, if anything is; `None` when the node stops.
    fn take(&self, within: Duration) -> Option<Option<u64>> {
        let mut state = self.state.lock();
        if !state.stopping && state.wanted.is_none() {
            self.wake.wait_for(&mut state, within);
        }
        (!state.stopping).then(|| state.wanted.take())
    }
}

/// The flush thread.
pub fn run_flush(driver: &Driver, engine: Arc<dyn Engine>, mut sampler: Sampler) {
    while let Some(wanted) = driver.flush.take(gauges::INTERVAL) {
        *driver.gauges.lock() = sampler.sample(&*engine, &driver.counters);
        let Some(sequence) = wanted else { continue };
        if let Err(error) = engine.flush() {
            fatal(&error.to_string());
        }
        driver.counters.flushes.add(1);
        driver.push(Event::Flushed { sequence });
        driver.drive();
    }
}
