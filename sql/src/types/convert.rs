//! Between `Value` and Rust types, so that function bodies read like functions.

use std::sync::Arc;

use super::{Array, Interval, Numeric, Value};
use crate::error::{Result, SqlError};

/// Reads an argument. A value of another type is a defect of resolution, never of the user.
pub trait FromValue<'a>: Sized {
    fn from_value(value: &'a Value) -> Result<Self>;
}

/// What a function body may answer.
pub trait IntoValue {
    fn into_value(self) -> Value;
}

/// A value, or a result of one.
pub trait IntoResult {
    fn into_result(self) -> Result<Value>;
}

impl<T: IntoValue> IntoResult for T {
    fn into_result(self) -> Result<Value> {
        Ok(self.into_value())
    }
}

impl<T: IntoValue> IntoResult for Result<T> {
    fn into_result(self) -> Result<Value> {
        self.map(T::into_value)
    }
}

/// Representations that share a Rust type get a name of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimestampTz(pub i64);
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid(pub u32);

fn wrong(value: &Value, wanted: &str) -> SqlError {
    let kind = match value {
        Value::Null => "NULL",
        Value::Bool(_) => "bool",
        Value::Int2(_) => "int2",
        Value::Int4(_) => "int4",
        Value::Int8(_) => "int8",
        Value::Float4(_) => "float4",
        Value::Float8(_) => "float8",
        Value::Numeric(_) => "numeric",
        Value::Text(_) => "text",
        Value::Bytea(_) => "bytea",
        Value::Date(_) => "date",
        Value::Time(_) => "time",
        Value::Timestamp(_) => "timestamp",
        Value::TimestampTz(_) => "timestamptz",
        Value::Interval(_) => "interval",
        Value::Uuid(_) => "uuid",
        Value::Oid(_) => "oid",
        Value::Char(_) => "\"char\"",
        Value::Array(_) => "array",
        Value::Record(_) => "record",
    };
    SqlError::internal(format!("expected a value of type {wanted}, found {kind}"))
}

macro_rules! convert {
    ($rust:ty, $name:literal, $($pattern:pat => $read:expr),+; $value:ident => $write:expr) => {
        impl<'a> FromValue<'a> for $rust {
            fn from_value(value: &'a Value) -> Result<Self> {
                match value {
                    $($pattern => Ok($read),)+
                    other => Err(wrong(other, $name)),
                }
            }
        }
        impl IntoValue for $rust {
            fn into_value(self) -> Value {
                let $value = self;
                $write
            }
        }
    };
}

convert!(bool, "bool", Value::Bool(v) => *v; v => Value::Bool(v));
convert!(i16, "int2", Value::Int2(v) => *v; v => Value::Int2(v));
convert!(i32, "int4", Value::Int4(v) => *v; v => Value::Int4(v));
convert!(i64, "int8", Value::Int8(v) => *v; v => Value::Int8(v));
convert!(f32, "float4", Value::Float4(v) => *v; v => Value::Float4(v));
convert!(f64, "float8", Value::Float8(v) => *v; v => Value::Float8(v));
convert!(Date, "date", Value::Date(v) => Date(*v); v => Value::Date(v.0));
convert!(Time, "time", Value::Time(v) => Time(*v); v => Value::Time(v.0));
convert!(Timestamp, "timestamp", Value::Timestamp(v) => Timestamp(*v); v => Value::Timestamp(v.0));
convert!(TimestampTz, "timestamptz", Value::TimestampTz(v) => TimestampTz(*v); v => Value::TimestampTz(v.0));
convert!(Interval, "interval", Value::Interval(v) => *v; v => Value::Interval(v));
convert!([u8; 16], "uuid", Value::Uuid(v) => *v; v => Value::Uuid(v));
convert!(Oid, "oid", Value::Oid(v) => Oid(*v); v => Value::Oid(v.0));
convert!(u8, "\"char\"", Value::Char(v) => *v; v => Value::Char(v));

impl<'a> FromValue<'a> for &'a Value {
    fn from_value(value: &'a Value) -> Result<Self> {
        Ok(value)
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: &'a Value) -> Result<Self> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(wrong(other, "text")),
        }
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    fn from_value(value: &'a Value) -> Result<Self> {
        match value {
            Value::Bytea(bytes) => Ok(bytes),
            other => Err(wrong(other, "bytea")),
        }
    }
}

impl<'a> FromValue<'a> for &'a Numeric {
    fn from_value(value: &'a Value) -> Result<Self> {
        match value {
            Value::Numeric(numeric) => Ok(numeric),
            other => Err(wrong(other, "numeric")),
        }
    }
}

impl<'a> FromValue<'a> for &'a Array {
    fn from_value(value: &'a Value) -> Result<Self> {
        match value {
            Value::Array(array) => Ok(array),
            other => Err(wrong(other, "array")),
        }
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    fn from_value(value: &'a Value) -> Result<Self> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl IntoValue for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl IntoValue for &Value {
    fn into_value(self) -> Value {
        self.clone()
    }
}

impl IntoValue for Numeric {
    fn into_value(self) -> Value {
        Value::Numeric(self)
    }
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::Text(self.into())
    }
}

impl IntoValue for &str {
    fn into_value(self) -> Value {
        Value::Text(self.into())
    }
}

impl IntoValue for Arc<str> {
    fn into_value(self) -> Value {
        Value::Text(self)
    }
}

impl IntoValue for Vec<u8> {
    fn into_value(self) -> Value {
        Value::Bytea(self.into())
    }
}

impl IntoValue for Array {
    fn into_value(self) -> Value {
        Value::Array(Box::new(self))
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}
