//! Bound, typed expressions. No names, no subqueries (the binder turns those into `Plan::Apply`), no I/O: evaluation is a
//! pure function of a row, the parameters and an [`EvalContext`].

use std::sync::Arc;

use crate::types::{DataType, Value};

/// A typed expression. Serialisable, because filters travel to the range leaders.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Expr {
    Const { value: Value, ty: DataType },
    /// A column of the input row.
    Column { slot: usize, ty: DataType },
    /// A column of the row of an enclosing `Plan::Apply`, `depth` levels up (1 = the nearest).
    Outer { depth: usize, slot: usize, ty: DataType },
    /// A statement parameter, from 0.
    Parameter { index: usize, ty: DataType },
    /// Any function or operator of the registry, by its index in `function::REGISTRY` (resolved by name and types).
    Call { function: FunctionId, args: Vec<Expr>, ty: DataType },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    /// `IS TRUE`, `IS FALSE`: `IS [NOT] DISTINCT FROM`: calls.
    IsBool { expr: Box<Expr>, value: bool },
    Case { branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>>, ty: DataType },
    Coalesce { args: Vec<Expr>, ty: DataType },
    /// Conversion, with the type modifier of the target (-1: none); explicit casts truncate where PostgreSQL does.
    Cast { expr: Box<Expr>, to: DataType, typmod: i32, explicit: bool },
    /// `left OP ANY (array)` / `ALL`; `function` is the boolean operator.
    ArrayCompare { function: FunctionId, left: Box<Expr>, array: Box<Expr>, all: bool },
    /// `left IN (list)` with SQL's treatment of NULL; `function` is `=`.
    InList { function: FunctionId, left: Box<Expr>, list: Vec<Expr> },
    Array { elements: Vec<Expr>, element: DataType },
    Row(Vec<Expr>),
}

/// Index into the function registry. Written to disk and wire by its stable name (see `expr::function`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct FunctionId(pub u32);

/// What an expression may look at besides its row.
#[derive(Clone, Debug)]
pub struct EvalContext {
    pub parameters: Arc<[Value]>,
    /// `now()`: microseconds since 2000-01-01 UTC, fixed for the transaction.
    pub transaction_micros: i64,
    pub statement_micros: i64,
    pub session: Arc<SessionView>,
    /// Rows of enclosing `Apply` nodes, nearest first.
    pub outer: Vec<Arc<[Value]>>,
}

/// What functions such as `current_user`, `current_setting`, `current_schema` see.
#[derive(Clone, Debug, Default)]
pub struct SessionView {
    pub user: String,
    pub database: String,
    pub search_path: Vec<String>,
    pub backend_pid: i32,
    /// The `TimeZone` setting: an IANA name or a fixed offset.
    pub time_zone: String,
    pub settings: std::collections::BTreeMap<String, String>,
}
