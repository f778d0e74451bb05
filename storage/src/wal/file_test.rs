use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, path::Path};

use base::{RangeId, Rng};
use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{FileLog, FileLogOptions, MemoryDisk, MemoryLog};
use crate::{
    error::{Error, Result},
    log::{HardState, LogRecord, LogState, LogStore},
};

const SEGMENT_BYTES: u64 = 4096;

type States = BTreeMap<RangeId, LogState>;

fn open(dir: &Path) -> (FileLog, Result<States>) {
    let mut log = FileLog::open(dir, FileLogOptions { segment_bytes: SEGMENT_BYTES }).expect("open");
    let states = log.load();
    (log, states)
}

fn reopen(dir: &Path) -> (FileLog, States) {
    let (log, states) = open(dir);
    (log, states.expect("load"))
}

fn append(range: u64, first_index: u64, entries: &[&str]) -> LogRecord {
    LogRecord::Append {
        range: RangeId(range),
        hard_state: Some(HardState { term: first_index, vote: 1, commit: first_index }),
        first_index,
        entries: entries.iter().map(|entry| Bytes::copy_from_slice(entry.as_bytes())).collect(),
    }
}

fn truncate(range: u64, index: u64) -> LogRecord {
    LogRecord::Truncate { range: RangeId(range), index, term: 1 }
}

/// The meaning of the records, written down a second time and as simply as possible.
fn apply(states: &mut States, record: &LogRecord) {
    match record {
        LogRecord::Append { range, hard_state, first_index, entries } => {
            let state = states.entry(*range).or_default();
            state.hard_state = hard_state.unwrap_or(state.hard_state);
            if !entries.is_empty() {
                state.entries.truncate((first_index - state.truncated_index - 1) as usize);
                state.entries.extend(entries.iter().cloned());
            }
        }
        LogRecord::Truncate { range, index, term } => {
            let state = states.entry(*range).or_default();
            if *index > state.truncated_index {
                state.entries.drain(..((index - state.truncated_index) as usize).min(state.entries.len()));
                (state.truncated_index, state.truncated_term) = (*index, *term);
            }
        }
        LogRecord::Reset { range, hard_state, index, term } => {
            let state = LogState {
                hard_state: *hard_state,
                truncated_index: *index,
                truncated_term: *term,
                entries: Vec::new(),
            };
            states.insert(*range, state);
        }
        LogRecord::Remove { range } => {
            states.remove(range);
        }
    }
}

fn model(records: &[LogRecord]) -> States {
    let mut states = States::new();
    records.iter().for_each(|record| apply(&mut states, record));
    states
}

#[test]
fn keeps_what_was_synced() {
    let dir = TempDir::new().expect("temporary directory");
    let records = [append(1, 1, &["a", "b"]), append(2, 1, &["x"]), append(1, 2, &["c", "d"]), truncate(1, 1)];
    let (mut log, states) = reopen(dir.path());
    assert!(states.is_empty());
    log.append(&records).expect("append");
    log.sync().expect("sync");
    drop(log);
    let (mut log, states) = reopen(dir.path());
    assert_eq!(states, model(&records));
    assert_eq!(states[&RangeId(1)].entries, vec![Bytes::from("c"), Bytes::from("d")]);
    let more = [append(1, 4, &["e"]), LogRecord::Remove { range: RangeId(2) }];
    log.append(&more).expect("append");
    log.sync().expect("sync");
    drop(log);
    assert_eq!(reopen(dir.path()).1, model(&[&records[..], &more[..]].concat()));
}

#[test]
fn damage_before_the_tail_is_reported() {
    let dir = TempDir::new().expect("temporary directory");
    let (mut log, _) = reopen(dir.path());
    for index in 1..4 {
        log.append(&[append(1, index, &["some entry of which a bit will flip"])]).expect("append");
        log.sync().expect("sync");
    }
    let (path, _, _) = log.tail().expect("loaded");
    drop(log);
    flip(&path, 100);
    assert!(matches!(open(dir.path()).1, Err(Error::Corrupt(_))));
    flip(&path, 100);
    assert_eq!(reopen(dir.path()).1[&RangeId(1)].entries.len(), 3);
    // The header, too.
    flip(&path, 20);
    assert!(matches!(open(dir.path()).1, Err(Error::Corrupt(_))));
}

