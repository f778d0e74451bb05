//! The event heap: everything that happens, one thing at a time, in simulated time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{BoxFuture, Monotonic, NodeId, Rng, Runtime};
use bytes::Bytes;
use futures::channel::oneshot;
use parking_lot::Mutex;
use storage::{
    message::{ClientId, Effects, Event, Reply, Request, RequestBody, Response, ResponseBody},
    router::{CallError, NodeClient},
};

use super::{
    executor::{Executor, Owner, SimRuntime},
    network::{Endpoint, Network},
    node::SimNode,
    trace::Trace,
};

/// Something that will happen.
enum Happening {
    Tick {
        node: NodeId,
        life: u64,
    },
    Deliver {
        node: NodeId,
        event: Event,
    },
    Answer {
        call: u64,
        body: ResponseBody,
    },
    Synced {
        node: NodeId,
        life: u64,
        sequence: u64,
    },
    Flushed {
        node: NodeId,
        life: u64,
        sequence: u64,
    },
    /// Effects of a step during which the process was stopped leave when it goes on.
    Released {
        node: NodeId,
        life: u64,
        effects: Box<Effects>,
    },
}

/// Requests of gateways that wait for an answer.
#[derive(Default)]
struct Calls {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<ResponseBody>>,
    outbox: Vec<(u64, u32, NodeId, Request)>,
}

/// A gateway's way to the nodes, through the simulated network.
pub struct SimClient {
    gateway: u32,
    calls: Arc<Mutex<Calls>>,
    runtime: Arc<SimRuntime>,
}

impl NodeClient for SimClient {
    fn call(
        &self,
        node: NodeId,
        body: RequestBody,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<ResponseBody, CallError>> {
        let (sender, receiver) = oneshot::channel();
        let mut calls = self.calls.lock();
        calls.next += 1;
        let id = calls.next;
        calls.waiting.insert(id, sender);
        let request = Request { id, timeout_ms: timeout.as_millis() as u32, body };
        calls.outbox.push((id, self.gateway, node, request));
        drop(calls);
        let (runtime, calls) = (self.runtime.clone(), self.calls.clone());
        Box::pin(async move {
            let deadline = runtime.now() + timeout;
            let answer = base::runtime::timeout_at(&*runtime, deadline, receiver).await;
            calls.lock().waiting.remove(&id);
            match answer {
                Some(Ok(body)) => Ok(body),
                Some(Err(oneshot::Canceled)) | None => Err(CallError::Lost("no answer in time".into())),
            }
        })
    }
}

pub struct World {
    pub executor: Executor,
    pub network: Network,
    pub nodes: BTreeMap<NodeId, SimNode>,
    pub trace: Trace,
    tick: Duration,
    calls: Arc<Mutex<Calls>>,
    /// By (time, number): equal times happen in the order in which they were scheduled.
    heap: BTreeMap<(Monotonic, u64), Happening>,
    scheduled: u64,
    /// How much happened, for the report.
    pub events: u64,
    pub fatal: Vec<String>,
}

impl World {
    pub fn new(nodes: Vec<SimNode>, tick: Duration, network: Network, trace: Trace) -> World {
        World {
            executor: Executor::new(),
            network,
            nodes: nodes.into_iter().map(|node| (node.id, node)).collect(),
            trace,
            tick,
            calls: Arc::default(),
            heap: BTreeMap::new(),
            scheduled: 0,
            events: 0,
            fatal: Vec::new(),
        }
    }

    pub fn now(&self) -> Monotonic {
        self.executor.now()
    }

    pub fn client(&self, gateway: u32, runtime: Arc<SimRuntime>) -> SimClient {
        SimClient { gateway, calls: self.calls.clone(), runtime }
    }

    /// The runtime of a process; killing its owner ends everything it does.
    pub fn runtime(&self, owner: Owner, rng: Rng) -> Arc<SimRuntime> {
        self.executor.runtime(owner, rng)
    }

