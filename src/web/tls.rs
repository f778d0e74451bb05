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
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

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
        let context = |path: &Path| format!("cannot read {}", path.display());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .with_context(|| context(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).with_context(|| context(&self.key))?;
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
