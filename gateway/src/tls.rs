//! TLS for clients: our certificate, and theirs where they show one. A client's certificate counts by its public key alone
//! (`auth::keys`): who signed it does not matter, but the handshake must show that the client holds the private key, and its
//! time must not be over.

use std::{io, sync::Arc};

use auth::keys;
use parking_lot::Mutex;
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

/// What a gateway shows to clients. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Mutex<Arc<Identity>>>);

/// What one connection speaks TLS with, from its first byte to its last.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    /// What channel binding binds to.
    pub(crate) end_point: Box<[u8]>,
}

impl Tls {
    /// From a certificate chain and its key, in PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> io::Result<Tls> {
        Ok(Tls(Arc::new(Mutex::new(Arc::new(Identity::from_pem(chain, key)?)))))
    }

    /// New connections see this certificate; those that are open go on.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> io::Result<()> {
        *self.0.lock() = Arc::new(Identity::from_pem(chain, key)?);
        Ok(())
    }

    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.0.lock().clone()
    }
}

impl Identity {
    fn from_pem(chain: &[u8], key: &[u8]) -> io::Result<Identity> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| invalid("the certificate is not PEM"))?;
        let first = chain.first().ok_or_else(|| invalid("no certificate"))?;
        let end_point = keys::end_point(first).ok_or_else(|| invalid("not a certificate"))?.into();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid("the key is not PEM"))?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(Arc::new(AnyKey { provider }))
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        // A handshake that goes on where an earlier one ended shows no certificate: one whose time is over would still count.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Identity { config: Arc::new(config), end_point })
    }
}

/// Takes every certificate whose key the client holds.
#[derive(Debug)]
struct AnyKey {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match keys::is_valid_at(certificate, now.as_secs()) {
            Some(true) => Ok(ClientCertVerified::assertion()),
            Some(false) => Err(Error::InvalidCertificate(rustls::CertificateError::Expired)),
            None => Err(Error::InvalidCertificate(rustls::CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
