//! Hash aggregation. Groups come out in the order in which they were first met.
//!
//! Where the input is a scan of a table that the transaction has not written to, the range leaders aggregate their part and
//! only the partial states travel (see [`super::scan::partial_aggregates`]).

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::{
    BATCH_ROWS, Run,
    basic::{eval_all, some},
    mismatch,
    operator::Operator,
    scan,
    sort::{compare, sort_values},
};
use crate::{
    error::Result,
    expr::aggregate::State,
    plan::{AggregateCall, Plan, figures::NodeKey},
    types::{Row, Value},
};

pub(crate) struct Aggregate {
    input: Box<dyn Operator>,
    output: Option<std::vec::IntoIter<Row>>,
}

/// One aggregate of one group.
struct Slot {
    state: State,
    /// DISTINCT: arguments seen.
    seen: HashSet<Vec<Value>>,
    /// ORDER BY: sort values and arguments, fed to the state at the end.
    held: Vec<(Vec<Value>, Vec<Value>)>,
}

impl Aggregate {
    pub fn new(input: Box<dyn Operator>) -> Aggregate {
        Aggregate { input, output: None }
    }

    async fn aggregate(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Vec<Row>> {
        let Plan::Aggregate { input, groups, aggregates } = plan else { return Err(mismatch()) };
        let mut positions: HashMap<Vec<Value>, usize> = HashMap::new();
        let mut table: Vec<(Vec<Value>, Vec<Slot>)> = Vec::new();
        if groups.is_empty() {
            // There is a row even of nothing.
            positions.insert(Vec::new(), 0);
            table.push((Vec::new(), start(aggregates)?));
        }
        // What is aggregated where the rows lie is work of the scan.
        let stage = run.enter(NodeKey::from(&**input));
        let partial = scan::partial_aggregates(input, groups, aggregates, run).await;
        let pushed = partial.as_ref().ok().and_then(Option::as_ref).map(|partial| partial.len() as u64);
        run.leave(stage, pushed.unwrap_or(0), pushed.is_some());
        if let Some(partial) = partial? {
            for (key, states) in partial {
                let position = group(&mut positions, &mut table, key, aggregates, run)?;
                for (slot, state) in table[position].1.iter_mut().zip(states) {
                    slot.state.merge(state)?;
                }
            }
        } else {
            while let Some(batch) = self.input.next(input, run).await? {
                run.check()?;
                for row in &batch {
                    let key = eval_all(groups, row, run.eval)?;
                    let position = group(&mut positions, &mut table, key, aggregates, run)?;
                    for (slot, call) in table[position].1.iter_mut().zip(aggregates) {
                        slot.update(call, row, run)?;
                    }
                }
            }
        }
        let mut rows = Vec::with_capacity(table.len());
        for (mut row, slots) in table {
            for (slot, call) in slots.into_iter().zip(aggregates) {
                row.push(slot.finish(call)?);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// The position of a group, which is new or not.
fn group(
    positions: &mut HashMap<Vec<Value>, usize>,
    table: &mut Vec<(Vec<Value>, Vec<Slot>)>,
    key: Vec<Value>,
    aggregates: &[AggregateCall],
    run: &mut Run<'_>,
) -> Result<usize> {
    if let Some(position) = positions.get(&key) {
        return Ok(*position);
    }
    run.state.memory.add(std::slice::from_ref(&key))?;
    run.state.memory.add_bytes(aggregates.len() * std::mem::size_of::<Slot>())?;
    table.push((key.clone(), start(aggregates)?));
    positions.insert(key, table.len() - 1);
    Ok(table.len() - 1)
}

fn start(aggregates: &[AggregateCall]) -> Result<Vec<Slot>> {
    aggregates.iter().map(|call| Ok(Slot { state: call.start()?, seen: HashSet::new(), held: Vec::new() })).collect()
}

impl Slot {
    fn update(&mut self, call: &AggregateCall, row: &[Value], run: &mut Run<'_>) -> Result<()> {
        if !call.distinct && call.order_by.is_empty() {
            return call.update(&mut self.state, row, run.eval);
        }
        if let Some(filter) = &call.filter
            && !filter.eval_filter(row, run.eval)?
        {
            return Ok(());
        }
        let args = eval_all(&call.args, row, run.eval)?;
        if call.distinct {
            if self.seen.contains(&args) {
                return Ok(());
            }
            run.state.memory.add(std::slice::from_ref(&args))?;
            self.seen.insert(args.clone());
        }
        if call.order_by.is_empty() {
            return self.state.update(&args);
        }
        let keys = sort_values(&call.order_by, row, run.eval)?;
        run.state.memory.add(&[keys.clone(), args.clone()])?;
        self.held.push((keys, args));
        Ok(())
    }

    fn finish(mut self, call: &AggregateCall) -> Result<Value> {
        self.held.sort_by(|a, b| compare(&call.order_by, &a.0, &b.0));
        for (_, args) in &self.held {
            self.state.update(args)?;
        }
        self.state.finish()
    }
}

#[async_trait]
impl Operator for Aggregate {
    async fn next(&mut self, plan: &Plan, run: &mut Run<'_>) -> Result<Option<Vec<Row>>> {
        if self.output.is_none() {
            self.output = Some(self.aggregate(plan, run).await?.into_iter());
        }
        let output = self.output.iter_mut().flatten();
        Ok(some(output.take(BATCH_ROWS).collect()))
    }
}