#[test]
fn damage_in_a_sealed_segment_is_reported() {
    let dir = TempDir::new().expect("temporary directory");
    let (mut log, _) = reopen(dir.path());
    let entry = "e".repeat(1500);
    for index in 1..4 {
        log.append(&[append(1, index, &[&entry])]).expect("append");
    }
    log.sync().expect("sync");
    drop(log);
    // The last frame of the first segment: no valid frame follows it there, but the next segment knows where it ended.
    flip(&super::segment::path(dir.path(), 1), 2000);
    assert!(matches!(open(dir.path()).1, Err(Error::Corrupt(_))));
}

#[test]
fn a_missing_segment_is_reported() {
    let dir = TempDir::new().expect("temporary directory");
    let (mut log, _) = reopen(dir.path());
    let entry = "e".repeat(3000);
    for index in 1..4 {
        log.append(&[append(1, index, &[&entry])]).expect("append");
    }
    log.sync().expect("sync");
    drop(log);
    fs::remove_file(super::segment::path(dir.path(), 2)).expect("remove");
    assert!(matches!(open(dir.path()).1, Err(Error::Corrupt(_))));
    fs::remove_file(super::segment::path(dir.path(), 1)).expect("remove");
    assert!(
        matches!(open(dir.path()).1, Err(Error::Corrupt(_))),
        "entries 1 and 2 are gone, but nobody truncated them"
    );
}

fn flip(path: &Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(path).expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("read");
    file.write_all_at(&[byte[0] ^ 1], offset).expect("write");
}

#[test]
fn segments_are_reclaimed_and_stragglers_carried_over() {
    let dir = TempDir::new().expect("temporary directory");
    let (mut log, _) = reopen(dir.path());
    let mut records = vec![append(7, 1, &["idle for ever"]), append(8, 1, &["a", "b", "c"]), truncate(8, 2)];
    log.append(&records).expect("append");
    let entry = "e".repeat(700);
    for index in 1..200 {
        let batch = [append(1, index, &[&entry]), truncate(1, index.saturating_sub(3))];
        log.append(&batch).expect("append");
        log.sync().expect("sync");
        records.extend(batch);
    }
    let segments = fs::read_dir(dir.path()).expect("read_dir").count();
    assert!(segments < 10, "{segments} files left");
    assert!(log.size_bytes() < 10 * SEGMENT_BYTES);
    drop(log);
    let (_, states) = reopen(dir.path());
    assert_eq!(states, model(&records));
    assert_eq!(states[&RangeId(7)].entries, vec![Bytes::from("idle for ever")]);
}

#[test]
fn a_record_larger_than_a_segment_fits() {
    let dir = TempDir::new().expect("temporary directory");
    let (mut log, _) = reopen(dir.path());
    let large = "l".repeat(3 * SEGMENT_BYTES as usize);
    let records = [append(1, 1, &["small"]), append(1, 2, &[&large]), append(1, 3, &["small"])];
    log.append(&records).expect("append");
    log.sync().expect("sync");
    drop(log);
    assert_eq!(reopen(dir.path()).1, model(&records));
}

#[derive(Clone, Debug)]
enum Op {
    /// To range; how many of the last entries to replace; how many to append, of how many bytes.
    Append(u64, u64, u64, usize),
    HardState(u64),
    /// Keeps so many of the entries.
    Truncate(u64, u64),
    Reset(u64, u64),
    Remove(u64),
    Sync,
    Restart,
    /// Power loss; of the unsynced bytes so many per mille stay, and a byte at so many per mille of them is damaged.
    Crash(u64, Option<u64>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (1..4u64, 0..3u64, 1..4u64, 0..400usize).prop_map(|(range, back, count, size)| Op::Append(range, back, count, size)),
        1 => (1..4u64).prop_map(Op::HardState),
        4 => (1..4u64, 0..4u64).prop_map(|(range, keep)| Op::Truncate(range, keep)),
        1 => (1..4u64, 1..5u64).prop_map(|(range, ahead)| Op::Reset(range, ahead)),
        1 => (1..4u64).prop_map(Op::Remove),
        5 => Just(Op::Sync),
        1 => Just(Op::Restart),
        1 => (0..=1000u64, prop::option::of(0..1000u64)).prop_map(|(keep, damage)| Op::Crash(keep, damage)),
    ]
}

