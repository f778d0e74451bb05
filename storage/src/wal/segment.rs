//! One file of the log.
//!
//! ```text
//! header  | magic 8 | version 4 | crc 4 | number 8 | end of the previous segment 8 | zeros up to 64 |
//! frame   | tag 4 | length 4 | crc 4 | synced 4 | payload (one record) | zeros up to a multiple of 8 |
//! ```
//!
//! Files are filled with zeros beforehand (a write that does not change the file's size costs one disk write less in its
//! sync) and used again under a new number. `tag` and the crc depend on the segment's number and the frame's place, so that
//! what an earlier use left behind is never taken for a frame. `synced` tells up to where the file was durable when the frame
//! was written: it tells a torn tail, which may be cut, from damage, which may not.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

pub const HEADER_BYTES: u64 = 64;
const FRAME_HEADER_BYTES: usize = 16;
const MAGIC: &[u8; 8] = b"locuslog";
const VERSION: u32 = 1;

/// A segment open for writing.
pub struct Segment {
    file: File,
    pub number: u64,
    pub capacity_bytes: u64,
    /// Where the next frame goes; grows in multiples of 8.
    pub end: u64,
    /// Up to where the file is durable.
    pub synced: u64,
}

impl Segment {
    /// Creates the file durably under its final name, from a spare file if there is one.
    pub fn create(
        dir: &Path,
        number: u64,
        capacity_bytes: u64,
        previous_end: u64,
        spare: Option<PathBuf>,
    ) -> io::Result<Segment> {
        let (file, unfinished) = match spare {
            Some(spare) => (File::options().read(true).write(true).open(&spare)?, spare),
            None => {
                let unfinished = dir.join(format!("{number:016x}.tmp"));
                let file = File::options().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
                fill(&file, 0, capacity_bytes)?;
                (file, unfinished)
            }
        };
        file.write_all_at(&header(number, previous_end), 0)?;
        file.sync_all()?;
        fs::rename(&unfinished, path(dir, number))?;
        sync_dir(dir)?;
        Ok(Segment { file, number, capacity_bytes, end: HEADER_BYTES, synced: HEADER_BYTES })
    }

    /// Opens the last segment after a load that ended at `end`, and wipes what a crash may have left behind it: were it still
    /// there, a later frame that ends just before it would bring it back.
    pub fn open(dir: &Path, number: u64, end: u64) -> io::Result<Segment> {
        let file = File::options().read(true).write(true).open(path(dir, number))?;
        let capacity_bytes = file.metadata()?.len();
        let mut rest = vec![0; (capacity_bytes - end) as usize];
        file.read_exact_at(&mut rest, end)?;
        if rest.iter().any(|byte| *byte != 0) {
            fill(&file, end, capacity_bytes)?;
        }
        // The part before may have been written but not synced by the process that died.
        file.sync_data()?;
        Ok(Segment { file, number, capacity_bytes, end, synced: end })
    }

    pub fn write(&mut self, frames: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frames, self.end)?;
        self.end += frames.len() as u64;
        Ok(())
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.end {
            self.file.sync_data()?;
            self.synced = self.end;
        }
        Ok(())
    }
}

pub fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.log"))
}

pub fn spare_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.spare"))
}

