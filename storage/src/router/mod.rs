//! The client side of the cluster: finds the leader of a range, retries, heals its beliefs, and shares timestamps.
//!
//! Runs in gateways, over any [`NodeClient`]: connections, calls within one process, the simulated network. Deterministic
//! given its [`Runtime`].
//!
//! Everything cached here (descriptors, leaders) is a belief: nodes answer `RangeChanged` or `NotLeader` to wrong ones.

mod cache;
mod chase;
mod stamps;

#[cfg(test)]
mod router_test;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{BoxFuture, Monotonic, NodeId, RangeId, Runtime};
use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;

use crate::{
    cluster::{Cluster, Evaluated, FenceOp, NodeStatus, RangeStatus, Route, Stamp},
    error::{Error, Result},
    message::{RequestBody, ResponseBody},
    range::{Descriptor, SYSTEM_RANGE},
};

use cache::RangeCache;
use chase::{Backoff, Chase};
use stamps::Stamps;

/// How long views over all nodes wait for one of them.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

/// Descriptors asked for in one lookup: scans walk on to the next range.
const LOOKUP_RANGES: u32 = 16;

/// Sends one request to one node.
pub trait NodeClient: Send + Sync + 'static {
    /// The answer, or why there is none. Completes within about `timeout`, which travels with the request.
    fn call(
        &self,
        node: NodeId,
        body: RequestBody,
        timeout: Duration,
    ) -> BoxFuture<'_, std::result::Result<ResponseBody, CallError>>;
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The node never got the request.
    #[error("not sent: {0}")]
    Unsent(String),
    /// The node may have got it.
    #[error("no answer: {0}")]
    Lost(String),
}

#[derive(Clone, Debug)]
pub struct RouterOptions {
    /// The nodes, with their addresses (for people; the client knows how to reach them).
    pub nodes: BTreeMap<NodeId, String>,
    /// After so long without an answer the request is sent to another replica as well: its node may hang. Commands are
    /// idempotent, so a second execution does no harm.
    pub hedge_after: Duration,
    /// After so long without an answer the request is sent to the same node once more: it may have been swallowed.
    pub resend_after: Duration,
    /// Ranges kept in the cache.
    pub cached_ranges_max: usize,
    /// The node that is asked first for what any replica may answer; `None`: each in turn.
    pub nearest: Option<NodeId>,
}

impl RouterOptions {
    pub fn new(nodes: BTreeMap<NodeId, String>) -> RouterOptions {
        RouterOptions {
            nodes,
            hedge_after: Duration::from_millis(400),
            resend_after: Duration::from_secs(2),
            cached_ranges_max: 100_000,
            nearest: None,
        }
    }
}

/// A handle; clones share everything.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

struct Inner {
    client: Arc<dyn NodeClient>,
    runtime: Arc<dyn Runtime>,
    options: RouterOptions,
    cache: Mutex<RangeCache>,
    stamps: Mutex<Stamps>,
}

impl Router {
    pub fn new(client: Arc<dyn NodeClient>, runtime: Arc<dyn Runtime>, options: RouterOptions) -> Router {
        let cache = Mutex::new(RangeCache::new(options.cached_ranges_max));
        Router { inner: Arc::new(Inner { client, runtime, options, cache, stamps: Mutex::default() }) }
    }
}

impl Inner {
    /// Has the leader of a range answer `body`.
    async fn ask(
        &self,
        range: RangeId,
        replicas: &[NodeId],
        body: RequestBody,
        deadline: Monotonic,
    ) -> Result<ResponseBody> {
        Chase::new(self, range, replicas, body, deadline).run().await
    }

    async fn ask_system(&self, body: RequestBody, deadline: Monotonic) -> Result<ResponseBody> {
        let replicas: Vec<NodeId> = self.options.nodes.keys().copied().collect();
        self.ask(SYSTEM_RANGE, &replicas, body, deadline).await
    }

    async fn ask_stamp(&self, body: RequestBody, deadline: Monotonic) -> Result<Stamp> {
        match self.ask_system(body, deadline).await? {
            ResponseBody::Stamp(stamp) => Ok(stamp),
            other => Err(unexpected(&other)),
        }
    }

    async fn locate(&self, key: &[u8], deadline: Monotonic) -> Result<Route> {
        if let Some(route) = self.cache.lock().route(key) {
            return Ok(route);
        }
        let mut backoff = Backoff::default();
        loop {
            let found = self.look_up(key, LOOKUP_RANGES, deadline).await?;
            if let Some(descriptor) = found.into_iter().find(|descriptor| descriptor.span.contains(key)) {
                // Even when the cache knows better about a part of it: the node it leads to will tell the rest.
                let cache = self.cache.lock();
                return Ok(cache.route(key).unwrap_or_else(|| cache.route_to(descriptor)));
            }
            if self.runtime.now() >= deadline {
                return Err(unavailable("the key lies in no range known to the cluster's map"));
            }
            self.runtime.sleep(backoff.next(&*self.runtime)).await;
        }
    }

