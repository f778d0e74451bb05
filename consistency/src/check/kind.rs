//! The anomalies by name, and the weakest levels that each of them rules out.
//!
//! Names after Adya (G0 … G2), Jepsen (G-single, G-nonadjacent) and Bailis (observed transaction vanishes).

use std::fmt;

use serde::{Serialize, Serializer};

use super::Level;

/// What is wrong. In the order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Replicas of a range differ.
    Divergence,
    /// An acknowledged write is not there at the end.
    LostWrite,
    /// A value was read that nobody wrote.
    UnwrittenRead,
    /// A value is there twice.
    Duplicate,
    /// A transaction does not see its own writes.
    Internal,
    /// Two reads of a key whose orders cannot both be.
    IncompatibleOrder,
    /// The inferred order of a register's versions runs in a circle.
    CyclicVersions,
    /// An aborted write was read.
    G1a,
    /// An intermediate state of another transaction was read.
    G1b,
    /// A committed write builds on an aborted one.
    DirtyUpdate,
    /// A transaction saw one write of another, and afterwards not another write of the same.
    ObservedTransactionVanishes,
    /// A transaction saw two states of one key.
    NonRepeatableRead,
    /// Two transactions wrote a key on top of the same version of it.
    LostUpdate,
    /// A cycle of dependencies.
    Cycle { class: Class, predicate: bool, order: Order },
    /// A sum that must be constant is not.
    WrongTotal,
    /// Two reads each saw a write that the other one missed.
    LongFork,
    /// A constraint that every transaction keeps is broken by two at once.
    WriteSkew,
    /// Two holders of something of which there is one.
    NotUnique,
    /// An element was taken from a queue twice.
    TakenTwice,
    /// A row refers to one that does not exist.
    Orphan,
    /// A later write was seen without an earlier one of the same client.
    OutOfOrder,
    /// A write was seen without one that had been acknowledged before it began.
    CausalReverse,
    /// An acknowledged write was not seen by a read that began afterwards.
    StaleRead,
    /// A value that only grows was seen to shrink.
    NotMonotonic(Order),
    /// No order of the operations on a register explains the answers.
    NotLinearizable,
    /// The search was given up: neither right nor wrong.
    Undecided,
}

/// Cycles by the edges that they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Write-write dependencies only.
    G0,
    /// Write-write and write-read dependencies.
    G1c,
    /// With exactly one anti-dependency (read skew).
    GSingle,
    /// With several anti-dependencies, no two of them next to each other (long fork).
    GNonadjacent,
    /// With anti-dependencies next to each other (write skew).
    G2,
}

/// Which orders beyond the data a cycle needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    Data,
    /// The order of operations of one process.
    Process,
    /// An operation ended before another began.
    RealTime,
}

impl Kind {
    pub const fn cycle(class: Class, order: Order) -> Kind {
        Kind::Cycle { class, predicate: false, order }
    }

    pub fn name(self) -> String {
        let name = match self {
            Kind::Cycle { class, predicate, order } => return cycle_name(class, predicate, order),
            Kind::NotMonotonic(order) => return format!("not-monotonic{}", order.suffix()),
            Kind::Divergence => "divergence",
            Kind::UnwrittenRead => "unwritten-read",
            Kind::Duplicate => "duplicate",
            Kind::Internal => "internal",
            Kind::IncompatibleOrder => "incompatible-order",
            Kind::CyclicVersions => "cyclic-versions",
            Kind::G1a => "G1a",
            Kind::G1b => "G1b",
            Kind::DirtyUpdate => "dirty-update",
            Kind::ObservedTransactionVanishes => "observed-transaction-vanishes",
            Kind::NonRepeatableRead => "non-repeatable-read",
            Kind::LostUpdate => "lost-update",
            Kind::WrongTotal => "wrong-total",
            Kind::LongFork => "long-fork",
            Kind::WriteSkew => "write-skew",
            Kind::LostWrite => "lost-write",
            Kind::NotUnique => "not-unique",
            Kind::TakenTwice => "taken-twice",
            Kind::Orphan => "orphan",
            Kind::OutOfOrder => "out-of-order",
            Kind::CausalReverse => "causal-reverse",
            Kind::StaleRead => "stale-read",
            Kind::NotLinearizable => "not-linearizable",
            Kind::Undecided => "undecided",
        };
        name.to_owned()
    }

