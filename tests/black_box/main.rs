//! Black-box tests: the real binary as real processes, spoken to over the PostgreSQL wire; `between` and `certificates` also as a stranger to nodes.

mod bad_input;
mod between;
mod certificates;
mod cli;
mod common;
mod demo;
mod fuzz;
mod limits;
mod otp;
mod partition;
mod psql;
mod retry;
mod sign_in;
mod sign_in_tls;
mod sql;
mod tls;
mod views;
mod web;
mod wire;
