//! Work done where the rows lie: a program of filter, projection and partial aggregates travels with a scan and runs on
//! encoded rows at the range leader. Of each row only the columns that matter are decoded, and those of the filter first.
//!
//! An error of an expression (division by zero) is not the scan's failure: it comes back in place of the partial results,
//! with its SQLSTATE. So whoever runs a scan with a program looks at every `pushed` answer with [`decode_pushed`].

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use txn::{RowSink, Verdict};

use crate::{
    encode::IndexLayout,
    error::{Result, SqlError, SqlState},
    expr::{
        EvalContext, Expr, SessionView,
        aggregate::{AggregateCall, State},
    },
    types::{Row, Value},
};

/// What a range leader does with the rows of a scan. Expressions see storage rows (see `encode`); they must be frozen and
/// pushable (`Expr::freeze`, `Expr::is_pushable`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    pub layout: IndexLayout,
    pub filter: Option<Expr>,
    pub output: Output,
    /// What of the session matters to immutable-looking text formats.
    pub time_zone: String,
    pub settings: Vec<(String, String)>,
    pub transaction_micros: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Output {
    /// The entries as they are.
    Rows,
    /// The entries with only the columns of these slots in their values (key columns are always there).
    Columns(Vec<usize>),
    /// One partial state of each aggregate for each group; no rows.
    Aggregate { group_by: Vec<Expr>, aggregates: Vec<AggregateCall> },
}

/// Settings that text formats depend on.
const FORMAT_SETTINGS: [&str; 4] = ["datestyle", "intervalstyle", "bytea_output", "extra_float_digits"];

/// A group's key and the partial states of its aggregates.
pub type Group = (Row, Vec<State>);

/// The answer of a page beside its rows.
#[derive(Debug, Serialize, Deserialize)]
enum Pushed {
    Groups(Vec<Group>),
    Failed { state: String, message: String, detail: Option<String>, hint: Option<String> },
}

impl Program {
    /// Freezes the expressions in this context.
    pub fn new(layout: IndexLayout, filter: Option<Expr>, output: Output, context: &EvalContext) -> Program {
        let settings = &context.session.settings;
        let freeze = |expr: Expr| expr.freeze(context);
        let output = match output {
            Output::Aggregate { group_by, aggregates } => Output::Aggregate {
                group_by: group_by.into_iter().map(freeze).collect(),
                aggregates: aggregates
                    .into_iter()
                    .map(|call| AggregateCall {
                        args: call.args.into_iter().map(freeze).collect(),
                        filter: call.filter.map(freeze),
                        ..call
                    })
                    .collect(),
            },
            other => other,
        };
        Program {
            layout,
            filter: filter.map(freeze),
            output,
            time_zone: context.session.time_zone.clone(),
            settings: FORMAT_SETTINGS
                .iter()
                .filter_map(|name| settings.get(*name).map(|value| ((*name).to_owned(), value.clone())))
                .collect(),
            transaction_micros: context.transaction_micros,
        }
    }

    /// Whether range leaders can run it.
    pub fn is_pushable(&self) -> bool {
        let output = match &self.output {
            Output::Aggregate { group_by, aggregates } => {
                group_by.iter().all(Expr::is_pushable) && aggregates.iter().all(AggregateCall::is_splittable)
            }
            _ => true,
        };
        output && self.filter.iter().all(Expr::is_pushable)
    }

    pub fn encode(&self) -> Result<Bytes> {
        postcard::to_stdvec(self).map(Bytes::from).map_err(SqlError::internal)
    }
}

/// Reads the `pushed` answer of a page: the partial groups, or the error that an expression met.
pub fn decode_pushed(bytes: &[u8]) -> Result<Vec<Group>> {
    match postcard::from_bytes(bytes).map_err(SqlError::internal)? {
        Pushed::Groups(groups) => Ok(groups),
        Pushed::Failed { state, message, detail, hint } => {
            let mut error = SqlError::new(known_state(&state), message);
            if let Some(detail) = detail {
                error = error.detail(detail);
            }
            if let Some(hint) = hint {
                error = error.hint(hint);
            }
            Err(error)
        }
    }
}

/// SQLSTATEs that evaluation can raise; anything else from another version is internal.
fn known_state(code: &str) -> SqlState {
    const CODES: [&str; 21] = [
        "0A000", "22001", "22003", "22007", "22008", "22009", "2200D", "22011", "22012", "22015", "22019", "22021",
        "22023", "22025", "2201B", "2201E", "2201F", "2201G", "2202E", "22P02", "42846",
    ];
    CODES.iter().find(|known| **known == code).map_or(SqlState::INTERNAL_ERROR, |known| SqlState(known))
}

/// Compiles programs: what `sql` gives to whoever starts a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compiler;

impl txn::Pushdown for Compiler {
    fn compile(&self, program: &[u8]) -> std::result::Result<Box<dyn RowSink>, String> {
        let program: Program = postcard::from_bytes(program).map_err(|error| error.to_string())?;
        Ok(Box::new(Sink::new(program)))
    }
}

/// A running program.
struct Sink {
    program: Program,
    context: EvalContext,
    row: Row,
    /// Slots that the filter looks at, and those that only the output does.
    filter_slots: Vec<bool>,
    output_slots: Vec<bool>,
    groups: BTreeMap<Row, Vec<State>>,
    failure: Option<SqlError>,
}

