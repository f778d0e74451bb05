//! COPY: the formats (pure: `options`, `reader`, `writer`) and one COPY at work.

pub mod options;
pub mod reader;
pub mod writer;

use std::sync::Arc;

use bytes::Bytes;
use txn::Txn;

use self::{
    options::Options,
    reader::{Line, Reader},
    writer::Writer,
};
use crate::{
    catalog::{Column, Relation},
    error::{Result, SqlError, SqlState},
    exec::{self, Inserter},
    plan::{self, OutputColumn},
    session::{Canceller, Environment},
    types::{Row, Value, decode_text, to_text},
};

/// Rows handed to the executor at a time: large enough to share requests, small enough to stay in memory.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;
/// Context lines show at most so many bytes of the input.
const SHOWN_BYTES: usize = 100;

/// COPY FROM STDIN.
pub struct CopyIn {
    /// The transaction that it belongs to.
    pub(crate) serial: u64,
    pub(crate) relation: Arc<Relation>,
    columns: Vec<Column>,
    reader: Reader,
    inserter: Inserter,
    /// Rows go straight to their place: nobody else can see the table's key spaces.
    bulk: bool,
    pub(crate) environment: Environment,
    rows: Vec<Row>,
    bytes: usize,
    /// The line number of the first row of the batch.
    first_line: u64,
}

impl CopyIn {
    /// `columns`: positions in the table, in the order of the input.
    pub(crate) fn new(
        serial: u64,
        relation: Arc<Relation>,
        columns: &[usize],
        options: Options,
        insert: plan::Insert,
        bulk: bool,
        environment: Environment,
    ) -> CopyIn {
        let columns: Vec<Column> = columns.iter().map(|position| relation.columns()[*position].clone()).collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        CopyIn {
            serial,
            relation,
            reader: Reader::new(options, &names),
            columns,
            inserter: Inserter::new(Arc::new(insert)),
            bulk,
            environment,
            rows: Vec::new(),
            bytes: 0,
            first_line: 0,
        }
    }

    /// Takes a piece of the input, cut anywhere.
    pub(crate) async fn data(&mut self, data: &[u8], txn: &mut Txn, canceller: &Canceller) -> Result<()> {
        self.reader.push(data)?;
        while let Some(line) = self.next_line(false)? {
            self.line(&line, txn, canceller).await?;
        }
        Ok(())
    }

    /// The end of the input; how many rows were inserted.
    pub(crate) async fn finish(mut self, txn: &mut Txn, canceller: &Canceller) -> Result<u64> {
        while let Some(line) = self.next_line(true)? {
            self.line(&line, txn, canceller).await?;
        }
        self.flush(txn, canceller).await?;
        let mut context = self.environment.context(txn, canceller.flag());
        self.inserter.finish(&mut context).await
    }

    fn next_line(&mut self, last: bool) -> Result<Option<Line>> {
        let number = self.reader.line_number() + 1;
        self.reader
            .next_line(last)
            .map_err(|error| error.context(format!("COPY {}, line {number}", self.relation.name)))
    }

    async fn line(&mut self, line: &Line, txn: &mut Txn, canceller: &Canceller) -> Result<()> {
        if self.rows.is_empty() {
            self.first_line = line.number;
        }
        let row = self.parse(line)?;
        self.bytes += line.raw.len();
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.flush(txn, canceller).await?;
        }
        Ok(())
    }

    fn parse(&self, line: &Line) -> Result<Row> {
        let name = &self.relation.name;
        let whole = || format!("COPY {name}, line {}: \"{}\"", line.number, shown(&line.raw));
        let fields = self.reader.fields(line).map_err(|error| error.context(whole()))?;
        if fields.len() > self.columns.len() {
            let message = "extra data after last expected column";
            return Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message).context(whole()));
        }
        if let Some(missing) = self.columns.get(fields.len()) {
            let message = format!("missing data for column \"{}\"", missing.name);
            return Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message).context(whole()));
        }
        let format = self.environment.eval.format();
        fields
            .into_iter()
            .zip(&self.columns)
            .map(|(field, column)| match field {
                None => Ok(Value::Null),
                Some(text) => decode_text(&text, column.ty, column.typmod, format).map_err(|error| {
                    let shown = shown(text.as_bytes());
                    error.context(format!("COPY {name}, line {}, column {}: \"{shown}\"", line.number, column.name))
                }),
            })
            .collect()
    }

    async fn flush(&mut self, txn: &mut Txn, canceller: &Canceller) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        let mut context = self.environment.context(txn, canceller.flag());
        let inserted = if self.bulk {
            self.inserter.insert_bulk(rows, &mut context).await
        } else {
            self.inserter.insert(rows, &mut context).await
        };
        // Which row of the batch it was is not known here; the detail tells its values.
        inserted.map_err(|error| error.context(format!("COPY {}, line {}", self.relation.name, self.first_line)))
    }
}

/// COPY TO STDOUT.
pub struct CopyOut {
    pub(crate) serial: u64,
    cursor: exec::Cursor,
    columns: Vec<OutputColumn>,
    writer: Writer,
    header_due: bool,
    environment: Environment,
    rows: u64,
}

impl CopyOut {
    pub(crate) fn new(
        serial: u64,
        cursor: exec::Cursor,
        columns: Vec<OutputColumn>,
        options: Options,
        environment: Environment,
    ) -> CopyOut {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let writer = Writer::new(options, &names);
        CopyOut { serial, cursor, columns, writer, header_due: true, environment, rows: 0 }
    }

    /// The next lines; `None` at the end.
    pub(crate) async fn next(&mut self, txn: &mut Txn, canceller: &Canceller) -> Result<Option<Vec<Bytes>>> {
        if std::mem::take(&mut self.header_due) {
            let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
            if let Some(header) = self.writer.header(&names) {
                return Ok(Some(vec![header]));
            }
        }
        let mut context = self.environment.context(txn, canceller.flag());
        let Some(rows) = self.cursor.next_batch(&mut context).await? else { return Ok(None) };
        self.rows += rows.len() as u64;
        let format = self.environment.eval.format();
        let line = |row: &Row| {
            let field = |(value, column): (&Value, &OutputColumn)| match value {
                Value::Null => None,
                value => Some(to_text(value, column.ty, format)),
            };
            let fields: Vec<Option<String>> = row.iter().zip(&self.columns).map(field).collect();
            self.writer.row(&fields)
        };
        Ok(Some(rows.iter().map(line).collect()))
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let clipped: String = text.chars().take(SHOWN_BYTES).collect();
    if clipped.len() < text.len() { format!("{clipped}...") } else { clipped }
}
