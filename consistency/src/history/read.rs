//! Histories from files of Jepsen's format, whoever wrote them.
//!
//! A process does one thing at a time: its invocation and the next line of the same process belong together. An operation
//! without a completion, and one that ended in `:info`, is [`Outcome::Unknown`].

use std::{collections::BTreeMap, io::BufRead};

use super::{Body, History, Names, Operation, Outcome};
use crate::edn::{Cursor, Error, Forms, forms::FormError};

/// A history with what a file says beside it.
#[derive(Debug)]
pub struct Loaded<T> {
    pub history: History<T>,
    pub nemesis: Vec<NemesisEvent>,
    /// Lines of operations that this workload does not know, by `:f`.
    pub ignored: BTreeMap<String, u64>,
    /// Completions without an invocation: they may have begun at any time before.
    pub without_invocation: u64,
}

/// A line of a process that is no client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NemesisEvent {
    pub time: u64,
    /// `:f` and `:value`, as written.
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Io(std::io::Error),
    #[error("line {line}: {message}")]
    Text { line: u64, message: String },
    #[error("the file holds no operation of this workload")]
    Empty,
}

impl From<FormError> for ReadError {
    fn from(error: FormError) -> ReadError {
        match error {
            FormError::Io(error) => ReadError::Io(error),
            FormError::Text { line, message } => ReadError::Text { line, message },
        }
    }
}

/// Reads a whole history; `progress` is told of bytes and operations now and then.
pub fn read<T: Body>(input: impl BufRead, mut progress: impl FnMut(u64, usize)) -> Result<Loaded<T>, ReadError> {
    let mut forms = Forms::new(input);
    let mut reader = Reader::new();
    loop {
        let bytes = forms.bytes();
        let Some(form) = forms.next_form()? else { break };
        let located = |error: Error| ReadError::Text {
            line: form.line + form.text[..error.offset].iter().filter(|byte| **byte == b'\n').count() as u64,
            message: error.message,
        };
        let line = Line::read(form.text).map_err(located)?;
        reader.take(line, form.line).map_err(located)?;
        if reader.lines.is_multiple_of(1 << 14) {
            progress(bytes, reader.loaded.history.operations.len());
        }
    }
    if reader.loaded.history.operations.is_empty() {
        return Err(ReadError::Empty);
    }
    Ok(reader.loaded)
}

/// One map of the file, its value not yet understood.
struct Line<'a> {
    kind: &'a str,
    process: Process,
    f: &'a str,
    value: Option<Cursor<'a>>,
    error: String,
    time: Option<u64>,
    end: Cursor<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Client(u32),
    /// `:nemesis`, or none.
    Other,
    Missing,
}

impl<'a> Line<'a> {
    fn read(text: &'a [u8]) -> Result<Line<'a>, Error> {
        let mut cursor = Cursor::new(text);
        cursor.expect(b'{')?;
        let mut line = Line {
            kind: "",
            process: Process::Missing,
            f: "",
            value: None,
            error: String::new(),
            time: None,
            end: cursor.clone(),
        };
        while !cursor.take(b'}')? {
            let name = if cursor.peek()? == Some(b':') { cursor.keyword()? } else { "" };
            match name {
                "" => {
                    cursor.skip()?;
                    cursor.skip()?;
                }
                "type" => line.kind = cursor.keyword()?,
                "f" if cursor.peek()? == Some(b':') => line.f = cursor.keyword()?,
                "process" => line.process = process(&mut cursor)?,
                "time" => {
                    line.time = cursor.natural()?;
                    if line.time.is_none() {
                        cursor.skip()?;
                    }
                }
                "value" => {
                    line.value = Some(cursor.clone());
                    cursor.skip()?;
                }
                "error" => line.error = cursor.value()?.to_string(),
                _ => cursor.skip()?,
            }
        }
        if !matches!(line.kind, "invoke" | "ok" | "fail" | "info") {
            let message = format!(":type is `{}`, not :invoke, :ok, :fail or :info", line.kind);
            return Err(Error { offset: 0, message });
        }
        line.end = cursor;
        Ok(line)
    }
}

fn process(cursor: &mut Cursor<'_>) -> Result<Process, Error> {
    match cursor.natural()? {
        Some(number) => {
            let process = u32::try_from(number).map_err(|_| cursor.error("a :process above 4294967295"))?;
            Ok(Process::Client(process))
        }
        None => {
            cursor.skip()?;
            Ok(Process::Other)
        }
    }
}

struct Reader<T> {
    loaded: Loaded<T>,
    /// The operation that each process is waiting for, with the line of its invocation.
    pending: BTreeMap<u32, (usize, u64)>,
    lines: u64,
    /// Processes of operations that name none.
    next_process: u32,
}

impl<T: Body> Reader<T> {
    fn new() -> Reader<T> {
        let loaded = Loaded {
            history: History::default(),
            nemesis: Vec::new(),
            ignored: BTreeMap::new(),
            without_invocation: 0,
        };
        Reader { loaded, pending: BTreeMap::new(), lines: 0, next_process: u32::MAX - 1 }
    }

