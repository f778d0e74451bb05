//! How a TCP connection becomes two streams of bytes: as it is, or by TLS.

use std::io;

use base::NodeId;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tls::{PeerTls, Shown};

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

/// The server's side of a connection that was accepted, and who is at the other end; `None`: nobody has proved anything.
pub async fn accept(tcp: TcpStream, transport: &Transport) -> io::Result<(ReadHalf, WriteHalf, Option<Shown>)> {
    match transport {
        Transport::Plain => plain(tcp).map(|(read, write)| (read, write, None)),
        Transport::Tls(tls) => {
            tcp.set_nodelay(true)?;
            let stream = TlsAcceptor::from(tls.server.clone()).accept(tcp).await?;
            let shown = Shown::of(stream.get_ref().1.peer_certificates())?;
            let (read, write) = tokio::io::split(stream);
            Ok((Box::new(read), Box::new(write), Some(shown)))
        }
    }
}

/// The client's side of a new connection to a node.
pub async fn connect(address: &str, node: NodeId, transport: &Transport) -> io::Result<(ReadHalf, WriteHalf)> {
    let tcp = TcpStream::connect(address).await?;
    match transport {
        Transport::Plain => plain(tcp),
        Transport::Tls(tls) => {
            tcp.set_nodelay(true)?;
            let name = PeerTls::server_name(node)?;
            let (read, write) = tokio::io::split(TlsConnector::from(tls.client.clone()).connect(name, tcp).await?);
            Ok((Box::new(read), Box::new(write)))
        }
    }
}

fn plain(tcp: TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    tcp.set_nodelay(true)?;
    let (read, write) = tcp.into_split();
    Ok((Box::new(read), Box::new(write)))
}
