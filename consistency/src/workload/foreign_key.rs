//! Parents come and go, and so do children that refer to them: nobody ever sees a child without its parent.

use base::{BoxFuture, Rng};

use super::{
    Answer, Client, Isolation, Parameters, Shape,
    client::Result,
    scenario::{Last, Recorder, Scenario},
};
use crate::{
    check::{
        Anomaly, Level,
        reference::{self, Step, Tables},
    },
    history::History,
};

const PARENTS: u64 = 5;
const CHILDREN: u64 = 20;

pub struct ForeignKey {
    shape: Shape,
}

impl ForeignKey {
    pub fn new(parameters: &Parameters) -> ForeignKey {
        ForeignKey { shape: parameters.shape }
    }
}

/// Both tables by one statement.
const READ: &str = "SELECT id, NULL FROM parents UNION ALL SELECT id, parent FROM children";

impl Scenario for ForeignKey {
    type Step = Step;

    fn setup(&self, is_locus: bool) -> Vec<String> {
        let mut statements = vec![
            "CREATE TABLE parents (id int8 PRIMARY KEY)".to_owned(),
            "CREATE TABLE children (id int8 PRIMARY KEY, parent int8 NOT NULL REFERENCES parents (id))".to_owned(),
        ];
        if self.shape == Shape::SecondaryIndex {
            statements.push("CREATE INDEX children_parent ON children (parent)".into());
        }
        if is_locus && self.shape != Shape::OneRange {
            statements.push("ALTER TABLE parents SPLIT AT VALUES (1), (3)".into());
            statements.push("ALTER TABLE children SPLIT AT VALUES (7), (14)".into());
        }
        statements
    }

    fn split(&self, rng: &mut Rng) -> Option<String> {
        Some(match rng.chance(1, 2) {
            true => format!("ALTER TABLE parents SPLIT AT VALUES ({})", rng.below(PARENTS)),
            false => format!("ALTER TABLE children SPLIT AT VALUES ({})", rng.below(CHILDREN)),
        })
    }

    fn draw(&self, client: &mut Client) -> Step {
        if client.is_reader() {
            return Step::Read { seen: None };
        }
        let rng = &mut client.rng;
        let (parent, child) = (rng.below(PARENTS), rng.below(CHILDREN));
        let text = match rng.below(6) {
            0 => format!("INSERT INTO parents VALUES ({parent}) ON CONFLICT DO NOTHING"),
            1 => format!("DELETE FROM parents WHERE id = {parent}"),
            2 => format!("DELETE FROM children WHERE parent = {parent}"),
            3 => format!("UPDATE children SET parent = {parent} WHERE id = {child}"),
            _ => format!("INSERT INTO children VALUES ({child}, {parent}) ON CONFLICT DO NOTHING"),
        };
        Step::Write { text }
    }

    fn run<'a>(&'a self, client: &'a mut Client, step: &'a Step) -> BoxFuture<'a, Result<Step>> {
        Box::pin(async move {
            match step {
                Step::Write { text } if client.rng.chance(1, 2) => {
                    client.query(text).await?;
                    Ok(step.clone())
                }
                Step::Write { text } => {
                    let mut block = client.begin().await?;
                    block.query(text).await?;
                    block.commit().await?;
                    Ok(step.clone())
                }
                Step::Read { .. } => Ok(Step::Read { seen: Some(tables(&client.query(READ).await?)) }),
            }
        })
    }

    fn last<'a>(&'a self, client: &'a mut Client, history: &'a Recorder<Step>) -> BoxFuture<'a, Last> {
        Box::pin(async move {
            let begin = client.now();
            let seen = tables(&client.query_until_answered(READ).await?);
            history.add(begin, client.now(), Step::Read { seen: Some(seen) });
            Ok(Vec::new())
        })
    }

    fn check(&self, history: &History<Step>) -> Vec<Anomaly> {
        reference::check(history)
    }

    /// Constraints hold at every level.
    fn promise(&self, _: Isolation) -> Level {
        Level::StrictSerializable
    }
}

fn tables(answer: &Answer) -> Tables {
    let mut tables = Tables { parents: Vec::new(), children: Vec::new() };
    for row in &answer.rows {
        let number = |at: usize| row.get(at)?.as_deref()?.parse::<i64>().ok();
        match (number(0), number(1)) {
            (Some(child), Some(parent)) => tables.children.push((child, parent)),
            (Some(parent), None) => tables.parents.push(parent),
            (None, _) => {}
        }
    }
    tables
}
