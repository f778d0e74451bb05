//! The PostgreSQL front end: from bytes of a client to calls of a [`sql::Session`] and back.
//!
//! Life of a message:
//!
//! 1. [`Gateway::serve`] accepts the connection; `startup::open` answers requests for encryption and cancel requests;
//!    `sign_in` carries the conversation of an [`auth::Mechanism`].
//! 2. `Connection::serve` takes the next message off `wire::Wire`, which frames and limits it; `message::ClientMessage`
//!    decodes it with every length checked.
//! 3. `simple` runs a text of statements, `extended` statements and portals by name, `copy` a COPY FROM STDIN. All of them
//!    call the session through `Guard::drive`, which never drops a call half way and cancels it when the client vanishes.
//! 4. `pipeline` keeps what has been handled since the client was told anything: where the cluster asks for it, and nothing
//!    has been sent yet, it is executed once more and the client never knows.
//! 5. `rows` writes values straight into the output buffer. It leaves at Sync, Flush, the end of a query, or when it is large:
//!    then a slow client holds back its own statement and nobody else's.
//!
//! **Invariant**: knows messages and sockets, but not what a statement means. Nothing here decides about a transaction; an
//! error has its SQLSTATE before it comes here, except for errors of the wire itself.

mod cancel;
mod connection;
mod copy;
mod error;
mod extended;
mod listener;
mod message;
mod pipeline;
mod rows;
mod sign_in;
mod simple;
mod startup;
mod tls;
mod wire;

pub use listener::{Gateway, Options};
pub use sign_in::HashingThreads;
pub use tls::Tls;
pub use wire::Io;
