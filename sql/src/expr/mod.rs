//! Bound, typed expressions. No names, no subqueries (the binder turns those into `Plan::Apply`), no I/O: evaluation is a
//! pure function of a row, the parameters and an [`EvalContext`].
//!
//! How the binder builds expressions (all of these coerce their arguments as PostgreSQL does, and make polymorphic result
//! types concrete):
//!
//! - [`function::call`] for `f(x, …)`, [`function::operator`] for `a + b` and prefix operators, [`cast::coerce`] for casts,
//!   [`cast::unify`] for CASE, COALESCE, VALUES, UNION, ARRAY[…] (all made one type), [`function::distinct_from`],
//!   [`function::in_list`], [`function::array_compare`] (`= ANY (array)`), [`aggregate::resolve`] for aggregates.
//! - An untyped string literal is `Const { Value::Text, UNKNOWN }`; coercion reads it with the target's input function. A
//!   parameter without a type is `Parameter { ty: UNKNOWN }`; coercion gives it the target's type, in place: the binder
//!   collects the types at the end with [`Expr::walk`].
//! - Syntax that PostgreSQL maps to functions is mapped by the binder: `LIKE` is `~~`, `ILIKE` `~~*` (`!~~`, `!~~*`), with
//!   ESCAPE the pattern is `like_escape(pattern, escape)`; `SIMILAR TO` is `~` with `similar_to_escape(pattern[, escape])`;
//!   `POSITION(a IN b)` is `position(b, a)`; `SUBSTRING(s FROM f FOR n)` is `substring(s, f, n)`; `TRIM(LEADING c FROM s)`
//!   is `ltrim(s, c)` (`rtrim`, `btrim`); `OVERLAY(s PLACING r FROM f FOR n)` is `overlay(s, r, f, n)`; `EXTRACT(f FROM x)`
//!   is `extract('f', x)`; `x AT TIME ZONE z` is `timezone(z, x)`; `GREATEST`, `LEAST`, `CURRENT_DATE`, `CURRENT_TIME`,
//!   `CURRENT_TIMESTAMP`, `LOCALTIME`, `LOCALTIMESTAMP`, `CURRENT_USER`, `SESSION_USER`, `CURRENT_CATALOG`,
//!   `CURRENT_SCHEMA` are functions of their lower-case names; `array[i]` is `array_subscript(array, i)`.
//! - `NULLIF(a, b)` is a `Case`; `BETWEEN` two comparisons.
//!
//! Sequence functions (`nextval`, `currval`, `lastval`, `setval`) need I/O. They are ordinary volatile registry entries that
//! ask [`EvalContext::sequences`]; see [`SequenceFunctions`] for how the executor feeds it. Functions that look at the
//! catalog (`pg_get_indexdef`, `regclass` input and output, …) ask [`EvalContext::catalog`].
//!
//! Before an expression travels (pushdown) or is evaluated many times, [`Expr::freeze`] replaces parameters, outer columns
//! and stable functions by their values; then [`Expr::is_pushable`] tells whether a range leader can evaluate it.

pub mod aggregate;
pub mod cast;
mod context;
mod eval;
mod fold;
pub mod function;
pub mod functions;
pub mod resolve;

pub use eval::eval_batch;

pub use context::{CatalogFunctions, EvalContext, SequenceFunctions, SessionView};

use crate::types::{DataType, Value};

/// A typed expression. Serialisable, because filters travel to the range leaders.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Expr {
    Const {
        value: Value,
        ty: DataType,
    },
    /// A column of the input row.
    Column {
        slot: usize,
        ty: DataType,
    },
    /// A column of the row of an enclosing `Plan::Apply`, `depth` levels up (1 = the nearest).
    Outer {
        depth: usize,
        slot: usize,
        ty: DataType,
    },
    /// A statement parameter, from 0.
    Parameter {
        index: usize,
        ty: DataType,
    },
    /// Any function or operator of the registry (resolved by name and types).
    Call {
        function: FunctionId,
        args: Vec<Expr>,
        ty: DataType,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    /// `IS TRUE`, `IS FALSE`: `IS [NOT] DISTINCT FROM`: calls.
    IsBool {
        expr: Box<Expr>,
        value: bool,
    },
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        ty: DataType,
    },
    Coalesce {
        args: Vec<Expr>,
        ty: DataType,
    },
    /// Conversion, with the type modifier of the target (-1: none); explicit casts truncate where PostgreSQL does.
    Cast {
        expr: Box<Expr>,
        to: DataType,
        typmod: i32,
        explicit: bool,
    },
    /// `left OP ANY (array)` / `ALL`; `function` is the boolean operator.
    ArrayCompare {
        function: FunctionId,
        left: Box<Expr>,
        array: Box<Expr>,
        all: bool,
    },
    /// `left IN (list)` with SQL's treatment of NULL; `function` is `=`.
    InList {
        function: FunctionId,
        left: Box<Expr>,
        list: Vec<Expr>,
    },
    Array {
        elements: Vec<Expr>,
        element: DataType,
    },
    Row(Vec<Expr>),
}

