//! Operations and anomalies in words. Operations come as histories have them: a name and a value in EDN.

use consistency::{
    check::{Class, Kind, Order},
    edn::{Cursor, Value},
    history::{Outcome, Told},
    workload::scenario::LAST_PROCESS,
};

use crate::format;

/// What an operation did and saw, a line for each step. `judged_as`: the kind of history it is of.
pub fn steps(judged_as: &str, told: &Told) -> Vec<String> {
    let value = Cursor::new(told.value.as_bytes()).value().unwrap_or(Value::Nil);
    let mut lines = match (judged_as, told.f, &value) {
        ("list-append" | "rw-register", "txn", Value::List(steps)) => {
            steps.iter().map(|step| transaction_step(judged_as == "list-append", step)).collect()
        }
        ("register", f, Value::List(pair)) => match (f, pair.as_slice()) {
            ("read", [key, seen]) => vec![format!("read register {key}: {}", answer(seen))],
            ("write", [key, new]) => vec![format!("write {new} to register {key}")],
            ("cas", [key, Value::List(swap)]) if swap.len() == 2 => {
                vec![format!("set register {key} to {} if it is {}", swap[1], swap[0])]
            }
            _ => vec![as_written(told)],
        },
        ("bank", "transfer", _) => {
            let field = |name: &str| value.get(name).map_or_else(|| "?".to_owned(), Value::to_string);
            vec![format!("move {} from account {} to account {}", field("amount"), field("from"), field("to"))]
        }
        ("bank", "read", Value::Map(balances)) => bank_read(balances),
        ("set", "add", _) => vec![format!("add {value}")],
        ("set", "read", Value::List(seen)) => {
            vec![format!("read {}: {value}", format::plural(seen.len(), "element"))]
        }
        _ => vec![as_written(told)],
    };
    if told.error.is_some() {
        lines.push("it did not match".to_owned());
    }
    lines
}

fn transaction_step(is_list: bool, step: &Value) -> String {
    let what = if is_list { "list" } else { "key" };
    match step.items() {
        Some([Value::Keyword(name), key, value]) => match name.as_str() {
            "append" => format!("append {value} to list {key}"),
            "w" => format!("write {value} to key {key}"),
            "r" => format!("read {what} {key}: {}", answer(value)),
            "scan" => format!("read all lists of {key}: {}", answer(value)),
            _ => step.to_string(),
        },
        _ => step.to_string(),
    }
}

fn bank_read(balances: &[(Value, Value)]) -> Vec<String> {
    let each: Vec<String> = balances.iter().map(|(account, balance)| format!("{account}: {balance}")).collect();
    let total: i64 = balances.iter().filter_map(|(_, balance)| balance.integer()).sum();
    vec![format!("read all accounts: {}", each.join(", ")), format!("total {total}")]
}

fn answer(value: &Value) -> String {
    if *value == Value::Nil { "nothing".to_owned() } else { value.to_string() }
}

fn as_written(told: &Told) -> String {
    format!("{} {}", told.f, told.value)
}

/// Who a process of the history is: a client that was not told of an outcome goes on as another process.
pub fn client(process: u32, clients: u32) -> String {
    match process {
        LAST_PROCESS.. => "the last read".to_owned(),
        process => format!("client {}", process % clients.max(1)),
    }
}

/// Whose operation it was, and when.
pub fn circumstances(told: &Told, clients: u32) -> String {
    let who = client(told.process, clients);
    let outcome = match told.outcome {
        Outcome::Committed => "committed",
        Outcome::Aborted => "aborted",
        Outcome::Unknown => "outcome unknown",
    };
    let millis = |ns: u64| format::millis(ns as f64 / 1e6);
    let took =
        told.end_ns.map_or_else(String::new, |end| format!(", took {}", millis(end.saturating_sub(told.begin_ns))));
    format!("operation {} of {who}, {outcome}; began at {}{took}", told.index, millis(told.begin_ns))
}

/// What an anomaly is, in one sentence.
pub fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Divergence => "Replicas, or an index and its table, hold different things.",
        Kind::LostWrite => "What was acknowledged is not there.",
        Kind::UnwrittenRead => "A value was read that nobody wrote.",
        Kind::Duplicate => "A value is there twice.",
        Kind::Internal => "A transaction did not see its own writes, or saw them before it made them.",
        Kind::IncompatibleOrder => "Two reads of one key cannot be of one history.",
        Kind::CyclicVersions => "The versions of one key follow each other in a circle.",
        Kind::G1a => "An aborted write was read.",
        Kind::G1b => "A state in the middle of another transaction was read.",
        Kind::DirtyUpdate => "A committed write was made on top of an aborted one.",
        Kind::ObservedTransactionVanishes => "One write of a transaction was seen, and afterwards not another one.",
        Kind::NonRepeatableRead => "A transaction read a key twice and saw two states.",
        Kind::LostUpdate => "Two transactions wrote on top of the same version, so one write was overwritten unseen.",
        Kind::Cycle { class, order, .. } => cycle_meaning(class, order),
        Kind::WrongTotal => "A sum that never changes was read as another one.",
        Kind::LongFork => "Two reads each saw a write that the other one missed.",
        Kind::WriteSkew => "A constraint that each transaction keeps was broken by two at once.",
        Kind::NotUnique => "Two have something of which there is one.",
        Kind::TakenTwice => "An element was taken twice.",
        Kind::Orphan => "A row refers to one that does not exist.",
        Kind::OutOfOrder => "A later write was seen without an earlier one of the same client.",
        Kind::CausalReverse => "A write was seen without one that had been acknowledged before it began.",
        Kind::StaleRead => "An acknowledged write was not seen by a read that began afterwards.",
        Kind::NotMonotonic(_) => "A value that only grows was seen to shrink.",
        Kind::NotLinearizable => "No order of the operations on a register explains the answers.",
        Kind::Undecided => "The search for an order was given up: neither right nor wrong.",
    }
}

fn cycle_meaning(class: Class, order: Order) -> &'static str {
    match (order, class) {
        (Order::RealTime, _) => "Transactions contradict the order in which they really happened.",
        (Order::Process, _) => "Transactions contradict the order in which one client sent them.",
        (Order::Data, Class::G0) => "Transactions overwrote each other in a circle.",
        (Order::Data, Class::G1c) => "Transactions saw each other's writes in a circle.",
        (Order::Data, Class::GSingle) => "Read skew: a transaction saw a part of another one and missed the rest.",
        (Order::Data, Class::GNonadjacent) => "Long fork: readers saw writes in orders that contradict each other.",
        (Order::Data, Class::G2) => "Write skew: transactions each overwrote what the other had read.",
    }
}

#[cfg(test)]
#[path = "words_test.rs"]
mod tests;
