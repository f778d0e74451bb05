//! Rows and index entries as keys and values.
//!
//! A *storage row* has one slot for each visible column of the table, in order, and, where the primary index is keyed by a
//! hidden row id, one more at the end for it (`Value::Int8`).
//!
//! | index | key, after `0x10`, table id, index id | value |
//! |---|---|---|
//! | primary | key columns, or the hidden row id | the other columns |
//! | unique | its columns; where one is NULL, also the primary key | the primary key, INCLUDEd columns |
//! | not unique | its columns, then what is left of the primary key | INCLUDEd columns |
//!
//! The value is a version byte and then, in order of column ids, a tag (column id and kind) and the content of each column.
//! A column that is absent was added later and has its `missing` value; one that the table does not have was dropped. Key
//! columns whose key form loses something (the scale of a numeric, the padding of CHAR) are in the value too.

use std::ops::Bound;

use base::{IndexId, Span, TableId, span::prefix_end};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    catalog::descriptor::{Column, ColumnId, Index, IndexColumn, IndexKind, Table},
    error::{Result, SqlError},
    types::{DataType, Value},
};

#[path = "encode_key.rs"]
pub mod key;
#[path = "encode_value.rs"]
mod value;

/// First byte of the keys of tables; below are the system's (`storage::range::SYSTEM_END`).
const TABLES: u8 = 0x10;

/// The prefix of an index's keys.
pub fn index_prefix(table: TableId, index: IndexId) -> Vec<u8> {
    let mut prefix = table_prefix(table);
    prefix.extend_from_slice(&index.0.to_be_bytes());
    prefix
}

fn table_prefix(table: TableId) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(32);
    prefix.push(TABLES);
    prefix.extend_from_slice(&table.0.to_be_bytes());
    prefix
}

/// All keys of an index.
pub fn index_span(table: TableId, index: IndexId) -> Span {
    Span::prefix(&index_prefix(table, index))
}

/// All keys of a table.
pub fn table_span(table: TableId) -> Span {
    Span::prefix(&table_prefix(table))
}

/// Table and index of a user key.
pub fn locate(key: &[u8]) -> Option<(TableId, IndexId)> {
    let (&TABLES, rest) = key.split_first()? else { return None };
    let table = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
    let index = u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?);
    Some((TableId(table), IndexId(index)))
}

