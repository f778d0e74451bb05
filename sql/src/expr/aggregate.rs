//! Aggregates. They live in the function registry ([`Body::Aggregate`]); what is here is their state: `update` row by row,
//! `merge` of partial states (made by range leaders), `finish`.

use serde::{Deserialize, Serialize};

use super::{
    EvalContext, Expr, FunctionId, cast,
    function::{self, Body, Registry, Resolved},
};
use crate::{
    error::{Result, SqlError, SqlState},
    types::{Array, DataType, Interval, Numeric, Value, interval},
};

/// An aggregate in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AggregateCall {
    pub function: FunctionId,
    /// Evaluated on each input row; empty for `count(*)`.
    pub args: Vec<Expr>,
    pub ty: DataType,
    pub distinct: bool,
    /// `string_agg(x, ',' ORDER BY y)`.
    pub order_by: Vec<SortKey>,
    pub filter: Option<Expr>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// What an aggregate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    CountRows,
    Count,
    /// `sum` of small integers, a bigint.
    SumInteger,
    /// `sum` of bigint, a numeric.
    SumBigint,
    SumNumeric,
    SumFloat4,
    SumFloat8,
    SumInterval,
    AverageInteger,
    AverageNumeric,
    AverageFloat,
    AverageInterval,
    Min,
    Max,
    BoolAnd,
    BoolOr,
    BitAnd,
    BitOr,
    BitXor,
    StringAgg,
    BytesAgg,
    ArrayAgg,
    /// Variances and standard deviations.
    Spread {
        root: bool,
        population: bool,
        float: bool,
    },
}

/// Whether a name is an aggregate's.
pub fn is_aggregate(name: &str) -> bool {
    function::candidates(name, false).iter().any(|id| matches!(function::get(*id).body, Body::Aggregate(_)))
}

/// Builds an aggregate call: resolves by PostgreSQL's rules and coerces the arguments. `f(*)` is `f` without arguments.
pub fn resolve(name: &str, schema: Option<&str>, args: Vec<Expr>) -> Result<AggregateCall> {
    let types: Vec<DataType> = args.iter().map(Expr::ty).collect();
    let Resolved { id, arg_types, return_type } = function::resolve(name, schema, &types)?;
    let args = args
        .into_iter()
        .zip(&arg_types)
        .map(|(arg, ty)| cast::coerce(arg, *ty, -1, cast::CastContext::Implicit))
        .collect::<Result<Vec<Expr>>>()?;
    Ok(AggregateCall { function: id, args, ty: return_type, distinct: false, order_by: Vec::new(), filter: None })
}

impl AggregateCall {
    pub fn kind(&self) -> Result<Kind> {
        match function::get(self.function).body {
            Body::Aggregate(kind) => Ok(kind),
            _ => Err(SqlError::internal("not an aggregate")),
        }
    }

    /// Whether range leaders can make partial states that merge to the same result.
    pub fn is_splittable(&self) -> bool {
        let ordered = matches!(self.kind(), Ok(Kind::StringAgg | Kind::BytesAgg | Kind::ArrayAgg) | Err(_));
        !self.distinct
            && self.order_by.is_empty()
            && !ordered
            && self.args.iter().chain(&self.filter).all(Expr::is_pushable)
    }

    /// The state of an empty group.
    pub fn start(&self) -> Result<State> {
        let element = self.args.first().map_or(DataType::UNKNOWN, Expr::ty);
        Ok(State::new(self.kind()?, element))
    }

    /// Evaluates filter and arguments on a row and updates the state.
    pub fn update(&self, state: &mut State, row: &[Value], context: &EvalContext) -> Result<()> {
        if let Some(filter) = &self.filter
            && !filter.eval_filter(row, context)?
        {
            return Ok(());
        }
        match &self.args[..] {
            [] => state.update(&[]),
            [arg] => state.update(std::slice::from_ref(&*arg.eval_ref(row, context)?)),
            args => {
                let values: Vec<Value> = args.iter().map(|arg| arg.eval(row, context)).collect::<Result<_>>()?;
                state.update(&values)
            }
        }
    }
}

