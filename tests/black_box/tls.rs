//! `tokio-postgres` within TLS, as applications use it: rustls, the cluster's authority, and a key where there is one.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use auth::keys;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Config,
    config::SslMode,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

use crate::common::drive;

/// How a client speaks TLS. Clones share what makes handshakes short (sessions that are resumed).
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// What the server must be.
    name: ServerName<'static>,
}

impl Tls {
    /// Takes the server's word only with a certificate of this authority (a file in PEM); shows none.
    pub fn trusting(authority: &Path) -> Tls {
        let config = ClientConfig::builder().with_root_certificates(roots(authority)).with_no_client_auth();
        Tls::new(config)
    }

    /// Shows a certificate as well (both in PEM).
    pub fn with_key(authority: &Path, certificate: &str, key: &str) -> Tls {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let builder = ClientConfig::builder().with_root_certificates(roots(authority));
        Tls::new(builder.with_client_auth_cert(vec![certificate], key).expect("a key that fits"))
    }

    fn new(config: ClientConfig) -> Tls {
        Tls { config: Arc::new(config), name: ServerName::try_from("127.0.0.1").expect("a name") }
    }

    /// Insists that the server has this name.
    pub fn named(&self, name: &str) -> Result<Tls, InvalidDnsNameError> {
        Ok(Tls { config: self.config.clone(), name: ServerName::try_from(name.to_owned())? })
    }
}

pub fn roots(authority: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("an authority");
    roots
}

/// A connection that is refused rather than made in clear.
pub fn config(url: &str, user: &str, password: &str, options: &str) -> Config {
    let mut config: Config = url.parse().expect("a URL");
    config.user(user).password(password).options(options).ssl_mode(SslMode::Require);
    config
}

pub async fn connect(
    tls: &Tls,
    url: &str,
    user: &str,
    password: &str,
    options: &str,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config(url, user, password, options).connect(tls.clone()).await?;
    drive(connection);
    Ok(client)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = Tls;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Tls, InvalidDnsNameError> {
        self.named(domain)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        let connecting = TlsConnector::from(self.config).connect(self.name, stream);
        Box::pin(async move { connecting.await.map(Encrypted) })
    }
}

pub struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let certificate = self.0.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let end_point = certificate.and_then(|certificate| keys::end_point(certificate));
        end_point.map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
