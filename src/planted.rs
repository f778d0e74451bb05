//! Bugs that tests turn on in real processes, to see that `locus jepsen` finds them. Builds without debug assertions refuse.

use std::{fmt, str::FromStr};

/// One of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlantedFault(&'static str);

/// In which tier each is: storage and transactions' leader side in nodes, the coordinator in gateways.
const NAMES: [&str; 13] = [
    "ack-before-fsync",
    "ack-before-quorum",
    "apply-twice",
    "ignore-conflicts",
    "ignore-timestamp-cache",
    "lose-locks",
    "lose-locks-on-transfer",
    "resolve-orphan-as-committed",
    "reuse-timestamps-after-failover",
    "serve-after-lease",
    "skip-refresh",
    "skip-refresh-check",
    "stale-follower",
];

impl FromStr for PlantedFault {
    type Err = String;

    fn from_str(name: &str) -> Result<PlantedFault, String> {
        if !cfg!(debug_assertions) {
            return Err("this is no test build".to_owned());
        }
        let known = NAMES.into_iter().find(|known| *known == name);
        known.map(PlantedFault).ok_or_else(|| format!("there are: {}", NAMES.join(", ")))
    }
}

impl fmt::Display for PlantedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl PlantedFault {
    pub fn in_storage(self) -> storage::Faults {
        let mut faults = storage::Faults::default();
        match self.0 {
            "ack-before-fsync" => faults.ack_before_fsync = true,
            "ack-before-quorum" => faults.ack_before_quorum = true,
            "apply-twice" => faults.apply_twice = true,
            "reuse-timestamps-after-failover" => faults.reuse_timestamps_after_failover = true,
            "serve-after-lease" => faults.serve_after_lease = true,
            "stale-follower" => faults.stale_follower = true,
            _ => {}
        }
        faults
    }

    pub fn on_leaders(self) -> txn::server::Faults {
        let mut faults = txn::server::Faults::default();
        match self.0 {
            "ignore-conflicts" => faults.ignore_conflicts = true,
            "ignore-timestamp-cache" => faults.ignore_timestamp_cache = true,
            "lose-locks" => faults.lose_locks = true,
            "lose-locks-on-transfer" => faults.lose_locks_on_transfer = true,
            "resolve-orphan-as-committed" => faults.resolve_orphan_as_committed = true,
            "skip-refresh-check" => faults.skip_refresh_check = true,
            _ => {}
        }
        faults
    }

    pub fn in_coordinators(self) -> txn::Faults {
        let mut faults = txn::Faults::default();
        match self.0 {
            "resolve-orphan-as-committed" => faults.resolve_orphan_as_committed = true,
            "skip-refresh" => faults.skip_refresh = true,
            _ => {}
        }
        faults
    }
}
