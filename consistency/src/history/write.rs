//! Histories to files that Jepsen's own checkers read.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write},
};

use super::{Body, History, Outcome};

/// What happens to an operation in a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Invocation,
    Completion,
}

impl<T: Body> History<T> {
    /// An `:invoke` and a completion per operation, in the order of time.
    ///
    /// Jepsen gives a client whose operation ended in `:info` a new process number, and so does this.
    pub fn write_edn(&self, out: &mut impl Write) -> io::Result<()> {
        let processes = self.processes();
        let gave_up = self.gave_up();
        let mut events: Vec<(u64, u32, Event)> = Vec::with_capacity(2 * self.operations.len());
        for (at, operation) in self.operations.iter().enumerate() {
            let end = if operation.outcome == Outcome::Unknown { gave_up[at] } else { operation.end };
            events.push((operation.begin, at as u32, Event::Invocation));
            events.push((end.max(operation.begin), at as u32, Event::Completion));
        }
        events.sort_unstable();
        let mut line = String::new();
        for (index, (time, at, event)) in events.into_iter().enumerate() {
            let at = at as usize;
            let operation = &self.operations[at];
            let (kind, error) = match event {
                Event::Invocation => (":invoke", None),
                Event::Completion => operation.body.completion(operation.outcome),
            };
            let answered = event == Event::Completion && operation.outcome == Outcome::Committed;
            line.clear();
            let mut value = String::new();
            let f = operation.body.encode(answered, &self.names, &mut value);
            let process = processes[at];
            let _ = write!(
                line,
                "{{:index {index}, :type {kind}, :process {process}, :f :{f}, :value {value}, :time {time}"
            );
            if let Some(error) = error {
                let _ = write!(line, ", :error {error}");
            }
            line.push_str("}\n");
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    /// As text.
    pub fn to_edn(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail, and EDN of ours is UTF-8.
        let _ = self.write_edn(&mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// The process numbers in the file: clients are counted from 0, and a client that lost track of an operation goes on
    /// under the next number that is its own.
    fn processes(&self) -> Vec<u64> {
        let mut clients: BTreeMap<u32, u64> = self.operations.iter().map(|operation| (operation.process, 0)).collect();
        for (number, client) in clients.values_mut().enumerate() {
            *client = number as u64;
        }
        let stride = clients.len() as u64;
        let mut numbers = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            let number = clients.entry(operation.process).or_default();
            numbers.push(*number);
            if operation.outcome == Outcome::Unknown {
                *number += stride;
            }
        }
        numbers
    }

    /// When clients gave up operations of unknown outcome: before they began the next one, or at the end of all.
    fn gave_up(&self) -> Vec<u64> {
        let known = self.operations.iter().filter(|operation| operation.outcome != Outcome::Unknown);
        let last_begin = self.operations.iter().map(|operation| operation.begin).max().unwrap_or(0);
        let last = known.map(|operation| operation.end).max().unwrap_or(0).max(last_begin);
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut times = vec![last; self.operations.len()];
        for (at, operation) in self.operations.iter().enumerate().rev() {
            if let Some(begin) = next.insert(operation.process, operation.begin) {
                times[at] = begin;
            }
        }
        times
    }
}
