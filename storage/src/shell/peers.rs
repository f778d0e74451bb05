//! The way out to the other nodes: one ordered stream each. What does not fit or cannot be sent is dropped: Raft sends again.

use std::{collections::BTreeMap, sync::Arc};

use base::NodeId;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{
    counters::Counters,
    dial::{Dialer, Session},
    frame::{self, Frame, Role},
    link::Link,
    stream::Transport,
};

/// Messages for one node that its connection has not taken yet.
const BUFFERED_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub struct Peers {
    peers: BTreeMap<NodeId, Arc<Peer>>,
}

#[derive(Default)]
struct Peer {
    link: Mutex<Option<Arc<Link>>>,
}

impl Session for Peer {
    fn up(&self, link: Arc<Link>) {
        *self.link.lock() = Some(link);
    }

    fn received(&self, _: Frame) {}

    fn down(&self) {
        // Messages that were buffered go with the link: a stale one must not arrive after newer ones.
        *self.link.lock() = None;
    }
}

impl Peers {
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Peers {
        Peers { peers: nodes.into_iter().map(|node| (node, Arc::default())).collect() }
    }

    /// Starts a task per peer.
    pub fn dial(
        &self,
        node: NodeId,
        cluster: &str,
        addresses: &BTreeMap<NodeId, String>,
        transport: &Transport,
        tokio: &Handle,
    ) -> Vec<AbortHandle> {
        let dialers = self.peers.iter().filter_map(|(peer, session)| {
            let dialer = Dialer {
                address: addresses.get(peer)?.clone(),
                node: *peer,
                cluster: cluster.to_owned(),
                role: Role::Node(node),
                transport: transport.clone(),
                buffered_bytes_max: BUFFERED_BYTES_MAX,
                tokio: tokio.clone(),
            };
            Some(tokio.spawn(dialer.run(session.clone())).abort_handle())
        });
        dialers.collect()
    }

    pub fn send(&self, node: NodeId, message: &Bytes, outbox: &mut Vec<Arc<Link>>, counters: &Counters) {
        let link = self.peers.get(&node).and_then(|peer| peer.link.lock().clone());
        let sent = link.filter(|link| link.push(|buffer| frame::encode_peer(buffer, message)).is_ok());
        match sent {
            Some(link) => {
                counters.messages_sent.add(1);
                if link.list() {
                    outbox.push(link);
                }
            }
            None => counters.messages_dropped.add(1),
        }
    }
}
