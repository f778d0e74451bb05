//! Cuts the bytes of COPY FROM into lines and fields. Pure: bytes come in pieces cut anywhere.

use super::options::{Format, Options};
use crate::error::{Result, SqlError, SqlState};

/// A line that does not end within so many bytes is refused.
const LINE_BYTES_MAX: usize = 256 << 20;

/// One field: `None` is NULL.
pub type Field = Option<String>;

/// One line of input.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// As it came, for error messages.
    pub raw: Vec<u8>,
}

pub struct Reader {
    options: Options,
    /// Which columns take the null string as data, and which take it as NULL even quoted.
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    buffer: Vec<u8>,
    /// Where the next line begins in `buffer`.
    start: usize,
    /// How far it has been looked at without finding the end of the line.
    scanned: usize,
    in_quotes: bool,
    lines: u64,
    /// `\.` has been met: the rest does not count.
    ended: bool,
}

impl Reader {
    /// `columns`: the names of the columns that are read.
    pub fn new(options: Options, columns: &[String]) -> Reader {
        let listed = |list: &[String]| -> Vec<bool> {
            columns.iter().map(|name| list.iter().any(|listed| listed == name || listed == "*")).collect()
        };
        Reader {
            force_not_null: listed(&options.force_not_null),
            force_null: listed(&options.force_null),
            options,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            in_quotes: false,
            lines: 0,
            ended: false,
        }
    }

    pub fn push(&mut self, data: &[u8]) -> Result<()> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.len() + data.len() > LINE_BYTES_MAX {
            return Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "a line of COPY data is too long"));
        }
        if !self.ended {
            self.buffer.extend_from_slice(data);
        }
        Ok(())
    }

    /// The next complete line; with `last`, also an unterminated one at the end. The header is left out.
    pub fn next_line(&mut self, last: bool) -> Result<Option<Line>> {
        while let Some(line) = self.cut_line(last)? {
            self.lines += 1;
            if self.lines == 1 && self.options.header {
                continue;
            }
            if line == b"\\." {
                self.ended = true;
                self.buffer.clear();
                self.start = 0;
                self.scanned = 0;
                return Ok(None);
            }
            return Ok(Some(Line { number: self.lines, raw: line }));
        }
        Ok(None)
    }

    pub fn line_number(&self) -> u64 {
        self.lines
    }

    fn cut_line(&mut self, last: bool) -> Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let end = match self.options.format {
            Format::Text => self.find_text_end(),
            Format::Csv => self.find_csv_end(),
        };
        let line = match end {
            Some(end) => {
                let line = &self.buffer[self.start..end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.start = end + 1;
                self.scanned = self.start;
                line
            }
            None if last && self.start < self.buffer.len() => {
                if self.in_quotes {
                    let message = "unterminated CSV quoted field";
                    return Err(SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message));
                }
                let line = &self.buffer[self.start..];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.start = self.buffer.len();
                self.scanned = self.start;
                line
            }
            None => return Ok(None),
        };
        Ok(Some(line))
    }

    /// A newline ends the line unless an odd number of backslashes stands before it.
    fn find_text_end(&mut self) -> Option<usize> {
        while let Some(offset) = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let at = self.scanned + offset;
            let backslashes = self.buffer[self.start..at].iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                return Some(at);
            }
            self.scanned = at + 1;
        }
        self.scanned = self.buffer.len();
        None
    }

    /// A newline ends the line unless it is quoted. An escape character that is not the quote hides the next one.
    fn find_csv_end(&mut self) -> Option<usize> {
        let (quote, escape) = (self.options.quote, self.options.escape);
        let mut at = self.scanned;
        while at < self.buffer.len() {
            let byte = self.buffer[at];
            if self.in_quotes && byte == escape && escape != quote {
                if at + 1 >= self.buffer.len() {
                    break;
                }
                at += 1;
            } else if byte == quote {
                // A doubled quote leaves and enters again: the same in the end.
                self.in_quotes = !self.in_quotes;
            } else if byte == b'\n' && !self.in_quotes {
                return Some(at);
            }
            at += 1;
        }
        self.scanned = at;
        None
    }

    /// The fields of a line.
    pub fn fields(&self, line: &Line) -> Result<Vec<Field>> {
        match self.options.format {
            Format::Text => self.text_fields(&line.raw),
            Format::Csv => self.csv_fields(&line.raw),
        }
    }

    fn text_fields(&self, line: &[u8]) -> Result<Vec<Field>> {
        let mut fields = Vec::with_capacity(self.force_null.len());
        let mut rest = line;
        loop {
            let end = text_field_end(rest, self.options.delimiter);
            let raw = &rest[..end];
            if raw == self.options.null.as_bytes() {
                fields.push(None);
            } else if raw.contains(&b'\\') {
                fields.push(Some(utf8(unescape(raw))?));
            } else {
                fields.push(Some(utf8(raw.to_vec())?));
            }
            if end == rest.len() {
                return Ok(fields);
            }
            rest = &rest[end + 1..];
        }
    }

    fn csv_fields(&self, line: &[u8]) -> Result<Vec<Field>> {
        let Options { delimiter, quote, escape, .. } = self.options;
        let mut fields = Vec::with_capacity(self.force_null.len());
        let mut at = 0;
        loop {
            let mut value = Vec::new();
            let (mut in_quotes, mut quoted) = (false, false);
            while at < line.len() {
                let byte = line[at];
                let next = line.get(at + 1).copied();
                if in_quotes && byte == escape && next.is_some_and(|next| next == quote || next == escape) {
                    value.extend(next);
                    at += 2;
                    continue;
                }
                if byte == quote {
                    in_quotes = !in_quotes;
                    quoted = true;
                } else if byte == delimiter && !in_quotes {
                    break;
                } else {
                    value.push(byte);
                }
                at += 1;
            }
            let column = fields.len();
            let force_not_null = self.force_not_null.get(column).copied().unwrap_or(false);
            let force_null = self.force_null.get(column).copied().unwrap_or(false);
            let is_null = value == self.options.null.as_bytes() && (if quoted { force_null } else { !force_not_null });
            fields.push(if is_null { None } else { Some(utf8(value)?) });
            if at >= line.len() {
                return Ok(fields);
            }
            at += 1;
        }
    }
}