    pub fn start_node(&mut self, id: NodeId) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Err(error) = node.start(now) {
            self.fatal.push(format!("{id} does not start: {error}"));
            return;
        }
        let life = node.life;
        self.trace.line(now, format_args!("{id} starts"));
        self.schedule(now + self.tick, Happening::Tick { node: id, life });
    }

    pub fn crash_node(&mut self, id: NodeId) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_up()) {
            node.crash();
            self.trace.line(now, format_args!("{id} crashes"));
        }
    }

    /// Stops a process as SIGSTOP does, in the middle of whatever it does.
    pub fn pause_node(&mut self, id: NodeId) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_up() && node.paused.is_none()) {
            node.paused = Some(Default::default());
            self.trace.line(now, format_args!("{id} is paused"));
        }
    }

    pub fn resume_node(&mut self, id: NodeId) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(events) = node.paused.take() else { return };
        self.trace.line(now, format_args!("{id} resumes"));
        for event in events {
            self.step(id, event);
        }
    }

    /// Runs until the simulated moment, or until `done` says so.
    pub fn run_until(&mut self, end: Monotonic, mut done: impl FnMut() -> bool) {
        loop {
            self.executor.run_ready();
            self.send_requests();
            if done() || !self.fatal.is_empty() {
                return;
            }
            let next_event = self.heap.keys().next().map(|(at, _)| *at);
            let next = [next_event, self.executor.next_timer()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.executor.set_now(end);
                return;
            };
            self.executor.set_now(next.max(self.now()));
            self.executor.fire_timers();
            while let Some(entry) = self.heap.first_entry().filter(|entry| entry.key().0 <= next) {
                let happening = entry.remove();
                self.events += 1;
                self.happen(happening);
            }
        }
    }

    fn schedule(&mut self, at: Monotonic, happening: Happening) {
        self.scheduled += 1;
        self.heap.insert((at, self.scheduled), happening);
    }

    /// Puts the gateways' new requests on the network.
    fn send_requests(&mut self) {
        let outbox = std::mem::take(&mut self.calls.lock().outbox);
        let now = self.now();
        for (_, gateway, node, request) in outbox {
            if self.trace.keeps_lines() {
                self.trace.line(now, format_args!("g{gateway}->{node} {:?}", Brief(&request.body)));
            } else if let RequestBody::Evaluate { command, .. } = &request.body {
                self.trace.bytes(command);
            }
            for at in self.network.send(now, Endpoint::Gateway(gateway), Endpoint::Node(node)) {
                let event = Event::Request { client: ClientId(u64::from(gateway)), request: request.clone() };
                self.schedule(at, Happening::Deliver { node, event });
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick { node, life } => {
                if self.lives(node, life) {
                    let at = self.now() + self.tick;
                    self.schedule(at, Happening::Tick { node, life });
                    // A stopped process gets no pile of ticks when it goes on.
                    if self.nodes[&node].paused.is_none() {
                        self.step(node, Event::Tick);
                    }
                }
            }
            Happening::Deliver { node, event } => self.step(node, event),
            Happening::Answer { call, body } => {
                if let Some(waiting) = self.calls.lock().waiting.remove(&call) {
                    let _ = waiting.send(body);
                }
            }
            Happening::Synced { node, life, sequence } => {
                if self.lives(node, life) {
                    if let Some(node) = self.nodes.get_mut(&node) {
                        node.sync_log();
                    }
                    self.step(node, Event::Persisted { sequence });
                }
            }
            Happening::Flushed { node, life, sequence } => {
                if self.lives(node, life) {
                    if let Some(node) = self.nodes.get_mut(&node) {
                        node.flush_engine();
                    }
                    self.step(node, Event::Flushed { sequence });
                }
            }
            Happening::Released { node, life, effects } => {
                if self.lives(node, life) {
                    self.perform(node, *effects);
                }
            }
        }
    }

    fn lives(&self, node: NodeId, life: u64) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.is_up() && node.life == life)
    }

    fn step(&mut self, id: NodeId, event: Event) {
        let now = self.now();
        let wall_ms = (self.executor.wall_micros() / 1000) as u64;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let mut stopped_in_step = false;
        if let Some(waiting) = &mut node.paused {
            // The stop hits the process in the middle of the first event: it is evaluated before, its effects leave after.
            stopped_in_step = waiting.is_empty() && matches!(event, Event::Request { .. });
            waiting.push_back(if stopped_in_step { Event::Tick } else { event.clone() });
            if !stopped_in_step {
                return;
            }
        }
        let Some(effects) = node.step(event, now, wall_ms) else { return };
        let life = node.life;
        if stopped_in_step {
            self.schedule(now + PAUSE, Happening::Released { node: id, life, effects: Box::new(effects) });
        } else {
            self.perform(id, effects);
        }
    }

    fn perform(&mut self, id: NodeId, effects: Effects) {
        let now = self.now();
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let life = node.life;
        if let Some(reason) = effects.fatal {
            self.fatal.push(format!("{id}: {reason}"));
        }
        if !effects.log.is_empty() {
            let at = now + node.sync_duration();
            self.trace.line(now, format_args!("{id} logs {} records as #{}", effects.log.len(), effects.log_sequence));
            self.schedule(at, Happening::Synced { node: id, life, sequence: effects.log_sequence });
        }
        if let Some(sequence) = effects.flush {
            self.schedule(now + Duration::from_millis(5), Happening::Flushed { node: id, life, sequence });
        }
        for (to, message) in effects.messages {
            self.send_peer(id, to, message);
        }
        for reply in effects.replies {
            self.send_reply(id, reply);
        }
    }

    fn send_peer(&mut self, from: NodeId, to: NodeId, message: Bytes) {
        let now = self.now();
        self.trace.bytes(&message);
        for at in self.network.send(now, Endpoint::Node(from), Endpoint::Node(to)) {
            let event = Event::Peer { from, message: message.clone() };
            self.schedule(at, Happening::Deliver { node: to, event });
        }
    }

    fn send_reply(&mut self, from: NodeId, reply: Reply) {
        let now = self.now();
        let Reply { client, mut response, valid_until } = reply;
        let local = self.nodes[&from].local(now);
        if valid_until.is_some_and(|until| local >= until) {
            response.body = ResponseBody::NotLeader { hint: None, maybe_applied: false };
        }
        let gateway = client.0 as u32;
        if self.trace.keeps_lines() {
            self.trace.line(now, format_args!("{from}->g{gateway} {:?}", BriefAnswer(&response)));
        } else if let ResponseBody::Evaluated { reply, .. } = &response.body {
            self.trace.bytes(reply);
        }
        for at in self.network.send(now, Endpoint::Node(from), Endpoint::Gateway(gateway)) {
            self.schedule(at, Happening::Answer { call: response.id, body: response.body.clone() });
        }
    }
}

/// How long a paused process stays stopped: longer than any lease.
pub const PAUSE: Duration = Duration::from_millis(2500);

/// A request in a few words.
struct Brief<'a>(&'a RequestBody);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            RequestBody::Evaluate { range, epoch, command } => match txn::Command::decode(command) {
                Ok(command) => write!(f, "{range}/{epoch} {command:?}"),
                Err(_) => write!(f, "{range}/{epoch} ?"),
            },
            other => write!(f, "{other:?}"),
        }
    }
}

struct BriefAnswer<'a>(&'a Response);

impl std::fmt::Debug for BriefAnswer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.body {
            ResponseBody::Evaluated { reply, replicated } => {
                write!(f, "#{} {}{}", self.0.id, reply.escape_ascii(), if *replicated { " (replicated)" } else { "" })
            }
            other => write!(f, "#{} {other:?}", self.0.id),
        }
    }
}
