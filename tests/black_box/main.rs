//! Black-box tests: the real binary as real processes, spoken to over the PostgreSQL wire only.

mod bad_input;
mod common;
mod demo;
mod limits;
mod psql;
mod sql;
mod web;
mod wire;