/// The number in the name of a segment, or of a spare file.
pub fn parse_name(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Makes creations, removals and renames in the directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let length = (to - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

fn header(number: u64, previous_end: u64) -> [u8; HEADER_BYTES as usize] {
    let mut header = [0; HEADER_BYTES as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&number.to_le_bytes());
    header[24..32].copy_from_slice(&previous_end.to_le_bytes());
    let crc = crc32fast::hash(&header[16..]);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Encodes `record` as the frame that will stand at `offset`, appending it to `frames`. Returns the length of the frame.
pub fn encode(
    frames: &mut Vec<u8>,
    number: u64,
    offset: u64,
    synced: u64,
    record: &impl Serialize,
) -> io::Result<usize> {
    let start = frames.len();
    frames.resize(start + FRAME_HEADER_BYTES, 0);
    let mut encoded = postcard::to_extend(record, std::mem::take(frames)).map_err(io::Error::other)?;
    let length = encoded.len() - start - FRAME_HEADER_BYTES;
    let length_field = u32::try_from(length).map_err(|_| io::Error::other("a log record of 4 GiB"))?;
    let mut frame = Frame { tag: tag(number), length: length_field, crc: 0, synced: synced as u32 };
    frame.crc = frame.checksum(offset, &encoded[start + FRAME_HEADER_BYTES..]);
    encoded[start..start + FRAME_HEADER_BYTES].copy_from_slice(&frame.to_bytes());
    encoded.resize(start + padded(length), 0);
    *frames = encoded;
    Ok(padded(length))
}

fn padded(payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(8)
}

/// Differs between the numbers that one file can have.
fn tag(number: u64) -> u32 {
    crc32fast::hash(&number.to_le_bytes()) | 1
}

struct Frame {
    tag: u32,
    length: u32,
    crc: u32,
    synced: u32,
}

impl Frame {
    fn to_bytes(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        for (field, place) in [self.tag, self.length, self.crc, self.synced].iter().zip(bytes.chunks_exact_mut(4)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Frame> {
        let field = |i: usize| Some(u32::from_le_bytes(bytes.get(4 * i..4 * i + 4)?.try_into().ok()?));
        Some(Frame { tag: field(0)?, length: field(1)?, crc: field(2)?, synced: field(3)? })
    }

    fn checksum(&self, offset: u64, payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.tag.to_le_bytes());
        hasher.update(&self.length.to_le_bytes());
        hasher.update(&self.synced.to_le_bytes());
        hasher.update(&offset.to_le_bytes());
        hasher.update(payload);
        hasher.finalize()
    }
}

/// The frame at `offset` of a file's bytes, if it is whole: header, payload, and the offset after it.
fn frame_at(bytes: &[u8], number: u64, offset: usize) -> Option<(Frame, &[u8], usize)> {
    let frame = Frame::from_bytes(bytes.get(offset..)?)?;
    if frame.tag != tag(number) {
        return None;
    }
    let start = offset + FRAME_HEADER_BYTES;
    let payload = bytes.get(start..start.checked_add(frame.length as usize)?)?;
    let end = offset + padded(payload.len());
    (frame.crc == frame.checksum(offset as u64, payload) && end <= bytes.len()).then_some((frame, payload, end))
}

/// A segment read back whole.
pub struct SegmentContent {
    bytes: Vec<u8>,
    number: u64,
    pub previous_end: u64,
    /// Where the last whole frame ends.
    pub end: u64,
}

/// Why a segment cannot be trusted.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    Damaged(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl SegmentContent {
    /// Reads and checks a segment. In the `last` one a tail that was never synced may be torn; nothing else may be damaged.
    pub fn read(dir: &Path, number: u64, last: bool) -> Result<SegmentContent, ReadError> {
        let mut bytes = Vec::new();
        File::open(path(dir, number))?.read_to_end(&mut bytes)?;
        let stored = bytes.get(..HEADER_BYTES as usize);
        let previous_end = bytes.get(24..32).and_then(|field| Some(u64::from_le_bytes(field.try_into().ok()?)));
        let Some(previous_end) = previous_end.filter(|end| stored == Some(&header(number, *end)[..])) else {
            return Err(ReadError::Damaged(format!("segment {number:x} has no valid header")));
        };
        let mut content = SegmentContent { bytes, number, previous_end, end: HEADER_BYTES };
        while let Some((_, _, end)) = frame_at(&content.bytes, number, content.end as usize) {
            content.end = end as u64;
        }
        match content.survivor(last) {
            Some(offset) => Err(ReadError::Damaged(format!(
                "segment {number:x} is damaged at {}: there is valid data at {offset}",
                content.end
            ))),
            None => Ok(content),
        }
    }

    /// A whole frame behind the first broken one that proves that the break is no torn tail.
    fn survivor(&self, last: bool) -> Option<usize> {
        let from = self.end as usize;
        let tag = tag(self.number).to_le_bytes();
        (from..self.bytes.len()).step_by(8).filter(|offset| self.bytes[*offset..].starts_with(&tag)).find(|offset| {
            frame_at(&self.bytes, self.number, *offset)
                .is_some_and(|(frame, _, _)| !last || u64::from(frame.synced) > self.end)
        })
    }

    /// The payloads in order, each with the offset of its frame.
    pub fn payloads(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut offset = HEADER_BYTES as usize;
        std::iter::from_fn(move || {
            let at = offset;
            let (_, payload, end) = frame_at(&self.bytes, self.number, at).filter(|_| (at as u64) < self.end)?;
            offset = end;
            Some((at as u64, payload))
        })
    }
}

/// Reads one frame of which the place is known.
pub fn read_frame(file: &File, number: u64, offset: u64) -> Result<Vec<u8>, ReadError> {
    let mut head = [0; FRAME_HEADER_BYTES];
    file.read_exact_at(&mut head, offset)?;
    let damaged = || ReadError::Damaged(format!("segment {number:x} is damaged at {offset}"));
    let frame = Frame::from_bytes(&head).filter(|frame| frame.tag == tag(number)).ok_or_else(damaged)?;
    if offset + u64::from(frame.length) > file.metadata()?.len() {
        return Err(damaged());
    }
    let mut payload = vec![0; frame.length as usize];
    file.read_exact_at(&mut payload, offset + FRAME_HEADER_BYTES as u64)?;
    if frame.crc != frame.checksum(offset, &payload) {
        return Err(damaged());
    }
    Ok(payload)
}
