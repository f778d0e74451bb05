//! What came of a run, on one page of HTML that needs nothing else.
//!
//! [`RunReport`] is what a [`page`] shows of one run, [`MatrixReport`] what a [`matrix`] shows of many. The caller fills them;
//! nothing here reads a clock or a disk.

mod charts;
pub mod drawing;
mod html;
mod lattice;
mod matrix;
mod page;

use crate::check::Verdict;
pub use matrix::matrix;
pub use page::page;

/// One run of a workload under faults.
#[derive(Clone, Debug)]
pub struct RunReport {
    pub workload: String,
    /// What the database was, for people: "Locus 0.1.0, 3 nodes", "PostgreSQL 15.14".
    pub database: String,
    pub seed: Option<u64>,
    /// Names and versions of what took part.
    pub versions: Vec<(String, String)>,
    /// How to run it again.
    pub command: String,
    /// When it was run, as text.
    pub when: String,
    pub verdict: Verdict,
    /// Every operation, for the curves.
    pub points: Vec<Point>,
    pub faults: Vec<FaultSpan>,
    /// How long after each fault healed the first operation succeeded again.
    pub recovery: Vec<Recovery>,
    /// Anything else worth saying, one paragraph each.
    pub notes: Vec<String>,
}

/// One operation in time. Nanoseconds since the beginning of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub begin_ns: u64,
    /// When the client was told, or gave up.
    pub end_ns: u64,
    pub outcome: crate::history::Outcome,
}

/// A fault and the time that it lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpan {
    pub name: String,
    pub from_ns: u64,
    pub to_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub fault: String,
    /// `None`: it did not recover.
    pub after_ns: Option<u64>,
}

/// Workloads × nemeses.
#[derive(Clone, Debug, Default)]
pub struct MatrixReport {
    pub title: String,
    pub when: String,
    pub command: String,
    pub versions: Vec<(String, String)>,
    pub cells: Vec<Cell>,
}

/// One run of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    pub workload: String,
    pub nemesis: String,
    pub seed: Option<u64>,
    pub outcome: CellOutcome,
    /// Operations that committed, per second.
    pub rate: f64,
    pub recovery_ns: Option<u64>,
    /// The run's own page, relative to the matrix.
    pub page: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellOutcome {
    Valid,
    /// The kinds of anomalies.
    Violated(String),
    Unknown(String),
    /// It could not be run, and why.
    Skipped(String),
}
