//! The gateway that sessions are relayed to: in plain text on one machine, else inside TLS, where the gateway must show a
//! certificate of the cluster's authority.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use crate::{cert::pem, secrets::read};

/// PostgreSQL's request for TLS: length and code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

pub type Stream = Box<dyn Io>;

pub struct Upstream {
    pub address: String,
    tls: Option<Tls>,
}

struct Tls {
    /// Certificates (PEM) of which one must have signed the gateway's. Read anew for every session: while one authority takes
    /// another's place, the file changes.
    authority: PathBuf,
    name: ServerName<'static>,
}

impl Upstream {
    /// `authority`: a file with the certificates (PEM) of which one must have signed the gateway's.
    pub fn new(address: String, authority: Option<&Path>) -> Result<Upstream> {
        let Some(authority) = authority else { return Ok(Upstream { address, tls: None }) };
        connector(authority)?;
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).context("the gateway's name")?;
        Ok(Upstream { address, tls: Some(Tls { authority: authority.to_owned(), name }) })
    }

    pub async fn connect(&self) -> io::Result<Stream> {
        let mut stream = TcpStream::connect(&self.address).await?;
        // A socket without it still works.
        let _ = stream.set_nodelay(true);
        let Some(Tls { authority, name }) = &self.tls else { return Ok(Box::new(stream)) };
        let connector = connector(authority).map_err(io::Error::other)?;
        stream.write_all(&SSL_REQUEST).await?;
        if stream.read_u8().await? != b'S' {
            return Err(io::Error::other("the gateway does not offer TLS"));
        }
        Ok(Box::new(connector.connect(name.clone(), stream).await?))
    }
}

fn connector(authority: &Path) -> Result<TlsConnector> {
    let roots = pem::roots(&read(authority)?).with_context(|| format!("in {}", authority.display()))?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
