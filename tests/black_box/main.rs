//! Black-box tests: the real binary as real processes, spoken to over the PostgreSQL wire only.

mod bad_input;
mod common;
mod demo;
mod fuzz;
mod limits;
mod psql;
mod retry;
mod sign_in;
mod sql;
mod wire;
