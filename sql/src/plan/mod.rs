//! Plans: what a statement does, as a tree. The binder builds it naively, `optimize` rewrites it, `exec` runs it.
//! Rows between nodes are positional; every node knows the types of its output. A plan holds all that execution needs
//! (descriptors, bound constraints), so that it can be kept and run again with other parameters.

pub mod change;
pub mod display;
pub mod figures;
pub(crate) mod visit;

use std::{mem, sync::Arc};

pub use crate::expr::aggregate::{AggregateCall, SortKey};
pub use change::{
    Change, ConflictAction, Delete, IncomingKey, Insert, OnConflict, OutgoingKey, Returning, Target, Targets, Update,
};
use txn::{LockMode, WaitPolicy};

use crate::{
    catalog::{Relation, Table},
    encode::IndexLayout,
    error::Result,
    expr::Expr,
    types::{DataType, Value},
};

/// An output column of a statement.
#[derive(Clone, Debug)]
pub struct OutputColumn {
    pub name: String,
    pub ty: DataType,
    pub typmod: i32,
    /// Where it comes straight from a table: OID and attnum, for RowDescription.
    pub origin: Option<(u32, u16)>,
}

/// A statement that the executor runs.
#[derive(Clone, Debug)]
pub enum Statement {
    Query(Plan),
    Change(Box<Change>),
    Explain { options: ExplainOptions, statement: Box<Statement> },
}

/// What EXPLAIN is asked to tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions {
    /// Run the statement.
    pub analyze: bool,
    /// Then tell the times of nodes and ranges.
    pub timing: bool,
    /// Then tell the time of the whole.
    pub summary: bool,
}

impl Statement {
    /// The command tag, as in CommandComplete.
    pub fn tag(&self, affected: u64) -> String {
        match self {
            Statement::Query(_) => format!("SELECT {affected}"),
            Statement::Change(change) => match &**change {
                Change::Insert(_) => format!("INSERT 0 {affected}"),
                Change::Update(_) => format!("UPDATE {affected}"),
                Change::Delete(_) => format!("DELETE {affected}"),
            },
            Statement::Explain { .. } => "EXPLAIN".to_owned(),
        }
    }

    /// The command that a read-only transaction refuses in it: it can write or lock.
    pub fn writes(&self) -> Option<&'static str> {
        match self {
            Statement::Query(plan) => plan.writes(),
            Statement::Change(change) => Some(change.command()),
            Statement::Explain { options, statement } => statement.writes().filter(|_| options.analyze),
        }
    }
}

/// A node of a query plan.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Rows of expressions (also: one empty row for a SELECT without FROM).
    Values {
        rows: Vec<Vec<Expr>>,
        types: Vec<DataType>,
    },
    /// A table through one of its indexes.
    Scan(Box<Scan>),
    /// A system view.
    System {
        relation: Arc<Relation>,
        types: Vec<DataType>,
    },
    Filter {
        input: Box<Plan>,
        predicate: Expr,
    },
    Project {
        input: Box<Plan>,
        expressions: Vec<Expr>,
    },
    Limit {
        input: Box<Plan>,
        limit: Option<Expr>,
        offset: Option<Expr>,
    },
    Join(Box<Join>),
    /// For each row of the input that reaches a table by index: batched point lookups instead of a scan of the table.
    LookupJoin(Box<LookupJoin>),
    /// For each row of the input the subplan, which sees that row as `Expr::Outer { depth: 1, .. }`.
    Apply {
        input: Box<Plan>,
        subplan: Box<Plan>,
        kind: ApplyKind,
    },
    Aggregate {
        input: Box<Plan>,
        groups: Vec<Expr>,
        aggregates: Vec<AggregateCall>,
    },
    /// Without `on`: all columns are compared. With: the first row of each set of equal values wins.
    Distinct {
        input: Box<Plan>,
        on: Option<Vec<Expr>>,
    },
    /// `limit`: only so many rows are needed (top-N).
    Sort {
        input: Box<Plan>,
        keys: Vec<SortKey>,
        limit: Option<Expr>,
    },
    SetOperation {
        op: SetOp,
        all: bool,
        left: Box<Plan>,
        right: Box<Plan>,
    },
    /// Set-returning functions: each input row, extended by one column a function, once for each row they return
    /// (the longest decides, the others are filled up with NULL). With `ordinality` a last column counts from 1.
    ProjectSet {
        input: Box<Plan>,
        functions: Vec<SetFunction>,
        ordinality: bool,
    },
    Window {
        input: Box<Plan>,
        calls: Vec<WindowCall>,
    },
    /// Appends one column a call: `nextval` and its kin need the cluster and cannot be plain functions.
    Sequence {
        input: Box<Plan>,
        calls: Vec<SequenceCall>,
    },
    /// Locks the rows of the input that come from these tables.
    Lock {
        input: Box<Plan>,
        rows: Vec<RowLock>,
        /// At most so many rows are needed: no others are locked.
        limit: Option<Expr>,
    },
    /// Evaluates `definition` once, keeps its rows under `id`, then runs `input`, which reads them by `CteScan`.
    Cte {
        id: u32,
        name: String,
        definition: Box<Plan>,
        input: Box<Plan>,
    },
    CteScan {
        id: u32,
        name: String,
        types: Vec<DataType>,
    },
    /// `WITH RECURSIVE`: `initial`, then `step` (which reads the rows of the round before by `CteScan { id }`) until a round
    /// brings nothing. `distinct` for UNION.
    Recursive {
        id: u32,
        name: String,
        initial: Box<Plan>,
        step: Box<Plan>,
        distinct: bool,
    },
    /// A data-modifying statement with RETURNING as a source of rows.
    Change(Box<Change>),
}

