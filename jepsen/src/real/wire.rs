//! Sessions over the PostgreSQL wire, by `tokio-postgres` and its simple query protocol.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base::BoxFuture;
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
    pub fn gateway(address: SocketAddr, inside: Inside) -> Target {
        let mut config = Config::new();
        config.user("locus").dbname("locus").application_name("locus jepsen");
        Target { place: Place::Gateway(address), config: Arc::new(config), inside: Arc::new(inside) }
    }

    /// Any PostgreSQL-compatible server.
    pub fn url(url: &str) -> Result<Target, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        config.application_name("locus jepsen").connect_timeout(CONNECT_TIMEOUT);
        Ok(Target { place: Place::Elsewhere, config: Arc::new(config), inside: Arc::new(Inside::here()) })
    }

    /// The same, with a setting that sessions begin with.
    pub fn with_options(&self, options: &str) -> Target {
        let mut config = (*self.config).clone();
        config.options(options);
        Target { config: Arc::new(config), ..self.clone() }
    }
}

/// A session. Dropping it closes the connection.
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
}

impl Session {
    pub async fn connect(target: &Target) -> Result<Session, Failure> {
        let (place, config, inside) = (target.place.clone(), target.config.clone(), target.inside.clone());
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
