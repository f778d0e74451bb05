//! Equality, order and hash of values. One total order serves sorting, grouping and map keys: values of one type in
//! PostgreSQL's order, NULL last, NaN above every number. Text orders by bytes (the C collation).

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use super::{Value, datetime, float, interval};

impl Value {
    /// SQL's comparison: `None` when either side is NULL.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        if self.is_null() || other.is_null() { None } else { Some(self.cmp(other)) }
    }

    /// The order of `ORDER BY`, with the place of NULLs given.
    pub fn cmp_sort(&self, other: &Value, descending: bool, nulls_first: bool) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if descending => other.cmp(self),
            (false, false) => self.cmp(other),
        }
    }

    /// Integers of any width.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Int2(value) => Some(i64::from(*value)),
            Value::Int4(value) => Some(i64::from(*value)),
            Value::Int8(value) => Some(*value),
            Value::Oid(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// Floats of either width.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float4(value) => Some(f64::from(*value)),
            Value::Float8(value) => Some(*value),
            _ => None,
        }
    }

    /// Dates and timestamps without a zone, in microseconds.
    fn as_moment(&self) -> Option<i64> {
        match self {
            Value::Date(days) => Some(datetime::date_to_timestamp_saturating(*days)),
            Value::Timestamp(micros) => Some(*micros),
            _ => None,
        }
    }

    /// The place of a kind among the kinds, for values that no operator compares.
    fn rank(&self) -> u8 {
        match self {
            Value::Bool(_) => 0,
            Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => 1,
            Value::Float4(_) | Value::Float8(_) => 2,
            Value::Numeric(_) => 3,
            Value::Text(_) => 4,
            Value::Char(_) => 5,
            Value::Bytea(_) => 6,
            Value::Date(_) | Value::Timestamp(_) => 7,
            Value::Time(_) => 8,
            Value::TimestampTz(_) => 9,
            Value::Interval(_) => 10,
            Value::Uuid(_) => 11,
            Value::Array(_) => 12,
            Value::Record(_) => 13,
            Value::Null => 14,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Int4(a), Value::Int4(b)) => a.cmp(b),
            (Value::Int8(a), Value::Int8(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
            (Value::Numeric(a), Value::Numeric(b)) => a.cmp(b),
            (Value::Date(a), Value::Date(b)) => a.cmp(b),
            (Value::Time(a), Value::Time(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) | (Value::TimestampTz(a), Value::TimestampTz(b)) => a.cmp(b),
            (Value::Interval(a), Value::Interval(b)) => interval::span(a).cmp(&interval::span(b)),
            (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
            (Value::Char(a), Value::Char(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => a.values.cmp(&b.values),
            (Value::Record(a), Value::Record(b)) => a.cmp(b),
            (Value::Null, Value::Null) => Ordering::Equal,
            (a, b) => {
                if let (Some(a), Some(b)) = (a.as_integer(), b.as_integer()) {
                    return a.cmp(&b);
                }
                if let (Some(a), Some(b)) = (a.as_float(), b.as_float()) {
                    return float::total_cmp(a, b);
                }
                if let (Some(a), Some(b)) = (a.as_moment(), b.as_moment()) {
                    return a.cmp(&b);
                }
                a.rank().cmp(&b.rank())
            }
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Int2(_) | Value::Int4(_) | Value::Int8(_) | Value::Oid(_) => self.as_integer().hash(state),
            Value::Float4(_) | Value::Float8(_) => float::normal_bits(self.as_float().unwrap_or(0.0)).hash(state),
            Value::Numeric(value) => value.hash(state),
            Value::Text(value) => value.hash(state),
            Value::Char(value) => value.hash(state),
            Value::Bytea(value) => value.hash(state),
            Value::Date(_) | Value::Timestamp(_) => self.as_moment().hash(state),
            Value::Time(value) | Value::TimestampTz(value) => value.hash(state),
            Value::Interval(value) => interval::span(value).hash(state),
            Value::Uuid(value) => value.hash(state),
            Value::Array(array) => array.values.hash(state),
            Value::Record(fields) => fields.hash(state),
        }
    }
}
