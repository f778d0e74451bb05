//! Mutual TLS between the processes of a cluster. Every certificate is signed by the cluster's own authority and names what
//! its holder is: `node-3.locus.internal`, or `gateway.locus.internal`. Who dials checks that the node it means answers; who is
//! dialled checks that the other side is what it says in its `Hello`.

use std::{collections::BTreeSet, io, sync::Arc};

use base::NodeId;
use ring::digest;
use tokio::sync::watch;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, verify_server_name},
    crypto::ring as provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
};

use super::frame::Role;

/// What this process shows to others, and by which authorities it knows them. Clones share it: what [`PeerTls::replace`] brings
/// counts for every connection from then on. Connections that are open stay so, unless the other side's certificate is revoked.
#[derive(Clone)]
pub struct PeerTls(Arc<watch::Sender<Arc<Credentials>>>);

/// See [`PeerTls`].
pub struct Credentials {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// Fingerprints of certificates that no longer count, whatever their time says.
    revoked: BTreeSet<String>,
}

/// What [`Credentials`] are made from, as it is kept in files.
pub struct Pem<'a> {
    /// The authorities whose certificates count: one, or two while one takes the other's place.
    pub authorities: &'a [u8],
    /// This process's certificate.
    pub chain: &'a [u8],
    pub key: &'a [u8],
    /// A line for each revoked certificate, which begins with its [`fingerprint`]. (No X.509 list: each authority would have to
    /// sign its own, and connections that are open must end as well, which rustls leaves to us.)
    pub revoked: &'a str,
}

/// SHA-256 of a certificate in DER, in hexadecimal digits (`openssl x509 -fingerprint -sha256`, without the colons).
pub fn fingerprint(certificate: &[u8]) -> String {
    digest::digest(&digest::SHA256, certificate).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name in a node's certificate.
pub fn node_name(node: NodeId) -> String {
    format!("node-{}.locus.internal", node.0)
}

/// The name in the certificates of gateways, and of tools that ask nodes directly.
pub const GATEWAY_NAME: &str = "gateway.locus.internal";

impl Credentials {
    pub fn from_pem(pem: &Pem<'_>) -> io::Result<Credentials> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.authorities) {
            let certificate = certificate.map_err(|_| invalid("the authority's certificate is not PEM"))?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem.chain)
            .collect::<Result<_, _>>()
            .map_err(|_| invalid("the certificate is not PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(pem.key).map_err(|_| invalid("the key is not PEM"))?;
        let (roots, provider) = (Arc::new(roots), Arc::new(provider::default_provider()));
        let versions = &[&rustls::version::TLS13];
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(io::Error::other)?;
        // A resumed session would not look at the certificate again: one that has ended would go on counting.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(io::Error::other)?;
        client.resumption = Resumption::disabled();
        let revoked =
            pem.revoked.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
        Ok(Credentials { server: Arc::new(server), client: Arc::new(client), revoked })
    }
}

impl PeerTls {
    pub fn new(credentials: Credentials) -> PeerTls {
        PeerTls(Arc::new(watch::Sender::new(Arc::new(credentials))))
    }

    /// From now on these count.
    pub fn replace(&self, credentials: Credentials) {
        self.0.send_replace(Arc::new(credentials));
    }

    pub(super) fn server(&self) -> Arc<ServerConfig> {
        self.0.borrow().server.clone()
    }

    pub(super) fn client(&self) -> Arc<ClientConfig> {
        self.0.borrow().client.clone()
    }

    /// Completes when the certificate is revoked, at once if it is already.
    pub(super) async fn revoked(&self, shown: &Shown) {
        let mut changes = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|credentials| credentials.revoked.contains(&shown.fingerprint)).await;
    }

    pub(super) fn is_revoked(&self, shown: &Shown) -> bool {
        self.0.borrow().revoked.contains(&shown.fingerprint)
    }

    pub(super) fn server_name(node: NodeId) -> io::Result<ServerName<'static>> {
        ServerName::try_from(node_name(node)).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerTls")
    }
}

/// The certificate that the other side has shown; the handshake has found that it is of this cluster, and whose it is.
pub struct Shown {
    certificate: CertificateDer<'static>,
    fingerprint: String,
}

impl Shown {
    pub(super) fn of(certificates: Option<&[CertificateDer<'_>]>) -> io::Result<Shown> {
        let first = certificates.and_then(<[_]>::first);
        let first = first.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no certificate"))?;
        Ok(Shown { fingerprint: fingerprint(first), certificate: first.clone().into_owned() })
    }

    /// Whether it names this role.
    pub(super) fn is_for(&self, role: Role) -> bool {
        let name = match role {
            Role::Node(node) => node_name(node),
            Role::Client => GATEWAY_NAME.to_owned(),
        };
        let (Ok(certificate), Ok(name)) = (ParsedCertificate::try_from(&self.certificate), ServerName::try_from(name))
        else {
            return false;
        };
        verify_server_name(&certificate, &name).is_ok()
    }
}