/// One table whose rows are locked.
#[derive(Clone, Debug)]
pub struct RowLock {
    /// Where the key of the row stands (NULL: no row, from the outer side of a join).
    pub slot: usize,
    pub mark: Mark,
    pub layouts: Layouts,
    pub mode: LockMode,
    pub wait: WaitPolicy,
}

/// Names a scan whose rows are locked. When such a row turns out to be newer than what the statement reads (READ COMMITTED),
/// the plan below is run again with the scan giving just this row: see `exec::recheck`.
pub type Mark = u32;

/// How the rows of a table are reached.
#[derive(Clone, Debug)]
pub struct Scan {
    pub relation: Arc<Relation>,
    pub layouts: Layouts,
    /// Position in `Table::indexes`.
    pub index: usize,
    pub access: Access,
    /// Evaluated where the rows lie; over all columns of the table (slots are positions in `Table::columns`).
    pub filter: Option<Expr>,
    /// What comes out: positions in `Table::columns`.
    pub columns: Vec<usize>,
    /// A last output column with the encoded key of the row in the primary index (`bytea`), for locking and changing.
    pub with_key: bool,
    /// Set where rows are locked or changed.
    pub mark: Option<Mark>,
    pub reverse: bool,
    /// At most so many rows are needed.
    pub limit: Option<Expr>,
    /// Point access only: rows are locked and read at their newest in one go.
    pub lock: Option<(LockMode, WaitPolicy)>,
    pub alias: Option<String>,
}

#[derive(Clone, Debug)]
pub enum Access {
    /// All rows whose first index columns equal `prefix`, and whose next one lies between the bounds.
    Range { prefix: Vec<Expr>, lower: Option<Bound>, upper: Option<Bound> },
    /// All columns of a unique index (in index order) are given: at most one row each. The expressions do not look at any row.
    Points(Vec<Vec<Expr>>),
    /// As `Points` for an index of one column: the elements of an array.
    PointArray(Expr),
}

#[derive(Clone, Debug)]
pub struct Bound {
    pub value: Expr,
    pub inclusive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    /// Rows of the left side that have a match; only its columns come out.
    Semi,
    /// Rows of the left side that have none.
    Anti,
}

#[derive(Clone, Debug)]
pub struct Join {
    pub kind: JoinKind,
    pub left: Plan,
    pub right: Plan,
    /// Over the columns of both sides.
    pub on: Option<Expr>,
    /// Pairs that must be equal, left over the left row and right over the right row. The optimiser takes them out of `on`;
    /// with them the join hashes, without it is nested loops.
    pub keys: Vec<(Expr, Expr)>,
}

#[derive(Clone, Debug)]
pub struct LookupJoin {
    /// Inner, Left, Semi or Anti.
    pub kind: JoinKind,
    pub input: Plan,
    pub relation: Arc<Relation>,
    pub layouts: Layouts,
    pub index: usize,
    /// One a column of the index prefix, over the input row. Covers all columns of a unique index or a prefix of any.
    pub keys: Vec<Expr>,
    /// Positions in `Table::columns` that come out after those of the input.
    pub columns: Vec<usize>,
    pub with_key: bool,
    pub mark: Option<Mark>,
    /// Over all columns of the table.
    pub filter: Option<Expr>,
    /// Over the output columns of both sides.
    pub on: Option<Expr>,
    pub alias: Option<String>,
}

