//! Mutual TLS between the processes of a cluster. Every certificate is signed by the cluster's own authority and names what
//! its holder is: `node-3.locus.internal`, or `gateway.locus.internal`. Who dials checks that the node it means answers; who is
//! dialled checks that the other side is what it says in its `Hello`.

use std::{io, sync::Arc};

use base::NodeId;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::{ParsedCertificate, WebPkiClientVerifier},
};

use super::frame::Role;

/// What this process shows to others, and by which authority it knows them.
#[derive(Clone)]
pub struct PeerTls {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

/// The name in a node's certificate.
pub fn node_name(node: NodeId) -> String {
    format!("node-{}.locus.internal", node.0)
}

/// The name in the certificates of gateways, and of tools that ask nodes directly.
pub const GATEWAY_NAME: &str = "gateway.locus.internal";

impl PeerTls {
    /// From the authority's certificate and this process's chain and key, in PEM.
    pub fn from_pem(authority: &[u8], chain: &[u8], key: &[u8]) -> io::Result<PeerTls> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            let certificate = certificate.map_err(|_| invalid("the authority's certificate is not PEM"))?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| invalid("the certificate is not PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid("the key is not PEM"))?;
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let versions = &[&rustls::version::TLS13];
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(io::Error::other)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(io::Error::other)?;
        Ok(PeerTls { server: Arc::new(server), client: Arc::new(client) })
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
pub struct Shown(CertificateDer<'static>);

impl Shown {
    pub(super) fn of(certificates: Option<&[CertificateDer<'_>]>) -> io::Result<Shown> {
        let first = certificates.and_then(<[_]>::first);
        let first = first.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no certificate"))?;
        Ok(Shown(first.clone().into_owned()))
    }

    /// Whether it names this role.
    pub(super) fn is_for(&self, role: Role) -> bool {
        let name = match role {
            Role::Node(node) => node_name(node),
            Role::Client => GATEWAY_NAME.to_owned(),
        };
        let (Ok(certificate), Ok(name)) = (ParsedCertificate::try_from(&self.0), ServerName::try_from(name)) else {
            return false;
        };
        verify_server_name(&certificate, &name).is_ok()
    }
}
