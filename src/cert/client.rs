//! A process gets its certificates from an authority on another machine: with a token at first, later with the certificate that
//! it has. Its private keys are made here and never travel.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rcgen::{CertificateParams, KeyPair};
use storage::shell::fingerprint;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
        version::TLS13,
    },
};

use super::{
    pem,
    token::Token,
    wire::{self, Answer, ClientsRequest, Grant, PATIENCE, Proof, Question},
};
use crate::secrets::{
    AUTHORITY_NAME, Holder, Purpose, client_names, create_private, is_there, lasts, lock, new_key, put, read,
    write_private, write_public,
};

/// How often the authority is asked whether there is something new.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// A process that gets its certificates from elsewhere.
#[derive(Clone)]
pub struct Member {
    /// Where its files are.
    pub directory: PathBuf,
    /// Where the authority answers: HOST:PORT.
    pub authority: String,
    pub holder: Holder,
    /// Where clients come in, of a gateway.
    pub addresses: Vec<IpAddr>,
}

impl Member {
    /// What it has certificates for.
    fn purposes(&self) -> impl Iterator<Item = Purpose> {
        let clients = (self.holder == Holder::Gateway).then(|| Purpose::Clients(client_names(&self.addresses)));
        std::iter::once(Purpose::Peer(self.holder)).chain(clients)
    }

    /// Joins, unless the certificates are there already.
    pub async fn join(&self, token: Option<&Token>) -> Result<()> {
        create_private(&self.directory)?;
        if self.purposes().all(|purpose| is_there(&self.directory, &purpose)) {
            return Ok(());
        }
        let Some(token) = token else {
            bail!("{} has no certificate yet, and no token to join with (--join)", self.holder);
        };
        let proof = Proof { id: token.id.clone(), secret: token.secret.clone() };
        self.renew(pinned(&token.authority)?, Some(proof)).await.context("cannot join the cluster")?;
        tracing::info!(holder = %self.holder, authority = self.authority, "joined the cluster");
        Ok(())
    }

    /// From now on asks for news, and renews in time.
    #[allow(clippy::disallowed_methods)]
    pub fn stay(self) {
        tokio::spawn(async move {
            let mut quiet = false;
            loop {
                match self.refresh().await {
                    Ok(()) => quiet = false,
                    Err(error) if !quiet => {
                        tracing::warn!(
                            authority = self.authority,
                            error = format!("{error:#}"),
                            "the authority cannot be asked"
                        );
                        quiet = true;
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
    }

    async fn refresh(&self) -> Result<()> {
        let grant = self.ask(self.known()?, &self.question(None)).await?;
        self.keep_trust(&grant)?;
        if grant.renew || !self.purposes().all(|purpose| lasts(&self.directory, &purpose)) {
            self.renew(self.known()?, None).await?;
            tracing::info!(holder = %self.holder, "certificates renewed by the authority");
        }
        Ok(())
    }

    fn question(&self, token: Option<Proof>) -> Question {
        Question { holder: self.holder.to_string(), token, peer: None, clients: None }
    }

    /// New keys, and certificates for them.
    async fn renew(&self, config: ClientConfig, token: Option<Proof>) -> Result<()> {
        let mut question = self.question(token);
        let keys = self.purposes().map(|purpose| Ok((purpose, new_key()?))).collect::<Result<Vec<_>>>()?;
        for (purpose, key) in &keys {
            let request = request(key)?;
            match purpose {
                Purpose::Clients(names) => question.clients = Some(ClientsRequest { names: names.clone(), request }),
                _ => question.peer = Some(request),
            }
        }
        let grant = self.ask(config, &question).await?;
        self.keep_trust(&grant)?;
        let _lock = lock(&self.directory)?;
        if let Some(key) = &grant.cluster_key {
            write_private(&self.directory.join("cluster.key"), &BASE64.decode(key).context("the cluster's key")?)?;
        }
        for (purpose, key) in &keys {
            let granted = if matches!(purpose, Purpose::Clients(_)) { &grant.clients } else { &grant.peer };
            let certificate = granted.as_deref().context("the authority sent no certificate")?;
            put(&self.directory, purpose, key, certificate)?;
        }
        Ok(())
    }

    fn keep_trust(&self, grant: &Grant) -> Result<()> {
        let _lock = lock(&self.directory)?;
        for (name, text) in [("ca.crt", &grant.authorities), ("revoked", &grant.revoked)] {
            let path = self.directory.join(name);
            if std::fs::read_to_string(&path).ok().as_ref() != Some(text) {
                write_public(&path, text)?;
            }
        }
        Ok(())
    }

    async fn ask(&self, config: ClientConfig, question: &Question) -> Result<Grant> {
        let conversation = async {
            let tcp = TcpStream::connect(&self.authority).await?;
            let name = ServerName::try_from(AUTHORITY_NAME)?;
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
            wire::send(&mut stream, question).await?;
            wire::receive::<Answer>(&mut stream).await
        };
        let answer = timeout(PATIENCE, conversation).await.context("it does not answer")?;
        match answer.with_context(|| format!("the authority at {}", self.authority))? {
            Answer::Granted(grant) => Ok(grant),
            Answer::Refused(reason) => bail!("the authority refuses: {reason}"),
        }
    }

    /// For who has certificates: both sides prove themselves by them.
    fn known(&self) -> Result<ClientConfig> {
        let file = Purpose::Peer(self.holder).file();
        let part = |name: &str| read(&self.directory.join(name));
        let (chain, key) = (pem::chain(&part(&format!("{file}.crt"))?)?, pem::key(&part(&format!("{file}.key"))?)?);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(pem::roots(&part("ca.crt")?)?)
            .with_client_auth_cert(chain, key)?;
        Ok(config)
    }
}

/// A signing request. It shows that we hold the key and says nothing else: the authority knows what to write.
fn request(key: &KeyPair) -> Result<String> {
    Ok(CertificateParams::default().serialize_request(key)?.pem()?)
}

/// For who has a token only: believes the authority that the token names.
fn pinned(authority: &str) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { authority: authority.to_owned(), provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Takes a server whose certificate is signed by the authority with this fingerprint, which the server shows as well.
#[derive(Debug)]
struct Pinned {
    authority: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let named = intermediates.iter().find(|shown| fingerprint(shown) == self.authority);
        let named = named.ok_or_else(|| Error::General("this is not the authority that the token names".into()))?;
        let mut roots = RootCertStore::empty();
        roots.add(named.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let verifier = verifier.build().map_err(|error| Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