#[derive(Clone, Debug)]
pub enum ApplyKind {
    /// Appends the single value of the subplan's first column (NULL for no row, 21000 for more than one).
    Scalar { ty: DataType },
    /// Appends whether there is a row.
    Exists,
    /// Appends `operand OP ANY/ALL (rows)`. `comparison` is over a row of (input row, columns of the subplan) and boolean.
    Quantified { comparison: Expr, all: bool },
    /// Appends the values of the first column as an array.
    Array { element: DataType },
    /// LATERAL: joins each row with the rows of the subplan.
    Join { left: bool, on: Option<Expr> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

/// A function that returns rows.
#[derive(Clone, Debug)]
pub struct SetFunction {
    /// An `Expr::Call` of a set-returning function; any other expression stands for one row.
    pub call: Expr,
    /// Types of the columns it gives: one, or the fields of the records it returns.
    pub types: Vec<DataType>,
}

#[derive(Clone, Debug)]
pub struct WindowCall {
    pub function: WindowFunction,
    pub args: Vec<Expr>,
    pub filter: Option<Expr>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortKey>,
    pub frame: Frame,
    pub ty: DataType,
}

#[derive(Clone, Debug)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
    /// The call's own arguments and filter; those of `WindowCall` are empty.
    Aggregate(Box<AggregateCall>),
}

impl WindowFunction {
    /// All but the aggregates.
    const NAMED: [(&'static str, WindowFunction); 11] = [
        ("row_number", WindowFunction::RowNumber),
        ("rank", WindowFunction::Rank),
        ("dense_rank", WindowFunction::DenseRank),
        ("percent_rank", WindowFunction::PercentRank),
        ("cume_dist", WindowFunction::CumeDist),
        ("ntile", WindowFunction::Ntile),
        ("lag", WindowFunction::Lag),
        ("lead", WindowFunction::Lead),
        ("first_value", WindowFunction::FirstValue),
        ("last_value", WindowFunction::LastValue),
        ("nth_value", WindowFunction::NthValue),
    ];

    pub fn by_name(name: &str) -> Option<WindowFunction> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, function)| function.clone())
    }

    pub fn name(&self) -> &'static str {
        let own = mem::discriminant(self);
        let known = Self::NAMED.iter().find(|(_, function)| mem::discriminant(function) == own);
        known.map_or("aggregate", |(name, _)| name)
    }
}

#[derive(Clone, Debug)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

#[derive(Clone, Debug)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

#[derive(Clone, Debug)]
pub struct SequenceCall {
    pub function: SequenceFunction,
    /// `lastval` has none, `pg_sleep` the seconds (`float8`); the others begin with the sequence (`regclass`).
    pub args: Vec<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceFunction {
    NextValue,
    CurrentValue,
    SetValue,
    LastValue,
    /// `pg_sleep`: no sequence, but like them a call that takes more than computing.
    Sleep,
}

impl SequenceFunction {
    const ALL: [SequenceFunction; 5] = [
        SequenceFunction::NextValue,
        SequenceFunction::CurrentValue,
        SequenceFunction::SetValue,
        SequenceFunction::LastValue,
        SequenceFunction::Sleep,
    ];

    pub fn by_name(name: &str) -> Option<SequenceFunction> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            SequenceFunction::NextValue => "nextval",
            SequenceFunction::CurrentValue => "currval",
            SequenceFunction::SetValue => "setval",
            SequenceFunction::LastValue => "lastval",
            SequenceFunction::Sleep => "pg_sleep",
        }
    }

    pub fn returns(self) -> DataType {
        if self == SequenceFunction::Sleep { DataType::VOID } else { DataType::INT8 }
    }
}

/// A statement's parameters, as bound.
pub type Parameters = Arc<[Value]>;

impl Plan {
    /// One row without columns: the input of a SELECT without FROM.
    pub fn one_row() -> Plan {
        Plan::Values { rows: vec![Vec::new()], types: Vec::new() }
    }

