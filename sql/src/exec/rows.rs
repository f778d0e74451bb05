//! Rows and keys of one table. A storage row has the visible columns and, last, the hidden row id where there is one (see
//! `encode`).

use bytes::Bytes;

use crate::{
    encode::IndexLayout,
    error::Result,
    types::{Row, Value},
};

/// The storage row under a key of the primary index.
pub(crate) fn storage_row(layouts: &[IndexLayout], key: &[u8], value: &[u8]) -> Result<Row> {
    let mut row = layouts[0].empty_row();
    layouts[0].decode(key, value, &mut row, None)?;
    Ok(row)
}

/// Visible columns and the row's key: the storage row.
pub(crate) fn with_row_id(layouts: &[IndexLayout], visible: &[Value], key: &[u8]) -> Result<Row> {
    let layout = &layouts[0];
    let mut row = Vec::with_capacity(layout.width());
    row.extend_from_slice(visible);
    if let Some(slot) = layout.hidden_slot() {
        row.resize(layout.width(), Value::Null);
        let mut needed = vec![false; layout.width()];
        needed[slot] = true;
        layout.decode(key, &[], &mut row, Some(&needed))?;
    }
    Ok(row)
}

/// The key in the primary index of the row behind an entry of another one.
pub(crate) fn primary_key(layouts: &[IndexLayout], index: usize, key: &[u8], value: &[u8]) -> Result<Bytes> {
    let mut row = layouts[index].empty_row();
    layouts[index].decode(key, value, &mut row, None)?;
    layouts[0].encode_key(&row)
}
