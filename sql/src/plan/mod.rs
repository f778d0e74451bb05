//! Plans: what a statement does, as a tree. The binder builds it naively, `optimize` rewrites it, `exec` runs it.
//! Rows between nodes are positional; every node knows the types of its output.

use std::sync::Arc;

use crate::{
    catalog::Relation,
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

/// A node of a query plan. The query helper owns and extends this.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Rows of constants (also: one empty row for a SELECT without FROM).
    Values { rows: Vec<Vec<Expr>>, types: Vec<DataType> },
    /// A table through one of its indexes.
    Scan(Scan),
    /// A system view.
    System { relation: Arc<Relation>, filter: Option<Expr> },
    Filter { input: Box<Plan>, predicate: Expr },
    Project { input: Box<Plan>, expressions: Vec<Expr> },
    Limit { input: Box<Plan>, limit: Option<Expr>, offset: Option<Expr> },
}

#[derive(Clone, Debug)]
pub struct Scan {
    pub relation: Arc<Relation>,
    /// Position in `Table::indexes`.
    pub index: usize,
    /// Evaluated where the rows lie.
    pub filter: Option<Expr>,
    pub reverse: bool,
    pub limit: Option<u64>,
}

/// A statement's parameters, as bound.
pub type Parameters = Arc<[Value]>;
