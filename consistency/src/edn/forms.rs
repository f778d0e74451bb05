//! Cutting a stream of text into its top-level maps: one map a line, as Jepsen writes them, or all in one vector.

use std::io::{self, BufRead};

/// An operation longer than this is not one.
const FORM_BYTES_MAX: usize = 256 << 20;

/// Finds one `{…}` after the other. Vectors and lists around them, tags before them and comments are passed over.
pub struct Forms<R> {
    input: R,
    buffer: Vec<u8>,
    /// Lines that have ended so far.
    lines: u64,
    bytes: u64,
}

/// The text of one map.
#[derive(Debug, PartialEq, Eq)]
pub struct Form<'a> {
    pub text: &'a [u8],
    /// The line on which it begins, from 1.
    pub line: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("line {line}: {message}")]
    Text { line: u64, message: String },
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    String,
    /// After a backslash, in a string or as a character.
    Escape(bool),
    Comment,
    /// A tag between maps: `#jepsen.history.Op`.
    Tag,
}

/// What one byte means for the scanner.
#[derive(PartialEq, Eq)]
enum Step {
    Inside,
    Begin,
    End,
    Wrong,
}

impl<R: BufRead> Forms<R> {
    pub fn new(input: R) -> Forms<R> {
        Forms { input, buffer: Vec::new(), lines: 0, bytes: 0 }
    }

    /// Bytes consumed so far, for progress.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next map; `None` at the end.
    pub fn next_form(&mut self) -> Result<Option<Form<'_>>, FormError> {
        self.buffer.clear();
        let (mut inside, mut depth, mut line) = (Inside::Code, 0usize, 0);
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return self.at_end(depth, line);
            }
            let mut begin = (depth > 0).then_some(0);
            let mut end = None;
            for (at, byte) in chunk.iter().enumerate() {
                match step(*byte, &mut inside, &mut depth) {
                    Step::Inside => {}
                    Step::Begin => {
                        begin = Some(at);
                        line = self.lines + 1;
                    }
                    Step::End => {
                        end = Some(at + 1);
                        break;
                    }
                    Step::Wrong => {
                        let message = format!("expected an operation like {{:type …}}, found {:?}", char::from(*byte));
                        return Err(FormError::Text { line: self.lines + 1, message });
                    }
                }
                self.lines += u64::from(*byte == b'\n');
            }
            let used = end.unwrap_or(chunk.len());
            self.buffer.extend_from_slice(&chunk[begin.unwrap_or(used)..used]);
            self.input.consume(used);
            self.bytes += used as u64;
            if self.buffer.len() > FORM_BYTES_MAX {
                return Err(FormError::Text { line, message: "an operation is too long".into() });
            }
            if end.is_some() {
                return Ok(Some(Form { text: &self.buffer, line }));
            }
        }
    }

    fn at_end(&self, depth: usize, line: u64) -> Result<Option<Form<'_>>, FormError> {
        if depth > 0 {
            return Err(FormError::Text { line, message: "the operation that begins here does not end".into() });
        }
        Ok(None)
    }
}

fn step(byte: u8, inside: &mut Inside, depth: &mut usize) -> Step {
    match *inside {
        Inside::String => match byte {
            b'"' => *inside = Inside::Code,
            b'\\' => *inside = Inside::Escape(true),
            _ => {}
        },
        Inside::Escape(in_string) => *inside = if in_string { Inside::String } else { Inside::Code },
        Inside::Comment => {
            if byte == b'\n' {
                *inside = Inside::Code;
            }
        }
        Inside::Tag if byte != b'{' && !byte.is_ascii_whitespace() => {}
        Inside::Code | Inside::Tag => {
            *inside = Inside::Code;
            return code(byte, inside, depth);
        }
    }
    Step::Inside
}

fn code(byte: u8, inside: &mut Inside, depth: &mut usize) -> Step {
    match byte {
        b'{' => {
            *depth += 1;
            if *depth == 1 {
                return Step::Begin;
            }
        }
        b';' => *inside = Inside::Comment,
        b'}' if *depth > 0 => {
            *depth -= 1;
            if *depth == 0 {
                return Step::End;
            }
        }
        b'"' if *depth > 0 => *inside = Inside::String,
        b'\\' if *depth > 0 => *inside = Inside::Escape(false),
        _ if *depth > 0 => {}
        b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | b'(' | b')' => {}
        b'#' => *inside = Inside::Tag,
        _ => return Step::Wrong,
    }
    Step::Inside
}
