//! Packets that do not arrive: nftables rules in the namespace of the receiver. Several nemeses may have rules at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use anyhow::{Context, Result};
use futures::future::try_join_all;

use super::{
    command,
    places::{Member, Places},
};

/// What happens to packets from one member to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub from: Member,
    pub to: Member,
    /// 100 is a cut.
    pub lost_percent: u8,
}

impl Rule {
    pub fn cut(from: Member, to: Member) -> Rule {
        Rule { from, to, lost_percent: 100 }
    }
}

/// The rules in force, by who made them.
#[derive(Default)]
pub struct Firewall {
    rules: BTreeMap<u64, Vec<Rule>>,
}

impl Firewall {
    /// Replaces the rules of one owner.
    pub async fn set(&mut self, places: &Places, owner: u64, rules: Vec<Rule>) -> Result<()> {
        let before = self.rules.insert(owner, rules.clone()).unwrap_or_default();
        self.apply(places, before.iter().chain(&rules)).await
    }

    /// Lets everything through again.
    pub async fn clear(&mut self, places: &Places) -> Result<()> {
        let before: Vec<Rule> = std::mem::take(&mut self.rules).into_values().flatten().collect();
        self.apply(places, before.iter()).await
    }

    async fn apply(&self, places: &Places, changed: impl Iterator<Item = &Rule>) -> Result<()> {
        let namespaces = places.namespaces.as_ref().context("there are no namespaces")?;
        let receivers: BTreeSet<Member> = changed.map(|rule| rule.to).collect();
        try_join_all(receivers.into_iter().map(|receiver| async move {
            let arguments = ["netns", "exec", &namespaces.name(&receiver.short()), "nft", "-f", "-"].map(str::to_owned);
            command::run_with_input("ip", &arguments, &self.table_of(places, receiver)).await
        }))
        .await
        .context("cannot set packet filters")?;
        Ok(())
    }

    /// The receiver's whole table, as `nft` reads it: replaced in one step.
    fn table_of(&self, places: &Places, receiver: Member) -> String {
        let mut text = "table ip locus\ndelete table ip locus\ntable ip locus {\n  chain incoming {\n".to_owned();
        text.push_str("    type filter hook input priority 0;\n");
        for rule in self.rules.values().flatten().filter(|rule| rule.to == receiver) {
            let sources: Vec<String> =
                places.sources(rule.from, rule.to).iter().map(|address| address.to_string()).collect();
            let chance = match rule.lost_percent {
                100 => String::new(),
                percent => format!("numgen random mod 100 < {percent} "),
            };
            // Into a string: cannot fail.
            let _ = writeln!(text, "    ip saddr {{ {} }} {chance}drop", sources.join(", "));
        }
        text.push_str("  }\n}\n");
        text
    }
}
