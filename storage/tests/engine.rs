//! Both engines run the same golden scripts (`scripts/engine`), and random operations side by side.

use std::{collections::BTreeMap, error::Error, ffi::OsString, fmt::Write, path::Path, sync::Arc};

use goldenscript::{Command, Context, Runner};
use proptest::prelude::*;
use storage::{
    ColumnFamily, Cursor, Engine, Reader, WriteBatch,
    engine::{
        memory::MemoryEngine,
        rocks::{RocksEngine, RocksOptions},
    },
};
use tempfile::TempDir;
use test_each_file::test_each_path;

test_each_path! { in "./storage/tests/scripts/engine" as memory => run_memory }
test_each_path! { in "./storage/tests/scripts/engine" as rocks => run_rocks }

fn run_memory(path: &Path) {
    let engine = Arc::new(MemoryEngine::new());
    goldenscript::run(&mut Script::new(Memory(engine)), path).expect("golden script");
}

fn run_rocks(path: &Path) {
    goldenscript::run(&mut Script::new(Rocks::new()), path).expect("golden script");
}

/// An engine that can crash.
trait Host {
    fn engine(&self) -> &dyn Engine;
    fn crash(&mut self);
}

struct Memory(Arc<MemoryEngine>);

impl Host for Memory {
    fn engine(&self) -> &dyn Engine {
        &*self.0
    }

    fn crash(&mut self) {
        self.0.crash();
    }
}

struct Rocks {
    engine: RocksEngine,
    dir: TempDir,
}

impl Rocks {
    fn new() -> Rocks {
        let dir = tempfile::tempdir().expect("temporary directory");
        Rocks { engine: open(dir.path()), dir }
    }
}

fn open(dir: &Path) -> RocksEngine {
    let options = RocksOptions { block_cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20 };
    RocksEngine::open(dir, &options).expect("open")
}

impl Host for Rocks {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    /// Goes on with a copy of the files as they are now. (Closing the store would flush it.) A flush or compaction in the
    /// background may move files under the copy's feet; a copy counts only if the directory stood still meanwhile.
    fn crash(&mut self) {
        let copy = loop {
            let before = files(self.dir.path());
            let copy = tempfile::tempdir().expect("temporary directory");
            let copied =
                before.keys().all(|name| std::fs::copy(self.dir.path().join(name), copy.path().join(name)).is_ok());
            if copied && files(self.dir.path()) == before {
                break copy;
            }
        };
        *self = Rocks { engine: open(copy.path()), dir: copy };
    }
}

/// The store's files by name, with their lengths. RocksDB's own journal, `LOG`, says nothing of the store and is left out.
fn files(dir: &Path) -> BTreeMap<OsString, u64> {
    let entries = std::fs::read_dir(dir).expect("read_dir").map(|entry| entry.expect("entry"));
    let lengths = entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len())));
    lengths.filter(|(name, _)| name != "LOG").collect()
}

struct Script<H> {
    host: H,
    snapshots: BTreeMap<String, Box<dyn Reader>>,
}

impl<H: Host> Script<H> {
    fn new(host: H) -> Script<H> {
        Script { host, snapshots: BTreeMap::new() }
    }

    /// A prefix names the snapshot to read.
    fn reader(&self, context: &Context) -> Result<&dyn Reader, Box<dyn Error>> {
        match &context.prefix {
            Some(name) => Ok(&**self.snapshots.get(name).ok_or("no such snapshot")?),
            None => Ok(self.host.engine()),
        }
    }

    fn write(&self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut batch = WriteBatch::default();
        fill(&mut batch, command)?;
        Ok(self.host.engine().write(&batch)?)
    }
}

/// `set CF key=value …`, `delete CF key …`, `delete_range CF START END`, `batch` of the same in quotes.
fn fill(batch: &mut WriteBatch, command: &Command) -> Result<(), Box<dyn Error>> {
    let mut args = command.consume_args();
    let cf = family(args.next_pos())?;
    match command.name.as_str() {
        "set" => {
            while let Some((key, value)) = args.next_key() {
                batch.put(cf, bytes(key), bytes(value));
            }
        }
        "delete" => {
            while let Some(key) = args.next_pos() {
                batch.delete(cf, bytes(key));
            }
        }
        "delete_range" => {
            let start = bytes(args.next_pos().unwrap_or(""));
            batch.delete_range(cf, start, bytes(args.next_pos().unwrap_or("")));
        }
        name => return Err(format!("unknown command {name}").into()),
    }
    args.reject_next()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|char| char as u8).collect()
}

fn family(name: Option<&str>) -> Result<ColumnFamily, Box<dyn Error>> {
    let found = ColumnFamily::ALL.into_iter().find(|cf| Some(cf.name()) == name);
    found.ok_or_else(|| "no such column family".into())
}

