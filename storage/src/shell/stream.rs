//! How a TCP connection becomes two streams of bytes. The one place to put TLS into.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// The server's side of a connection that was accepted.
pub async fn accept(tcp: TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    plain(tcp)
}

/// The client's side of a new connection.
pub async fn connect(address: &str) -> io::Result<(ReadHalf, WriteHalf)> {
    plain(TcpStream::connect(address).await?)
}

fn plain(tcp: TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    tcp.set_nodelay(true)?;
    let (read, write) = tcp.into_split();
    Ok((Box::new(read), Box::new(write)))
}
