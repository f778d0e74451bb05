//! The only source of data: PostgreSQL's protocol, spoken by `tokio-postgres` over a WebSocket that the web tier relays.

use std::{future::poll_fn, sync::Arc};

use futures_util::StreamExt;
use leptos::task::spawn_local;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, config::SslMode, error::ErrorPosition};

use super::socket::Socket;
use crate::rows::{Failure, Rows};

/// Rows that the page keeps of one result. The rest is cancelled at the server.
pub const ROWS_MAX: usize = 5_000;

/// What is typed into the sign-in form, or kept of it over a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub database: String,
    pub password: String,
    /// A one-time code or a recovery code.
    pub code: String,
    /// A ticket that the page has made for itself, and takes back when it is left.
    pub is_own: bool,
}

impl Credentials {
    pub fn is_ticket(&self) -> bool {
        self.user.starts_with("tok_")
    }
}

/// A session of the signed-in user.
#[derive(Clone)]
pub struct Link {
    client: Arc<Client>,
    is_by_ticket: bool,
}

impl Link {
    /// Signs in. `on_notice` hears what the server says beside its answers, `on_end` that the connection is over.
    pub async fn open(
        credentials: &Credentials,
        application: &str,
        on_notice: impl Fn(String) + 'static,
        on_end: impl FnOnce(String) + 'static,
    ) -> Result<Link, Failure> {
        let socket = Socket::connect(&relay()).await.map_err(|error| Failure::local(error.to_string()))?;
        let mut config = Config::new();
        config.user(&credentials.user).dbname(&credentials.database).application_name(application);
        // Between the browser and the web tier it is the page's own https that encrypts.
        config.ssl_mode(SslMode::Disable);
        if !credentials.password.is_empty() {
            config.password(&credentials.password);
        }
        if !credentials.code.is_empty() {
            config.options(format!("-c locus.otp={}", credentials.code.trim().replace(' ', "")));
        }
        let is_by_ticket = credentials.is_ticket();
        let refused = |error| if is_by_ticket { failure(error).of_ticket() } else { failure(error) };
        let (client, mut connection) = config.connect_raw(socket, NoTls).await.map_err(refused)?;
        spawn_local(async move {
            let reason = loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notice(notice))) => {
                        on_notice(format!("{}: {}", notice.severity(), notice.message()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break failure(error).message,
                    None => break "the server ended the session".to_owned(),
                }
            };
            // First this, so that the link says that it is closed.
            drop(connection);
            on_end(reason);
        });
        Ok(Link { client: Arc::new(client), is_by_ticket })
    }

    /// Whether the session was begun by a ticket: such a one can make no other ticket.
    pub fn is_by_ticket(&self) -> bool {
        self.is_by_ticket
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// One statement that brings one result.
    pub async fn query(&self, sql: &str) -> Result<Rows, Failure> {
        let mut results = self.run(sql, ROWS_MAX).await?;
        Ok(results.pop().and_then(Outcome::into_rows).unwrap_or_default())
    }

    /// Statements, one after the other, as one implicit transaction like psql's `-c`. What came before an error is lost.
    pub async fn run(&self, sql: &str, rows_max: usize) -> Result<Vec<Outcome>, Failure> {
        let stream = self.client.simple_query_raw(sql).await.map_err(failure)?;
        let mut stream = std::pin::pin!(stream);
        let mut outcomes = Vec::new();
        let mut open: Option<Rows> = None;
        let mut cut = false;
        while let Some(message) = stream.next().await {
            match message {
                Ok(SimpleQueryMessage::RowDescription(columns)) => {
                    let columns = columns.iter().map(|column| column.name().to_owned()).collect();
                    open = Some(Rows { columns, ..Rows::default() });
                }
                Ok(SimpleQueryMessage::Row(row)) => {
                    let rows = open.get_or_insert_default();
                    if rows.len() < rows_max {
                        rows.rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
                    } else if !cut {
                        cut = true;
                        rows.truncated = true;
                        self.cancel();
                    }
                }
                Ok(SimpleQueryMessage::CommandComplete(count)) => outcomes.push(match open.take() {
                    Some(rows) => Outcome::Rows(rows),
                    None => Outcome::Done(count),
                }),
                Ok(_) => {}
                // That is our own cancelling.
                Err(_) if cut => break,
                Err(error) => return Err(failure(error)),
            }
        }
        outcomes.extend(open.map(Outcome::Rows));
        Ok(outcomes)
    }

    /// Asks the server to stop what runs. Whether it does is seen in that statement's own answer.
    pub fn cancel(&self) {
        let token = self.client.cancel_token();
        spawn_local(async move {
            if let Ok(socket) = Socket::connect(&relay()).await {
                // There is no answer to it.
                let _ = token.cancel_query_raw(socket, NoTls).await;
            }
        });
    }
}

/// What became of one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Rows(Rows),
    /// No rows; so many were changed.
    Done(u64),
}

impl Outcome {
    fn into_rows(self) -> Option<Rows> {
        match self {
            Outcome::Rows(rows) => Some(rows),
            Outcome::Done(_) => None,
        }
    }
}

/// The relay, at the server that this page came from.
fn relay() -> String {
    let location = leptos::prelude::window().location();
    let scheme = if location.protocol().is_ok_and(|protocol| protocol == "https:") { "wss" } else { "ws" };
    format!("{scheme}://{}/pg", location.host().unwrap_or_default())
}

fn failure(error: tokio_postgres::Error) -> Failure {
    let Some(error) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        return Failure::local(text);
    };
    Failure {
        sqlstate: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        position: match error.position() {
            Some(ErrorPosition::Original(position)) => Some(*position),
            _ => None,
        },
    }
}