/// A record that fits the state of the range.
fn record(op: &Op, states: &States, serial: u64) -> Option<LogRecord> {
    let state = |range: u64| states.get(&RangeId(range)).cloned().unwrap_or_default();
    let last = |range: u64| state(range).truncated_index + state(range).entries.len() as u64;
    let hard_state = HardState { term: serial, vote: 2, commit: serial };
    Some(match *op {
        Op::Append(range, back, count, size) => LogRecord::Append {
            range: RangeId(range),
            hard_state: serial.is_multiple_of(2).then_some(hard_state),
            first_index: last(range) + 1 - back.min(state(range).entries.len() as u64),
            entries: (0..count).map(|i| Bytes::from(format!("{serial}.{i} {}", "x".repeat(size)))).collect(),
        },
        Op::HardState(range) => LogRecord::Append {
            range: RangeId(range),
            hard_state: Some(hard_state),
            first_index: 0,
            entries: Vec::new(),
        },
        Op::Truncate(range, keep) => {
            let index = last(range).saturating_sub(keep).max(state(range).truncated_index);
            // A committed index has one term for ever.
            LogRecord::Truncate { range: RangeId(range), index, term: 10 * index }
        }
        Op::Reset(range, ahead) => {
            let index = last(range) + ahead;
            LogRecord::Reset { range: RangeId(range), hard_state, index, term: 10 * index }
        }
        Op::Remove(range) => LogRecord::Remove { range: RangeId(range) },
        Op::Sync | Op::Restart | Op::Crash(..) => return None,
    })
}

/// Zeroes the unsynced bytes from `keep` per mille on and flips a bit in what stays.
fn lose(log: &FileLog, keep: u64, damage: Option<u64>) {
    let (path, synced, end) = log.tail().expect("loaded");
    let from = synced + (end - synced) * keep / 1000;
    let file = fs::File::options().write(true).open(&path).expect("open");
    file.write_all_at(&vec![0; (end - from) as usize], from).expect("write");
    if let Some(damage) = damage.filter(|_| from > synced) {
        flip(&path, synced + (from - synced) * damage / 1000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// After every crash the log holds what was synced and some prefix of what came after, for all ranges at one point.
    #[test]
    fn random_operations(ops in prop::collection::vec(op(), 1..150)) {
        let dir = TempDir::new().expect("temporary directory");
        let (mut log, _) = reopen(dir.path());
        // The states after every record since the last sync; the first of them is what is durable.
        let mut history = vec![States::new()];
        for (serial, op) in ops.iter().enumerate() {
            let now = history.last().cloned().unwrap_or_default();
            if let Some(record) = record(op, &now, serial as u64 + 1) {
                log.append(std::slice::from_ref(&record)).expect("append");
                let mut next = now;
                apply(&mut next, &record);
                history.push(next);
                continue;
            }
            match op {
                Op::Sync => {
                    log.sync().expect("sync");
                    history = vec![now];
                }
                Op::Crash(keep, damage) => {
                    lose(&log, *keep, *damage);
                    drop(log);
                    let (reopened, states) = reopen(dir.path());
                    log = reopened;
                    prop_assert!(history.contains(&states), "{:?} is none of {:?}", states, history);
                    history = vec![states];
                }
                _ => {
                    drop(log);
                    let (reopened, states) = reopen(dir.path());
                    log = reopened;
                    prop_assert_eq!(&states, &now);
                    history = vec![now];
                }
            }
        }
    }

    /// The log in memory means the same, and loses only what was not synced.
    #[test]
    fn memory_log(ops in prop::collection::vec(op(), 1..60), seed in any::<u64>()) {
        let disk = std::sync::Arc::new(parking_lot::Mutex::new(MemoryDisk::default()));
        let mut log = MemoryLog::new(disk.clone());
        let mut rng = Rng::new(seed);
        let mut history = vec![States::new()];
        for (serial, op) in ops.iter().enumerate() {
            let now = history.last().cloned().unwrap_or_default();
            if let Some(record) = record(op, &now, serial as u64 + 1) {
                log.append(std::slice::from_ref(&record)).expect("append");
                let mut next = now;
                apply(&mut next, &record);
                history.push(next);
            } else if matches!(op, Op::Sync) {
                log.sync().expect("sync");
                history = vec![now];
            } else {
                disk.lock().crash(&mut rng);
                let states = log.load().expect("load");
                prop_assert!(history.contains(&states));
                history = vec![states];
            }
        }
    }
}