/// The running state of one aggregate in one group. Serialisable: it is what a range leader answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    kind: KindCode,
    element: DataType,
    data: Data,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Data {
    Count(i64),
    Integers {
        count: i64,
        sum: i128,
    },
    Numerics {
        count: i64,
        sum: Numeric,
        squares: Numeric,
    },
    /// Count, sum and sum of squared differences from the mean (Youngs and Cramer, as PostgreSQL).
    Floats {
        count: f64,
        sum: f64,
        squares: f64,
    },
    Intervals {
        count: i64,
        sum: Interval,
    },
    One(Option<Value>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    List(Vec<Value>),
}

/// [`Kind`] as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct KindCode(u8);

const KINDS: &[Kind] = &[
    Kind::CountRows,
    Kind::Count,
    Kind::SumInteger,
    Kind::SumBigint,
    Kind::SumNumeric,
    Kind::SumFloat4,
    Kind::SumFloat8,
    Kind::SumInterval,
    Kind::AverageInteger,
    Kind::AverageNumeric,
    Kind::AverageFloat,
    Kind::AverageInterval,
    Kind::Min,
    Kind::Max,
    Kind::BoolAnd,
    Kind::BoolOr,
    Kind::BitAnd,
    Kind::BitOr,
    Kind::BitXor,
    Kind::StringAgg,
    Kind::BytesAgg,
    Kind::ArrayAgg,
    Kind::Spread { root: false, population: false, float: false },
    Kind::Spread { root: false, population: true, float: false },
    Kind::Spread { root: true, population: false, float: false },
    Kind::Spread { root: true, population: true, float: false },
    Kind::Spread { root: false, population: false, float: true },
    Kind::Spread { root: false, population: true, float: true },
    Kind::Spread { root: true, population: false, float: true },
    Kind::Spread { root: true, population: true, float: true },
];

impl State {
    /// `element` is the type of the first argument.
    pub fn new(kind: Kind, element: DataType) -> State {
        let data = match kind {
            Kind::CountRows | Kind::Count => Data::Count(0),
            Kind::SumInteger | Kind::SumBigint | Kind::AverageInteger => Data::Integers { count: 0, sum: 0 },
            Kind::SumNumeric | Kind::AverageNumeric | Kind::Spread { float: false, .. } => {
                Data::Numerics { count: 0, sum: Numeric::from(0i64), squares: Numeric::from(0i64) }
            }
            Kind::SumFloat4 | Kind::SumFloat8 | Kind::AverageFloat | Kind::Spread { float: true, .. } => {
                Data::Floats { count: 0.0, sum: 0.0, squares: 0.0 }
            }
            Kind::SumInterval | Kind::AverageInterval => Data::Intervals { count: 0, sum: Interval::default() },
            Kind::Min | Kind::Max | Kind::BoolAnd | Kind::BoolOr | Kind::BitAnd | Kind::BitOr | Kind::BitXor => {
                Data::One(None)
            }
            Kind::StringAgg => Data::Text(None),
            Kind::BytesAgg => Data::Bytes(None),
            Kind::ArrayAgg => Data::List(Vec::new()),
        };
        let code = KINDS.iter().position(|known| *known == kind).unwrap_or(0);
        State { kind: KindCode(code as u8), element, data }
    }

    fn kind(&self) -> Result<Kind> {
        KINDS
            .get(usize::from(self.kind.0))
            .copied()
            .ok_or_else(|| SqlError::internal("unknown kind of partial aggregate"))
    }

    /// Takes in one row's arguments.
    pub fn update(&mut self, args: &[Value]) -> Result<()> {
        let kind = self.kind()?;
        let first = args.first().unwrap_or(&Value::Null);
        if first.is_null() && !matches!(kind, Kind::CountRows | Kind::ArrayAgg) {
            return Ok(());
        }
        match &mut self.data {
            Data::Count(count) => *count += 1,
            Data::Integers { count, sum } => {
                *count += 1;
                *sum += i128::from(integer(first)?);
            }
            Data::Numerics { count, sum, squares } => {
                let value = Numeric::from_number(first)?;
                *count += 1;
                if matches!(kind, Kind::Spread { .. }) {
                    *squares = squares.add(&value.mul(&value)?)?;
                }
                *sum = sum.add(&value)?;
            }
            Data::Floats { count, sum, squares } => {
                let spread = matches!(kind, Kind::Spread { .. });
                add_float(kind, (count, sum, squares), float(first)?, spread)?;
            }
            Data::Intervals { count, sum } => {
                let Value::Interval(value) = first else { return Err(mismatch()) };
                *count += 1;
                *sum = interval::add(*sum, *value)?;
            }
            Data::One(best) => combine_one(kind, best, first)?,
            Data::Text(text) => match (text, first, args.get(1)) {
                (Some(text), Value::Text(value), delimiter) => {
                    if let Some(Value::Text(delimiter)) = delimiter {
                        text.push_str(delimiter);
                    }
                    text.push_str(value);
                }
                (text, Value::Text(value), _) => *text = Some(value.to_string()),
                _ => return Err(mismatch()),
            },
            Data::Bytes(bytes) => match (bytes, first, args.get(1)) {
                (Some(bytes), Value::Bytea(value), delimiter) => {
                    if let Some(Value::Bytea(delimiter)) = delimiter {
                        bytes.extend_from_slice(delimiter);
                    }
                    bytes.extend_from_slice(value);
                }
                (bytes, Value::Bytea(value), _) => *bytes = Some(value.to_vec()),
                _ => return Err(mismatch()),
            },
            Data::List(values) => values.push(first.clone()),
        }
        Ok(())
    }

    /// Takes in the partial state of other rows of the same group (later ones, where order matters).
    pub fn merge(&mut self, other: State) -> Result<()> {
        let kind = self.kind()?;
        if self.kind != other.kind {
            return Err(SqlError::internal("partial aggregates of different kinds"));
        }
        match (&mut self.data, other.data) {
            (Data::Count(count), Data::Count(more)) => *count += more,
            (Data::Integers { count, sum }, Data::Integers { count: more, sum: addend }) => {
                *count += more;
                *sum += addend;
            }
            (Data::Numerics { count, sum, squares }, Data::Numerics { count: c, sum: s, squares: q }) => {
                *count += c;
                *sum = sum.add(&s)?;
                *squares = squares.add(&q)?;
            }
            (Data::Floats { count, sum, squares }, Data::Floats { count: c, sum: s, squares: q }) => {
                if c > 0.0 && *count > 0.0 {
                    let difference = *sum / *count - s / c;
                    *squares += q + *count * c * difference * difference / (*count + c);
                } else {
                    *squares += q;
                }
                *count += c;
                *sum += s;
            }
            (Data::Intervals { count, sum }, Data::Intervals { count: c, sum: s }) => {
                *count += c;
                *sum = interval::add(*sum, s)?;
            }
            (Data::One(best), Data::One(Some(value))) => combine_one(kind, best, &value)?,
            (Data::One(_), Data::One(None)) => {}
            (Data::List(values), Data::List(more)) => values.extend(more),
            _ => return Err(SqlError::internal("this aggregate has no partial states")),
        }
        Ok(())
    }

    /// The aggregate's value.
    pub fn finish(self) -> Result<Value> {
        let kind = self.kind()?;
        Ok(match self.data {
            Data::Count(count) => Value::Int8(count),
            Data::Integers { count: 0, .. } | Data::Numerics { count: 0, .. } | Data::Intervals { count: 0, .. } => {
                Value::Null
            }
            Data::Integers { count, sum } => match kind {
                Kind::SumInteger => Value::Int8(i64::try_from(sum).map_err(|_| bigint_out_of_range())?),
                Kind::SumBigint => Value::Numeric(Numeric::from(sum)),
                _ => Value::Numeric(Numeric::from(sum).div(&Numeric::from(count))?),
            },
            Data::Numerics { count, sum, squares } => match kind {
                Kind::SumNumeric => Value::Numeric(sum),
                Kind::Spread { root, population, .. } => numeric_spread(count, &sum, &squares, root, population)?,
                _ => Value::Numeric(sum.div(&Numeric::from(count))?),
            },
            Data::Floats { count, sum, squares } => finish_floats(kind, count, sum, squares),
            Data::Intervals { count, sum } => match kind {
                Kind::SumInterval => Value::Interval(sum),
                _ => Value::Interval(interval::divide(sum, count as f64)?),
            },
            Data::One(value) => value.unwrap_or(Value::Null),
            Data::Text(text) => text.map_or(Value::Null, Value::text),
            Data::Bytes(bytes) => bytes.map_or(Value::Null, |bytes| Value::Bytea(bytes.into())),
            Data::List(values) if values.is_empty() => Value::Null,
            Data::List(values) => Value::Array(Box::new(Array { element: self.element, values })),
        })
    }
}

fn mismatch() -> SqlError {
    SqlError::internal("an aggregate met a value of another type")
}

fn bigint_out_of_range() -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range")
}

