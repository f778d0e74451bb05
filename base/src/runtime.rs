//! How time, randomness and concurrency enter the async code of `txn` and `sql`: tokio implements this in the binary,
//! the simulated world in `jepsen`.

use std::{future::Future, pin::Pin, time::Duration};

use crate::time::Monotonic;

/// A future on the heap that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The world as asynchronous code sees it.
pub trait Runtime: Send + Sync + 'static {
    /// The monotonic clock.
    fn now(&self) -> Monotonic;

    /// The wall clock, in microseconds since 1970. For people only (`now()`, logs): nothing correct may rest on it.
    fn wall_micros(&self) -> i64;

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task in the background until it ends.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// 64 random bits; seeded in the simulator, from the operating system in production.
    fn random_u64(&self) -> u64;

    /// 128 random bits.
    fn random_u128(&self) -> u128 {
        (u128::from(self.random_u64()) << 64) | u128::from(self.random_u64())
    }
}

/// Waits for `future` at most until `deadline`; `None` when the deadline came first.
pub async fn timeout_at<T>(
    runtime: &dyn Runtime,
    deadline: Monotonic,
    future: impl Future<Output = T> + Send,
) -> Option<T> {
    let left = deadline.since(runtime.now());
    futures::pin_mut!(future);
    match futures::future::select(future, runtime.sleep(left)).await {
        futures::future::Either::Left((value, _)) => Some(value),
        futures::future::Either::Right(_) => None,
    }
}