    fn take(&mut self, line: Line<'_>, number: u64) -> Result<(), Error> {
        self.lines += 1;
        // Without times, the order of the lines is the order of events.
        let now = line.time.unwrap_or(self.lines);
        let process = match line.process {
            Process::Client(process) => process,
            Process::Other => {
                let value = line.value.map(|mut cursor| cursor.value()).transpose()?;
                let value = value.map(|value| format!(" {value}")).unwrap_or_default();
                self.loaded.nemesis.push(NemesisEvent { time: now, text: format!("{}{value}", line.f) });
                return Ok(());
            }
            Process::Missing => {
                self.next_process -= 1;
                self.next_process
            }
        };
        let mut value = line.value.clone().unwrap_or_else(|| Cursor::new(b"nil"));
        let Some(body) = T::decode(line.f, &mut value, &mut self.loaded.history.names)? else {
            *self.loaded.ignored.entry(line.f.to_owned()).or_default() += 1;
            return Ok(());
        };
        if line.kind == "invoke" {
            self.begin(&line, process, now, body, number)
        } else {
            self.end(&line, process, now, body);
            Ok(())
        }
    }

    fn begin(&mut self, line: &Line<'_>, process: u32, now: u64, body: T, number: u64) -> Result<(), Error> {
        let index = self.loaded.history.begin(process, now, body);
        match self.pending.insert(process, (index, number)) {
            None => Ok(()),
            Some((_, before)) => Err(line.end.error(format!(
                "process {process} begins an operation before the one that it began on line {before} has ended"
            ))),
        }
    }

    fn end(&mut self, line: &Line<'_>, process: u32, now: u64, body: T) {
        let operations = &mut self.loaded.history.operations;
        let index = match self.pending.remove(&process) {
            Some((index, _)) => index,
            None => {
                self.loaded.without_invocation += 1;
                let (index, outcome) = (operations.len(), Outcome::Unknown);
                operations.push(Operation { index, process, begin: 0, end: u64::MAX, outcome, body: body.clone() });
                index
            }
        };
        let operation = &mut operations[index];
        let refused = operation.body.refused(&line.error);
        let (outcome, body) = match (line.kind, refused) {
            ("ok", _) => (Outcome::Committed, Some(body)),
            ("fail", Some(answer)) => (Outcome::Committed, Some(answer)),
            ("fail", None) => (Outcome::Aborted, None),
            _ => (Outcome::Unknown, None),
        };
        operation.outcome = outcome;
        operation.end = if outcome == Outcome::Unknown { u64::MAX } else { now.max(operation.begin) };
        if let Some(body) = body {
            operation.body = body;
        }
    }
}

impl Names {
    /// Reads `:f`-less values in tests and tools.
    pub fn decode<T: Body>(&mut self, f: &str, text: &str) -> Result<Option<T>, Error> {
        T::decode(f, &mut Cursor::new(text.as_bytes()), self)
    }
}
