//! The real world behind [`base::Runtime`]: tokio, the machine's clocks, the operating system's randomness.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base::{BoxFuture, Monotonic, Runtime};
use tokio::runtime::Handle;

/// The monotonic clock of this process; all of its users share one origin.
#[allow(clippy::disallowed_methods)]
pub fn monotonic_now() -> Monotonic {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    // An hour ahead, so that subtracting a few seconds from an early moment does not hit zero.
    let elapsed = ORIGIN.get_or_init(Instant::now).elapsed() + Duration::from_secs(3600);
    Monotonic(elapsed.as_nanos() as u64)
}

/// The wall clock in microseconds since 1970. It may jump.
#[allow(clippy::disallowed_methods)]
pub fn wall_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// The wall clock in milliseconds since 1970.
pub fn wall_millis() -> u64 {
    (wall_micros() / 1000).max(0) as u64
}

/// From a cryptographic generator of this thread, which the operating system's randomness seeds: ids of transactions must never
/// meet, keys of cancel requests must not be guessed, and a system call for each would show.
pub fn random_u64() -> u64 {
    rand::random()
}

/// [`base::Runtime`] on tokio.
#[derive(Clone, Debug)]
pub struct TokioRuntime {
    handle: Handle,
}

impl TokioRuntime {
    pub fn new(handle: Handle) -> TokioRuntime {
        TokioRuntime { handle }
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Monotonic {
        monotonic_now()
    }

    fn wall_micros(&self) -> i64 {
        wall_micros()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _context = self.handle.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        // Detached: a background task ends by itself.
        drop(self.handle.spawn(task));
    }

    fn random_u64(&self) -> u64 {
        random_u64()
    }
}
