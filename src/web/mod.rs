//! `locus web`: the presentation tier. It hands out the compiled page and relays the page's PostgreSQL sessions to a gateway;
//! it knows nothing of what they say, keeps nothing, and offers no other way to the data.
//!
//! Life of a connection: [`Server::serve`] accepts and bounds it; [`Server::answer`] checks each request and gives an
//! [`assets`] file or, for `/pg`, turns it into a WebSocket; [`relay`] carries bytes both ways until one side ends.

mod assets;
mod origin;
mod relay;
mod tls;
mod upstream;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use self::{
    assets::Assets,
    origin::Origins,
    tls::Identity,
    upstream::{Stream, Upstream},
};
use crate::{
    config::{DEFAULT_SQL_ADDR, DEFAULT_WEB_ADDR, File},
    process::StopSignal,
};

/// Browsers connected at the same time, to fetch files or as a session.
const CONNECTIONS_MAX: usize = 512;
/// Sessions relayed at the same time. A page has two to four.
const RELAYS_MAX: usize = 256;
/// How long a browser may take for the head of a request, which bounds idle connections as well.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long sessions may take to end at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything comes from this server, nothing is inline, nobody may frame the page. WebAssembly needs its own word.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

#[derive(Args)]
pub struct WebArgs {
    /// Where to listen for browsers [default: 127.0.0.1:7480]
    #[arg(long, env = "LOCUS_WEB_ADDR", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The gateway that sessions are relayed to [default: 127.0.0.1:7432]
    #[arg(long, env = "LOCUS_WEB_GATEWAY", value_name = "HOST:PORT")]
    gateway: Option<String>,
    #[command(flatten)]
    settings: WebSettings,
}

/// What can be set of the page wherever it runs.
#[derive(Args, Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WebSettings {
    /// Where the page is reached under a name, such as https://locus.example.com, once per name. Addresses and localhost
    /// need not be listed.
    #[arg(long = "web-origin", env = "LOCUS_WEB_ORIGINS", value_name = "URL", value_delimiter = ',')]
    pub origins: Vec<String>,
    /// Serve the page from this directory instead of the one compiled in (for work on the page)
    #[arg(long = "web-assets", env = "LOCUS_WEB_ASSETS", value_name = "DIR")]
    pub assets: Option<PathBuf>,
    /// Relay inside TLS; the gateway's certificate must be signed by one of the certificates in this file (PEM)
    #[arg(long = "web-gateway-ca", env = "LOCUS_WEB_GATEWAY_CA", value_name = "FILE")]
    pub gateway_authority: Option<PathBuf>,
    /// Serve the page by https: certificates (PEM), the page's own first
    #[arg(long = "web-tls-cert", env = "LOCUS_WEB_TLS_CERT", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// The key (PEM) of the page's certificate
    #[arg(long = "web-tls-key", env = "LOCUS_WEB_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Open sessions for browsers on other machines too. The gateway takes them for clients on the web tier's machine: only
    /// where it does not trust those
    #[arg(long = "web-allow-remote", env = "LOCUS_WEB_ALLOW_REMOTE")]
    pub allow_remote: bool,
}

impl WebSettings {
    pub fn over(&self, file: &WebSettings) -> WebSettings {
        let origins = if self.origins.is_empty() { &file.origins } else { &self.origins };
        WebSettings {
            origins: origins.clone(),
            assets: self.assets.clone().or_else(|| file.assets.clone()),
            gateway_authority: self.gateway_authority.clone().or_else(|| file.gateway_authority.clone()),
            tls_certificate: self.tls_certificate.clone().or_else(|| file.tls_certificate.clone()),
            tls_key: self.tls_key.clone().or_else(|| file.tls_key.clone()),
            allow_remote: self.allow_remote || file.allow_remote,
        }
    }
}

pub async fn run(arguments: WebArgs, file: &File, stop: StopSignal) -> Result<()> {
    let wanted = arguments.listen.or(file.web_addr);
    let gateway = arguments.gateway.or_else(|| file.web_gateway.clone()).unwrap_or_else(|| DEFAULT_SQL_ADDR.to_owned());
    let address = wanted.unwrap_or_else(|| DEFAULT_WEB_ADDR.parse().expect("a valid address"));
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    Server::new(gateway, &arguments.settings.over(&file.web))?.announce(&listener)?.serve(listener, stop).await;
    Ok(())
}

/// The listener of a page that runs beside other tiers: if nobody chose a port, any will do when the usual one is taken.
pub async fn listener(wanted: Option<SocketAddr>) -> Result<TcpListener> {
    if let Some(address) = wanted {
        return TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"));
    }
    let usual: SocketAddr = DEFAULT_WEB_ADDR.parse().expect("a valid address");
    match TcpListener::bind(usual).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => TcpListener::bind((usual.ip(), 0)).await,
        bound => bound,
    }
    .context("cannot listen for browsers")
}

pub struct Server {
    gateway: Arc<Upstream>,
    assets: Assets,
    origins: Origins,
    identity: Option<Identity>,
    allow_remote: bool,
    connections: Arc<Semaphore>,
    relays: Arc<Semaphore>,
}

type Answer = Response<Full<Bytes>>;

