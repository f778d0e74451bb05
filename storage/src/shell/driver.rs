//! The loop: take events, step the core, carry out the effects.
//!
//! The core has one owner at a time, but no thread of its own: whoever brings an event (a task that read a socket, a caller
//! in the same process, the log thread after its fsync) takes the core if it is free, steps it and sends what comes out. So
//! a read is served on the thread that received it, and nobody waits for a thread to wake up. If the core is busy the event
//! stays in the mailbox, and the one who has the core takes it up before he leaves. The worker thread ticks, and takes over
//! when a caller has worked for others long enough.

use std::{
    collections::VecDeque,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use base::{Monotonic, NodeId};
use parking_lot::{Condvar, Mutex};

use super::{
    clients::{Clients, overloaded},
    counters::Counters,
    gauges::Gauges,
    link::Link,
    peers::Peers,
    persist::{FlushQueue, LogQueue},
    runtime::{monotonic_now, wall_millis},
};
use crate::{
    message::{ClientId, Effects, Event, Reply, Request, ResponseBody},
    store::Store,
};

/// Events taken by one step of the core.
const ROUND_EVENTS_MAX: usize = 256;

/// Rounds after which a caller hands over to the worker thread.
const CALLER_ROUNDS_MAX: usize = 4;

/// Rounds after which the worker thread looks at the clock.
const WORKER_ROUNDS_MAX: usize = 16;

/// Peer messages waiting for the core; more are dropped, as a network would.
const PEER_MESSAGES_MAX: usize = 16_384;

/// The core, as the loop sees it.
pub trait Machine: Send {
    fn step_all(&mut self, events: &mut dyn Iterator<Item = Event>, now: Monotonic, wall_ms: u64) -> Effects;
}

impl Machine for Store {
    fn step_all(&mut self, events: &mut dyn Iterator<Item = Event>, now: Monotonic, wall_ms: u64) -> Effects {
        Store::step_all(self, events, now, wall_ms)
    }
}

#[derive(Default)]
struct Mailbox {
    events: VecDeque<Event>,
    requests: usize,
    peer_messages: usize,
    tick: bool,
}

/// Everything that the threads and tasks of a node share.
pub struct Driver {
    mailbox: Mutex<Mailbox>,
    /// `None` once the node has stopped.
    machine: Mutex<Option<Box<dyn Machine>>>,
    requests_max: usize,
    pub log: LogQueue,
    pub flush: FlushQueue,
    pub clients: Clients,
    pub peers: Peers,
    pub counters: Arc<Counters>,
    /// This node's address, for `NodeStatus`.
    pub address: Mutex<String>,
    /// The latest measurements, for `NodeStatus`.
    pub gauges: Mutex<Gauges>,
    worker: Worker,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Worker {
    /// Somebody has left work behind.
    wanted: Mutex<bool>,
    wake: Condvar,
}

impl Driver {
    pub fn new(machine: Box<dyn Machine>, peers: Peers, requests_max: usize, counters: Arc<Counters>) -> Driver {
        Driver {
            mailbox: Mutex::default(),
            machine: Mutex::new(Some(machine)),
            requests_max,
            log: LogQueue::default(),
            flush: FlushQueue::default(),
            clients: Clients::default(),
            peers,
            counters,
            address: Mutex::default(),
            gauges: Mutex::default(),
            worker: Worker::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Puts a request into the mailbox, or says at once why not. Call [`Driver::drive`] afterwards.
    pub fn push_request(&self, client: ClientId, request: Request) -> Result<(), ResponseBody> {
        let mut mailbox = self.mailbox.lock();
        if self.is_stopping() {
            // Others will serve it.
            return Err(ResponseBody::NotLeader { hint: None, maybe_applied: false });
        }
        if mailbox.requests >= self.requests_max {
            self.counters.requests_refused.add(1);
            return Err(overloaded());
        }
        mailbox.requests += 1;
        mailbox.events.push_back(Event::Request { client, request });
        self.counters.requests.add(1);
        Ok(())
    }

    /// Puts messages of a peer into the mailbox; drops them when too many wait.
    pub fn push_peer(&self, from: NodeId, messages: impl Iterator<Item = bytes::Bytes>) {
        let mut mailbox = self.mailbox.lock();
        for message in messages {
            if mailbox.peer_messages >= PEER_MESSAGES_MAX {
                self.counters.messages_dropped.add(1);
                continue;
            }
            mailbox.peer_messages += 1;
            mailbox.events.push_back(Event::Peer { from, message });
            self.counters.messages_received.add(1);
        }
    }

    /// Puts any other event into the mailbox.
    pub fn push(&self, event: Event) {
        let mut mailbox = self.mailbox.lock();
        if matches!(event, Event::Tick) && std::mem::replace(&mut mailbox.tick, true) {
            return;
        }
        mailbox.events.push_back(event);
    }

    /// Works off the mailbox, unless somebody does already; leaves the rest to the worker if there is much.
    pub fn drive(&self) {
        if !self.run(CALLER_ROUNDS_MAX) {
            self.wake_worker();
        }
    }

    /// Leaves the mailbox to the worker.
    pub fn wake_worker(&self) {
        *self.worker.wanted.lock() = true;
        self.worker.wake.notify_one();
    }

    /// `false` when work is left after so many rounds.
    fn run(&self, rounds: usize) -> bool {
        for _ in 0..rounds {
            if self.mailbox.lock().events.is_empty() {
                return true;
            }
            let mut outbox = Vec::new();
            {
                // If another thread has the core, it will look into the mailbox once more after giving it back.
                let Some(mut machine) = self.machine.try_lock() else { return true };
                let Some(machine) = machine.as_mut() else { return true };
                self.round(&mut **machine, &mut outbox);
            }
            for link in outbox {
                link.unlist();
                // An error closes the link, and its reader notices.
                let _ = link.flush();
            }
        }
        self.mailbox.lock().events.is_empty()
    }

    fn round(&self, machine: &mut dyn Machine, outbox: &mut Vec<Arc<Link>>) {
        let mut events = self.take_events();
        self.counters.rounds.add(1);
        self.counters.events.add(events.len() as u64);
        // The clock is read after the events were taken: leases rest on that.
        let effects = {
            let _guard = AbortOnPanic;
            machine.step_all(&mut events.drain(..), monotonic_now(), wall_millis())
        };
        if let Some(reason) = &effects.fatal {
            fatal(reason);
        }
        if !effects.log.is_empty() {
            self.log.push(effects.log, effects.log_sequence);
        }
        if let Some(sequence) = effects.flush {
            self.flush.push(sequence);
        }
        for (node, message) in &effects.messages {
            self.peers.send(*node, message, outbox, &self.counters);
        }
        for reply in effects.replies {
            self.answer(reply, outbox);
        }
    }

    fn take_events(&self) -> VecDeque<Event> {
        let mut mailbox = self.mailbox.lock();
        let count = mailbox.events.len().min(ROUND_EVENTS_MAX);
        let rest = mailbox.events.split_off(count);
        let events = std::mem::replace(&mut mailbox.events, rest);
        for event in &events {
            match event {
                Event::Request { .. } => mailbox.requests -= 1,
                Event::Peer { .. } => mailbox.peer_messages -= 1,
                Event::Tick => mailbox.tick = false,
                _ => {}
            }
        }
        events
    }

    fn answer(&self, mut reply: Reply, outbox: &mut Vec<Arc<Link>>) {
        if reply.valid_until.is_some_and(|until| monotonic_now() >= until) {
            reply.response.body = ResponseBody::NotLeader { hint: None, maybe_applied: false };
        }
        if let ResponseBody::Node(status) = &mut reply.response.body {
            status.counters.extend(self.counters.list());
            status.gauges = self.gauges.lock().clone();
            status.address = self.address.lock().clone();
        }
        self.counters.replies.add(1);
        self.clients.answer(reply.client, reply.response, outbox);
    }

    /// The worker thread: ticks, and works off what was left to it, until the node stops.
    pub fn work(&self, tick: Duration) {
        let mut next_tick = monotonic_now() + tick;
        while !self.is_stopping() {
            let now = monotonic_now();
            if now >= next_tick {
                next_tick = now + tick;
                self.push(Event::Tick);
            }
            // Bounded, or a mailbox that never empties would stop the ticks.
            if self.run(WORKER_ROUNDS_MAX) {
                let mut wanted = self.worker.wanted.lock();
                if !*wanted && !self.is_stopping() {
                    self.worker.wake.wait_for(&mut wanted, next_tick.since(monotonic_now()));
                }
                *wanted = false;
            }
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Ends the worker, log and flush threads as soon as they have done what is queued.
    pub fn stop_threads(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_worker();
        self.log.stop();
        self.flush.stop();
    }

    /// Drops the core, and with it the engine.
    pub fn drop_machine(&self) {
        let machine = self.machine.lock().take();
        drop(machine);
        self.clients.close_all();
    }
}

/// Stored state cannot be trusted, or a promise could not be kept: nothing must leave this process any more.
pub fn fatal(reason: &str) -> ! {
    tracing::error!(reason, "the node must stop");
    process::abort();
}

/// A core that has panicked in the middle of a step is in no known state. Tasks would swallow the panic.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            fatal("the core has panicked");
        }
    }
}
