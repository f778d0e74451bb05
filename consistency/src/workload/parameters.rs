//! What a run of a workload can be varied by.

use std::{fmt, str::FromStr, time::Duration};

/// The isolation level that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    pub const ALL: [Isolation; 3] = [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];
}

/// As SQL names it.
impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
            Isolation::Serializable => "serializable",
        })
    }
}

/// Takes SQL's names with spaces or hyphens.
impl FromStr for Isolation {
    type Err = String;

    fn from_str(name: &str) -> Result<Isolation, String> {
        let name = name.replace(['-', '_'], " ");
        let known = Isolation::ALL.into_iter().find(|isolation| isolation.to_string() == name);
        known.ok_or_else(|| "one of read-committed, repeatable-read, serializable".to_owned())
    }
}

/// How the workload's rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    OneRange,
    ManyRanges,
    /// Many ranges, and rows are found through a secondary index.
    SecondaryIndex,
}

impl Shape {
    pub const ALL: [Shape; 3] = [Shape::OneRange, Shape::ManyRanges, Shape::SecondaryIndex];
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::OneRange => "one-range",
            Shape::ManyRanges => "many-ranges",
            Shape::SecondaryIndex => "secondary-index",
        })
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(name: &str) -> Result<Shape, String> {
        let known = Shape::ALL.into_iter().find(|shape| shape.to_string() == name);
        known.ok_or_else(|| "one of one-range, many-ranges, secondary-index".to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub isolation: Isolation,
    pub shape: Shape,
    pub clients: u32,
    /// How long a client waits for one answer before it closes the connection.
    pub timeout: Duration,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            isolation: Isolation::Serializable,
            shape: Shape::ManyRanges,
            clients: 9,
            timeout: Duration::from_secs(10),
        }
    }
}
