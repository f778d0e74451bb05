//! Accounts for the rows a statement keeps. Nothing spills yet: at the limit the statement ends with 53200.

use crate::{
    error::{Result, SqlError, SqlState},
    types::{Row, Value},
};

#[derive(Debug)]
pub(crate) struct Memory {
    used: usize,
    limit: usize,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory { used: 0, limit: usize::MAX }
    }
}

impl Memory {
    pub fn limit(&mut self, bytes_max: usize) {
        self.limit = if bytes_max == 0 { usize::MAX } else { bytes_max };
    }

    pub fn add(&mut self, rows: &[Row]) -> Result<()> {
        self.add_bytes(rows.iter().map(row_bytes).sum())
    }

    pub fn add_bytes(&mut self, bytes: usize) -> Result<()> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.limit {
            return Err(SqlError::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .detail(format!("The statement needs more than {} bytes at a time.", self.limit))
                .hint("Ask for fewer rows, or raise work_mem."));
        }
        Ok(())
    }

    /// What is given back; the caller knows what it had taken.
    pub fn free_bytes(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

pub(crate) fn row_bytes(row: &Row) -> usize {
    std::mem::size_of::<Row>() + row.iter().map(value_bytes).sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    let heap = match value {
        Value::Text(text) => text.len() + 16,
        Value::Bytea(bytes) => bytes.len() + 32,
        Value::Numeric(_) => 48,
        Value::Array(array) => array.values.iter().map(value_bytes).sum::<usize>() + 48,
        Value::Record(fields) => fields.iter().map(value_bytes).sum::<usize>() + 24,
        _ => 0,
    };
    std::mem::size_of::<Value>() + heap
}
