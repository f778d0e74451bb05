//! When a transaction happens: its isolation level, and the timestamps that follow from it.
//!
//! | | plain reads | what must be true at the commit | locked row newer than the reads |
//! |---|---|---|---|
//! | SERIALIZABLE | at one timestamp, which moves forward | all that was read or locked | moves forward |
//! | REPEATABLE READ | at the first timestamp | what was locked or declared | [`RetryReason::ConcurrentUpdate`](crate::RetryReason) |
//! | READ COMMITTED | at a fresh timestamp for each statement | what was locked or declared | is returned as it is |
//!
//! Why each is sound is argued in `docs/transactions.md`.

use base::Timestamp;
use storage::Stamp;

/// The levels of SQL. READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Strict: one order of all transactions, which respects real time.
    #[default]
    Serializable,
    /// Snapshot isolation: all plain reads at one timestamp, first committer wins.
    RepeatableRead,
    /// A fresh snapshot for each statement ([`crate::Txn::begin_statement`]); locked rows at their newest version.
    ReadCommitted,
}

/// Which state a read is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// As of the transaction's timestamp (or its statement's).
    Snapshot,
    /// As of now, and true until the commit: constraints, below SERIALIZABLE.
    Latest,
}

#[derive(Debug)]
pub(crate) struct Times {
    /// The level asked for.
    pub(super) isolation: Isolation,
    /// A schema change is serializable, whatever was asked for.
    pub(super) serial: bool,
    /// The first timestamp.
    pub(super) begin: Option<Timestamp>,
    /// Plain reads are as of this one.
    pub(super) read: Option<Stamp>,
    /// Everything that must be true at the commit is known to be true as of this timestamp. Under SERIALIZABLE the same as
    /// `read`; otherwise it may be ahead (writes were pushed), or behind (a statement has begun since).
    pub(super) firm: Timestamp,
    /// Nothing was locked since `firm` was fetched.
    pub(super) firm_is_fresh: bool,
    /// The next operation is the first of a statement that wants a timestamp of its own.
    pub(super) statement_due: bool,
    /// Something was read, locked or written.
    pub(super) used: bool,
}

impl Times {
    pub(super) fn new(isolation: Isolation) -> Times {
        Times {
            isolation,
            serial: isolation == Isolation::Serializable,
            begin: None,
            read: None,
            firm: Timestamp::ZERO,
            firm_is_fresh: false,
            statement_due: false,
            used: false,
        }
    }

    /// The stamp for reads, if no new one is due.
    pub(super) fn current(&self) -> Option<Stamp> {
        self.read.filter(|_| !self.statement_due)
    }

    /// Reads are as of this stamp from now on. `only_catalog`: nothing but cached descriptors must stay true.
    pub(super) fn begin_at(&mut self, stamp: Stamp, only_catalog: bool) {
        let firm_stays_true = match self.read {
            None => true,
            // Between two stamps with one fence number and no open fence no descriptor has changed.
            Some(old) => {
                let no_schema_change = old.fence == stamp.fence && !old.fence_open && !stamp.fence_open;
                self.firm == old.timestamp && only_catalog && no_schema_change
            }
        };
        if firm_stays_true {
            self.firm = stamp.timestamp;
        }
        self.firm_is_fresh = false;
        self.begin.get_or_insert(stamp.timestamp);
        self.read = Some(stamp);
        self.statement_due = false;
    }

    /// What must be true has been shown to be so as of this stamp.
    pub(super) fn move_to(&mut self, stamp: Stamp) {
        self.begin.get_or_insert(stamp.timestamp);
        self.firm = stamp.timestamp;
        self.firm_is_fresh = true;
        if self.serial || self.read.is_none() {
            self.read = Some(stamp);
            self.statement_due = false;
        }
    }

    /// The timestamp as of which everything that a refresh has to look at is true.
    pub(super) fn refreshed_to(&self) -> Option<Timestamp> {
        let read = self.read?.timestamp;
        Some(if self.serial { self.firm.min(read) } else { self.firm })
    }
}