impl Server {
    pub fn new(gateway: String, settings: &WebSettings) -> Result<Arc<Server>> {
        Ok(Arc::new(Server {
            gateway: Arc::new(Upstream::new(gateway, settings.gateway_authority.as_deref())?),
            assets: Assets::open(settings.assets.as_deref())?,
            origins: Origins::new(&settings.origins)?,
            identity: Identity::new(settings.tls_certificate.as_deref(), settings.tls_key.as_deref())?,
            allow_remote: settings.allow_remote,
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            relays: Arc::new(Semaphore::new(RELAYS_MAX)),
        }))
    }

    /// Says where the page is.
    pub fn announce(self: Arc<Server>, listener: &TcpListener) -> Result<Arc<Server>> {
        let address = listener.local_addr()?;
        tracing::info!(%address, gateway = self.gateway.address, "the page is served");
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        let missing = match self.assets.is_empty() {
            true => "\n      (built without the page: `cargo xtask web` says how to get it)",
            false => "",
        };
        // At once: whoever reads the first line may not wait for another.
        println!("Page: {scheme}://{address}/{missing}");
        Ok(self)
    }

    /// Serves browsers until it is told to stop.
    pub async fn serve(self: Arc<Server>, listener: TcpListener, mut stop: StopSignal) {
        let mut tasks = JoinSet::new();
        let ending = stop.clone();
        loop {
            tokio::select! {
                () = stop.raised() => break,
                Some(_) = tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => match self.connections.clone().try_acquire_owned() {
                        Ok(permit) => {
                            drop(tasks.spawn(self.clone().connection(stream, peer, permit, ending.clone())));
                        }
                        Err(_) => tracing::warn!(%peer, "browser turned away: too many are connected"),
                    },
                    Err(error) => {
                        tracing::error!(%error, "cannot accept a browser");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        if timeout(DRAIN_TIMEOUT, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tasks.abort_all();
        }
    }

    async fn connection(
        self: Arc<Server>,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        mut stop: StopSignal,
    ) {
        // A socket without it still works.
        let _ = stream.set_nodelay(true);
        let stream: Stream = match &self.identity {
            None => Box::new(stream),
            Some(identity) => match identity.accept(stream, HEAD_TIMEOUT).await {
                Ok(stream) => Box::new(stream),
                Err(error) => return tracing::debug!(%peer, %error, "a browser did not come to TLS"),
            },
        };
        let permit = Arc::new(permit);
        let ending = stop.clone();
        let service = service_fn(|request| {
            let answer = self.clone().answer(request, peer, permit.clone(), ending.clone());
            async { Ok::<_, Infallible>(answer) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(16 << 10);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = stop.raised() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a browser's connection ended");
        }
    }

    fn answer(
        self: Arc<Server>,
        request: Request<Incoming>,
        peer: SocketAddr,
        connection: Arc<OwnedSemaphorePermit>,
        stop: StopSignal,
    ) -> Answer {
        let mut answer = if request.uri().path() == "/pg" {
            if self.may_relay(peer.ip()) { self.relay(request, connection, stop) } else { refuse_remote(peer) }
        } else if matches!(*request.method(), Method::GET | Method::HEAD) {
            self.assets.answer(&request)
        } else {
            plain(StatusCode::METHOD_NOT_ALLOWED, "This server hands out files and relays sessions.\n")
        };
        for (name, value) in HEADERS {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    /// To the gateway everybody comes from this machine, and it may trust those who do: nobody else is relayed to it
    /// unless that was asked for.
    fn may_relay(&self, peer: IpAddr) -> bool {
        self.allow_remote || peer.to_canonical().is_loopback()
    }

    /// Upgrades to a WebSocket and starts the relay.
    fn relay(&self, mut request: Request<Incoming>, connection: Arc<OwnedSemaphorePermit>, stop: StopSignal) -> Answer {
        let Some(key) = websocket_key(&request) else {
            return plain(StatusCode::UPGRADE_REQUIRED, "PostgreSQL's protocol over a WebSocket, version 13.\n");
        };
        let accept = derive_accept_key(key.as_bytes());
        if !self.origins.allow(request.headers()) {
            tracing::warn!(origin = ?request.headers().get(header::ORIGIN), "a page of another origin was refused");
            return plain(StatusCode::FORBIDDEN, "A page of another origin may not use this server (--web-origin).\n");
        }
        let Ok(permit) = self.relays.clone().try_acquire_owned() else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "Too many sessions.\n");
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let gateway = self.gateway.clone();
        let task = async move {
            match upgrade.await {
                Ok(upgraded) => relay::run(TokioIo::new(upgraded), &gateway, stop).await,
                Err(error) => tracing::debug!(%error, "no upgrade to a WebSocket"),
            }
            drop((permit, connection));
        };
        #[allow(clippy::disallowed_methods)]
        tokio::spawn(task);
        let mut answer = plain(StatusCode::SWITCHING_PROTOCOLS, "");
        let headers = answer.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(value) = HeaderValue::from_str(&accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, value);
        }
        answer
    }
}

fn refuse_remote(peer: SocketAddr) -> Answer {
    tracing::warn!(%peer, "a browser on another machine was refused a session (--web-allow-remote)");
    plain(StatusCode::FORBIDDEN, "This server opens sessions for browsers on its own machine only.\n")
}

/// The key of a request for a WebSocket of the version that everybody speaks (RFC 6455, section 4.2.1).
fn websocket_key<B>(request: &Request<B>) -> Option<&str> {
    let has = |name, wanted: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let asks = request.method() == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    asks.then_some(key)
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
#[path = "mod_test.rs"]
mod tests;
