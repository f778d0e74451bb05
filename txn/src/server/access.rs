//! Which keys a command touches, for latching. Reading what may be in a proposal under way needs a shared latch; computing a
//! batch from what is stored needs an exclusive one.
//!
//! Commands that touch only the volatile state (`Unlock`, `Heartbeat`, `Wait`) need none.

use base::Span;
use storage::Access;

use crate::command::{Command, Key, Prewrite, ReadBody};

pub fn of(command: &Command) -> Vec<Access> {
    match command {
        Command::Read(read) => match &read.body {
            ReadBody::Get { keys } => points(keys, false),
            ReadBody::Scan(scan) => vec![Access { span: scan.span.clone(), exclusive: false }],
        },
        Command::Lock(lock) => points(&lock.keys, false),
        Command::Refresh { spans, .. } => {
            spans.iter().map(|span| Access { span: span.clone(), exclusive: false }).collect()
        }
        Command::CommitOneRange(prewrite) | Command::Prewrite(prewrite) => of_prewrite(prewrite),
        Command::Resolve { keys, .. } | Command::Prevent { keys, .. } => points(keys, true),
        Command::Query { primary, .. } => points([primary], false),
        Command::Abort { primary, .. } => points([primary], true),
        Command::Unlock { .. } | Command::Heartbeat { .. } | Command::Wait { .. } => Vec::new(),
        // One span for thousands of rows: nobody else uses that part of the key space yet.
        Command::BulkWrite(bulk) => {
            let (keys, highest) = (bulk.rows.iter().map(|(key, _)| key), bulk.rows.iter().map(|(key, _)| key).max());
            let span = keys.min().zip(highest).map(|(low, high)| Span::new(low.clone(), Span::point(high.clone()).end));
            span.map(|span| Access { span, exclusive: true }).into_iter().collect()
        }
        // Drops only what no request looks at, so the latch is there for the sake of the route alone.
        Command::CollectGarbage { span, .. } => points([&span.start], false),
        Command::ClearSpan { span } => vec![Access { span: span.clone(), exclusive: true }],
    }
}

/// The locked keys that are not written are only looked at. The primary may lie in another range.
fn of_prewrite(prewrite: &Prewrite) -> Vec<Access> {
    let mut accesses = points(prewrite.writes.iter().map(|write| &write.key), true);
    accesses.extend(points(prewrite.checks.iter().map(|check| &check.key), false));
    accesses
}

fn points<'k>(keys: impl IntoIterator<Item = &'k Key>, exclusive: bool) -> Vec<Access> {
    keys.into_iter().map(|key| Access { span: Span::point(key.clone()), exclusive }).collect()
}
