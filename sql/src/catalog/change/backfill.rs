//! Fills new key spaces from the rows of a table: index builds, and rewrites of whole tables.
//!
//! The rows are read at the transaction's timestamp and the whole table becomes part of what it depends on: a writer that
//! commits in between makes the schema change fail with 40001, never an index with a hole.

use base::{IndexId, Span, TableId};
use bytes::Bytes;
use txn::{LockMode, ScanRequest, Txn, WaitPolicy};

use super::{Change, ChangeState, table_mut, table_of};
use crate::{
    bind,
    catalog::{
        ColumnId, Index, Relation, Table,
        sequence::SequenceCache,
        store::{self, Counter, Garbage},
    },
    encode::IndexLayout,
    error::{Result, SqlError, SqlState},
    exec::Sequences,
    expr::Expr,
    session::Database,
    types::{FormatOptions, Row, Value},
};

/// How rows change when a table is rewritten. Columns are carried over by their id.
#[derive(Default)]
pub struct Rebuild {
    /// This new column gets its default, evaluated for each row.
    pub fill_default: Option<ColumnId>,
    /// The column at this position of the old table is computed anew, over the old row.
    pub convert: Option<(usize, Expr)>,
}

/// Makes key spaces ready for bulk writes: should this transaction not commit, their garbage records stay behind.
pub async fn prepare_bulk(
    database: &Database,
    txn: &mut Txn,
    state: &mut ChangeState,
    table: TableId,
    spaces: impl IntoIterator<Item = IndexId>,
) -> Result<()> {
    let spaces: Vec<IndexId> = spaces.into_iter().filter(|space| state.prepared.insert(*space)).collect();
    if spaces.is_empty() {
        return Ok(());
    }
    let mut recorder = database.client.begin();
    let since_millis = recorder.stamp().await?.timestamp.millis();
    for space in &spaces {
        store::put_garbage(&mut recorder, table, *space, Garbage::Building { since_millis })?;
    }
    recorder.commit().await?;
    let keys: Vec<Bytes> = spaces.iter().map(|space| store::garbage_key(table, *space)).collect();
    txn.lock(&keys, LockMode::Update, WaitPolicy::Wait).await?;
    for key in keys {
        txn.delete(key, false)?;
    }
    Ok(())
}

