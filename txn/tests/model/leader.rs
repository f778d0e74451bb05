//! The server half as the model sees it: a pure function too. Of a leader's state only what is stored and the timestamp cache
//! matter to correctness, so that is what the model keeps, per key; for every request an [`Evaluator`](txn::server::Evaluator) is
//! made that knows it, and evaluates the real command. Locks, queues and signs of life are thus lost after every request: nothing
//! may rest on them.

use std::{sync::Arc, time::Duration};

use base::{Monotonic, Timestamp, TxnId};
use bytes::Bytes;
use storage::{
    ColumnFamily, Descriptor, Engine, Evaluate, EvaluateContext, Outcome, Reader, WriteBatch, WriteOp,
    engine::memory::MemoryEngine,
};
use txn::{
    Command,
    command::{self, Key, PreventReply, PrewriteReply, Read, ReadBody, ReadReply, RefreshReply},
    mvcc::{self, Intent, Record},
    server::{Options, evaluate_factory},
    testing::NoPushdown,
};

use crate::{client::Answer, scenario::Mistake};

const NOW: Monotonic = Monotonic(0);

/// One key: what is stored of it, and what its leader remembers of reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cell {
    pub data: Vec<(Bytes, Bytes)>,
    pub intents: Vec<(Bytes, Bytes)>,
    /// Everything up to here counts as read by everybody.
    pub low_water: u64,
    /// The last read above that.
    pub last_read: Option<(u64, u128)>,
}

/// A cell, decoded.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Timestamp, writer and value, the newest first.
    pub versions: Vec<(Timestamp, TxnId, Option<Bytes>)>,
    pub intent: Option<Intent>,
    pub markers: Vec<TxnId>,
}

impl Cell {
    pub fn decode(&self) -> Stored {
        let mut stored = Stored::default();
        for (raw, value) in &self.data {
            let (_, at) = mvcc::parse_data_key(raw).expect("what was written can be read");
            let version = mvcc::Version::decode(value).expect("what was written can be read");
            stored.versions.push((at, version.writer, version.value.map(Bytes::copy_from_slice)));
        }
        for (raw, value) in &self.intents {
            match Record::decode(value).expect("what was written can be read") {
                Record::Intent(intent) => stored.intent = Some(intent),
                Record::Marker { .. } => stored.markers.push(marked(raw)),
            }
        }
        stored
    }

    fn record(&mut self, ts: Timestamp, txn: TxnId) {
        if ts.0 >= self.low_water && self.last_read.is_none_or(|(last, _)| last < ts.0) {
            self.last_read = Some((ts.0, txn.0));
        }
    }
}

/// The transaction against which a marker stands: the last 16 bytes of its key.
fn marked(raw: &[u8]) -> TxnId {
    let id = raw.last_chunk::<16>().expect("a marker's key ends in a transaction");
    TxnId(u128::from_be_bytes(*id))
}

/// Has the leader of a range evaluate a command and applies what it proposes. `keys` are those of the cells.
pub fn evaluate(
    descriptor: &Descriptor,
    keys: &[u8],
    cells: &[Arc<Cell>],
    raw: &Bytes,
    mistake: Option<Mistake>,
) -> (Answer, Vec<Cell>) {
    let command = Command::decode(raw).expect("what was encoded can be decoded");
    let options = Options {
        read_patience: Duration::ZERO,
        lock_patience: Duration::ZERO,
        silence_max: Duration::ZERO,
        ..Options::default()
    };
    let mut evaluator = evaluate_factory(Arc::new(NoPushdown), options)();
    let low_water = cells.iter().map(|cell| cell.low_water).max().unwrap_or_default();
    evaluator.lead(Timestamp(low_water), NOW);
    let context = EvaluateContext { now: NOW, descriptor };
    for (key, cell) in keys.iter().zip(cells) {
        if let Some((ts, txn)) = cell.last_read {
            remember(&mut *evaluator, *key, Timestamp(ts), TxnId(txn), context);
        }
    }
    let engine = MemoryEngine::new();
    load(&engine, cells, &command, mistake);
    let (answer, applied) = answer(&mut *evaluator, raw, context, &engine);
    let mut next = match applied {
        Some(batch) => {
            engine.write(&spoiled(batch, &command, mistake)).expect("memory does not fail");
            let mut stored = store(&engine, keys, cells);
            for (cell, before) in stored.iter_mut().zip(cells) {
                let hidden = before.intents.iter().filter(|(key, value)| hidden(key, value, &command, mistake));
                keep_hidden(&mut cell.intents, hidden);
            }
            stored
        }
        None => cells.iter().map(|cell| Cell::clone(cell)).collect(),
    };
    if let Answer::Reply(reply) = &answer {
        for (key, ts, txn) in reads_of(&command, reply) {
            if let Some(index) = keys.iter().position(|known| key[..] == [*known]) {
                next[index].record(ts, txn);
            }
        }
    }
    (spoiled_answer(answer, mistake), next)
}

/// Brings a read back into the timestamp cache.
fn remember(evaluator: &mut dyn Evaluate, key: u8, read_ts: Timestamp, txn: TxnId, context: EvaluateContext<'_>) {
    let body = ReadBody::Get { keys: vec![Key::copy_from_slice(&[key])] };
    let read = Command::Read(Read { txn, read_ts, protect: true, anywhere: false, body });
    let outcome = evaluator.evaluate(0, &read.encode(), context, &MemoryEngine::new());
    assert!(matches!(outcome, Ok(Outcome::Reply(_))), "a read of nothing is answered at once");
}

