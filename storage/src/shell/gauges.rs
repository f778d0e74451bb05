//! What the shell measures beside the core: the process, its disk, its network. Sampled every few seconds by the flush thread, so
//! that nobody who asks waits for the operating system.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base::Monotonic;

use super::{counters::Counters, runtime::monotonic_now};
use crate::engine::Engine;

/// How often.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// By name: `_bytes`, `_micros` and `_permille` say what is measured.
pub type Gauges = Vec<(String, u64)>;

pub struct Sampler {
    data_dir: Option<PathBuf>,
    /// When, and how much processor time had been used then.
    last: Option<(Monotonic, u64)>,
}

impl Sampler {
    pub fn new(data_dir: Option<PathBuf>) -> Sampler {
        Sampler { data_dir, last: None }
    }

    /// What the operating system does not tell is left out.
    pub fn sample(&mut self, engine: &dyn Engine, counters: &Counters) -> Gauges {
        let mut gauges = Gauges::new();
        let mut put = |name: &str, value: u64| gauges.push((name.to_owned(), value));
        for (name, value) in engine.sizes() {
            put(name, value);
        }
        put("log_size_bytes", counters.log_size_bytes.get());
        if let Some((total, available)) = self.data_dir.as_deref().and_then(disk) {
            put("disk_total_bytes", total);
            put("disk_available_bytes", available);
        }
        if let Ok(process) = procfs::process::Process::myself() {
            if let Ok(stat) = process.stat() {
                let used = (stat.utime + stat.stime) * 1_000_000 / procfs::ticks_per_second().max(1);
                put("cpu_micros", used);
                put("memory_resident_bytes", stat.rss * procfs::page_size());
                put("threads", stat.num_threads.unsigned_abs());
                let now = monotonic_now();
                if let Some((then, before)) = self.last.replace((now, used)) {
                    let elapsed = now.since(then).as_micros().max(1) as u64;
                    put("cpu_permille", used.saturating_sub(before) * 1000 / elapsed);
                }
            }
            if let Ok(io) = process.io() {
                put("disk_read_bytes", io.read_bytes);
                put("disk_written_bytes", io.write_bytes);
            }
        }
        if let Ok(memory) = <procfs::Meminfo as procfs::Current>::current() {
            put("memory_total_bytes", memory.mem_total);
            put("memory_available_bytes", memory.mem_available.unwrap_or(memory.mem_free));
        }
        put("processors", std::thread::available_parallelism().map_or(1, |count| count.get() as u64));
        if let Ok(devices) = procfs::net::dev_status() {
            put("network_received_bytes", devices.values().map(|device| device.recv_bytes).sum());
            put("network_sent_bytes", devices.values().map(|device| device.sent_bytes).sum());
        }
        gauges
    }
}

/// All and free bytes of the file system that holds the data.
fn disk(dir: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some((stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize))
}
