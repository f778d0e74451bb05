//! What the shell counts, for `NodeStatus`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// For what is a size and not a count.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Default)]
pub struct Counters {
    pub requests: Counter,
    pub requests_refused: Counter,
    pub replies: Counter,
    pub events: Counter,
    pub rounds: Counter,
    pub messages_sent: Counter,
    pub messages_dropped: Counter,
    pub messages_received: Counter,
    pub log_syncs: Counter,
    pub log_sync_micros: Counter,
    pub log_records: Counter,
    pub log_bytes: Counter,
    pub flushes: Counter,
    /// Not listed: a gauge.
    pub log_size_bytes: Counter,
}

impl Counters {
    pub fn list(&self) -> Vec<(String, u64)> {
        let all = [
            ("requests", &self.requests),
            ("requests_refused", &self.requests_refused),
            ("replies", &self.replies),
            ("events", &self.events),
            ("rounds", &self.rounds),
            ("messages_sent", &self.messages_sent),
            ("messages_dropped", &self.messages_dropped),
            ("messages_received", &self.messages_received),
            ("fsyncs", &self.log_syncs),
            ("fsync_micros", &self.log_sync_micros),
            ("log_records", &self.log_records),
            ("log_bytes", &self.log_bytes),
            ("flushes", &self.flushes),
        ];
        all.into_iter().map(|(name, counter)| (name.to_owned(), counter.get())).collect()
    }
}
