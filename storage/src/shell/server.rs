//! The way in: connections of other nodes and of gateways.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use base::NodeId;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::JoinSet,
    time::timeout,
};

use super::{
    clients::{self, Connection, IN_FLIGHT_MAX},
    dial::{CloseOnDrop, send},
    driver::Driver,
    frame::{FRAME_BYTES_MAX, Frame, FrameReader, HELLO_BYTES_MAX, Hello, PROTOCOL_VERSION, Role},
    link::Link,
    stream::{self, Peer, Stream, Transport},
};
use crate::message::{ClientId, Event, Request, Response};

const CONNECTIONS_MAX: usize = 4096;
/// Who connects must say who he is within this time.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Dialers ping twice a second: a connection that is silent for so long is half-open.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Answers that a gateway has not read yet.
const BUFFERED_BYTES_MAX: usize = 128 << 20;

pub struct Server {
    pub node: NodeId,
    pub cluster: String,
    /// The nodes of the cluster. Others are refused.
    pub members: BTreeSet<NodeId>,
    pub transport: Transport,
    pub driver: Arc<Driver>,
    pub tokio: Handle,
    /// The current incoming stream of each node, by a number that grows with each.
    streams: Mutex<BTreeMap<NodeId, u64>>,
}

impl Server {
    pub fn new(
        node: NodeId,
        cluster: String,
        members: BTreeSet<NodeId>,
        transport: Transport,
        driver: Arc<Driver>,
        tokio: Handle,
    ) -> Server {
        Server { node, cluster, members, transport, driver, tokio, streams: Mutex::default() }
    }

    /// Accepts until the task is aborted; that ends all connections, too.
    pub async fn run(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((_, address)) if connections.len() >= CONNECTIONS_MAX => {
                    tracing::warn!(%address, "too many connections");
                }
                Ok((tcp, address)) => {
                    connections.spawn_on(self.clone().connection(tcp, address), &self.tokio);
                }
                // Out of file descriptors, most likely: others will be closed.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, tcp: TcpStream, address: SocketAddr) {
        match self.serve(tcp).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => tracing::info!(%address, %error, "connection closed"),
            Ok(()) => {}
        }
    }

    async fn serve(&self, tcp: TcpStream) -> io::Result<()> {
        let greeted = timeout(HELLO_TIMEOUT, self.greet(tcp)).await;
        let (mut reader, connection, role, peer) = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let link = connection.0.clone();
        tokio::select! {
            result = async {
                match role {
                    Role::Node(from) => self.serve_node(from, &mut reader, &link).await,
                    Role::Client => self.serve_client(&mut reader, &link).await,
                }
            } => result,
            () = link.closed() => Err(io::ErrorKind::BrokenPipe.into()),
            refused = peer.refused() => Err(refused),
        }
    }

    async fn greet(&self, tcp: TcpStream) -> io::Result<(FrameReader, CloseOnDrop, Role, Peer)> {
        let Stream { read, write, peer } = stream::accept(tcp, &self.transport).await?;
        let connection = CloseOnDrop(Link::start(write, BUFFERED_BYTES_MAX, &self.tokio));
        let mut reader = FrameReader::new(read);
        let mut frames = Vec::new();
        reader.read(&mut frames, HELLO_BYTES_MAX).await?;
        let Some(Frame::Hello(hello)) = frames.pop() else { return Err(io::ErrorKind::InvalidData.into()) };
        if let Some(reason) = self.objection(&hello, &peer) {
            send(&connection.0, &Frame::Reject(reason.clone()))?;
            return Err(io::Error::other(reason));
        }
        let role = Role::Node(self.node);
        send(&connection.0, &Frame::Hello(Hello { version: PROTOCOL_VERSION, cluster: self.cluster.clone(), role }))?;
        Ok((reader, connection, hello.role, peer))
    }

    fn objection(&self, hello: &Hello, peer: &Peer) -> Option<String> {
        if hello.version != PROTOCOL_VERSION {
            return Some(format!("this node speaks version {PROTOCOL_VERSION}, not {}", hello.version));
        }
        if hello.cluster != self.cluster {
            return Some(format!("this node belongs to cluster {:?}, not {:?}", self.cluster, hello.cluster));
        }
        if let Role::Node(node) = hello.role
            && !self.members.contains(&node)
        {
            return Some(format!("{node} is not a member of the cluster"));
        }
        if !peer.may_be(hello.role) {
            return Some(format!("the certificate is not that of {:?}", hello.role));
        }
        (hello.role == Role::Node(self.node)).then(|| format!("this node is {} itself", self.node))
    }

    async fn serve_node(&self, from: NodeId, reader: &mut FrameReader, link: &Arc<Link>) -> io::Result<()> {
        let stream = {
            let mut streams = self.streams.lock();
            let stream = streams.entry(from).or_default();
            *stream += 1;
            *stream
        };
        let mut frames = Vec::new();
        loop {
            read(reader, &mut frames).await?;
            let pinged = frames.iter().any(|frame| matches!(frame, Frame::Ping));
            {
                // What is left in an older stream must not mix with the messages of the new one.
                let streams = self.streams.lock();
                if streams.get(&from) != Some(&stream) {
                    return Err(io::Error::other(format!("{from} has connected anew")));
                }
                let messages = frames.drain(..).filter_map(|frame| match frame {
                    Frame::Peer(message) => Some(message),
                    _ => None,
                });
                self.driver.push_peer(from, messages);
            }
            self.driver.drive();
            if pinged {
                send(link, &Frame::Pong)?;
            }
        }
    }

    async fn serve_client(&self, reader: &mut FrameReader, link: &Arc<Link>) -> io::Result<()> {
        let (client, connection) = self.driver.clients.register_connection(link.clone());
        let _gone = ReportGone { driver: &self.driver, client };
        let mut frames = Vec::new();
        loop {
            read(reader, &mut frames).await?;
            for frame in frames.drain(..) {
                match frame {
                    Frame::Request(request) => self.request(client, &connection, request),
                    Frame::Ping => send(link, &Frame::Pong)?,
                    _ => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
            self.driver.drive();
            link.flush()?;
        }
    }

    fn request(&self, client: ClientId, connection: &Connection, request: Request) {
        use std::sync::atomic::Ordering::Relaxed;
        let id = request.id;
        // Counted before it is pushed: another thread may answer it at once.
        let pushed = match connection.in_flight.fetch_add(1, Relaxed) < IN_FLIGHT_MAX {
            true => self.driver.push_request(client, request),
            false => Err(clients::overloaded()),
        };
        if let Err(body) = pushed {
            connection.in_flight.fetch_sub(1, Relaxed);
            connection.send(&Response { id, body });
        }
    }
}

async fn read(reader: &mut FrameReader, frames: &mut Vec<Frame>) -> io::Result<()> {
    let read = timeout(SILENCE_MAX, reader.read(frames, FRAME_BYTES_MAX)).await;
    read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Tells the core when the connection's task ends, in whatever way.
struct ReportGone<'a> {
    driver: &'a Driver,
    client: ClientId,
}

impl Drop for ReportGone<'_> {
    fn drop(&mut self) {
        self.driver.clients.remove(self.client);
        self.driver.push(Event::ClientGone { client: self.client });
        self.driver.wake_worker();
    }
}