/// How one index of one version of a table is laid out. Made once for a plan; it travels with pushdown programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexLayout {
    prefix: Vec<u8>,
    primary: bool,
    unique: bool,
    /// The index's own columns.
    columns: Vec<KeyColumn>,
    /// Columns of the primary key that are not among them (secondary indexes).
    rest: Vec<KeyColumn>,
    /// In order of column ids.
    stored: Vec<StoredColumn>,
    width: usize,
    /// Rows are keyed by a hidden row id, in the last slot.
    hidden: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyColumn {
    pub slot: usize,
    pub ty: DataType,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredColumn {
    id: u16,
    slot: usize,
    ty: DataType,
    missing: Value,
}

/// The hidden row id is stored under the one id that no column has.
const HIDDEN_COLUMN: u16 = 0;

impl IndexLayout {
    pub fn new(id: TableId, table: &Table, index: &Index) -> Result<IndexLayout> {
        let primary_index = table.primary();
        let primary = index.kind == IndexKind::Primary;
        let hidden = primary_index.hidden_row_id;
        let width = table.columns.len() + usize::from(hidden);
        let columns = if primary && hidden { vec![hidden_column(width)] } else { key_columns(table, &index.columns)? };
        let rest = match (primary, hidden) {
            (true, _) => Vec::new(),
            (false, true) => vec![hidden_column(width)],
            (false, false) => key_columns(table, &primary_index.columns)?
                .into_iter()
                .filter(|part| columns.iter().all(|own| own.slot != part.slot))
                // How the rest is ordered matters to nobody: the plain form.
                .map(|part| KeyColumn { descending: false, nulls_first: false, ..part })
                .collect(),
        };
        let mut layout = IndexLayout {
            prefix: index_prefix(id, index.id),
            primary,
            unique: index.unique || primary,
            columns,
            rest,
            stored: Vec::new(),
            width,
            hidden,
        };
        layout.stored = layout.stored_columns(table, index)?;
        Ok(layout)
    }

    fn stored_columns(&self, table: &Table, index: &Index) -> Result<Vec<StoredColumn>> {
        let in_key = |slot: usize| self.columns.iter().chain(&self.rest).any(|part| part.slot == slot);
        let in_rest = |slot: usize| self.rest.iter().any(|part| part.slot == slot);
        let mut stored = Vec::new();
        for (slot, column) in table.columns.iter().enumerate() {
            let wanted = if self.primary {
                !in_key(slot) || key::is_lossy(column.ty)
            } else {
                // A unique index has the primary key in its key only where there are NULLs: so it is always in the value.
                (in_key(slot) && key::is_lossy(column.ty))
                    || (self.unique && in_rest(slot))
                    || (index.include.contains(&column.id) && !in_key(slot))
            };
            if wanted {
                stored.push(StoredColumn {
                    id: column.id.0,
                    slot,
                    ty: column.ty,
                    missing: column.missing.clone().unwrap_or_default(),
                });
            }
        }
        if !self.primary && self.unique && self.hidden {
            let (id, slot) = (HIDDEN_COLUMN, self.width - 1);
            stored.push(StoredColumn { id, slot, ty: DataType::INT8, missing: Value::Null });
        }
        stored.sort_by_key(|column| column.id);
        if stored.windows(2).any(|pair| pair[0].id == pair[1].id) {
            return Err(SqlError::internal("two columns of one id"));
        }
        Ok(stored)
    }

    /// Slots of a storage row, the hidden row id's included.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The slot of the hidden row id, where rows are keyed by one.
    pub fn hidden_slot(&self) -> Option<usize> {
        self.hidden.then(|| self.width - 1)
    }

    pub fn columns(&self) -> &[KeyColumn] {
        &self.columns
    }

    /// Whether it is a unique index (the primary index is one).
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether an entry of this index has the column of a slot (else the row must be fetched from the primary index).
    pub fn provides(&self, slot: usize) -> bool {
        self.columns.iter().chain(&self.rest).any(|part| part.slot == slot)
            || self.stored.iter().any(|column| column.slot == slot)
    }

    /// Whether the row's key in this unique index must be unique: not where a column is NULL.
    pub fn must_be_unique(&self, row: &[Value]) -> bool {
        self.unique && (self.primary || !self.has_null(row))
    }

    fn has_null(&self, row: &[Value]) -> bool {
        self.columns.iter().any(|part| row.get(part.slot).is_none_or(Value::is_null))
    }

    /// The key of a row's entry.
    pub fn encode_key(&self, row: &[Value]) -> Result<Bytes> {
        let mut out = self.prefix.clone();
        for part in &self.columns {
            key::put(&mut out, self.at(row, part.slot)?, part)?;
        }
        if !self.primary && (!self.unique || self.has_null(row)) {
            for part in &self.rest {
                key::put(&mut out, self.at(row, part.slot)?, part)?;
            }
        }
        Ok(out.into())
    }

    /// The value of a row's entry.
    pub fn encode_value(&self, row: &[Value]) -> Result<Bytes> {
        let mut out = Vec::with_capacity(16 + self.stored.len() * 8);
        out.push(value::VERSION);
        for column in &self.stored {
            value::put(&mut out, column.id, self.at(row, column.slot)?)?;
        }
        Ok(out.into())
    }

    pub fn encode(&self, row: &[Value]) -> Result<(Bytes, Bytes)> {
        Ok((self.encode_key(row)?, self.encode_value(row)?))
    }

    fn at<'a>(&self, row: &'a [Value], slot: usize) -> Result<&'a Value> {
        row.get(slot).ok_or_else(|| SqlError::internal("a row is too short for its table"))
    }

    /// A row of NULLs, to decode into.
    pub fn empty_row(&self) -> Vec<Value> {
        vec![Value::Null; self.width]
    }

    /// Reads the columns that an entry has into their slots; the others are left alone. With `needed`, only the slots that
    /// are marked.
    pub fn decode(&self, key: &[u8], value: &[u8], row: &mut [Value], needed: Option<&[bool]>) -> Result<()> {
        if row.len() < self.width {
            return Err(SqlError::internal("a row is too short for its table"));
        }
        let wanted = |slot: usize| needed.is_none_or(|needed| needed.get(slot).copied().unwrap_or(false));
        self.decode_key(key, row, &wanted)?;
        if self.stored.iter().any(|column| wanted(column.slot)) {
            self.decode_value(value, row, &wanted)?;
        }
        Ok(())
    }

    /// The values of the index's own columns in a key.
    pub fn decode_columns(&self, key: &[u8]) -> Result<Vec<Value>> {
        let mut input = key.strip_prefix(&self.prefix[..]).ok_or_else(|| corrupt("a key of another index"))?;
        let take = |column| key::take(&mut input, column).map_err(|_| corrupt("a malformed key"));
        self.columns.iter().map(take).collect()
    }

    fn decode_key(&self, key: &[u8], row: &mut [Value], wanted: &dyn Fn(usize) -> bool) -> Result<()> {
        let mut input = key.strip_prefix(&self.prefix[..]).ok_or_else(|| corrupt("a key of another index"))?;
        let rest: &[KeyColumn] = if self.unique { &[] } else { &self.rest };
        // What is after the last column wanted needs no reading.
        let parts = self.columns.iter().chain(rest);
        let count = parts.clone().enumerate().filter(|(_, part)| wanted(part.slot)).last().map_or(0, |(at, _)| at + 1);
        for part in parts.take(count) {
            let value = key::take(&mut input, part).map_err(|_| corrupt("a malformed key"))?;
            if wanted(part.slot) {
                row[part.slot] = value;
            }
        }
        Ok(())
    }

    fn decode_value(&self, value: &[u8], row: &mut [Value], wanted: &dyn Fn(usize) -> bool) -> Result<()> {
        let mut fields = value::Fields::new(value).ok_or_else(|| corrupt("a row of an unknown version"))?;
        let mut field = fields.next().map_err(|_| corrupt("a malformed row"))?;
        for column in &self.stored {
            while let Some(found) = &field
                && found.id < column.id
            {
                field = fields.next().map_err(|_| corrupt("a malformed row"))?;
            }
            match &field {
                _ if !wanted(column.slot) => {}
                Some(found) if found.id == column.id => {
                    row[column.slot] = found.decode(column.ty).ok_or_else(|| corrupt("a malformed column"))?;
                }
                _ => row[column.slot] = column.missing.clone(),
            }
        }
        Ok(())
    }

    /// The value with only the marked slots' columns in it; decodes as before, for those.
    pub fn project_value(&self, value: &[u8], needed: &[bool]) -> Result<Bytes> {
        let mut fields = value::Fields::new(value).ok_or_else(|| corrupt("a row of an unknown version"))?;
        let mut out = Vec::with_capacity(value.len());
        out.push(value::VERSION);
        while let Some(field) = fields.next().map_err(|_| corrupt("a malformed row"))? {
            let slot = self.stored.iter().find(|column| column.id == field.id).map(|column| column.slot);
            if slot.is_some_and(|slot| needed.get(slot).copied().unwrap_or(false)) {
                out.extend_from_slice(field.raw);
            }
        }
        Ok(out.into())
    }

    /// All entries.
    pub fn span(&self) -> Span {
        Span::prefix(&self.prefix)
    }

    /// Entries whose first columns have these values (NULL means IS NULL). With all columns of a unique index, none of them
    /// NULL, the span's start is the key itself.
    pub fn prefix_span(&self, values: &[Value]) -> Result<Span> {
        Ok(Span::prefix(&self.prefix_key(values)?))
    }

    /// The beginning of the keys whose first columns have these values.
    pub fn prefix_key(&self, values: &[Value]) -> Result<Vec<u8>> {
        let mut out = self.prefix.clone();
        for (part, value) in self.columns.iter().chain(&self.rest).zip(values) {
            key::put(&mut out, value, part)?;
        }
        Ok(out)
    }

    /// Entries whose first columns equal `equal` and whose next column lies within the bounds. NULLs of that column are
    /// outside. With both bounds open: IS NOT NULL.
    pub fn range_span(&self, equal: &[Value], lower: Bound<&Value>, upper: Bound<&Value>) -> Result<Span> {
        let prefix = self.prefix_key(equal)?;
        let part = self.columns.get(equal.len()).ok_or_else(|| SqlError::internal("a range on no column"))?;
        let encoded = |value: &Value| -> Result<Vec<u8>> {
            let mut out = prefix.clone();
            key::put(&mut out, value, part)?;
            Ok(out)
        };
        let not_null = [&prefix[..], &[key::not_null_marker(part)]].concat();
        // In a descending column the greater values come first.
        let (first, last) = if part.descending { (upper, lower) } else { (lower, upper) };
        let start: Bytes = match first {
            Bound::Included(value) => encoded(value)?.into(),
            Bound::Excluded(value) => prefix_end(&encoded(value)?),
            Bound::Unbounded => not_null.clone().into(),
        };
        let end = match last {
            Bound::Included(value) => prefix_end(&encoded(value)?),
            Bound::Excluded(value) => encoded(value)?.into(),
            Bound::Unbounded => prefix_end(&not_null),
        };
        Ok(Span { start, end })
    }
}

fn corrupt(what: &str) -> SqlError {
    SqlError::internal(format!("corrupt data: {what}"))
}

fn hidden_column(width: usize) -> KeyColumn {
    KeyColumn { slot: width - 1, ty: DataType::INT8, descending: false, nulls_first: false }
}

fn key_columns(table: &Table, columns: &[IndexColumn]) -> Result<Vec<KeyColumn>> {
    columns
        .iter()
        .map(|index_column| {
            let (slot, column) = find(table, index_column.column)?;
            if !key::is_indexable(column.ty) {
                return Err(SqlError::unsupported(format!("an index on a column of type {}", column.ty)));
            }
            Ok(KeyColumn {
                slot,
                ty: column.ty,
                descending: index_column.descending,
                nulls_first: index_column.nulls_first,
            })
        })
        .collect()
}

fn find(table: &Table, id: ColumnId) -> Result<(usize, &Column)> {
    table
        .columns
        .iter()
        .enumerate()
        .find(|(_, column)| column.id == id)
        .ok_or_else(|| SqlError::internal(format!("an index on the unknown column {}", id.0)))
}

#[cfg(test)]
#[path = "encode_test.rs"]
mod tests;
