//! TLS between browsers and the page, where it is reached from other machines. Files are read anew for every connection: what
//! renews them need not tell anybody.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use crate::{cert::pem, secrets::read};

/// Where the page's certificate is, and its key.
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    /// Both files or none; they must be of use now.
    pub fn new(certificate: Option<&Path>, key: Option<&Path>) -> Result<Option<Identity>> {
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate.to_owned(), key.to_owned()),
            (None, None) => return Ok(None),
            _ => bail!("the page's certificate and its key come together (--web-tls-cert, --web-tls-key)"),
        };
        let identity = Identity { certificate, key };
        identity.config()?;
        Ok(Some(identity))
    }

    fn config(&self) -> Result<ServerConfig> {
        let (chain, key) = (read(&self.certificate)?, read(&self.key)?);
        let chain = pem::chain(&chain).with_context(|| format!("in {}", self.certificate.display()))?;
        let key = pem::key(&key).with_context(|| format!("in {}", self.key.display()))?;
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    pub async fn accept(&self, stream: TcpStream, patience: Duration) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config().map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "the page's certificate is of no use");
            io::Error::other("no certificate")
        })?;
        let accepted = timeout(patience, TlsAcceptor::from(Arc::new(config)).accept(stream)).await;
        accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
