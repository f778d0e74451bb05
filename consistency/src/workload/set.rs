//! Elements are added and never removed; every read shows all that was acknowledged before. `set` reads the table,
//! `set-by-index` an index that covers it, which must agree with the table, and `ddl` does so while columns and indexes
//! come and go.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use base::{BoxFuture, Rng};

use super::{
    Client, Isolation, Parameters, Shape,
    client::{Failed, Result},
    rows::scatter,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Kind, Level,
        set::{self, Step},
    },
    history::History,
};

const KEYS: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Table,
    Index,
    ChangingSchema,
}

pub struct Set {
    shape: Shape,
    variant: Variant,
    isolation: Isolation,
    next: AtomicI64,
}

impl Set {
    pub fn new(parameters: &Parameters, variant: Variant) -> Set {
        let Parameters { shape, isolation, .. } = *parameters;
        Set { shape, variant, isolation, next: AtomicI64::new(1) }
    }

    /// In the shapes with many ranges the rows lie scattered; all are of group 1, so that the index finds them.
    fn insert(&self, value: i64) -> String {
        format!("INSERT INTO elements (id, grp, value) VALUES ({}, 1, {value})", scatter(value as u64, KEYS))
    }

    /// The table and the index must show the same, where the level keeps one snapshot.
    async fn read_both(&self, client: &mut Client) -> Result<Vec<i64>> {
        let mut block = client.begin().await?;
        let mut by_index = block.query(BY_INDEX).await?.numbers();
        let mut by_table = block.query(BY_TABLE).await?.numbers();
        block.commit().await?;
        by_index.sort_unstable();
        by_table.sort_unstable();
        let in_one_only = by_index.iter().filter(|value| by_table.binary_search(value).is_err());
        let in_other_only = by_table.iter().filter(|value| by_index.binary_search(value).is_err());
        // Nobody adds these: they are found as unwritten.
        let differing: Vec<i64> = in_one_only.chain(in_other_only).map(|value| -1 - value).collect();
        by_table.extend(differing);
        Ok(by_table)
    }

    /// All elements by the table and by both indexes, in order, from one snapshot: an operation of unknown outcome may still take
    /// effect (seed 285). Asks until there is an answer, within reason.
    async fn read_all_ways(client: &mut Client) -> std::result::Result<Vec<Vec<i64>>, String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            match Self::read_snapshot(client).await {
                Ok(reads) => return Ok(reads),
                Err(failed) => last = failed.to_string(),
            }
            client.world.sleep(PAUSE).await;
        }
        Err(format!("the cluster did not recover: the last reads were never answered ({last})"))
    }

    async fn read_snapshot(client: &mut Client) -> Result<Vec<Vec<i64>>> {
        let mut block = client.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let mut reads = Vec::new();
        for text in [BY_TABLE, BY_INDEX, BY_VALUE] {
            let mut seen = block.query(text).await?.numbers();
            seen.sort_unstable();
            reads.push(seen);
        }
        block.commit().await?;
        Ok(reads)
    }

    /// One change of the schema; it may fail, where another one is under way.
    async fn change_schema(client: &mut Client) {
        let statement = match client.rng.below(4) {
            0 => "CREATE INDEX elements_value ON elements (value) INCLUDE (grp)",
            1 => "DROP INDEX elements_value",
            2 => "ALTER TABLE elements ADD COLUMN extra int8 NOT NULL DEFAULT 7",
            _ => "ALTER TABLE elements DROP COLUMN extra",
        };
        let _ = client.query(statement).await;
    }
}

/// So often the last reads are tried, and with such pauses.
const ATTEMPTS_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(200);

const BY_TABLE: &str = "SELECT value FROM elements WHERE id >= 0";
const BY_INDEX: &str = "SELECT value FROM elements WHERE grp = 1";
/// Through the index that comes and goes.
const BY_VALUE: &str = "SELECT value FROM elements WHERE value > 0 AND value < 1000000";
/// The column that comes and goes is 7 for all rows, old and new.
const WRONG_DEFAULT: &str = "SELECT id FROM elements WHERE extra <> 7 OR extra IS NULL";

impl Scenario for Set {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        let table = "CREATE TABLE elements (id int8 PRIMARY KEY, grp int8 NOT NULL, value int8 NOT NULL)";
        let mut statements = vec![table.to_owned()];
        if self.variant == Variant::Index {
            statements.push("CREATE INDEX elements_grp ON elements (grp) INCLUDE (value)".into());
        }
        if is_locus && self.shape != Shape::OneRange {
            let keys = [1, 2, 3].map(|part| format!("({})", KEYS / 4 * part));
            statements.push(format!("ALTER TABLE elements SPLIT AT VALUES {}", keys.join(", ")));
        }
        if is_locus && self.shape == Shape::SecondaryIndex && self.variant == Variant::Index {
            statements.push("ALTER INDEX elements_grp SPLIT AT VALUES (1)".into());
        }
        statements
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(format!("ALTER TABLE elements SPLIT AT VALUES ({})", rng.below(KEYS)))
    }

    fn draw(&self, client: &mut Client) -> Step {
        if client.is_reader() {
            return Step::Read { seen: None };
        }
        Step::Add { value: self.next.fetch_add(1, Ordering::Relaxed) }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            if self.variant == Variant::ChangingSchema && client.number == 0 && client.rng.chance(1, 4) {
                Self::change_schema(client).await;
            }
            if let Step::Add { value } = *step {
                client.query(&self.insert(value)).await?;
                return Ok(step.clone());
            }
            let keeps_snapshot = self.isolation != Isolation::ReadCommitted;
            let seen = match self.variant {
                Variant::Table => client.query(BY_TABLE).await?.numbers(),
                Variant::Index if keeps_snapshot && client.rng.chance(1, 2) => self.read_both(client).await?,
                Variant::Index => client.query(BY_INDEX).await?.numbers(),
                Variant::ChangingSchema => match client.rng.below(3) {
                    0 => client.query(BY_TABLE).await?.numbers(),
                    1 => client.query(BY_VALUE).await?.numbers(),
                    _ => match client.query(WRONG_DEFAULT).await {
                        Ok(answer) if answer.rows.is_empty() => return Err(Failed::declined("all defaults are right")),
                        Ok(answer) => answer.numbers().iter().map(|id| -1 - id).collect(),
                        Err(failed) => return Err(failed),
                    },
                },
            };
            Ok(Step::Read { seen: Some(seen) })
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let reads = Self::read_all_ways(client).await?;
            for seen in &reads {
                history.add(begin, client.now(), Step::Read { seen: Some(seen.clone()) });
            }
            let differs = reads.iter().any(|seen| *seen != reads[0]);
            let text = "at the end, an index and the table do not hold the same";
            Ok(if differs { vec![Anomaly::new(Kind::Divergence, text)] } else { Vec::new() })
        })
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(80)
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        set::check(history)
    }

    /// Single statements, or reads of one snapshot.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}