    async fn look_up(&self, key: &[u8], limit: u32, deadline: Monotonic) -> Result<Vec<Descriptor>> {
        let body = RequestBody::Lookup { key: Bytes::copy_from_slice(key), limit };
        match self.ask_system(body, deadline).await? {
            ResponseBody::Descriptors(found) => {
                let mut cache = self.cache.lock();
                for (descriptor, leader) in &found {
                    cache.insert(descriptor.clone());
                    // What this router has seen itself is fresher than the map.
                    if let Some(leader) = leader.filter(|_| cache.leader(descriptor.id).is_none()) {
                        cache.set_leader(descriptor.id, Some(leader));
                    }
                }
                Ok(found.into_iter().map(|(descriptor, _)| descriptor).collect())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Drops the belief that was wrong and takes up what the node said instead.
    fn heal(&self, wrong: RangeId, current: &[Descriptor]) {
        let mut cache = self.cache.lock();
        cache.remove(wrong);
        for descriptor in current {
            cache.insert(descriptor.clone());
        }
    }

    async fn evaluate(&self, descriptor: &Descriptor, command: Bytes, deadline: Monotonic) -> Result<Evaluated> {
        let body = RequestBody::Evaluate { range: descriptor.id, epoch: descriptor.epoch, command };
        match self.ask(descriptor.id, &descriptor.replicas, body, deadline).await? {
            ResponseBody::Evaluated { reply, replicated } => Ok(Evaluated { reply, replicated }),
            ResponseBody::RangeChanged(current) => {
                self.heal(descriptor.id, &current);
                Err(Error::RangeChanged(current))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Asks one replica for what it can tell without being the leader, and then the leader.
    async fn evaluate_past(&self, descriptor: &Descriptor, command: Bytes, deadline: Monotonic) -> Result<Evaluated> {
        let replicas = &descriptor.replicas;
        let any =
            (!replicas.is_empty()).then(|| replicas[(self.runtime.random_u64() % replicas.len() as u64) as usize]);
        if let Some(node) = self.options.nearest.filter(|node| replicas.contains(node)).or(any) {
            let timeout = self.options.hedge_after.min(deadline.since(self.runtime.now()));
            let range = descriptor.id;
            let body = RequestBody::ReadClosed { range, epoch: descriptor.epoch, command: command.clone() };
            let until = self.runtime.now() + timeout;
            let call = self.client.call(node, body, timeout);
            match base::runtime::timeout_at(&*self.runtime, until, call).await {
                Some(Ok(ResponseBody::Evaluated { reply, replicated })) => return Ok(Evaluated { reply, replicated }),
                Some(Ok(ResponseBody::RangeChanged(current))) => {
                    self.heal(range, &current);
                    return Err(Error::RangeChanged(current));
                }
                // Slow, gone, or not able to tell: the leader is.
                _ => {}
            }
        }
        self.evaluate(descriptor, command, deadline).await
    }

    async fn split(&self, key: &[u8], deadline: Monotonic) -> Result<()> {
        let mut backoff = Backoff::default();
        loop {
            let Descriptor { id, span, replicas, .. } = self.locate(key, deadline).await?.descriptor;
            if span.start == key {
                return Ok(());
            }
            let body = RequestBody::Split { range: id, key: Bytes::copy_from_slice(key) };
            match self.ask(id, &replicas, body, deadline).await? {
                ResponseBody::Done => {
                    self.heal(id, &[]);
                    return Ok(());
                }
                ResponseBody::RangeChanged(current) => self.heal(id, &current),
                other => return Err(unexpected(&other)),
            }
            if self.runtime.now() >= deadline {
                return Err(unavailable("the range keeps changing"));
            }
            self.runtime.sleep(backoff.next(&*self.runtime)).await;
        }
    }

    async fn transfer_leader(&self, range: RangeId, to: NodeId, deadline: Monotonic) -> Result<()> {
        let replicas: Vec<NodeId> = self.options.nodes.keys().copied().collect();
        match self.ask(range, &replicas, RequestBody::TransferLeader { range, to }, deadline).await? {
            ResponseBody::Done => {
                self.cache.lock().set_leader(range, Some(to));
                Ok(())
            }
            ResponseBody::RangeChanged(_) => Err(Error::Refused(format!("there is no range {range}"))),
            other => Err(unexpected(&other)),
        }
    }

    /// Asks every node the same; those that do not answer are left out.
    async fn ask_all(&self, body: RequestBody, deadline: Monotonic) -> Vec<(NodeId, Option<ResponseBody>)> {
        let timeout = deadline.since(self.runtime.now()).min(VIEW_TIMEOUT);
        join_all(self.options.nodes.keys().map(|node| {
            let call = self.client.call(*node, body.clone(), timeout);
            let until = self.runtime.now() + timeout;
            async move { (*node, base::runtime::timeout_at(&*self.runtime, until, call).await.and_then(|r| r.ok())) }
        }))
        .await
    }

    async fn ranges(&self, deadline: Monotonic) -> Result<Vec<RangeStatus>> {
        let mut newest: BTreeMap<RangeId, RangeStatus> = BTreeMap::new();
        for (_, answer) in self.ask_all(RequestBody::LocalRanges, deadline).await {
            let Some(ResponseBody::Ranges(statuses)) = answer else { continue };
            for status in statuses {
                let age = |status: &RangeStatus| (status.descriptor.epoch, status.term);
                if newest.get(&status.descriptor.id).is_none_or(|known| age(known) < age(&status)) {
                    newest.insert(status.descriptor.id, status);
                }
            }
        }
        // Ranges without a leader are known to the map at best.
        let view = (self.runtime.now() + VIEW_TIMEOUT).min(deadline);
        for descriptor in self.look_up(&[], u32::MAX, view).await.unwrap_or_default() {
            let known = newest.values().any(|status| status.descriptor.span.overlaps(&descriptor.span));
            if !known {
                let status = RangeStatus {
                    descriptor,
                    leader: None,
                    term: 0,
                    size_bytes: 0,
                    applied_index: 0,
                    followers: Vec::new(),
                    heat: Vec::new(),
                };
                newest.insert(status.descriptor.id, status);
            }
        }
        let mut statuses: Vec<RangeStatus> = newest.into_values().collect();
        statuses.sort_by(|a, b| a.descriptor.span.start.cmp(&b.descriptor.span.start));
        Ok(statuses)
    }

    async fn nodes(&self, deadline: Monotonic) -> Result<Vec<NodeStatus>> {
        let answers = self.ask_all(RequestBody::NodeStatus, deadline).await;
        let statuses = answers.into_iter().map(|(id, answer)| match answer {
            Some(ResponseBody::Node(status)) => status,
            _ => NodeStatus::silent(id, self.options.nodes.get(&id).cloned().unwrap_or_default()),
        });
        Ok(statuses.collect())
    }
}

impl Cluster for Router {
    fn stamp(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>> {
        Box::pin(stamps::stamp(&self.inner, deadline))
    }

    fn fence(&self, op: FenceOp, deadline: Monotonic) -> BoxFuture<'_, Result<Stamp>> {
        Box::pin(self.inner.ask_stamp(RequestBody::Fence { op }, deadline))
    }

    fn locate(&self, key: &[u8], deadline: Monotonic) -> BoxFuture<'_, Result<Route>> {
        // Nearly always cached: no copy of the key then.
        if let Some(route) = self.inner.cache.lock().route(key) {
            return Box::pin(std::future::ready(Ok(route)));
        }
        let key = key.to_vec();
        Box::pin(async move { self.inner.locate(&key, deadline).await })
    }

    fn evaluate(&self, route: &Route, command: Bytes, deadline: Monotonic) -> BoxFuture<'_, Result<Evaluated>> {
        let descriptor = route.descriptor.clone();
        Box::pin(async move { self.inner.evaluate(&descriptor, command, deadline).await })
    }

    fn evaluate_past(&self, route: &Route, command: Bytes, deadline: Monotonic) -> BoxFuture<'_, Result<Evaluated>> {
        let descriptor = route.descriptor.clone();
        Box::pin(async move { self.inner.evaluate_past(&descriptor, command, deadline).await })
    }

    fn split(&self, key: &[u8], deadline: Monotonic) -> BoxFuture<'_, Result<()>> {
        let key = key.to_vec();
        Box::pin(async move { self.inner.split(&key, deadline).await })
    }

    fn transfer_leader(&self, range: RangeId, to: NodeId, deadline: Monotonic) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.inner.transfer_leader(range, to, deadline))
    }

    fn ranges(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Vec<RangeStatus>>> {
        Box::pin(self.inner.ranges(deadline))
    }

    fn nodes(&self, deadline: Monotonic) -> BoxFuture<'_, Result<Vec<NodeStatus>>> {
        Box::pin(self.inner.nodes(deadline))
    }
}

fn unavailable(reason: &str) -> Error {
    Error::Unavailable { reason: reason.to_owned(), maybe_applied: false }
}

/// A node that answers another question than it was asked has a bug or another version.
fn unexpected(body: &ResponseBody) -> Error {
    Error::Refused(format!("a node gave an answer of the wrong kind: {body:?}"))
}
