//! A client's view of the gateways: run one transaction, learn whether it committed, aborted, or nobody knows.

use std::{sync::Arc, time::Duration};

use base::{BoxFuture, Rng, Runtime};
use futures::channel::oneshot;
use parking_lot::Mutex;
use sql::Database;
use txn::TxnClient;

use crate::{
    history::{History, Outcome},
    sim::executor::SimRuntime,
};

/// A running gateway.
#[derive(Clone)]
pub struct Gateway {
    pub database: Arc<Database>,
    /// The same transaction client that the database uses.
    pub client: TxnClient,
    pub runtime: Arc<SimRuntime>,
}

/// Where a gateway runs: `None` while it is down.
pub type Slot = Arc<Mutex<Option<Gateway>>>;

/// All gateways, and the clients' own runtime.
#[derive(Clone)]
pub struct Gateways {
    pub slots: Vec<Slot>,
    pub clock: Arc<SimRuntime>,
}

/// How a transaction ended, with what it returned if it committed.
pub struct Attempt<T> {
    pub outcome: Outcome,
    pub value: Option<T>,
}

impl<T> Attempt<T> {
    const REFUSED: Attempt<T> = Attempt { outcome: Outcome::Aborted, value: None };
}

impl Gateways {
    pub fn now(&self) -> u64 {
        self.clock.now().0
    }

    /// Whether this client only reads. Readers have the last gateway to themselves: nothing makes that gateway look for
    /// new leaders as long as somebody answers its reads, so a leader that answers too long is found out.
    pub fn is_reader(process: u32) -> bool {
        process % 3 == 2
    }

    /// Runs `work` on one of the client's gateways, in that gateway's own task: when the gateway dies, the client sees a
    /// lost connection and does not know what became of its transaction. `judge` tells what an error means.
    pub async fn run<T, E, W>(&self, process: u32, rng: &mut Rng, judge: fn(&E) -> Outcome, work: W) -> Attempt<T>
    where
        T: Send + 'static,
        E: Send + 'static,
        W: FnOnce(Gateway) -> BoxFuture<'static, Result<T, E>> + Send + 'static,
    {
        let last = self.slots.len() - 1;
        let slot = if Self::is_reader(process) { last } else { rng.below(last as u64) as usize };
        let slot = &self.slots[slot];
        let up = slot.lock().clone();
        let Some(gateway) = up else {
            self.clock.sleep(Duration::from_millis(50)).await;
            return Attempt::REFUSED;
        };
        let (sender, receiver) = oneshot::channel();
        let runtime = gateway.runtime.clone();
        runtime.spawn(Box::pin(async move {
            let _ = sender.send(work(gateway).await);
        }));
        match receiver.await {
            Ok(Ok(value)) => Attempt { outcome: Outcome::Committed, value: Some(value) },
            Ok(Err(error)) => Attempt { outcome: judge(&error), value: None },
            Err(oneshot::Canceled) => Attempt { outcome: Outcome::Unknown, value: None },
        }
    }
}

/// Committed, aborted, unknown.
pub fn counts<T>(history: &History<T>) -> (u64, u64, u64) {
    let count = |outcome| history.operations.iter().filter(|operation| operation.outcome == outcome).count() as u64;
    (count(Outcome::Committed), count(Outcome::Aborted), count(Outcome::Unknown))
}
