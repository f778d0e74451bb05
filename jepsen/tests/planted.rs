//! The checkers checked: each bug that can be planted is found by the workload that is meant to find it, within so many
//! seeds. `docs/testing.md` has the table.

use jepsen::{
    nemesis::Fault,
    sim::{Planted, RunOptions, run},
    workload::{Isolation, Shape},
};

/// A planted bug, and what brings it out.
struct Bug {
    planted: Planted,
    workload: &'static str,
    faults: &'static [Fault],
    isolation: Isolation,
    shape: Shape,
    within_seeds: u64,
}

impl Bug {
    fn new(planted: Planted, workload: &'static str, faults: &'static [Fault]) -> Bug {
        let (isolation, shape) = (Isolation::Serializable, Shape::ManyRanges);
        Bug { planted, workload, faults, isolation, shape, within_seeds: 50 }
    }

    /// Runs seeds until one fails; the same seed without the bug must not.
    fn must_be_found(self) {
        for seed in 1..=self.within_seeds {
            let mut options = RunOptions::new(seed, self.workload);
            options.planted = Some(self.planted);
            options.faults = Some(self.faults.to_vec());
            (options.isolation, options.shape) = (Some(self.isolation), Some(self.shape));
            let report = run(&options);
            if let Some(failure) = report.failures.first() {
                println!("{} found by {} with seed {seed}: {failure}", self.planted.name(), self.workload);
                options.planted = None;
                let innocent = run(&options).failures;
                assert!(innocent.is_empty(), "seed {seed} fails without the bug too: {innocent:#?}");
                return;
            }
        }
        panic!("{} was not found by {} within {} seeds", self.planted.name(), self.workload, self.within_seeds);
    }
}

#[test]
fn acknowledging_before_fsync_is_found() {
    Bug::new(Planted::AckBeforeFsync, "kv-append", &[Fault::CrashAll]).must_be_found();
}

#[test]
fn acknowledging_before_quorum_is_found() {
    Bug::new(Planted::AckBeforeQuorum, "set", &[Fault::Crash, Fault::IsolatePeers]).must_be_found();
}

#[test]
fn applying_an_entry_twice_is_found() {
    Bug::new(Planted::ApplyTwice, "kv-append", &[Fault::Crash, Fault::TransferLeader]).must_be_found();
}

#[test]
fn dropping_the_undo_of_a_savepoint_is_found() {
    Bug::new(Planted::DropSavepointUndo, "savepoints", &[Fault::Split]).must_be_found();
}

#[test]
fn ignoring_conflicts_is_found() {
    // Locks that get lost: otherwise they keep conflicts from coming up.
    Bug::new(Planted::IgnoreConflicts, "kv-append", &[Fault::Crash]).must_be_found();
}

#[test]
fn ignoring_the_timestamp_cache_is_found() {
    Bug::new(Planted::IgnoreTimestampCache, "predicate", &[Fault::TransferLeader]).must_be_found();
}

#[test]
fn losing_locks_on_transfer_is_found() {
    Bug::new(Planted::LoseLocksOnTransfer, "mutex", &[Fault::TransferLeader, Fault::Split]).must_be_found();
}

#[test]
fn reading_a_stale_follower_is_found() {
    Bug::new(Planted::StaleFollower, "past", &[Fault::IsolatePeers, Fault::Crash]).must_be_found();
}

#[test]
fn repeating_what_a_client_has_seen_is_found() {
    Bug::new(Planted::RetryAfterHandedOut, "list-append", &[Fault::TransferLeader]).must_be_found();
}

#[test]
fn resolving_orphans_as_committed_is_found() {
    Bug::new(Planted::ResolveOrphanAsCommitted, "bank", &[Fault::KillGateway]).must_be_found();
}

#[test]
fn reusing_timestamps_after_failover_is_found() {
    Bug::new(Planted::ReuseTimestamps, "kv-append", &[Fault::Crash, Fault::ClockJump]).must_be_found();
}

#[test]
fn serving_reads_after_the_lease_is_found() {
    Bug::new(Planted::ServeAfterLease, "kv-append", &[Fault::IsolatePeers]).must_be_found();
}

#[test]
fn skipping_the_refresh_is_found() {
    Bug::new(Planted::SkipRefresh, "list-append", &[Fault::TransferLeader]).must_be_found();
}
