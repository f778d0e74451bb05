//! Timestamps from the oracle: one request in flight, for everybody who was waiting when it was sent.
//!
//! A timestamp must be allocated after the call began. So whoever comes while a request is in flight waits for the next one.

use std::sync::Arc;

use base::{Monotonic, Timestamp, runtime::timeout_at};
use futures::channel::oneshot;

use super::{Inner, unavailable};
use crate::{
    cluster::Stamp,
    error::{Error, Result},
    message::RequestBody,
};

/// At most so many timestamps are asked for at once.
const BATCH_MAX: usize = 4096;

#[derive(Default)]
pub struct Stamps {
    waiting: Vec<Waiter>,
    /// Somebody serves the waiters.
    served: bool,
}

struct Waiter {
    deadline: Monotonic,
    /// Dropped without a word when the request of a batch failed for reasons of its own: the waiter queues again.
    answer: oneshot::Sender<Result<Stamp>>,
}

pub async fn stamp(router: &Arc<Inner>, deadline: Monotonic) -> Result<Stamp> {
    loop {
        let (answer, result) = oneshot::channel();
        let serve = {
            let mut stamps = router.stamps.lock();
            stamps.waiting.push(Waiter { deadline, answer });
            !std::mem::replace(&mut stamps.served, true)
        };
        let received = if serve {
            // The first caller sends at once, without the detour over a task.
            let mut duty = Duty { router: router.clone(), ended: false };
            let batch = router.take_batch();
            router.serve_batch(batch, deadline).await;
            duty.end();
            result.await
        } else {
            match timeout_at(&*router.runtime, deadline, result).await {
                Some(received) => received,
                None => return Err(unavailable("the timestamp oracle does not answer")),
            }
        };
        match received {
            Ok(stamp) => return stamp,
            Err(oneshot::Canceled) if router.runtime.now() >= deadline => {
                return Err(unavailable("the timestamp oracle does not answer"));
            }
            Err(oneshot::Canceled) => {}
        }
    }
}

/// The duty of a caller to serve the waiters. It may be dropped at any await; then, and when others wait at its end, a task
/// takes over.
struct Duty {
    router: Arc<Inner>,
    ended: bool,
}

impl Duty {
    fn end(&mut self) {
        self.ended = true;
        {
            let mut stamps = self.router.stamps.lock();
            if stamps.waiting.is_empty() {
                stamps.served = false;
                return;
            }
        }
        let router = self.router.clone();
        self.router.runtime.spawn(Box::pin(async move { router.serve_all().await }));
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
        }
    }
}

impl Inner {
    fn take_batch(&self) -> Vec<Waiter> {
        let mut stamps = self.stamps.lock();
        let count = stamps.waiting.len().min(BATCH_MAX);
        stamps.waiting.drain(..count).collect()
    }

    /// Serves batch after batch until nobody waits.
    async fn serve_all(&self) {
        loop {
            {
                let mut stamps = self.stamps.lock();
                // Whose caller has gone needs no timestamp.
                stamps.waiting.retain(|waiter| !waiter.answer.is_canceled());
                if stamps.waiting.is_empty() {
                    stamps.served = false;
                    return;
                }
            }
            let batch = self.take_batch();
            let deadline = batch.iter().map(|waiter| waiter.deadline).max().unwrap_or_default();
            self.serve_batch(batch, deadline).await;
        }
    }

    async fn serve_batch(&self, batch: Vec<Waiter>, deadline: Monotonic) {
        if batch.is_empty() {
            return;
        }
        match self.ask_stamp(RequestBody::Stamp { count: batch.len() as u32 }, deadline).await {
            Ok(first) => {
                for (i, waiter) in batch.into_iter().enumerate() {
                    let timestamp = Timestamp(first.timestamp.0 + i as u64);
                    // An error means that the caller has gone.
                    let _ = waiter.answer.send(Ok(Stamp { timestamp, ..first }));
                }
            }
            Err(Error::Unavailable { .. }) => drop(batch),
            Err(error) => {
                for waiter in batch {
                    let _ = waiter.answer.send(Err(error.clone()));
                }
            }
        }
    }
}
