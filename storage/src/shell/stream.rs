//! How a TCP connection becomes two streams of bytes: as it is, or by TLS.

use std::io;

use base::NodeId;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{
    frame::Role,
    tls::{PeerTls, Shown},
};

pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// What the processes of a cluster speak to each other.
#[derive(Clone, Debug, Default)]
pub enum Transport {
    /// In clear: whoever reaches a node may be anybody. For tests and benchmarks.
    #[default]
    Plain,
    /// TLS, with certificates on both sides.
    Tls(PeerTls),
}

/// A connection that is ready for frames.
pub struct Stream {
    pub read: ReadHalf,
    pub write: WriteHalf,
    pub peer: Peer,
}

/// Who is at the other end, as far as it has proved that; in clear nobody does.
pub struct Peer(Option<(PeerTls, Shown)>);

impl Peer {
    /// Whether it may say that it has this role.
    pub fn may_be(&self, role: Role) -> bool {
        self.0.as_ref().is_none_or(|(_, shown)| shown.is_for(role))
    }

    /// Completes with an error when its certificate is revoked.
    pub async fn refused(&self) -> io::Error {
        match &self.0 {
            None => std::future::pending().await,
            Some((tls, shown)) => {
                tls.revoked(shown).await;
                revoked()
            }
        }
    }
}

fn revoked() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the other side's certificate has been revoked")
}

/// The server's side of a connection that was accepted.
pub async fn accept(tcp: TcpStream, transport: &Transport) -> io::Result<Stream> {
    tcp.set_nodelay(true)?;
    match transport {
        Transport::Plain => Ok(plain(tcp)),
        Transport::Tls(tls) => {
            let stream = TlsAcceptor::from(tls.server()).accept(tcp).await?;
            let shown = Shown::of(stream.get_ref().1.peer_certificates())?;
            encrypted(stream, tls, shown)
        }
    }
}

/// The client's side of a new connection to a node.
pub async fn connect(address: &str, node: NodeId, transport: &Transport) -> io::Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    match transport {
        Transport::Plain => Ok(plain(tcp)),
        Transport::Tls(tls) => {
            let name = PeerTls::server_name(node)?;
            let stream = TlsConnector::from(tls.client()).connect(name, tcp).await?;
            let shown = Shown::of(stream.get_ref().1.peer_certificates())?;
            encrypted(stream, tls, shown)
        }
    }
}

fn plain(tcp: TcpStream) -> Stream {
    let (read, write) = tcp.into_split();
    Stream { read: Box::new(read), write: Box::new(write), peer: Peer(None) }
}

fn encrypted(stream: impl AsyncRead + AsyncWrite + Send + 'static, tls: &PeerTls, shown: Shown) -> io::Result<Stream> {
    if tls.is_revoked(&shown) {
        return Err(revoked());
    }
    let (read, write) = tokio::io::split(stream);
    Ok(Stream { read: Box::new(read), write: Box::new(write), peer: Peer(Some((tls.clone(), shown))) })
}
