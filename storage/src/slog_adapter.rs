//! `raft` logs through `slog`; this hands its records to `tracing`. The only file that names both.

use slog::{Drain, Level, Never, OwnedKVList, Record};

/// A logger for one replica. Records of `raft` that report a broken invariant arrive as errors.
pub fn logger() -> slog::Logger {
    slog::Logger::root(TracingDrain, slog::o!())
}

struct TracingDrain;

impl Drain for TracingDrain {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _values: &OwnedKVList) -> Result<(), Never> {
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{}", record.msg()),
            // raft warns of ordinary events (a quorum lost for a moment): nobody needs to look.
            Level::Warning | Level::Info => tracing::debug!(target: "raft", "{}", record.msg()),
            Level::Debug | Level::Trace => tracing::trace!(target: "raft", "{}", record.msg()),
        }
        Ok(())
    }
}
