//! A `:read` whose value is a vector or set of integers, as several kinds of histories have it.

use std::fmt::Write;

use crate::edn::{Cursor, Error, Value};

/// What was read; `nil` is nothing known. `at`: where the value stands, for the error.
pub fn decode(value: &Value, at: &Cursor<'_>) -> Result<Option<Vec<i64>>, Error> {
    if *value == Value::Nil {
        return Ok(None);
    }
    let numbers = value.items().and_then(|items| items.iter().map(Value::integer).collect());
    numbers.map(Some).ok_or_else(|| at.error("a :read needs a vector or set of integers"))
}

pub fn encode(numbers: Option<&[i64]>, out: &mut String) {
    let Some(numbers) = numbers else { return out.push_str("nil") };
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let _ = write!(out, "[{}]", numbers.join(" "));
}
