//! What each workload is about, for people.

/// A workload by its name, with one sentence on what its clients do and what must come of it.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    pub name: &'static str,
    pub says: &'static str,
    /// As what `locus jepsen check --workload` judges its histories.
    pub judged_as: &'static str,
}

const fn about(name: &'static str, judged_as: &'static str, says: &'static str) -> About {
    About { name, says, judged_as }
}

/// In the order of the alphabet.
pub const ABOUT: &[About; 20] = &[
    about(
        "ambiguous-commit",
        "list-append",
        "As list-append, but clients hang up while they commit: all of a transaction is there or nothing.",
    ),
    about("bank", "bank", "Transfers between accounts: every read of all accounts shows the same total."),
    about(
        "causal-reverse",
        "causal-reverse",
        "Inserts and reads of everything: who sees one sees all that were acknowledged before it began.",
    ),
    about("counter", "counter", "Additions to a counter in several rows: the sum is right at every moment."),
    about("ddl", "set", "As set, while columns and indexes come and go."),
    about("foreign-key", "reference", "Parents and children come and go: nobody sees a child without its parent."),
    about(
        "list-append",
        "list-append",
        "Transactions append to lists and read them: some order of all transactions explains every read.",
    ),
    about("long-fork", "long-fork", "Single writes and reads of groups: no two readers see them in opposite orders."),
    about("monotonic", "monotonic", "Counters that only grow: whoever looks later sees no less."),
    about("past", "monotonic", "Counters read AS OF SYSTEM TIME: each read shows what had been committed by then."),
    about("predicate", "g2", "“Insert if there is nothing yet” by range reads: of those who try, one succeeds."),
    about("queue", "queue", "Jobs taken FOR UPDATE SKIP LOCKED: each is done once, and none gets lost."),
    about(
        "register",
        "register",
        "Reads, writes and compare-and-set of single rows: each row behaves as if there were one copy of it.",
    ),
    about(
        "rw-register",
        "rw-register",
        "Transactions read and overwrite single values: some order of all transactions explains every read.",
    ),
    about("savepoints", "list-append", "As list-append, but clients undo parts of their transactions, by errors too."),
    about("sequence", "unique", "Numbers drawn from a sequence: none comes twice."),
    about(
        "sequential",
        "sequential",
        "Parts written one after the other: whoever sees a later one sees the earlier ones.",
    ),
    about("set", "set", "Elements are added: every read shows all that were acknowledged before, and no other."),
    about("set-by-index", "set", "As set, read through an index, which must agree with its table."),
    about("unique", "unique", "Clients race for names under a unique constraint: one gets each."),
];

pub const NAMES: [&str; ABOUT.len()] = {
    let mut names = [""; ABOUT.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = ABOUT[at].name;
        at += 1;
    }
    names
};
