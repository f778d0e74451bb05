//! Where answers go: connections of gateways, and callers in this process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base::{BoxFuture, NodeId};
use futures::channel::oneshot;
use parking_lot::Mutex;

use super::{
    driver::Driver,
    frame,
    link::{Link, PushError},
};
use crate::{
    message::{ClientId, Event, Request, RequestBody, Response, ResponseBody},
    router::{CallError, NodeClient},
};

/// Requests of one connection that wait for their answers.
pub const IN_FLIGHT_MAX: usize = 16_384;

#[derive(Default)]
pub struct Clients {
    // Only ever looked up by id: the order of a HashMap does not show.
    clients: Mutex<HashMap<ClientId, Client>>,
    last_id: AtomicU64,
}

#[derive(Clone)]
enum Client {
    Connection(Arc<Connection>),
    Local(Arc<Pending>),
}

/// A gateway's connection.
pub struct Connection {
    pub link: Arc<Link>,
    pub in_flight: AtomicUsize,
}

impl Clients {
    fn register(&self, client: Client) -> ClientId {
        let id = ClientId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        self.clients.lock().insert(id, client);
        id
    }

    pub fn register_connection(&self, link: Arc<Link>) -> (ClientId, Arc<Connection>) {
        let connection = Arc::new(Connection { link, in_flight: AtomicUsize::new(0) });
        (self.register(Client::Connection(connection.clone())), connection)
    }

    pub fn remove(&self, id: ClientId) {
        self.clients.lock().remove(&id);
    }

    /// Delivers an answer; answers to clients that have gone are dropped. Links with something to send go to `outbox`.
    pub fn answer(&self, id: ClientId, response: Response, outbox: &mut Vec<Arc<Link>>) {
        let client = self.clients.lock().get(&id).cloned();
        match client {
            Some(Client::Connection(connection)) => {
                connection.in_flight.fetch_sub(1, Ordering::Relaxed);
                connection.send(&response);
                if connection.link.list() {
                    outbox.push(connection.link.clone());
                }
            }
            Some(Client::Local(pending)) => pending.answer(response),
            None => {}
        }
    }

    /// The node has stopped: nobody gets an answer any more.
    pub fn close_all(&self) {
        let clients = std::mem::take(&mut *self.clients.lock());
        for client in clients.into_values() {
            match client {
                Client::Connection(connection) => connection.link.close(),
                Client::Local(pending) => pending.close(),
            }
        }
    }
}

impl Connection {
    /// Appends an answer to the link. A gateway that does not read its answers is disconnected.
    pub fn send(&self, response: &Response) {
        if self.link.push(|buffer| frame::encode_response(buffer, response)) == Err(PushError::Full) {
            self.link.close();
        }
    }
}

/// Calls that wait for their answers, by request id.
#[derive(Default)]
pub struct Pending {
    state: Mutex<PendingState>,
}

#[derive(Default)]
struct PendingState {
    calls: HashMap<u64, oneshot::Sender<ResponseBody>>,
    last_id: u64,
    closed: bool,
}

/// A call that waits; forgotten when dropped.
pub struct Call {
    pending: Arc<Pending>,
    pub id: u64,
    answer: oneshot::Receiver<ResponseBody>,
}

/// Why a call could not begin.
pub enum NotBegun {
    Closed,
    TooMany,
}

impl Pending {
    pub fn begin(self: &Arc<Self>) -> Result<Call, NotBegun> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(NotBegun::Closed);
        }
        if state.calls.len() >= IN_FLIGHT_MAX {
            return Err(NotBegun::TooMany);
        }
        state.last_id += 1;
        let id = state.last_id;
        let (sender, answer) = oneshot::channel();
        state.calls.insert(id, sender);
        Ok(Call { pending: self.clone(), id, answer })
    }

    pub fn answer(&self, response: Response) {
        let caller = self.state.lock().calls.remove(&response.id);
        if let Some(caller) = caller {
            // The caller may have gone.
            let _ = caller.send(response.body);
        }
    }

    /// Fails all calls, and all to come.
    pub fn close(&self) {
        let calls = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.calls)
        };
        drop(calls);
    }
}

impl Call {
    /// The answer; `None` when there will be none.
    pub async fn wait(mut self) -> Option<ResponseBody> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.pending.state.lock().calls.remove(&self.id);
    }
}

/// Calls a node of this process directly: no connection, no encoding, and for a read no other thread.
pub struct NodeHandle {
    node: NodeId,
    driver: Weak<Driver>,
    client: ClientId,
    pending: Arc<Pending>,
}

impl NodeHandle {
    pub fn new(node: NodeId, driver: &Arc<Driver>) -> NodeHandle {
        let pending = Arc::new(Pending::default());
        let client = driver.clients.register(Client::Local(pending.clone()));
        NodeHandle { node, driver: Arc::downgrade(driver), client, pending }
    }

    /// Submits a request and returns its answer.
    pub fn request(&self, body: RequestBody, timeout: Duration) -> BoxFuture<'_, Result<ResponseBody, CallError>> {
        let stopped = || Err(CallError::Unsent("the node has stopped".into()));
        let Some(driver) = self.driver.upgrade() else { return Box::pin(std::future::ready(stopped())) };
        let call = match self.pending.begin() {
            Ok(call) => call,
            Err(NotBegun::Closed) => return Box::pin(std::future::ready(stopped())),
            Err(NotBegun::TooMany) => return Box::pin(std::future::ready(Ok(overloaded()))),
        };
        let request = Request { id: call.id, timeout_ms: timeout_ms(timeout), body };
        if let Err(refusal) = driver.push_request(self.client, request) {
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        driver.drive();
        Box::pin(async move { call.wait().await.ok_or_else(|| CallError::Lost("the node has stopped".into())) })
    }
}

impl NodeClient for NodeHandle {
    fn call(
        &self,
        node: NodeId,
        body: RequestBody,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<ResponseBody, CallError>> {
        if node != self.node {
            return Box::pin(std::future::ready(Err(CallError::Unsent(format!("{node} is not in this process")))));
        }
        self.request(body, timeout)
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.clients.remove(self.client);
            driver.push(Event::ClientGone { client: self.client });
            driver.wake_worker();
        }
    }
}

pub fn overloaded() -> ResponseBody {
    ResponseBody::Overloaded("too many requests wait at the node".into())
}

pub fn timeout_ms(timeout: Duration) -> u32 {
    timeout.as_millis().min(u128::from(u32::MAX)) as u32
}
