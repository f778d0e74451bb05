//! Keeps one connection to a node alive: connects, introduces itself, listens, pings, and begins again when it breaks.

use std::{io, sync::Arc, time::Duration};

use base::NodeId;
use tokio::{runtime::Handle, time::timeout};

use super::{
    frame::{self, FRAME_BYTES_MAX, Frame, FrameReader, HELLO_BYTES_MAX, Hello, PROTOCOL_VERSION, Role},
    link::Link,
    stream::{self, Peer, Stream, Transport},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_millis(500);
/// Without a sign of life for so long the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(3);
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_LAST: Duration = Duration::from_millis(500);

pub struct Dialer {
    pub address: String,
    /// Who must answer there.
    pub node: NodeId,
    pub cluster: String,
    pub role: Role,
    pub transport: Transport,
    pub buffered_bytes_max: usize,
    pub tokio: Handle,
}

/// What is done with the connection.
pub trait Session: Send + Sync + 'static {
    fn up(&self, link: Arc<Link>);
    fn received(&self, frame: Frame);
    fn down(&self);
}

impl Dialer {
    /// Runs until the task is aborted.
    pub async fn run(self, session: Arc<impl Session>) {
        let mut backoff = BACKOFF_FIRST;
        // One warning for each time that a node goes away, not for each attempt.
        let mut quiet = false;
        loop {
            match timeout(CONNECT_TIMEOUT, self.connect()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            {
                Ok((reader, connection, peer)) => {
                    tracing::debug!(node = %self.node, address = self.address, "connected");
                    (backoff, quiet) = (BACKOFF_FIRST, false);
                    session.up(connection.0.clone());
                    let ended = tokio::select! {
                        ended = self.listen(reader, &connection.0, &*session) => ended,
                        refused = peer.refused() => refused,
                    };
                    drop(connection);
                    session.down();
                    tracing::info!(node = %self.node, address = self.address, error = %ended, "connection lost");
                }
                Err(error) if !quiet => {
                    tracing::info!(node = %self.node, address = self.address, %error, "cannot connect; trying on");
                    quiet = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_LAST);
        }
    }

    async fn connect(&self) -> io::Result<(FrameReader, CloseOnDrop, Peer)> {
        let Stream { read, write, peer } = stream::connect(&self.address, self.node, &self.transport).await?;
        let connection = CloseOnDrop(Link::start(write, self.buffered_bytes_max, &self.tokio));
        let mut reader = FrameReader::new(read);
        let hello = Hello { version: PROTOCOL_VERSION, cluster: self.cluster.clone(), role: self.role };
        send(&connection.0, &Frame::Hello(hello))?;
        let mut frames = Vec::new();
        reader.read(&mut frames, HELLO_BYTES_MAX).await?;
        match frames.pop() {
            Some(Frame::Hello(hello)) if hello.role == Role::Node(self.node) => Ok((reader, connection, peer)),
            Some(Frame::Hello(hello)) => Err(io::Error::other(format!("{:?} answers there", hello.role))),
            Some(Frame::Reject(reason)) => Err(io::Error::other(format!("rejected: {reason}"))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Passes frames on until the connection breaks; tells why it did.
    async fn listen(&self, mut reader: FrameReader, link: &Link, session: &impl Session) -> io::Error {
        let mut frames = Vec::new();
        let mut silence = Duration::ZERO;
        loop {
            let read = tokio::select! {
                read = timeout(PING_INTERVAL, reader.read(&mut frames, FRAME_BYTES_MAX)) => read,
                () = link.closed() => return io::ErrorKind::BrokenPipe.into(),
            };
            match read {
                Ok(Ok(())) => silence = Duration::ZERO,
                Ok(Err(error)) => return error,
                Err(_) => {
                    silence += PING_INTERVAL;
                    if silence >= SILENCE_MAX {
                        return io::ErrorKind::TimedOut.into();
                    }
                    if let Err(error) = send(link, &Frame::Ping) {
                        return error;
                    }
                }
            }
            for frame in frames.drain(..) {
                if !matches!(frame, Frame::Pong) {
                    session.received(frame);
                }
            }
        }
    }
}

pub fn send(link: &Link, frame: &Frame) -> io::Result<()> {
    link.push(|buffer| frame::encode(buffer, frame)).map_err(|error| io::Error::other(format!("{error:?}")))?;
    link.flush()
}

/// Ends the connection when its task is aborted or gives up.
pub struct CloseOnDrop(pub Arc<Link>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
