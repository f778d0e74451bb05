//! The SQL of a workload's clients before any of it is sent: the workload itself is run in a world that notes every statement
//! and answers at once. So what is shown is what will be sent.

use std::{
    collections::BTreeSet,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base::{BoxFuture, Rng};
use consistency::workload::{Answer, Client, Connection, Failure, Parameters, World, by_name};
use futures_util::FutureExt;

/// Operations of each client that are looked at; what they have not sent by then is rare.
const OPERATIONS: usize = 16;

/// One who writes, and one who only reads.
const CLIENTS: [u32; 2] = [0, 2];

/// What sessions begin with, how the tables are made, and some transactions: one for each kind of statement.
pub fn sql(name: &str, parameters: &Parameters) -> String {
    let Some(workload) = by_name(name, parameters) else { return String::new() };
    let notes = Arc::new(Notes::default());
    let mut rng = Rng::new(1);
    let mut client = |number| Client::new(notes.clone(), number, parameters, rng.split());
    let mut clients = CLIENTS.map(&mut client);
    // Every answer is there at once, so nothing waits; what did would not be shown.
    let _ = workload.setup(&mut clients[0]).now_or_never();
    let mut seen = BTreeSet::new();
    let (begin, setup): (Vec<String>, Vec<String>) = notes.take().into_iter().partition(|sql| sql.starts_with("SET "));
    let mut fresh = |sql: &String| seen.insert(shape(sql));
    let setup = setup.into_iter().filter(|sql| !sql.starts_with("DROP ")).filter(&mut fresh).collect();
    let mut parts = vec![("Each session", begin), ("Once", setup)];
    for _ in 0..OPERATIONS {
        for client in &mut clients {
            let _ = workload.operate(client).now_or_never();
            let sent: Vec<String> = notes.take().into_iter().filter(|sql| !sql.starts_with("SET ")).collect();
            if sent.iter().filter(|sql| fresh(sql)).count() > 0 {
                parts.push(("A transaction", sent));
            }
        }
    }
    let told = parts.iter().filter(|(_, statements)| !statements.is_empty());
    told.map(|(title, statements)| format!("-- {title}\n{};\n", statements.join(";\n"))).collect::<Vec<_>>().join("\n")
}

/// A statement without its numbers.
fn shape(sql: &str) -> String {
    sql.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// A world without a database.
#[derive(Default)]
struct Notes {
    statements: Arc<Mutex<Vec<String>>>,
    time: AtomicU64,
}

impl Notes {
    fn take(&self) -> Vec<String> {
        mem::take(&mut *lock(&self.statements))
    }
}

fn lock(statements: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    statements.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World for Notes {
    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::Relaxed)
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }

    fn is_locus(&self) -> bool {
        true
    }

    fn connect(&self, _client: u32) -> BoxFuture<'static, Result<Box<dyn Connection>, Failure>> {
        let session = Session { statements: self.statements.clone(), count: 0 };
        Box::pin(async move { Ok(Box::new(session) as Box<dyn Connection>) })
    }
}

struct Session {
    statements: Arc<Mutex<Vec<String>>>,
    count: usize,
}

impl Connection for Session {
    /// Some find a row and some do not, so that clients take both ways.
    fn query<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<Answer, Failure>> {
        lock(&self.statements).push(sql.to_owned());
        self.count += 1;
        let row = vec![Some("1".to_owned()), Some("1".to_owned())];
        let rows = if self.count.is_multiple_of(3) { Vec::new() } else { vec![row] };
        Box::pin(async move { Ok(Answer { affected: 1, rows }) })
    }
}

#[cfg(test)]
mod tests {
    use consistency::workload::NAMES;

    use super::*;

    #[test]
    fn every_workload_shows_its_sql() {
        for name in NAMES {
            let sql = sql(name, &Parameters::default());
            assert!(
                sql.starts_with("-- Each session\nSET default_transaction_isolation = 'serializable'"),
                "{name}: {sql}"
            );
            assert!(sql.contains("-- Once\nCREATE "), "{name}: {sql}");
            assert!(sql.contains("-- A transaction\n"), "{name}: {sql}");
            assert!(!sql.contains("DROP TABLE IF EXISTS"), "{name}: {sql}");
            assert!(sql.lines().count() < 90, "{name}: {sql}");
        }
    }

    #[test]
    fn each_kind_of_statement_is_there() {
        let bank = sql("bank", &Parameters::default());
        for part in
            ["BEGIN", "UPDATE checking SET value = value - ", "ON CONFLICT (key) DO UPDATE", "UNION ALL", "COMMIT"]
        {
            assert!(bank.contains(part), "{part}: {bank}");
        }
        let register = sql("register", &Parameters::default());
        assert!(register.contains("UPDATE registers SET value = "), "{register}");
        assert_eq!(sql("no such", &Parameters::default()), "");
    }
}
