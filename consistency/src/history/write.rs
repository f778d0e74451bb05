//! Histories to files that Jepsen's own checkers read.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
};

use super::{Body, History, Operation, Outcome};

/// What happens to an operation in a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Invocation,
    Completion,
}

/// An operation without what it did: the same code for the histories of all workloads.
struct Span {
    process: u32,
    begin: u64,
    end: u64,
    outcome: Outcome,
}

/// Writes an operation's value with or without the answer; `:f`, and the completion's `:type` and `:error`.
type Encode<'a> = &'a dyn Fn(usize, bool, &mut String) -> (&'static str, (&'static str, Option<&'static str>));

impl<T: Body> History<T> {
    /// An `:invoke` and a completion per operation, in the order of time.
    ///
    /// Jepsen gives a client whose operation ended in `:info` a new process number, and so does this.
    pub fn write_edn(&self, out: &mut impl Write) -> io::Result<()> {
        let span = |operation: &Operation<T>| {
            let Operation { process, begin, end, outcome, .. } = *operation;
            Span { process, begin, end, outcome }
        };
        let spans: Vec<Span> = self.operations.iter().map(span).collect();
        let encode = |at: usize, answered: bool, value: &mut String| {
            let operation = &self.operations[at];
            let f = operation.body.encode(answered, &self.names, value);
            (f, operation.body.completion(operation.outcome))
        };
        write(&spans, &encode, out)
    }

    /// As text.
    pub fn to_edn(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail, and EDN of ours is UTF-8.
        let _ = self.write_edn(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

fn write(spans: &[Span], encode: Encode<'_>, out: &mut dyn Write) -> io::Result<()> {
    let processes = processes(spans);
    let gave_up = gave_up(spans);
    let mut events: Vec<(u64, u32, Event)> = Vec::with_capacity(2 * spans.len());
    for (at, span) in spans.iter().enumerate() {
        let end = if span.outcome == Outcome::Unknown { gave_up[at] } else { span.end };
        events.push((span.begin, at as u32, Event::Invocation));
        events.push((end.max(span.begin), at as u32, Event::Completion));
    }
    events.sort_unstable();
    let mut line = String::new();
    for (index, (time, at, event)) in events.into_iter().enumerate() {
        let at = at as usize;
        let answered = event == Event::Completion && spans[at].outcome == Outcome::Committed;
        line.clear();
        let mut value = String::new();
        let (f, completion) = encode(at, answered, &mut value);
        let (kind, error) = match event {
            Event::Invocation => (":invoke", None),
            Event::Completion => completion,
        };
        let process = processes[at];
        let _ =
            write!(line, "{{:index {index}, :type {kind}, :process {process}, :f :{f}, :value {value}, :time {time}");
        if let Some(error) = error {
            let _ = write!(line, ", :error {error}");
        }
        line.push_str("}\n");
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// The process numbers in the file: clients are counted from 0, and a client that lost track of an operation goes on
/// under the next number that is its own.
fn processes(spans: &[Span]) -> Vec<u64> {
    let mut clients: BTreeMap<u32, u64> = spans.iter().map(|span| (span.process, 0)).collect();
    for (number, client) in clients.values_mut().enumerate() {
        *client = number as u64;
    }
    let stride = clients.len() as u64;
    let mut numbers = Vec::with_capacity(spans.len());
    for span in spans {
        let number = clients.entry(span.process).or_default();
        numbers.push(*number);
        if span.outcome == Outcome::Unknown {
            *number += stride;
        }
    }
    numbers
}

/// When clients gave up operations of unknown outcome: before they began the next one, or at the end of all.
fn gave_up(spans: &[Span]) -> Vec<u64> {
    let known = spans.iter().filter(|span| span.outcome != Outcome::Unknown);
    let last_begin = spans.iter().map(|span| span.begin).max().unwrap_or(0);
    let last = known.map(|span| span.end).max().unwrap_or(0).max(last_begin);
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    let mut times = vec![last; spans.len()];
    for (at, span) in spans.iter().enumerate().rev() {
        if let Some(begin) = next.insert(span.process, span.begin) {
            times[at] = begin;
        }
    }
    times
}
