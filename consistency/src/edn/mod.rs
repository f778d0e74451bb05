//! EDN, the notation of Clojure in which Jepsen writes histories: values, a cursor that reads them, and a splitter that cuts
//! a long file into its operations.
//!
//! 1. [`forms::Forms`] finds the next `{…}` of the file without understanding it, so that only one is in memory.
//! 2. [`cursor::Cursor`] reads inside of it: typed where a workload knows what comes, else as a [`Value`].
//!
//! Written for files from anywhere: depth and size are bounded and errors say where. Format: <https://github.com/edn-format/edn>.

pub mod cursor;
pub mod forms;

use std::fmt;

pub use cursor::Cursor;
pub use forms::{Form, Forms};

/// How deep collections may be nested.
pub const DEPTH_MAX: usize = 64;

/// Any EDN value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Nil,
    Bool(bool),
    Integer(i64),
    /// Floats, ratios and integers that do not fit, as written.
    Number(String),
    String(String),
    /// As written: `\a`, `\newline`.
    Character(String),
    /// Without its colon.
    Keyword(String),
    Symbol(String),
    /// `(…)` and `[…]`.
    List(Vec<Value>),
    /// In the order of the text.
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    /// `#name value`
    Tagged(String, Box<Value>),
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Bytes from the beginning of the text.
    pub offset: usize,
    pub message: String,
}

impl Value {
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of a list, vector or set.
    pub fn items(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::Set(items) => Some(items),
            // `jepsen.independent` marks its pairs.
            Value::Tagged(_, inner) => inner.items(),
            _ => None,
        }
    }

    /// What a map holds under a keyword.
    pub fn get(&self, keyword: &str) -> Option<&Value> {
        let Value::Map(entries) = self else { return None };
        let matches = |key: &Value| matches!(key, Value::Keyword(name) if name == keyword);
        entries.iter().find(|(key, _)| matches(key)).map(|(_, value)| value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(text) | Value::Character(text) | Value::Symbol(text) => f.write_str(text),
            Value::String(text) => write_string(f, text),
            Value::Keyword(name) => write!(f, ":{name}"),
            Value::List(items) => write_items(f, "[", items, "]"),
            Value::Set(items) => write_items(f, "#{", items, "}"),
            Value::Map(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{key} {value}")?;
                }
                f.write_str("}")
            }
            Value::Tagged(name, value) => write!(f, "#{name} {value}"),
        }
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, open: &str, items: &[Value], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (at, item) in items.iter().enumerate() {
        let space = if at > 0 { " " } else { "" };
        write!(f, "{space}{item}")?;
    }
    f.write_str(close)
}

fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
#[path = "edn_test.rs"]
mod tests;
