//! Implementations of [`crate::log::LogStore`]: [`FileLog`] on real disks, [`MemoryLog`] for the simulator and for tests.
//!
//! **Invariant**: knows records and ranges, but not what an entry contains.

mod file;
mod memory;
mod replay;
mod segment;

#[cfg(test)]
mod file_test;

pub use file::{FileLog, FileLogOptions};
pub use memory::{MemoryDisk, MemoryLog};
