//! The log on a real disk: a chain of preallocated segments, appended to by all ranges, synced once for all.
//!
//! A segment goes when no range needs anything in it. A range that writes seldom would pin an old segment for ever: when such
//! stragglers are all that holds the oldest one, their state is written again at the end of the log.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use base::RangeId;
use bytes::Bytes;

use super::{
    replay::{RangeLog, into_states, replay},
    segment::{self, HEADER_BYTES, ReadError, Segment, SegmentContent},
};
use crate::{
    error::{Error, Result},
    log::{LogRecord, LogState, LogStore},
};

/// Spare files kept for reuse.
const SPARES_MAX: usize = 2;

/// With so many segments or more, stragglers are carried over.
const CARRY_SEGMENTS_MIN: usize = 4;

/// Bytes gathered before they are handed to the operating system.
const WRITE_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct FileLogOptions {
    pub segment_bytes: u64,
}

impl Default for FileLogOptions {
    fn default() -> FileLogOptions {
        FileLogOptions { segment_bytes: 16 << 20 }
    }
}

/// A [`LogStore`] in a directory of its own.
pub struct FileLog {
    dir: PathBuf,
    options: FileLogOptions,
    /// Older segments: number and size.
    sealed: BTreeMap<u64, u64>,
    /// The segment that is written; `None` before [`LogStore::load`].
    current: Option<Segment>,
    spares: Vec<PathBuf>,
    ranges: BTreeMap<RangeId, RangePlaces>,
    /// Frames for `current` that were not written yet.
    buffer: Vec<u8>,
    /// After a failed write or sync nothing is known about the disk any more: all further work is refused.
    failed: bool,
}

/// Where on disk the live state of a range is.
#[derive(Default)]
struct RangePlaces {
    log: RangeLog<Place>,
    /// The segments of the newest hard state and of the newest truncation; `None` when there was none.
    hard_state_segment: Option<u64>,
    truncated_segment: Option<u64>,
}

/// Where an entry is: the `position`-th of the frame at `offset` of `segment`.
#[derive(Clone, Copy)]
struct Place {
    segment: u64,
    offset: u32,
    position: u32,
    size_bytes: u32,
}

impl RangePlaces {
    /// The oldest segment with anything that is still needed.
    fn oldest_segment(&self) -> Option<u64> {
        // Later entries never lie in earlier segments.
        let entries = self.log.entries.front().map(|place| place.segment);
        [self.hard_state_segment, self.truncated_segment, entries].into_iter().flatten().min()
    }

    fn live_bytes(&self) -> u64 {
        64 + self.log.entries.iter().map(|place| u64::from(place.size_bytes)).sum::<u64>()
    }
}

