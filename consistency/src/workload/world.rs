//! The world that clients live in, as narrow as it can be: text in, text out. One implementation speaks to simulated
//! gateways, one to real ones over the wire, so that every workload runs in both.

use std::{fmt, time::Duration};

use base::BoxFuture;

use crate::history::Outcome;

/// Where the clients of a workload live.
pub trait World: Send + Sync {
    /// Nanoseconds since the beginning of the run; never goes back.
    fn now(&self) -> u64;

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Whether the other side is Locus: then tables are split and the past can be read. Other clusters are only asked what
    /// PostgreSQL knows.
    fn is_locus(&self) -> bool;

    /// Opens a connection for a client (numbered from 0) on one of the gateways; which, is the world's choice, and may be
    /// another one each time.
    fn connect(&self, client: u32) -> BoxFuture<'static, Result<Box<dyn Connection>, Failure>>;
}

/// One session. Dropping it closes the connection, which rolls back what is open.
pub trait Connection: Send {
    /// Runs one statement to its end. `BEGIN` and `COMMIT` are statements like others.
    fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Answer, Failure>>;
}

/// What a statement brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// In text format; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows read or changed, as the command tag has it.
    pub affected: u64,
}

impl Answer {
    /// The only column of the first row.
    pub fn first(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }

    /// The only column of the first row, if it is a number.
    pub fn number(&self) -> Option<i64> {
        self.first()?.parse().ok()
    }

    /// The first columns of all rows, as far as they are numbers.
    pub fn numbers(&self) -> Vec<i64> {
        self.rows.iter().filter_map(|row| row.first()?.as_deref()?.parse().ok()).collect()
    }

    /// The first two columns of all rows, as far as they are numbers.
    pub fn pairs(&self) -> Vec<(i64, i64)> {
        let number = |text: &Option<String>| text.as_deref()?.parse().ok();
        self.rows.iter().filter_map(|row| Some((number(row.first()?)?, number(row.get(1)?)?))).collect()
    }
}

/// Why a statement did not bring an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server says why.
    Refused { sqlstate: String, message: String },
    /// The connection broke, or nobody answered in time: the statement may have run.
    Lost(String),
    /// The statement never left: nobody could be connected to.
    NotSent(String),
}

/// How far the transaction had come when a failure met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Inside a block of which COMMIT had not been sent.
    Open,
    /// COMMIT had been sent, or a statement that is a transaction of its own.
    Committing,
}

impl Failure {
    /// What a client may conclude from the failure. A block that was not told to commit never does; of a statement that
    /// commits, an error is a promise that nothing happened unless it says that nobody knows (40003, 08007), or that the
    /// server was on its way down (other codes of class 08, 57P01, 57P02).
    pub fn outcome(&self, stage: Stage) -> Outcome {
        match (self, stage) {
            (Failure::NotSent(_), _) | (_, Stage::Open) => Outcome::Aborted,
            (Failure::Lost(_), Stage::Committing) => Outcome::Unknown,
            (Failure::Refused { sqlstate, .. }, Stage::Committing) => match sqlstate.as_str() {
                "40003" | "57P01" | "57P02" => Outcome::Unknown,
                state if state.starts_with("08") => Outcome::Unknown,
                _ => Outcome::Aborted,
            },
        }
    }

    /// The SQLSTATE, if the server gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Failure::Refused { sqlstate, .. } => Some(sqlstate),
            Failure::Lost(_) | Failure::NotSent(_) => None,
        }
    }

    /// Whether the connection can still be used.
    pub fn is_refused(&self) -> bool {
        self.sqlstate().is_some_and(|state| !state.starts_with("08") && !state.starts_with("57P"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused { sqlstate, message } => write!(f, "{sqlstate}: {message}"),
            Failure::Lost(reason) => write!(f, "connection lost: {reason}"),
            Failure::NotSent(reason) => write!(f, "not sent: {reason}"),
        }
    }
}

#[cfg(test)]
#[path = "world_test.rs"]
mod tests;
