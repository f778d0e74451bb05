//! The cluster as one gateway sees it: its own cache of routes, which may be stale, and a network in between.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use base::{BoxFuture, Monotonic, NodeId, RangeId, Runtime, runtime::timeout_at};
use bytes::Bytes;
use parking_lot::Mutex;
use storage::{Cluster, Descriptor, Error, Evaluated, FenceOp, NodeStatus, RangeStatus, Result, Route, Stamp};

use super::{
    cell::{Answer, Cell, Refusal},
    executor::SimRuntime,
};

/// An answer that has not come by then is lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(250);
const RETRY_PAUSE: Duration = Duration::from_millis(5);

pub struct Gateway {
    cell: Arc<Cell>,
    runtime: SimRuntime,
    /// By start key.
    routes: Mutex<BTreeMap<Bytes, Descriptor>>,
}

impl Gateway {
    pub(super) fn new(cell: Arc<Cell>, runtime: SimRuntime) -> Gateway {
        Gateway { cell, runtime, routes: Mutex::default() }
    }

    fn heal(&self, descriptors: &[Descriptor]) {
        let mut routes = self.routes.lock();
        for descriptor in descriptors {
            routes.retain(|_, known| !known.span.overlaps(&descriptor.span));
        }
        for descriptor in descriptors {
            routes.insert(descriptor.span.start.clone(), descriptor.clone());
        }
    }

    fn cached(&self, key: &[u8]) -> Option<Descriptor> {
        let routes = self.routes.lock();
        let (_, descriptor) = routes.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
        descriptor.span.contains(key).then(|| descriptor.clone())
    }

    /// One message there and one back, unless one of them is lost.
    async fn round_trip<T>(&self, work: impl Future<Output = T> + Send) -> T {
        let there = self.cell.transmit();
        self.pass(there).await;
        let value = work.await;
        let back = self.cell.transmit();
        self.pass(back).await;
        value
    }

    async fn pass(&self, delay: Option<Duration>) {
        match delay {
            Some(delay) => self.runtime.sleep(delay).await,
            None => futures::future::pending().await,
        }
    }

    /// Repeats a request until it is answered.
    async fn until_answered<T: Send>(
        &self,
        deadline: Monotonic,
        what: &'static str,
        ask: impl Fn() -> T + Sync,
    ) -> Result<T> {
        while self.runtime.now() < deadline {
            let attempt = deadline.min(self.runtime.now() + ATTEMPT_TIMEOUT);
            let exchange = self.round_trip(async { ask() });
            if let Some(value) = timeout_at(&self.runtime, attempt, exchange).await {
                return Ok(value);
            }
        }
        Err(Error::Unavailable { reason: what.into(), maybe_applied: true })
    }

    async fn exchange(&self, route: &Route, command: &Bytes) -> Answer {
        let Descriptor { id, epoch, .. } = route.descriptor;
        if let Some(delay) = self.cell.repetition() {
            let (cell, command) = (self.cell.clone(), command.clone());
            // On the nodes' side: the copy arrives even when the gateway is gone.
            self.cell.runtime.spawn(Box::pin(async move {
                cell.runtime.sleep(delay).await;
                let _unheard = cell.arrive(id, epoch, command, ATTEMPT_TIMEOUT).await;
            }));
        }
        let arrive = async { self.cell.arrive(id, epoch, command.clone(), ATTEMPT_TIMEOUT).await };
        self.round_trip(arrive).await
    }

    async fn evaluate_until(&self, route: &Route, command: Bytes, deadline: Monotonic) -> Result<Evaluated> {
        let mut maybe_applied = false;
        while self.runtime.now() < deadline {
            let attempt = deadline.min(self.runtime.now() + ATTEMPT_TIMEOUT);
            match timeout_at(&self.runtime, attempt, self.exchange(route, &command)).await {
                Some(Ok(evaluated)) => return Ok(evaluated),
                Some(Err(Refusal::RangeChanged(descriptors))) => {
                    self.heal(&descriptors);
                    return Err(Error::RangeChanged(descriptors));
                }
                Some(Err(Refusal::Refused(reason))) => return Err(Error::Refused(reason)),
                Some(Err(Refusal::NotLeader)) => self.runtime.sleep(RETRY_PAUSE).await,
                None => maybe_applied = true,
            }
        }
        Err(Error::Unavailable { reason: "no answer".into(), maybe_applied })
    }
}

fn route(descriptor: Descriptor) -> Route {
    Route { descriptor, leader: Some(NodeId(1)) }
}

impl Cluster for Gateway {
    fn stamp(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>> {
        Box::pin(self.until_answered(deadline, "oracle", || self.cell.stamp()))
    }

    fn fence(&self, op: FenceOp, deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>> {
        Box::pin(self.until_answered(deadline, "fence", move || self.cell.fence(op)))
    }

    fn locate(&self, key: &[u8], deadline: Monotonic) -> BoxFuture<'_, Result<Route>> {
        let key = Bytes::copy_from_slice(key);
        Box::pin(async move {
            if let Some(descriptor) = self.cached(&key) {
                return Ok(route(descriptor));
            }
            let descriptors = self.until_answered(deadline, "map", || self.cell.descriptors()).await?;
            self.heal(&descriptors);
            self.cached(&key).map(route).ok_or_else(|| Error::Refused("a key below all user keys".into()))
        })
    }

    fn evaluate(&self, route: &Route, command: Bytes, deadline: Monotonic) -> BoxFuture<'_, Result<Evaluated>> {
        let route = route.clone();
        Box::pin(async move { self.evaluate_until(&route, command, deadline).await })
    }

    fn split(&self, key: &[u8], _deadline: Monotonic) -> BoxFuture<'_, Result<()>> {
        self.cell.split(key);
        Box::pin(async { Ok(()) })
    }

    fn transfer_leader(&self, range: RangeId, _to: NodeId, _deadline: Monotonic) -> BoxFuture<'_, Result<()>> {
        let start = self.cell.descriptors().into_iter().find(|known| known.id == range).map(|known| known.span.start);
        if let Some(start) = start {
            self.cell.hand_over(&start);
        }
        Box::pin(async { Ok(()) })
    }

    fn ranges(&self, _deadline: Monotonic) -> BoxFuture<'_, Result<Vec<RangeStatus>>> {
        let status = |descriptor| RangeStatus {
            descriptor,
            leader: Some(NodeId(1)),
            term: 1,
            size_bytes: 0,
            applied_index: 0,
            followers: Vec::new(),
            heat: Vec::new(),
        };
        let ranges = self.cell.descriptors().into_iter().map(status).collect();
        Box::pin(async move { Ok(ranges) })
    }

    fn nodes(&self, _deadline: Monotonic) -> BoxFuture<'_, Result<Vec<NodeStatus>>> {
        let node = NodeStatus {
            live: true,
            ranges: self.cell.descriptors().len() as u64,
            leaders: self.cell.descriptors().len() as u64,
            counters: vec![("proposals".into(), self.cell.proposals())],
            ..NodeStatus::silent(NodeId(1), "memory".into())
        };
        Box::pin(async move { Ok(vec![node]) })
    }
}
