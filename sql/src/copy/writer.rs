//! Writes rows the way COPY TO sends them: one message a row.

use bytes::Bytes;

use super::options::{Format, Options};

pub struct Writer {
    options: Options,
    force_quote: Vec<bool>,
}

impl Writer {
    pub fn new(options: Options, columns: &[String]) -> Writer {
        let force_quote = columns
            .iter()
            .map(|name| options.force_quote.iter().any(|listed| listed == name || listed == "*"))
            .collect();
        Writer { options, force_quote }
    }

    /// The header line, if one is wanted.
    pub fn header(&self, columns: &[String]) -> Option<Bytes> {
        self.options.header.then(|| {
            let names: Vec<Option<String>> = columns.iter().cloned().map(Some).collect();
            self.line(&names, false)
        })
    }

    /// One row of fields in text format; `None` is NULL.
    pub fn row(&self, fields: &[Option<String>]) -> Bytes {
        self.line(fields, true)
    }

    fn line(&self, fields: &[Option<String>], data: bool) -> Bytes {
        let mut line = Vec::with_capacity(fields.len() * 12);
        for (column, field) in fields.iter().enumerate() {
            if column > 0 {
                line.push(self.options.delimiter);
            }
            let forced = data && self.force_quote.get(column).copied().unwrap_or(false);
            match (field, self.options.format) {
                (None, _) => line.extend_from_slice(self.options.null.as_bytes()),
                (Some(text), Format::Text) => self.escaped(&mut line, text),
                (Some(text), Format::Csv) => self.quoted(&mut line, text, forced, fields.len() == 1),
            }
        }
        line.push(b'\n');
        line.into()
    }

    fn escaped(&self, line: &mut Vec<u8>, text: &str) {
        for byte in text.bytes() {
            match byte {
                8 => line.extend_from_slice(b"\\b"),
                12 => line.extend_from_slice(b"\\f"),
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                b'\t' => line.extend_from_slice(b"\\t"),
                11 => line.extend_from_slice(b"\\v"),
                b'\\' => line.extend_from_slice(b"\\\\"),
                byte if byte == self.options.delimiter => line.extend([b'\\', byte]),
                byte => line.push(byte),
            }
        }
    }

    fn quoted(&self, line: &mut Vec<u8>, text: &str, forced: bool, alone: bool) {
        let Options { delimiter, quote, escape, .. } = self.options;
        let special = |byte: u8| byte == delimiter || byte == quote || byte == b'\n' || byte == b'\r';
        let ambiguous = text == self.options.null || (alone && text == "\\.");
        if !(forced || ambiguous || text.bytes().any(special)) {
            line.extend_from_slice(text.as_bytes());
            return;
        }
        line.push(quote);
        for byte in text.bytes() {
            if byte == quote || byte == escape {
                line.push(escape);
            }
            line.push(byte);
        }
        line.push(quote);
    }
}
