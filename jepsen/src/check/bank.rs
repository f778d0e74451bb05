//! Transfers between accounts: every read of all accounts shows the same total.

use super::{Anomaly, Kind};
use crate::history::{History, Outcome};

/// A bank operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Transfer {
        from: i64,
        to: i64,
        amount: i64,
    },
    /// All balances by account; `None` while not known.
    ReadAll {
        balances: Option<Vec<(i64, i64)>>,
    },
}

pub fn check(history: &History<Step>, total: i64) -> Vec<Anomaly> {
    history
        .operations
        .iter()
        .filter(|operation| operation.outcome == Outcome::Committed)
        .filter_map(|operation| match &operation.body {
            Step::ReadAll { balances: Some(balances) } => {
                let sum: i64 = balances.iter().map(|(_, balance)| balance).sum();
                (sum != total).then(|| Anomaly {
                    kind: Kind::WrongTotal,
                    explanation: format!(
                        "operation {} read a total of {sum} instead of {total}: {balances:?}",
                        operation.index
                    ),
                })
            }
            _ => None,
        })
        .collect()
}
