//! From anomalies to levels: the weakest that is violated, the strongest that holds.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{Anomaly, Kind, Level, level::list};
use crate::history::Counts;

/// What a history says about a promised level. "Holds" means that nothing in this history contradicts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub model: Level,
    pub decision: Decision,
    /// The violated levels of which no weaker one is violated too. Two where neither implies the other.
    pub weakest_violated: Vec<Level>,
    /// The levels that hold of which no stronger one holds too.
    pub strongest_holding: Vec<Level>,
    /// What counts at every level: lost writes, broken constraints, replicas that differ.
    pub always_wrong: bool,
    pub committed: usize,
    pub aborted: usize,
    pub unknown: usize,
    pub anomalies: Vec<Anomaly>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    Valid,
    Violated,
    /// Nothing was found, but a search was given up.
    Unknown,
}

impl Verdict {
    pub fn new(model: Level, counts: Counts, anomalies: Vec<Anomaly>) -> Verdict {
        let is_violated = |level: Level| {
            let mut weakest = anomalies.iter().flat_map(|anomaly| anomaly.kind.violates());
            weakest.any(|weaker| level.implies(*weaker))
        };
        let (violated, holding): (Vec<Level>, Vec<Level>) =
            Level::ALL.into_iter().partition(|level| is_violated(*level));
        let has_weaker = |level: &Level| violated.iter().any(|other| other != level && level.implies(*other));
        let has_stronger = |level: &Level| holding.iter().any(|other| other != level && other.implies(*level));
        let always_wrong = anomalies.iter().any(|anomaly| anomaly.kind.is_always_wrong());
        let decision = if violated.contains(&model) || always_wrong {
            Decision::Violated
        } else if anomalies.iter().any(|anomaly| anomaly.kind == Kind::Undecided) {
            Decision::Unknown
        } else {
            Decision::Valid
        };
        Verdict {
            model,
            decision,
            weakest_violated: violated.iter().filter(|level| !has_weaker(level)).copied().collect(),
            strongest_holding: holding.iter().filter(|level| !has_stronger(level)).copied().collect(),
            always_wrong,
            committed: counts.committed,
            aborted: counts.aborted,
            unknown: counts.unknown,
            anomalies,
        }
    }

    pub fn is_valid(&self) -> bool {
        self.decision == Decision::Valid
    }

    /// How often each kind of anomaly was found.
    pub fn counts_by_kind(&self) -> BTreeMap<Kind, u64> {
        let mut counts = BTreeMap::new();
        for anomaly in &self.anomalies {
            *counts.entry(anomaly.kind).or_default() += 1 + anomaly.more;
        }
        counts
    }
}

/// For the terminal.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decision {
            Decision::Valid => writeln!(f, "valid: nothing contradicts {}", self.model)?,
            Decision::Violated if self.always_wrong => {
                writeln!(f, "VIOLATED: something happened that no isolation level excuses")?;
            }
            Decision::Violated => writeln!(f, "VIOLATED: {} does not hold", self.model)?,
            Decision::Unknown => writeln!(f, "UNKNOWN: nothing was found, but a search was given up")?,
        }
        writeln!(f, "  weakest level violated:   {}", list(&self.weakest_violated))?;
        writeln!(f, "  strongest level that holds: {}", list(&self.strongest_holding))?;
        let (committed, aborted, unknown) = (self.committed, self.aborted, self.unknown);
        writeln!(f, "  operations: {committed} committed, {aborted} aborted, {unknown} unknown")?;
        for (kind, count) in self.counts_by_kind() {
            writeln!(f, "  {kind}: {count}")?;
        }
        Ok(())
    }
}
