//! A gateway's connections to the nodes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{BoxFuture, NodeId};
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{
    clients::{NotBegun, Pending, timeout_ms},
    dial::{Dialer, Session},
    frame::{self, Frame, Role},
    link::{Link, PushError},
    stream::Transport,
};
use crate::{
    message::{Request, RequestBody, ResponseBody},
    router::{CallError, NodeClient},
};

/// Requests that a node has not taken off the connection yet.
const BUFFERED_BYTES_MAX: usize = 128 << 20;

/// [`NodeClient`] over TCP: one multiplexed connection to each node, kept alive in the background.
pub struct TcpClient {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    tasks: Vec<AbortHandle>,
}

#[derive(Default)]
struct Node {
    connection: Mutex<Option<Connection>>,
}

#[derive(Clone)]
struct Connection {
    link: Arc<Link>,
    pending: Arc<Pending>,
}

impl Session for Node {
    fn up(&self, link: Arc<Link>) {
        *self.connection.lock() = Some(Connection { link, pending: Arc::default() });
    }

    fn received(&self, frame: Frame) {
        if let Frame::Response(response) = frame {
            let connection = self.connection.lock().clone();
            if let Some(connection) = connection {
                connection.pending.answer(response);
            }
        }
    }

    fn down(&self) {
        let connection = self.connection.lock().take();
        if let Some(connection) = connection {
            connection.pending.close();
        }
    }
}

impl TcpClient {
    /// Begins to connect to all nodes of the cluster.
    pub fn new(
        cluster: &str,
        addresses: &BTreeMap<NodeId, String>,
        transport: &Transport,
        tokio: &Handle,
    ) -> TcpClient {
        let mut client = TcpClient { nodes: BTreeMap::new(), tasks: Vec::new() };
        for (id, address) in addresses {
            let node = Arc::new(Node::default());
            let dialer = Dialer {
                address: address.clone(),
                node: *id,
                cluster: cluster.to_owned(),
                role: Role::Client,
                transport: transport.clone(),
                buffered_bytes_max: BUFFERED_BYTES_MAX,
                tokio: tokio.clone(),
            };
            client.tasks.push(tokio.spawn(dialer.run(node.clone())).abort_handle());
            client.nodes.insert(*id, node);
        }
        client
    }

    fn connection(&self, node: NodeId) -> Option<Connection> {
        self.nodes.get(&node)?.connection.lock().clone()
    }
}

impl Drop for TcpClient {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for node in self.nodes.values() {
            node.down();
        }
    }
}

impl NodeClient for TcpClient {
    fn call(
        &self,
        node: NodeId,
        body: RequestBody,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<ResponseBody, CallError>> {
        let done = |result| -> BoxFuture<'_, Result<ResponseBody, CallError>> { Box::pin(std::future::ready(result)) };
        let unsent = |why: &str| Err(CallError::Unsent(why.to_owned()));
        let Some(connection) = self.connection(node) else { return done(unsent("not connected")) };
        let call = match connection.pending.begin() {
            Ok(call) => call,
            Err(NotBegun::Closed) => return done(unsent("not connected")),
            Err(NotBegun::TooMany) => {
                return done(Ok(ResponseBody::Overloaded("too many requests are in flight".into())));
            }
        };
        let request = Request { id: call.id, timeout_ms: timeout_ms(timeout), body };
        match connection.link.push(|buffer| frame::encode_request(buffer, &request)) {
            Ok(()) => {}
            Err(PushError::Closed) => return done(unsent("not connected")),
            Err(PushError::Full) => {
                return done(Ok(ResponseBody::Overloaded("the connection is backed up".into())));
            }
            Err(PushError::TooLong) => return done(Ok(ResponseBody::Refused("the request is too long".into()))),
        }
        // If this fails the link closes, and with it the call.
        let _ = connection.link.flush();
        Box::pin(async move { call.wait().await.ok_or_else(|| CallError::Lost("the connection broke".into())) })
    }
}