fn integer(value: &Value) -> Result<i64> {
    match value {
        Value::Int2(value) => Ok(i64::from(*value)),
        Value::Int4(value) => Ok(i64::from(*value)),
        Value::Int8(value) => Ok(*value),
        _ => Err(mismatch()),
    }
}

fn float(value: &Value) -> Result<f64> {
    match value {
        Value::Float4(value) => Ok(f64::from(*value)),
        Value::Float8(value) => Ok(*value),
        _ => Err(mismatch()),
    }
}

fn add_float(kind: Kind, state: (&mut f64, &mut f64, &mut f64), value: f64, spread: bool) -> Result<()> {
    let (count, sum, squares) = state;
    let before = *sum;
    *count += 1.0;
    // `sum(real)` rounds at each step, as PostgreSQL's float4pl does.
    *sum = if kind == Kind::SumFloat4 { f64::from(*sum as f32 + value as f32) } else { *sum + value };
    if sum.is_infinite() && before.is_finite() && value.is_finite() {
        return Err(SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    if spread && *count > 1.0 {
        let difference = value * *count - *sum;
        *squares += difference * difference / (*count * (*count - 1.0));
    } else if spread && !value.is_finite() {
        *squares = f64::NAN;
    }
    Ok(())
}

fn combine_one(kind: Kind, best: &mut Option<Value>, value: &Value) -> Result<()> {
    let Some(current) = best else {
        *best = Some(value.clone());
        return Ok(());
    };
    match kind {
        Kind::Min if value < current => *current = value.clone(),
        Kind::Max if value > current => *current = value.clone(),
        Kind::Min | Kind::Max => {}
        Kind::BoolAnd | Kind::BoolOr => {
            let (Value::Bool(current), Value::Bool(value)) = (current, value) else { return Err(mismatch()) };
            *current = if kind == Kind::BoolAnd { *current && *value } else { *current || *value };
        }
        _ => {
            let combine = |a: i64, b: i64| match kind {
                Kind::BitAnd => a & b,
                Kind::BitOr => a | b,
                _ => a ^ b,
            };
            match (current, value) {
                (Value::Int2(a), Value::Int2(b)) => *a = combine(i64::from(*a), i64::from(*b)) as i16,
                (Value::Int4(a), Value::Int4(b)) => *a = combine(i64::from(*a), i64::from(*b)) as i32,
                (Value::Int8(a), Value::Int8(b)) => *a = combine(*a, *b),
                _ => return Err(mismatch()),
            }
        }
    }
    Ok(())
}

fn finish_floats(kind: Kind, count: f64, sum: f64, squares: f64) -> Value {
    if count == 0.0 {
        return Value::Null;
    }
    match kind {
        Kind::SumFloat4 => Value::Float4(sum as f32),
        Kind::SumFloat8 => Value::Float8(sum),
        Kind::Spread { root, population, .. } => {
            let divisor = if population { count } else { count - 1.0 };
            if divisor == 0.0 {
                return Value::Null;
            }
            let variance = squares / divisor;
            Value::Float8(if root { variance.sqrt() } else { variance })
        }
        _ => Value::Float8(sum / count),
    }
}

fn numeric_spread(count: i64, sum: &Numeric, squares: &Numeric, root: bool, population: bool) -> Result<Value> {
    if sum.is_special() {
        return Ok(Value::Numeric(Numeric::NaN));
    }
    let divisor = if population { count } else { count - 1 };
    if divisor == 0 {
        return Ok(Value::Null);
    }
    let count_numeric = Numeric::from(count);
    let numerator = count_numeric.mul(squares)?.sub(&sum.mul(sum)?)?;
    if numerator.is_negative() || numerator.is_zero() {
        return Ok(Value::Numeric(Numeric::from(0i64)));
    }
    let variance = numerator.div(&count_numeric.mul(&Numeric::from(divisor))?)?;
    Ok(Value::Numeric(if root { variance.sqrt()? } else { variance }))
}

/// Types that `min` and `max` know.
const ORDERED: &[&str] = &[
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "text",
    "bpchar",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "oid",
    "anyarray",
];

pub(super) fn register(registry: &mut Registry) {
    let mut add = |signature: String, kind: Kind| {
        // Registration happens once; the signatures live as long as the registry.
        registry.add(Box::leak(signature.into_boxed_str()), Body::Aggregate(kind)).null_aware();
    };
    add("count() int8".into(), Kind::CountRows);
    add("count(any) int8".into(), Kind::Count);
    for ty in ["int2", "int4", "int8"] {
        let (sum, kind) = if ty == "int8" { ("numeric", Kind::SumBigint) } else { ("int8", Kind::SumInteger) };
        add(format!("sum({ty}) {sum}"), kind);
        add(format!("avg({ty}) numeric"), Kind::AverageInteger);
        add(format!("bit_and({ty}) {ty}"), Kind::BitAnd);
        add(format!("bit_or({ty}) {ty}"), Kind::BitOr);
        add(format!("bit_xor({ty}) {ty}"), Kind::BitXor);
    }
    add("sum(numeric) numeric".into(), Kind::SumNumeric);
    add("sum(float4) float4".into(), Kind::SumFloat4);
    add("sum(float8) float8".into(), Kind::SumFloat8);
    add("sum(interval) interval".into(), Kind::SumInterval);
    add("avg(numeric) numeric".into(), Kind::AverageNumeric);
    add("avg(float4) float8".into(), Kind::AverageFloat);
    add("avg(float8) float8".into(), Kind::AverageFloat);
    add("avg(interval) interval".into(), Kind::AverageInterval);
    for ty in ORDERED {
        add(format!("min({ty}) {ty}"), Kind::Min);
        add(format!("max({ty}) {ty}"), Kind::Max);
    }
    for (name, kind) in [("bool_and", Kind::BoolAnd), ("every", Kind::BoolAnd), ("bool_or", Kind::BoolOr)] {
        add(format!("{name}(bool) bool"), kind);
    }
    add("string_agg(text, text) text".into(), Kind::StringAgg);
    add("string_agg(bytea, bytea) bytea".into(), Kind::BytesAgg);
    // PostgreSQL declares anynonarray; arrays of arrays do not exist here.
    add("array_agg(anyelement) anyarray".into(), Kind::ArrayAgg);
    for (name, root, population) in [
        ("variance", false, false),
        ("var_samp", false, false),
        ("var_pop", false, true),
        ("stddev", true, false),
        ("stddev_samp", true, false),
        ("stddev_pop", true, true),
    ] {
        for ty in ["int2", "int4", "int8", "numeric"] {
            add(format!("{name}({ty}) numeric"), Kind::Spread { root, population, float: false });
        }
        for ty in ["float4", "float8"] {
            add(format!("{name}({ty}) float8"), Kind::Spread { root, population, float: true });
        }
    }
}
