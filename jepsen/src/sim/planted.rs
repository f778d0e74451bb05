//! Bugs planted on purpose, to prove that the simulator finds such bugs. Run-time switches that only tests turn on.

/// Each is a switch in the code that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Storage: what is written to the log counts as durable before it is.
    AckBeforeFsync,
    /// Storage: a leader answers as soon as it has proposed.
    AckBeforeQuorum,
    /// Storage: some entries are applied again, later.
    ApplyTwice,
    /// SQL: ROLLBACK TO keeps what was written since the savepoint.
    DropSavepointUndo,
    /// Transactions: a commit does not look for newer versions than it has seen.
    IgnoreConflicts,
    /// Transactions: a write is put below a read that did not see it.
    IgnoreTimestampCache,
    /// Transactions: row locks are forgotten.
    LoseLocks,
    /// Transactions: a leader that hands over keeps the row locks to itself.
    LoseLocksOnTransfer,
    /// Transactions: whoever finds an intent of a transaction that is gone commits it.
    ResolveOrphanAsCommitted,
    /// SQL: a block is run again though its client has seen what it did.
    RetryAfterHandedOut,
    /// Storage: a new oracle begins below the ceiling of the one before.
    ReuseTimestamps,
    /// Storage: a leader answers reads after its lease.
    ServeAfterLease,
    /// Transactions: moving forward in time, nobody checks that what was read still holds.
    SkipRefresh,
    /// Storage: followers answer reads of the past from whatever they have applied.
    StaleFollower,
}

impl Planted {
    pub const ALL: [Planted; 14] = [
        Planted::AckBeforeFsync,
        Planted::AckBeforeQuorum,
        Planted::ApplyTwice,
        Planted::DropSavepointUndo,
        Planted::IgnoreConflicts,
        Planted::IgnoreTimestampCache,
        Planted::LoseLocks,
        Planted::LoseLocksOnTransfer,
        Planted::ResolveOrphanAsCommitted,
        Planted::RetryAfterHandedOut,
        Planted::ReuseTimestamps,
        Planted::ServeAfterLease,
        Planted::SkipRefresh,
        Planted::StaleFollower,
    ];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Planted::AckBeforeFsync => "ack-before-fsync",
            Planted::AckBeforeQuorum => "ack-before-quorum",
            Planted::ApplyTwice => "apply-twice",
            Planted::DropSavepointUndo => "drop-savepoint-undo",
            Planted::IgnoreConflicts => "ignore-conflicts",
            Planted::IgnoreTimestampCache => "ignore-timestamp-cache",
            Planted::LoseLocks => "lose-locks",
            Planted::LoseLocksOnTransfer => "lose-locks-on-transfer",
            Planted::ResolveOrphanAsCommitted => "resolve-orphan-as-committed",
            Planted::RetryAfterHandedOut => "retry-after-handed-out",
            Planted::ReuseTimestamps => "reuse-timestamps-after-failover",
            Planted::ServeAfterLease => "serve-after-lease",
            Planted::SkipRefresh => "skip-refresh",
            Planted::StaleFollower => "stale-follower",
        }
    }

    pub fn in_storage(this: Option<Planted>) -> storage::store::Faults {
        let is = |planted| this == Some(planted);
        storage::store::Faults {
            ack_before_fsync: is(Planted::AckBeforeFsync),
            ack_before_quorum: is(Planted::AckBeforeQuorum),
            serve_after_lease: is(Planted::ServeAfterLease),
            reuse_timestamps_after_failover: is(Planted::ReuseTimestamps),
            apply_twice: is(Planted::ApplyTwice),
            stale_follower: is(Planted::StaleFollower),
        }
    }

    pub fn on_leaders(this: Option<Planted>) -> txn::server::Faults {
        let is = |planted| this == Some(planted);
        txn::server::Faults {
            ignore_timestamp_cache: is(Planted::IgnoreTimestampCache),
            lose_locks: is(Planted::LoseLocks),
            resolve_orphan_as_committed: is(Planted::ResolveOrphanAsCommitted),
            ignore_conflicts: is(Planted::IgnoreConflicts),
            lose_locks_on_transfer: is(Planted::LoseLocksOnTransfer),
            ..txn::server::Faults::default()
        }
    }

    pub fn in_coordinators(this: Option<Planted>) -> txn::client::Faults {
        let is = |planted| this == Some(planted);
        txn::client::Faults {
            skip_refresh: is(Planted::SkipRefresh),
            resolve_orphan_as_committed: is(Planted::ResolveOrphanAsCommitted),
        }
    }

    pub fn in_sessions(this: Option<Planted>) -> sql::session::Faults {
        let is = |planted| this == Some(planted);
        sql::session::Faults {
            retry_after_handed_out: is(Planted::RetryAfterHandedOut),
            drop_savepoint_undo: is(Planted::DropSavepointUndo),
        }
    }
}