impl Change<'_> {
    /// Builds a new index of a stored table.
    pub(super) async fn fill_index(&mut self, relation: &Relation, index: &Index) -> Result<()> {
        prepare_bulk(self.database, self.txn, self.state, relation.id, [index.id]).await?;
        let table = table_of(relation)?;
        let source = IndexLayout::new(relation.id, table, table.primary())?;
        let target = IndexLayout::new(relation.id, table, index)?;
        let mut rest = Some(source.span());
        while let Some(span) = rest {
            let (rows, resume) = read_rows(self.txn, &source, span).await?;
            self.write_entries(table, index, &target, &rows).await?;
            rest = resume;
        }
        Ok(())
    }

    /// Rewrites a table into new key spaces, and stores the new descriptor.
    pub(super) async fn rebuild(&mut self, old: &Relation, mut new: Relation, how: Rebuild) -> Result<()> {
        let old_table = table_of(old)?;
        let kept: Vec<IndexId> = old_table.indexes.iter().map(|index| index.id).collect();
        for position in 0..table_of(&new)?.indexes.len() {
            // Every index holds the key of the rows, or lies where the old rows are.
            if kept.contains(&table_of(&new)?.indexes[position].id) {
                let space = self.key_space().await?;
                table_mut(&mut new)?.indexes[position].id = space;
            }
        }
        let spaces: Vec<IndexId> = table_of(&new)?.indexes.iter().map(|index| index.id).collect();
        prepare_bulk(self.database, self.txn, self.state, new.id, spaces).await?;
        let new = self.put(new)?;
        let table = table_of(&new)?;
        let source = IndexLayout::new(old.id, old_table, old_table.primary())?;
        let targets = table
            .indexes
            .iter()
            .map(|index| IndexLayout::new(new.id, table, index))
            .collect::<Result<Vec<IndexLayout>>>()?;
        let filler = self.default_of(&new, how.fill_default)?;
        let mut rest = Some(source.span());
        while let Some(span) = rest {
            let (old_rows, resume) = read_rows(self.txn, &source, span).await?;
            let mut rows = Vec::with_capacity(old_rows.len());
            for row in &old_rows {
                rows.push(self.convert_row(old_table, &new, row, &how, filler.as_ref()).await?);
            }
            self.add_row_ids(&source, &targets[0], &old_rows, &mut rows).await?;
            for (index, target) in table.indexes.iter().zip(&targets) {
                self.write_entries(table, index, target, &rows).await?;
            }
            rest = resume;
        }
        for space in kept {
            self.discard(old.id, space).await?;
        }
        if how.convert.is_some() {
            for check in &table.checks {
                self.verify_check(&new, check).await?;
            }
        }
        Ok(())
    }

    /// The default of the column to be filled: an expression, or the sequence that it draws from.
    fn default_of(&self, relation: &Relation, id: Option<ColumnId>) -> Result<Option<Default>> {
        let Some(column) = id.and_then(|id| relation.columns().iter().find(|column| column.id == id)) else {
            return Ok(None);
        };
        if let Some(sequence) = column.owned_sequence {
            return Ok(Some(Default::Sequence(sequence)));
        }
        let Some(text) = &column.default else { return Ok(None) };
        let target = Some((column.ty, column.typmod));
        Ok(Some(Default::Expr(bind::bind_expression(text, None, target, &self.catalog)?)))
    }

    /// A row of the new table, without its hidden row id.
    async fn convert_row(
        &mut self,
        old: &Table,
        new: &Relation,
        row: &Row,
        how: &Rebuild,
        filler: Option<&Default>,
    ) -> Result<Row> {
        let mut result = Vec::with_capacity(row.len() + 1);
        for column in new.columns() {
            let value = match (old.slot(column.id), &how.convert) {
                (Some(slot), Some((converted, expr))) if slot == *converted => {
                    expr.eval(row, &self.environment.eval)?
                }
                (Some(slot), _) => row[slot].clone(),
                (None, _) => match filler {
                    Some(Default::Sequence(sequence)) => {
                        self.environment.sequences.catalog = self.catalog.clone();
                        self.environment.sequences.own = self.state.own_sequences.clone();
                        let number = self.environment.sequences.next_value(*sequence, self.txn).await?;
                        integer(column.ty, number)?
                    }
                    Some(Default::Expr(expr)) => expr.eval(&[], &self.environment.eval)?,
                    None => Value::Null,
                },
            };
            if value.is_null() && column.not_null {
                let message = format!("column \"{}\" of relation \"{}\" contains null values", column.name, new.name);
                return Err(SqlError::new(SqlState::NOT_NULL_VIOLATION, message)
                    .table(&new.schema, &new.name)
                    .column(&column.name));
            }
            result.push(value);
        }
        Ok(result)
    }

    /// Appends hidden row ids where the new table is keyed by them: the old ones, or fresh ones.
    async fn add_row_ids(
        &self,
        source: &IndexLayout,
        target: &IndexLayout,
        old: &[Row],
        rows: &mut [Row],
    ) -> Result<()> {
        if target.hidden_slot().is_none() || rows.is_empty() {
            return Ok(());
        }
        match source.hidden_slot() {
            Some(slot) => {
                for (row, old) in rows.iter_mut().zip(old) {
                    row.push(old[slot].clone());
                }
            }
            None => {
                let first = fresh_row_ids(&self.database.sequences, rows.len()).await?;
                for (id, row) in (first..).zip(rows) {
                    row.push(Value::Int8(id));
                }
            }
        }
        Ok(())
    }

    async fn write_entries(&mut self, table: &Table, index: &Index, layout: &IndexLayout, rows: &[Row]) -> Result<()> {
        let written = write_entries(self.txn, layout, index.unique, rows).await;
        written.map_err(|failure| match failure {
            BulkFailure::Duplicate(row) => duplicated(table, index, &row, self.environment.eval.format()),
            BulkFailure::Other(error) => error,
        })
    }
}