impl<H: Host> Runner for Script<H> {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "set" | "delete" | "delete_range" => self.write(command)?,
            "flush" => self.host.engine().flush()?,
            "crash" => self.host.crash(),
            "snapshot" => {
                let name = args.next_pos().ok_or("name")?.to_string();
                self.snapshots.insert(name, self.host.engine().snapshot());
            }
            "get" => {
                let cf = family(args.next_pos())?;
                let value = self.reader(context)?.get(cf, &bytes(args.next_pos().unwrap_or("")))?;
                return Ok(value.map_or("none".into(), |value| value.escape_ascii().to_string()));
            }
            "scan" | "rscan" => {
                let cf = family(args.next_pos())?;
                let (start, end) = (bytes(args.next_pos().unwrap_or("")), bytes(args.next_pos().unwrap_or("")));
                let mut cursor = self.reader(context)?.cursor(cf, &start, &end)?;
                let reverse = command.name == "rscan";
                let from = args.take_key("from").map(bytes).unwrap_or_default();
                return Ok(dump(&mut *cursor, reverse, &from)?);
            }
            name => return Err(format!("unknown command {name}").into()),
        }
        Ok(String::new())
    }
}

fn dump(cursor: &mut dyn Cursor, reverse: bool, from: &[u8]) -> storage::Result<String> {
    let mut output = String::new();
    if reverse {
        cursor.seek_before(from)?
    } else {
        cursor.seek(from)?
    }
    while let Some(key) = cursor.key() {
        let value = cursor.value();
        writeln!(output, "{}={}", key.escape_ascii(), value.escape_ascii()).expect("String never fails");
        if reverse { cursor.prev()? } else { cursor.next()? }
    }
    Ok(output)
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8),
    Delete(u8),
    DeleteRange(u8, u8),
    DeleteFrom(u8),
    Flush,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..16u8, any::<u8>()).prop_map(|(key, value)| Op::Put(key, value)),
        2 => (0..16u8).prop_map(Op::Delete),
        1 => (0..16u8, 0..16u8).prop_map(|(start, end)| Op::DeleteRange(start, end)),
        1 => (0..16u8).prop_map(Op::DeleteFrom),
        1 => Just(Op::Flush),
        1 => Just(Op::Crash),
    ]
}

/// Keys of different lengths, prefixes of each other among them.
fn key(number: u8) -> Vec<u8> {
    vec![number / 4; 1 + usize::from(number % 4)]
}

fn run_op(host: &mut dyn Host, op: &Op) {
    let mut batch = WriteBatch::default();
    match op {
        Op::Put(number, value) => batch.put(ColumnFamily::Data, key(*number), vec![*value]),
        Op::Delete(number) => batch.delete(ColumnFamily::Data, key(*number)),
        Op::DeleteRange(start, end) => batch.delete_range(ColumnFamily::Data, key(*start), key(*end)),
        Op::DeleteFrom(start) => {
            batch.put(ColumnFamily::Data, key(15), vec![0]);
            batch.delete_range(ColumnFamily::Data, key(*start), vec![]);
            batch.put(ColumnFamily::Intent, key(*start), vec![1]);
        }
        Op::Flush => return host.engine().flush().expect("flush"),
        Op::Crash => return host.crash(),
    }
    host.engine().write(&batch).expect("write");
}

/// A walk of seeks and steps over a bounded cursor, as text.
fn walk(reader: &dyn Reader, cf: ColumnFamily, bounds: (u8, Option<u8>), moves: &[(u8, u8)]) -> String {
    let end = bounds.1.map(key).unwrap_or_default();
    let mut cursor = reader.cursor(cf, &key(bounds.0), &end).expect("cursor");
    let mut output = String::new();
    for (kind, number) in moves {
        let moved = match kind {
            0 => cursor.seek(&key(*number)),
            1 => cursor.seek_before(&key(*number)),
            2 => cursor.seek_before(&[]),
            3 => cursor.next(),
            _ => cursor.prev(),
        };
        moved.expect("move");
        writeln!(output, "{:?}={:?}", cursor.key(), cursor.value()).expect("String never fails");
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn engines_agree(
        ops in prop::collection::vec(op(), 1..40),
        bounds in (0..16u8, prop::option::of(0..16u8)),
        moves in prop::collection::vec((0..6u8, 0..16u8), 1..40),
    ) {
        let mut memory = Memory(Arc::new(MemoryEngine::new()));
        let mut rocks = Rocks::new();
        for op in &ops {
            run_op(&mut memory, op);
            run_op(&mut rocks, op);
        }
        for cf in ColumnFamily::ALL {
            prop_assert_eq!(
                walk(memory.engine(), cf, bounds, &moves),
                walk(rocks.engine(), cf, bounds, &moves)
            );
        }
    }
}
