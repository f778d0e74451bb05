//! The front door: accepts connections, bounds them, brings each to a session, and closes up in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base::Runtime;
use pgwire::messages::startup::{BackendKeyData, SecretKey};
use sql::{
    Database, Session, SqlError, SqlState,
    catalog::Role,
    security::sign_in::SignedIn,
    session::{ClientInfo, Startup},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    cancel::Registry,
    connection::Connection,
    error::{End, error_response, state},
    sign_in,
    startup::{self, Opening, Packet},
    tls::{Identity, Tls},
    wire::{Io, Wire},
};

/// Keepalive: a peer that vanished without a word is noticed after about two minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Greatest message of a client that has not signed in: nobody needs more to do so, and strangers get little memory.
const MESSAGE_BYTES_BEFORE_SIGN_IN: usize = 64 << 10;
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Options {
    /// Sessions at the same time; one more is refused with 53300.
    pub connections_max: usize,
    /// Greatest message of a client, in bytes; a greater one is refused with 54000.
    pub message_bytes_max: usize,
    /// How long a client may take from connecting to a session.
    pub startup_timeout: Duration,
    /// How long sessions may take to end at shutdown before they are cut off.
    pub drain_timeout: Duration,
    /// TLS is offered when there is a certificate for it.
    pub tls: Option<Tls>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections_max: 1000,
            message_bytes_max: 128 << 20,
            startup_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
            tls: None,
        }
    }
}

/// The PostgreSQL front end over one database.
pub struct Gateway {
    database: Arc<Database>,
    runtime: Arc<dyn Runtime>,
    options: Options,
    registry: Arc<Registry>,
    /// One permit a session.
    sessions: Semaphore,
    /// One permit a connection that is not a session yet: strangers cannot use up memory.
    openings: Semaphore,
}

impl Gateway {
    pub fn new(database: Arc<Database>, runtime: Arc<dyn Runtime>, options: Options) -> Gateway {
        Gateway {
            database,
            runtime,
            registry: Arc::default(),
            sessions: Semaphore::new(options.connections_max),
            openings: Semaphore::new(options.connections_max + 64),
            options,
        }
    }

    /// Sessions that exist now.
    pub fn session_count(&self) -> usize {
        self.registry.len()
    }

    /// Serves clients until `shutdown` becomes true and every session has ended or been cut off.
    pub async fn serve(self: Arc<Gateway>, listener: TcpListener, shutdown: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut stop = shutdown.clone();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = tasks.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        prepare_socket(&stream);
                        let gateway = self.clone();
                        let shutdown = shutdown.clone();
                        tasks.spawn(async move { gateway.welcome(Box::new(stream), peer, shutdown).await });
                    }
                    Err(error) => {
                        tracing::error!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        let drained = timeout(self.options.drain_timeout, async { while tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(sessions = tasks.len(), "sessions were cut off at shutdown");
            tasks.abort_all();
        }
    }

    /// One connection from its first byte to its last.
    pub async fn welcome(&self, io: Box<dyn Io>, peer: SocketAddr, shutdown: watch::Receiver<bool>) {
        let Ok(opening) = self.openings.try_acquire() else {
            tracing::warn!(%peer, "connection dropped: too many are being opened");
            return;
        };
        let mut wire = Wire::new(io, MESSAGE_BYTES_BEFORE_SIGN_IN.min(self.options.message_bytes_max));
        let identity = self.options.tls.as_ref().map(Tls::identity);
        let opened = startup::open(&mut wire, identity.as_deref());
        let packet = match timeout(self.options.startup_timeout, opened).await {
            Ok(Ok(Opening::Session(packet))) => packet,
            Ok(Ok(Opening::Cancel { pid, secret })) => return self.registry.cancel(pid, secret),
            Ok(Err(end)) => return refuse(&mut wire, end).await,
            Err(_) => {
                tracing::debug!(%peer, "no start-up packet in time");
                return;
            }
        };
        let Ok(_permit) = self.sessions.try_acquire() else {
            let error = SqlError::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already");
            return refuse(&mut wire, End::Fatal(error)).await;
        };
        if *shutdown.borrow() {
            return refuse(&mut wire, End::shutdown()).await;
        }
        let registration = self.registry.register(self.runtime.random_u64() as i32);
        let established =
            self.establish(&mut wire, packet, peer, identity.as_deref(), (registration.pid, registration.secret));
        let session = match timeout(self.options.startup_timeout, established).await {
            Ok(Ok(session)) => session,
            Ok(Err(end)) => return refuse(&mut wire, end).await,
            Err(_) => {
                let error = SqlError::new(state::INVALID_AUTHORIZATION, "canceling authentication due to timeout");
                return refuse(&mut wire, End::Fatal(error)).await;
            }
        };
        drop(opening);
        registration.attach(session.canceller());
        Connection::new(wire, session, shutdown).run().await;
    }

    /// `CONNECTION LIMIT`, on each gateway.
    fn check_limit(&self, role: &Role) -> Result<(), End> {
        let limit = usize::try_from(role.connection_limit).unwrap_or(usize::MAX);
        if !role.superuser && self.database.session_count_of(&role.name) >= limit {
            let message = format!("too many connections for role \"{}\"", role.name);
            return Err(End::Fatal(SqlError::new(SqlState::TOO_MANY_CONNECTIONS, message)));
        }
        Ok(())
    }

    /// Signs the client in and makes its session.
    async fn establish(
        &self,
        wire: &mut Wire,
        packet: Packet,
        peer: SocketAddr,
        identity: Option<&Identity>,
        (pid, secret): (i32, i32),
    ) -> Result<Session, End> {
        packet.negotiate(wire)?;
        let end_point = identity.map(|identity| &*identity.end_point);
        let SignedIn { role, factors } = sign_in::sign_in(wire, &packet, peer.ip(), &self.database, end_point).await?;
        wire.set_message_bytes_max(self.options.message_bytes_max);
        self.check_limit(&role)?;
        // What the role begins with, then what this client asks for.
        let mut settings = role.settings.clone();
        settings.extend(packet.settings);
        let client =
            ClientInfo { address: Some(peer.ip()), encrypted: wire.is_encrypted(), factors, superuser: role.superuser };
        let user = role.name.clone();
        let startup = Startup { user, database: packet.database, settings, backend_pid: pid, client };
        let session = Session::new(self.database.clone(), startup).map_err(End::Fatal)?;
        wire.put(&BackendKeyData::new(pid, SecretKey::I32(secret)))?;
        Ok(session)
    }
}

/// Tells the client why it gets no session.
async fn refuse(wire: &mut Wire, end: End) {
    if let End::Fatal(error) = end {
        tracing::info!(%error, "connection refused");
        if wire.put(&error_response("FATAL", &error)).is_ok() {
            wire.finish().await;
        }
    }
}

fn prepare_socket(stream: &TcpStream) {
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    // A socket that takes neither still works.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "no TCP keepalive");
    }
}