/// Evaluates, twice where the request would wait: its patience is over at once.
fn answer(
    evaluator: &mut dyn Evaluate,
    raw: &Bytes,
    context: EvaluateContext<'_>,
    engine: &MemoryEngine,
) -> (Answer, Option<WriteBatch>) {
    for _ in 0..2 {
        match evaluator.evaluate(1, raw, context, engine) {
            Ok(Outcome::Reply(reply)) => return (Answer::Reply(reply), None),
            Ok(Outcome::Propose { batch, reply }) => return (Answer::Reply(reply), Some(batch)),
            Ok(Outcome::Blocked) => evaluator.tick(NOW),
            Err(error) => return (Answer::Refused(error.to_string()), None),
        }
    }
    panic!("a request waits without patience");
}

/// What a command has put into the timestamp cache, if it was answered like this.
fn reads_of(command: &Command, reply: &[u8]) -> Vec<(Key, Timestamp, TxnId)> {
    let at = |keys: &[Key], ts, txn| keys.iter().map(|key| (key.clone(), ts, txn)).collect();
    match command {
        Command::Read(read) => match (&read.body, command::decode(reply)) {
            (ReadBody::Get { keys }, Ok(ReadReply::Values(_))) => at(keys, read.read_ts, read.txn),
            _ => Vec::new(),
        },
        Command::Refresh { txn, spans, to, .. } if command::decode(reply) == Ok(RefreshReply::Done) => {
            let keys: Vec<Key> = spans.iter().map(|span| span.start.clone()).collect();
            at(&keys, *to, *txn)
        }
        Command::Prewrite(prewrite) | Command::CommitOneRange(prewrite)
            if command::decode(reply) == Ok(PrewriteReply::Done) =>
        {
            let keys: Vec<Key> = prewrite.checks.iter().map(|check| check.key.clone()).collect();
            at(&keys, prewrite.write_ts, prewrite.txn)
        }
        _ => Vec::new(),
    }
}

fn load(engine: &MemoryEngine, cells: &[Arc<Cell>], command: &Command, mistake: Option<Mistake>) {
    let mut batch = WriteBatch::default();
    for cell in cells {
        for (key, value) in &cell.data {
            batch.put(ColumnFamily::Data, key.clone(), value.clone());
        }
        for (key, value) in cell.intents.iter().filter(|(key, value)| !hidden(key, value, command, mistake)) {
            batch.put(ColumnFamily::Intent, key.clone(), value.clone());
        }
    }
    engine.write(&batch).expect("memory does not fail");
}

/// The cells as they lie in the engine now.
fn store(engine: &MemoryEngine, keys: &[u8], before: &[Arc<Cell>]) -> Vec<Cell> {
    let mut cells: Vec<Cell> =
        before.iter().map(|cell| Cell { data: Vec::new(), intents: Vec::new(), ..Cell::clone(cell) }).collect();
    for cf in [ColumnFamily::Data, ColumnFamily::Intent] {
        let mut cursor = engine.cursor(cf, b"", b"").expect("memory does not fail");
        cursor.seek(b"").expect("memory does not fail");
        while let Some(raw) = cursor.key() {
            let index = keys.iter().position(|key| *key == raw[0]).expect("a command keeps to its range");
            let entry = (Bytes::copy_from_slice(raw), Bytes::copy_from_slice(cursor.value()));
            if cf == ColumnFamily::Data { &mut cells[index].data } else { &mut cells[index].intents }.push(entry);
            cursor.next().expect("memory does not fail");
        }
    }
    cells
}

/// Planted: what a command does not see.
fn hidden(raw: &[u8], value: &[u8], command: &Command, mistake: Option<Mistake>) -> bool {
    let Command::Prewrite(prewrite) = command else { return false };
    match (mistake, Record::decode(value)) {
        (Some(Mistake::MarkerStopsOneAttempt), Ok(Record::Marker { at })) => {
            marked(raw) == prewrite.txn && at < prewrite.write_ts
        }
        (Some(Mistake::EarlierIntentReplacesLater), Ok(Record::Intent(intent))) => {
            intent.txn == prewrite.txn && intent.write_ts > prewrite.write_ts
        }
        _ => false,
    }
}

/// What was hidden from a command is still there, unless it was overwritten.
fn keep_hidden<'c>(intents: &mut Vec<(Bytes, Bytes)>, hidden: impl Iterator<Item = &'c (Bytes, Bytes)>) {
    for (key, value) in hidden {
        if !intents.iter().any(|(known, _)| known == key) {
            intents.push((key.clone(), value.clone()));
        }
    }
    intents.sort();
}

/// Planted: what is not written.
fn spoiled(mut batch: WriteBatch, command: &Command, mistake: Option<Mistake>) -> WriteBatch {
    if mistake == Some(Mistake::PreventLeavesNoMarker) && matches!(command, Command::Prevent { .. }) {
        batch.ops.retain(|op| !matches!(op, WriteOp::Put { .. }));
    }
    batch
}

/// Planted: what is not said.
fn spoiled_answer(answer: Answer, mistake: Option<Mistake>) -> Answer {
    let superseded = Answer::Reply(command::encode(&PreventReply::Superseded));
    match mistake {
        Some(Mistake::SupersededIsMissing) if answer == superseded => {
            Answer::Reply(command::encode(&PreventReply::Missing))
        }
        _ => answer,
    }
}
