//! Rows, their description, and parameters: values to bytes and back, in the formats that the client asked for.

use bytes::{BufMut, Bytes, BytesMut};
use pgwire::messages::data::{FieldDescription, RowDescription};
use sql::{
    DataType, Row, SqlError, SqlState, Value,
    plan::OutputColumn,
    types::{FormatOptions, decode_binary, decode_text, encode_binary, encode_text, registry},
};

use crate::{
    error::state,
    message::{Bind, SqlErrorText, utf8},
};

/// Parameters have a type, but no length or precision.
const NO_TYPMOD: i32 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    fn from_code(code: i16) -> Result<Format, SqlError> {
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            _ => Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid format code: {code}"))),
        }
    }
}

/// Format codes as the protocol abbreviates them: none is all text, one is for all, else one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Formats(Vec<Format>);

impl Formats {
    pub(crate) fn text() -> Formats {
        Formats(Vec::new())
    }

    /// `None` when the number of codes does not fit the number of columns.
    pub(crate) fn new(codes: &[i16], columns: usize) -> Result<Option<Formats>, SqlError> {
        if codes.len() > 1 && codes.len() != columns {
            return Ok(None);
        }
        codes.iter().map(|code| Format::from_code(*code)).collect::<Result<_, _>>().map(Formats).map(Some)
    }

    pub(crate) fn of(&self, column: usize) -> Format {
        match &self.0[..] {
            [] => Format::Text,
            [all] => *all,
            each => each.get(column).copied().unwrap_or(Format::Text),
        }
    }
}

pub(crate) fn row_description(columns: &[OutputColumn], formats: &Formats) -> RowDescription {
    let field = |(position, column): (usize, &OutputColumn)| {
        let (table, attribute) = column.origin.unwrap_or_default();
        let size = registry::get(column.ty).map_or(-1, |info| info.len);
        FieldDescription::new(
            column.name.clone(),
            table as i32,
            attribute as i16,
            column.ty.0,
            size,
            column.typmod,
            formats.of(position) as i16,
        )
    };
    RowDescription::new(columns.iter().enumerate().map(field).collect())
}

/// Appends a DataRow. On error nothing is appended.
pub(crate) fn put_row(
    output: &mut BytesMut,
    row: &Row,
    columns: &[OutputColumn],
    formats: &Formats,
    options: &FormatOptions,
) -> Result<(), SqlError> {
    let start = output.len();
    output.put_u8(b'D');
    output.put_i32(0);
    output.put_u16(row.len() as u16);
    for (position, value) in row.iter().enumerate() {
        let field = output.len();
        output.put_i32(-1);
        if value.is_null() {
            continue;
        }
        let ty = columns.get(position).map_or(DataType::TEXT, |column| column.ty);
        match formats.of(position) {
            Format::Text => encode_text(value, ty, options, output),
            Format::Binary => encode_binary(value, ty, output),
        }
        let length = output.len() - field - 4;
        put_length(output, field, length).inspect_err(|_| output.truncate(start))?;
    }
    let length = output.len() - start - 1;
    put_length(output, start + 1, length).inspect_err(|_| output.truncate(start))
}

fn put_length(output: &mut BytesMut, at: usize, length: usize) -> Result<(), SqlError> {
    let length = i32::try_from(length)
        .map_err(|_| SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too large to be sent to the client"))?;
    output[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The parameters of a Bind message as values of the statement's parameter types.
pub(crate) fn parameters(bind: &Bind, types: &[DataType], options: &FormatOptions) -> Result<Vec<Value>, SqlError> {
    let given = bind.parameters.len();
    if given != types.len() {
        return Err(SqlError::new(
            state::PROTOCOL_VIOLATION,
            format!(
                "bind message supplies {given} parameters, but prepared statement \"{}\" requires {}",
                bind.statement,
                types.len()
            ),
        ));
    }
    let formats = Formats::new(&bind.parameter_formats, given)?.ok_or_else(|| {
        let codes = bind.parameter_formats.len();
        let message = format!("bind message has {codes} parameter formats but {given} parameters");
        SqlError::new(state::PROTOCOL_VIOLATION, message)
    })?;
    let values = bind.parameters.iter().zip(types).enumerate();
    values.map(|(position, (bytes, ty))| parameter(bytes.as_ref(), *ty, formats.of(position), options)).collect()
}

fn parameter(bytes: Option<&Bytes>, ty: DataType, format: Format, options: &FormatOptions) -> Result<Value, SqlError> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    match format {
        Format::Text => decode_text(utf8(bytes).map_err(SqlErrorText::into_error)?, ty, NO_TYPMOD, options),
        Format::Binary => decode_binary(bytes, ty, NO_TYPMOD),
    }
}

#[cfg(test)]
#[path = "rows_test.rs"]
mod tests;
