//! `locus cert serve`: the authority answers those who join, and renews the certificates of those who have.
//!
//! Everything is read from its directory at each question: what `locus cert token`, `rotate` and `revoke` do there counts at once.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rcgen::{CertificateSigningRequestParams, PublicKey};
use storage::shell::fingerprint;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier, version::TLS13},
};

use super::{
    pem,
    wire::{self, Answer, Grant, PATIENCE, Question},
};
use crate::{
    process::StopSignal,
    secrets::{Authority, CERTIFICATE_LIFE, Holder, Purpose, State, ensure, read, revoked, trusted},
};

/// Questions that are answered at the same time; further ones wait in the socket's queue.
const AT_ONCE_MAX: usize = 64;

pub struct Server {
    directory: PathBuf,
}

impl Server {
    pub fn new(directory: PathBuf) -> Result<Server> {
        Authority::existing(&directory)?;
        Ok(Server { directory })
    }

    /// Answers until it is told to stop.
    #[allow(clippy::disallowed_methods)]
    pub async fn run(self, listener: TcpListener, mut stop: StopSignal) {
        let (server, places) = (Arc::new(self), Arc::new(Semaphore::new(AT_ONCE_MAX)));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = stop.raised() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((tcp, peer)) = accepted else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let server = server.clone();
            tokio::spawn(async move {
                match timeout(PATIENCE, server.converse(tcp, peer)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::info!(%peer, error = format!("{error:#}"), "question not answered"),
                    Err(_) => tracing::info!(%peer, "no question in time"),
                }
                drop(place);
            });
        }
    }

    async fn converse(self: Arc<Server>, tcp: TcpStream, peer: SocketAddr) -> Result<()> {
        tcp.set_nodelay(true)?;
        let mut stream = TlsAcceptor::from(Arc::new(config(&self.directory)?)).accept(tcp).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|shown| fingerprint(shown));
        let question: Question = wire::receive(&mut stream).await?;
        let holder = question.holder.clone();
        // It reads and writes files, and waits for a lock.
        let answered =
            tokio::task::spawn_blocking(move || answer(&self.directory, &question, shown.as_deref())).await?;
        let answer = match answered {
            Ok(grant) => {
                let (issued, renew) = (grant.peer.is_some(), grant.renew);
                tracing::info!(%peer, holder, issued, renew, "answered");
                Answer::Granted(grant)
            }
            Err(error) => {
                tracing::warn!(%peer, holder, error = format!("{error:#}"), "refused");
                Answer::Refused(format!("{error:#}"))
            }
        };
        wire::send(&mut stream, &answer).await
    }
}

/// What the authority shows: its own certificate and those of all authorities that are trusted, so that a joiner finds the one
/// that its token names. A caller may show a certificate of the cluster, or none.
fn config(directory: &Path) -> Result<ServerConfig> {
    ensure(directory, &Purpose::Authority)?;
    let trusted = read(&trusted(directory))?;
    let own = read(&directory.join("authority.crt"))?;
    let key = pem::key(&read(&directory.join("authority.key"))?)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(pem::roots(&trusted)?), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        .with_single_cert(pem::chain(&format!("{own}{trusted}"))?, key)?;
    Ok(config)
}

/// Decides. `shown`: the fingerprint of a certificate of this cluster that the caller has proved to hold.
fn answer(directory: &Path, question: &Question, shown: Option<&str>) -> Result<Grant> {
    let holder: Holder = question.holder.parse().map_err(anyhow::Error::msg)?;
    // What cannot be signed shall not cost the token.
    let peer = question.peer.as_deref().map(public_key).transpose()?;
    let clients = question.clients.as_ref().map(|clients| {
        let purpose = Purpose::Clients(clients.names.clone());
        purpose.params()?;
        Ok::<_, anyhow::Error>((purpose, public_key(&clients.request)?))
    });
    let clients = clients.transpose()?;
    if clients.is_some() && holder != Holder::Gateway {
        bail!("only gateways have certificates for clients");
    }
    let authority = Authority::existing(directory)?;
    let mut ledger = authority.ledger()?;
    let renew = match (&question.token, shown) {
        (Some(token), _) => {
            if !ledger.redeem(&token.id, &token.secret, &question.holder)? {
                bail!("this token is not good for {holder}: it is unknown, used, expired, or another's");
            }
            false
        }
        (None, Some(shown)) => {
            let issued = ledger.find(shown).filter(|issued| issued.holder == question.holder);
            match issued.map(|issued| issued.state) {
                None => bail!("the certificate is not one of {holder}'s that this authority has issued"),
                Some(State::Revoked) => bail!("the certificate has been revoked"),
                Some(state) => state != State::Current,
            }
        }
        (None, None) => bail!("neither a token nor a certificate of this cluster"),
    };
    let sign = |purpose: &Purpose, key: &PublicKey| authority.sign(purpose, key, CERTIFICATE_LIFE);
    let peer = peer.map(|key| sign(&Purpose::Peer(holder), &key)).transpose()?;
    let clients = clients.map(|(purpose, key)| sign(&purpose, &key)).transpose()?;
    if let (Some(_), Some(shown)) = (&peer, shown) {
        authority.ledger()?.replaced(shown)?;
    }
    Ok(Grant {
        authorities: read(&trusted(directory))?,
        revoked: revoked(directory)?,
        renew,
        peer,
        clients,
        cluster_key: cluster_key(directory, holder, question.token.is_some())?,
    })
}

/// The key of a signing request whose sender has proved to hold it. Nothing else that stands there counts.
fn public_key(request: &str) -> Result<PublicKey> {
    let request = CertificateSigningRequestParams::from_pem(request).context("not a signing request")?;
    Ok(request.public_key)
}

/// Gateways open what others have sealed; they get the key once, when they join.
fn cluster_key(directory: &Path, holder: Holder, joins: bool) -> Result<Option<String>> {
    if holder != Holder::Gateway || !joins {
        return Ok(None);
    }
    let path = directory.join("cluster.key");
    let key = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(BASE64.encode(key)))
}