impl Sink {
    fn new(program: Program) -> Sink {
        let width = program.layout.width();
        let mut filter_slots = vec![false; width];
        mark(&mut filter_slots, program.filter.iter());
        let mut output_slots = vec![false; width];
        match &program.output {
            Output::Rows => {}
            Output::Columns(slots) => {
                for slot in slots.iter().filter(|slot| **slot < width) {
                    output_slots[*slot] = true;
                }
            }
            Output::Aggregate { group_by, aggregates } => {
                mark(&mut output_slots, group_by.iter());
                for call in aggregates {
                    mark(&mut output_slots, call.args.iter().chain(&call.filter));
                }
                // What the filter has read is in the row already.
                for (output, filter) in output_slots.iter_mut().zip(&filter_slots) {
                    *output = *output && !filter;
                }
            }
        }
        let session = SessionView {
            time_zone: program.time_zone.clone(),
            settings: program.settings.iter().cloned().collect(),
            ..SessionView::default()
        };
        let context = EvalContext {
            transaction_micros: program.transaction_micros,
            statement_micros: program.transaction_micros,
            ..EvalContext::new(Arc::new(session))
        };
        let row = program.layout.empty_row();
        Sink { program, context, row, filter_slots, output_slots, groups: BTreeMap::new(), failure: None }
    }

    fn process(&mut self, key: &[u8], value: &[u8]) -> Result<Verdict> {
        let layout = &self.program.layout;
        if let Some(filter) = &self.program.filter {
            layout.decode(key, value, &mut self.row, Some(&self.filter_slots))?;
            if !filter.eval_filter(&self.row, &self.context)? {
                return Ok(Verdict::Drop);
            }
        }
        match &self.program.output {
            Output::Rows => Ok(Verdict::Keep),
            Output::Columns(_) => layout.project_value(value, &self.output_slots).map(Verdict::Replace),
            Output::Aggregate { group_by, aggregates } => {
                if self.output_slots.contains(&true) {
                    layout.decode(key, value, &mut self.row, Some(&self.output_slots))?;
                }
                let group: Row =
                    group_by.iter().map(|expr| expr.eval(&self.row, &self.context)).collect::<Result<_>>()?;
                let states = match self.groups.get_mut(&group) {
                    Some(states) => states,
                    None => {
                        let fresh = aggregates.iter().map(AggregateCall::start).collect::<Result<_>>()?;
                        self.groups.entry(group).or_insert(fresh)
                    }
                };
                for (call, state) in aggregates.iter().zip(states) {
                    call.update(state, &self.row, &self.context)?;
                }
                Ok(Verdict::Drop)
            }
        }
    }
}

fn mark<'a>(slots: &mut [bool], exprs: impl Iterator<Item = &'a Expr>) {
    for expr in exprs {
        for slot in expr.columns() {
            if let Some(needed) = slots.get_mut(slot) {
                *needed = true;
            }
        }
    }
}

impl RowSink for Sink {
    fn row(&mut self, key: &[u8], value: &[u8]) -> std::result::Result<Verdict, String> {
        if self.failure.is_some() {
            return Ok(Verdict::Drop);
        }
        match self.process(key, value) {
            Ok(verdict) => Ok(verdict),
            // Corrupt data is the node's problem, everything else the statement's.
            Err(error) if error.state() == SqlState::INTERNAL_ERROR => Err(error.to_string()),
            Err(error) => {
                self.failure = Some(error);
                Ok(Verdict::Drop)
            }
        }
    }

    fn finish(&mut self) -> std::result::Result<Option<Bytes>, String> {
        let pushed = match (self.failure.take(), &self.program.output) {
            (Some(error), _) => {
                let fields = error.fields();
                Pushed::Failed {
                    state: fields.state.0.to_owned(),
                    message: fields.message.clone(),
                    detail: fields.detail.clone(),
                    hint: fields.hint.clone(),
                }
            }
            (None, Output::Aggregate { .. }) => Pushed::Groups(std::mem::take(&mut self.groups).into_iter().collect()),
            (None, _) => return Ok(None),
        };
        postcard::to_stdvec(&pushed).map(|bytes| Some(bytes.into())).map_err(|error| error.to_string())
    }
}

/// Merges the partial groups of several pages and ranges; groups come out in the order of their keys.
#[derive(Debug, Default)]
pub struct Merge {
    groups: BTreeMap<Row, Vec<State>>,
}

impl Merge {
    pub fn add(&mut self, groups: Vec<Group>) -> Result<()> {
        for (key, states) in groups {
            match self.groups.get_mut(&key) {
                None => {
                    self.groups.insert(key, states);
                }
                Some(merged) => {
                    for (into, state) in merged.iter_mut().zip(states) {
                        into.merge(state)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Vec<(Row, Vec<Value>)>> {
        self.groups
            .into_iter()
            .map(|(key, states)| Ok((key, states.into_iter().map(State::finish).collect::<Result<Vec<Value>>>()?)))
            .collect()
    }
}

#[cfg(test)]
#[path = "pushdown_test.rs"]
mod tests;
