use super::*;

fn told(f: &'static str, value: &str) -> Told {
    let (index, process, outcome) = (7, 6, Outcome::Committed);
    Told { index, process, f, value: value.into(), error: None, begin_ns: 1_500_000, end_ns: Some(3_500_000), outcome }
}

#[test]
fn transactions_of_lists_and_registers() {
    let lists = told("txn", "[[:append 5 1] [:r 5 [1 2]] [:r 6 nil] [:scan [0 3] {1 [4]}]]");
    assert_eq!(
        steps("list-append", &lists),
        ["append 1 to list 5", "read list 5: [1 2]", "read list 6: nothing", "read all lists of [0 3]: {1 [4]}"]
    );
    assert_eq!(
        steps("rw-register", &told("txn", "[[:w 5 1] [:r 5 nil]]")),
        ["write 1 to key 5", "read key 5: nothing"]
    );
}

#[test]
fn single_rows() {
    assert_eq!(steps("register", &told("read", "[3 nil]")), ["read register 3: nothing"]);
    assert_eq!(steps("register", &told("write", "[3 1]")), ["write 1 to register 3"]);
    let refused = Told { error: Some(":mismatch"), ..told("cas", "[3 [1 2]]") };
    assert_eq!(steps("register", &refused), ["set register 3 to 2 if it is 1", "it did not match"]);
}

#[test]
fn sums_and_sets() {
    assert_eq!(steps("bank", &told("read", "{0 20, 1 -5}")), ["read all accounts: 0: 20, 1: -5", "total 15"]);
    let transfer = told("transfer", "{:from 0, :to 1, :amount 5}");
    assert_eq!(steps("bank", &transfer), ["move 5 from account 0 to account 1"]);
    assert_eq!(steps("set", &told("read", "[1 2]")), ["read 2 elements: [1 2]"]);
    assert_eq!(steps("set", &told("add", "3")), ["add 3"]);
}

/// What is not known better is shown as it is in the file; what is no EDN does no harm.
#[test]
fn anything_else() {
    assert_eq!(steps("queue", &told("enqueue", "3")), ["enqueue 3"]);
    assert_eq!(steps("list-append", &told("txn", "[[:append")), ["txn [[:append"]);
}

#[test]
fn who_and_when() {
    assert_eq!(
        circumstances(&told("read", "nil"), 4),
        "operation 7 of client 2, committed; began at 1.50 ms, took 2.00 ms"
    );
    let last = Told { process: LAST_PROCESS, end_ns: None, outcome: Outcome::Unknown, ..told("read", "nil") };
    assert_eq!(circumstances(&last, 4), "operation 7 of the last read, outcome unknown; began at 1.50 ms");
}

#[test]
fn every_cycle_has_a_meaning_of_its_own() {
    let classes = [Class::G0, Class::G1c, Class::GSingle, Class::GNonadjacent, Class::G2];
    let meanings: std::collections::BTreeSet<_> =
        classes.map(|class| meaning(Kind::cycle(class, Order::Data))).into_iter().collect();
    assert_eq!(meanings.len(), classes.len());
}
