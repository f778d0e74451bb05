//! SQL: from text to rows, on top of one transaction interface.
//!
//! Life of a statement:
//!
//! 1. [`session::Session::parse`] splits the text into statements (`parse`, on `sqlparser` with our own dialect).
//! 2. [`session::Session::prepare`] binds names and types against the catalog (`bind`), giving a [`plan::Plan`].
//! 3. `optimize` rewrites it by rules and costs; `plan::display` shows it (EXPLAIN and golden files).
//! 4. [`session::Session::execute`] runs it (`exec`) over `txn::Txn`; rows come in batches. Schema changes go to
//!    `catalog::change`.
//! 5. Outside a transaction block the session commits, retrying the statement where nothing has left yet.
//!
//! **Invariant**: sees storage through `txn::Txn` only; no wire, no runtime, no clock but `base::Runtime`.

mod access;
pub mod bind;
pub mod catalog;
pub mod copy;
pub mod encode;
pub mod error;
pub mod exec;
pub mod expr;
pub mod optimize;
pub mod parse;
pub mod plan;
pub mod pushdown;
pub mod security;
pub mod session;
pub mod settings;
pub mod types;

pub use error::{Result, SqlError, SqlState};
pub use session::{Database, Session};
pub use types::{DataType, Row, Value};