enum Default {
    Expr(Expr),
    Sequence(TableId),
}

/// A value of an integer type.
fn integer(ty: crate::types::DataType, number: i64) -> Result<Value> {
    use crate::types::DataType;
    let range = |name: &str| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"));
    Ok(match ty {
        DataType::INT2 => Value::Int2(number.try_into().map_err(|_| range("smallint"))?),
        DataType::INT4 => Value::Int4(number.try_into().map_err(|_| range("integer"))?),
        _ => Value::Int8(number),
    })
}

/// The first of so many fresh row ids.
pub async fn fresh_row_ids(sequences: &SequenceCache, count: usize) -> Result<i64> {
    let first = sequences.numbers(Counter::Row, count as u64).await?;
    i64::try_from(first).map_err(|_| SqlError::internal("out of row ids"))
}

/// Why rows could not be written in bulk.
pub enum BulkFailure {
    /// This row's key is there already.
    Duplicate(Row),
    Other(SqlError),
}

/// Writes the entries of rows in bulk.
pub async fn write_entries(
    txn: &mut Txn,
    layout: &IndexLayout,
    unique: bool,
    rows: &[Row],
) -> std::result::Result<(), BulkFailure> {
    let entries = rows.iter().map(|row| layout.encode(row)).collect::<Result<Vec<(Bytes, Bytes)>>>();
    let entries = entries.map_err(BulkFailure::Other)?;
    if entries.is_empty() {
        return Ok(());
    }
    match txn.bulk_write(entries, unique).await {
        Ok(()) => Ok(()),
        Err(txn::Error::Duplicate { key }) => {
            let found = rows.iter().find(|row| layout.encode_key(row).is_ok_and(|other| other == key));
            Err(match found {
                Some(row) => BulkFailure::Duplicate(row.clone()),
                None => BulkFailure::Other(SqlError::internal("a duplicate of a key that was not written")),
            })
        }
        Err(error) => Err(BulkFailure::Other(error.into())),
    }
}

/// One page of rows, decoded, and what is left to read.
async fn read_rows(txn: &mut Txn, layout: &IndexLayout, span: Span) -> Result<(Vec<Row>, Option<Span>)> {
    let page = txn.scan(&ScanRequest { span, ..ScanRequest::default() }).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for (key, value) in page.rows {
        let mut row = layout.empty_row();
        layout.decode(&key, &value, &mut row, None)?;
        rows.push(row);
    }
    Ok((rows, page.resume))
}

/// `(a, b)=(1, x)`: the key columns of an index and their values in a row.
pub fn key_text(table: &Table, index: &Index, row: &Row, format: &FormatOptions) -> String {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for key in &index.columns {
        if let (Some(column), Some(slot)) = (table.column(key.column), table.slot(key.column)) {
            names.push(column.name.clone());
            values.push(match &row[slot] {
                Value::Null => "null".to_owned(),
                value => crate::types::to_text(value, column.ty, format),
            });
        }
    }
    format!("({})=({})", names.join(", "), values.join(", "))
}

fn duplicated(table: &Table, index: &Index, row: &Row, format: &FormatOptions) -> SqlError {
    let message = format!("could not create unique index \"{}\"", index.name);
    SqlError::new(SqlState::UNIQUE_VIOLATION, message)
        .detail(format!("Key {} is duplicated.", key_text(table, index, row, format)))
        .constraint(&index.name)
}