/// Index into the function registry. Travels and is stored as a hash of the function's signature (see `expr::function`),
/// so that it outlives changes of the registry's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

impl serde::Serialize for FunctionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(function::stable_id(*self))
    }
}

impl<'de> serde::Deserialize<'de> for FunctionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<FunctionId, D::Error> {
        let stable = u64::deserialize(deserializer)?;
        function::from_stable_id(stable)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown function {stable:016x}: another version's?")))
    }
}

/// Both walks over the parts of an expression; `$iter` is `iter` or `iter_mut`.
macro_rules! visit_parts {
    ($expr:expr, $visit:expr, $iter:ident) => {
        match $expr {
            Expr::Const { .. } | Expr::Column { .. } | Expr::Outer { .. } | Expr::Parameter { .. } => {}
            Expr::Call { args, .. } | Expr::Coalesce { args, .. } => args.$iter().for_each($visit),
            Expr::And(parts) | Expr::Or(parts) | Expr::Row(parts) => parts.$iter().for_each($visit),
            Expr::Array { elements, .. } => elements.$iter().for_each($visit),
            Expr::Not(expr) | Expr::IsNull(expr) => $visit(expr),
            Expr::IsBool { expr, .. } | Expr::Cast { expr, .. } => $visit(expr),
            Expr::Case { branches, otherwise, .. } => {
                for (condition, result) in branches {
                    $visit(condition);
                    $visit(result);
                }
                otherwise.$iter().for_each(|expr| $visit(expr));
            }
            Expr::ArrayCompare { left, array, .. } => {
                $visit(left);
                $visit(array);
            }
            Expr::InList { left, list, .. } => {
                $visit(left);
                list.$iter().for_each($visit);
            }
        }
    };
}

impl Expr {
    pub fn null(ty: DataType) -> Expr {
        Expr::Const { value: Value::Null, ty }
    }

    pub fn constant(value: Value, ty: DataType) -> Expr {
        Expr::Const { value, ty }
    }

    pub fn boolean(value: bool) -> Expr {
        Expr::Const { value: Value::Bool(value), ty: DataType::BOOL }
    }

    /// The type of its result.
    pub fn ty(&self) -> DataType {
        match self {
            Expr::Const { ty, .. }
            | Expr::Column { ty, .. }
            | Expr::Outer { ty, .. }
            | Expr::Parameter { ty, .. }
            | Expr::Call { ty, .. }
            | Expr::Case { ty, .. }
            | Expr::Coalesce { ty, .. } => *ty,
            Expr::Cast { to, .. } => *to,
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsBool { .. }
            | Expr::ArrayCompare { .. }
            | Expr::InList { .. } => DataType::BOOL,
            Expr::Array { element, .. } => element.array().unwrap_or(DataType::TEXT_ARRAY),
            Expr::Row(_) => DataType::RECORD,
        }
    }

    /// The type modifier of its result, where it is known (-1: none): a cast's. A column's is known to the binder only.
    pub fn typmod(&self) -> i32 {
        match self {
            Expr::Cast { typmod, .. } => *typmod,
            _ => -1,
        }
    }

    /// Visits this expression and all below it, parents first.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        self.for_each_child(&mut |child| child.walk(visit));
    }

    /// Whether any part satisfies the test.
    pub fn any(&self, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
        let mut found = false;
        self.walk(&mut |part| found = found || test(part));
        found
    }

    /// Rewrites from the leaves up.
    pub fn transform(mut self, rewrite: &mut dyn FnMut(Expr) -> Expr) -> Expr {
        self.for_each_child_mut(&mut |child| {
            let taken = std::mem::replace(child, Expr::Row(Vec::new()));
            *child = taken.transform(rewrite);
        });
        rewrite(self)
    }

    pub fn for_each_child(&self, visit: &mut dyn FnMut(&Expr)) {
        visit_parts!(self, visit, iter);
    }

    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        visit_parts!(self, visit, iter_mut);
    }

    /// The slots of the input row that it looks at, ascending, without repetition.
    pub fn columns(&self) -> Vec<usize> {
        let mut slots = std::collections::BTreeSet::new();
        self.walk(&mut |part| {
            if let Expr::Column { slot, .. } = part {
                slots.insert(*slot);
            }
        });
        slots.into_iter().collect()
    }
}