    /// The weakest levels that do not allow it: none implies another, and every level that implies one of them is ruled out.
    pub fn violates(self) -> &'static [Level] {
        use Level::*;
        match self {
            // Every level: a transaction sees its own writes, and nothing else but what was written, once.
            Kind::UnwrittenRead | Kind::Duplicate | Kind::Internal => &[ReadUncommitted],
            Kind::IncompatibleOrder | Kind::CyclicVersions => &[ReadCommitted],
            Kind::G1a | Kind::G1b | Kind::DirtyUpdate => &[ReadCommitted],
            Kind::ObservedTransactionVanishes => &[MonotonicAtomicView],
            Kind::NonRepeatableRead | Kind::LostUpdate | Kind::TakenTwice => &[RepeatableRead, SnapshotIsolation],
            Kind::Cycle { class, predicate, order } => cycle_violates(class, predicate, order),
            Kind::WrongTotal | Kind::LongFork => &[SnapshotIsolation],
            Kind::WriteSkew => &[Serializable],
            Kind::OutOfOrder | Kind::NotMonotonic(Order::Process) => &[StrongSessionSnapshotIsolation],
            Kind::CausalReverse | Kind::StaleRead | Kind::LostWrite | Kind::NotMonotonic(Order::RealTime) => {
                &[StrongSnapshotIsolation]
            }
            Kind::NotMonotonic(Order::Data) => &[Serializable],
            Kind::NotLinearizable => &[StrictSerializable],
            Kind::Divergence | Kind::NotUnique | Kind::Orphan | Kind::Undecided => &[],
        }
    }

    /// Whether no level at all excuses it: durability, constraints and replicas do not depend on isolation.
    pub fn is_always_wrong(self) -> bool {
        matches!(self, Kind::Divergence | Kind::LostWrite | Kind::NotUnique | Kind::Orphan)
    }
}

fn cycle_name(class: Class, predicate: bool, order: Order) -> String {
    let class = match (class, predicate) {
        (Class::G0, _) => "G0",
        (Class::G1c, _) => "G1c",
        (Class::GSingle, false) => "G-single",
        (Class::GSingle, true) => "G-single-predicate",
        (Class::GNonadjacent, false) => "G-nonadjacent",
        (Class::GNonadjacent, true) => "G-nonadjacent-predicate",
        (Class::G2, false) => "G2-item",
        (Class::G2, true) => "G2",
    };
    format!("{class}{}", order.suffix())
}

fn cycle_violates(class: Class, predicate: bool, order: Order) -> &'static [Level] {
    use Level::*;
    match (order, class, predicate) {
        (Order::Data, Class::G0, _) => &[ReadUncommitted],
        (Order::Data, Class::G1c, _) => &[ReadCommitted],
        (Order::Data, Class::GSingle | Class::GNonadjacent, false) => &[RepeatableRead, SnapshotIsolation],
        (Order::Data, Class::GSingle | Class::GNonadjacent, true) => &[SnapshotIsolation],
        (Order::Data, Class::G2, false) => &[RepeatableRead],
        (Order::Data, Class::G2, true) => &[Serializable],
        (Order::Process, Class::G2, _) => &[StrongSessionSerializable],
        (Order::Process, _, _) => &[StrongSessionSnapshotIsolation],
        (Order::RealTime, Class::G2, _) => &[StrictSerializable],
        (Order::RealTime, _, _) => &[StrongSnapshotIsolation],
    }
}

impl Order {
    fn suffix(self) -> &'static str {
        match self {
            Order::Data => "",
            Order::Process => "-process",
            Order::RealTime => "-realtime",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}