    /// The types of the output columns.
    pub fn types(&self) -> Vec<DataType> {
        match self {
            Plan::Values { types, .. } | Plan::System { types, .. } | Plan::CteScan { types, .. } => types.clone(),
            Plan::Scan(scan) => scan.types(),
            Plan::Filter { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Distinct { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Lock { input, .. }
            | Plan::Cte { input, .. } => input.types(),
            Plan::Project { expressions, .. } => expressions.iter().map(Expr::ty).collect(),
            Plan::Join(join) => {
                let mut types = join.left.types();
                if !matches!(join.kind, JoinKind::Semi | JoinKind::Anti) {
                    types.extend(join.right.types());
                }
                types
            }
            Plan::LookupJoin(join) => {
                let mut types = join.input.types();
                if !matches!(join.kind, JoinKind::Semi | JoinKind::Anti) {
                    types.extend(table_types(&join.relation, &join.columns, join.with_key));
                }
                types
            }
            Plan::Apply { input, subplan, kind } => {
                let mut types = input.types();
                match kind {
                    ApplyKind::Scalar { ty } => types.push(*ty),
                    ApplyKind::Exists | ApplyKind::Quantified { .. } => types.push(DataType::BOOL),
                    ApplyKind::Array { element } => types.push(element.array().unwrap_or(DataType::TEXT_ARRAY)),
                    ApplyKind::Join { .. } => types.extend(subplan.types()),
                }
                types
            }
            Plan::Aggregate { groups, aggregates, .. } => {
                groups.iter().map(Expr::ty).chain(aggregates.iter().map(|call| call.ty)).collect()
            }
            Plan::SetOperation { left, .. } => left.types(),
            Plan::Recursive { initial, .. } => initial.types(),
            Plan::ProjectSet { input, functions, ordinality } => {
                let mut types = input.types();
                types.extend(functions.iter().flat_map(|function| function.types.iter().copied()));
                if *ordinality {
                    types.push(DataType::INT8);
                }
                types
            }
            Plan::Window { input, calls } => {
                let mut types = input.types();
                types.extend(calls.iter().map(|call| call.ty));
                types
            }
            Plan::Sequence { input, calls } => {
                let mut types = input.types();
                types.extend(calls.iter().map(|call| call.function.returns()));
                types
            }
            Plan::Change(change) => change.returning_types(),
        }
    }

    /// The number of output columns.
    pub fn width(&self) -> usize {
        self.types().len()
    }
}

impl Scan {
    /// All rows of a table through its primary index, all columns.
    pub fn full(relation: Arc<Relation>, alias: Option<String>) -> Result<Scan> {
        let columns = (0..relation.columns().len()).collect();
        Ok(Scan {
            layouts: layouts(&relation)?,
            relation,
            index: 0,
            access: Access::Range { prefix: Vec::new(), lower: None, upper: None },
            filter: None,
            columns,
            with_key: false,
            mark: None,
            reverse: false,
            limit: None,
            lock: None,
            alias,
        })
    }

    /// The table; a scan is never made of anything else.
    pub fn table(&self) -> &Table {
        table_of(&self.relation)
    }

    pub fn types(&self) -> Vec<DataType> {
        table_types(&self.relation, &self.columns, self.with_key)
    }

    /// Whether the index alone has all that is asked for.
    pub fn is_covered(&self) -> bool {
        let layout = &self.layouts[self.index];
        let filtered = self.filter.as_ref().map(Expr::columns).unwrap_or_default();
        self.columns.iter().copied().chain(filtered).all(|slot| layout.provides(slot))
    }

    /// Whether every access is by full unique key.
    pub fn is_point(&self) -> bool {
        matches!(self.access, Access::Points(_) | Access::PointArray(_))
    }
}

/// The layouts of a table's indexes, in order.
pub type Layouts = Arc<[IndexLayout]>;

/// Works out how a table is stored.
pub fn layouts(relation: &Relation) -> Result<Layouts> {
    let table = table_of(relation);
    table.indexes.iter().map(|index| IndexLayout::new(relation.id, table, index)).collect()
}

/// The table behind a relation that the binder has checked to be one.
pub fn table_of(relation: &Relation) -> &Table {
    relation.table().expect("the binder scans tables only")
}

fn table_types(relation: &Relation, columns: &[usize], with_key: bool) -> Vec<DataType> {
    let all = relation.columns();
    let mut types: Vec<DataType> = columns.iter().map(|&position| all[position].ty).collect();
    if with_key {
        types.push(DataType::BYTEA);
    }
    types
}
