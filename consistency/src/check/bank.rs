//! Transfers between accounts: every read of all accounts shows the same total, and no account is overdrawn.
//!
//! In files: `:f :transfer :value {:from 0 :to 1 :amount 5}` and `:f :read :value {0 95, 1 105}`.

use std::fmt::Write;

use super::{Anomaly, Findings, Kind};
use crate::{
    edn::{Cursor, Error, Value},
    history::{Body, History, Names},
};

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

/// `total` is what all accounts hold together; the first read tells it when it is `None`.
pub fn check(history: &History<Step>, total: impl Into<Option<i64>>) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let mut total: Option<i64> = total.into();
    for operation in history.committed() {
        let Step::ReadAll { balances: Some(balances) } = &operation.body else { continue };
        let sum: i128 = balances.iter().map(|(_, balance)| i128::from(*balance)).sum();
        let expected = *total.get_or_insert(sum as i64);
        if sum != i128::from(expected) {
            findings.add(Kind::WrongTotal, &[operation.index], || {
                format!("operation {} read a total of {sum} instead of {expected}: {balances:?}", operation.index)
            });
        }
        if let Some((account, balance)) = balances.iter().find(|(_, balance)| *balance < 0) {
            findings.add(Kind::WriteSkew, &[operation.index], || {
                format!(
                    "operation {} read {balance} in account {account}, which must not be overdrawn",
                    operation.index
                )
            });
        }
    }
    findings.finish()
}

impl Body for Step {
    fn decode(f: &str, cursor: &mut Cursor<'_>, _names: &mut Names) -> Result<Option<Step>, Error> {
        let at = cursor.clone();
        let value = cursor.value()?;
        match f {
            "transfer" => {
                let field = |name: &str| value.get(name).and_then(Value::integer);
                let (Some(from), Some(to), Some(amount)) = (field("from"), field("to"), field("amount")) else {
                    return Err(at.error("a :transfer needs {:from :to :amount} as integers"));
                };
                Ok(Some(Step::Transfer { from, to, amount }))
            }
            "read" => {
                let Value::Map(entries) = &value else { return Ok(Some(Step::ReadAll { balances: None })) };
                let balance = |(account, balance): &(Value, Value)| Some((account.integer()?, balance.integer()?));
                let balances: Option<Vec<_>> = entries.iter().map(balance).collect();
                let balances = balances.ok_or_else(|| at.error("accounts and balances are integers"))?;
                Ok(Some(Step::ReadAll { balances: Some(balances) }))
            }
            _ => Ok(None),
        }
    }

    fn encode(&self, answered: bool, _names: &Names, out: &mut String) -> &'static str {
        match self {
            Step::Transfer { from, to, amount } => {
                let _ = write!(out, "{{:from {from}, :to {to}, :amount {amount}}}");
                "transfer"
            }
            Step::ReadAll { balances: Some(balances) } if answered => {
                let balances: Vec<String> =
                    balances.iter().map(|(account, balance)| format!("{account} {balance}")).collect();
                let _ = write!(out, "{{{}}}", balances.join(", "));
                "read"
            }
            Step::ReadAll { .. } => {
                out.push_str("nil");
                "read"
            }
        }
    }
}