fn text_field_end(line: &[u8], delimiter: u8) -> usize {
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'\\' => at += 2,
            byte if byte == delimiter => return at,
            _ => at += 1,
        }
    }
    line.len()
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        let Some((&escaped, tail)) = rest.split_first() else {
            value.push(b'\\');
            break;
        };
        rest = tail;
        match escaped {
            b'b' => value.push(8),
            b'f' => value.push(12),
            b'n' => value.push(b'\n'),
            b'r' => value.push(b'\r'),
            b't' => value.push(b'\t'),
            b'v' => value.push(11),
            b'0'..=b'7' => {
                let more = rest.iter().take(2).take_while(|digit| (b'0'..=b'7').contains(digit)).count();
                let digits = rest[..more].iter().map(|digit| u32::from(digit - b'0'));
                let code = digits.fold(u32::from(escaped - b'0'), |code, digit| code * 8 + digit);
                value.push((code & 0xff) as u8);
                rest = &rest[more..];
            }
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
                let count = rest.iter().take(2).take_while(|digit| digit.is_ascii_hexdigit()).count();
                let code = rest[..count].iter().filter_map(|digit| (*digit as char).to_digit(16));
                value.push(code.fold(0, |code, digit| code * 16 + digit) as u8);
                rest = &rest[count..];
            }
            other => value.push(other),
        }
    }
    value
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    let invalid = |bytes: &[u8], at: usize, len: Option<usize>| {
        let shown: Vec<String> =
            bytes[at..].iter().take(len.unwrap_or(1).max(1)).map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    };
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err(invalid(&[0], 0, None)),
        Ok(text) => Ok(text),
        Err(error) => {
            let (at, len) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len());
            Err(invalid(error.as_bytes(), at, len))
        }
    }
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
