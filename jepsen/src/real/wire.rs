//! Sessions over the PostgreSQL wire, by `tokio-postgres` and its simple query protocol.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use auth::{owner, seal::ClusterKey};
use base::BoxFuture;
use sql::session::BOOTSTRAP_ROLE;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::inside::Inside;
use crate::workload::world::{Answer, Connection, Failure};

/// How long connecting and signing in may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where to connect, from where, and as whom.
#[derive(Clone)]
pub struct Target {
    place: Place,
    config: Arc<Config>,
    inside: Arc<Inside>,
    /// Where the cluster's key is, which lets in whoever can read it; `None`: nothing is asked.
    secrets: Option<PathBuf>,
}

#[derive(Clone)]
enum Place {
    /// A gateway of our own cluster.
    Gateway(SocketAddr),
    /// Whatever the URL says.
    Elsewhere,
}

impl Target {
    /// A gateway of our own, reached from inside its namespace.
    pub fn gateway(address: SocketAddr, inside: Inside, secrets: Option<&Path>) -> Target {
        let mut config = Config::new();
        config.user(BOOTSTRAP_ROLE).dbname("locus").application_name("locus jepsen");
        Target {
            place: Place::Gateway(address),
            config: Arc::new(config),
            inside: Arc::new(inside),
            secrets: secrets.map(Path::to_owned),
        }
    }

    /// Any PostgreSQL-compatible server.
    pub fn url(url: &str) -> Result<Target, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        config.application_name("locus jepsen").connect_timeout(CONNECT_TIMEOUT);
        let inside = Arc::new(Inside::here());
        Ok(Target { place: Place::Elsewhere, config: Arc::new(config), inside, secrets: None })
    }

    /// The same, with a setting that sessions begin with.
    pub fn with_options(&self, options: &str) -> Target {
        let mut config = (*self.config).clone();
        config.options(options);
        Target { config: Arc::new(config), ..self.clone() }
    }

    /// A connection to a gateway of our own for a client that signs in by itself. The calling runtime drives it.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let Place::Gateway(address) = self.place else { return Err(io::ErrorKind::Unsupported.into()) };
        let connecting = self.inside.spawn(async move { TcpStream::connect(address).await?.into_std() });
        let stream = TcpStream::from_std(connecting.await.map_err(io::Error::other)??)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// With a password that is good for the next minute, where one is asked for.
    fn config(&self) -> io::Result<Config> {
        let mut config = (*self.config).clone();
        if let Some(directory) = &self.secrets {
            let key = <[u8; 32]>::try_from(fs::read(directory.join("cluster.key"))?);
            let key = ClusterKey::new(key.map_err(|_| io::ErrorKind::InvalidData)?);
            let seconds = storage::shell::wall_micros() / 1_000_000;
            config.password(owner::pass(&key, BOOTSTRAP_ROLE, seconds.max(0) as u64));
        }
        Ok(config)
    }
}

/// A session. Dropping it closes the connection.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    pub async fn connect(target: &Target) -> Result<Session, Failure> {
        let config = target.config().map_err(|error| Failure::NotSent(format!("the cluster's key: {error}")))?;
        let (place, inside) = (target.place.clone(), target.inside.clone());
        let connecting = target.inside.spawn(async move {
            let connected = timeout(CONNECT_TIMEOUT, open(place, &config, &inside)).await;
            connected.unwrap_or_else(|_| Err("not connected in time".to_owned()))
        });
        let outcome = connecting.await.unwrap_or_else(|error| Err(error.to_string()));
        let (client, driver) = outcome.map_err(Failure::NotSent)?;
        Ok(Session { client, driver })
    }
}

async fn open(place: Place, config: &Config, inside: &Inside) -> Result<(Client, JoinHandle<()>), String> {
    match place {
        Place::Gateway(address) => {
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| error.to_string())?;
            Ok((client, drive(inside, connection)))
        }
        Place::Elsewhere => {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| error.to_string())?;
            Ok((client, drive(inside, connection)))
        }
    }
}

/// Drives the connection in the background; its errors reach the client's calls too.
fn drive(
    inside: &Inside,
    connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
) -> JoinHandle<()> {
    inside.spawn(async move { drop(connection.await) })
}

impl Drop for Session {
    fn drop(&mut self) {
        // At once, without farewell: what is open is rolled back, and a statement that hangs is left alone.
        self.driver.abort();
    }
}

impl Connection for Session {
    fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            let messages = self.client.simple_query(sql).await.map_err(|error| failure(&error))?;
            let mut answer = Answer::default();
            for message in messages {
                match message {
                    SimpleQueryMessage::Row(row) => {
                        answer.rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
                    }
                    SimpleQueryMessage::CommandComplete(affected) => answer.affected = affected,
                    _ => {}
                }
            }
            Ok(answer)
        })
    }
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(refusal) => {
            Failure::Refused { sqlstate: refusal.code().code().to_owned(), message: refusal.message().to_owned() }
        }
        None => Failure::Lost(error.to_string()),
    }
}