impl FileLog {
    /// Opens the directory, or creates it. Nothing is read before [`LogStore::load`].
    pub fn open(dir: &Path, options: FileLogOptions) -> Result<FileLog> {
        let create = || -> io::Result<()> {
            fs::create_dir_all(dir)?;
            dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), segment::sync_dir)
        };
        create().map_err(failed)?;
        Ok(FileLog {
            dir: dir.to_path_buf(),
            options,
            sealed: BTreeMap::new(),
            current: None,
            spares: Vec::new(),
            ranges: BTreeMap::new(),
            buffer: Vec::new(),
            failed: false,
        })
    }

    /// Runs one operation; after a failure refuses all others.
    fn guarded<T>(&mut self, operation: impl FnOnce(&mut FileLog) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::Corrupt("the log has failed before".into()));
        }
        let result = operation(self);
        self.failed = result.is_err();
        result
    }

    /// The numbers of the segments present; collects spares and removes the remains of unfinished creations.
    fn list(&mut self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        self.spares.clear();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(number) = segment::parse_name(name, ".log") {
                numbers.push(number);
            } else if segment::parse_name(name, ".tmp").is_some() {
                fs::remove_file(&path).map_err(failed)?;
            } else if segment::parse_name(name, ".spare").is_some() {
                if fs::metadata(&path).map_err(failed)?.len() == self.options.segment_bytes {
                    self.spares.push(path);
                } else {
                    fs::remove_file(&path).map_err(failed)?;
                }
            }
        }
        numbers.sort_unstable();
        self.spares.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
            return Err(Error::Corrupt(format!("log segments between {:x} and {:x} are missing", pair[0], pair[1])));
        }
        Ok(numbers)
    }

    fn load_all(&mut self) -> Result<BTreeMap<RangeId, LogState>> {
        let numbers = self.list()?;
        let mut states = BTreeMap::new();
        let mut previous_end = None;
        for number in &numbers {
            let last = Some(number) == numbers.last();
            let content = SegmentContent::read(&self.dir, *number, last).map_err(unreadable)?;
            if previous_end.is_some_and(|end| end != content.previous_end) {
                return Err(Error::Corrupt(format!("the end of log segment {:x} is missing", number - 1)));
            }
            previous_end = Some(content.end);
            for (offset, payload) in content.payloads() {
                let record: LogRecord = decode(payload)?;
                self.note(*number, offset, &record);
                replay(&mut states, record);
            }
            if !last {
                let size = fs::metadata(segment::path(&self.dir, *number)).map_err(failed)?.len();
                self.sealed.insert(*number, size);
            }
        }
        let current = match (numbers.last(), previous_end) {
            (Some(number), Some(end)) => Segment::open(&self.dir, *number, end),
            _ => Segment::create(&self.dir, 1, self.options.segment_bytes, 0, self.spares.pop()),
        };
        self.current = Some(current.map_err(failed)?);
        into_states(states)
    }

    fn current(&mut self) -> Result<&mut Segment> {
        self.current.as_mut().ok_or_else(|| Error::Corrupt("the log was not loaded".into()))
    }

    /// Keeps `ranges` up to date with a record that stands at `offset` of `segment`.
    fn note(&mut self, segment: u64, offset: u64, record: &LogRecord) {
        match record {
            LogRecord::Append { range, hard_state, first_index, entries } => {
                let places = self.ranges.entry(*range).or_default();
                if hard_state.is_some() {
                    places.hard_state_segment = Some(segment);
                }
                let entries = entries.iter().enumerate().map(|(position, entry)| Place {
                    segment,
                    offset: offset as u32,
                    position: position as u32,
                    size_bytes: entry.len() as u32,
                });
                places.log.append(*hard_state, *first_index, entries);
            }
            LogRecord::Truncate { range, index, term } => {
                let places = self.ranges.entry(*range).or_default();
                // A truncation that repeats the newest one (a carried-over one does) takes its place.
                if *index >= places.log.truncated_index {
                    places.truncated_segment = Some(segment);
                }
                places.log.truncate(*index, *term);
            }
            LogRecord::Reset { range, hard_state, index, term } => {
                let places = self.ranges.entry(*range).or_default();
                places.hard_state_segment = Some(segment);
                places.truncated_segment = Some(segment);
                places.log.reset(*hard_state, *index, *term);
            }
            // Needed only while an older segment has records of the range, and segments go from the oldest on.
            LogRecord::Remove { range } => {
                self.ranges.remove(range);
            }
        }
    }

    fn append_record(&mut self, record: &LogRecord) -> Result<()> {
        let buffered = self.buffer.len();
        let (number, end, synced, capacity) = {
            let current = self.current()?;
            (current.number, current.end, current.synced, current.capacity_bytes)
        };
        let offset = end + buffered as u64;
        let length = segment::encode(&mut self.buffer, number, offset, synced, record).map_err(failed)?;
        if offset + length as u64 <= capacity {
            self.note(number, offset, record);
            if self.buffer.len() >= WRITE_BYTES_MAX {
                self.write_buffer()?;
            }
            return Ok(());
        }
        // It does not fit: once more, into a new segment that is large enough.
        self.buffer.truncate(buffered);
        self.roll(length as u64)?;
        self.append_record(record)
    }

    fn write_buffer(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.current()?.write(&buffer).map_err(failed)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the current segment and begins the next, with room for a frame of `frame_bytes`.
    fn roll(&mut self, frame_bytes: u64) -> Result<()> {
        self.sync_all()?;
        let capacity = self.options.segment_bytes.max(HEADER_BYTES + frame_bytes);
        let spare = if capacity == self.options.segment_bytes { self.spares.pop() } else { None };
        let (number, size, end) = {
            let current = self.current()?;
            (current.number, current.capacity_bytes, current.end)
        };
        let next = Segment::create(&self.dir, number + 1, capacity, end, spare).map_err(failed)?;
        self.sealed.insert(number, size);
        self.current = Some(next);
        Ok(())
    }

    fn sync_all(&mut self) -> Result<()> {
        self.write_buffer()?;
        self.current()?.sync().map_err(failed)
    }

    /// Removes the segments at the front that nobody needs, carrying over what little holds them.
    fn reclaim(&mut self) -> Result<()> {
        while let Some((&oldest, &size)) = self.sealed.first_key_value() {
            let pinned =
                self.ranges.iter().filter(|(_, places)| places.oldest_segment().is_some_and(|at| at <= oldest));
            let (stragglers, bytes): (Vec<RangeId>, Vec<u64>) =
                pinned.map(|(range, places)| (*range, places.live_bytes())).unzip();
            if !stragglers.is_empty() {
                let little = bytes.iter().sum::<u64>() <= self.options.segment_bytes / 4;
                if self.sealed.len() < CARRY_SEGMENTS_MIN || !little {
                    return Ok(());
                }
                for range in stragglers {
                    self.carry_over(range)?;
                }
            }
            // What made the segment superfluous must be durable before it goes.
            self.sync_all()?;
            self.sealed.remove(&oldest);
            self.discard(oldest, size).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the live state of a range again, at the end of the log. A crash in the middle loses nothing: every record by
    /// itself leaves the state as it is.
    fn carry_over(&mut self, range: RangeId) -> Result<()> {
        let Some(places) = self.ranges.get(&range) else { return Ok(()) };
        let hard_state = Some(places.log.hard_state);
        let (index, term) = (places.log.truncated_index, places.log.truncated_term);
        let first_index = places.log.first_index;
        let live: Vec<Place> = places.log.entries.iter().copied().collect();
        self.write_buffer()?;
        let entries = self.read_entries(&live)?;
        self.append_record(&LogRecord::Truncate { range, index, term })?;
        self.append_record(&LogRecord::Append { range, hard_state, first_index, entries })
    }

    fn read_entries(&self, places: &[Place]) -> Result<Vec<Bytes>> {
        let mut entries = Vec::with_capacity(places.len());
        let mut file: Option<(u64, File)> = None;
        let mut frame: Option<((u64, u32), Vec<Bytes>)> = None;
        for place in places {
            if file.as_ref().is_none_or(|(number, _)| *number != place.segment) {
                let opened = File::open(segment::path(&self.dir, place.segment)).map_err(failed)?;
                file = Some((place.segment, opened));
            }
            let key = (place.segment, place.offset);
            if frame.as_ref().is_none_or(|(cached, _)| *cached != key) {
                let Some((number, file)) = &file else { continue };
                let payload = segment::read_frame(file, *number, place.offset.into()).map_err(unreadable)?;
                if let LogRecord::Append { entries, .. } = decode(&payload)? {
                    frame = Some((key, entries));
                }
            }
            let entry = frame.as_ref().filter(|(cached, _)| *cached == key);
            let entry = entry.and_then(|(_, entries)| entries.get(place.position as usize)).cloned();
            entries.push(entry.ok_or_else(|| Error::Corrupt(format!("no entry in log segment {:x}", place.segment)))?);
        }
        Ok(entries)
    }

    /// Removes a segment, or keeps its file for reuse. The directory is synced, so that segments go in order.
    fn discard(&mut self, number: u64, size: u64) -> io::Result<()> {
        let path = segment::path(&self.dir, number);
        if size == self.options.segment_bytes && self.spares.len() < SPARES_MAX {
            let spare = segment::spare_path(&self.dir, number);
            fs::rename(path, &spare)?;
            self.spares.push(spare);
        } else {
            fs::remove_file(path)?;
        }
        segment::sync_dir(&self.dir)
    }

    /// The current segment and its durable part, for tests that damage the rest.
    #[cfg(test)]
    pub(super) fn tail(&self) -> Option<(PathBuf, u64, u64)> {
        let current = self.current.as_ref()?;
        Some((segment::path(&self.dir, current.number), current.synced, current.end))
    }
}

impl LogStore for FileLog {
    fn load(&mut self) -> Result<BTreeMap<RangeId, LogState>> {
        self.guarded(FileLog::load_all)
    }

    fn append(&mut self, records: &[LogRecord]) -> Result<()> {
        self.guarded(|log| {
            let before = log.current()?.number;
            for record in records {
                log.append_record(record)?;
            }
            log.write_buffer()?;
            if log.current()?.number != before { log.reclaim() } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> Result<()> {
        self.guarded(FileLog::sync_all)
    }

    fn size_bytes(&self) -> u64 {
        self.sealed.values().sum::<u64>() + self.current.as_ref().map_or(0, |current| current.capacity_bytes)
    }
}

fn decode(payload: &[u8]) -> Result<LogRecord> {
    postcard::from_bytes(payload).map_err(|error| Error::Corrupt(format!("log record: {error}")))
}

fn failed(error: io::Error) -> Error {
    Error::Corrupt(format!("log: {error}"))
}

fn unreadable(error: ReadError) -> Error {
    match error {
        ReadError::Io(error) => failed(error),
        ReadError::Damaged(what) => Error::Corrupt(format!("log: {what}")),
    }
}
